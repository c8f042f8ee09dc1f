"""China Telecom CTWing AEP push messages, as bridged to MQTT: data reports, event reports, and coming and going.

Source: messages of integrations in public repositories, identifiers masked. `payload` has three shapes: base64 in
`APPdata` (a CJ/T 188 frame, or JSON again), `serviceId` with `serviceData`, and flat fields. The platform repeats a
push that was not answered. `timestamp` is the platform's, in milliseconds. Identity is the platform's `deviceId`,
family `ctwing`; the product is the gateway.
"""

from ingest.decoders.ctwing_samples import samples
from ingest.decoders.fields import Fields, epoch_ms, from_base64, parse_object, shown
from ingest.decoders.flat_fields import ProfileOf, not_declared
from ingest.decoders.model import Liveness, Moment, Sample, Understood
from ingest.decoders.nbiot import Content, platform_moment, read_bytes, read_fields

NAME = "ctwing-aep/1"
FAMILY = "ctwing"
TOPIC_FILTERS = ("ctwing/#",)  # the platform pushes by HTTP and message queue: the topic is the bridge's

_ONLINE = {0: "offline", 1: "online"}


def decode(topic: str, payload: bytes, profile_of: ProfileOf = not_declared) -> Understood:  # noqa: ARG001  (any topic)
    """Decode a push message; raises Undecodable on other message types and on content that is not declared."""
    body = parse_object(payload)
    product, device = body.identity("productId"), body.identity("deviceId")
    at = epoch_ms(body.body.get("timestamp"))
    moment = platform_moment(at)
    kind = body.needed_text("messageType")
    observations: Content
    if kind == "dataReport":
        observations = _data(body.needed("payload"), product, device, moment, profile_of)
    elif kind == "eventReport":
        event = body.needed("eventContent")
        observations = read_fields(product, device, event.body, event.path, moment, profile_of)
    elif kind == "deviceOnlineOfflineReport":
        event_type = body.whole("eventType", 0, 1)
        if event_type is None:
            raise body.refuse("eventType", "is missing")
        observations = (Liveness(product, device, _ONLINE[event_type], None, moment),), ()
    else:
        raise body.refuse("messageType", f"{shown(kind)} is none of dataReport, eventReport, deviceOnlineOfflineReport")
    found, unread = observations
    if at is None and body.body.get("timestamp") is not None:
        unread = (*unread, "timestamp")
    return Understood(FAMILY, NAME, product, found, _key(body, device), unread=unread)


def _data(payload: Fields, product: str, device: str, moment: Moment, profile_of: ProfileOf) -> Content:
    data = payload.text("APPdata")
    if data is not None:
        where = payload.name("APPdata")
        return read_bytes(product, device, from_base64(data, where), where, moment, profile_of)
    fields = payload.inner("serviceData") or payload
    return read_fields(product, device, fields.body, fields.path, moment, profile_of)


def _key(body: Fields, device: str) -> str | None:
    """Give the packet number with the moment, when the device's protocol counts packets (-1 and empty: it does not)."""
    number = body.body.get("upPacketSN")
    if not isinstance(number, int) or number < 0 or epoch_ms(body.body.get("timestamp")) is None:
        return None
    return f"{device}:{number}:{body.body.get('upDataSN')}:{body.body['timestamp']}"


SAMPLES: tuple[Sample, ...] = samples(FAMILY, NAME)
