"""Keeps the figures of days: counts anew, whole, each day that something changed for (docs/reports.md).

What changes a day's figures leaves a mark in its own transaction (triggers, sql/schema.sql). One transaction here, in
one snapshot, counts some marked days from scratch and takes away the marks it saw; a mark that is set meanwhile stays.
So the order in which outcomes, versions, corrections and passes commit does not matter, and whoever asks before the
pass came by has the marked days counted then (inspections/report_store.py).
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import asyncpg
import structlog

from inspections.params import RosterParams
from inspections.report_figures import Changed, split_kinds
from inspections.wallclock import local_day
from sql import queries
from sql.pool import DATABASE_LOST

log = structlog.get_logger()
_DAYS_AT_ONCE = 20
_DOORS_AT_ONCE = 2_000


async def run(pool: asyncpg.Pool, params: RosterParams) -> None:
    """Count what changed until cancelled; survives the loss of the database."""
    lost = False
    while True:
        try:
            await count_changes(pool, params.zone, datetime.now(UTC))
            if lost:
                log.info("database is back", service="counting")
            lost = False
        except asyncpg.TransactionRollbackError as error:  # another process counted the same: the next pass sees it
            log.info("counting rolled back", error=str(error))
        except DATABASE_LOST as error:
            if not lost:
                log.warning("database lost", service="counting", error=repr(error))
            lost = True
        await asyncio.sleep(params.count_every_s)


async def count_changes(pool: asyncpg.Pool, zone: ZoneInfo, at: datetime) -> int:
    """Count all days that changed, the newest first, a few in each transaction; returns how many.

    Visits of days that are not over change with every report: they are left to those who ask.
    """
    async with pool.acquire() as conn:
        await conn.execute(*queries["mark_days_of_other_zones"].bind(zone=zone.key))
    while await _spread_doors(pool):
        pass
    counted = 0
    while (days := await _count_some(pool, zone, at)) > 0:
        counted += days
    return counted


async def _spread_doors(pool: asyncpg.Pool) -> bool:
    """Whether some doors had another place or class and there may be more."""
    async with pool.acquire() as conn, conn.transaction():
        doors: int = await conn.fetchval(*queries["spread_door_marks"].bind(limit_rows=_DOORS_AT_ONCE))
        return doors > 0


async def _count_some(pool: asyncpg.Pool, zone: ZoneInfo, at: datetime) -> int:
    """One transaction; 0 when nothing is left, or another process is at it."""
    async with pool.acquire() as conn, conn.transaction(isolation="repeatable_read"):
        if not await conn.fetchval(*queries["lock_counts"].bind()):
            return 0
        days = await _countable(conn, zone, local_day(at, zone))
        if days:
            await _count(conn, days, zone, at)
        return len(days)


async def _countable(conn: asyncpg.Connection, zone: ZoneInfo, today: date) -> list[Changed]:
    rows = await conn.fetch(*queries["changed_days"].bind(zone=zone.key))
    changed = [Changed(row["kind"], row["day"]) for row in rows if row["kind"] == "due" or row["day"] < today]
    return sorted(changed, key=lambda one: (one.day, one.kind), reverse=True)[:_DAYS_AT_ONCE]


async def _count(conn: asyncpg.Connection, changed: Sequence[Changed], zone: ZoneInfo, at: datetime) -> None:
    named = {"kinds": [one.kind for one in changed], "days": [one.day for one in changed]}
    await conn.execute(*queries["prepare_figures"].bind())
    await conn.execute(*queries["take_marks"].bind(**named, zone=zone.key))
    await conn.execute(*queries["drop_place_counts"].bind(**named))
    await conn.execute(*queries["drop_inspector_counts"].bind(**named))
    await conn.execute(*queries["add_counts"].bind(**split_kinds(changed), zone=zone.key))
    await conn.execute(*queries["add_counted_days"].bind(**named, zone=zone.key, at=at))


@dataclass(frozen=True, slots=True)
class Recounted:
    """What counting some days from scratch showed."""

    days: int
    waiting: int  # changed since they were counted, so nothing is kept that could be wrong
    differing: tuple[Changed, ...]


async def recount(pool: asyncpg.Pool, zone: ZoneInfo, first: date, last: date) -> Recounted:
    """Count days from scratch beside what is kept of them; those that differ are marked, to be counted anew."""
    days = [first + timedelta(days=ahead) for ahead in range((last - first).days + 1)]
    async with pool.acquire() as conn, conn.transaction(isolation="repeatable_read"):
        await conn.execute(*queries["prepare_figures"].bind())
        rows = await conn.fetch(*queries["changed_days"].bind(zone=zone.key))
        waiting = {Changed(row["kind"], row["day"]) for row in rows if first <= row["day"] <= last}
        found = await conn.fetch(*queries["differing_days"].bind(days=days, zone=zone.key))
        differing = sorted({Changed(row["kind"], row["day"]) for row in found} - waiting, key=lambda one: one.day)
        kinds, marked = [one.kind for one in differing], [one.day for one in differing]
        await conn.execute(*queries["mark_days"].bind(kinds=kinds, days=marked))
    return Recounted(len(days), len(waiting), tuple(differing))
