"""kill -9 in mid-load, of worker, PostgreSQL and Mosquitto: nothing acknowledged is lost, the ledger is exact."""

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Self

import asyncpg
import psycopg
import pytest

from app.embedded import EmbeddedServers
from ingest.ledger import missing_messages, prove_days
from sql.actor import Actor
from sql.migrate import migrate
from sql.pool import open_pool
from tests.ingest_city import AREA, NOW, register, until
from tests.publisher import BrokerGone, Publisher

_METERS = 50
_START = NOW - timedelta(hours=30)
_ALL = Actor("test", "administrator")


@pytest.fixture
def servers(own_servers: EmbeddedServers) -> EmbeddedServers:
    migrate(own_servers.admin_database_url)
    register(own_servers.admin_database_url, meters=_METERS, gateways=("GW-1",))
    return own_servers


class Load:
    """A gateway that publishes numbered messages until told to stop, over new connections when one breaks.

    The meters take turns, and after them a device that nobody registered, so that quarantine is in play too. A
    message is sent again until the broker acknowledges it, as docs/payloads.md tells gateways to.
    """

    def __init__(self, servers: EmbeddedServers) -> None:
        self._servers = servers
        self._account = ("GW-1", servers.add_gateways(["GW-1"])["GW-1"])
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._publish)
        self.acknowledged = 0

    @property
    def strangers(self) -> int:
        """How many of the acknowledged messages nobody can store."""
        return self.acknowledged // (_METERS + 1)

    def _messages(self, first: int, count: int) -> list[tuple[str, bytes]]:
        return [(f"gas/v1/{AREA}/GW-1/readings", self._body(number)) for number in range(first, first + count)]

    @staticmethod
    def _body(number: int) -> bytes:
        turn, device = divmod(number, _METERS + 1)
        code = f"M-GW-1-{device}" if device < _METERS else f"stranger-{turn}"
        at = (_START + timedelta(seconds=turn)).isoformat()
        return json.dumps({"device": code, "seq": turn % 65_536, "at": at, "index_ml": 10_000 * turn}).encode()

    def _publish(self) -> None:
        while not self._stop.is_set():
            size = 200
            chunk = self._messages(self.acknowledged, size)
            while not self._try(chunk):
                time.sleep(0.05)
            self.acknowledged += size
            self._stop.wait(0.02)  # some 5,000 a second: the worker keeps up, the tests stay short

    def _try(self, chunk: list[tuple[str, bytes]]) -> bool:
        """Send what is left of a chunk; what was acknowledged is taken out of it."""
        try:
            with Publisher("127.0.0.1", self._servers.mqtt_port, self._account) as gateway:
                try:
                    gateway.publish(chunk, window=200, timeout_s=10)
                finally:
                    left = [one for place, one in enumerate(chunk) if place not in gateway.acknowledged]
                    if left:
                        chunk[:] = left
            return True
        except (BrokerGone, OSError):
            return False

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)


