"""The Sparkplug B payload on the wire: protocol buffers -> plain records, and back for what a host sends.

The message classes are built here from the field numbers of the Sparkplug 3.0 payload (section 6), as far as we read
them; other fields are passed over, as protocol buffers mean it. A metric's type is *not* needed to read it: data
messages leave it out, and the host knows it from the birth.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from ingest.decoders.jsontext import BYTES_MAX
from ingest.decoders.model import Undecodable
from ingest.decoders.quantities import exact

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SCHEMA = {
    "PropertyValue": "1 uint32 type, 2 bool is_null, 3 uint32 int, 4 uint64 long, 5 float float, 6 double double, "
    "7 bool boolean, 8 string string",
    "PropertySet": "1 string* keys, 2 PropertyValue* values",
    "Metric": "1 string name, 2 uint64 alias, 3 uint64 timestamp, 4 uint32 datatype, 5 bool is_historical, "
    "7 bool is_null, 9 PropertySet properties, 10 uint32 int, 11 uint64 long, 12 float float, 13 double double, "
    "14 bool boolean, 15 string string, 16 bytes bytes, 17 bytes dataset, 18 bytes template",
    "Payload": "1 uint64 timestamp, 2 Metric* metrics, 3 uint64 seq",
}
_ONE_OF = frozenset({"int", "long", "float", "double", "boolean", "string", "bytes", "dataset", "template"})

BOOLEAN = 11
_SIGNED_BITS = {1: 8, 2: 16, 3: 32, 4: 64}
_UNSIGNED_BITS = {5: 8, 6: 16, 7: 32, 8: 64}
_FLOATS = frozenset({9, 10})
_TEXTS = frozenset({12, 14, 15})


def _payload_class() -> Any:
    """The class of the outermost message, in a pool of its own so that nobody else's schema can clash with it."""
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="sparkplug.proto", package="sparkplug", syntax="proto2")
    for name, fields in _SCHEMA.items():
        message = file.message_type.add(name=name)
        choices = [part for part in fields.split(", ") if part.split()[2] in _ONE_OF]
        if choices:
            message.oneof_decl.add(name="value")
        for part in fields.split(", "):
            number, kind, label = part.split()
            entry = message.field.add(name=label, number=int(number))
            entry.label = kinds.LABEL_REPEATED if kind.endswith("*") else kinds.LABEL_OPTIONAL
            scalar = kind.rstrip("*")
            if scalar in _SCHEMA:
                entry.type, entry.type_name = kinds.TYPE_MESSAGE, f".sparkplug.{scalar}"
            else:
                entry.type = kinds.Type.Value(f"TYPE_{scalar.upper()}")
            if part in choices:
                entry.oneof_index = 0
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("sparkplug.Payload"))


_Payload = _payload_class()


@dataclass(frozen=True, slots=True)
class WireMetric:
    """One metric as sent. `kind` says which of the value fields it came in; None when it has no value."""

    name: str | None
    alias: int | None
    at: datetime | None
    datatype: int | None
    historical: bool
    null: bool
    kind: str | None
    raw: Any
    properties: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WirePayload:
    """One payload as sent: when, its sequence number, its metrics in order."""

    at: datetime | None
    seq: int | None
    metrics: tuple[WireMetric, ...]


def read_payload(payload: bytes) -> WirePayload:
    """A payload's records; raises Undecodable naming field and rule."""
    if len(payload) > BYTES_MAX:
        raise Undecodable("payload", f"at most {BYTES_MAX} bytes, not {len(payload)}")
    try:
        message = _Payload.FromString(payload)
        metrics = tuple(_metric(one) for one in message.metrics)
    except (DecodeError, UnicodeDecodeError) as error:
        raise Undecodable("payload", "must be a Sparkplug B payload in protocol buffers") from error
    seq = int(message.seq) if message.HasField("seq") else None
    if seq is not None and seq > 255:
        raise Undecodable("seq", "must be between 0 and 255")
    return WirePayload(_at(message), seq, metrics)


def _metric(one: Any) -> WireMetric:
    kind = one.WhichOneof("value")
    return WireMetric(
        name=one.name if one.HasField("name") and one.name else None,
        alias=int(one.alias) if one.HasField("alias") else None,
        at=_at(one),
        datatype=int(one.datatype) if one.HasField("datatype") and one.datatype else None,
        historical=bool(one.is_historical),
        null=bool(one.is_null),
        kind=kind,
        raw=getattr(one, kind) if kind else None,
        properties=_properties(one.properties) if one.HasField("properties") else {},
    )


def _properties(properties: Any) -> dict[str, Any]:
    """Properties by name; a set whose names and values do not pair off says nothing."""
    if len(properties.keys) != len(properties.values):
        return {}
    pairs = zip(properties.keys, properties.values, strict=True)
    return {
        str(key): getattr(value, kind)
        for key, value in pairs
        if not value.is_null and (kind := value.WhichOneof("value"))
    }


def _at(message: Any) -> datetime | None:
    if not message.HasField("timestamp"):
        return None
    try:
        return _EPOCH + timedelta(milliseconds=int(message.timestamp))
    except OverflowError as error:
        raise Undecodable("timestamp", "must be milliseconds since 1970 within the calendar") from error


def value_of(datatype: int | None, kind: str, raw: Any) -> int | Decimal | bool | str | None:
    """A metric's value as its type reads it; None when the bits do not fit the type, or the type is none we read.

    Without a type the value stands as sent, but an integer whose sign cannot be known is not read.
    """
    if kind == "boolean":
        return bool(raw) if datatype in {BOOLEAN, None} else None
    if kind == "string":
        return str(raw) if datatype in _TEXTS or datatype is None else None
    if kind in {"float", "double"}:
        return (
            exact(raw, single=kind == "float")
            if math.isfinite(raw) and (datatype in _FLOATS or datatype is None)
            else None
        )
    if kind in {"int", "long"}:
        return _whole(datatype, int(raw), 32 if kind == "int" else 64)
    return None


def _whole(datatype: int | None, raw: int, sent_bits: int) -> int | None:
    """An integer of its type: signed ones are in two's complement, of their own width or of the field's."""
    if datatype is None:
        return raw if raw < 1 << (sent_bits - 1) else None
    if datatype in _UNSIGNED_BITS:
        return raw if raw < 1 << _UNSIGNED_BITS[datatype] else None
    if datatype not in _SIGNED_BITS:
        return None
    bits = _SIGNED_BITS[datatype]
    if bits > sent_bits:
        return raw if raw < 1 << (sent_bits - 1) else None
    half = 1 << (bits - 1)
    signed_as_sent = raw - (1 << sent_bits) if raw >> (sent_bits - 1) else raw
    if -half <= signed_as_sent < half:
        return signed_as_sent
    return raw - (1 << bits) if raw < 1 << bits else None


def write_command(name: str, value: bool, at: datetime) -> bytes:
    """The payload of a command that writes one boolean metric; commands carry no sequence number."""
    milliseconds = (at - _EPOCH) // timedelta(milliseconds=1)
    message = _Payload(timestamp=milliseconds)
    message.metrics.add(name=name, timestamp=milliseconds, datatype=BOOLEAN, boolean=value)
    return bytes(message.SerializeToString(deterministic=True))
