"""Roll-up and retention on a real database: buckets follow late rows, and nothing goes before everybody has read it."""

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg
import psycopg
import pytest

from ingest import ledger
from ingest.params import RollupParams
from ingest.rollup import retire, roll_up, run
from ingest.storage import measure
from sql.edition import apply_edition, keep
from sql.migrate import migrate
from sql.migration_files import read_migrations
from tests.ingest_city import until
from tests.servers import Database
from tests.service.storage_rows import commit_batch, rules_have_read

DAY = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
PARAMS = RollupParams(poll_s=0.05, retry_s=0.05)
TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
LONG_AGO = TODAY - timedelta(days=500)


@pytest.fixture(autouse=True)
async def apache(conn: asyncpg.Connection) -> None:
    if await conn.fetchval("SELECT edition FROM storage_edition") != "apache":
        pytest.skip("our own roll-up works in the Apache edition")


async def hours(conn: asyncpg.Connection, device_id: int = 1) -> list[tuple[datetime, int | None, int]]:
    query = "SELECT hour, index_ml, samples FROM reading_hourly WHERE device_id = $1 ORDER BY hour"
    return [tuple(row) for row in await conn.fetch(query, device_id)]


async def days(conn: asyncpg.Connection, device_id: int = 1) -> list[tuple[datetime, int | None, int | None, int]]:
    query = "SELECT day, first_index_ml, last_index_ml, samples FROM reading_daily WHERE device_id = $1 ORDER BY day"
    return [tuple(row) for row in await conn.fetch(query, device_id)]


async def test_buckets_have_the_register_where_they_end(pool: asyncpg.Pool, conn: asyncpg.Connection) -> None:
    """An hour has its last register, a day its first and last; marked values count as samples and not as registers."""
    await commit_batch(
        conn, [(1, DAY, 100), (1, DAY + HOUR / 2, 150), (1, DAY + HOUR, 200), (1, DAY + 2 * HOUR, 0, 2), (2, DAY, 7)]
    )
    done = await roll_up(pool, PARAMS)
    assert (done.batches, done.rows, done.hours, done.days) == (1, 5, 4, 2)
    assert await hours(conn) == [(DAY, 150, 2), (DAY + HOUR, 200, 1), (DAY + 2 * HOUR, None, 1)]
    assert await days(conn) == [(DAY, 100, 200, 4)]


async def test_a_wrapped_register_keeps_its_order(pool: asyncpg.Pool, conn: asyncpg.Connection) -> None:
    """Where the register returns to zero, the last value is the last in time, not the highest."""
    await commit_batch(conn, [(1, DAY, 9_990), (1, DAY + HOUR, 10)])
    await roll_up(pool, PARAMS)
    assert await days(conn) == [(DAY, 9_990, 10, 2)]


async def test_a_late_row_changes_its_own_buckets_only(pool: asyncpg.Pool, conn: asyncpg.Connection) -> None:
    """Rows that arrive for an old hour correct that hour and day; every other bucket is left untouched."""
    await commit_batch(conn, [(device, DAY + n * HOUR, 100 * n) for device in (1, 2) for n in range(30)])
    await roll_up(pool, PARAMS)
    before = await conn.fetch("SELECT ctid, * FROM reading_hourly ORDER BY device_id, hour")
    await commit_batch(
        conn, [(1, DAY + 3 * HOUR + timedelta(minutes=40), 333), (1, DAY + 40 * timedelta(days=1), 9_999)]
    )
    done = await roll_up(pool, PARAMS)
    after = await conn.fetch("SELECT ctid, * FROM reading_hourly ORDER BY device_id, hour")
    assert (done.hours, done.days) == (2, 2)
    assert (await hours(conn))[3] == (DAY + 3 * HOUR, 333, 2)
    changed = {(row["device_id"], row["hour"]) for row in set(after) - set(before)}
    assert changed == {(1, DAY + 3 * HOUR), (1, DAY + timedelta(days=40))}


async def test_rolling_up_again_changes_nothing(pool: asyncpg.Pool, conn: asyncpg.Connection) -> None:
    """A batch that is rolled up twice leaves the same rows, and writes none."""
    await commit_batch(conn, [(1, DAY + n * HOUR, n) for n in range(30)])
    await roll_up(pool, PARAMS)
    before = await hours(conn), await days(conn)
    await conn.execute("UPDATE rollup_cursor SET batch_id = 0")
    done = await roll_up(pool, PARAMS)
    assert (done.batches, done.hours, done.days) == (1, 0, 0)
    assert (await hours(conn), await days(conn)) == before


