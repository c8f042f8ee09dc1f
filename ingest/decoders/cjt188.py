"""CJ/T 188, the Chinese utility meters' frame: 68 T address C L data CS 16, as bytes or as hexadecimal text.

Source: the layout two public implementations agree on (ng-gateway, Apache-2.0; python_cjt188, BSD) and the
standard's unit codes as they give them. Read are answers (C 81) with the current and settlement volume, identifier
901F, which the 2004 edition's meters send as 90 1F and the 2018 edition's as 1F 90. Frames may be preceded by FE
bytes and follow one another. The meter's clock has no zone; all zero means it was never set. The status word stays
unread: public implementations disagree on its bits.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from ingest.decoders.fields import identity
from ingest.decoders.model import Clock, Measured, Moment, Sample, Undecodable, Understood

NAME = "cjt188/1"
FAMILY = "cjt188"
TOPIC_FILTERS = ("cjt188/+/up",)  # the standard names no topic: this one is ours, {gateway} in the middle

GAS_TYPES = range(0x30, 0x3A)
UNITS_ML = {0x29: Decimal(1_000), 0x2C: Decimal(1_000_000)}  # litre, cubic metre
_PREAMBLE, _START, _END = 0xFE, 0x68, 0x16
_ANSWER, _ABNORMAL = 0x81, 0x40
_VOLUMES = (b"\x90\x1f", b"\x1f\x90")
_VOLUMES_BYTES = 22
_FRAME_BYTES = 13  # without data
FRAMES_MAX = 64
_HEX = re.compile(rb"[0-9A-Fa-f\s]+")
_TOPIC = re.compile(r"cjt188/([^/]+)/up")


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame whose length and checksum are right. `address` is 14 digits, as printed on the meter."""

    meter_type: int
    address: str
    control: int
    data: bytes


def read_frames(data: bytes) -> tuple[Frame, ...]:
    """Split bytes into frames; raises Undecodable unless they are frames and FE preambles and nothing else."""
    frames = tuple(_frames(data))
    if not frames:
        raise Undecodable("frame", "no frame: nothing but preamble")
    return frames


def _frames(data: bytes) -> Iterator[Frame]:
    at = _skip_preamble(data, 0)
    while at < len(data):
        frame = data[at : at + 11]
        if len(frame) < 11:
            raise Undecodable(f"frame[{at}]", "cut off")
        if frame[0] != _START:
            raise Undecodable(f"frame[{at}]", "a frame starts with 68")
        end = at + _FRAME_BYTES + frame[10]
        if end > len(data):
            raise Undecodable(f"frame[{at + 10}]", f"a frame of {end - at} bytes, {len(data) - at} are left: cut off")
        if data[end - 1] != _END:
            raise Undecodable(f"frame[{end - 1}]", "a frame ends with 16")
        if sum(data[at : end - 2]) & 0xFF != data[end - 2]:
            raise Undecodable(f"frame[{end - 2}]", "the checksum is wrong")
        yield Frame(frame[1], frame[2:9][::-1].hex().upper(), frame[9], data[at + 11 : end - 2])
        at = _skip_preamble(data, end)


def _skip_preamble(data: bytes, at: int) -> int:
    while at < len(data) and data[at] == _PREAMBLE:
        at += 1
    return at


def looks_framed(data: bytes) -> bool:
    """Tell bytes that are frames from anything else: structure and checksum must be right."""
    try:
        return bool(read_frames(data))
    except Undecodable:
        return False


