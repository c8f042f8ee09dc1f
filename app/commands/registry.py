"""`gaswarden import registry`: districts, buildings, premises, devices and people from CSV files."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import asyncpg
import typer
from rich.progress import Progress, TextColumn, TimeElapsedColumn

from app.commands.terminal import (
    JsonOption,
    WentWrong,
    console_actor,
    error_console,
    say,
    show_json,
    show_table,
    with_connection,
)
from app.importer import ImportRefused, ImportReport, import_folder

_BAD_ROWS_SHOWN = 200


def import_registry(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="Folder with districts.csv, compounds.csv, ... (docs/operations.md).")],
    strict: Annotated[bool, typer.Option("--strict", help="All rows or none.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Import the registry from CSV files; importing the same files again changes nothing.

    Every bad row is told with file, line, column and reason; the others are imported, with --strict none.
    Exit codes: 0 all rows imported, 1 rows were refused, 2 wrong usage or settings.
    """

    async def work(conn: asyncpg.Connection) -> ImportReport:
        with Progress(
            TextColumn("{task.description}"), TimeElapsedColumn(), console=error_console, transient=True
        ) as shown:
            task = shown.add_task("reading", total=None)

            def progress(file: str, rows: int) -> None:
                shown.update(task, description=f"{file}: {rows:,} rows")

            return await import_folder(
                conn, folder, console_actor(), datetime.now(UTC), strict=strict, progress=progress
            )

    try:
        report = with_connection(context, work)
    except ImportRefused as error:
        raise WentWrong(str(error)) from error
    _show_json_report(report) if as_json else _show_report(report)
    if report.bad:
        kept = "the others are imported" if report.saved else "nothing is imported (--strict)"
        raise WentWrong(f"{len(report.bad)} refused; {kept}")


def _show_json_report(report: ImportReport) -> None:
    files = [
        {name: getattr(one, name) for name in ("file", "rows", "added", "changed", "same")} for one in report.files
    ]
    bad = [{"file": one.file, "line": one.line, "column": one.column, "reason": one.reason} for one in report.bad]
    show_json({"saved": report.saved, "files": files, "refused": bad})


def _show_report(report: ImportReport) -> None:
    columns = ["file", "rows", "added", "changed", "same"]
    show_table(
        "Import" if report.saved else "Not imported: what it would have been",
        columns,
        [[getattr(one, column) for column in columns] for one in report.files],
    )
    for one in report.bad[:_BAD_ROWS_SHOWN]:
        say(f"{one.file}:{one.line}: {one.column + ': ' if one.column else ''}{one.reason}")
    if len(report.bad) > _BAD_ROWS_SHOWN:
        say(f"... and {len(report.bad) - _BAD_ROWS_SHOWN} more; --json lists them all")
