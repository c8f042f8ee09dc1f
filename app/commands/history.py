"""`gaswarden import readings`: old readings from CSV or Parquet files, so that a utility can move in."""

import asyncio
import csv
import sys
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from app.commands.terminal import (
    JsonOption,
    WentWrong,
    connection,
    console_actor,
    error_console,
    load,
    say,
    show_json,
    show_table,
)
from app.settings import Settings
from ingest.history import HistoryReport, import_file
from ingest.history_file import HistoryRefused, Sniffed, sniff
from ingest.history_file import Progress as Position
from ingest.history_rows import HistoryOptions, check_timezone
from sql import audit

_SHOWN_BAD_ROWS = 20
_STATEMENT_TIMEOUT_S = 1_800.0  # 50,000 rows of one meter lie in some 2,000 chunks, which the first import makes


class Unit(StrEnum):
    """Units of volume."""

    M3 = "m3"
    L = "l"
    ML = "ml"


class Kind(StrEnum):
    """What a value is: the register, or the volume of one interval."""

    CUMULATIVE = "cumulative"
    INTERVAL = "interval"


class Stamp(StrEnum):
    """Which end of its interval an interval's time names."""

    END = "end"
    START = "start"


def import_readings(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(exists=True, dir_okay=False, help="CSV or Parquet files.")],
    device_column: Annotated[str | None, typer.Option(help="Column of the device's code.")] = None,
    device: Annotated[
        str | None, typer.Option(help="All rows are of this device: the file has no column for it.")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN=VALUE", help="Only rows with this value in that column; may be given again."),
    ] = None,
    time_column: Annotated[str | None, typer.Option(help="Column of the time; `date+time` joins two.")] = None,
    value_column: Annotated[str | None, typer.Option(help="Column of the volume.")] = None,
    unit: Annotated[
        Unit | None, typer.Option(help="Unit of the volume; default: the column's ending, as in index_m3.")
    ] = None,
    kind: Annotated[
        Kind | None, typer.Option(help="What a value is; asked for when the column looks like intervals.")
    ] = None,
    timezone: Annotated[str | None, typer.Option(help="Zone of times that name none; default: the city's.")] = None,
    family: Annotated[str, typer.Option(help="Family of the devices' codes.")] = "native",
    decimal: Annotated[str | None, typer.Option(help="Decimal sign, `.` or `,`; default: what the file shows.")] = None,
    delimiter: Annotated[str | None, typer.Option(help="Sign between columns; default: what the header shows.")] = None,
    time_format: Annotated[
        str | None, typer.Option(help="Form of the time, e.g. %d/%m/%Y %H:%M; default: known ones.")
    ] = None,
    stamp: Annotated[Stamp, typer.Option(help="Which end of its interval a row's time names.")] = Stamp.END,
    interval_minutes: Annotated[int | None, typer.Option(min=1, max=44640, help="Length of an interval.")] = None,
    bad_rows: Annotated[
        Path | None, typer.Option(help="CSV file that gets every row not imported, with its reason.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Import old readings of registered devices; repeats harmlessly, goes on where an interrupted import ended.

    Rules see them as late data: recorded, nobody is paged about last year. Rows that cannot be imported are told by
    line and reason.

    Exit codes: 0 everything is imported, 1 some rows or a whole file is not, 2 wrong usage or settings.
    """
    settings = load(context).settings
    _check(timezone, decimal, stamp, interval_minutes)
    wanted = (device_column, time_column, value_column)
    chosen = _only(only or [])
    if device is not None and device_column is not None:
        raise typer.BadParameter("--device or --device-column, not both")
    reports: list[HistoryReport] = []
    bad: list[tuple[str, int, str]] = []
    with ExitStack() as stack:
        writer = None
        if bad_rows is not None:
            writer = csv.writer(stack.enter_context(bad_rows.open("w", encoding="utf-8", newline="")))
            writer.writerow(("file", "line", "reason"))
        bar = stack.enter_context(_bar())

        for path in files:
            task = bar.add_task(path.name, total=None)

            def moved(at: Position, task: int = task) -> None:
                bar.update(task, completed=at.done, total=at.total)  # type: ignore[arg-type]

            def refused(row: tuple[int, str], name: str = path.name) -> None:
                if writer is not None:
                    writer.writerow((name, *row))
                if len(bad) < _SHOWN_BAD_ROWS:
                    bad.append((name, *row))

            try:
                sniffed = sniff(path, wanted, delimiter, one_device=device, only=chosen)
                options = HistoryOptions(
                    unit=_unit(unit, sniffed, path),
                    kind=_kind(kind, sniffed, path),
                    timezone=timezone or settings.roster.city_timezone,
                    family=family,
                    decimal=decimal or sniffed.decimal,  # type: ignore[arg-type]
                    stamp=stamp.value,
                    interval_minutes=interval_minutes,
                    time_format=time_format,
                )
                reports.append(asyncio.run(_import(settings, path, sniffed, options, refused, moved)))
            except HistoryRefused as error:
                raise WentWrong(f"{path.name}: {error}") from None
    _show(reports, bad, as_json=as_json)
    sys.exit(1 if any(report.refused for report in reports) else 0)


def _check(timezone: str | None, decimal: str | None, stamp: Stamp, interval_minutes: int | None) -> None:
    if timezone is not None:
        try:
            check_timezone(timezone)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
    if decimal not in {None, ".", ","}:
        raise typer.BadParameter("the decimal sign is . or ,")
    if stamp is Stamp.START and interval_minutes is None:
        raise typer.BadParameter("--stamp start needs --interval-minutes")


def _only(words: list[str]) -> list[tuple[str, str]]:
    """Columns and the values that rows must have there."""
    pairs = [word.partition("=") for word in words]
    if any(not sign for _, sign, _ in pairs):
        raise typer.BadParameter("--only is COLUMN=VALUE, e.g. --only Unit=m³")
    return [(name, value) for name, _, value in pairs]


def _unit(unit: Unit | None, sniffed: Sniffed, path: Path) -> Literal["m3", "l", "ml"]:
    if unit is not None:
        return unit.value
    if sniffed.unit is None:
        raise HistoryRefused(f"{path.name}: column {sniffed.columns.value} does not tell its unit; give --unit")
    return sniffed.unit


def _kind(kind: Kind | None, sniffed: Sniffed, path: Path) -> Literal["cumulative", "interval"]:
    if kind is not None:
        return kind.value
    if sniffed.kind is not None:
        raise HistoryRefused(
            f"{path.name}: column {sniffed.columns.value} looks like volumes of intervals; say which with --kind"
        )
    return "cumulative"


async def _import(
    settings: Settings,
    path: Path,
    sniffed: Sniffed,
    options: HistoryOptions,
    refused: Callable[[tuple[int, str]], None],
    moved: Callable[[Position], None],
) -> HistoryReport:
    async with connection(settings, command_timeout_s=_STATEMENT_TIMEOUT_S) as conn:
        report = await import_file(conn, path, sniffed, options, on_bad=refused, on_progress=moved)
        if report.state == "imported":
            async with conn.transaction():
                details = {"file": path.name, "rows": report.rows, "refused": report.refused, **report.counts}
                await audit.record(conn, console_actor(), "readings.import", "readings", details, datetime.now(UTC))
        return report


def _show(reports: list[HistoryReport], bad: list[tuple[str, int, str]], *, as_json: bool) -> None:
    rows = [
        {
            "file": one.name,
            "state": one.state,
            "rows": one.rows,
            "resumed_at": one.resumed_at,
            **{kind: one.counts[kind] for kind in ("stored", "late", "duplicate", "conflict")},
            "refused": one.refused,
            "left_out": one.left_out,
            "first_at": one.first_at,
            "last_at": one.last_at,
        }
        for one in reports
    ]
    if as_json:
        show_json({"files": rows, "bad_rows": [{"file": name, "line": line, "reason": why} for name, line, why in bad]})
        return
    show_table("Imported", list(rows[0]), [tuple(row.values()) for row in rows])
    if bad:
        show_table("Rows not imported (the first; all with --bad-rows)", ["file", "line", "reason"], bad)
    if any(one.state == "already" for one in reports):
        say("a file whose content was imported before is not read again")


def _bar() -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=error_console, disable=not error_console.is_terminal)