async def test_a_pass_is_bounded(pool: asyncpg.Pool, conn: asyncpg.Connection) -> None:
    """One transaction takes rows up to its limit; the next one goes on behind it, slot by slot."""
    first = await commit_batch(conn, [(1, DAY + n * HOUR, n) for n in range(800)])
    last = await commit_batch(conn, [(1, DAY + n * HOUR, n) for n in range(800, 1600)])
    other = await commit_batch(conn, [(2, DAY, 1)], slot="1")
    small = RollupParams(rows_max=1_000)
    assert (await roll_up(pool, small)).batches == 2
    assert dict(await conn.fetch("SELECT slot, batch_id FROM rollup_cursor")) == {"0": first, "1": other}
    assert (await roll_up(pool, small)).batches == 1
    assert dict(await conn.fetch("SELECT slot, batch_id FROM rollup_cursor")) == {"0": last, "1": other}
    assert (await roll_up(pool, small)).batches == 0


async def test_the_service_follows_new_batches(pool: asyncpg.Pool, conn: asyncpg.Connection) -> None:
    """While it runs, what ingest commits appears in the roll-ups."""
    task = asyncio.create_task(run(pool, PARAMS))
    try:
        for n in range(3):
            await commit_batch(conn, [(1, DAY + n * HOUR, n)])

            async def seen(n: int = n) -> bool:
                return len(await hours(conn)) == n + 1

            await until(seen)
    finally:
        task.cancel()
        await asyncio.wait({task})


async def test_only_one_process_rolls_up(pool: asyncpg.Pool, conn: asyncpg.Connection) -> None:
    """A second process finds the work taken and does nothing."""
    await commit_batch(conn, [(1, DAY, 1)])
    async with conn.transaction():
        assert await conn.fetchval("SELECT pg_try_advisory_xact_lock(hashtext('gaswarden.rollup'))")
        assert (await roll_up(pool, PARAMS)).batches == 0
    assert (await roll_up(pool, PARAMS)).batches == 1


# ---------------------------------------------------------------------------------------------- retention


async def test_old_readings_go_and_their_days_stay(pool: asyncpg.Pool, conn: asyncpg.Connection) -> None:
    """Chunks older than the retention are dropped once everybody read them; hours, days and younger readings remain."""
    await commit_batch(conn, [(1, LONG_AGO, 100), (1, LONG_AGO + HOUR, 200)])
    last = await commit_batch(conn, [(1, TODAY - timedelta(days=399), 300)])
    await roll_up(pool, PARAMS)
    await rules_have_read(conn, "0", last)
    assert (await retire(pool))["reading"] == 1
    assert await conn.fetchval("SELECT array_agg(index_ml) FROM reading") == [300]
    assert len(await hours(conn)) == 3
    assert (await days(conn))[0] == (LONG_AGO, 100, 200, 2)


@pytest.mark.parametrize("reader", ["roll-up", "rules"])
async def test_nothing_goes_before_everybody_read_it(pool: asyncpg.Pool, conn: asyncpg.Connection, reader: str) -> None:
    """While the roll-up or the rules are behind, neither the readings nor the batch go."""
    old = await commit_batch(conn, [(1, LONG_AGO, 100)], received_at=LONG_AGO)
    last = await commit_batch(conn, [(1, LONG_AGO + HOUR, 200)], received_at=LONG_AGO)
    if reader == "roll-up":
        await rules_have_read(conn, "0", last)
    else:
        await roll_up(pool, PARAMS)
        await rules_have_read(conn, "0", old - 1)
    assert await retire(pool) == {"reading": 0, "reading_hourly": 0, "batch": 0, "ledger": 0}
    await roll_up(pool, PARAMS)
    await rules_have_read(conn, "0", last)
    assert await retire(pool) == {"reading": 1, "reading_hourly": 0, "batch": 2, "ledger": 0}


async def test_a_row_for_a_retired_day_does_not_spoil_it(pool: asyncpg.Pool, conn: asyncpg.Connection) -> None:
    """A late row into a dropped chunk is stored, and the day's roll-up keeps what all its readings said."""
    last = await commit_batch(conn, [(1, LONG_AGO + n * HOUR, n) for n in range(24)])
    await roll_up(pool, PARAMS)
    await rules_have_read(conn, "0", last)
    await retire(pool)
    await commit_batch(conn, [(1, LONG_AGO + HOUR / 3, 5)])
    await roll_up(pool, PARAMS)
    assert await conn.fetchval("SELECT count(*) FROM reading") == 1
    assert await days(conn) == [(LONG_AGO, 0, 23, 24)]


