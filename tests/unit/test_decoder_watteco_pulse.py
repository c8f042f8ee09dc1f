"""Watteco Pulse Sens'O ATEX and Torano ATEX: the official examples, batches included, and every way to spoil them."""

from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.decoders import watteco_batch
from ingest.decoders.model import Clock, Measured, Moment, Undecodable
from ingest.decoders.uplink import Reading, Uplink
from ingest.decoders.watteco_batch import Sample
from ingest.decoders.watteco_pulse import CODEC

_AT = datetime(2023, 7, 19, 7, 51, 25, 508_306, UTC)
_BATCH = bytes.fromhex("3203032cd2dc00000000117b02000080903d005000401040801d11604704d8119024912492247b")


def _read(text: str) -> Reading:
    return CODEC.read(Uplink("d", _AT, bytes.fromhex(text), 125))


def _measured(frame: str) -> Measured:
    (found,) = _read(frame).observations
    assert isinstance(found, Measured)
    return found


def test_official_counter() -> None:
    """Official example: index_1 is 0."""
    assert _measured("110a000f04022300000000") == Measured("d", Moment(Clock.GATEWAY, _AT), "index_1", pulses=0)


@pytest.mark.parametrize(("first", "register"), [("11", "index_1"), ("31", "index_2"), ("51", "index_3")])
def test_the_endpoint_is_the_register(first: str, register: str) -> None:
    """Bits 5 to 7 of the first byte tell the input; the counter has 32 bits without sign."""
    found = _measured(first + "0a000f040223fffffffe")
    assert (found.register, found.pulses) == (register, 4_294_967_294)


def test_official_battery() -> None:
    """Official example: a disposable battery of 3.688 V."""
    assert _measured("110a00500006410503040e6804").battery_mv == 3688


def test_the_battery_is_found_behind_other_supplies() -> None:
    """Main supply and rechargeable battery come first when they are there."""
    assert _measured("110a00500006410903070101020203030 4".replace(" ", "")).battery_mv == 0x0303


@pytest.mark.parametrize(
    ("frame", "unread"),
    [
        ("110a000f00551001", "pin_state"),
        ("110a80050000190371", "pin_states"),
        ("310a000c00553941500000", "analog input"),
        ("110100000002000d0305020015e2", "firmware"),
        ("110180040000000800", "cluster 8004 attribute 0000"),
    ],
)
def test_official_reports_without_a_place_of_ours_are_named(frame: str, unread: str) -> None:
    """The other official examples measure nothing we keep, and no `NA` is made of them."""
    assert _read(frame) == Reading((), (unread,))


def test_official_batch() -> None:
    """Official example: four hourly samples of three counters, from 04:51 to 07:51."""
    found = CODEC.read(Uplink("d", _AT, _BATCH, 125, 7, -80)).observations
    assert found == tuple(
        Measured(
            "d",
            Moment(Clock.GATEWAY, _AT - timedelta(hours=hours)),
            register,
            seq=7,
            pulses=pulses,
            signal_dbm=None if hours else -80,
            historical=hours > 0,
        )
        for register, pulses in (("index_1", 0), ("index_2", 67_108_864), ("index_3", 4_194_560))
        for hours in (3, 2, 1, 0)
    )


_TWO = watteco_batch.Layout(1, {0: watteco_batch.Channel("a", 32), 1: watteco_batch.Channel("b", 16, 100)})


@pytest.mark.parametrize(
    ("frame", "counter", "sent_s", "samples"),
    [
        ("26150020e06001d71e0000a0650f", 5, 263, [(0, 263, 45), (1, 263, 3000)]),
        (
            "1020c0220104a0214b351cb45b163b8965b72c76cb62b72c76cb62b72cf6",
            0,
            18_226_144,
            [(0, at_s, 874_922) for at_s in (18_221_344, 18_221_944, *range(18_223_144, 18_226_145, 600))],
        ),
        (
            "1027e0620a13a021ebb514b45bd667b72ca0ddb26ebb650577cbeaae",
            7,
            18_308_946,
            [
                (0, 18_305_944 + 600 * i, value)
                for i, value in enumerate((874_927, 874_945, 875_024, 875_045, 875_092, 875_146))
            ],
        ),
    ],
)
def test_the_makers_batches(frame: str, counter: int, sent_s: int, samples: list[tuple[int, int, int]]) -> None:
    """Test vectors of the maker's decompression (Flas'O): first values only, repeated values, rising values."""
    want = watteco_batch.Batch(sent_s, counter, tuple(Sample(*one) for one in samples))
    assert watteco_batch.unpack(bytes.fromhex(frame), _TWO) == want


def test_every_cut_batch_is_refused() -> None:
    """No prefix of the official batch, and no batch with a byte more, is a batch."""
    for end in range(1, len(_BATCH)):
        with pytest.raises(Undecodable):
            watteco_batch.unpack(_BATCH[:end])
    with pytest.raises(Undecodable, match="left over"):
        watteco_batch.unpack(_BATCH + b"\0")


@pytest.mark.parametrize(
    "frame",
    [
        "110a000f0402230000", "110a000f0402", "110a000f04022100000000", "f10a000f04022300000000", "110a0050000641",
        "110a00500006410503040e68", "110a00500006410403040e6804", "1101000f04028623", "11",
    ],
)  # fmt: skip
def test_cut_or_ill_typed_reports_are_refused(frame: str) -> None:
    """A counter of three bytes is no counter; an attribute the device could not read has no value."""
    with pytest.raises(Undecodable):
        _read(frame)


