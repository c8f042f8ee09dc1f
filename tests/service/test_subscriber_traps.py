"""Every trap of the MQTT client library and of broken networks: the worker notices, recovers, and counts right."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import asyncpg
import pytest
from prometheus_client import REGISTRY

from ingest.broker_params import BrokerParams
from ingest.client import ConnectionLost, connect
from sql.pool import open_pool
from tests.ingest_city import NOW, ledger_totals, reading, register, topic, until, working
from tests.network import Relay, relay
from tests.publisher import Publisher
from tests.servers import Broker, Database


@pytest.fixture
def city(db: Database) -> Database:
    register(db.admin_url)
    return db


@pytest.fixture
async def line(broker: Broker) -> AsyncIterator[Relay]:
    """The network between the worker and the broker."""
    async with relay(broker.host, broker.port) as made:
        yield made


def _through(broker: Broker, line: Relay) -> str:
    return replace(broker, port=line.port).url


def _messages(count: int, first: int = 0) -> list[tuple[str, bytes]]:
    return [(topic(), reading(seq=n, at=NOW - timedelta(seconds=n))) for n in range(first, first + count)]


async def _publish(broker: Broker, messages: list[tuple[str, bytes]]) -> None:
    def send() -> None:
        with Publisher(broker.host, broker.port, broker.gateway("GW-1")) as gateway:
            gateway.publish(messages)

    await asyncio.to_thread(send)


async def _stored(pool: asyncpg.Pool, count: int) -> None:
    async def there() -> bool:
        return int(await pool.fetchval("SELECT count(*) FROM reading")) >= count

    await until(there)


def _delivered(slot: str) -> float:
    return REGISTRY.get_sample_value("gaswarden_ingest_received_total", {"slot": slot}) or 0


@asynccontextmanager
async def _database_holds(db: Database, slot: str) -> AsyncIterator[None]:
    """While this lasts, no transaction of the slot gets on."""
    conn = await asyncpg.connect(db.url)
    try:
        await conn.execute("SELECT pg_advisory_lock(hashtext('gaswarden.slot'), hashtext($1))", slot)
        yield
    finally:
        await conn.close()


async def test_a_reset_connection_is_noticed_and_replaced(
    city: Database, pool: asyncpg.Pool, broker: Broker, line: Relay
) -> None:
    """A TCP reset kills the library's background tasks silently; the worker connects again and goes on."""
    async with working(pool, _through(broker, line)):
        await _publish(broker, _messages(10))
        await _stored(pool, 10)
        line.reset()
        await _publish(broker, _messages(10, 10))
        await _stored(pool, 20)
    assert line.connections >= 4  # a probe and a connection, twice


async def test_a_network_that_swallows_everything_is_noticed(
    city: Database, pool: asyncpg.Pool, broker: Broker, line: Relay
) -> None:
    """No reset, no answer: keep-alive gives the connection up and a new one takes over."""
    async with working(pool, _through(broker, line), broker={"keep_alive_s": 1, "connect_timeout_s": 1}):
        await _publish(broker, _messages(1))
        await _stored(pool, 1)
        line.swallow()
        await _publish(broker, _messages(10, 1))
        await _stored(pool, 11)


async def test_a_server_that_accepts_and_says_nothing_is_given_up() -> None:
    """The handshake has a time limit."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    params = BrokerParams(port=server.sockets[0].getsockname()[1], connect_timeout_s=0.3, subscribe_timeout_s=0.3)
    async with asyncio.timeout(3):
        with pytest.raises(ConnectionLost, match="no answer in time"):
            async with connect(params, "silent"):
                pass
    server.close()


async def test_a_subscription_without_answer_is_given_up() -> None:
    """A server that lets the worker in and never answers its subscription is a lost connection, not a wait for ever."""

    async def half_dead(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.read(1):  # a probe closes without a word
            writer.write(b"\x20\x03\x00\x00\x00")  # CONNACK: accepted, no properties
        await reader.read()
        writer.close()

    server = await asyncio.start_server(half_dead, "127.0.0.1", 0)
    params = BrokerParams(port=server.sockets[0].getsockname()[1], connect_timeout_s=0.3, subscribe_timeout_s=0.3)
    async with asyncio.timeout(5):
        with pytest.raises(ConnectionLost, match="subscription: no answer in time"):
            async with connect(params, "half-dead") as connection:
                await connection.subscribe(["gas/v1/#"])
    server.close()


async def test_a_refused_subscription_is_a_lost_connection(broker: Broker) -> None:
    """A broker that does not take the subscription ends the connection, not the worker."""
    params = BrokerParams.from_url(broker.url)
    with pytest.raises(ConnectionLost, match="subscription"):
        async with connect(params, "refused-subscription") as connection:
            await connection.subscribe(["gas/#/wrong"])


async def test_a_port_where_nobody_listens_is_a_lost_connection() -> None:
    """A refused connection is the ordinary kind of loss, not a crash."""
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    with pytest.raises(ConnectionLost):
        async with connect(BrokerParams(port=port), "refused"):
            pass


async def test_a_wrong_password_is_told(broker: Broker) -> None:
    """The broker's refusal is in the message."""
    params = BrokerParams.from_url(f"mqtt://ingest:wrong@{broker.host}:{broker.port}")
    with pytest.raises(ConnectionLost, match=r"NOT_AUTHORIZED|BAD_USER_NAME"):
        async with connect(params, "wrong"):
            pass


