"""The broker restarts, hangs, or brings what is far too large: the worker goes on, and nothing is lost."""

import asyncio
import os
import signal
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from prometheus_client import REGISTRY

from app.embedded import EmbeddedServers
from sql.pool import open_pool
from tests.ingest_city import NOW, ledger_totals, reading, register, topic, until, working
from tests.mid_load import Load, Worker, await_session, everything_accounted_for, more_rows, settle
from tests.publisher import BrokerGone, Publisher
from tests.servers import Broker, Database

_TEN_MB = 10_000_000


@pytest.fixture
def city(db: Database) -> Database:
    register(db.admin_url)
    return db


async def _publish(broker: Broker, messages: list[tuple[str, bytes]]) -> None:
    def send() -> None:
        with Publisher(broker.host, broker.port, broker.gateway("GW-1")) as gateway:
            gateway.publish(messages)

    await asyncio.to_thread(send)


def _messages(count: int, first: int = 0) -> list[tuple[str, bytes]]:
    return [(topic(), reading(seq=n, at=NOW - timedelta(seconds=n))) for n in range(first, first + count)]


async def _received(pool: asyncpg.Pool, count: int) -> dict[str, int]:
    async def all_there() -> dict[str, int] | None:
        totals = await ledger_totals(pool)
        return totals if totals["received"] >= count else None

    totals: dict[str, int] = await until(all_there)
    return totals


@pytest.mark.slow
async def test_a_restart_of_the_broker_loses_nothing(own_servers: EmbeddedServers) -> None:
    """Mosquitto is stopped as an administrator would and started again in mid-load: it wrote its queues out."""
    servers = settle(own_servers)
    worker = Worker(servers)
    try:
        await asyncio.to_thread(await_session, servers)
        with Load(servers) as load:
            for _ in range(2):
                rows = await more_rows(servers, 2000)
                await asyncio.to_thread(servers.mosquitto.stop)
                await asyncio.to_thread(servers.mosquitto.start)
                await more_rows(servers, rows + 4000)
        await everything_accounted_for(servers, load)
        assert worker.runs
    finally:
        if worker.runs:
            worker.kill()


async def test_a_broker_that_hangs_is_given_up_and_comes_back(
    city: Database, pool: asyncpg.Pool, broker: Broker
) -> None:
    """Stopped in its tracks (SIGSTOP), it accepts connections and says nothing; the event loop stays alive."""
    if broker.servers is None:
        pytest.skip("needs a broker of our own to stop")
    pid = broker.servers.mosquitto.pid()
    assert pid is not None
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.05)
            ticks += 1

    async def gone() -> bool:
        return REGISTRY.get_sample_value("gaswarden_ingest_connected", {"slot": "hang"}) == 0

    ticking = asyncio.create_task(tick())
    patience: dict[str, Any] = {"keep_alive_s": 1, "connect_timeout_s": 0.5}
    async with working(pool, broker.url, slot="hang", broker=patience):
        await _publish(broker, _messages(5))
        await _received(pool, 5)
        os.kill(pid, signal.SIGSTOP)
        try:
            await until(gone)
            before = ticks
            await asyncio.sleep(1.0)  # attempts go on meanwhile, and must not hold the loop up
            assert ticks - before > 10
        finally:
            os.kill(pid, signal.SIGCONT)
        await _publish(broker, _messages(5, 5))
        totals = await _received(pool, 10)
    ticking.cancel()
    assert totals["stored"] == 10


async def test_ten_megabytes_are_refused_by_our_broker_and_hurt_nobody_else(
    city: Database, pool: asyncpg.Pool, broker: Broker
) -> None:
    """The embedded broker ends the connection of who sends them; the worker's stays, other messages go on."""
    if broker.servers is None:
        pytest.skip("the limit is that of the embedded broker")
    async with working(pool, broker.url):
        with pytest.raises((BrokerGone, OSError)):
            await _publish(broker, [(topic(), b"x" * _TEN_MB)])
        await _publish(broker, _messages(5))
        totals = await _received(pool, 5)
    assert (totals["received"], totals["stored"]) == (5, 5)


@pytest.fixture
def permissive(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> Broker:
    """A broker that lets everything through, as large as it comes."""
    if broker.servers is None:
        pytest.skip("needs a broker whose configuration is ours")
    monkeypatch.setattr("app.embedded.mosquitto._PACKET_SIZE_MAX_BYTES", 200_000_000)
    broker.servers.mosquitto.stop()
    broker.servers.mosquitto.start()
    return Broker.of(broker.servers)


async def test_ten_megabytes_that_a_broker_lets_through_are_kept_in_part(
    city: Database, pool: asyncpg.Pool, permissive: Broker
) -> None:
    """Quarantined `too_large` with the first bytes, the length and the digest of the whole; the rest is stored."""
    async with working(pool, permissive.url):
        await _publish(permissive, [*_messages(5), (topic(), b"x" * _TEN_MB), *_messages(5, 5)])
        totals = await _received(pool, 11)
    assert (totals["stored"], totals["quarantined"]) == (10, 1)
    row = await pool.fetchrow("SELECT reason, payload_bytes, octet_length(payload) AS kept FROM quarantine")
    assert tuple(row) == ("too_large", _TEN_MB, 4096)


async def test_more_than_the_client_can_hold_does_not_stop_the_slot(
    city: Database, pool: asyncpg.Pool, permissive: Broker
) -> None:
    """Twenty megabytes: the broker is told that we take less, and skips that message; nothing is sent for ever."""
    async with working(pool, permissive.url):
        await _publish(permissive, [*_messages(5), (topic(), b"x" * 2 * _TEN_MB), *_messages(5, 5)])
        totals = await _received(pool, 10)
    assert (totals["received"], totals["stored"]) == (10, 10)


async def test_nothing_waits_at_the_broker_after_a_stop(city: Database, db: Database, broker: Broker) -> None:
    """What the worker committed it also acknowledged: its successor on an empty table hears nothing again."""
    async with open_pool(db.url, application_name="test") as pool:
        async with working(pool, broker.url, slot="once"):
            await _publish(broker, _messages(300))
            await _received(pool, 300)
        async with working(pool, broker.url, slot="once"):
            await _publish(broker, _messages(1, 300))
            totals = await _received(pool, 301)
    assert (totals["received"], totals["duplicate"]) == (301, 0)
