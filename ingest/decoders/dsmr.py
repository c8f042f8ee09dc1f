"""DSMR P1 gas over MQTT: the gas topics of dsmr-reader (JSON and split), and the P1 telegram as it leaves the port.

dsmr-reader's topics name no meter: the device is the topic's own beginning (`home-17/dsmr` of
`home-17/dsmr/consumption/gas/json`), so every site needs its own. A telegram names its meters: the device is the gas
meter's identifier exactly as sent, and the port's electricity meter is the gateway.

A meter is known by its device type (3 is gas, 7 water), never by its channel; in Belgium gas is register 24.2.3 while
24.2.1 on the next channel is water. Times are local: W is winter time, S summer time; versions 2 and 3 say neither.
Sources: Netbeheer Nederland, DSMR P1 companion standard 5.0.2; Fluvius e-MUCS P1; defaults of dsmr-reader v5.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from ingest.decoders.jsontext import BYTES_MAX, read_object
from ingest.decoders.model import Clock, Measured, Moment, Sample, Undecodable, Understood
from ingest.decoders.quantities import number_of, scale

NAME = "dsmr-p1/1"
FAMILY = "dsmr"
TOPIC_FILTERS = ("dsmr/consumption/gas/#", "dsmr/raw")

_GAS = 3
_ML_PER_M3 = 1_000_000
# 24.2.1 is converted to a standard temperature, 24.2.3 is as measured; version 3 writes 24.2.1 inside 24.3.0.
_REGISTERS: Mapping[str, bool] = {"24.2.1": True, "24.2.3": False}
_LINE = re.compile(r"(?P<medium>\d+)-(?P<channel>\d+):(?P<code>\d+\.\d+\.\d+)(?P<values>(\([^()]*\))+)", re.ASCII)
_END = re.compile(rb"!([0-9A-Fa-f]{1,4})?[ \t]*(?:\r*\n|\r*$)")
_CRC_FROM_VERSION = 40
_CENTURY = 2000
_LAST_YEAR = 69  # 70 is a clock that was never set: 1970


def decode(topic: str, payload: bytes) -> Understood:
    """What a gas topic or a telegram says; raises Undecodable naming field and rule."""
    site, mark, name = topic.rpartition("/consumption/gas/")
    if mark:
        return _of_site(site, name, payload)
    return _of_telegram(payload)


def _of_site(site: str, name: str, payload: bytes) -> Understood:
    """A topic of dsmr-reader: everything in one JSON object, or one field as text."""
    if not site or not site.isprintable():
        raise Undecodable("topic", "must have a beginning that names the site")
    if name == "json":
        body = read_object(payload)
        if "delivered" not in body:
            raise Undecodable("delivered", "must be there: a key renamed by the operator cannot be guessed")
        return _delivered(site, body["delivered"], _capture_moment(body.get("read_at")), _others(body))
    if name not in {"delivered", "currently_delivered", "read_at"}:
        raise Undecodable("topic", "must end in json, delivered, currently_delivered or read_at")
    try:
        text = payload.decode("utf-8").strip()
    except UnicodeDecodeError as error:
        raise Undecodable("payload", "must be UTF-8") from error
    if name == "delivered":
        return _delivered(site, text or None, Moment(Clock.ARRIVAL), ())
    return Understood(FAMILY, NAME, None, (), unread=(_ALONE[name],))


# `currently_delivered` is the volume since the capture before, which is 5 minutes or an hour ago or more: not said.
_ALONE = {
    "currently_delivered": "currently_delivered: of an interval that is not said",
    "read_at": "read_at: a time without its value",
}


def _others(body: Mapping[str, Any]) -> tuple[str, ...]:
    unread = [key[:100] for key in sorted(body.keys() - {"delivered", "read_at", "currently_delivered", "id"})]
    if body.get("currently_delivered") is not None:
        unread.append(_ALONE["currently_delivered"])
    return tuple(unread)


def _delivered(site: str, delivered: Any, moment: Moment, unread: tuple[str, ...]) -> Understood:
    if delivered is None:
        return Understood(FAMILY, NAME, None, (), unread=unread)
    index_ml = int(scale("index_ml", number_of("delivered", delivered), _ML_PER_M3))
    return Understood(FAMILY, NAME, None, (Measured(site, moment, index_ml=index_ml),), unread=unread)


def _capture_moment(text: Any) -> Moment:
    """The meter's capture time, in UTC or with an offset; local when it has neither."""
    if text is None:
        return Moment(Clock.ARRIVAL)
    try:
        at = datetime.fromisoformat(text) if isinstance(text, str) and len(text) >= len("2026-11-20T00:00") else None
        if at is not None:
            return Moment(Clock.METER, at if at.tzinfo is None else at.astimezone(UTC))
    except (ValueError, OverflowError):
        pass
    raise Undecodable("read_at", "must be a moment like 2026-11-20T00:00:00Z")


