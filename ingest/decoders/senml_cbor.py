"""SenML packs in CBOR (RFC 8428 section 6), media type application/senml+cbor: integers for the labels."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from io import BytesIO
from typing import Any

import cbor2

from ingest.decoders import senml
from ingest.decoders.jsontext import BYTES_MAX
from ingest.decoders.model import Clock, Measured, Moment, Sample, Undecodable, Understood
from ingest.decoders.quantities import exact

NAME = "senml-cbor/1"
FAMILY = senml.FAMILY
TOPIC_FILTERS = ("senml/cbor/#",)
_LABELS = {
    -1: "bver", -2: "bn", -3: "bt", -4: "bu", -5: "bv", -6: "bs",
    0: "n", 1: "u", 2: "v", 3: "vs", 4: "vb", 5: "s", 6: "t", 7: "ut", 8: "vd",
}  # fmt: skip
_DEPTH_MAX = 16


def decode(topic: str, payload: bytes) -> Understood:  # noqa: ARG001 - a pack says all of itself
    """What a pack says; raises Undecodable naming record and rule."""
    return senml.understand_pack(read_pack(payload), NAME)


def read_pack(payload: bytes) -> Any:
    """The pack with labels as in JSON and numbers as int or Decimal; Undecodable when it is not one CBOR item."""
    if len(payload) > BYTES_MAX:
        raise Undecodable("payload", f"at most {BYTES_MAX} bytes, not {len(payload)}")
    stream = BytesIO(payload)
    decoder = cbor2.CBORDecoder(stream, allow_duplicate_keys=False, max_depth=_DEPTH_MAX, read_size=1)
    try:
        item = decoder.decode()
    except Exception as error:  # a tag's own decoder may raise anything: whatever it is, this is no pack
        raise Undecodable("payload", f"must be one CBOR item: {str(error)[:120]}") from error
    if stream.tell() != len(payload):
        raise Undecodable("payload", "must end after one CBOR item")
    return (
        [_named(record) if isinstance(record, Mapping) else record for record in item]
        if isinstance(item, list)
        else item
    )


def _named(record: Mapping[Any, Any]) -> dict[Any, Any]:
    """A record with its labels as in JSON; a label in both forms is refused, an unknown integer passed over."""
    found: dict[Any, Any] = {}
    for label, value in record.items():
        whole = isinstance(label, int) and not isinstance(label, bool)
        name = _LABELS.get(label, label) if whole else label
        if name in found:
            raise Undecodable(str(name)[:40], "must stand once in a record")
        if name == "vd" and isinstance(value, bytes):
            found[name] = value.hex()
        else:
            found[name] = _decimal(str(name)[:40], value) if isinstance(value, float) else value
    return found


def _decimal(label: str, value: float) -> Decimal:
    number = exact(value)
    if not number.is_finite():
        raise Undecodable(label, "must be a finite number")
    return number


_EX3 = (
    "87a721781b75726e3a6465763a6f773a3130653230373361303130383030363a22fb41d303a15b00106223614120050067766f6c746167650161"
    "5602fb405e066666666666a3006763757272656e74062402fb3ff3333333333333a3006763757272656e74062302fb3ff4cccccccccccda300"
    "6763757272656e74062202fb3ff6666666666666a3006763757272656e74062102f93e00a3006763757272656e74062002fb3ff999999999999a"
    "a3006763757272656e74060002fb3ffb333333333333"
)
_DEVICE = "urn:dev:ow:10e2073a0108006"

# A base name M-7/ and time; volume 4([-3, 6842784]) m3, a decimal fraction; flow 0.0001 m3/s, a float.
_METER = (
    "82a521644d2d372f221a6aff8d800066766f6c756d65"
    "01626d3302c482221a006869a0a30064666c6f7701646d332f7302fb3f1a36e2eb1c432d"
)
_METER_SAYS = Measured(
    "M-7",
    Moment(Clock.GATEWAY, datetime(2026, 11, 20, tzinfo=UTC)),
    register="volume",
    index_ml=6_842_784_000,
    flow_lh=360.0,
)

SAMPLES: tuple[Sample, ...] = (
    Sample(
        "senml/cbor/pack",
        bytes.fromhex(_EX3),
        Understood(FAMILY, NAME, None, (), unread=(f"{_DEVICE}:voltage (V)", *(f"{_DEVICE}:current (A)",) * 6)),
        "RFC 8428, section 6 (core-wg/senml-spec); code components of RFCs: Revised BSD",
    ),
    Sample(
        "senml/cbor/pack",
        bytes.fromhex(_METER),
        Understood(FAMILY, NAME, None, (_METER_SAYS,)),
        "written for this project after RFC 8428",
    ),
)
