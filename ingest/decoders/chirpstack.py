"""ChirpStack v4 over MQTT (JSON), and the v3 shape: application/{id}/device/{DevEUI}/event/{up|join|status}.

Source: chirpstack.io documentation, integrations/events. Traps known from there and from its users: older v4 leaves
out fields that are 0, false or empty, so an uplink without `fCnt` is number 0; `time` has nanoseconds; v3 topics
may end in `/rx`, its protobuf-JSON writes the DevEUI in base64, and its `time` stands in `rxInfo`. The decoded
`object` is never used: it is what someone's script made of the same bytes.
"""

import base64
import binascii
import re
from datetime import datetime

from ingest.decoders.chirpstack_samples import samples
from ingest.decoders.fields import Fields, from_base64, identity, parse_object
from ingest.decoders.lorawan import FAMILY, CodecOf, best_rssi, dev_eui, not_registered, observe
from ingest.decoders.model import Clock, Liveness, Measured, Moment, Sample, Undecodable, Understood
from ingest.decoders.uplink import Uplink

NAME = "chirpstack-json/4"
TOPIC_FILTERS = (
    "application/+/device/+/event/up", "application/+/device/+/event/join", "application/+/device/+/event/status",
    "application/+/device/+/rx", "application/+/device/+/join", "application/+/device/+/status",
)  # fmt: skip

_TOPIC = re.compile(r"application/([^/]+)/device/([^/]+)/(?:event/)?(up|rx|join|status)")
_FCNT_MAX = 2**32 - 1


def decode(topic: str, payload: bytes, codec_of: CodecOf = not_registered) -> Understood:
    """Decode an event; raises Undecodable on any other topic or bytes."""
    match = _TOPIC.fullmatch(topic)
    if match is None:
        raise Undecodable("topic", "is not application/{id}/device/{DevEUI}/event/{up, join or status}")
    application = identity(match[1], "topic")
    body = parse_object(payload)
    device = _device(body, match[2])
    if match[3] == "join":
        return _join(body, application, device)
    if match[3] == "status":
        return _status(body, application, device)
    return _up(body, application, device, codec_of)


def _device(body: Fields, in_topic: str) -> str:
    """Give the DevEUI of the topic; the body's must be the same, or a client speaks for a device not its own."""
    info = body.inner("deviceInfo")
    eui = info.text("devEui") if info else body.text("devEUI")
    named = "deviceInfo.devEui" if info else "devEUI"
    if not eui:
        raise Undecodable(named, "is missing")
    device = dev_eui(in_topic, "topic")
    if device not in (dev_eui(eui, named), _eui_of_base64(eui)):
        raise Undecodable(named, "is not the DevEUI of the topic")
    return device


def _eui_of_base64(text: str) -> str | None:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw.hex() if len(raw) == 8 else None


def _time(body: Fields) -> datetime | None:
    """Give the network server's time; in v3 that of the first gateway that knows one, else of publishing."""
    receptions = (one.instant("time") for one in body.objects("rxInfo")) if "time" not in body.body else ()
    known = [at for at in (body.instant("time"), *receptions, body.instant("publishedAt")) if at]
    return known[0] if known else None


def _moment(body: Fields) -> Moment:
    at = _time(body)
    return Moment(Clock.GATEWAY, at) if at else Moment(Clock.ARRIVAL)


def _up(body: Fields, application: str, device: str, codec_of: CodecOf) -> Understood:
    info = body.inner("deviceInfo")
    counted = body.whole("fCnt", 0, _FCNT_MAX)
    data = body.text("data")
    if not data and (body.body.get("object") or body.text("objectJSON")):
        raise Undecodable("data", "is missing: only a script's reading of it was passed on")
    uplink = Uplink(
        device,
        _time(body),
        from_base64(data, "data") if data else b"",
        body.whole("fPort", 0, 255),
        0 if counted is None and info else counted,
        best_rssi(body.objects("rxInfo")),
        profile=info.text("deviceProfileName") if info else body.text("deviceProfileName"),
    )
    observations, unread = observe(uplink, codec_of)
    return Understood(FAMILY, NAME, application, observations, _key(body, uplink), unread=unread)


def _key(body: Fields, uplink: Uplink) -> str | None:
    """Give the server's own key of the uplink; v3 has none, there it is device, counter and time."""
    key = body.key("deduplicationId")
    if key or uplink.seq is None or uplink.at is None:
        return key or None
    return f"{uplink.device}:{uplink.seq}:{uplink.at.isoformat()}"


def _join(body: Fields, application: str, device: str) -> Understood:
    there = Liveness(application, device, "online", body.key("devAddr"), _moment(body))
    return Understood(FAMILY, NAME, application, (there,), body.key("deduplicationId"))


def _status(body: Fields, application: str, device: str) -> Understood:
    """Battery level in percent, unknown when the device runs on mains, cannot tell, or the field is left out."""
    level = body.number("batteryLevel")
    if body.flag("externalPowerSource") or body.flag("batteryLevelUnavailable"):
        level = None
    if level is not None and not 0 <= level <= 100:
        raise Undecodable("batteryLevel", "must be 0..100 percent")
    found = Measured(device, _moment(body), battery_pct=None if level is None else float(level))
    return Understood(FAMILY, NAME, application, (found,), body.key("deduplicationId"), unread=("margin",))


SAMPLES: tuple[Sample, ...] = samples(NAME)
