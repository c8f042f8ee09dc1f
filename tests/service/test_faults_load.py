"""Too much: a gateway that floods, and a hundred thousand devices that nobody registered."""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from tests.ingest_city import NOW, event, ledger_totals, reading, register, topic, until, working
from tests.publisher import Publisher
from tests.servers import Broker, Database

_FLOOD = 100_000
_STRANGERS = 100_000


@pytest.fixture
def city(db: Database) -> Database:
    register(db.admin_url)
    return db


async def _publish(broker: Broker, gateway: str, messages: Sequence[tuple[str, bytes]]) -> None:
    def send() -> None:
        with Publisher(broker.host, broker.port, broker.gateway(gateway)) as link:
            link.publish(messages, window=2000, timeout_s=40)

    await asyncio.to_thread(send)


async def _latency_s(pool: asyncpg.Pool, broker: Broker, number: int, kind: str) -> float:
    """From publication by the quiet gateway to its row."""
    at = datetime.now(UTC)
    body = event("LD-GW-2", number, at) if kind == "events" else reading("M-GW-2-0", number, at)
    table = "event" if kind == "events" else "reading"
    started_s = time.perf_counter()
    await _publish(broker, "GW-2", [(topic("GW-2", kind), body)])

    async def there() -> bool:
        return bool(await pool.fetchval(f"SELECT count(*) FROM {table} WHERE at = $1 AND seq = $2", at, number))  # noqa: S608

    await until(there, 20)
    return time.perf_counter() - started_s


@pytest.mark.slow
async def test_a_flooding_gateway_delays_no_alarm_of_another(
    city: Database, pool: asyncpg.Pool, broker: Broker
) -> None:
    """A hundred thousand readings at once from one gateway: another's alarms never wait for any length of them."""
    messages = [(topic(), reading(f"M-GW-1-{n % 3}", n % 65_536, NOW - timedelta(seconds=n))) for n in range(_FLOOD)]
    for gateway in ("GW-1", "GW-2"):
        broker.gateway(gateway)  # made one after the other; they publish at the same time
    async with working(pool, broker.url, batch={"age_max_s": 0.2}):
        flood, begun_s = asyncio.create_task(_publish(broker, "GW-1", messages)), time.perf_counter()
        alarms, readings = [], []
        for number in range(1000):
            alarms.append(await _latency_s(pool, broker, number, "events"))
            readings.append(await _latency_s(pool, broker, number, "readings"))
            if flood.done() and (await ledger_totals(pool))["received"] >= _FLOOD:
                break
        await flood

        async def all_received() -> bool:
            return (await ledger_totals(pool))["received"] == _FLOOD + 2 * len(alarms)

        await until(all_received, 30)
        flood_s = time.perf_counter() - begun_s
    assert max(alarms) < flood_s / 3, f"alarms: worst {max(alarms):.2f} s of {len(alarms)} in {flood_s:.1f} s"
    assert max(readings) < flood_s, f"readings: worst {max(readings):.2f} s in {flood_s:.1f} s"
    assert alarms
    totals = await ledger_totals(pool)
    assert totals["stored"] == totals["received"]


@pytest.mark.slow
async def test_a_hundred_thousand_strangers_are_counted_and_bounded(
    city: Database, pool: asyncpg.Pool, broker: Broker
) -> None:
    """Every message has its disposition; rows of and messages from the unregistered stay within bounds."""
    messages = [(topic(), reading(f"X-{n}", 1, NOW)) for n in range(_STRANGERS)]
    async with working(pool, broker.url, batch={"age_max_s": 0.2}):
        await _publish(broker, "GW-1", messages)
        await _publish(broker, "GW-1", [(topic(), reading(seq=1))])

        async def all_received() -> bool:
            return (await ledger_totals(pool))["received"] == _STRANGERS + 1

        await until(all_received, 40)
    totals = await ledger_totals(pool)
    assert (totals["quarantined"], totals["stored"]) == (_STRANGERS, 1)
    rows = await pool.fetchrow("SELECT count(*) AS rows, sum(messages) AS messages FROM unregistered_device")
    assert rows["rows"] <= 10_001
    assert rows["messages"] == _STRANGERS
    assert await pool.fetchval("SELECT count(*) FROM quarantine") <= 11_000
