"""The rules service while its database dies and comes back."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial

import asyncpg
import psycopg
from prometheus_client import REGISTRY

from app.embedded import EmbeddedServers
from rules.catalog import default_catalog
from rules.evaluator import run
from rules.params import RuleParams
from sql.migrate import migrate
from sql.pool import open_pool
from tests.service.rules_rows import make_town

PARAMS = RuleParams(poll_s=0.2, back_off_s=0.2, tick_s=0.5)


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait until something holds, looking often, for at most 20 s."""
    async with asyncio.timeout(20):
        while not await holds():  # noqa: ASYNC110 - a row in another process's database is no event of ours
            await asyncio.sleep(0.05)


async def alerts_are(pool: asyncpg.Pool, count: int) -> bool:
    """There are so many alerts."""
    return bool(await pool.fetchval("SELECT count(*) FROM alert") == count)


async def lost() -> bool:
    """The service has noticed that the database is gone."""
    return REGISTRY.get_sample_value("gaswarden_rules_connected") == 0


async def test_alarms_after_a_kill_of_the_database_are_found(own_servers: EmbeddedServers) -> None:
    """One alarm, kill -9 of PostgreSQL, start, another alarm: two alerts, and the service never ended."""
    with psycopg.connect(own_servers.admin_database_url) as admin:
        assert admin.execute("SELECT 1").fetchone() == (1,)
    migrate(own_servers.admin_database_url)
    async with open_pool(own_servers.database_url, application_name="test") as pool:
        ready = asyncio.Event()
        service = asyncio.create_task(run(pool, default_catalog(), PARAMS, ready=ready))
        await asyncio.wait_for(ready.wait(), 10)
        async with pool.acquire() as conn:
            town = await make_town(conn)
            detectors = [await town.device(f"LD-{number}", "detector", home=None) for number in (1, 2)]
            await town.event(detectors[0], at=datetime.now(UTC))
        await until(partial(alerts_are, pool, 1))
        await asyncio.to_thread(own_servers.postgres.kill)
        await until(lost)
        await asyncio.to_thread(own_servers.postgres.start)
        async with pool.acquire() as conn:
            town.conn = conn
            await town.event(detectors[1], at=datetime.now(UTC))
        await until(partial(alerts_are, pool, 2))
        assert not service.done()
        service.cancel()
        await asyncio.gather(service, return_exceptions=True)
