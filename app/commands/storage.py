"""`gaswarden storage`: what the data takes on disk, how long the disk lasts, how long what is kept."""

import shutil
from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import asyncpg
import psycopg
import typer

from app.commands.terminal import (
    JsonOption,
    WentWrong,
    console_actor,
    load,
    say,
    show_json,
    show_table,
    with_connection,
)
from app.embedded import default_directory
from app.settings import Settings
from ingest.storage import Storage, bytes_per_reading, measure, runway_days
from sql import audit, edition

storage = typer.Typer(invoke_without_command=True, help="What the data takes on disk, and how long what is kept.")
_GIGABYTE = 1_000_000_000
_LOCAL = {"127.0.0.1", "localhost", "::1"}


class Subject(StrEnum):
    """What has a retention."""

    READING = "reading"
    READING_HOURLY = "reading_hourly"
    BATCH = "batch"
    LEDGER = "ledger"


@storage.callback()
def storage_show(
    context: typer.Context,
    disk: Annotated[
        Path | None,
        typer.Option(help="Directory of the database's data on this machine; default: this clone's own server."),
    ] = None,
    free_gb: Annotated[
        float | None, typer.Option(min=0, help="Free disk of the database server in GB, when it is another machine.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show sizes by table and index, bytes per reading, compression, growth a day, and how many days the disk lasts.

    Exit codes: 0 shown, 1 the database does not answer, 2 wrong usage or settings.
    """
    if context.invoked_subcommand is not None:
        return
    found = with_connection(context, measure)
    free_bytes = int(free_gb * _GIGABYTE) if free_gb is not None else _free_bytes(load(context).settings, disk)
    runway = None if free_bytes is None else runway_days(found.growth, free_bytes)
    if as_json:
        show_json(_as_data(found, free_bytes, runway))
        return
    rows = [
        (t.name, _mb(t.table_bytes), _mb(t.index_bytes), _mb(t.total_bytes), t.chunks, t.rows, _round(t.bytes_per_row))
        for t in found.tables
        if t.chunks is not None or t.rows or t.total_bytes > _GIGABYTE / 1000
    ]
    show_table("Tables", ["table", "data MB", "indexes MB", "all MB", "chunks", "rows (about)", "bytes a row"], rows)
    show_table("Indexes", ["table", "index", "MB"], [(i.table, i.name, _mb(i.bytes)) for i in found.indexes[:12]])
    show_table("Storage", ["what", "value"], _facts(found, free_bytes, runway))


def _free_bytes(settings: Settings, disk: Path | None) -> int | None:
    """Free space where the database keeps its data; None when that is not on this machine or not known."""
    if disk is not None:
        if not disk.exists():
            raise typer.BadParameter(f"{disk} does not exist")
        return shutil.disk_usage(disk).free
    host = urlsplit(settings.database.url.get_secret_value()).hostname
    own = default_directory()
    return shutil.disk_usage(own).free if host in _LOCAL and own.exists() else None


def _facts(found: Storage, free_bytes: int | None, runway: float | None) -> list[tuple[str, str]]:
    growth = found.growth
    ratio = found.compression_ratio
    none = "not in this edition" if ratio is None else "nothing is converted yet"
    keep = ", ".join(
        f"{name} {'for ever' if days is None else f'{days} days'}" for name, days in found.keep_days.items()
    )
    return [
        ("server", f"PostgreSQL {found.postgresql}, TimescaleDB {found.timescaledb}, {found.edition} edition"),
        ("database", f"{_mb(found.database_bytes)} MB"),
        ("bytes per reading, roll-ups included", str(_round(bytes_per_reading(found.tables)) or "unknown")),
        ("compression ratio", ", ".join(f"{name} {value:.1f}" for name, value in (ratio or {}).items()) or none),
        (
            "growth a day",
            f"{growth.readings_per_day:,.0f} readings, {_mb(growth.bytes_per_day)} MB ({growth.days} days)",
        ),
        ("free disk", "unknown: use --disk or --free-gb" if free_bytes is None else f"{_mb(free_bytes)} MB"),
        ("disk lasts", "unknown" if runway is None else f"{runway:,.0f} days"),
        ("kept", f"{keep}, reading_daily for ever"),
        ("waiting for roll-up", f"{found.waiting_batches} batches"),
    ]


def _as_data(found: Storage, free_bytes: int | None, runway: float | None) -> dict[str, object]:
    return asdict(found) | {
        "bytes_per_reading": _round(bytes_per_reading(found.tables)),
        "free_bytes": free_bytes,
        "runway_days": _round(runway),
    }


def _mb(size: float) -> str:
    return f"{size / 1_000_000:,.1f}"


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


@storage.command("keep")
def storage_keep(
    context: typer.Context,
    subject: Annotated[Subject, typer.Argument(help="What is kept.")],
    days: Annotated[str, typer.Argument(help="Whole days, 90 or more, or `for-ever`.")],
) -> None:
    """Set how long something is kept, as the role of ADMIN_DATABASE_URL; older data is retired from the next hour on.

    Exit codes: 0 set, 1 the database does not answer or refuses, 2 wrong usage or settings.
    """
    if days != "for-ever" and not (days.isdecimal() and int(days) >= 90):
        raise typer.BadParameter("days must be a whole number of 90 or more, or for-ever")
    count = None if days == "for-ever" else int(days)
    with psycopg.connect(load(context).settings.database.migration_url, autocommit=True) as conn:
        try:
            edition.keep(conn, subject.value, count)
        except (ValueError, edition.EditionError) as error:
            raise WentWrong(str(error)) from None

    async def note(conn: asyncpg.Connection) -> None:
        async with conn.transaction():
            details = {"keep_days": count}
            await audit.record(
                conn, console_actor(), "storage.keep", f"storage:{subject.value}", details, datetime.now(UTC)
            )

    with_connection(context, note)
    say(f"{subject.value} is kept {'for ever' if count is None else f'for {count} days'}")
