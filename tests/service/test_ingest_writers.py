"""Two transactions of one lane at once: what one meets changes nothing for the other, and nothing is told too early."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from urllib.parse import urlsplit

import asyncpg
import psycopg
import pytest
from prometheus_client import REGISTRY

from ingest.acknowledging import Receipts
from ingest.lanes import Lane
from ingest.model import Elsewhere
from ingest.params import IngestParams
from sql import queries
from sql.pool import open_pool
from tests.dying_worker import ENDED
from tests.ingest_city import NOW, ledger_totals, reading, register, topic, until, working
from tests.network import Relay, relay
from tests.publisher import Publisher
from tests.servers import Broker, Database

FIRST, SECOND = "GW-1", "GW-4"  # of different writers: see the first test
_COUNT = 200


@pytest.fixture
def city(db: Database) -> Database:
    register(db.admin_url, gateways=(FIRST, SECOND))
    return db


def _messages(gateway: str, count: int, first: int = 0) -> list[tuple[str, bytes]]:
    return [
        (topic(gateway), reading(f"M-{gateway}-0", n, NOW - timedelta(seconds=n))) for n in range(first, first + count)
    ]


async def _publish(broker: Broker, messages: dict[str, list[tuple[str, bytes]]]) -> None:
    def send() -> None:
        for gateway, some in messages.items():
            with Publisher(broker.host, broker.port, broker.gateway(gateway)) as link:
                link.publish(some)

    await asyncio.to_thread(send)


def _of_both(count: int, first: int = 0) -> dict[str, list[tuple[str, bytes]]]:
    return {gateway: _messages(gateway, count, first) for gateway in (FIRST, SECOND)}


async def _received(pool: asyncpg.Pool, count: int) -> dict[str, int]:
    async def there() -> bool:
        return (await ledger_totals(pool))["received"] >= count

    await until(there)
    return await ledger_totals(pool)


def test_a_gateway_has_one_writer_and_its_neighbours_may_have_another() -> None:
    """All topics of a gateway go to one writer; the slots' names are the ledger's."""
    lane = Lane.of_the_rest(IngestParams(slot="east"))
    assert lane.slots == ("east", "east-w2")
    assert lane.writer_of(FIRST) != lane.writer_of(SECOND)
    assert Lane.of_events(IngestParams()).slots == ("0-events",)


async def test_a_worker_that_dies_with_two_batches_in_flight(
    city: Database, pool: asyncpg.Pool, broker: Broker
) -> None:
    """Both transactions were written and neither committed: everything comes again and is stored once."""
    async with working(pool, broker.url):
        await _publish(broker, _of_both(1))  # makes the chunk, which one transaction makes while others wait
        await _received(pool, 2)
    await _publish(broker, _of_both(_COUNT, 1))
    environ = os.environ | {"DATABASE_URL": city.url, "MQTT_URL": broker.url}
    step = "before COMMIT of both"
    dying = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.dying_worker", step, env=environ)
    try:
        assert await asyncio.wait_for(dying.wait(), 20) == ENDED
    finally:
        if dying.returncode is None:
            dying.kill()
    assert (await ledger_totals(pool))["received"] == 2
    async with working(pool, broker.url):
        totals = await _received(pool, 2 + 2 * _COUNT)
    assert (totals["received"], totals["stored"]) == (2 + 2 * _COUNT, 2 + 2 * _COUNT)
    slots = dict(await pool.fetch("SELECT slot, sum(received)::int FROM ledger GROUP BY slot"))
    assert slots == {"0": 1 + _COUNT, "0-w2": 1 + _COUNT}


@asynccontextmanager
async def _wire(db: Database) -> AsyncIterator[tuple[Relay, str]]:
    parts = urlsplit(db.url)
    async with relay(parts.hostname or "", parts.port or 5432) as wire:
        yield wire, db.url.replace(f":{parts.port}/", f":{wire.port}/")


@pytest.mark.parametrize("arrives", [True, False])
async def test_the_database_is_lost_between_the_commits_of_two_batches(
    city: Database, broker: Broker, arrives: bool
) -> None:
    """One batch is committed, the other's COMMIT gets no answer and every connection is cut: nothing counts twice."""
    async with (
        open_pool(city.url, application_name="eye") as eye,
        _wire(city) as (wire, url),
        open_pool(url, application_name="test") as pool,
        working(pool, broker.url, retry_min_s=0.5),
    ):
        await _publish(broker, _of_both(1))
        await _received(eye, 2)
        wire.forward_what_cuts = arrives
        commits = 0

        def second_commit(data: bytes) -> bool:
            nonlocal commits
            commits += b"COMMIT;" in data
            if commits == 2:
                wire.reset()
            return commits == 2

        wire.cut_at = second_commit
        await _publish(broker, _of_both(_COUNT, 1))
        totals = await _received(eye, 2 + 2 * _COUNT)
        assert wire.cuts == 1
    assert (totals["received"], totals["stored"]) == (2 + 2 * _COUNT, 2 + 2 * _COUNT)
    assert await _batches_balance(city)