@dataclass(slots=True)
class _Channel:
    """What a telegram says of one connected meter."""

    kind: int | None = None
    identifier: str = ""
    readings: list[tuple[str, str, str]] = field(default_factory=list)  # register, time, value with its unit


def _of_telegram(payload: bytes) -> Understood:
    """The gas registers of a telegram; meters of other kinds are passed over, dead ones named."""
    text = _whole_telegram(payload)
    gateway: str | None = None
    channels: dict[int, _Channel] = {}
    for channel, code, values in _objects(text):
        if channel == 0:
            gateway = (values[0] or None) if code == "96.1.1" else gateway
        else:
            _enter(channels.setdefault(channel, _Channel()), code, values)
    observations: list[Measured] = []
    unread: list[str] = []
    for number, channel_ in sorted(channels.items()):
        if channel_.kind == _GAS:
            _read_channel(number, channel_, observations, unread)
        elif channel_.kind is None and channel_.readings:
            unread.append(f"0-{number}: a meter whose type is not said")
    return Understood(FAMILY, NAME, gateway, tuple(observations), unread=tuple(unread))


def _whole_telegram(payload: bytes) -> str:
    """The telegram from / to !, when it is whole: its checksum fits, or it is of a version that has none."""
    if len(payload) > BYTES_MAX:
        raise Undecodable("payload", f"at most {BYTES_MAX} bytes, not {len(payload)}")
    start = payload.find(b"/")
    end = re.search(rb"^!", payload, re.MULTILINE)
    if start < 0 or end is None or end.start() < start or payload.find(b"/", end.start()) >= 0:
        raise Undecodable("telegram", "must be one telegram, from / to a line that begins with !")
    tail = _END.match(payload, end.start())
    body = payload[start : end.start() + 1]
    text = body.decode("latin-1")
    if tail is None:
        raise Undecodable("crc", "must be up to four hexadecimal digits")
    if tail[1] is None:
        if _has_checksum(text):
            raise Undecodable("crc", "must be there from version 4 on")
    elif int(tail[1], 16) not in {_crc16(body), _crc16(b"\r\n".join(body.splitlines()))}:
        raise Undecodable("crc", "must fit the telegram")
    return text


def _has_checksum(text: str) -> bool:
    """Whether a telegram is of a version with a checksum: 4 on in the Netherlands, every one in Belgium."""
    if "0-0:96.1.4(" in text or "0-0:1.0.0(" in text:
        return True
    version = re.search(r"1-3:0\.2\.8\((\d+)\)", text, re.ASCII)
    return version is not None and int(version[1]) >= _CRC_FROM_VERSION


def _crc_step(crc: int) -> int:
    for _ in range(8):
        crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
    return crc


_CRC_STEPS = tuple(_crc_step(byte) for byte in range(256))


def _crc16(data: bytes) -> int:
    """CRC-16 of the P1 port: polynomial x16 + x15 + x2 + 1, least significant bit first, from 0."""
    crc = 0
    for byte in data:
        crc = (crc >> 8) ^ _CRC_STEPS[(crc ^ byte) & 0xFF]
    return crc


def _objects(text: str) -> Iterator[tuple[int, str, list[str]]]:
    """Channel, code and values of each line of medium 0; a line that is only values continues the one before."""
    joined = re.sub(r"\r?\n(?=\()", "", text)
    for line in joined.splitlines():
        found = _LINE.fullmatch(line.strip())
        if found and found["medium"] == "0":
            yield int(found["channel"]), found["code"], found["values"][1:-1].split(")(")


