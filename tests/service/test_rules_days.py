"""Rules about days follow the roll-up, in a real TimescaleDB: a day counts once it is rolled up, heard again or not."""

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg
import psycopg
import pytest

from ingest.params import RollupParams
from ingest.refreshing import Looks
from ingest.rollup import follow_refreshes, roll_up
from rules import passes, store
from rules.catalog import default_catalog
from rules.day_passes import STREAM, days_pass, rolled_up_slots
from rules.evaluator import run
from rules.params import RuleParams
from sql import queries
from tests.servers import Database
from tests.service.rules_rows import Town, make_town

CATALOG = default_catalog()
NOW = datetime(2026, 11, 20, 6, 0, tzinfo=UTC)
TODAY = NOW.replace(hour=0)
EVERY = timedelta(hours=2)


@pytest.fixture
async def town(conn: asyncpg.Connection) -> Town:
    """Two homes that cook with gas and do not heat with it."""
    town = await make_town(conn)
    await conn.execute("UPDATE premises SET appliances = ARRAY['hob']")
    return town


def used(days: int, daily_l: float, start_l: float, until: datetime = TODAY) -> list[tuple[datetime, int]]:
    """Registers of every second hour of some whole days, and their first hour's value is `start_l`."""
    first = until - timedelta(days=days)
    return [(first + number * EVERY, round((start_l + number * daily_l / 12) * 1000)) for number in range(12 * days)]


async def loud_home(town: Town, code: str = "M-1", home: int = 0) -> int:
    """600 L a day for weeks, then two days of 6,000 L; all of it heard by now."""
    device_id = await town.device(code, home=home, pulse_ml=10)
    await town.readings(device_id, used(38, 600, 1000, TODAY - timedelta(days=2)))
    await town.readings(device_id, used(2, 6000, 1000 + 38 * 600))
    return device_id


async def days(pool: asyncpg.Pool, now: datetime = NOW) -> passes.Done:
    async with pool.acquire() as conn:
        await store.add_cursors(conn, STREAM)
        slots = await rolled_up_slots(conn)
    done = [await days_pass(pool, CATALOG, slot, now, 500, 2000) for slot in slots]
    return passes.Done(sum(one.batches for one in done), tuple(one for part in done for one in part.alert_ids))


async def alerts(conn: asyncpg.Connection) -> list[tuple[str, str, datetime, datetime]]:
    rows = await conn.fetch("SELECT rule_id, subject, first_at, last_at FROM alert ORDER BY alert_id")
    return [tuple(row) for row in rows]


async def test_days_are_judged_once_they_are_rolled_up(
    pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town
) -> None:
    """The device is not heard again: its readings wait for the roll-up, and then raise the alert, once."""
    device_id = await loud_home(town)
    await conn.execute(*queries["add_cursors"].bind(stream="readings"))
    await passes.readings_pass(pool, CATALOG, "D01", NOW, 500, 2000)
    assert await days(pool) == passes.Done()
    assert [one for one in await alerts(conn) if one[0] == "unusual_use"] == []
    await roll_up(pool, RollupParams())
    done = await days(pool)
    assert (done.batches, len(done.alert_ids)) == (2, 1)
    (alert,) = [one for one in await alerts(conn) if one[0] == "unusual_use"]
    assert alert == ("unusual_use", f"device:{device_id}", TODAY - timedelta(days=2), TODAY)
    assert await days(pool) == passes.Done()


async def test_a_day_that_comes_late_is_judged_with_what_followed(
    pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town
) -> None:
    """Two weeks are missing, so nobody knows what is usual; they arrive, and the days of now are judged."""
    device_id = await town.device("M-1", pulse_ml=10)
    usual = used(38, 600, 1000, TODAY - timedelta(days=2))
    await town.readings(device_id, usual[: 12 * 10])
    await town.readings(device_id, used(2, 6000, 1000 + 38 * 600))
    await roll_up(pool, RollupParams())
    assert (await days(pool)).alert_ids == ()
    await town.readings(device_id, usual[12 * 10 :])
    await roll_up(pool, RollupParams())
    assert len((await days(pool)).alert_ids) == 1
    assert [one[0] for one in await alerts(conn)] == ["unusual_use"]


async def test_the_cursor_stays_behind_the_roll_up(pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town) -> None:
    """What arrives after the roll-up is left for its next run, and nothing is retired before days were judged."""
    await loud_home(town)
    await roll_up(pool, RollupParams())
    later = await loud_home(town, "M-2", home=1)
    await days(pool)
    cursor = "SELECT batch_id FROM rule_cursor WHERE stream = 'days'"
    assert await conn.fetchval(cursor) == await conn.fetchval("SELECT batch_id FROM rollup_cursor")
    await roll_up(pool, RollupParams())
    assert len((await days(pool)).alert_ids) == 1
    assert (await alerts(conn))[-1][1] == f"device:{later}"
    for stream in ("events", "readings", "instants"):
        await store.add_cursors(conn, stream)
    await conn.execute("UPDATE rule_cursor SET batch_id = 1000 WHERE stream <> 'days'")
    newest = await conn.fetchval("SELECT max(batch_id) FROM batch")
    assert await conn.fetchval("SELECT batch_id FROM batches_read()") == newest
    await conn.execute("UPDATE rule_cursor SET batch_id = 1 WHERE stream = 'days'")
    assert await conn.fetchval("SELECT batch_id FROM batches_read()") == 1


async def test_the_service_raises_what_the_roll_up_shows(
    pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town
) -> None:
    """No report, no notice: the running service sees by itself that days were rolled up."""
    await loud_home(town)
    ready, told = asyncio.Event(), asyncio.Queue[str]()

    def on_notice(_conn: object, _pid: int, _channel: str, payload: object) -> None:
        told.put_nowait(str(payload))

    await conn.add_listener("gaswarden_alert", on_notice)
    async with asyncio.TaskGroup() as group:
        params = RuleParams(poll_s=0.05)
        service = group.create_task(run(pool, CATALOG, params, ready=ready, clock=lambda: NOW))
        await asyncio.wait_for(ready.wait(), 5)
        await roll_up(pool, RollupParams())
        async with asyncio.timeout(20):
            while "unusual_use" not in [one[0] for one in await alerts(conn)]:
                await told.get()
        service.cancel()
    await conn.remove_listener("gaswarden_alert", on_notice)


async def test_aggregates_that_nobody_refreshes_hold_back_no_day(
    pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town, db: Database
) -> None:
    """Community edition without a refresh policy: what is committed counts as rolled up, and days are judged."""
    await loud_home(town)
    await roll_up(pool, RollupParams())
    await conn.execute("UPDATE rollup_cursor SET batch_id = 0")
    assert await follow_refreshes(pool, Looks()) == {}
    with psycopg.connect(db.admin_url, autocommit=True) as owner:
        owner.execute("UPDATE storage_edition SET edition = 'community'")
    newest = await conn.fetchval("SELECT max(batch_id) FROM batch")
    assert await follow_refreshes(pool, Looks()) == {"D01": newest}
    assert await conn.fetchval("SELECT batch_id FROM rollup_cursor") == newest
    assert len((await days(pool)).alert_ids) == 1
