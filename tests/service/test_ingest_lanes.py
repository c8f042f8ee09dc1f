"""Events have a lane of their own: an alarm waits for no reading, and is counted once."""

from datetime import timedelta
from functools import partial

import asyncpg
import psycopg
import pytest

from ingest.formats import is_urgent
from sql import queries
from sql.pool import open_pool
from tests.ingest_city import NOW, event, ledger_totals, reading, register, topic, until, working
from tests.publisher import Publisher
from tests.servers import Broker, Database


@pytest.fixture
def city(db: Database) -> Database:
    register(db.admin_url)
    return db


@pytest.mark.parametrize("own_loop", [False, True])
async def test_an_alarm_is_stored_while_readings_cannot_be(
    city: Database, pool: asyncpg.Pool, broker: Broker, own_loop: bool
) -> None:
    """With the readings' transaction held up, an event published after them is committed; nothing is counted twice."""
    events_pool = partial(open_pool, city.url, application_name="events", size_max=2) if own_loop else None
    lock = queries["lock_slot"].text.replace("$1", "%s")

    async def stored() -> bool:
        return bool(await pool.fetchval("SELECT count(*) FROM event"))

    async def all_received() -> bool:
        return (await ledger_totals(pool))["received"] >= 51

    async with working(pool, broker.url, events_pool=events_pool):
        with psycopg.connect(city.admin_url) as holder:
            holder.execute(lock.encode(), ("0",))
            with Publisher(broker.host, broker.port, broker.gateway("GW-1")) as gateway:
                gateway.publish([(topic(), reading(seq=number)) for number in range(50)])
                gateway.publish([(topic("GW-1", "events"), event(seq=60))])
            await until(stored)
            assert await pool.fetchval("SELECT count(*) FROM reading") == 0
        await until(all_received)
    by_slot = dict(await pool.fetch("SELECT slot, sum(received)::int FROM ledger GROUP BY slot"))
    assert by_slot == {"0": 50, "0-events": 1}


async def test_slots_that_share_take_messages_in_turn(city: Database, pool: asyncpg.Pool, broker: Broker) -> None:
    """Two slots of one share name store every message once between them, and both have some of the work."""

    async def all_received() -> bool:
        return (await ledger_totals(pool))["received"] >= 400

    async with (
        working(pool, broker.url, slot="east", share_name="city"),
        working(pool, broker.url, slot="west", share_name="city"),
    ):
        with Publisher(broker.host, broker.port, broker.gateway("GW-1")) as gateway:
            moments = [NOW - timedelta(seconds=number) for number in range(399)]
            gateway.publish([(topic(), reading(seq=number, at=at)) for number, at in enumerate(moments)])
            gateway.publish([(topic("GW-1", "events"), event(seq=400))])
        await until(all_received)
    totals = await ledger_totals(pool)
    by_slot = dict(await pool.fetch("SELECT slot, sum(received)::int FROM ledger GROUP BY slot"))
    assert (totals["received"], totals["stored"]) == (400, 400)
    assert by_slot["east"] > 0
    assert by_slot["west"] > 0
    assert await pool.fetchval("SELECT count(*) FROM event") == 1


@pytest.mark.parametrize(
    ("name", "urgent"),
    [
        ("gas/v1/D01/GW-1/events", True),
        ("gas/v1/D01/GW-1/readings", False),
        ("gas/v1/D01/GW-1/status", False),
        ("gas/v1/D01/events", False),
        ("gas/v1/D01/GW-1/x/events", False),
        ("gas/v2/D01/GW-1/events", False),
    ],
)
def test_only_what_the_events_lane_subscribes_to_is_left_to_it(name: str, urgent: bool) -> None:
    """A topic is left to the other lane exactly when that lane's subscription matches it."""
    assert is_urgent(name) is urgent
