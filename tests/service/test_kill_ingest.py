"""kill -9 in mid-load, of worker, PostgreSQL and Mosquitto: nothing acknowledged is lost, the ledger is exact."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from app.embedded import EmbeddedServers
from ingest.ledger import missing_messages, prove_days
from sql.pool import open_pool
from tests.ingest_city import NOW, until
from tests.mid_load import (
    ALL,
    START,
    Load,
    Worker,
    await_session,
    everything_accounted_for,
    more_rows,
    random_kills,
    settle,
    settled,
    working,
)


@pytest.fixture
def servers(own_servers: EmbeddedServers) -> EmbeddedServers:
    return settle(own_servers)


@pytest.mark.slow
async def test_kill_of_the_worker_loses_and_invents_nothing(servers: EmbeddedServers) -> None:
    """Two kills of the worker: its successor gets again what was not acknowledged, and counts duplicates."""
    with working(servers) as workers:
        await asyncio.to_thread(await_session, servers)
        with Load(servers) as load:
            rows = 0
            for _ in range(2):
                rows = await more_rows(servers, rows + 2000)
                workers[-1].kill()
                workers.append(Worker(servers))
            await more_rows(servers, rows + 2000)
        await everything_accounted_for(servers, load)
        assert workers[-1].stop() == 0


@pytest.mark.slow
async def test_kill_of_the_database_loses_nothing_and_needs_no_restart(servers: EmbeddedServers) -> None:
    """PostgreSQL is killed in mid-load, stays away for a while and comes back: the same worker goes on."""
    with working(servers) as workers:
        await asyncio.to_thread(await_session, servers)
        with Load(servers) as load:
            rows = await more_rows(servers, 2000)
            await asyncio.to_thread(servers.postgres.kill)
            at_kill = load.acknowledged
            await until(lambda: reached(load, at_kill + 3000), 10)  # the broker goes on taking messages over
            await asyncio.to_thread(servers.postgres.start)
            await more_rows(servers, rows + 5000)
        await everything_accounted_for(servers, load)
        assert workers[-1].runs
        assert workers[-1].stop() == 0


async def reached(load: Load, count: int) -> bool:
    return load.acknowledged >= count


@pytest.mark.slow
async def test_kill_of_the_broker_is_survived_and_its_losses_are_seen(servers: EmbeddedServers) -> None:
    """Mosquitto is killed in mid-load: the worker comes back by itself, and what the broker lost shows as missing."""
    with working(servers) as workers:
        await asyncio.to_thread(await_session, servers)
        with Load(servers) as load:
            rows = await more_rows(servers, 2000)
            await asyncio.to_thread(servers.mosquitto.kill)
            await asyncio.to_thread(servers.mosquitto.start)
            await asyncio.to_thread(await_session, servers)
            await more_rows(servers, rows + 5000)
        async with open_pool(servers.database_url, application_name="test") as pool, pool.acquire() as conn:
            await until(lambda: settled(conn), 10)
            stored = await conn.fetchval("SELECT count(*) FROM reading")
            strangers = await conn.fetchval("SELECT count(*) FROM quarantine")
            today = datetime.now(UTC).date()
            assert (await prove_days(conn, today - timedelta(days=1), today, ALL)).faults == ()
            missing = await missing_messages(conn, START - timedelta(days=1), NOW + timedelta(days=1), ALL)
            lost = load.acknowledged - stored - strangers
            lost_strangers = load.strangers - strangers  # their numbers are nobody's
            assert sum(one.missing for one in missing) == lost - lost_strangers
        assert workers[-1].runs


@pytest.mark.slow
async def test_random_kills_of_worker_and_database_lose_nothing(servers: EmbeddedServers) -> None:
    """Whatever moments chance picks: acknowledged to the publisher = accounted for (`scripts/bench kills`)."""
    told = await random_kills(servers, seconds=8.0, seed=7)
    assert told.kills["worker"] >= 1
    assert told.kills["database"] >= 1
    assert told.acknowledged > 5_000