@given(st.binary(min_size=1, max_size=60))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """Random bytes give an answer or Undecodable, never anything else."""
    with suppress(Undecodable):
        CODEC.read(Uplink("d", _AT, data, 125))


@given(st.integers(0, len(_BATCH) * 8 - 1))
def test_a_flipped_bit_never_leaves_the_range(bit: int) -> None:
    """A damaged batch is refused or stays a batch of counters of 32 bits, none later than its sending."""
    spoilt = bytearray(_BATCH)
    spoilt[bit // 8] ^= 1 << bit % 8
    try:
        batch = watteco_batch.unpack(bytes(spoilt))
    except Undecodable:
        return
    assert all(0 <= one.value < 2**32 and one.at_s <= batch.sent_s for one in batch.samples)


@dataclass
class _Writer:
    """Packs a batch the way the layout in watteco_batch tells: the test's own reading of it, bit by bit."""

    bits: list[int] = field(default_factory=list)

    def number(self, value: int, bits: int) -> None:
        if bits:
            size = bits % 8 or 8
            high = value >> (bits - size)
            self.bits += [high >> i & 1 for i in range(size)]
            self.number(value & ((1 << (bits - size)) - 1), bits - size)

    def code(self, table: int, code: int) -> None:
        word = next(word for word, value in watteco_batch._TABLES[table].items() if value == code)
        self.bits += [int(bit) for bit in word]

    def later(self, table: int, before: int, value: int) -> None:
        """Write how much later a time is: no offset, an offset of so many bits, or in full."""
        if value == before:
            self.code(table, 0)
            return
        size = (value - before + 1).bit_length() - 1
        if size > 14:
            self.code(table, 15)
            self.number(value, 32)
        else:
            self.code(table, size)
            self.number(value - before + 1 - (1 << size), size)

    def step(self, table: int, coding: int, before: int, value: int) -> None:
        step = value - before
        size = (abs(step) + 1).bit_length() - 1 if coding else abs(step).bit_length()
        if not step:
            self.code(table, 0)
        elif size > 14 or (coding == 1 and step < 0) or (coding == 2 and step > 0):
            self.code(table, 15)
            self.number(value, 32)
        else:
            self.code(table, size)
            if coding:
                self.number(abs(step) + 1 - (1 << size), size)
            else:
                self.number(step if step > 0 else step - 1 + (1 << size), size)

    def packed(self) -> bytes:
        self.bits += [0] * (-len(self.bits) % 8)
        groups = [self.bits[i : i + 8] for i in range(0, len(self.bits), 8)]
        return bytes(sum(bit << i for i, bit in enumerate(group)) for group in groups)


_Series = dict[int, list[tuple[int, int]]]  # label -> (seconds after the first moment, counter)
_COUNTER = st.one_of(st.integers(0, 40), st.integers(2**31 - 3, 2**31 + 3), st.integers(0, 2**32 - 1))


@st.composite
def _series(draw: st.DrawFn) -> _Series:
    labels = draw(st.lists(st.integers(0, 2), min_size=1, max_size=3, unique=True))
    found: _Series = {}
    for label in labels:
        steps = draw(st.lists(st.integers(0, 50_000), min_size=1, max_size=5))
        moments = [sum(steps[:i]) for i in range(1, len(steps) + 1)]
        found[label] = [(at_s, draw(_COUNTER)) for at_s in moments]
    return found


@given(_series(), st.integers(1, 10**6), st.integers(0, 2), st.integers(0, 2), st.integers(0, 90_000))
def test_what_is_packed_with_own_times_is_unpacked(
    series: _Series, start_s: int, coding: int, table: int, wait_s: int
) -> None:
    """Any counters at any moments come out of a batch with own times as they went in."""
    writer = _Writer()
    writer.number(len(series) << 4, 8)
    writer.number(5, 3)
    writer.number(0, 1)
    last = 0
    # the head counts times on from channel to channel, so the first samples stand at rising moments
    heads = {}
    for label, samples in series.items():
        head = max(last, start_s)
        writer.number(label, 4)
        if last:
            writer.later(1, last, head)
        else:
            writer.number(head, 32)
        writer.number(samples[0][1], 32)
        writer.number(coding, 2)
        writer.number(table, 2)
        heads[label], last = head, head
    newest = last
    want = []
    for label, samples in series.items():
        writer.number(label, 4)
        writer.number(len(samples) - 1, 8)
        if len(samples) > 1:
            writer.number(table, 2)
        at_s, value = heads[label], samples[0][1]
        want.append(Sample(label, at_s, value))
        for (before, _), (after, counter) in pairwise(samples):
            writer.later(table, at_s, at_s + after - before)
            at_s += after - before
            writer.step(table, coding, value, counter)
            value = counter
            want.append(Sample(label, at_s, value))
        newest = max(newest, at_s)
    writer.later(1, newest, newest + wait_s)
    batch = watteco_batch.unpack(writer.packed())
    assert batch == watteco_batch.Batch(newest + wait_s, 5, tuple(sorted(want, key=lambda one: one.label)))
