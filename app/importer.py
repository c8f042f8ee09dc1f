"""`gaswarden import registry`: a folder of CSV files -> the registry, in one transaction, every bad row told why.

The files are UTF-8 (with or without a byte order mark), separated by commas or semicolons, with a header. What a row
must look like and how it is saved belong to the packages that own the tables; this module reads, validates, reports.
"""

import csv
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg
from pydantic import BaseModel, ValidationError

from ingest.registry import REGISTRY as DEVICE_REGISTRY
from inspections.registry import REGISTRY as PLACE_REGISTRY
from sql import audit, queries
from sql.actor import Actor
from sql.saved import Saved

Saver = Callable[[asyncpg.Connection, list[tuple[int, Any]]], Awaitable[Saved]]
FileKind = tuple[str, type[BaseModel], Saver]
Progress = Callable[[str, int], None]

_ORDER = (
    "districts.csv",
    "compounds.csv",
    "buildings.csv",
    "premises.csv",
    "gateways.csv",
    "devices.csv",
    "installations.csv",
    "inspectors.csv",
)
FILES: tuple[FileKind, ...] = tuple(sorted((*PLACE_REGISTRY, *DEVICE_REGISTRY), key=lambda kind: _ORDER.index(kind[0])))
_ROWS_AT_ONCE = 100_000


class ImportRefused(Exception):
    """Nothing of the folder can be imported; the message says why."""


