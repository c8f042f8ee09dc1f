"""The community edition's shape, on a server that has that edition; skipped on any other."""

from datetime import UTC, datetime, timedelta

import asyncpg
import psycopg
import pytest

from ingest.rollup import RollupParams, roll_up
from ingest.storage import measure
from sql.edition import apply_edition, keep
from tests.servers import Database
from tests.service.storage_rows import commit_batch

DAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=40)


@pytest.fixture(autouse=True)
async def community(conn: asyncpg.Connection) -> None:
    if await conn.fetchval("SELECT current_setting('timescaledb.license')") != "timescale":
        pytest.skip("this server has no community edition of TimescaleDB")


async def test_late_rows_reach_compressed_chunks_and_views(
    db: Database, pool: asyncpg.Pool, conn: asyncpg.Connection
) -> None:
    """A row for a converted chunk is stored once, refused as a repeat, and its day follows at the next refresh."""
    await commit_batch(conn, [(1, DAY + timedelta(hours=n), n) for n in range(20)])
    with psycopg.connect(db.admin_url, autocommit=True) as owner:
        owner.execute("SELECT compress_chunk(c) FROM show_chunks('reading') c")
        assert (await measure(conn)).compression_ratio
        await commit_batch(conn, [(1, DAY + timedelta(hours=21), 21)])
        with pytest.raises(asyncpg.UniqueViolationError):
            await commit_batch(conn, [(1, DAY + timedelta(hours=3), 3)])
        owner.execute("CALL refresh_continuous_aggregate('reading_daily_live', %s, %s)", (DAY, DAY + timedelta(days=2)))
    row = await conn.fetchrow(
        "SELECT day, first_index_ml, last_index_ml, samples FROM reading_daily WHERE device_id = 1"
    )
    assert tuple(row) == (DAY, 0, 21, 21)
    assert (await roll_up(pool, RollupParams())).batches == 0


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
