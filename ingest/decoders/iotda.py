"""Huawei Cloud IoTDA notifications, as bridged to MQTT: property reports, device states, and the older form.

Source: support.huaweicloud.com, api-iothub (property report and device state push) and api-IoT (deviceDataChanged). The
documentation's tables put `body` inside `notify_data`, its examples outside: both are read. Times are basic ISO 8601
(20151212T121212Z). Identity is `device_id`, family `iotda`; the gateway is the device's gateway when it has one of its
own, else its product.
"""

import json
from datetime import UTC, datetime

from ingest.decoders.fields import Fields, parse_object, shown
from ingest.decoders.flat_fields import ProfileOf, not_declared
from ingest.decoders.model import Clock, Liveness, Measured, Moment, Observation, Sample, Undecodable, Understood
from ingest.decoders.nbiot import platform_moment, read_fields

NAME = "huawei-iotda/5"
FAMILY = "iotda"
TOPIC_FILTERS = ("iotda/#",)  # the platform pushes by HTTP, AMQP and queue: the topic is the bridge's

_STATES = {"ONLINE": "online", "OFFLINE": "offline", "ABNORMAL": "offline"}
_OLDER = ("deviceDataChanged", "deviceDatasChanged")


def decode(topic: str, payload: bytes, profile_of: ProfileOf = not_declared) -> Understood:  # noqa: ARG001  (any topic)
    """Decode a notification; raises Undecodable on other resources and on content that is not declared."""
    message = parse_object(payload)
    if message.body.get("notifyType") is not None:
        return _older(message, profile_of)
    notified = message.needed("notify_data")
    body = notified.inner("body") or message.needed("body")
    header = notified.needed("header")
    device, product = header.identity("device_id"), header.identity("product_id")
    relay = header.text("gateway_id")
    gateway = header.identity("gateway_id") if relay and relay != device else product
    resource = message.needed_text("resource")
    at = message.instant("event_time_ms") or message.instant("event_time")
    if resource == "device.status":
        found, unread = _status(body, device, gateway, at)
    elif resource == "device.property":
        found, unread = _services(body, product, device, at, ("properties", "event_time"), profile_of)
    else:
        raise message.refuse("resource", f"{shown(resource)} is neither device.property nor device.status")
    return Understood(FAMILY, NAME, gateway, found, message.key("request_id"), unread=unread)


def _older(message: Fields, profile_of: ProfileOf) -> Understood:
    if message.text("notifyType") not in _OLDER:
        raise message.refuse("notifyType", "is neither deviceDataChanged nor deviceDatasChanged")
    device = message.identity("deviceId")
    relay = message.text("gatewayId")
    product = message.text("productId") or "deviceDataChanged"
    one = message.inner("service")
    body = Fields({"services": [one.body]} if one else message.body, message.path)
    found, unread = _services(body, product, device, None, ("data", "eventTime"), profile_of)
    gateway = message.identity("gatewayId") if relay and relay != device else None
    return Understood(FAMILY, NAME, gateway, found, message.key("requestId"), unread=unread)


def _status(
    body: Fields, device: str, gateway: str, at: datetime | None
) -> tuple[tuple[Observation, ...], tuple[str, ...]]:
    """Say whether the device is there. A state such as INACTIVE or FROZEN tells of its account, not of itself."""
    state = body.needed_text("status")
    if state not in _STATES:
        raise body.refuse("status", f"{shown(state)} is none of {', '.join(_STATES)}")
    moment = platform_moment(body.instant("status_update_time") or at)
    cause = None if state in ("ONLINE", "OFFLINE") else state.lower()
    return (Liveness(gateway, device, _STATES[state], None, moment, cause=cause),), ()


def _services(
    body: Fields, product: str, device: str, at: datetime | None, keys: tuple[str, str], profile_of: ProfileOf
) -> tuple[tuple[Observation, ...], tuple[str, ...]]:
    """Read each service at its own moment; one that is not declared is unread, unless none is declared."""
    found: list[Observation] = []
    unread: list[str] = []
    refused: Undecodable | None = None
    for service in body.objects("services"):
        fields = service.needed(keys[0])
        moment = platform_moment(service.instant(keys[1]) or at)
        try:
            more, names = read_fields(product, device, fields.body, fields.path, moment, profile_of)
        except Undecodable as error:
            if error.field != "product":
                raise
            refused = refused or error
            unread.append(fields.path)
            continue
        found += more
        unread += names
    if not found:
        raise refused or body.refuse("services", "is missing or empty")
    return tuple(found), tuple(unread)


_SAMPLE_DEVICE = "d4922d8a-6c8e-4396-852c-164aefa6638f"
_SAMPLE_AT = datetime(2015, 12, 12, 12, 12, 12, tzinfo=UTC)
_SAMPLE_HEAD = {
    "device_id": _SAMPLE_DEVICE,
    "product_id": "ABC123456789",
    "app_id": _SAMPLE_DEVICE,
    "gateway_id": _SAMPLE_DEVICE,
    "node_id": "ABC123456789",
}
_SAMPLE_TIMES = {
    "event_time": "20151212T121212Z",
    "event_time_ms": "2015-12-12T12:12:12.000Z",
    "request_id": "3fe58d5e-8697-4849-a165-7db128f7e776",
}

SAMPLES: tuple[Sample, ...] = (
    Sample(
        "iotda/push",
        json.dumps(
            {
                "resource": "device.property",
                "event": "report",
                **_SAMPLE_TIMES,
                "notify_data": {
                    "header": _SAMPLE_HEAD,
                    "body": {
                        "services": [
                            {
                                "service_id": "GasMeter",
                                "properties": {"cumulative_m3": 1234.56, "valve": 1, "battery_v": 3.61},
                                "event_time": "20151212T121212Z",
                            }
                        ]
                    },
                },
            }
        ).encode(),
        Understood(
            FAMILY,
            NAME,
            "ABC123456789",
            (Measured(_SAMPLE_DEVICE, Moment(Clock.GATEWAY, _SAMPLE_AT), index_ml=1_234_560_000, battery_mv=3610),),
            "3fe58d5e-8697-4849-a165-7db128f7e776",
            unread=("notify_data.body.services[0].properties.valve",),
        ),
        "assembled from the field tables of Huawei's documentation of the property report",
    ),
    Sample(
        "iotda/push",
        json.dumps(
            {
                "resource": "device.status",
                "event": "update",
                **_SAMPLE_TIMES,
                "notify_data": {"header": _SAMPLE_HEAD},
                "body": {
                    "last_online_time": "20151212T121212Z",
                    "status": "ONLINE",
                    "status_update_time": "2015-12-12T12:12:12.815Z",
                },
            }
        ).encode(),
        Understood(
            FAMILY,
            NAME,
            "ABC123456789",
            (
                Liveness(
                    "ABC123456789",
                    _SAMPLE_DEVICE,
                    "online",
                    None,
                    Moment(Clock.GATEWAY, _SAMPLE_AT.replace(microsecond=815_000)),
                ),
            ),
            "3fe58d5e-8697-4849-a165-7db128f7e776",
        ),
        "Huawei's documentation of the device state push, verbatim but for its tags",
    ),
)
