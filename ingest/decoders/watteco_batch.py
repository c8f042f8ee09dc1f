"""Watteco's compressed batch frame: samples of several channels with their times, packed bit by bit.

Source: the maker's decompression as published in TheThingsNetwork/lorawan-devices vendor/watteco (Apache-2.0), with
the channel table of the Pulse Sens'O ATEX and Torano ATEX; the maker's own test vectors agree. Layout, bits of each
byte from the lowest:

    header byte: channels in the high four bits; bit 1 common times, bit 2 first values only
    counter(3) reserved(1)
    per channel: label(4) first time(32, or code + offset) first value(raw) [coding(2) table(2)]
    common times:   count(8) table(2) count x time; per channel: label(4) count x [there(1) code offset]
    own times:      per channel: label(4) count(8) [table(2)] count x [code time, code value]
    time of sending(code + offset)

A number up to 32 bits is written in bytes, most significant byte first, each byte lowest bit first; a code is a
Huffman word, highest bit first, that tells how many bits of offset follow: 0 repeats the value before, 1..14 so
many bits, 15 the raw value. What the published decompression leaves open (an unknown coding, a repeated channel, a
counter outside its 32 bits, bytes left over) is refused.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ingest.decoders.model import Undecodable


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel: its name, the bits of a raw value (none is signed), and the unit of a step."""

    name: str
    bits: int
    step: int = 1


@dataclass(frozen=True, slots=True)
class Layout:
    """What a device's frames must be known by: bits of a label, and the channel of each label."""

    label_bits: int
    channels: Mapping[int, Channel]


PULSE_ATEX = Layout(
    4,
    {
        **{label: Channel(f"index_{label + 1}", 32) for label in range(3)},
        **{label: Channel(f"pin_state_{label - 2}", 1) for label in range(3, 6)},
        6: Channel("battery_mv", 16, 100),
        7: Channel("multi_state", 16),
    },
)

_RAW, _TIME_BITS, _TIME_TABLE = 15, 32, 1
_SIGNED, _RISING, _FALLING = 0, 1, 2


def _words(text: str) -> dict[str, int]:
    return {word: i for i, word in enumerate(text.split())}


_TABLES = (
    _words(
        "00 01 11 101 1001 10001 100001 1000001 10000001 1000000000"
        " 10000000010 10000000011 10000000100 10000000101 10000000110 10000000111"
    ),
    _words(
        "1101111 11010 1100 011 111 10 00 010 110110 110111011 110111001 1101110101 1101110100 1101110000"
        " 11011100011 11011100010"
    ),
    _words(
        "1001 101 00 01 11 10001 100001 1000001 10000001 1000000000"
        " 10000000010 10000000011 10000000100 10000000101 10000000110 10000000111"
    ),
)
_WORD_BITS = range(2, 12)


@dataclass(frozen=True, slots=True)
class Sample:
    """A channel's value at a moment of the device's own running seconds."""

    label: int
    at_s: int
    value: int


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch: when it was sent, in the device's running seconds, its number (0..7), and its samples by label."""

    sent_s: int
    counter: int
    samples: tuple[Sample, ...]


@dataclass(slots=True)
class _Series:
    label: int
    channel: Channel
    coding: int
    table: int
    samples: list[Sample] = field(default_factory=list)


