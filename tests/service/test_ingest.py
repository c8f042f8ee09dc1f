"""Messages through a real broker into a real database: what becomes of each, exactly."""

from datetime import timedelta
from typing import Any

import asyncpg
import psycopg
import pytest
from prometheus_client import REGISTRY

from ingest.binding import bind_message
from ingest.formats import read_message
from tests.ingest_city import GATEWAYS, NOW, event, ledger_totals, reading, register, status, topic, until, working
from tests.publisher import Publisher
from tests.servers import Broker, Database


@pytest.fixture
def city(db: Database) -> Database:
    register(db.admin_url)
    return db


async def _received(pool: asyncpg.Pool, count: int) -> dict[str, int]:
    async def all_there() -> dict[str, int] | None:
        totals = await ledger_totals(pool)
        return totals if totals["received"] >= count else None

    totals: dict[str, int] = await until(all_there)
    return totals


def _gateway(broker: Broker, name: str = "GW-1") -> Publisher:
    return Publisher(broker.host, broker.port, broker.gateway(name))


async def test_a_report_becomes_its_own_row_and_its_frozen_hours(
    city: Database, pool: asyncpg.Pool, broker: Broker
) -> None:
    """A daily report with 24 hours, one of them unknown, gives 24 rows whose hours end where the report says."""
    hours = [10_000 * n for n in range(1, 24)] + [None]
    async with working(pool, broker.url):
        with _gateway(broker) as gateway:
            gateway.publish([(topic(), reading(seq=7, at=NOW, index_ml=400_000, battery_mv=3600, hours=hours))])
        totals = await _received(pool, 1)
    rows = await pool.fetch("SELECT * FROM reading ORDER BY at")
    midnight = NOW.replace(hour=0)
    assert totals == {"received": 1, "stored": 1, "duplicate": 0, "late": 0, "conflict": 0, "quarantined": 0}
    assert [row["index_ml"] for row in rows] == [*hours[:23], 400_000]
    assert rows[0]["at"] == midnight - timedelta(hours=23)
    assert [row["seq"] for row in rows] == [None] * 23 + [7]
    assert rows[-1]["battery_mv"] == 3600
    batch = await pool.fetchrow("SELECT * FROM batch")
    assert (batch["reading_rows"], batch["received"], batch["stored"]) == (24, 1, 1)
    assert batch["first_at"] == rows[0]["at"]
    assert batch["last_at"] >= NOW


async def test_every_disposition_is_counted_exactly(city: Database, pool: asyncpg.Pool, broker: Broker) -> None:
    """Stored, duplicate, late, conflict and quarantined messages, in one batch or several, are told apart."""
    old = NOW - timedelta(days=3)
    messages = [
        (topic(), reading(seq=1, at=NOW, index_ml=5)),  # stored
        (topic(), reading(seq=1, at=NOW, index_ml=5)),  # duplicate, in the same batch or the next
        (topic(), reading(seq=1, at=NOW, index_ml=6)),  # conflict
        (topic(), reading(seq=2, at=old, index_ml=4)),  # late
        (topic(), reading(seq=2, at=old, index_ml=4)),  # late and known: duplicate
        (topic(), b"{"),  # not_json
        (topic(), reading("M-GW-2-0", seq=1)),  # gateway_mismatch
        (topic(), reading("nobody", seq=1)),  # unknown_device
        (topic(), reading(seq=3, at=NOW + timedelta(days=1))),  # time_out_of_range
        (topic(area="D99"), reading()),  # unknown_gateway
        (topic(), reading(seq=-1)),  # invalid_field
        (topic(), b"x" * 70_000),  # too_large
        (topic("GW-1", "events"), event(seq=9)),  # stored
        (topic("GW-1", "events"), event(seq=9)),  # duplicate
        (topic("GW-1", "events"), event(seq=9, lel_pct=30.0)),  # conflict: says more than the stored one
        (topic("GW-1", "status"), status()),  # stored
        (topic("GW-1", "status"), status()),  # duplicate
    ]
    async with working(pool, broker.url, batch={"age_max_s": 0.3}):
        with _gateway(broker) as gateway:
            gateway.publish(messages)
            totals = await _received(pool, 17)
    expected = {"received": 17, "stored": 3, "duplicate": 4, "late": 1, "conflict": 2, "quarantined": 7}
    assert totals == expected
    reasons = await pool.fetch("SELECT reason, times, octet_length(payload) AS kept, payload_bytes FROM quarantine")
    assert {row["reason"] for row in reasons} == {
        "not_json", "gateway_mismatch", "unknown_device", "time_out_of_range", "unknown_gateway", "invalid_field",
        "too_large",
    }  # fmt: skip
    large = next(row for row in reasons if row["reason"] == "too_large")
    assert (large["kept"], large["payload_bytes"]) == (4_096, 70_000)
    kept = await pool.fetch(
        "SELECT source, kept ->> 'index_ml' AS kept, refused ->> 'index_ml' AS refused FROM conflict"
    )
    assert ("reading", "5", "6") in [tuple(row) for row in kept]
    assert await pool.fetchval("SELECT count(*) FROM reading") == 2
    assert await pool.fetchval("SELECT count(*) FROM event") == 1
    by_gateway = dict(await pool.fetch("SELECT gateway, sum(received)::int FROM ledger GROUP BY gateway"))
    assert by_gateway == {"GW-1": 16, "?": 1}


