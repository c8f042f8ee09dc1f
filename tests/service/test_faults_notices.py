"""Notices while things break: the worker killed in the middle of an attempt, the database restarted."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from app.embedded import EmbeddedServers
from sql.migrate import migrate
from sql.pool import open_pool
from tests.servers import Database
from tests.service.notice_desk import (
    KEY,
    Hook,
    make_account,
    make_alert,
    make_contact,
    notices,
    page,
    running,
    until,
    webhook,
)
from tests.service.rules_rows import make_town

_QUICK = {
    "GASWARDEN_NOTICES__CONTACT_KEY": KEY,
    "GASWARDEN_NOTICES__SCHEMES": "json",
    "GASWARDEN_NOTICES__PRIVATE_HOSTS": "true",
    "GASWARDEN_NOTICES__STALLED_AFTER_S": "1",
    "GASWARDEN_NOTICES__POLL_S": "0.1",
    "GASWARDEN_NOTICES__BACK_OFF_S": "0.1",
    "MQTT_URL": "mqtt://127.0.0.1:1",
}


@pytest.fixture
async def hook() -> AsyncIterator[Hook]:
    async with webhook() as opened:
        yield opened


@asynccontextmanager
async def worker(db: Database) -> AsyncIterator[asyncio.subprocess.Process]:
    """`gaswarden run notices` as a process of its own."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GASWARDEN_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "app", "run", "notices", cwd=Path(__file__).parents[2],
        env=environ | {"DATABASE_URL": db.url} | _QUICK, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_a_worker_killed_while_it_sends(db: Database, conn: asyncpg.Connection, hook: Hook) -> None:
    """Killed with -9 in the middle of an attempt, the notice is sent again by the next worker: once more, never not."""
    await make_town(conn)
    await make_account(conn, "ann")
    await make_contact(conn, "ann", hook.address("ann"))
    hook.hanging = {"ann"}
    async with worker(db) as first:
        await page(conn, await make_alert(conn))
        await hook.wait("ann")
        first.kill()
        await first.wait()
    [row] = await notices(conn)
    assert (row["state"], row["attempts"]) == ("sending", 1)
    hook.hanging = set()
    async with worker(db) as second:
        await hook.wait("ann", 2)
        [row] = await until(lambda: notices(conn), lambda rows: rows[0]["state"] == "handed_over")
        second.terminate()
        assert await asyncio.wait_for(second.wait(), 20) == 0
    assert row["attempts"] == 2
    assert await conn.fetchval("SELECT count(*) FROM procrastinate.procrastinate_jobs") == 0


async def test_the_database_restarts(own_servers: EmbeddedServers, hook: Hook) -> None:
    """After a restart of the database the same service goes on: what was asked for before and after arrives."""
    db = Database(own_servers.database_url, own_servers.admin_database_url)
    migrate(db.admin_url)
    async with open_pool(db.url, application_name="test") as pool:
        async with pool.acquire() as conn:
            await make_town(conn)
            await make_account(conn, "ann")
            await make_contact(conn, "ann", hook.address("ann"))
        async with running(db, pool):
            async with pool.acquire() as conn:
                await page(conn, await make_alert(conn))
                await hook.wait("ann")
            await asyncio.to_thread(own_servers.postgres.stop)
            await asyncio.to_thread(own_servers.postgres.start)
            conn = await asyncpg.connect(db.url)
            await conn.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")
            try:
                await page(conn, await make_alert(conn, subject="device:2"))
                await hook.wait("ann", 2)
                await until(lambda: notices(conn), lambda rows: [row["state"] for row in rows] == ["handed_over"] * 2)
            finally:
                await conn.close()