def read_gas(frame: Frame, device: str, otherwise: Moment) -> tuple[Measured, tuple[str, ...]]:
    """Read the volume of a gas meter's answer, and name what was not understood.

    The moment is the meter's clock, or `otherwise` when that was never set or shows no date. The settlement volume
    stays unread: the frame does not say of which day it is. Raises Undecodable on any other frame.
    """
    if frame.meter_type not in GAS_TYPES:
        raise Undecodable("frame.T", f"meter type {frame.meter_type:02X} is not gas (30 to 39)")
    if set(frame.address) == {"A"}:
        raise Undecodable("frame.address", "the address for all meters names none")
    if frame.control != _ANSWER:
        kind = "an abnormal answer" if frame.control & _ABNORMAL else "no answer to a reading"
        raise Undecodable("frame.C", f"control {frame.control:02X} is {kind} (81)")
    data = frame.data
    if data[:2] not in _VOLUMES or len(data) != _VOLUMES_BYTES:
        raise Undecodable("frame.DI", "identifier is not 901F with 22 bytes")
    clock = _clock(data[13:20])
    moment = otherwise if clock is None else Moment(Clock.METER, clock)
    unread = ["settlement_volume", "status"]
    if clock is None and any(data[13:20]):
        unread.append("clock")
    index_ml = _volume_ml(data[3:7], data[7], "frame.volume")
    return Measured(device, moment, register="901F", index_ml=index_ml), tuple(unread)


def _bcd(data: bytes, field: str) -> int:
    """Read binary coded decimal, low byte first."""
    digits = data[::-1].hex()
    if not digits.isdecimal():
        raise Undecodable(field, f"{digits} is not decimal")
    return int(digits)


def _volume_ml(data: bytes, unit: int, field: str) -> int:
    """Four bytes with two decimals, in the unit of the code that follows them."""
    if unit not in UNITS_ML:
        raise Undecodable(f"{field}.unit", f"code {unit:02X} is neither litre (29) nor cubic metre (2C)")
    return int(_bcd(data, field) * UNITS_ML[unit] / 100)


def _clock(data: bytes) -> datetime | None:
    """Read seconds, minutes, hours, day, month, year, century; None when unset, no date, or before 2000."""
    try:
        second, minute, hour, day, month, year, century = (_bcd(data[i : i + 1], "clock") for i in range(7))
        if century < 20:
            return None
        return datetime(century * 100 + year, month, day, hour, minute, second)  # noqa: DTZ001  (the zone is the site's)
    except (Undecodable, ValueError):
        return None


def as_frame_bytes(payload: bytes) -> bytes:
    """Give frame bytes of a payload: as they are, or written as hexadecimal text with or without blanks."""
    if payload and _HEX.fullmatch(payload):
        try:
            return bytes.fromhex(payload.decode("ascii"))
        except ValueError:
            raise Undecodable("payload", "hexadecimal text with half a byte") from None
    return payload


def decode(topic: str, payload: bytes) -> Understood:
    """Decode frames passed on as they are; the meter's address is the device. Raises Undecodable on anything else."""
    match = _TOPIC.fullmatch(topic)
    if match is None:
        raise Undecodable("topic", "is not cjt188/{gateway}/up")
    frames = read_frames(as_frame_bytes(payload))
    if len(frames) > FRAMES_MAX:
        raise Undecodable("payload", f"{len(frames)} frames in a message, at most {FRAMES_MAX}")
    read = [read_gas(frame, frame.address, Moment(Clock.ARRIVAL)) for frame in frames]
    unread = tuple(dict.fromkeys(name for _, names in read for name in names))
    return Understood(FAMILY, NAME, identity(match[1], "topic"), tuple(one for one, _ in read), unread=unread)


_SAMPLE_SOURCE = "constructed on the layout of ng-gateway (Apache-2.0)"
_SAMPLE_FRAME = bytes.fromhex("68307856341200000081161F9000563412002C000012002C0030080105242000007A16")

SAMPLES: tuple[Sample, ...] = (
    Sample(
        "cjt188/DTU-17/up",
        _SAMPLE_FRAME,
        Understood(
            FAMILY,
            NAME,
            "DTU-17",
            (
                Measured(
                    "00000012345678",
                    Moment(Clock.METER, datetime(2024, 5, 1, 8, 30)),  # noqa: DTZ001  (the zone is the site's)
                    register="901F",
                    index_ml=1_234_560_000,
                ),
            ),
            unread=("settlement_volume", "status"),
        ),
        _SAMPLE_SOURCE,
    ),
)