async def test_the_same_in_one_batch_and_one_by_one(city: Database, pool: asyncpg.Pool, broker: Broker) -> None:
    """A batch of one gives the same dispositions as one large batch."""
    messages = [(topic(), reading(seq=1, index_ml=index)) for index in (5, 5, 6, 5)]
    async with working(pool, broker.url, batch={"messages_max": 1}):
        with _gateway(broker) as gateway:
            gateway.publish(messages)
        totals = await _received(pool, 4)
    assert (totals["stored"], totals["duplicate"], totals["conflict"]) == (1, 2, 1)


async def test_frozen_hours_that_come_again_add_only_what_is_new(
    city: Database, pool: asyncpg.Pool, broker: Broker
) -> None:
    """A second report with the same frozen day is stored for its own moment; the hours stay single."""
    hours = [1000 * n for n in range(1, 25)]
    async with working(pool, broker.url):
        with _gateway(broker) as gateway:
            gateway.publish([(topic(), reading(seq=1, index_ml=30_000, hours=hours))])
            await _received(pool, 1)
            gateway.publish(
                [
                    (
                        topic(),
                        reading(
                            seq=2,
                            at=NOW + timedelta(seconds=1),
                            index_ml=30_000,
                            hours=hours,
                            hours_from=NOW.replace(hour=0) - timedelta(days=1),
                        ),
                    )
                ]
            )
            totals = await _received(pool, 2)
    assert totals["stored"] == 2
    assert [row["reading_rows"] for row in await pool.fetch("SELECT reading_rows FROM batch ORDER BY batch_id")] == [
        25,
        1,
    ]


async def test_state_moves_only_forward_in_event_time(city: Database, pool: asyncpg.Pool, broker: Broker) -> None:
    """A report that arrives after a newer one changes no fact of the device's state."""
    older = NOW - timedelta(hours=5)
    async with working(pool, broker.url):
        with _gateway(broker) as gateway:
            gateway.publish([(topic(), reading(seq=2, at=NOW, index_ml=90, status=1, battery_mv=3500))])
            gateway.publish([(topic(kind="events"), event(seq=5, at=NOW, state="cleared"))])
            await _received(pool, 2)
            gateway.publish([(topic(), reading(seq=1, at=older, index_ml=70, status=0, battery_mv=3700))])
            gateway.publish([(topic(kind="events"), event(seq=4, at=older, state="raised"))])
            await _received(pool, 4)
    state = await pool.fetchrow("SELECT s.* FROM device_state s JOIN device USING (device_id) WHERE code = 'M-GW-1-0'")
    assert (state["reported_at"], state["seq"], state["index_ml"], state["battery_mv"], state["valve"]) == (
        NOW, 2, 90, 3500, "closed",
    )  # fmt: skip
    leak = await pool.fetchval("SELECT leak_state FROM device_state WHERE leak_at = $1", NOW)
    assert leak == "cleared"


async def test_a_will_of_an_older_session_changes_nothing(city: Database, pool: asyncpg.Pool, broker: Broker) -> None:
    """After a reconnection the old session's will arrives late: recorded, and the gateway stays online."""
    later = NOW + timedelta(minutes=1)
    async with working(pool, broker.url):
        with _gateway(broker) as gateway:
            for number, body in enumerate(
                (status("online", "a"), status("online", "b", later), status("offline", "a")), 1
            ):
                gateway.publish([(topic(kind="status"), body)])
                await _received(pool, number)
            state = await pool.fetchrow("SELECT state, session FROM gateway_state")
            assert tuple(state) == ("online", "b")
            gateway.publish([(topic(kind="status"), status("offline", "b", later))])
            await _received(pool, 4)
    state = await pool.fetchrow("SELECT state, session FROM gateway_state")
    assert tuple(state) == ("offline", "b")
    assert await pool.fetchval("SELECT count(*) FROM gateway_event") == 4


async def test_one_poisonous_message_in_a_batch_is_cut_out(city: Database, pool: asyncpg.Pool, broker: Broker) -> None:
    """What the database refuses is quarantined alone, with the database's answer; every other message is stored."""
    with psycopg.connect(city.admin_url, autocommit=True) as admin:
        admin.execute("ALTER TABLE reading ADD CONSTRAINT no_devil CHECK (index_ml <> 666)")
    messages = [
        (topic(), reading(seq=n, at=NOW - timedelta(seconds=n), index_ml=666 if n == 333 else 10 * n))
        for n in range(1000)
    ]
    async with working(pool, broker.url, batch={"age_max_s": 0.5}):
        with _gateway(broker) as gateway:
            gateway.publish(messages)
        totals = await _received(pool, 1000)
    assert (totals["stored"], totals["quarantined"]) == (999, 1)
    row = await pool.fetchrow("SELECT reason, detail, payload FROM quarantine")
    assert row["reason"] == "unstorable"
    assert "no_devil" in row["detail"]
    assert row["payload"] == messages[333][1]


