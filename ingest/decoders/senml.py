"""SenML packs (RFC 8428): records with base fields -> resolved records -> observations. The wire forms are beside it.

A pack has no topic of its own. Its times were put by whoever made it, the gateway's clock as far as we can tell.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from ingest.decoders.model import Asserted, Clock, Moment, Undecodable, Understood
from ingest.decoders.quantities import EVENT_WORDS, Noted, Value, gather, split_name, understand

FAMILY = "senml"
VERSION = 10
_RELATIVE_BELOW = 2**28
_BASE = frozenset({"bn", "bt", "bu", "bv", "bs", "bver"})
_VALUES = ("v", "vs", "vb", "vd")
_TEXTS = ("bn", "bu", "n", "u", "vs", "vd")
_NUMBERS = ("bt", "bv", "bs", "v", "s", "t", "ut")
_EXPONENT_MAX = 60
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Record:
    """A resolved record (RFC 8428 section 4.6), but for relative times, which are kept: nothing here knows now.

    `time_s` is seconds since 1970 when it is 2^28 or more, else seconds from now. `value` is a number, a text, a truth
    value, or None when the record has only a sum; data values are not read.
    """

    name: str
    unit: str | None
    time_s: Decimal | int
    value: Decimal | int | str | bool | None = None
    sum: Decimal | int | None = None


def resolve(pack: Any) -> tuple[Record, ...]:
    """The records of a pack with its base fields applied; raises Undecodable naming record and rule of RFC 8428."""
    if not isinstance(pack, list) or not pack:
        raise Undecodable("pack", "must be an array of at least one record")
    base: dict[str, Any] = {}
    versions: set[int] = set()
    found = []
    for number, record in enumerate(pack):
        where = f"record {number}"
        if not isinstance(record, Mapping):
            raise Undecodable(where, "must be an object")
        _check_labels(where, record)
        versions |= {record["bver"]} if "bver" in record else set()
        base |= {key: record[key] for key in _BASE & record.keys()}
        if record.keys() - _BASE:
            found.append(_resolved(where, base, record))
    if len(versions) > 1 or max(versions, default=0) > VERSION:
        raise Undecodable("bver", f"must be the same in all records and at most {VERSION}")
    return tuple(found)


def _check_labels(where: str, record: Mapping[Any, Any]) -> None:
    """Types of the labels we know; unknown ones are passed over, unless they must be understood."""
    for key, value in record.items():
        if isinstance(key, str) and key.endswith("_"):
            raise Undecodable(f"{where}.{key}", "must be understood, and is not known")
        if key in _TEXTS and not isinstance(value, str):
            raise Undecodable(f"{where}.{key}", "must be text")
        if key in _NUMBERS and (isinstance(value, bool) or not isinstance(value, (int, Decimal))):
            raise Undecodable(f"{where}.{key}", "must be a number")
        if key in _NUMBERS and not _is_near(value):
            raise Undecodable(f"{where}.{key}", f"must be between 1e-{_EXPONENT_MAX} and 1e{_EXPONENT_MAX}")
    if not isinstance(record.get("vb", False), bool):
        raise Undecodable(f"{where}.vb", "must be true or false")
    version = record.get("bver", VERSION)
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise Undecodable(f"{where}.bver", "must be a whole number above 0")


def _is_near(value: int | Decimal) -> bool:
    """Whether arithmetic on a number is cheap and exact enough; no clock or meter needs more."""
    if isinstance(value, int):
        return value.bit_length() < 200
    return abs(value.adjusted()) <= _EXPONENT_MAX


def _resolved(where: str, base: Mapping[str, Any], record: Mapping[str, Any]) -> Record:
    values = [key for key in _VALUES if key in record]
    total = record["s"] + base.get("bs", 0) if "s" in record else None
    if len(values) > 1 or not (values or "s" in record):
        raise Undecodable(where, "must have exactly one value, or a sum")
    name = base.get("bn", "") + record.get("n", "")
    if not name or not name.isprintable():
        raise Undecodable(f"{where}.n", "base name and name together must be printable text")
    value = record[values[0]] if values else None
    if "v" in record:
        value = record["v"] + base.get("bv", 0)
    time_s = base.get("bt", 0) + record.get("t", 0)
    return Record(name, record.get("u", base.get("bu")), time_s, None if values == ["vd"] else value, total)


def understand_pack(pack: Any, decoder: str) -> Understood:
    """What a pack says of our devices; raises Undecodable. Records we have no field for are named in `unread`."""
    noted: list[Noted] = []
    unread: list[str] = []
    for record in resolve(pack):
        moment = _moment(record)
        device, word = split_name(record.name)
        value = _value(device, word, moment, record)
        if value is None:
            unread.append(f"{record.name} ({record.unit or 'no unit'})"[:200])
        else:
            noted.append(Noted(device, moment, value, register=word))
    return Understood(FAMILY, decoder, None, gather(noted), unread=tuple(unread))


def _moment(record: Record) -> Moment:
    try:
        time_s = Decimal(record.time_s)
        if abs(time_s) < _RELATIVE_BELOW:
            return Moment(Clock.ARRIVAL, offset_s=float(time_s))
        if time_s < 0:
            raise Undecodable(f"{record.name[:100]}.t", "must be a moment since 1970, or within 2^28 seconds of now")
        return Moment(Clock.GATEWAY, _EPOCH + timedelta(microseconds=int((time_s * 1_000_000).to_integral_value())))
    except (OverflowError, ArithmeticError) as error:
        raise Undecodable(f"{record.name[:100]}.t", "must be a moment of the calendar") from error


def _value(device: str, word: str | None, moment: Moment, record: Record) -> Value | Asserted | None:
    """A number by its unit, the sum of a flow as its volume, an event word with a truth value, a valve's position."""
    key = word.lower() if word else None
    if isinstance(record.value, bool):
        state = "raised" if record.value else "cleared"
        return Asserted(device, moment, key, state) if key is not None and key in EVENT_WORDS else None
    if isinstance(record.value, str):
        position = record.value.lower()
        return (
            Asserted(device, moment, "valve", position) if key == "valve" and position in {"open", "closed"} else None
        )
    if record.value is not None:
        return understand(word, record.unit, record.value)
    # the sum of m3/s over time is m3 (RFC 8428 section 4.2: the sum's unit is the value's unit times seconds)
    if record.sum is not None and record.unit == "m3/s":
        return understand(None, "m3", record.sum)
    return None


def senml_records(records: Iterable[Record], now_s: Decimal | int) -> list[dict[str, Any]]:
    """Records in the resolved JSON form of RFC 8428, for a reader whose clock shows `now_s`."""
    found = []
    for record in records:
        time_s = record.time_s if abs(Decimal(record.time_s)) >= _RELATIVE_BELOW else now_s + record.time_s
        parts = {"n": record.name, "u": record.unit, "t": time_s, "v": record.value, "s": record.sum}
        found.append({key: value for key, value in parts.items() if value is not None})
    return found