class _Bits:
    """A cursor over the bits of a frame; every read that goes past the end is refused."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def _bit(self) -> int:
        if self._at >= 8 * len(self._data):
            raise Undecodable("data", "the batch is cut off")
        bit = self._data[self._at >> 3] >> (self._at & 7) & 1
        self._at += 1
        return bit

    def number(self, bits: int) -> int:
        """Read a number: its highest byte, perhaps a short one, first; in a byte the lowest bit first."""
        value = 0
        while bits:
            size = bits % 8 or 8
            value = value << size | sum(self._bit() << i for i in range(size))
            bits -= size
        return value

    def code(self, table: int) -> int:
        """Read one Huffman word."""
        word = ""
        while len(word) < _WORD_BITS.stop - 1:
            word += str(self._bit())
            if word in _TABLES[table]:
                return _TABLES[table][word]
        raise Undecodable("data", "a batch with a code word of no table")

    def table(self) -> int:
        """Read the number of a Huffman table."""
        number = self.number(2)
        if number >= len(_TABLES):
            raise Undecodable("data", "a batch of Huffman table 3, which does not exist")
        return number

    def left(self) -> Iterator[int]:
        """Give the bits not read yet."""
        while self._at < 8 * len(self._data):
            yield self._bit()


def unpack(data: bytes, layout: Layout = PULSE_ATEX) -> Batch:
    """Unpack a batch frame exactly, or raise Undecodable."""
    bits = _Bits(data)
    head = bits.number(8)
    common, empty, count = bool(head & 2), bool(head & 4), head >> 4
    counter = bits.number(3)
    bits.number(1)
    series, last = _heads(bits, layout, count, empty)
    if not empty:
        read = _common_times if common else _own_times
        last = read(bits, layout, series, last)
    sent_s = _time(bits, last)
    padding = list(bits.left())
    if len(padding) >= 8 or any(padding):
        raise Undecodable("data", "a batch with bytes left over")
    series.sort(key=lambda one: one.label)
    samples = tuple(sample for one in series for sample in one.samples)
    if any(sample.at_s > sent_s for sample in samples):
        raise Undecodable("data", "a batch with a sample later than its sending")
    return Batch(sent_s, counter, samples)


def _heads(bits: _Bits, layout: Layout, count: int, empty: bool) -> tuple[list[_Series], int]:
    """Read every channel's label, first sample and coding; gives them with the last time read."""
    if not count:
        raise Undecodable("data[0]", "a batch of no channel")
    found: list[_Series] = []
    last = 0
    for _ in range(count):
        label = bits.number(layout.label_bits)
        channel = layout.channels.get(label)
        if channel is None or any(one.label == label for one in found):
            raise Undecodable("data", f"a batch with channel {label}, unknown or named twice")
        last = _time(bits, last)
        first = Sample(label, last, bits.number(channel.bits))
        coding, table = (0, 0) if empty else (bits.number(2), bits.table())
        if coding not in (_SIGNED, _RISING, _FALLING):
            raise Undecodable("data", "a batch of coding 3, which does not exist")
        found.append(_Series(label, channel, coding, table, [first]))
    return found, last


def _time(bits: _Bits, last: int) -> int:
    """Read a time: in full when there is none before it, else counted on from the last."""
    return _time_after(bits, last, bits.code(_TIME_TABLE)) if last else bits.number(_TIME_BITS)


def _time_after(bits: _Bits, last: int, code: int) -> int:
    if code == _RAW:
        return bits.number(_TIME_BITS)
    return last + bits.number(code) + (1 << code) - 1 if code else last


def _value(bits: _Bits, series: _Series, code: int) -> int:
    """Read a value: in full, or as a step from the series' last value in units of its resolution."""
    if code == _RAW:
        return bits.number(series.channel.bits)
    before = series.samples[-1].value
    if not code:
        return before
    offset = bits.number(code)
    if series.coding == _SIGNED:
        step = offset if offset >= 1 << (code - 1) else offset + 1 - (1 << code)
    else:
        step = (offset + (1 << code) - 1) * (1 if series.coding == _RISING else -1)
    value = before + step * series.channel.step
    if not 0 <= value < 1 << series.channel.bits:
        raise Undecodable("data", f"{series.channel.name} leaves its {series.channel.bits} bits")
    return value


def _find(bits: _Bits, layout: Layout, series: list[_Series]) -> _Series:
    label = bits.number(layout.label_bits)
    for one in series:
        if one.label == label:
            return one
    raise Undecodable("data", f"a batch with samples of channel {label}, which its head does not name")


def _common_times(bits: _Bits, layout: Layout, series: list[_Series], _last: int) -> int:
    """Read times shared by all channels, then each channel's values, the first one of the head over again."""
    count = bits.number(8)
    table = bits.table()
    times: list[int] = []
    for i in range(count):
        code = bits.code(table)
        if i == 0 and code != _RAW:
            times.append(series[0].samples[0].at_s)
        else:
            times.append(_time_after(bits, times[-1] if times else 0, code))
    for _ in series:
        one = _find(bits, layout, series)
        first_again = True
        for at_s in times:
            if not bits.number(1):
                continue
            code = bits.code(one.table)
            if first_again and not code:
                first_again = False
                continue
            one.samples.append(Sample(one.label, at_s, _value(bits, one, code)))
    return times[-1] if times else 0


def _own_times(bits: _Bits, layout: Layout, series: list[_Series], last: int) -> int:
    """Read each channel's own times and values; gives the latest time."""
    for _ in series:
        one = _find(bits, layout, series)
        count = bits.number(8)
        table = bits.table() if count else 0
        for _ in range(count):
            at_s = _time_after(bits, one.samples[-1].at_s, bits.code(table))
            last = max(last, at_s)
            one.samples.append(Sample(one.label, at_s, _value(bits, one, bits.code(one.table))))
    return last
