"""The community edition's shape, on a server that has that edition; skipped on any other."""

import random
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import asyncpg
import psycopg
import pytest

from ingest.params import RollupParams
from ingest.rollup import retire, roll_up
from ingest.storage import bytes_per_reading, measure
from sql import queries
from sql.edition import apply_edition, keep
from sql.migrate import migrate
from sql.migration_files import read_migrations
from tests.ingest_city import NOW, ledger_totals, reading, register, topic, until, working
from tests.publisher import Publisher
from tests.servers import Broker, Database
from tests.service.storage_rows import commit_batch, rules_have_read

Value = TypeVar("Value", int, float)

TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
DAY = TODAY - timedelta(days=40)
HOUR = timedelta(hours=1)
COMPRESS = "SELECT compress_chunk(c) FROM show_chunks('reading') c"
REFRESH = "CALL refresh_continuous_aggregate('reading_daily_live', %s, %s)"
HOURS = "SELECT device_id, hour, index_ml, flow_lh, pressure_pa, lel_pct, samples FROM {} ORDER BY 1, 2"
DAYS = "SELECT device_id, day, first_index_ml, last_index_ml, pressure_pa, lel_pct, samples FROM {} ORDER BY 1, 2"


@pytest.fixture(autouse=True)
async def community(conn: asyncpg.Connection) -> None:
    if await conn.fetchval("SELECT current_setting('timescaledb.license')") != "timescale":
        pytest.skip("this server has no community edition of TimescaleDB")


def migrations_alone(db: Database, folder: Path) -> None:
    """What an Apache server's `gaswarden migrate` leaves: the migrations, without any edition's statements."""
    for one in read_migrations():
        (folder / one.name).write_text(one.text)
    migrate(db.admin_url, folder)
    shutil.rmtree(folder)


def run_jobs(owner: psycopg.Connection, name: str) -> None:
    """Run the jobs of a policy now, as the server's scheduler does."""
    for (job,) in owner.execute(
        "SELECT job_id FROM timescaledb_information.jobs WHERE proc_name = %s ORDER BY 1", (name,)
    ).fetchall():
        owner.execute(f"CALL run_job({int(job)})".encode())


async def add_many(conn: asyncpg.Connection, *, seed: int, batch_id: int, days: int = 3) -> None:
    """Readings of 20 devices over some days from DAY on: odd minutes, gaps, marks, every value at times missing."""
    chance = random.Random(seed)

    def maybe(value: Value) -> Value | None:
        return None if chance.random() < 0.3 else value

    records = [
        (
            device,
            DAY + timedelta(minutes=minute),
            maybe(chance.randrange(10**9)),
            maybe(chance.random() * 900),
            maybe(chance.randrange(1500, 2500)),
            maybe(chance.random() * 30),
            chance.choice((0, 0, 0, 2)),
            batch_id,
        )
        for device in range(1, 21)
        for minute in chance.sample(range(days * 1440), 150)
    ]
    columns = ("device_id", "at", "index_ml", "flow_lh", "pressure_pa", "lel_pct", "flags", "batch_id")
    await conn.copy_records_to_table("reading", records=records, columns=columns)


async def test_late_rows_reach_compressed_chunks_and_views(
    db: Database, pool: asyncpg.Pool, conn: asyncpg.Connection
) -> None:
    """A row for a converted chunk is stored once, refused as a repeat, and its day follows at the next refresh."""
    await commit_batch(conn, [(1, DAY + timedelta(hours=n), n) for n in range(20)])
    with psycopg.connect(db.admin_url, autocommit=True) as owner:
        owner.execute(COMPRESS)
        assert (await measure(conn)).compression_ratio
        await commit_batch(conn, [(1, DAY + timedelta(hours=21), 21)])
        with pytest.raises(asyncpg.UniqueViolationError):
            await commit_batch(conn, [(1, DAY + timedelta(hours=3), 3)])
        owner.execute(REFRESH, (DAY, DAY + timedelta(days=2)))
    row = await conn.fetchrow(
        "SELECT day, first_index_ml, last_index_ml, samples FROM reading_daily WHERE device_id = 1"
    )
    assert tuple(row) == (DAY, 0, 21, 21)
    assert (await roll_up(pool, RollupParams())).batches == 0


