"""The roll-up service: readings -> reading_hourly and reading_daily, and retirement of what is kept long enough.

In the Apache edition of TimescaleDB every batch that ingest commits is rolled up once, slot by slot, in order: hours
and days its rows lie in are computed anew from all their readings, so late rows correct old buckets and repeating a
batch changes nothing. In the community edition continuous aggregates do that; this service notes how far they have come
and retires.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg
import structlog
from prometheus_client import Counter, Gauge, Histogram

from ingest.params import RollupParams
from ingest.refreshing import Looks
from sql import queries

log = structlog.get_logger()

_LAG = Gauge("gaswarden_rollup_waiting_batches", "Committed batches that are not rolled up yet.")
_DATABASE_OK = Gauge("gaswarden_rollup_database_ok", "1 unless the last pass failed.")
_ROWS = Counter("gaswarden_rollup_rows", "Reading rows of batches rolled up.")
_BUCKETS = Counter("gaswarden_rollup_buckets", "Buckets written.", ["table"])
_RETIRED = Counter(
    "gaswarden_retired", "Chunks (reading, reading_hourly) and rows (batch, ledger) retired.", ["subject"]
)
_PASS_S = Histogram(
    "gaswarden_rollup_pass_seconds", "One roll-up transaction.", buckets=(0.01, 0.05, 0.25, 1, 5, 20, 60)
)

_DATABASE_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
_ACQUIRE_TIMEOUT_S = 10.0
_RETIRED_ROWS_AT_ONCE = 10_000


@dataclass(frozen=True, slots=True)
class Batch:
    """A committed batch: reading rows it brought and the device time they lie in (None without rows)."""

    batch_id: int
    reading_rows: int
    first_at: datetime | None
    last_at: datetime | None


@dataclass(frozen=True, slots=True)
class Done:
    """What a pass did: batches it put behind it, their reading rows, buckets it wrote."""

    batches: int = 0
    rows: int = 0
    hours: int = 0
    days: int = 0


async def run(pool: asyncpg.Pool, params: RollupParams) -> None:
    """Work until cancelled; survives restarts of the database (logged once lost, once back)."""
    failed = False
    retire_at_s = 0.0
    looks = Looks()
    while True:
        started_s = time.monotonic()
        try:
            done = await roll_up(pool, params)
            await follow_refreshes(pool, looks)
            if time.monotonic() >= retire_at_s:
                await retire(pool)
                retire_at_s = time.monotonic() + params.retire_every_s
        except _DATABASE_ERRORS as error:
            if not failed:
                log.warning("rollup_failed", why=repr(error))
            failed = True
            _DATABASE_OK.set(0)
            await asyncio.sleep(params.retry_s)
            continue
        if failed:
            log.info("rollup_back")
        failed = False
        _DATABASE_OK.set(1)
        rest_s = params.rest_share * (time.monotonic() - started_s)
        await asyncio.sleep(rest_s if done.batches else params.poll_s)


async def roll_up(pool: asyncpg.Pool, params: RollupParams) -> Done:
    """One transaction for each slot with waiting batches; nothing while another process is at it.

    Nothing in the community edition either.
    """
    async with pool.acquire(timeout=_ACQUIRE_TIMEOUT_S) as conn:
        facts = await conn.fetchrow(*queries["storage_facts"].bind())
        if facts["edition"] != "apache":
            return Done()
        await conn.execute(*queries["add_rollup_cursors"].bind())
        cursors = await conn.fetch(*queries["rollup_cursors"].bind())
        total = Done()
        for row in cursors:
            done = await roll_up_slot(conn, params, row["slot"])
            total = Done(
                total.batches + done.batches,
                total.rows + done.rows,
                total.hours + done.hours,
                total.days + done.days,
            )
        _LAG.set(await conn.fetchval(*queries["waiting_rollup_batches"].bind()))
        return total


async def follow_refreshes(pool: asyncpg.Pool, looks: Looks) -> dict[str, int]:
    """Community edition: move the cursors up to what refreshes of the daily aggregate have computed; returns them.

    Where nobody registered a refresh policy, whoever refreshes is not known, and what is committed counts as computed.
    """
    async with pool.acquire(timeout=_ACQUIRE_TIMEOUT_S) as conn, conn.transaction():
        facts = await conn.fetchrow(*queries["storage_facts"].bind())
        if facts["edition"] != "community":
            return {}
        await conn.execute(*queries["add_rollup_cursors"].bind())
        newest = await conn.fetch(*queries["newest_batches"].bind())
        batches = {row["slot"]: row["batch_id"] for row in newest if row["batch_id"] is not None}
        refresh = await conn.fetchrow(*queries["daily_refresh"].bind())
        if refresh is None:
            held = batches
        else:
            held = looks.refreshed(refresh["began_at"])
            if newest:
                looks.note(newest[0]["seen_at"], batches)
        for slot, batch_id in held.items():
            await conn.execute(*queries["pass_rollup_cursor"].bind(slot=slot, batch_id=batch_id))
        _LAG.set(await conn.fetchval(*queries["waiting_rollup_batches"].bind()))
        return held


async def roll_up_slot(conn: asyncpg.Connection, params: RollupParams, slot: str) -> Done:
    """Roll up the next batches of a slot, within the limits of `params`, and move its cursor, in one transaction."""
    started_s = time.monotonic()
    async with conn.transaction():
        if not await conn.fetchval(*queries["claim_rollup"].bind()):
            return Done()
        cursor = await conn.fetchval(*queries["rollup_cursor_of"].bind(slot=slot))
        batches = within(await waiting_batches(conn, slot, cursor, params.batches_max), params.rows_max)
        if not batches:
            return Done()
        hours, days = 0, 0
        for group in groups(batches):
            written = await roll_up_batches(conn, group, params.timeout_s)
            hours, days = hours + written[0], days + written[1]
        await conn.execute(*queries["advance_rollup_cursor"].bind(slot=slot, batch_id=batches[-1].batch_id))
    rows = sum(batch.reading_rows for batch in batches)
    _PASS_S.observe(time.monotonic() - started_s)
    _ROWS.inc(rows)
    _BUCKETS.labels("reading_hourly").inc(hours)
    _BUCKETS.labels("reading_daily").inc(days)
    return Done(len(batches), rows, hours, days)


async def waiting_batches(conn: asyncpg.Connection, slot: str, batch_id: int, batches_max: int) -> list[Batch]:
    """The next batches of a slot after one, oldest first."""
    query = queries["batches_to_roll_up"]
    rows = await conn.fetch(*query.bind(slot=slot, batch_id=batch_id, batches_max=batches_max))
    return [Batch(row["batch_id"], row["reading_rows"], row["first_at"], row["last_at"]) for row in rows]


def within(batches: Sequence[Batch], rows_max: int) -> list[Batch]:
    """The first batches that together have at most `rows_max` reading rows, and at least one."""
    rows = 0
    for position, batch in enumerate(batches):
        rows += batch.reading_rows
        if rows > rows_max and position:
            return list(batches[:position])
    return list(batches)


def groups(batches: Sequence[Batch]) -> Iterator[list[Batch]]:
    """Batches whose rows lie in the same days, together: one statement each.

    A batch with rows from long ago stays alone, so that the others are not looked for in old chunks. Batches without
    readings are left out.
    """
    narrow: list[Batch] = []
    for batch in batches:
        if batch.first_at is None or batch.last_at is None or not batch.reading_rows:
            continue
        if (batch.last_at - batch.first_at).days >= _NARROW_DAYS:
            yield [batch]
        elif narrow and not _near(narrow, batch):
            yield narrow
            narrow = [batch]
        else:
            narrow.append(batch)
    if narrow:
        yield narrow


_NARROW_DAYS = 4


def _near(group: Sequence[Batch], batch: Batch) -> bool:
    firsts = [one.first_at for one in (*group, batch) if one.first_at is not None]
    lasts = [one.last_at for one in (*group, batch) if one.last_at is not None]
    return (max(lasts) - min(firsts)).days < _NARROW_DAYS


async def roll_up_batches(
    conn: asyncpg.Connection, group: Sequence[Batch], timeout_s: float = 600.0
) -> tuple[int, int]:
    """Compute the buckets anew that rows of these batches lie in; returns (hours, days) written."""
    ids = [batch.batch_id for batch in group]
    row = await conn.fetchrow(
        *queries["roll_up_batches"].bind(
            batch_ids=ids,
            first_id=min(ids),
            last_id=max(ids),
            first_at=min(batch.first_at for batch in group if batch.first_at is not None),
            last_at=max(batch.last_at for batch in group if batch.last_at is not None),
        ),
        timeout=timeout_s,
    )
    return row["hours"], row["days"]


async def retire(pool: asyncpg.Pool) -> dict[str, int]:
    """Retire what is older than its retention and past every reader; returns how much of each subject.

    Chunks of readings are dropped one subject at a time, rows of batch and ledger in small transactions.
    """
    gone: dict[str, int] = {}
    async with pool.acquire(timeout=_ACQUIRE_TIMEOUT_S) as conn:
        for table in ("reading", "reading_hourly"):
            gone[table] = await conn.fetchval(*queries["retire_readings"].bind(table_name=table), timeout=600.0)
        for subject in ("batch", "ledger"):
            gone[subject] = 0
            while count := await conn.fetchval(*queries[_RETIRING[subject]].bind(rows_max=_RETIRED_ROWS_AT_ONCE)):
                gone[subject] += count
    for subject, count in gone.items():
        _RETIRED.labels(subject).inc(count)
    if any(gone.values()):
        log.info("retired", **gone)
    return gone


_RETIRING = {"batch": "retire_batches", "ledger": "retire_ledger"}
