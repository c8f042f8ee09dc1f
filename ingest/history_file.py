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
    """Which columns hold what (the time may be two columns: `date+time`)."""

    device: str
    times: tuple[str, ...]
    value: str


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


def sniff(path: Path, wanted: tuple[str | None, str | None, str | None], delimiter: str | None = None) -> Sniffed:
    """Look at a file's head; `wanted` names the device, time and value columns where the user did.

    Raises HistoryRefused.
    """
    if is_parquet(path):
        names = pl.read_parquet_schema(path)
        return _sniffed(list(names), wanted, [], ",", "")
    encoding = _encoding(path)
    with path.open(encoding=encoding, newline="") as file:
        try:
            first = file.readline()
            delimiter = delimiter or max(_DELIMITERS, key=first.count)
            head = next(csv.reader([first], delimiter=delimiter), [])
            rows = list(itertools.islice(csv.reader(file, delimiter=delimiter), _SNIFFED_ROWS))
        except (UnicodeDecodeError, csv.Error) as error:
            raise HistoryRefused(f"{path.name} is no text in {encoding}: {error}") from None
    return _sniffed([name.strip() for name in head], wanted, rows, delimiter, encoding)


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
    delimiter: str,
    encoding: str,
) -> Sniffed:
    device = _column(head, wanted[0], "device")
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
    return Sniffed(Columns(device, times, value), unit, kind, _decimal(samples), delimiter, encoding)


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
        raise HistoryRefused(f"{several} (of {', '.join(head)}); name it with --{role}-column")
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
    """How far a file was read: bytes (rows for Parquet) of all."""

    done: int = 0
    total: int = 0


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
    scan = pl.scan_parquet(path).select(columns.device, *columns.times, columns.value)
    progress.total = scan.select(pl.len()).collect().item()
    for start in range(0, progress.total, rows_at_once):
        frame = scan.slice(start, rows_at_once).collect()
        progress.done = start + len(frame)
        lines = pl.int_range(start + 1, start + len(frame) + 1, eager=True)
        times = frame[columns.times[0]] if len(columns.times) == 1 else _joined([frame[name] for name in columns.times])
        yield Block(lines, frame[columns.device], _epoch_as_text(times), frame[columns.value]), []


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
        names = (sniffed.columns.device, sniffed.columns.value, *sniffed.columns.times)
        places = [head.index(name) for name in names]
        while True:
            block, bad = _csv_block(reader, places, rows_at_once)
            if not len(block.lines) and not bad:
                return
            progress.done = _position(file)
            yield block, bad


def _position(file: IO[str]) -> int:
    return int(file.buffer.tell())  # type: ignore[attr-defined]


class _Rows(Protocol):
    """A csv.reader: rows, and the line that the last one ended in."""

    @property
    def line_num(self) -> int: ...

    def __iter__(self) -> "Iterator[list[str]]": ...

    def __next__(self) -> list[str]: ...


def _csv_block(reader: "_Rows", places: Sequence[int], rows_at_once: int) -> tuple[Block, list[tuple[int, str]]]:
    """The next rows of a file; `rows_at_once` counts all of them, the bad ones too."""
    fields_min = max(places) + 1
    lines: list[int] = []
    kept: list[tuple[str, ...]] = []
    bad: list[tuple[int, str]] = []
    for row in itertools.islice(reader, rows_at_once):
        if len(row) >= fields_min:
            lines.append(reader.line_num)
            kept.append(tuple(row[place] for place in places))
        elif row:
            bad.append((reader.line_num, f"has {len(row)} fields, {fields_min} are needed"))
    columns: list[tuple[str, ...]] = list(zip(*kept, strict=True)) or [()] * len(places)
    series = [pl.Series(column, dtype=pl.String) for column in columns]
    times = series[2] if len(places) == 3 else _joined(series[2:])
    return Block(pl.Series(lines, dtype=pl.Int64), series[0], times, series[1]), bad
