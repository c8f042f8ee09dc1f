"""An alarm that cannot be stored becomes an alert, through ingest's own transaction and the rules' own pass."""

from datetime import UTC, datetime

import asyncpg
import pytest

from ingest.binding import bind_message
from ingest.directory import Directory
from ingest.formats import read_message
from ingest.model import Device, Gateway
from ingest.transaction import write_batch
from rules import passes
from rules.catalog import default_catalog
from sql import queries
from tests.ingest_city import event, topic
from tests.service.rules_rows import NOW, Town, make_town

CATALOG = default_catalog()


@pytest.fixture
async def town(conn: asyncpg.Connection) -> Town:
    town = await make_town(conn)
    await town.device("LD-1", "detector")
    return town


async def _publish(conn: asyncpg.Connection, town: Town, *payloads: bytes, gateway: str | None = None) -> None:
    """Commit messages of the town's gateway (or of another name) as a batch."""
    code = await conn.fetchval("SELECT code FROM gateway WHERE gateway_id = $1", town.gateway_id)
    directory = Directory(recheck_s=1.0)
    device_id = await conn.fetchval("SELECT device_id FROM device WHERE code = 'LD-1'")
    known = [(("native", "LD-1"), Device(device_id, town.gateway_id))]
    directory.learn([Gateway(town.gateway_id, code, "D01")], known, (set(), set()), 0.0)
    messages = [read_message(topic(gateway or code, "events"), payload, NOW) for payload in payloads]
    async with conn.transaction():
        batch_id = await conn.fetchval("SELECT nextval('batch_batch_id_seq')")
        judged = [bind_message(number, message, directory) for number, message in enumerate(messages)]
        await write_batch(conn, town.slot, batch_id, judged, expect_repeats=False)


async def _alerts(pool: asyncpg.Pool) -> list[asyncpg.Record]:
    async with pool.acquire() as conn:
        await conn.execute(*queries["add_cursors"].bind(stream="events"))
    await passes.events_pass(pool, CATALOG, "D01", NOW, 500)
    rows: list[asyncpg.Record] = await pool.fetch("SELECT * FROM alert WHERE rule_id = 'alarm_unread' ORDER BY subject")
    return rows


async def test_an_alarm_of_an_impossible_time_is_an_alert_of_its_home(
    pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town
) -> None:
    """The detector's clock fell back to 1970: its door is known, and gets a mandatory visit."""
    await _publish(conn, town, event("LD-1", at=datetime(1970, 1, 1, tzinfo=UTC)))
    (alert,) = await _alerts(pool)
    assert (alert["severity"], alert["premises_id"], alert["visit"], alert["leak"], alert["first_at"]) == (
        "critical",
        town.premises_ids[0],
        "mandatory",
        True,
        NOW,
    )


async def test_alarms_of_strangers_are_one_alert_of_their_gateway(
    pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town
) -> None:
    """A thousand invented detectors page once, and add no rows; the sentence names one of them."""
    await _publish(conn, town, *(event(f"X-{number}", at=NOW) for number in range(1000)))
    (alert,) = await _alerts(pool)
    assert (alert["subject"], alert["area"]) == (f"gateway:{town.gateway_id}", "D01")
    assert alert["sentence"].startswith("X-0 sent a leak alarm")
    row = await conn.fetchrow("SELECT count(*) AS rows, sum(times) AS times FROM unread_alarm")
    assert row is not None
    assert (row["rows"], row["times"]) == (1, 1000)


async def test_an_alarm_by_a_gateway_that_nobody_knows_is_the_areas(
    pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town
) -> None:
    """All that is known is the area in its topic."""
    await _publish(conn, town, event("X-1", at=NOW), gateway="GW-nobody")
    (alert,) = await _alerts(pool)
    assert alert["subject"].startswith("district:")
    assert alert["area"] == "D01"


async def test_after_it_was_closed_the_next_one_is_a_new_episode(
    pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town
) -> None:
    """The same bytes again, later, page again."""
    rubbish = b'{"device": "LD-1", "event": "leak_alarm", "state": "raised", "level": 2}'
    await _publish(conn, town, rubbish)
    (alert,) = await _alerts(pool)
    await conn.execute("UPDATE alert SET state = 'dismissed', closed_at = now() WHERE alert_id = $1", alert["alert_id"])
    await conn.execute("UPDATE alert SET first_at = first_at - interval '1 h', last_at = last_at - interval '1 h'")
    await _publish(conn, town, rubbish)
    assert sorted(row["state"] for row in await _alerts(pool)) == ["dismissed", "open"]


async def test_what_was_measured_long_ago_is_not_said_of_the_next_alarm(
    pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town
) -> None:
    """Within an hour the worst stays, whoever measured it; an hour after the last one the figures are the new one's."""
    await _publish(conn, town, event("X-1", at=NOW, level=2, lel_pct=45.0))
    await _publish(conn, town, event("X-2", at=NOW, level=1, lel_pct=12.0))
    said = "SELECT level, lel_pct, times FROM unread_alarm"
    assert tuple(await conn.fetchrow(said) or ()) == (2, 45.0, 2)
    (alert,) = await _alerts(pool)
    assert alert["sentence"].startswith("X-2 sent a leak alarm (up to 45 %LEL in 2 such messages) by gateway")
    await conn.execute("UPDATE unread_alarm SET last_received_at = last_received_at - interval '61 min'")
    await _publish(conn, town, event("X-3", at=NOW, level=1, lel_pct=12.0))
    assert tuple(await conn.fetchrow(said) or ()) == (1, 12.0, 1)


async def test_a_replay_that_is_refused_again_pages_nobody(
    pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town
) -> None:
    """It was noted when it came."""
    directory = Directory(recheck_s=1.0)
    directory.learn([], [], (set(), set()), 0.0)
    message = read_message(topic("GW-1", "events"), event("X-1", at=NOW), NOW)
    async with conn.transaction():
        batch_id = await conn.fetchval("SELECT nextval('batch_batch_id_seq')")
        judged = [bind_message(0, message, directory)]
        await write_batch(conn, town.slot, batch_id, judged, expect_repeats=False, replayed_at=NOW)
    assert await _alerts(pool) == []


async def test_every_stranger_of_one_batch_is_named_and_paged_for(
    pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town
) -> None:
    """Two homes alarm at once, or before the rules look: neither is hidden by the other; a third pages anew."""
    await _publish(conn, town, event("X-1", at=NOW), event("X-2", at=NOW))
    await _publish(conn, town, event("X-3", at=NOW))
    (alert,) = await _alerts(pool)
    assert all(name in alert["sentence"] for name in ("X-1", "X-2", "X-3"))
    await _publish(conn, town, event("X-1", at=NOW), event("X-4", at=NOW))
    (alert,) = await _alerts(pool)
    assert "X-4" in alert["sentence"]
    reasons = await conn.fetch("SELECT reason FROM alert_step WHERE alert_id = $1 ORDER BY step_id", alert["alert_id"])
    assert [row["reason"] for row in reasons] == ["raised", "another_device"]