class Worker:
    """`python -m app run ingest` on these servers."""

    def __init__(self, servers: EmbeddedServers) -> None:
        settings = {"DATABASE_URL": servers.database_url, "MQTT_URL": servers.mqtt_url}
        environ = {name: value for name, value in os.environ.items() if not name.startswith("GASWARDEN_")}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "app", "run", "ingest"],
            env=environ | settings | {"GASWARDEN_HTTP__PROBE_PORT": "0"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def runs(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(10)

    def stop(self) -> int:
        self._process.terminate()
        return self._process.wait(30)


@contextmanager
def working(servers: EmbeddedServers) -> Iterator[list[Worker]]:
    """A list whose last member is the running worker; all are ended at the end."""
    workers = [Worker(servers)]
    try:
        yield workers
    finally:
        for worker in workers:
            if worker.runs:
                worker.kill()


async def _rows(servers: EmbeddedServers) -> int:
    """Rows there are; None of the database being there counts as none."""
    try:
        conn = await asyncpg.connect(servers.database_url, timeout=5)
    except (OSError, asyncpg.PostgresError):
        return 0
    try:
        return int(await conn.fetchval("SELECT count(*) FROM reading"))
    finally:
        await conn.close()


async def _more_rows(servers: EmbeddedServers, than: int) -> int:
    async def more() -> int:
        rows = await _rows(servers)
        return rows if rows > than else 0

    return int(await until(more, 30))


async def _everything_accounted_for(servers: EmbeddedServers, load: Load) -> None:
    """Acknowledged to the publisher = distinct stored + distinct quarantined, exactly; and the ledger balances."""
    expected = load.acknowledged - load.strangers

    async def there() -> bool:
        return await _rows(servers) >= expected

    await until(there, 30)
    async with open_pool(servers.database_url, application_name="test") as pool, pool.acquire() as conn:
        await until(lambda: _settled(conn), 10)
        assert await conn.fetchval("SELECT count(*) FROM reading") == expected
        assert await conn.fetchval("SELECT count(*) FROM quarantine") == load.strangers
        assert await conn.fetchval("SELECT sum(times) FROM quarantine") == await conn.fetchval(
            "SELECT sum(quarantined) FROM ledger"
        )
        today = datetime.now(UTC).date()
        proof = await prove_days(conn, today - timedelta(days=1), today, _ALL)
        assert proof.faults == ()
        assert proof.received >= load.acknowledged
        assert proof.by_kind["conflict"] == 0
        missing = await missing_messages(conn, _START - timedelta(days=1), NOW + timedelta(days=1), _ALL)
        assert missing == []


async def _settled(conn: asyncpg.Connection) -> bool:
    """Whether the worker has nothing left to write."""
    before = await conn.fetchval("SELECT sum(received) FROM ledger")
    await asyncio.sleep(0.5)
    return bool(before == await conn.fetchval("SELECT sum(received) FROM ledger"))


@pytest.mark.slow
async def test_kill_of_the_worker_loses_and_invents_nothing(servers: EmbeddedServers) -> None:
    """Two kills of the worker: its successor gets again what was not acknowledged, and counts duplicates."""
    with working(servers) as workers:
        await asyncio.to_thread(_await_session, servers)
        with Load(servers) as load:
            rows = 0
            for _ in range(2):
                rows = await _more_rows(servers, rows + 2000)
                workers[-1].kill()
                workers.append(Worker(servers))
            await _more_rows(servers, rows + 2000)
        await _everything_accounted_for(servers, load)
        assert workers[-1].stop() == 0


@pytest.mark.slow
async def test_kill_of_the_database_loses_nothing_and_needs_no_restart(servers: EmbeddedServers) -> None:
    """PostgreSQL is killed in mid-load, stays away for a while and comes back: the same worker goes on."""
    with working(servers) as workers:
        await asyncio.to_thread(_await_session, servers)
        with Load(servers) as load:
            rows = await _more_rows(servers, 2000)
            await asyncio.to_thread(servers.postgres.kill)
            at_kill = load.acknowledged
            await until(lambda: _reached(load, at_kill + 3000), 10)  # the broker goes on taking messages over
            await asyncio.to_thread(servers.postgres.start)
            await _more_rows(servers, rows + 5000)
        await _everything_accounted_for(servers, load)
        assert workers[-1].runs
        assert workers[-1].stop() == 0


async def _reached(load: Load, count: int) -> bool:
    return load.acknowledged >= count


@pytest.mark.slow
async def test_kill_of_the_broker_is_survived_and_its_losses_are_seen(servers: EmbeddedServers) -> None:
    """Mosquitto is killed in mid-load: the worker comes back by itself, and what the broker lost shows as missing."""
    with working(servers) as workers:
        await asyncio.to_thread(_await_session, servers)
        with Load(servers) as load:
            rows = await _more_rows(servers, 2000)
            await asyncio.to_thread(servers.mosquitto.kill)
            await asyncio.to_thread(servers.mosquitto.start)
            await asyncio.to_thread(_await_session, servers)
            await _more_rows(servers, rows + 5000)
        async with open_pool(servers.database_url, application_name="test") as pool, pool.acquire() as conn:
            await until(lambda: _settled(conn), 10)
            stored = await conn.fetchval("SELECT count(*) FROM reading")
            strangers = await conn.fetchval("SELECT count(*) FROM quarantine")
            today = datetime.now(UTC).date()
            assert (await prove_days(conn, today - timedelta(days=1), today, _ALL)).faults == ()
            missing = await missing_messages(conn, _START - timedelta(days=1), NOW + timedelta(days=1), _ALL)
            lost = load.acknowledged - stored - strangers
            lost_strangers = load.strangers - strangers  # their numbers are nobody's
            assert sum(one.missing for one in missing) == lost - lost_strangers
        assert workers[-1].runs


def _await_session(servers: EmbeddedServers) -> None:
    """Wait until the worker's subscription is there: a message comes through to the ledger."""
    account = ("GW-1", servers.add_gateways(["GW-1"])["GW-1"])
    end_s = time.monotonic() + 20
    with psycopg.connect(servers.database_url, autocommit=True) as conn:
        before = conn.execute("SELECT count(*) FROM gateway_event").fetchone()
        while time.monotonic() < end_s:
            body = {"state": "online", "session": f"s{time.monotonic_ns()}", "at": NOW.isoformat()}
            with Publisher("127.0.0.1", servers.mqtt_port, account) as gateway:
                gateway.publish([(f"gas/v1/{AREA}/GW-1/status", json.dumps(body).encode())])
            time.sleep(0.1)
            if conn.execute("SELECT count(*) FROM gateway_event").fetchone() != before:
                return
    raise TimeoutError("no worker subscribed")
