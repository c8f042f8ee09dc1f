"""The Things Stack v3 over MQTT: v3/{application}@{tenant}/devices/{device}/{up|join}.

Without `@tenant` on the open edition. Source: thethingsindustries.com documentation, integrations/data-formats and
mqtt. Fields that are "", 0 or false are left out: the first uplink after a join has no `f_cnt` and is number 0.
`simulated: true` marks test data. Times have nanoseconds. `decoded_payload` is never used: it is what someone's
script made of the same bytes.
"""

import re

from ingest.decoders.fields import Fields, from_base64, identity, parse_object
from ingest.decoders.lorawan import FAMILY, CodecOf, best_rssi, dev_eui, not_registered, observe
from ingest.decoders.model import Clock, Liveness, Moment, Sample, Undecodable, Understood
from ingest.decoders.things_stack_samples import samples
from ingest.decoders.uplink import Uplink

NAME = "things-stack-json/3"
TOPIC_FILTERS = ("v3/+/devices/+/up", "v3/+/devices/+/join")

_TOPIC = re.compile(r"v3/([^/]+)/devices/([^/]+)/(up|join)")
_FCNT_MAX = 2**32 - 1


def decode(topic: str, payload: bytes, codec_of: CodecOf = not_registered) -> Understood:
    """Decode an uplink or a join; raises Undecodable on any other topic or bytes."""
    match = _TOPIC.fullmatch(topic)
    if match is None:
        raise Undecodable("topic", "is not v3/{application}/devices/{device}/{up or join}")
    application = identity(match[1], "topic")
    body = parse_object(payload)
    device = _device(body.needed("end_device_ids"), match[2])
    if match[3] == "join":
        return _join(body, application, device)
    return _up(body, application, device, codec_of)


def _device(ids: Fields, in_topic: str) -> str:
    """Give the DevEUI, or the device's id in its application when it has none; the topic must name the same device."""
    if ids.needed_text("device_id") != in_topic:
        raise ids.refuse("device_id", "is not the device of the topic")
    return dev_eui(ids.text("dev_eui") or in_topic, ids.name("dev_eui"))


def _join(body: Fields, application: str, device: str) -> Understood:
    accept = body.needed("join_accept")
    at = accept.instant("received_at") or body.instant("received_at")
    session = accept.key("session_key_id")
    moment = Moment(Clock.GATEWAY, at) if at else Moment(Clock.ARRIVAL)
    return Understood(FAMILY, NAME, application, (Liveness(application, device, "online", session, moment),), session)


def _up(body: Fields, application: str, device: str, codec_of: CodecOf) -> Understood:
    message = body.needed("uplink_message")
    data = message.text("frm_payload")
    if not data and message.body.get("decoded_payload"):
        raise message.refuse("frm_payload", "is missing: only a script's reading of it was passed on")
    versions = message.inner("version_ids")
    uplink = Uplink(
        device,
        message.instant("received_at") or body.instant("received_at"),
        from_base64(data, message.name("frm_payload")) if data else b"",
        message.whole("f_port", 0, 255),
        message.whole("f_cnt", 0, _FCNT_MAX) or 0,
        best_rssi(message.objects("rx_metadata")),
        simulated=bool(body.flag("simulated")),
        profile=versions.text("model_id") if versions else None,
    )
    observations, unread = observe(uplink, codec_of)
    key = None if uplink.simulated else _key(message.key("session_key_id"), uplink)
    return Understood(FAMILY, NAME, application, observations, key, unread=unread)


def _key(session: str | None, uplink: Uplink) -> str | None:
    """Give session and counter, which no other uplink of the device shares; without a session, its time."""
    scope = session or (uplink.at and uplink.at.isoformat())
    return f"{uplink.device}:{scope}:{uplink.seq}" if scope else None


SAMPLES: tuple[Sample, ...] = samples(NAME)
