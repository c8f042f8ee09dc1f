"""China Mobile OneNET, data points of the NB-IoT rule engine as bridged to MQTT.

Source: OneNET documentation, NB-IoT rule engine, data format. `body` is an object of fields, or a single number or
text, which is then a field named after the `datastream`. `dataTimestamp` is documented as milliseconds, yet the
documented example has 14 digits: such a number tells no time here. Identity is `deviceId`, family `onenet`; the
product is the gateway.
"""

import json
from datetime import UTC, datetime

from ingest.decoders.fields import epoch_ms, parse_object
from ingest.decoders.flat_fields import ProfileOf, not_declared
from ingest.decoders.model import Asserted, Clock, Measured, Moment, Sample, Understood
from ingest.decoders.nbiot import platform_moment, read_fields

NAME = "onenet-nbiot/1"
FAMILY = "onenet"
TOPIC_FILTERS = ("onenet/#",)  # the platform pushes by HTTP and message queue: the topic is the bridge's


def decode(topic: str, payload: bytes, profile_of: ProfileOf = not_declared) -> Understood:  # noqa: ARG001  (any topic)
    """Decode a data point; raises Undecodable on other message types and on content that is not declared."""
    body = parse_object(payload)
    system, application = body.needed("sysProperty"), body.needed("appProperty")
    if system.needed_text("messageType") != "deviceDatapoint":
        raise system.refuse("messageType", "is not deviceDatapoint")
    product, device = system.identity("productId"), application.identity("deviceId")
    at = epoch_ms(application.body.get("dataTimestamp"))
    value = body.body.get("body")
    if value is None:
        raise body.refuse("body", "is missing")
    fields = value if isinstance(value, dict) else {application.needed_text("datastream"): value}
    found, unread = read_fields(product, device, fields, "body", platform_moment(at), profile_of)
    if at is None and application.body.get("dataTimestamp") is not None:
        unread = (*unread, application.name("dataTimestamp"))
    return Understood(FAMILY, NAME, product, found, unread=unread)


_SOURCE = "envelope of the OneNET documentation, gas detector fields as seen on CTWing; put together"
_SAMPLE_AT = Moment(Clock.GATEWAY, datetime(2020, 8, 22, 11, 12, 22, 900_000, UTC))

SAMPLES: tuple[Sample, ...] = (
    Sample(
        "onenet/push",
        json.dumps(
            {
                "sysProperty": {"messageType": "deviceDatapoint", "productId": "90273"},
                "appProperty": {"deviceId": "102839", "dataTimestamp": 1598094742900, "datastream": "alarm"},
                "body": {"gas_sensor_state": 2, "battery_voltage": 3.58, "gas_value": 12},
            }
        ).encode(),
        Understood(
            FAMILY,
            NAME,
            "90273",
            (
                Measured("102839", _SAMPLE_AT, battery_mv=3580),
                Asserted("102839", _SAMPLE_AT, "leak_alarm", "raised", level=2),
            ),
            unread=("body.gas_value",),
        ),
        _SOURCE,
    ),
    Sample(
        "onenet/push",
        json.dumps(
            {
                "sysProperty": {"messageType": "deviceDatapoint", "productId": "90273"},
                "appProperty": {"deviceId": "102839", "dataTimestamp": 15980987429000, "datastream": "cumulative_m3"},
                "body": 1234.567,
            }
        ).encode(),
        Understood(
            FAMILY,
            NAME,
            "90273",
            (Measured("102839", Moment(Clock.ARRIVAL), index_ml=1_234_567_000),),
            unread=("appProperty.dataTimestamp",),
        ),
        _SOURCE,
    ),
)
