"""Fludia FM432g, optical reader of a gas meter: an index and the increments that led to it, LoRaWAN port 129.

Source: the maker's decoders and README, Fludia-IoT/LoRaWAN-decoders (fm432g_ap, fm432g_nc_10mn-15mn). Counts stand
on the wire in tenths of a pulse and stay so (`pulses` counts tenths; the device's registered `pulse_ml` is the
volume of a tenth), so that nothing is rounded. The index starts at 0 when the reader starts. Increments run oldest
first and end at the uplink. With redundancy switched on, increments of earlier uplinks come again, dated from the
uplink that repeats them: consumption is the difference of the index, never a sum of increments over messages.
"""

from itertools import accumulate

from ingest.decoders.model import Measured, Undecodable
from ingest.decoders.uplink import Codec, Reading, Uplink

REGISTER = "index_tenths"

_FIXED_STEPS_MIN = {0x1D: 10, 0x1E: 15, 0x1F: 60}
_ADJUSTABLE, _ADJUSTABLE_BYTES = 0x6D, range(8, 47)
_SERVICE = {0x10: (12, slice(5, 9)), 0x6E: (15, slice(8, 12))}
_SILENT = {0x01: (3, "start message"), 0x2E: (22, "test message TT1"), 0x2F: (42, "test message TT6")}


def read(uplink: Uplink) -> Reading:
    """Read the index and its increments; raises Undecodable on an unknown header or length."""
    data = uplink.data
    header = uplink.take(0, 1, "header")[0]
    if header in _FIXED_STEPS_MIN:
        _exactly(data, 20)
        return Reading(_steps(uplink, _FIXED_STEPS_MIN[header], data[1:4], data[4:]))
    if header == _ADJUSTABLE:
        if len(data) not in _ADJUSTABLE_BYTES or len(data) % 2:
            raise Undecodable("data", f"a message 6d has 8 to 46 bytes, an even number; this has {len(data)}")
        if not data[1]:
            raise Undecodable("data[1]", "a time step of 0 minutes")
        return Reading(_steps(uplink, data[1], data[2:6], data[6:]))
    if header in _SERVICE:
        size, place = _SERVICE[header]
        _exactly(data, size)
        index = uplink.measured(register=REGISTER, pulses=int.from_bytes(data[place]))
        return Reading((index,), ("firmware_version", "number_of_starts", "param_id", "time_step"))
    if header in _SILENT:
        size, name = _SILENT[header]
        _exactly(data, size)
        return Reading((), (name,))
    raise Undecodable("data[0]", f"header {header:02x} is not one of an FM432g")


def _exactly(data: bytes, size: int) -> None:
    if len(data) != size:
        raise Undecodable("data", f"a message {data[0]:02x} has {size} bytes; this has {len(data)}")


def _steps(uplink: Uplink, step_min: int, index: bytes, increments: bytes) -> tuple[Measured, ...]:
    """One measurement for each increment, at its end: the index there and the increment that led to it."""
    counts = [int.from_bytes(increments[i : i + 2]) for i in range(0, len(increments), 2)]
    last = len(counts) - 1
    total = int.from_bytes(index)
    later = list(accumulate(reversed(counts), initial=0))[:-1][::-1]  # pulses after the end of each step
    return tuple(
        uplink.measured(
            uplink.moment((last - i) * step_min * 60),
            register=REGISTER,
            pulses=total - after if total >= after else None,  # below 0: the reader started in between
            interval_pulses=count,
            interval_s=step_min * 60,
            historical=i < last,
        )
        for i, (count, after) in enumerate(zip(counts, later, strict=True))
    )


CODEC = Codec("fludia-fm432g", ("fm432g",), 129, read)
