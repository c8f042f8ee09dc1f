"""What devices put into the envelopes of NB-IoT platforms: CJ/T 188 frames, or fields whose meaning is declared.

A text that is a CJ/T 188 frame, in base64 or hexadecimal, is known by its structure and checksum wherever it stands.
Its volume belongs to the platform's device, with the meter's address as the register. All other fields are read by
the product's profile (ingest/decoders/flat_fields.py).
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any

from ingest.decoders import cjt188
from ingest.decoders.fields import from_base64, shown
from ingest.decoders.flat_fields import ProfileOf, Told, observe
from ingest.decoders.jsontext import read_object
from ingest.decoders.model import Clock, Measured, Moment, Observation, Undecodable

Content = tuple[tuple[Observation, ...], tuple[str, ...]]


def platform_moment(at: datetime | None) -> Moment:
    """Give the moment the platform tells; without one only the arrival is known."""
    return Moment(Clock.GATEWAY, at) if at else Moment(Clock.ARRIVAL)


def read_fields(
    product: str, device: str, values: Mapping[str, Any], where: str, moment: Moment, profile_of: ProfileOf
) -> Content:
    """Read the fields of one moment; `where` is their object. Raises Undecodable when nothing is understood."""
    told = {name: Told(f"{where}.{shown(name)}", value, moment) for name, value in values.items()}
    return read_told(product, device, told, profile_of)


def read_told(product: str, device: str, told: Mapping[str, Told], profile_of: ProfileOf) -> Content:
    """Read fields of several moments: frames first, the others by the product's profile."""
    framed: list[Observation] = []
    unread: list[str] = []
    others: dict[str, Told] = {}
    for name, one in told.items():
        data = _frame_bytes(one.value)
        if data is None:
            others[name] = one
            continue
        found, names = _frames(data, device, one.moment)
        framed += found
        unread += names
    try:
        observations, names = observe(product, device, others, profile_of)
    except Undecodable as refused:
        if not framed or refused.field != "product":
            raise
        return tuple(framed), (*unread, *(one.where for one in others.values()))
    return (*framed, *observations), (*unread, *names)


def read_bytes(product: str, device: str, data: bytes, where: str, moment: Moment, profile_of: ProfileOf) -> Content:
    """Read what a device sent as bytes: frames, or a JSON object of fields."""
    data = cjt188.as_frame_bytes(data)
    try:
        found, names = _frames(data, device, moment)
    except Undecodable as no_frame:
        try:
            body = read_object(data)
        except Undecodable:
            raise Undecodable(where, f"is neither a JSON object nor a frame of CJ/T 188 ({no_frame})") from None
        return read_fields(product, device, body, where, moment, profile_of)
    return found, names


def _frame_bytes(value: object) -> bytes | None:
    """Give the frames a text holds, in hexadecimal or base64; None when it holds none."""
    if not isinstance(value, str) or len(value) < 26:
        return None
    readings = []
    with suppress(ValueError):
        readings.append(bytes.fromhex(value))
    with suppress(Undecodable):
        readings.append(from_base64(value, "text"))
    return next((data for data in readings if cjt188.looks_framed(data)), None)


def _frames(data: bytes, device: str, moment: Moment) -> tuple[tuple[Measured, ...], tuple[str, ...]]:
    frames = cjt188.read_frames(data)
    if len(frames) > cjt188.FRAMES_MAX:
        raise Undecodable("frame", f"{len(frames)} frames in a message, at most {cjt188.FRAMES_MAX}")
    read = [(frame, *cjt188.read_gas(frame, device, moment)) for frame in frames]
    unread = dict.fromkeys(name for _, _, names in read for name in names)
    return tuple(replace(found, register=frame.address) for frame, found, _ in read), tuple(unread)
