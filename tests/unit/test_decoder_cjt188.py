"""CJ/T 188: both identifier orders, preambles, checksum, decimal digits, units, and a clock that was never set."""

from contextlib import suppress
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.decoders import cjt188
from ingest.decoders.model import Clock, Measured, Moment, Sample, Undecodable

_TOPIC = "cjt188/DTU-17/up"
_WATER = bytes.fromhex("6810120000000000008116901F00100010002C100010002C0000000000000000FF6716")
_GAS = bytes.fromhex("68307856341200000081161F9000563412002C000012002C0030080105242000007A16")


def _frame(
    kind: int = 0x30,
    control: int = 0x81,
    identifier: str = "1f90",
    volume: str = "56341200",
    unit: str = "2c",
    clock: str = "00300801052420",
    address: str = "78563412000000",
) -> bytes:
    data = bytes.fromhex(identifier + "00" + volume + unit + "000012002c" + clock + "0000")
    head = bytes([0x68, kind]) + bytes.fromhex(address) + bytes([control, len(data)]) + data
    return head + bytes([sum(head) & 0xFF, 0x16])


def _read(payload: bytes) -> Measured:
    (found,) = cjt188.decode(_TOPIC, payload).observations
    assert isinstance(found, Measured)
    return found


@pytest.mark.parametrize("sample", cjt188.SAMPLES, ids=lambda sample: sample.topic)
def test_samples(sample: Sample) -> None:
    """Each sample becomes exactly what it says."""
    assert cjt188.decode(sample.topic, sample.payload) == sample.understood


def test_the_real_water_frame_is_read_and_refused_as_gas() -> None:
    """The published frame of a water meter: length and checksum hold behind FE bytes; a gas desk does not take it."""
    (frame,) = cjt188.read_frames(b"\xfe\xfe\xfe" + _WATER)
    assert (frame.meter_type, frame.address, frame.control) == (0x10, "00000000000012", 0x81)
    with pytest.raises(Undecodable, match="not gas"):
        cjt188.decode(_TOPIC, _WATER)


def test_both_identifier_orders() -> None:
    """90 1F is the 2004 edition, 1F 90 that of 2018; what follows is the same."""
    assert _read(_frame(identifier="901f")) == _read(_frame(identifier="1f90")) == _read(_GAS)


def test_the_address_is_text_with_its_zeros() -> None:
    """Fourteen digits, highest first, never a number."""
    assert _read(_GAS).device == "00000012345678"


@pytest.mark.parametrize(("unit", "index_ml"), [("2c", 1_234_560_000), ("29", 1_234_560)])
def test_units(unit: str, index_ml: int) -> None:
    """Two decimals, in cubic metres or litres, exactly."""
    assert _read(_frame(unit=unit)).index_ml == index_ml


@pytest.mark.parametrize("unit", ["05", "35", "00"])
def test_other_units_are_refused(unit: str) -> None:
    """Energy is no volume."""
    with pytest.raises(Undecodable) as refused:
        _read(_frame(unit=unit))
    assert refused.value.field == "frame.volume.unit"


@pytest.mark.parametrize("volume", ["5634120a", "ffffffff", "a0000000"])
def test_a_volume_that_is_not_decimal_is_refused(volume: str) -> None:
    """FF FF FF FF is how a meter says that it does not know: no value, and surely not one read as hexadecimal."""
    with pytest.raises(Undecodable) as refused:
        _read(_frame(volume=volume))
    assert refused.value.field == "frame.volume"


def test_the_meters_clock_has_no_zone() -> None:
    """The clock is the meter's, its zone is the site's."""
    assert _read(_GAS).moment == Moment(Clock.METER, datetime(2024, 5, 1, 8, 30))  # noqa: DTZ001


@pytest.mark.parametrize(
    "clock", ["00000000000000", "00300801132420", "0a300801052420", "00300801052400", "00300831022420"]
)
def test_an_unset_or_impossible_clock_is_no_time(clock: str) -> None:
    """All zero, a 13th month, no decimal, no century, 31 February: the moment is the arrival, the volume stands."""
    found = _read(_frame(clock=clock))
    assert (found.moment, found.index_ml) == (Moment(Clock.ARRIVAL), 1_234_560_000)
    unread = cjt188.decode(_TOPIC, _frame(clock=clock)).unread
    assert ("clock" in unread) == (clock != "00000000000000")


@pytest.mark.parametrize(
    ("frame", "field"),
    [
        (_frame(control=0x01), "frame.C"),
        (_frame(control=0xC1), "frame.C"),
        (_frame(identifier="d120"), "frame.DI"),
        (_frame(address="aaaaaaaaaaaaaa"), "frame.address"),
        (bytes.fromhex("6810120000000000000103901F003D16"), "frame.T"),
        (b"\xfe\xfe", "frame"),
        (_GAS[:-2] + b"\x00\x16", "frame[33]"),
        (_GAS + b"\x00", "frame[35]"),
        (_GAS[:-1] + b"\x17", "frame[34]"),
    ],
)
def test_what_is_no_answer_of_a_gas_meter_is_refused(frame: bytes, field: str) -> None:
    """Requests, abnormal answers, other identifiers, the address of all, wrong checksums, and bytes left over."""
    with pytest.raises(Undecodable) as refused:
        cjt188.decode(_TOPIC, frame)
    assert refused.value.field == field


def test_frames_follow_one_another() -> None:
    """A collector sends the frames of several meters in one message."""
    payload = b"\xfe" + _GAS + b"\xfe\xfe" + _frame(address="99563412000000")
    found = cjt188.decode(_TOPIC, payload).observations
    assert [one.device for one in found if isinstance(one, Measured)] == ["00000012345678", "00000012345699"]


@pytest.mark.parametrize("text", [_GAS.hex(), _GAS.hex(" ").upper(), "fefe" + _GAS.hex() + "\r\n"])
def test_hexadecimal_text(text: str) -> None:
    """Many modems pass frames on as text."""
    assert _read(text.encode()) == _read(_GAS)


@given(st.integers(0, len(_GAS) - 1))
def test_every_cut_frame_is_refused(end: int) -> None:
    """No prefix of a frame is a frame."""
    with pytest.raises(Undecodable):
        cjt188.decode(_TOPIC, _GAS[:end])


@given(st.integers(0, len(_GAS) * 8 - 1))
def test_every_flipped_bit_is_noticed(bit: int) -> None:
    """The checksum, or the structure around it, shows any single damaged bit."""
    spoilt = bytearray(_GAS)
    spoilt[bit // 8] ^= 1 << bit % 8
    with pytest.raises(Undecodable):
        cjt188.decode(_TOPIC, bytes(spoilt))


@given(st.binary(max_size=80))
def test_any_bytes_are_read_or_refused(payload: bytes) -> None:
    """Random bytes give an answer or Undecodable, never anything else."""
    with suppress(Undecodable):
        cjt188.decode(_TOPIC, payload)


@given(st.integers(0, 99_999_999))
def test_every_volume_is_exact(hundredths: int) -> None:
    """All 100 million readings of the display become millilitres without rounding."""
    digits = bytes.fromhex(f"{hundredths:08d}")[::-1].hex()
    assert _read(_frame(volume=digits)).index_ml == hundredths * 10_000