def _enter(channel: _Channel, code: str, values: list[str]) -> None:
    if code == "24.1.0" and re.fullmatch(r"\d{1,3}", values[0], re.ASCII):
        channel.kind = int(values[0])
    elif code in {"96.1.0", "96.1.1"}:
        channel.identifier = values[0]
    elif code in _REGISTERS and len(values) == 2:
        channel.readings.append((code, values[0], values[1]))
    elif code == "24.3.0" and len(values) == 7 and (register := values[4].partition(":")[2]) in _REGISTERS:
        # versions 2 and 3: (time)(..)(..)(..)(register)(unit), and the value on the next line
        channel.readings.append((register, values[0], f"{values[6]}*{values[5]}"))


def _read_channel(number: int, channel: _Channel, observations: list[Measured], unread: list[str]) -> None:
    for register, time, text in channel.readings:
        value, _, unit = text.partition("*")
        where = f"0-{number}:{register}"
        moment = _local(time)
        if not unit and not value.strip("0."):
            unread.append(f"{where}: a connection without a meter")
        elif unit != "m3" or not re.fullmatch(r"\d{1,12}(\.\d{1,6})?", value, re.ASCII):
            raise Undecodable(where, "must be cubic metres of gas")
        elif moment is None:
            unread.append(f"{where}: {time[:20]} is no time")
        elif not channel.identifier:
            unread.append(f"{where}: a meter without identifier")
        else:
            index_ml = int(scale("index_ml", Decimal(value), _ML_PER_M3))
            seen = Measured(channel.identifier, moment, register, index_ml=index_ml, converted=_REGISTERS[register])
            observations.append(seen)


def _local(text: str) -> Moment | None:
    """A time of the meter, local, with what it says of summer time; None when it is no time or was never set."""
    found = re.fullmatch(r"(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)([WS])?", text, re.ASCII)
    if found is None or int(found[1]) > _LAST_YEAR:
        return None
    try:
        year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
        at = datetime(_CENTURY + year, month, day, hour, minute, second)  # noqa: DTZ001 - local
    except ValueError:
        return None
    return Moment(Clock.METER, at, summer=None if found[7] is None else found[7] == "S")


_BELGIAN = (
    b"/XXX5\\253000000_A\r\n\r\n0-0:96.1.4(50217)\r\n0-0:96.1.1(3153414733313030303030303031)\r\n0-0:1.0.0(261120001500W)\r\n"
    b"0-1:24.1.0(007)\r\n0-1:96.1.1(3853414731323334353637383930)\r\n0-1:24.2.1(261120001003W)(00872.234*m3)\r\n"
    b"0-2:24.1.0(003)\r\n0-2:96.1.1(37464C4F32313030303030303031)\r\n0-2:24.4.0(1)\r\n"
    b"0-2:24.2.3(261120001001W)(00112.384*m3)\r\n!763C\r\n"
)
_BELGIAN_GAS = Measured(
    "37464C4F32313030303030303031",
    Moment(Clock.METER, datetime(2026, 11, 20, 0, 10, 1), summer=False),  # noqa: DTZ001 - local
    register="24.2.3",
    index_ml=112_384_000,
    converted=False,
)
_READER = "defaults and fixtures of dsmrreader/dsmr-reader v5: field names and values quoted"

SAMPLES: tuple[Sample, ...] = (
    Sample(
        "dsmr/consumption/gas/json",
        b'{"read_at": "2016-12-11T23:00:00Z", "delivered": "956.739", "currently_delivered": "0.509"}',
        Understood(
            FAMILY,
            NAME,
            None,
            (Measured("dsmr", Moment(Clock.METER, datetime(2016, 12, 11, 23, tzinfo=UTC)), index_ml=956_739_000),),
            unread=(_ALONE["currently_delivered"],),
        ),
        _READER,
    ),
    Sample(
        "dsmr/consumption/gas/delivered",
        b"956.739",
        Understood(FAMILY, NAME, None, (Measured("dsmr", Moment(Clock.ARRIVAL), index_ml=956_739_000),)),
        _READER,
    ),
    Sample(
        "dsmr/raw",
        _BELGIAN,
        Understood(FAMILY, NAME, "3153414733313030303030303031", (_BELGIAN_GAS,)),
        "written for this project in the form of a Belgian e-MUCS 1.7 telegram",
    ),
)
