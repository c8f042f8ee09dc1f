"""A gateway in mid-load, a worker as a process, and the account of both: for tests and benchmarks that kill things."""

import asyncio
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

import asyncpg
import psycopg

from app.embedded import EmbeddedServers
from ingest.ledger import missing_messages, prove_days
from sql.actor import Actor
from sql.migrate import migrate
from sql.pool import open_pool
from tests.ingest_city import AREA, NOW, register, until
from tests.publisher import BrokerGone, Publisher

METERS = 500
START = NOW - timedelta(hours=30)
ALL = Actor("test", "administrator")
_CHUNK = 200


def settle(servers: EmbeddedServers) -> EmbeddedServers:
    """Migrate, and register one gateway with its meters."""
    migrate(servers.admin_database_url)
    register(servers.admin_database_url, meters=METERS, gateways=("GW-1",))
    return servers


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
        return self.acknowledged // (METERS + 1)

    def _messages(self, first: int, count: int) -> list[tuple[str, bytes]]:
        return [(f"gas/v1/{AREA}/GW-1/readings", self._body(number)) for number in range(first, first + count)]

    @staticmethod
    def _body(number: int) -> bytes:
        turn, device = divmod(number, METERS + 1)
        code = f"M-GW-1-{device}" if device < METERS else f"stranger-{turn}"
        at = (START + timedelta(seconds=turn)).isoformat()
        return json.dumps({"device": code, "seq": turn % 65_536, "at": at, "index_ml": 10_000 * turn}).encode()

    def _publish(self) -> None:
        while not self._stop.is_set():
            chunk = self._messages(self.acknowledged, _CHUNK)
            while not self._try(chunk):
                time.sleep(0.05)
            self.acknowledged += _CHUNK
            self._stop.wait(0.02)  # some 5,000 a second: the worker keeps up, the tests stay short

    def _try(self, chunk: list[tuple[str, bytes]]) -> bool:
        """Send what is left of a chunk; what was acknowledged is taken out of it."""
        try:
            with Publisher("127.0.0.1", self._servers.mqtt_port, self._account) as gateway:
                try:
                    gateway.publish(chunk, window=_CHUNK, timeout_s=10)
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
    """`python -m app run ingest` on these servers; `others` are settings beside the addresses."""

    def __init__(self, servers: EmbeddedServers, **others: str) -> None:
        settings = {"DATABASE_URL": servers.database_url, "MQTT_URL": servers.mqtt_url}
        settings |= {"GASWARDEN_INGEST__GATEWAY_RATE__BURST": "10000000"}  # one gateway is the whole load here
        environ = {name: value for name, value in os.environ.items() if not name.startswith("GASWARDEN_")}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "app", "run", "ingest"],
            env=environ | settings | {"GASWARDEN_HTTP__PROBE_PORT": "0"} | others,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def rss_mb(self) -> float:
        """Memory that the process really uses now, megabytes."""
        text = Path(f"/proc/{self.pid}/status").read_text()
        return int(next(line for line in text.splitlines() if line.startswith("VmRSS")).split()[1]) / 1000

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


async def rows_of(servers: EmbeddedServers) -> int:
    """Rows there are; None of the database being there counts as none."""
    try:
        conn = await asyncpg.connect(servers.database_url, timeout=5)
    except (OSError, asyncpg.PostgresError):
        return 0
    try:
        return int(await conn.fetchval("SELECT count(*) FROM reading"))
    finally:
        await conn.close()


async def more_rows(servers: EmbeddedServers, than: int) -> int:
    async def more() -> int:
        rows = await rows_of(servers)
        return rows if rows > than else 0

    return int(await until(more, 30))


async def everything_accounted_for(servers: EmbeddedServers, load: Load) -> None:
    """Acknowledged to the publisher = distinct stored + distinct quarantined, exactly; and the ledger balances."""
    expected = load.acknowledged - load.strangers

    while (rows := await rows_of(servers)) < expected:
        await more_rows(servers, rows)  # a long backlog on a busy machine takes its time, but it moves
    async with open_pool(servers.database_url, application_name="test") as pool, pool.acquire() as conn:
        await until(lambda: settled(conn), 10)
        assert await conn.fetchval("SELECT count(*) FROM reading") == expected
        assert await conn.fetchval("SELECT count(*) FROM quarantine") == load.strangers
        assert await conn.fetchval("SELECT sum(times) FROM quarantine") == await conn.fetchval(
            "SELECT sum(quarantined) FROM ledger"
        )
        today = datetime.now(UTC).date()
        proof = await prove_days(conn, today - timedelta(days=1), today, ALL)
        assert proof.faults == ()
        assert proof.received >= load.acknowledged
        assert proof.by_kind["conflict"] == 0
        missing = await missing_messages(conn, START - timedelta(days=1), NOW + timedelta(days=1), ALL)
        assert missing == []


async def settled(conn: asyncpg.Connection) -> bool:
    """Whether the worker has nothing left to write."""
    before = await conn.fetchval("SELECT sum(received) FROM ledger")
    await asyncio.sleep(0.5)
    return bool(before == await conn.fetchval("SELECT sum(received) FROM ledger"))


def await_session(servers: EmbeddedServers) -> None:
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


@dataclass
class Kills:
    """What a drill of random kills did, and what became of the messages."""

    kills: Counter[str] = field(default_factory=Counter)
    acknowledged: int = 0
    received: int = 0
    duplicates: int = 0
    seconds: float = 0.0


async def random_kills(servers: EmbeddedServers, *, seconds: float, seed: int) -> Kills:
    """Kill worker or database at random moments for so long; raises AssertionError unless everything is accounted for.

    Each victim is killed with -9 and started again after a random pause; rows must have come in between two kills now
    and then, or nothing would be tested.
    """
    chance = random.Random(seed)
    told = Kills()
    with working(servers) as workers:
        await asyncio.to_thread(await_session, servers)
        started_s = time.monotonic()
        with Load(servers) as load:
            await more_rows(servers, 1000)
            victims = ["worker", "database"]
            while time.monotonic() - started_s < seconds or victims:
                victim = victims.pop() if victims else chance.choice(("worker", "database"))
                await _kill(servers, workers, victim, chance.uniform(0, 1.0))
                told.kills[victim] += 1
                if chance.random() < 0.3:
                    await more_rows(servers, await rows_of(servers))
                await asyncio.sleep(chance.uniform(0, 1.5))
            await more_rows(servers, await rows_of(servers))
        await everything_accounted_for(servers, load)
        told.seconds, told.acknowledged = time.monotonic() - started_s, load.acknowledged
        assert workers[-1].stop() == 0
    with psycopg.connect(servers.database_url) as conn:
        row = conn.execute("SELECT sum(received), sum(duplicate) FROM ledger WHERE slot = '0'").fetchone()
    assert row is not None
    told.received, told.duplicates = int(row[0]), int(row[1])
    return told


async def _kill(servers: EmbeddedServers, workers: list[Worker], victim: str, away_s: float) -> None:
    if victim == "worker":
        workers[-1].kill()
        await asyncio.sleep(away_s)
        workers.append(Worker(servers))
        return
    await asyncio.to_thread(servers.postgres.kill)
    await asyncio.sleep(away_s)
    await asyncio.to_thread(servers.postgres.start)
    assert workers[-1].runs