async def test_a_device_registered_later_is_accepted_without_restart(
    city: Database, pool: asyncpg.Pool, broker: Broker
) -> None:
    """Unknown at first, then registered: the next message of the device is stored by the same worker."""
    async with working(pool, broker.url):
        with _gateway(broker, "GW-9") as gateway:
            gateway.publish([(topic("GW-9"), reading("M-GW-9-0"))])
            assert (await _received(pool, 1))["quarantined"] == 1
            register(city.admin_url, gateways=("GW-9",))
            gateway.publish([(topic("GW-9"), reading("M-GW-9-0"))])
            assert (await _received(pool, 2))["stored"] == 1


async def test_waiting_messages_are_committed_and_acknowledged_on_stop(
    city: Database, pool: asyncpg.Pool, broker: Broker
) -> None:
    """A worker told to stop commits what it has; its successor hears none of it again."""
    async with working(pool, broker.url, slot="drain", batch={"age_max_s": 30.0}) as task:
        with _gateway(broker) as gateway:
            gateway.publish([(topic(), reading(seq=n, at=NOW - timedelta(seconds=n))) for n in range(50)])

            async def delivered() -> bool:
                return (REGISTRY.get_sample_value("gaswarden_ingest_received_total", {"slot": "drain"}) or 0) >= 50

            await until(delivered)
            task.cancel()
    assert (await ledger_totals(pool))["stored"] == 50
    async with working(pool, broker.url, slot="drain"):
        with _gateway(broker, GATEWAYS[1]) as gateway:
            gateway.publish([(topic("GW-2"), reading("M-GW-2-0"))])
            totals = await _received(pool, 51)
    assert (totals["received"], totals["duplicate"]) == (51, 0)


async def test_moments_outside_the_calendar_stop_nothing(city: Database, pool: asyncpg.Pool, broker: Broker) -> None:
    """Moments that no calendar in UTC has are quarantined in every kind of message; what comes after them is stored."""
    early, late = b"0001-01-01T00:00:00+14:00", b"9999-12-31T23:59:59-10:00"
    good = reading(seq=9)
    bad = [
        (topic(), b'{"device": "M-GW-1-0", "seq": 1, "at": "%s", "index_ml": 1}' % early),
        (topic(), b'{"device": "M-GW-1-0", "seq": 2, "at": "%s", "index_ml": 1}' % late),
        (topic(), good[:-1] + b', "hourly": {"from": "9999-12-31T23:00:00Z", "index_ml": [1]}}'),
        (topic(), good[:-1] + b', "hourly": {"from": "0001-01-01T00:00:00+14:00", "index_ml": [1]}}'),
        (topic("GW-1", "status"), b'{"state": "online", "session": "s", "at": "%s"}' % early),
        (topic("GW-1", "events"), event().replace(b'"at": "2', b'"at": "9999-12-31T23:59:59-10:00", "was": "2')),
    ]
    async with working(pool, broker.url):
        with _gateway(broker) as gateway:
            gateway.publish([*bad, (topic(), good), (topic("GW-1", "events"), event(seq=10))])
        totals = await _received(pool, 8)
    assert (totals["stored"], totals["quarantined"]) == (2, 6)


async def test_a_fault_of_ours_in_one_message_stops_no_lane(
    city: Database, pool: asyncpg.Pool, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A decoder or a binding that fails in a way nobody thought of costs that message its quarantine, not the lane."""

    def failing(known: Any, mark: bytes) -> Any:
        def run(*arguments: Any) -> Any:
            if any(mark in getattr(one, "payload", one if isinstance(one, bytes) else b"") for one in arguments):
                raise ZeroDivisionError("nobody thought of it")
            return known(*arguments)

        return run

    monkeypatch.setattr("ingest.receiving.read_message", failing(read_message, b"77777"))
    monkeypatch.setattr("ingest.committing.bind_message", failing(bind_message, b"88888"))
    indexes = (77777, 5, 88888, 6)
    messages = [(topic(), reading(seq=n, at=NOW - timedelta(minutes=n), index_ml=i)) for n, i in enumerate(indexes)]
    async with working(pool, broker.url):
        with _gateway(broker) as gateway:
            gateway.publish(messages)
        totals = await _received(pool, 4)
    assert (totals["stored"], totals["quarantined"]) == (2, 2)
    kept = {
        bytes(row["payload"]) for row in await pool.fetch("SELECT payload FROM quarantine WHERE reason = 'unstorable'")
    }
    assert kept == {messages[0][1], messages[2][1]}