async def test_the_ledger_still_proves_what_was_retired(
    db: Database, pool: asyncpg.Pool, conn: asyncpg.Connection
) -> None:
    """After batches and ledger days are gone, received = accounted for still holds, and a lost count still shows."""
    with psycopg.connect(db.admin_url, autocommit=True) as owner:
        keep(owner, "ledger", 400)
    await commit_batch(conn, [(1, LONG_AGO + n * HOUR, n) for n in range(5)], received_at=LONG_AGO)
    last = await commit_batch(conn, [(1, TODAY + n * HOUR, n) for n in range(5)], received_at=TODAY)
    await roll_up(pool, PARAMS)
    await rules_have_read(conn, "0", last)
    gone = await retire(pool)
    assert (gone["batch"], gone["ledger"]) == (1, 1)
    assert await ledger.ledger_against_batches(conn) == []
    assert await ledger.rows_against_batches(conn, LONG_AGO.date(), TODAY.date()) == []
    with psycopg.connect(db.admin_url, autocommit=True) as owner:
        owner.execute("UPDATE retired SET received = received - 1, stored = stored - 1 WHERE subject = 'batch'")
    assert len(await ledger.ledger_against_batches(conn)) == 1


async def test_retention_for_ever(db: Database, pool: asyncpg.Pool, conn: asyncpg.Connection) -> None:
    """What is kept for ever stays, however old and read."""
    with psycopg.connect(db.admin_url, autocommit=True) as owner:
        for subject in ("reading", "reading_hourly", "batch"):
            keep(owner, subject, None)
    last = await commit_batch(conn, [(1, LONG_AGO - timedelta(days=1000), 1)], received_at=LONG_AGO)
    await roll_up(pool, PARAMS)
    await rules_have_read(conn, "0", last)
    assert set((await retire(pool)).values()) == {0}


def test_too_short_a_retention_is_refused(db: Database) -> None:
    """Less than 90 days, or an unknown subject, is an error."""
    with psycopg.connect(db.admin_url, autocommit=True) as owner:
        with pytest.raises(ValueError, match="at least 90 days"):
            keep(owner, "reading", 89)
        with pytest.raises(ValueError, match="no retention of event"):
            keep(owner, "event", 365)


# ---------------------------------------------------------------------------------------------- sizes


async def test_storage_knows_its_tables(pool: asyncpg.Pool, conn: asyncpg.Connection) -> None:
    """Sizes, chunks and retention come from the database; growth counts the days that are there."""
    await commit_batch(conn, [(1, TODAY - timedelta(days=d), d) for d in range(3)])
    found = await measure(conn)
    reading = found.table("reading")
    assert reading is not None
    assert reading.chunks == 3
    assert reading.total_bytes == reading.table_bytes + reading.index_bytes > 0
    assert {one.name for one in found.indexes} >= {
        "reading_key",
        "reading_batch_idx",
        "reading_hourly_key",
        "batch_pkey",
    }
    assert found.compression_ratio is None
    assert found.keep_days == {"reading": 400, "reading_hourly": 800, "batch": 400, "ledger": None}
    assert found.waiting_batches == 1
    await roll_up(pool, PARAMS)
    assert (await measure(conn)).waiting_batches == 0


async def test_upgrading_fills_the_roll_ups(empty_db: Database, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A database of the first release gets its old readings rolled up after the migration, without losing one."""
    first = tmp_path_factory.mktemp("first")
    one = read_migrations()[0]
    (first / one.name).write_text(one.text)
    migrate(empty_db.admin_url, first)
    old = await asyncpg.connect(empty_db.url)
    await commit_batch(old, [(1, DAY + n * HOUR, n) for n in range(48)])
    seen = await old.fetch("SELECT device_id, hour, index_ml, samples FROM reading_hourly ORDER BY hour")
    await old.close()
    migrate(empty_db.admin_url)
    async with asyncpg.create_pool(empty_db.url, min_size=1) as pool:
        await roll_up(pool, PARAMS)
        query = "SELECT device_id, hour, index_ml, samples FROM reading_hourly ORDER BY hour"
        assert await pool.fetch(query) == seen


async def test_apache_shape_needs_no_change(db: Database) -> None:
    """Applying the edition to what the migrations made changes nothing on an Apache server."""
    with psycopg.connect(db.admin_url, autocommit=True) as owner:
        assert apply_edition(owner) == ()
