"""Findings beside real rows: they follow what arrives late, and no reading is ever touched."""

import random
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from ingest.params import RollupParams
from ingest.rollup import roll_up
from ingest.validating import Judged, validate
from ingest.validation_params import ValidationParams
from tests.ingest_city import register
from tests.servers import Database
from tests.service.storage_rows import commit_batch

T0 = datetime(2026, 3, 1, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
PARAMS = ValidationParams()


@pytest.fixture
async def meter(db: Database, conn: asyncpg.Connection) -> int:
    """A meter of Qmax 6000 L/h and a report a day."""
    register(db.admin_url)
    device_id: int = await conn.fetchval("SELECT device_id FROM device WHERE code = 'M-GW-1-0'")
    return device_id


async def judge(pool: asyncpg.Pool) -> Judged:
    """Everything that waits is rolled up and judged."""
    while (await roll_up(pool, RollupParams())).batches:
        pass
    total = Judged()
    while (done := await validate(pool, PARAMS)).batches:
        total = total.plus(done)
    return total


async def holding(conn: asyncpg.Connection) -> list[tuple[datetime, str, str]]:
    query = "SELECT at, scope, rule FROM reading_validation WHERE withdrawn_at IS NULL ORDER BY at, scope, rule"
    return [tuple(row) for row in await conn.fetch(query)]


async def test_a_late_reading_turns_a_step_into_a_spike(
    meter: int, pool: asyncpg.Pool, conn: asyncpg.Connection
) -> None:
    """The newest value looks implausible; the next one shows that it was a spike: the first finding is withdrawn."""
    await commit_batch(conn, [(meter, T0, 1_000), (meter, T0 + HOUR, 90_000_000)])
    assert (await judge(pool)).found == 1
    assert await holding(conn) == [(T0 + HOUR, "reading", "implausible_step")]
    await commit_batch(conn, [(meter, T0 + 2 * HOUR, 2_000)])
    done = await judge(pool)
    assert (done.found, done.withdrawn) == (1, 1)
    assert await holding(conn) == [(T0 + HOUR, "reading", "spike")]
    row = await conn.fetchrow("SELECT index_ml, flags FROM reading WHERE at = $1", T0 + HOUR)
    assert tuple(row or ()) == (90_000_000, 0)


async def test_a_gap_that_is_filled_late_was_never_missing(
    meter: int, pool: asyncpg.Pool, conn: asyncpg.Connection
) -> None:
    """A day that arrives late withdraws what was said of its absence, and the history of that stays."""
    await commit_batch(conn, [(meter, T0, 1_000), (meter, T0 + 3 * DAY, 2_000)])
    await judge(pool)
    assert await holding(conn) == [(T0 + 3 * DAY, "reading", "missing")]
    await commit_batch(conn, [(meter, T0 + n * DAY, 1_000 + n) for n in (1, 2)])
    await judge(pool)
    assert await holding(conn) == []
    assert await conn.fetchval("SELECT count(*) FROM reading_validation WHERE withdrawn_at IS NOT NULL") == 1


async def test_values_marked_unknown_are_not_judged(meter: int, pool: asyncpg.Pool, conn: asyncpg.Connection) -> None:
    """A value that ingest marked unknown neither is a fall nor makes the next one a step."""
    await commit_batch(conn, [(meter, T0, 50_000_000), (meter, T0 + HOUR, 0, 2), (meter, T0 + 2 * HOUR, 50_000_100)])
    await judge(pool)
    assert await holding(conn) == []


async def test_days_are_compared_with_the_days_before(meter: int, pool: asyncpg.Pool, conn: asyncpg.Connection) -> None:
    """A day of nine times the use of any recent one is high, in words of its own; its neighbours are not."""
    totals = [600_000 * n for n in range(20)]
    await commit_batch(conn, [(meter, T0 + n * DAY, total) for n, total in enumerate(totals)])
    await commit_batch(conn, [(meter, T0 + 20 * DAY, totals[-1] + 5_400_000)])
    await judge(pool)
    assert await holding(conn) == [(T0 + 20 * DAY, "day", "high")]
    detail = await conn.fetchval("SELECT detail FROM reading_validation")
    assert (detail["used_ml"], detail["highest_ml"]) == (5_400_000, 600_000)


async def test_judging_twice_changes_nothing(meter: int, pool: asyncpg.Pool, conn: asyncpg.Connection) -> None:
    """A cursor that goes back, after a restored backup say, finds the same again and writes nothing."""
    await commit_batch(conn, [(meter, T0, 1_000), (meter, T0 + HOUR, 500), (meter, T0 + 5 * DAY, 501)])
    first = await judge(pool)
    before = await conn.fetch("SELECT xmin, * FROM reading_validation ORDER BY finding_id")
    await conn.execute("UPDATE validation_cursor SET batch_id = 0")
    again = await judge(pool)
    assert (first.found, again.found, again.withdrawn) == (len(before), 0, 0)
    assert await conn.fetch("SELECT xmin, * FROM reading_validation ORDER BY finding_id") == before


@pytest.mark.parametrize("seed", range(4))
async def test_the_order_of_arrival_changes_nothing(
    meter: int, pool: asyncpg.Pool, conn: asyncpg.Connection, seed: int
) -> None:
    """A month of a register with every kind of fault, in batches of any size and order, ends in the same findings."""
    draw = random.Random(seed)
    rows, total = [], 100_000
    for hour in range(0, 24 * 30, 3):
        total += draw.choice([0, 0, 10_000, 50_000, 30_000_000])
        wrong = draw.choice([None] * 8 + [0, total - 40_000, total + 70_000_000])
        if draw.random() > 0.1:
            rows.append((meter, T0 + hour * HOUR, total if wrong is None else wrong))
    await commit_batch(conn, rows)
    await judge(pool)
    query = "SELECT at, scope, rule, detail::text FROM reading_validation WHERE withdrawn_at IS NULL ORDER BY 1, 2, 3"
    whole = [tuple(row) for row in await conn.fetch(query)]
    assert {rule for _, _, rule, _ in whole} >= {"spike", "backwards", "past_memory_zero"}
    other = await conn.fetchval("SELECT device_id FROM device WHERE code = 'M-GW-1-1'")
    draw.shuffle(rows)
    while rows:
        size = draw.randint(1, 40)
        await commit_batch(conn, [(other, at, index_ml) for _, at, index_ml in rows[:size]])
        rows = rows[size:]
        await judge(pool)
    query = query.replace("WHERE", f"WHERE device_id = {other} AND")
    assert [tuple(row) for row in await conn.fetch(query)] == whole


async def test_it_waits_for_the_roll_up(meter: int, pool: asyncpg.Pool, conn: asyncpg.Connection) -> None:
    """In the Apache edition a batch is judged after its days are rolled up, and not before."""
    if await conn.fetchval("SELECT edition FROM storage_edition") != "apache":
        pytest.skip("continuous aggregates are never behind")
    await commit_batch(conn, [(meter, T0, 1_000), (meter, T0 + HOUR, 500)])
    assert await validate(pool, PARAMS) == Judged()
    await roll_up(pool, RollupParams())
    assert (await validate(pool, PARAMS)).found == 1
