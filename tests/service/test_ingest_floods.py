"""A gateway above its rate limit: its messages wait, whole and in order; nobody else's do, and none is lost."""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from structlog.testing import capture_logs

from ingest.ledger import prove_days
from ingest.trace import Outcome
from ingest.tracing import trace
from sql.actor import Actor
from tests.ingest_city import NOW, ledger_totals, reading, register, topic, until, working
from tests.publisher import Publisher
from tests.servers import Broker, Database

_FLOOD = 20_000
ALL = Actor("test", "administrator")


@pytest.fixture
def city(db: Database) -> Database:
    register(db.admin_url)
    return db


def _messages(count: int) -> list[tuple[str, bytes]]:
    return [(topic(), reading("M-GW-1-0", n, NOW - timedelta(seconds=_FLOOD - n))) for n in range(count)]


async def _publish(broker: Broker, gateway: str, messages: Sequence[tuple[str, bytes]]) -> None:
    def send() -> None:
        with Publisher(broker.host, broker.port, broker.gateway(gateway)) as link:
            link.publish(messages, window=2000, timeout_s=40)

    await asyncio.to_thread(send)


async def _received(pool: asyncpg.Pool, count: int, timeout_s: float = 30.0) -> None:
    async def there() -> bool:
        return (await ledger_totals(pool))["received"] >= count

    await until(there, timeout_s)


async def _is_in_order(pool: asyncpg.Pool) -> bool:
    """Whether no batch has a reading of GW-1 that was sent before one of an earlier batch."""
    return bool(
        await pool.fetchval(
            """SELECT bool_and(first >= before) FROM (
                SELECT min(seq) AS first, coalesce(lag(max(seq)) OVER (ORDER BY batch_id), -1) AS before
                FROM reading JOIN device USING (device_id) WHERE code = 'M-GW-1-0' GROUP BY batch_id) b"""
        )
    )


@pytest.mark.slow
async def test_a_flood_waits_and_the_readings_of_others_do_not(
    city: Database, pool: asyncpg.Pool, broker: Broker
) -> None:
    """20,000 at once from a gateway that may send 4,000 a second: another's readings take their usual time."""
    for gateway in ("GW-1", "GW-2"):
        broker.gateway(gateway)
    rate = {"messages_per_s": 4_000.0, "burst": 1_000}
    waits_s: list[float] = []
    with capture_logs() as said:
        async with working(pool, broker.url, gateway_rate=rate):
            flood = asyncio.create_task(_publish(broker, "GW-1", _messages(_FLOOD)))
            while not flood.done() or (await ledger_totals(pool))["received"] < _FLOOD:
                at, started_s = datetime.now(UTC), time.perf_counter()
                await _publish(broker, "GW-2", [(topic("GW-2"), reading("M-GW-2-0", 1, at))])

                async def stored(at: datetime = at) -> bool:
                    return bool(await pool.fetchval("SELECT count(*) FROM reading WHERE at = $1", at))

                await until(stored, 20)
                waits_s.append(time.perf_counter() - started_s)
            await flood
            await _received(pool, _FLOOD + len(waits_s))

            async def ended() -> bool:
                return bool(await pool.fetchval("SELECT count(*) FROM gateway_flood WHERE ended_at IS NOT NULL"))

            await until(ended)
    totals = await ledger_totals(pool)
    assert totals["received"] == totals["stored"] == _FLOOD + len(waits_s)
    assert await pool.fetchval("SELECT count(*) FROM held_bundle") == 0
    held = await pool.fetchval("SELECT sum(held) FROM gateway_flood WHERE gateway = 'GW-1'")
    assert 1_000 < held <= _FLOOD
    assert await _is_in_order(pool)
    assert len(waits_s) > 3
    assert sorted(waits_s)[len(waits_s) // 2] < 1.0
    assert max(waits_s) < 3.0, (
        f"worst {max(waits_s):.2f} s of {len(waits_s)}"
    )  # the machine may be busy with other tests
    told = [entry["event"] for entry in said if entry.get("gateway") == "GW-1"]
    assert told == ["gateway_floods", "gateway_flood_ended"]


async def test_what_is_held_survives_the_worker_and_keeps_its_order(
    city: Database, pool: asyncpg.Pool, broker: Broker
) -> None:
    """Held messages are acknowledged, proved and traced; the next worker gives them their turn, before newer ones."""
    messages = _messages(600)
    async with working(pool, broker.url, gateway_rate={"messages_per_s": 0.01, "burst": 50}):
        await _publish(broker, "GW-1", messages[:500])

        async def held() -> bool:
            return bool(await pool.fetchval("SELECT sum(messages) = 450 FROM held_bundle"))

        await until(held)
        assert (await ledger_totals(pool))["received"] == 50
        today = datetime.now(UTC).date()
        async with pool.acquire() as conn:
            proof = await prove_days(conn, today - timedelta(days=1), today, ALL)
            traced = [await trace(conn, "M-GW-1-0", NOW - timedelta(seconds=_FLOOD - n), ALL) for n in (10, 499, 550)]
        assert (proof.balances, proof.received, proof.held) == (True, 50, 450)
        assert [one.outcome for one in traced] == [Outcome.STORED, Outcome.HELD, Outcome.UNKNOWN]
    async with working(pool, broker.url, gateway_rate={"messages_per_s": 2_000.0, "burst": 200}):
        await _publish(broker, "GW-1", messages[500:])
        await _received(pool, 600)
    totals = await ledger_totals(pool)
    assert (totals["received"], totals["stored"]) == (600, 600)
    assert await pool.fetchval("SELECT count(*) FROM held_bundle") == 0
    assert await _is_in_order(pool)


async def test_what_cannot_be_stored_goes_to_quarantine_at_its_turn(
    city: Database, pool: asyncpg.Pool, broker: Broker
) -> None:
    """Rubbish and strangers are held like anything else, and judged when their turn comes."""
    messages = [(topic(), b"{"), (topic(), reading("X-1")), (topic(), reading(seq=5)), (topic(), reading(seq=5))]
    async with working(pool, broker.url, gateway_rate={"messages_per_s": 20.0, "burst": 1}):
        await _publish(broker, "GW-1", messages)
        await _received(pool, 4)
    totals = await ledger_totals(pool)
    assert (totals["quarantined"], totals["stored"], totals["duplicate"]) == (2, 1, 1)


async def test_a_worker_is_told_to_stop_in_the_middle_of_a_flood(
    city: Database, pool: asyncpg.Pool, broker: Broker
) -> None:
    """It leaves at once, with turns due; what it holds is the next one's, and the flood ends by itself."""
    rate = {"messages_per_s": 1_000.0, "burst": 100}
    async with working(pool, broker.url, gateway_rate=rate):
        await _publish(broker, "GW-1", _messages(3_000))

        async def held() -> bool:
            return bool(await pool.fetchval("SELECT count(*) FROM held_bundle"))

        await until(held)
        stopped_s = time.monotonic()
    assert time.monotonic() - stopped_s < 10
    assert await held()

    async def ended() -> bool:
        return bool(await pool.fetchval("SELECT count(*) FROM gateway_flood WHERE ended_at IS NOT NULL"))

    async with working(pool, broker.url, gateway_rate=rate | {"messages_per_s": 5_000.0}):
        await _received(pool, 3_000)
        await until(ended)
    assert (await ledger_totals(pool))["stored"] == 3_000
