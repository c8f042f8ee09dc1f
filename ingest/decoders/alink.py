"""Alibaba Alink (IoT Platform): properties and events a device posts, and the platform's notices of them.

Source: help.aliyun.com, 89301 (device properties) and 145549 (message forwarding). A value is bare, or an object of
`value` and `time` in milliseconds: the device's own clock when it posts, the platform's in a notice. Identity is
{productKey}/{deviceName}, for a name is unique only in its product; family `alink`; the product is the gateway.
"""

import json
import re
from datetime import UTC, datetime
from typing import Any

from ingest.decoders.fields import Fields, epoch_ms, identity, parse_object
from ingest.decoders.flat_fields import ProfileOf, Told, not_declared
from ingest.decoders.model import Clock, Measured, Moment, Sample, Undecodable, Understood
from ingest.decoders.nbiot import read_told

NAME = "alink-json/1"
FAMILY = "alink"
TOPIC_FILTERS = ("/sys/+/+/thing/event/+/post", "thing/notify/+/+/property")

_POST = re.compile(r"/sys/([^/]+)/([^/]+)/thing/event/([^/]+)/post")
_NOTICE = re.compile(r"/?thing/notify/([^/]+)/([^/]+)/property")


def decode(topic: str, payload: bytes, profile_of: ProfileOf = not_declared) -> Understood:
    """Decode a post or a notice; raises Undecodable on any other topic and on content that is not declared."""
    post, notice = _POST.fullmatch(topic), _NOTICE.fullmatch(topic)
    match = post or notice
    if match is None:
        raise Undecodable("topic", "is not /sys/{product}/{device}/thing/event/{event}/post or thing/notify/...")
    product = identity(match[1], "topic")
    device = identity(f"{match[1]}/{match[2]}", "topic")
    body = parse_object(payload)
    told, unread = _told(body, post[3] if post else None)
    found, more = read_told(product, device, told, profile_of)
    return Understood(FAMILY, NAME, product, found, unread=(*unread, *more))


def _told(body: Fields, posted: str | None) -> tuple[dict[str, Told], tuple[str, ...]]:
    """Give every field with its moment, and the names of times that tell none."""
    clock = Clock.METER if posted else Clock.GATEWAY
    fields = body.needed("params") if posted else body
    common: object = None
    if posted not in (None, "property"):
        common, fields = fields.body.get("time"), fields.needed("value")
    told: dict[str, Told] = {}
    unread: list[str] = []
    for name, given in fields.body.items():
        value, time = (given.get("value"), given.get("time")) if isinstance(given, dict) else (given, common)
        at = epoch_ms(time)
        if at is None and time is not None:
            unread.append(f"{fields.name(name)}.time")
        told[name] = Told(fields.name(name), value, Moment(clock, at) if at else Moment(Clock.ARRIVAL))
    return told, tuple(unread)


def _post(params: dict[str, Any]) -> bytes:
    return json.dumps(
        {"id": "123", "version": "1.0", "sys": {"ack": 0}, "params": params, "method": "thing.event.property.post"}
    ).encode()


_SAMPLE_AT = datetime(2018, 4, 23, 1, 58, 42, tzinfo=UTC)

SAMPLES: tuple[Sample, ...] = (
    Sample(
        "/sys/a1Mtx4pAbCd/meter-7/thing/event/property/post",
        _post(
            {
                "cumulative_m3": {"value": 23.6, "time": 1524448722000},
                "battery_v": 3.6,
                "Power": {"value": "on", "time": 1524448722000},
            }
        ),
        Understood(
            FAMILY,
            NAME,
            "a1Mtx4pAbCd",
            (
                Measured("a1Mtx4pAbCd/meter-7", Moment(Clock.METER, _SAMPLE_AT), index_ml=23_600_000),
                Measured("a1Mtx4pAbCd/meter-7", Moment(Clock.ARRIVAL), battery_mv=3600),
            ),
            unread=("params.Power",),
        ),
        "the documented property post of Alibaba Cloud, its measured fields replaced by a gas meter's",
    ),
)