async def test_ingest_writes_into_compressed_chunks(db: Database, pool: asyncpg.Pool, broker: Broker) -> None:
    """Messages about converted days get the dispositions they would have got before: by COPY, and row by row."""
    register(db.admin_url)
    old = NOW - timedelta(days=3)

    async def received(count: int) -> bool:
        return (await ledger_totals(pool))["received"] == count

    first = [(topic(), reading(seq=n, at=old + n * HOUR / 2, index_ml=100 * n)) for n in range(1, 21)]
    late = [(topic(), reading(seq=n, at=old + n * HOUR / 2 + HOUR / 4, index_ml=100 * n + 50)) for n in range(1, 11)]
    more = [(topic(), reading(seq=n, at=old + n * HOUR / 2 + HOUR / 4, index_ml=100 * n + 50)) for n in range(11, 21)]
    contradicting = [(topic(), reading(seq=5, at=old + 5 * HOUR / 2, index_ml=501))]
    async with working(pool, broker.url, batch={"age_max_s": 0.3}):
        with Publisher(broker.host, broker.port, broker.gateway("GW-1")) as gateway:
            gateway.publish(first)
            await until(lambda: received(20))
            with psycopg.connect(db.admin_url, autocommit=True) as owner:
                owner.execute(COMPRESS)
            gateway.publish(late)  # new rows only: COPY
            await until(lambda: received(30))
            gateway.publish([*first[:5], *late[:5], *more, *contradicting])  # of each kind: the staging table
            await until(lambda: received(51))
    totals = await ledger_totals(pool)
    assert totals == {"received": 51, "stored": 0, "duplicate": 10, "late": 40, "conflict": 1, "quarantined": 0}
    rows = await pool.fetch("SELECT at, index_ml FROM reading ORDER BY at")
    expected = [(old + n * HOUR / 2, 100 * n) for n in range(1, 21)]
    assert [tuple(row) for row in rows] == sorted(expected + [(at + HOUR / 4, ml + 50) for at, ml in expected])


async def test_same_numbers_as_our_own_roll_up(db: Database, conn: asyncpg.Connection) -> None:
    """The same readings, late ones in a converted chunk included, give the same hours and days in both shapes."""
    await add_many(conn, seed=1, batch_id=1)
    with psycopg.connect(db.admin_url, autocommit=True) as owner:
        run_jobs(owner, "policy_refresh_continuous_aggregate")
        owner.execute(COMPRESS)
        late = [(device, DAY + timedelta(hours=30, seconds=7), 5 * device) for device in range(1, 21)]
        await commit_batch(conn, late)
        run_jobs(owner, "policy_refresh_continuous_aggregate")
        batch_id = await conn.fetchval("SELECT max(batch_id) FROM batch")
        admin = await asyncpg.connect(db.admin_url)
        text = queries["roll_up_batches"].text
        own = text.replace("INTO reading_hourly", "INTO reading_hourly_own").replace(
            "INTO reading_daily", "INTO reading_daily_own"
        )
        await admin.execute("SELECT set_config('search_path', 'public', false)")
        done = await admin.fetchrow(own, [1, batch_id], 1, batch_id, DAY, DAY + timedelta(days=3))
        await admin.close()
    hours, days = await conn.fetch(HOURS.format("reading_hourly")), await conn.fetch(DAYS.format("reading_daily"))
    assert (len(hours), len(days)) == (done["hours"], done["days"]) == (len(hours), 60)
    assert hours == await conn.fetch(HOURS.format("reading_hourly_own"))
    assert days == await conn.fetch(DAYS.format("reading_daily_own"))


async def test_policies_follow_the_retention(db: Database, conn: asyncpg.Connection) -> None:
    """The window of refreshes ends short of what is dropped, also after the retention changed; repeats harmlessly."""
    with psycopg.connect(db.admin_url, autocommit=True) as owner:
        keep(owner, "reading", 200)
        assert apply_edition(owner) == ("policies.sql",)
    rows = await conn.fetch(
        "SELECT config ->> 'start_offset' AS start FROM timescaledb_information.jobs"
        " WHERE proc_name = 'policy_refresh_continuous_aggregate'"
    )
    assert [row["start"] for row in rows] == ["190 days", "190 days"]


async def test_retired_readings_leave_their_roll_ups(
    db: Database, pool: asyncpg.Pool, conn: asyncpg.Connection
) -> None:
    """Readings in converted chunks are retired; their hours and days stay, even when more is kept from then on."""
    long_ago = TODAY - timedelta(days=300)
    last = await commit_batch(conn, [(1, at + n * HOUR, n) for at in (long_ago, DAY) for n in range(24)])
    await rules_have_read(conn, "0", last)
    with psycopg.connect(db.admin_url, autocommit=True) as owner:
        run_jobs(owner, "policy_refresh_continuous_aggregate")
        run_jobs(owner, "policy_compression")
        before = await conn.fetch(HOURS.format("reading_hourly")), await conn.fetch(DAYS.format("reading_daily"))
        keep(owner, "reading", 100)
        assert (await retire(pool))["reading"] == 1
        for days in (800, None):
            keep(owner, "reading", days)
            stray = (2, long_ago + timedelta(minutes=days or 1), 7)  # asks for its hour to be computed again
            await commit_batch(conn, [stray])
            run_jobs(owner, "policy_refresh_continuous_aggregate")
        run_jobs(owner, "policy_compression")
    assert await conn.fetchval("SELECT count(*) FROM reading WHERE device_id = 1") == 24
    assert (len(before[0]), len(before[1])) == (48, 2)
    after = await conn.fetch(HOURS.format("reading_hourly")), await conn.fetch(DAYS.format("reading_daily"))
    assert after == before


