"""Milesight GS101: gas, valve, power, fault and end of life; nothing is made of a cut frame."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.decoders.milesight_gs101 import CODEC
from ingest.decoders.model import Asserted, Undecodable
from ingest.decoders.uplink import Uplink


def _read(text: str) -> tuple[list[tuple[str, str]], tuple[str, ...]]:
    reading = CODEC.read(Uplink("24e124460c000001", None, bytes.fromhex(text), 85))
    said = [(one.kind, one.state) for one in reading.observations if isinstance(one, Asserted)]
    assert len(said) == len(reading.observations)
    return said, reading.unread


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        ("058e01 060100 070101", [("leak_alarm", "raised"), ("valve", "closed")]),
        ("058e00 060101", [("leak_alarm", "cleared"), ("valve", "open")]),
        ("ff3f00", [("power_loss", "raised")]),
        ("ff3f01", [("power_loss", "cleared")]),
        ("ff3f02", [("fault", "raised")]),
        ("ff3f03", [("fault", "cleared")]),
        ("ff3f05", [("end_of_life", "raised")]),
        ("ff0101 ff160102030405060708 ff090110 ff0a0110 058e01", [("leak_alarm", "raised")]),
    ],
)
def test_channels_become_assertions(frame: str, said: list[tuple[str, str]]) -> None:
    """Each channel the maker describes becomes what it says; valve 0 is closed."""
    assert _read(frame)[0] == said


def test_a_sensor_that_will_soon_be_invalid_is_not_yet_at_its_end() -> None:
    """Alarm 4 is named for people and asserts nothing: a detector said to be past its life no longer counts as one."""
    assert _read("ff3f04") == ([], ("alarm 4 (the sensor will be invalid soon)",))


@pytest.mark.parametrize(
    "frame", ["0890ff", "0890ffffff", "058e", "05", "058e01 06", "058e01 0601", "ff16010203", "ff3f"]
)
def test_a_cut_frame_is_refused(frame: str) -> None:
    """`0890ff` is no life_remain of 255: the maker's own decoder says so, we do not."""
    with pytest.raises(Undecodable, match="cut off"):
        _read(frame)


@pytest.mark.parametrize("frame", ["058e02", "0601ff", "070102", "ff3f06"])
def test_a_value_the_maker_does_not_list_is_refused(frame: str) -> None:
    """A gas status of 2 is neither alarm nor normal."""
    with pytest.raises(Undecodable):
        _read(frame)


def test_an_unknown_channel_hides_no_alarm() -> None:
    """What stands before a channel of newer firmware is kept, the rest is named; such a channel alone is refused."""
    assert _read("058e01 0a5501") == ([("leak_alarm", "raised")], ("channel 0a 55 and what follows it",))
    with pytest.raises(Undecodable):
        _read("0a5501 058e01")


@given(st.binary(min_size=1, max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """Random bytes give an answer or Undecodable, never anything else."""
    with suppress(Undecodable):
        CODEC.read(Uplink("d", None, data, 85))


@given(st.lists(st.sampled_from(["058e01", "060100", "089000112233", "ff3f02"]), min_size=1), st.data())
def test_every_prefix_tells_only_whole_channels(parts: list[str], data: st.DataObject) -> None:
    """A frame cut anywhere gives the channels before the cut when it falls between two, else nothing."""
    whole = bytes.fromhex("".join(parts))
    cut = data.draw(st.integers(1, len(whole)))
    borders, at = set(), 0
    for part in parts:
        at += len(part) // 2
        borders.add(at)
    if cut in borders:
        CODEC.read(Uplink("d", None, whole[:cut], 85))
    else:
        with pytest.raises(Undecodable, match="cut off"):
            CODEC.read(Uplink("d", None, whole[:cut], 85))
