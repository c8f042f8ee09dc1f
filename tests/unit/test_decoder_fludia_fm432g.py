"""Fludia FM432g: the index in tenths, its increments dated back from the uplink."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.decoders.fludia_fm432g import CODEC, REGISTER
from ingest.decoders.model import Clock, Measured, Moment, Undecodable
from ingest.decoders.uplink import Reading, Uplink

_AT = datetime(2026, 11, 20, 10, 0, 7, tzinfo=UTC)


def _read(text: str, at: datetime | None = _AT) -> Reading:
    return CODEC.read(Uplink("d", at, bytes.fromhex(text), 129, 5, -90))


def test_increments_lead_to_the_index() -> None:
    """Four steps of 15 minutes: 1, 0, 2.5 and 0.5 pulses, in tenths; the index stands at the end of the last."""
    found = _read("6d0f 000030d4 000a 0000 0019 0005").observations
    want = [(45, 12_470, 10), (30, 12_470, 0), (15, 12_495, 25), (0, 12_500, 5)]
    assert found == tuple(
        Measured(
            "d",
            Moment(Clock.GATEWAY, _AT - timedelta(minutes=minutes)),
            REGISTER,
            seq=5,
            pulses=pulses,
            interval_pulses=interval,
            interval_s=900,
            signal_dbm=None if minutes else -90,
            historical=minutes > 0,
        )
        for minutes, pulses, interval in want
    )


def test_redundant_increments_repeat_the_same_index() -> None:
    """The next uplink repeats three old increments: the index at those moments is what it was; nothing counts twice."""
    first = _read("6d0f 000030d4 000a 0000 0019 0005").observations
    then = _read("6d0f 000030d5 0000 0019 0005 0001", _AT + timedelta(minutes=15)).observations
    known = {one.moment: one.pulses for one in first if isinstance(one, Measured)}
    again = {one.moment: one.pulses for one in then if isinstance(one, Measured)}
    assert {moment: again[moment] for moment in known.keys() & again.keys()} == {
        moment: known[moment] for moment in known.keys() & again.keys()
    }
    assert len(known.keys() & again.keys()) == 3


@pytest.mark.parametrize(("header", "step_s"), [("1d", 600), ("1e", 900), ("1f", 3600)])
def test_fixed_steps(header: str, step_s: int) -> None:
    """Headers 1d, 1e and 1f carry a 24-bit index and eight increments of 10, 15 and 60 minutes."""
    found = _read(header + "0030d4" + "0001" * 8).observations
    assert [one.interval_s for one in found if isinstance(one, Measured)] == [step_s] * 8
    last = found[-1]
    assert isinstance(last, Measured)
    assert (last.pulses, last.interval_pulses, last.moment.at) == (12_500, 1, _AT)


def test_an_index_smaller_than_its_increments_is_unknown_before_the_restart() -> None:
    """The index starts at 0 with the reader: before that it was not negative, it was not known."""
    found = [one for one in _read("6d0f 00000005 000a 0005").observations if isinstance(one, Measured)]
    assert [one.pulses for one in found] == [0, 5]
    found = [one for one in _read("6d0f 00000004 000a 0005").observations if isinstance(one, Measured)]
    assert [one.pulses for one in found] == [None, 4]


def test_service_messages_tell_the_index() -> None:
    """The daily messages 10 and 6e carry the index and nothing else we keep."""
    for frame in ("10 01 00 02 80 000030d4 00 00 03", "6e 01 00 00 02 21 00 00 000030d4 0f 04 01"):
        (found,) = _read(frame).observations
        assert isinstance(found, Measured)
        assert (found.pulses, found.interval_pulses) == (12_500, None)


def test_without_a_time_steps_count_from_arrival() -> None:
    """An uplink without its server's time is dated from its arrival."""
    found = _read("6d0f 000030d4 000a 0000", None).observations
    assert [one.moment for one in found] == [Moment(Clock.ARRIVAL, offset_s=-900.0), Moment(Clock.ARRIVAL)]


@pytest.mark.parametrize(
    "frame",
    ["", "6d0f000030d4", "6d0f000030d400", "6d0f000030d4000a00", "6d00000030d4000a", "1e0030d400010001", "10", "ab"],
)
def test_cut_or_unknown_frames_are_refused(frame: str) -> None:
    """Half an increment is no increment; a step of 0 minutes dates nothing."""
    with pytest.raises(Undecodable):
        _read(frame)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """Random bytes give an answer or Undecodable, never anything else."""
    with suppress(Undecodable):
        CODEC.read(Uplink("d", _AT, data, 129))
