"""The worker dies at a step of its pipeline, loses its answers, or has a double: nothing is lost or counted twice."""

import asyncio
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Self

import asyncpg
import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from tests.dying_worker import ENDED, STEPS
from tests.ingest_city import NOW, ledger_totals, reading, register, topic, until, working
from tests.network import relay
from tests.publisher import Publisher
from tests.servers import Broker, Database

_COUNT = 200


@pytest.fixture
def city(db: Database) -> Database:
    register(db.admin_url)
    return db


def _messages(count: int, first: int = 0) -> list[tuple[str, bytes]]:
    return [(topic(), reading(seq=n, at=NOW - timedelta(seconds=n))) for n in range(first, first + count)]


async def _publish(broker: Broker, messages: Sequence[tuple[str, bytes]]) -> None:
    def send() -> None:
        with Publisher(broker.host, broker.port, broker.gateway("GW-1")) as gateway:
            gateway.publish(messages)

    await asyncio.to_thread(send)


async def _received(pool: asyncpg.Pool, count: int) -> dict[str, int]:
    async def all_there() -> dict[str, int] | None:
        totals = await ledger_totals(pool)
        return totals if totals["received"] >= count else None

    totals: dict[str, int] = await until(all_there)
    return totals


@pytest.mark.parametrize("step", STEPS)
async def test_a_worker_that_dies_at_a_step_loses_and_invents_nothing(
    city: Database, pool: asyncpg.Pool, broker: Broker, step: str
) -> None:
    """Before COMMIT nothing was counted; after it, what was not acknowledged comes again and counts as duplicate."""
    async with working(pool, broker.url):
        pass  # the broker has the session now
    await _publish(broker, _messages(_COUNT))
    environ = os.environ | {"DATABASE_URL": city.url, "MQTT_URL": broker.url}
    dying = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.dying_worker", step, env=environ)
    assert await asyncio.wait_for(dying.wait(), 20) == ENDED
    again = {"after COMMIT": _COUNT, "in mid-acknowledge": _COUNT // 2}.get(step, 0)
    assert (await ledger_totals(pool))["received"] == (_COUNT if again else 0)
    async with working(pool, broker.url):
        await _publish(broker, _messages(1, _COUNT))
        totals = await _received(pool, _COUNT + again + 1)
    assert (totals["received"], totals["stored"], totals["duplicate"]) == (_COUNT + again + 1, _COUNT + 1, again)
    assert await pool.fetchval("SELECT count(*) FROM reading") == _COUNT + 1


@pytest.mark.parametrize("arrives", [True, False])
async def test_a_network_cut_between_the_acknowledgement_and_its_arrival(
    city: Database, pool: asyncpg.Pool, broker: Broker, arrives: bool
) -> None:
    """The connection dies with the PUBACKs on it: those that arrived are done, the others come again as duplicates."""
    async with relay(broker.host, broker.port) as line:
        line.forward_what_cuts = arrives
        url = replace(broker, port=line.port)
        slot = f"puback-{arrives}"
        async with working(pool, url.url, slot=slot, batch={"age_max_s": 0.3}):
            await _publish(broker, _messages(3))
            await until(lambda: _acknowledged(slot, 3))
            await asyncio.sleep(0.1)  # they are on the network by now
            line.cut_at = lambda data: data[0] >> 4 == 4  # PUBACK
            await _publish(broker, _messages(50, 3))
            await until(lambda: _cut(line.cuts))
            await _publish(broker, _messages(1, 1000))

            async def last_is_there() -> bool:
                return int(await pool.fetchval("SELECT count(*) FROM reading")) == 54

            await until(last_is_there)
    totals = await ledger_totals(pool)
    assert totals["received"] == totals["stored"] + totals["duplicate"]
    assert totals["stored"] == 54
    assert (totals["duplicate"] == 50) is not arrives  # what arrived did not come again


async def _acknowledged(slot: str, count: int) -> bool:
    return (REGISTRY.get_sample_value("gaswarden_ingest_acknowledged_total", {"slot": slot}) or 0) >= count


async def _cut(cuts: int) -> bool:
    return cuts == 1


async def test_two_workers_of_one_slot_take_turns_instead_of_fighting(
    city: Database, pool: asyncpg.Pool, broker: Broker
) -> None:
    """The one that loses its session says so and stands by; every message is stored once, whoever has it."""
    async with relay(broker.host, broker.port) as line:
        url = replace(broker, port=line.port).url
        with capture_logs() as said:
            async with working(pool, url, standby_s=2.0), working(pool, url, standby_s=2.0):
                for start in range(0, 400, 20):
                    await _publish(broker, _messages(20, start))
                    await asyncio.sleep(0.1)

                async def all_stored() -> bool:
                    return int(await pool.fetchval("SELECT count(*) FROM reading")) == 400

                await until(all_stored)
    totals = await ledger_totals(pool)
    assert totals["received"] == totals["stored"] + totals["duplicate"]
    assert totals["stored"] == 400
    told = [entry for entry in said if entry["event"] == "slot_has_another_worker"]
    assert told, said
    assert "run one for each slot" in told[0]["why"]
    assert line.connections < 40  # a fight without end: some hundred in these seconds


async def test_the_worker_goes_on_when_its_clock_steps(
    city: Database, pool: asyncpg.Pool, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Set back by an hour in mid-work: what seems to come from the future is kept whole and told, nothing stops."""
    step = timedelta()

    class Stepping(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return super().now(tz) + step

    for module in ("receiving", "committing"):
        monkeypatch.setattr(f"ingest.{module}.datetime", Stepping)
    at = datetime.now(UTC)
    async with working(pool, broker.url):
        await _publish(broker, [(topic(), reading(seq=1, at=at))])
        assert (await _received(pool, 1))["stored"] == 1
        step = timedelta(hours=-1)
        await _publish(broker, [(topic(), reading(seq=2, at=at + timedelta(seconds=1)))])
        assert (await _received(pool, 2))["quarantined"] == 1
        ahead_s = REGISTRY.get_sample_value("gaswarden_ingest_clock_ahead_seconds", {"slot": "0"})
        assert ahead_s == pytest.approx(3600, abs=5)
        step = timedelta(hours=1)
        await _publish(broker, [(topic(), reading(seq=3, at=at + timedelta(seconds=2)))])
        assert (await _received(pool, 3))["stored"] == 2
    row = await pool.fetchrow("SELECT reason, payload FROM quarantine")
    assert row["reason"] == "time_out_of_range"


@pytest.mark.parametrize(
    ("days", "becomes"), [(30, "quarantined"), (-5000, "quarantined"), (-3, "late"), (0, "stored")]
)
async def test_device_clocks_far_ahead_or_behind(
    city: Database, pool: asyncpg.Pool, broker: Broker, days: int, becomes: str
) -> None:
    """A device's clock changes only what becomes of its own messages."""
    async with working(pool, broker.url):
        await _publish(broker, [(topic(), reading(seq=1, at=NOW + timedelta(days=days)))])
        await _publish(broker, [(topic(), reading("M-GW-1-1", seq=1))])
        totals = await _received(pool, 2)
    expected = {"received": 2, "stored": 1, "duplicate": 0, "late": 0, "conflict": 0, "quarantined": 0}
    expected[becomes] += 1
    assert totals == expected
