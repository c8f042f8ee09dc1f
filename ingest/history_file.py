"""Files of old readings: what columns they have, and their rows in blocks. CSV in whatever dialect, and Parquet."""

import codecs
import csv
import hashlib
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal, Protocol

import polars as pl

from ingest.history_rows import Block

_DELIMITERS = (";", "\t", ",", "|")
_NAMES = {  # in lower case, without a unit at the end
    "device": ("device", "device_id", "deviceid", "meter", "meter_id", "meterid", "meter_no", "serial",
               "serial_number", "code"),
    "time": ("at", "time", "timestamp", "datetime", "date_time", "read_at", "reading_time", "ts", "zeitstempel",
             "zeit"),
    "value": ("value", "index", "reading", "volume", "register", "consumption", "usage", "zaehlerstand", "verbrauch"),
}  # fmt: skip
_UNIT_ENDING = re.compile(r"[ _\[(]+(m3|m³|l|ml)[\])]?$", re.IGNORECASE)
_INTERVAL_WORDS = ("consumption", "usage", "verbrauch", "interval")
_SNIFFED_ROWS = 1_000


class HistoryRefused(Exception):
    """A file cannot be imported as it is; the message says why and which option helps."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns hold what (the time may be two columns: `date+time`).

    `one_device`: the file has no column for the device, all of it is of this one. `only`: rows count that have these
    values in these columns, the others are left out.
    """

    device: str | None
    times: tuple[str, ...]
    value: str
    one_device: str | None = None
    only: tuple[tuple[str, str], ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Every column that is read."""
        device = () if self.device is None else (self.device,)
        return (*device, *self.times, self.value, *(name for name, _ in self.only))


@dataclass(frozen=True, slots=True)
class Sniffed:
    """What a file's head tells: its columns, and unit, kind and decimal sign where it does (None: it does not)."""

    columns: Columns
    unit: Literal["m3", "l", "ml"] | None
    kind: Literal["interval"] | None
    decimal: Literal[",", "."]
    delimiter: str
    encoding: str


def file_digest(path: Path) -> bytes:
    """SHA-256 of a file: the same content is the same import, whatever its name."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def sniff(
    path: Path,
    wanted: tuple[str | None, str | None, str | None],
    delimiter: str | None = None,
    *,
    one_device: str | None = None,
    only: Sequence[tuple[str, str]] = (),
) -> Sniffed:
    """Look at a file's head; `wanted` names the device, time and value columns where the user did.

    `one_device` and `only` as in Columns. Raises HistoryRefused.
    """
    if is_parquet(path):
        names = pl.read_parquet_schema(path)
        return _sniffed(list(names), wanted, [], (",", ""), one_device, only)
    encoding = _encoding(path)
    with path.open(encoding=encoding, newline="") as file:
        try:
            first = file.readline()
            delimiter = delimiter or max(_DELIMITERS, key=first.count)
            head = next(csv.reader([first], delimiter=delimiter), [])
            rows = list(itertools.islice(csv.reader(file, delimiter=delimiter), _SNIFFED_ROWS))
        except (UnicodeDecodeError, csv.Error) as error:
            raise HistoryRefused(f"{path.name} is no text in {encoding}: {error}") from None
    return _sniffed([name.strip() for name in head], wanted, rows, (delimiter, encoding), one_device, only)


def is_parquet(path: Path) -> bool:
    """Whether a file is Parquet, by its first bytes."""
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"


def _encoding(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(4)
    return "utf-16" if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"


def _sniffed(
    head: list[str],
    wanted: tuple[str | None, str | None, str | None],
    rows: Sequence[Sequence[str]],
    dialect: tuple[str, str],
    one_device: str | None,
    only: Sequence[tuple[str, str]],
) -> Sniffed:
    device = _column(head, wanted[0], "device") if one_device is None else None
    for name, _ in only:
        _column(head, name, "filter")
    times = (
        tuple(_column(head, name, "time") for name in wanted[1].split("+"))
        if wanted[1]
        else (_column(head, None, "time"),)
    )
    value = _column(head, wanted[2], "value")
    ending = _UNIT_ENDING.search(value)
    units: dict[str, Literal["m3", "l", "ml"]] = {"m3": "m3", "m³": "m3", "l": "l", "ml": "ml"}
    unit = units[ending.group(1).lower()] if ending else None
    kind: Literal["interval"] | None = "interval" if any(word in value.lower() for word in _INTERVAL_WORDS) else None
    position = head.index(value)
    samples = [row[position] for row in rows if len(row) > position]
    columns = Columns(device, times, value, one_device, tuple(only))
    return Sniffed(columns, unit, kind, _decimal(samples), *dialect)


def _column(head: list[str], wanted: str | None, role: str) -> str:
    if wanted is not None:
        if wanted not in head:
            raise HistoryRefused(f"there is no column {wanted}; there are {', '.join(head)}")
        return wanted
    found = [name for name in head if _UNIT_ENDING.sub("", name).strip().lower().replace(" ", "_") in _NAMES[role]]
    if len(found) != 1:
        several = (
            f"several columns may be the {role}: {', '.join(found)}" if found else f"no column looks like the {role}"
        )
        otherwise = ", or give --device where all rows are of one" if role == "device" else ""
        raise HistoryRefused(f"{several} (of {', '.join(head)}); name it with --{role}-column{otherwise}")
    return found[0]


def _decimal(samples: Sequence[str]) -> Literal[",", "."]:
    """The decimal sign: the last sign of values that have both, else a comma that occurs once and no dot."""
    for sample in samples:
        if "," in sample and "." in sample:
            return "," if sample.rindex(",") > sample.rindex(".") else "."
    commas = [sample for sample in samples if "," in sample]
    return (
        ","
        if commas and all(sample.count(",") == 1 for sample in commas) and not any("." in s for s in samples)
        else "."
    )


@dataclass(slots=True)
class Progress:
    """How far a file was read: bytes (rows for Parquet) of all; rows that were left out on the way."""

    done: int = 0
    total: int = 0
    left_out: int = 0


def blocks(
    path: Path, sniffed: Sniffed, rows_at_once: int, progress: Progress
) -> Iterator[tuple[Block, list[tuple[int, str]]]]:
    """A file's rows in blocks of so many lines, each with the (line, reason) of rows without all columns."""
    if is_parquet(path):
        yield from _parquet_blocks(path, sniffed.columns, rows_at_once, progress)
    else:
        yield from _csv_blocks(path, sniffed, rows_at_once, progress)


def _parquet_blocks(
    path: Path, columns: Columns, rows_at_once: int, progress: Progress
) -> Iterator[tuple[Block, list[tuple[int, str]]]]:
    scan = pl.scan_parquet(path).select(list(dict.fromkeys(columns.names)))
    progress.total = scan.select(pl.len()).collect().item()
    for start in range(0, progress.total, rows_at_once):
        frame = scan.slice(start, rows_at_once).collect()
        progress.done = start + len(frame)
        frame = frame.with_columns(pl.int_range(start + 1, start + len(frame) + 1).alias(_LINE))
        for name, value in columns.only:
            frame = frame.filter(pl.col(name).cast(pl.String) == value)
        progress.left_out += progress.done - start - len(frame)
        times = frame[columns.times[0]] if len(columns.times) == 1 else _joined([frame[name] for name in columns.times])
        devices = (
            pl.Series([columns.one_device] * len(frame), dtype=pl.String)
            if columns.device is None
            else frame[columns.device]
        )
        yield Block(frame[_LINE], devices, _epoch_as_text(times), frame[columns.value]), []


_LINE = "line of the file"


def _epoch_as_text(times: pl.Series) -> pl.Series:
    return times.cast(pl.String) if times.dtype.is_integer() else times


def _joined(parts: Sequence[pl.Series]) -> pl.Series:
    return pl.select(
        pl.concat_str([part.cast(pl.String).str.strip_chars() for part in parts], separator=" ")
    ).to_series()


def _csv_blocks(
    path: Path, sniffed: Sniffed, rows_at_once: int, progress: Progress
) -> Iterator[tuple[Block, list[tuple[int, str]]]]:
    progress.total = path.stat().st_size
    with path.open(encoding=sniffed.encoding, newline="") as file:
        reader = csv.reader(file, delimiter=sniffed.delimiter)
        head = [name.strip() for name in next(reader)]
        places = _Places.of(sniffed.columns, head)
        while True:
            before = reader.line_num
            block, bad = _csv_block(reader, places, rows_at_once, progress)
            if reader.line_num == before:
                return
            progress.done = _position(file)
            yield block, bad


@dataclass(frozen=True, slots=True)
class _Places:
    """Where the fields of a row are that are read; `device` is a place, or the one device of all rows."""

    device: int | str
    times: tuple[int, ...]
    value: int
    only: tuple[tuple[int, str], ...]

    @classmethod
    def of(cls, columns: Columns, head: Sequence[str]) -> "_Places":
        device = columns.one_device or "" if columns.device is None else head.index(columns.device)
        only = tuple((head.index(name), value) for name, value in columns.only)
        return cls(device, tuple(head.index(name) for name in columns.times), head.index(columns.value), only)

    @property
    def fields_min(self) -> int:
        """How many fields a row must have."""
        device = (self.device,) if isinstance(self.device, int) else ()
        return 1 + max(*device, *self.times, self.value, *(place for place, _ in self.only))

    def read(self, row: Sequence[str]) -> tuple[str, ...] | None:
        """Device, value and times of a row; None when it is left out."""
        if any(_plain(row[place]) != value for place, value in self.only):
            return None
        device = _plain(row[self.device]) if isinstance(self.device, int) else self.device
        return (device, row[self.value], *(row[place] for place in self.times))


def _plain(text: str) -> str:
    """A field without the spreadsheet's quotes that keep a number a text: `="0123"` is 0123."""
    text = text.strip()
    return text[2:-1] if text.startswith('="') and text.endswith('"') and len(text) > 2 else text


def _position(file: IO[str]) -> int:
    return int(file.buffer.tell())  # type: ignore[attr-defined]


class _Rows(Protocol):
    """A csv.reader: rows, and the line that the last one ended in."""

    @property
    def line_num(self) -> int: ...

    def __iter__(self) -> "Iterator[list[str]]": ...

    def __next__(self) -> list[str]: ...


def _csv_block(
    reader: "_Rows", places: _Places, rows_at_once: int, progress: Progress
) -> tuple[Block, list[tuple[int, str]]]:
    """The next rows of a file; `rows_at_once` counts all of them, also bad ones and those left out."""
    fields_min = places.fields_min
    lines: list[int] = []
    kept: list[tuple[str, ...]] = []
    bad: list[tuple[int, str]] = []
    for row in itertools.islice(reader, rows_at_once):
        if len(row) < fields_min:
            if row:
                bad.append((reader.line_num, f"has {len(row)} fields, {fields_min} are needed"))
        elif (read := places.read(row)) is not None:
            lines.append(reader.line_num)
            kept.append(read)
        else:
            progress.left_out += 1
    columns: list[tuple[str, ...]] = list(zip(*kept, strict=True)) or [()] * (2 + len(places.times))
    series = [pl.Series(column, dtype=pl.String) for column in columns]
    times = series[2] if len(places.times) == 1 else _joined(series[2:])
    return Block(pl.Series(lines, dtype=pl.Int64), series[0], times, series[1]), bad