class _RollBack(Exception):
    """Ends the transaction of an import that may not stay."""


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that was not saved: where it is, and why. `column` is empty when the row as a whole is refused."""

    file: str
    line: int
    column: str
    reason: str


@dataclass(slots=True)
class FileReport:
    """What became of the rows of one file."""

    file: str
    rows: int = 0
    added: int = 0
    changed: int = 0
    same: int = 0


@dataclass(slots=True)
class ImportReport:
    """What became of a folder; `saved` is False when the import was rolled back as a whole."""

    files: list[FileReport] = field(default_factory=list)
    bad: list[BadRow] = field(default_factory=list)
    saved: bool = True


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    values: dict[str, str]


async def import_folder(
    conn: asyncpg.Connection,
    folder: Path,
    by: Actor,
    at: datetime,
    *,
    strict: bool = False,
    progress: Progress = lambda _file, _rows: None,
) -> ImportReport:
    """Import the registry files of a folder in one transaction; with `strict`, all rows or none.

    Audited; running workers are told at commit. Raises ImportRefused when the folder has no registry file.
    """
    report = ImportReport()
    present = _present(folder, report)
    try:
        async with conn.transaction():
            for kind in present:
                await _import_file(conn, folder / kind[0], kind, report, progress)
            if strict and report.bad:
                raise _RollBack  # noqa: TRY301
            await audit.record(conn, by, "registry.import", "registry", _figures(report), at)
            await conn.execute(*queries["announce_registry"].bind())
    except _RollBack:
        report.saved = False
    return report


def _present(folder: Path, report: ImportReport) -> list[FileKind]:
    if not folder.is_dir():
        raise ImportRefused(f"{folder} is not a folder")
    found = {path.name for path in folder.glob("*.csv")}
    for name in sorted(found - set(_ORDER)):
        report.bad.append(BadRow(name, 1, "", f"is not a registry file; those are {', '.join(_ORDER)}"))
    present = [kind for kind in FILES if kind[0] in found]
    if not present:
        raise ImportRefused(f"{folder} has none of {', '.join(_ORDER)}")
    return present


def _figures(report: ImportReport) -> dict[str, object]:
    counts = {one.file: {"added": one.added, "changed": one.changed, "same": one.same} for one in report.files}
    return {"files": counts, "refused": len(report.bad)}


async def _import_file(
    conn: asyncpg.Connection, path: Path, kind: FileKind, report: ImportReport, progress: Progress
) -> None:
    _, model, save = kind
    counts = FileReport(path.name)
    report.files.append(counts)
    for rows in _in_portions(read_rows(path, model, report.bad)):
        counts.rows += len(rows)
        valid = _validated(path.name, model, rows, report.bad)
        saved = await save(conn, valid)
        counts.added, counts.changed = counts.added + saved.added, counts.changed + saved.changed
        counts.same += saved.same
        report.bad += [BadRow(path.name, line, "", reason) for line, reason in saved.refused]
        progress(path.name, counts.rows)


def _in_portions(rows: Iterator[_Row]) -> Iterator[list[_Row]]:
    """Bound the memory of a large file; savers see one portion after the other."""
    portion: list[_Row] = []
    for row in rows:
        portion.append(row)
        if len(portion) >= _ROWS_AT_ONCE:
            yield portion
            portion = []
    if portion:
        yield portion


def _validated(file: str, model: type[BaseModel], rows: Sequence[_Row], bad: list[BadRow]) -> list[tuple[int, Any]]:
    valid = []
    for row in rows:
        try:
            valid.append((row.line, model.model_validate(row.values)))
        except ValidationError as error:
            bad += _bad_rows(file, row, error)
    return valid


def _bad_rows(file: str, row: _Row, error: ValidationError) -> Iterator[BadRow]:
    for fault in error.errors(include_url=False, include_context=False):
        column = str(fault["loc"][0]) if fault["loc"] else ""
        given = row.values.get(column, "")
        reason = fault["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
        if fault["type"] == "missing":
            reason = "must not be empty"
        yield BadRow(file, row.line, column, f"{reason} (it is {given!r})" if given else reason)


def read_rows(path: Path, model: type[BaseModel], bad: list[BadRow]) -> Iterator[_Row]:
    """The rows of a CSV file as text by column, each with the line it starts on; what is no row goes to `bad`."""
    if (line := _first_undecodable_line(path)) is not None:
        bad.append(BadRow(path.name, line, "", "is not UTF-8; nothing of this file was read"))
        return
    with path.open(encoding="utf-8-sig", newline="") as source:
        delimiter = ";" if ";" in source.readline() else ","
        source.seek(0)
        yield from _rows(path.name, csv.reader(source, delimiter=delimiter, strict=True), model, bad)


def _first_undecodable_line(path: Path) -> int | None:
    with path.open("rb") as source:
        for number, line in enumerate(source, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return number
    return None


def _rows(file: str, lines: Any, model: type[BaseModel], bad: list[BadRow]) -> Iterator[_Row]:
    try:
        header = [name.strip() for name in next(lines, [])]
    except csv.Error as error:
        bad.append(BadRow(file, 1, "", f"is not CSV: {error}; nothing of this file was read"))
        return
    faults = list(_header_faults(header, model))
    if faults:
        bad += [replace(fault, file=file) for fault in faults]
        return
    before = lines.line_num
    while True:
        try:
            cells = next(lines, None)
        except csv.Error as error:
            bad.append(BadRow(file, before + 1, "", f"is not CSV: {error}; nothing after this line was read"))
            return
        if cells is None:
            return
        line, before = before + 1, lines.line_num
        if not any(cell.strip() for cell in cells):
            continue
        if any("\0" in cell for cell in cells):
            bad.append(BadRow(file, line, "", "holds a NUL character"))
        elif len(cells) == len(header):
            yield _Row(line, dict(zip(header, cells, strict=True)))
        else:
            bad.append(BadRow(file, line, "", f"has {len(cells)} fields, the header has {len(header)}"))


def _header_faults(header: Sequence[str], model: type[BaseModel]) -> Iterator[BadRow]:
    known = model.model_fields
    if not any(header):
        yield BadRow("", 1, "", "has no header")
        return
    for name in header:
        if name not in known:
            yield BadRow("", 1, name, f"is not a column of this file; those are {', '.join(known)}")
        elif header.count(name) > 1:
            yield BadRow("", 1, name, "is there twice")
    for name, info in known.items():
        if info.is_required() and name not in header:
            yield BadRow("", 1, name, "is missing in the header, and every row needs it")