async def _batches_balance(city: Database) -> bool:
    async with await psycopg.AsyncConnection.connect(city.admin_url) as conn:
        found = await (
            await conn.execute("SELECT sum(reading_rows) = (SELECT count(*) FROM reading) FROM batch")
        ).fetchone()
    return bool(found and found[0])


async def test_poison_in_one_batch_while_the_other_goes_on(city: Database, pool: asyncpg.Pool, broker: Broker) -> None:
    """A row that the database refuses is cut out of its own batch; the other writer's is untouched."""
    with psycopg.connect(city.admin_url, autocommit=True) as admin:
        admin.execute("ALTER TABLE reading ADD CONSTRAINT no_devil CHECK (index_ml <> 666)")
    messages = _of_both(_COUNT)
    messages[FIRST][77] = (topic(FIRST), reading(f"M-{FIRST}-0", 77, NOW - timedelta(seconds=77), index_ml=666))
    async with working(pool, broker.url, batch={"age_max_s": 0.5}):
        await _publish(broker, messages)
        totals = await _received(pool, 2 * _COUNT)
    assert (totals["stored"], totals["quarantined"]) == (2 * _COUNT - 1, 1)
    by_slot = dict(await pool.fetch("SELECT slot, sum(quarantined)::int FROM ledger GROUP BY slot"))
    assert by_slot == {"0": 1, "0-w2": 0}


async def test_the_same_reading_through_both_writers(city: Database, pool: asyncpg.Pool, broker: Broker) -> None:
    """Repeats of a gateway are duplicates; its device through another gateway is refused, whichever comes first."""
    strangers = [(topic(SECOND), payload) for _, payload in _messages(FIRST, 50)]
    async with working(pool, broker.url):
        await _publish(broker, {FIRST: _messages(FIRST, 50), SECOND: strangers})
        await _publish(broker, {FIRST: _messages(FIRST, 50)})
        totals = await _received(pool, 150)
    assert (totals["stored"], totals["duplicate"], totals["quarantined"]) == (50, 50, 50)


async def test_an_acknowledgement_waits_for_those_before_it(city: Database, pool: asyncpg.Pool, broker: Broker) -> None:
    """The second writer's batch is committed, but the first's messages came before: nothing is acknowledged yet."""
    lock = queries["lock_slot"].text.replace("$1", "%s")

    def acknowledged() -> float:
        names = ("order", "order-w2")
        return sum(
            REGISTRY.get_sample_value("gaswarden_ingest_acknowledged_total", {"slot": one}) or 0 for one in names
        )

    async with working(pool, broker.url, slot="order"):
        with psycopg.connect(city.admin_url) as holder:
            holder.execute(lock.encode(), ("order",))
            await _publish(broker, {FIRST: _messages(FIRST, 20), SECOND: _messages(SECOND, 30)})
            await _received(pool, 30)
            assert await pool.fetchval("SELECT count(*) FROM reading") == 30
            await asyncio.sleep(0.2)  # an acknowledgement that is too early would be out by now
            assert acknowledged() == 0

        async def all_acknowledged() -> bool:
            return acknowledged() == 50

        await until(all_acknowledged)
    assert (await ledger_totals(pool))["stored"] == 50


async def test_receipts_of_a_connection_that_is_gone_are_forgotten() -> None:
    """They can be told to nobody; the next connection's start afresh, with the same packet ids."""
    receipts, gone = Receipts("gone"), object()
    for packet_id in (1, 2):
        receipts.expect((gone, packet_id))
    await receipts.settle([Elsewhere((gone, 2))])
    await receipts.settle([Elsewhere((gone, 1)), Elsewhere(None)])
    assert REGISTRY.get_sample_value("gaswarden_ingest_acknowledged_total", {"slot": "gone"}) == 0