async def test_nothing_is_acknowledged_on_a_later_connection(
    city: Database, pool: asyncpg.Pool, broker: Broker, line: Relay
) -> None:
    """What was delivered before a cut is stored, never acknowledged; the broker delivers it again: duplicates."""
    async with working(pool, _through(broker, line), slot="later"):
        before = _delivered("later")
        async with _database_holds(city, "later"):
            await _publish(broker, _messages(5))
            await until(lambda: _reached(_delivered("later") - before, 5))
            line.reset()
            await until(lambda: _reached(_delivered("later") - before, 10))

        async def all_counted() -> bool:
            return (await ledger_totals(pool))["received"] == 10

        await until(all_counted)
    totals = await ledger_totals(pool)
    assert (totals["stored"], totals["duplicate"]) == (5, 5)
    assert await pool.fetchval("SELECT count(*) FROM reading") == 5


async def _reached(value: float, wanted: float) -> bool:
    return value >= wanted


async def test_receive_maximum_bounds_what_is_in_flight(city: Database, pool: asyncpg.Pool, broker: Broker) -> None:
    """While nothing can be committed, no more than Receive Maximum is delivered; afterwards everything is stored."""
    async with working(pool, broker.url, slot="bound", broker={"receive_maximum": 40}):
        before = _delivered("bound")
        async with _database_holds(city, "bound"):
            await _publish(broker, _messages(500))
            await until(lambda: _reached(_delivered("bound") - before, 40))
            await asyncio.sleep(0.3)  # long enough for an unbounded delivery of all 500
            assert _delivered("bound") - before == 40
        await _stored(pool, 500)
    assert (await ledger_totals(pool))["received"] == 500


async def test_messages_of_qos_0_are_raised_and_none_is_dropped(
    city: Database, pool: asyncpg.Pool, broker: Broker
) -> None:
    """The library drops QoS 0 when nobody waits; the broker's `upgrade_outgoing_qos` keeps them safe."""
    async with working(pool, broker.url):
        with Publisher(broker.host, broker.port, broker.gateway("GW-1")) as gateway:
            gateway.publish_unsure(_messages(1000))
            await _stored(pool, 1000)


async def test_the_session_outlives_the_worker(city: Database, pool: asyncpg.Pool, broker: Broker) -> None:
    """What is published while no worker runs is kept by the broker and stored when one is back."""
    async with working(pool, broker.url, slot="session"):
        pass
    await _publish(broker, _messages(100))
    async with working(pool, broker.url, slot="session"):
        await _stored(pool, 100)


@pytest.mark.parametrize("arrives", [True, False])
async def test_a_commit_without_answer_is_not_counted_twice(city: Database, broker: Broker, arrives: bool) -> None:
    """The database connection dies at COMMIT, which arrives or does not: the retry finds out, the ledger is exact."""
    parts = city.url.rsplit("@", 1)
    host, rest = parts[1].split(":", 1)
    port, name = rest.split("/", 1)
    async with relay(host, int(port)) as wire:
        wire.forward_what_cuts = arrives
        url = f"{parts[0]}@127.0.0.1:{wire.port}/{name}"
        async with open_pool(url, application_name="test") as pool, working(pool, broker.url, slot="commit"):
            await _publish(broker, _messages(3))
            await _stored(pool, 3)
            wire.cut_at = lambda data: b"COMMIT;" in data
            await _publish(broker, _messages(50, 3))
            await _stored(pool, 53)
            await _publish(broker, _messages(1, 53))
            await _stored(pool, 54)
            totals = await ledger_totals(pool)
            assert wire.cuts == 1
            assert totals == {
                "received": 54, "stored": 54, "duplicate": 0, "late": 0, "conflict": 0, "quarantined": 0,
            }  # fmt: skip
            batches = await pool.fetchrow("SELECT sum(received) AS received, sum(reading_rows) AS rows FROM batch")
            assert (batches["received"], batches["rows"]) == (54, 54)