async def test_old_hours_are_retired(db: Database, pool: asyncpg.Pool, conn: asyncpg.Connection) -> None:
    """Hours go by their own retention, converted or not; days stay for ever."""
    last = await commit_batch(conn, [(1, TODAY - timedelta(days=age), age) for age in (380, 40)])
    await rules_have_read(conn, "0", last)
    with psycopg.connect(db.admin_url, autocommit=True) as owner:
        run_jobs(owner, "policy_refresh_continuous_aggregate")
        run_jobs(owner, "policy_compression")
        keep(owner, "reading_hourly", 90)
    assert (await retire(pool))["reading_hourly"] > 0
    assert [row["index_ml"] for row in await conn.fetch(HOURS.format("reading_hourly"))] == [40]
    assert len(await conn.fetch(DAYS.format("reading_daily"))) == 2


async def test_late_rows_reach_compressed_hours(db: Database, conn: asyncpg.Connection) -> None:
    """A day whose hours are in the columnstore already follows its late rows, however many devices it has."""
    await conn.execute(
        """INSERT INTO reading (device_id, at, index_ml, flags, batch_id)
        SELECT device, $1::timestamptz + make_interval(hours => hour), hour, 0, 1
        FROM generate_series(1, 5000) device, generate_series(0, 22) hour""",
        DAY,
    )
    with psycopg.connect(db.admin_url, autocommit=True) as owner:
        run_jobs(owner, "policy_refresh_continuous_aggregate")
        run_jobs(owner, "policy_compression")
        apply_edition(owner)  # what it sets for the jobs' role is not copied with a template
        await commit_batch(conn, [(1, DAY + HOUR / 2, 99)])
    with psycopg.connect(db.admin_url, autocommit=True) as owner:
        run_jobs(owner, "policy_refresh_continuous_aggregate")
    samples = "SELECT sum(samples) FROM reading_hourly"
    assert await conn.fetchval(samples) == 5000 * 23 + 1
    assert await conn.fetchval(f"{samples} WHERE device_id = 1 AND hour = $1", DAY) == 2


async def test_sizes_include_the_aggregates(db: Database, conn: asyncpg.Connection) -> None:
    """Hours and days count in the bytes of a reading; each converted table tells its ratio."""
    await conn.execute(
        """INSERT INTO reading (device_id, at, index_ml, flags, batch_id)
        SELECT device, $1::timestamptz - make_interval(hours => hour), hour, 0, 1
        FROM generate_series(1, 200) device, generate_series(1, 24 * 40) hour""",
        DAY,
    )
    with psycopg.connect(db.admin_url, autocommit=True) as owner:
        run_jobs(owner, "policy_refresh_continuous_aggregate")
        before = await measure(conn)
        run_jobs(owner, "policy_compression")
        owner.execute("ANALYZE")
    found = await measure(conn)
    names = {table.name for table in found.tables}
    assert names >= {"reading", "reading_hourly", "reading_daily", "reading_hourly_own", "reading_daily_own"}
    ratio = found.compression_ratio
    assert before.compression_ratio == {}
    assert ratio is not None
    assert {name for name, value in ratio.items() if value > 1} >= {"reading", "reading_hourly"}
    reading_bytes, hourly = bytes_per_reading(found.tables), found.table("reading_hourly")
    assert reading_bytes is not None
    assert hourly is not None
    assert hourly.total_bytes > 0
    assert 1 < reading_bytes < 100


async def test_a_database_that_moves_here_keeps_everything(
    empty_db: Database, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """From the Apache shape to the community one: same names, same hours and days, also of retired readings."""
    migrations_alone(empty_db, tmp_path_factory.mktemp("apache"))
    long_ago = TODAY - timedelta(days=500)
    async with asyncpg.create_pool(empty_db.url, min_size=1) as pool, pool.acquire() as conn:
        await commit_batch(conn, [(1, long_ago + n * HOUR, n) for n in range(24)])
        last = await commit_batch(conn, [(1, DAY + n * HOUR, 1000 + n) for n in range(50)])
        await roll_up(pool, RollupParams())
        await rules_have_read(conn, "0", last)
        assert (await retire(pool))["reading"] == 1
        await commit_batch(conn, [(1, long_ago + HOUR / 3, 5)])  # opens a chunk of a retired day
        await roll_up(pool, RollupParams())
        shapes = HOURS.format("reading_hourly"), DAYS.format("reading_daily")
        before = [await conn.fetch(shape) for shape in shapes]
        rows = await conn.fetch("SELECT * FROM reading ORDER BY device_id, at")
    migrate(empty_db.admin_url)
    with psycopg.connect(empty_db.admin_url, autocommit=True) as owner:
        owner.execute("UPDATE storage_edition SET edition = 'apache'")  # as if interrupted before its end
        assert apply_edition(owner) == ("community.sql", "policies.sql")
        run_jobs(owner, "policy_refresh_continuous_aggregate")
        run_jobs(owner, "policy_compression")
    async with asyncpg.create_pool(empty_db.url, min_size=1) as pool, pool.acquire() as conn:
        assert [await conn.fetch(shape) for shape in shapes] == before
        assert await conn.fetch("SELECT * FROM reading ORDER BY device_id, at") == rows
        await commit_batch(conn, [(1, TODAY, 2000)])
        assert await conn.fetchval("SELECT index_ml FROM reading_hourly WHERE hour = $1", TODAY) == 2000
        assert (await measure(conn)).edition == "community"
