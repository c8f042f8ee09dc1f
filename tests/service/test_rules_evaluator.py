"""The rules service against a real TimescaleDB: what arrives becomes alerts, once, whatever the order."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

import sql
from rules import passes
from rules.catalog import default_catalog
from rules.evaluator import run
from rules.params import RuleParams
from rules.passes import Listening
from sql import parse_queries, queries
from tests.service.rules_rows import NOW, Town, hourly, insert, make_inspector, make_town

CATALOG = default_catalog()


@pytest.fixture
async def town(conn: asyncpg.Connection) -> Town:
    return await make_town(conn)


async def events(pool: asyncpg.Pool, now: datetime = NOW, slot: str = "D01") -> passes.Done:
    async with pool.acquire() as conn:
        await conn.execute(*queries["add_cursors"].bind(stream="events"))
    return await passes.events_pass(pool, CATALOG, slot, now, 500)


async def readings(pool: asyncpg.Pool, now: datetime = NOW, slot: str = "D01") -> passes.Done:
    async with pool.acquire() as conn:
        await conn.execute(*queries["add_cursors"].bind(stream="readings"))
    return await passes.readings_pass(pool, CATALOG, slot, now, 500, 2000)


async def alerts(conn: asyncpg.Connection, rule_id: str | None = None) -> list[asyncpg.Record]:
    rows = await conn.fetch("SELECT * FROM alert ORDER BY alert_id")
    return [row for row in rows if rule_id in {None, row["rule_id"]}]


async def steps(conn: asyncpg.Connection, alert_id: int) -> list[str]:
    rows = await conn.fetch("SELECT step FROM alert_step WHERE alert_id = $1 ORDER BY step_id", alert_id)
    return [row["step"] for row in rows]


async def test_every_statement_of_rules_can_be_prepared(conn: asyncpg.Connection) -> None:
    """A statement that names a column which is not there fails by name, without any data."""
    source = Path(sql.__file__).parent / "queries" / "rules.sql"
    for query in parse_queries(source.read_text("utf-8"), source.name).values():
        await conn.prepare(query.text)


async def test_a_leak_alarm_becomes_one_alert_with_place_and_evidence(
    pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town
) -> None:
    """Level 2 is critical, belongs to the home and its district, asks for a mandatory visit, and keeps the event."""
    detector = await town.device("LD-1", "detector")
    await town.event(detector, lel_pct=27.5)
    await events(pool)
    (alert,) = await alerts(conn)
    assert (alert["rule_id"], alert["severity"], alert["state"], alert["firing"], alert["late"]) == (
        "leak_alarm",
        "critical",
        "open",
        True,
        False,
    )
    assert (alert["area"], alert["premises_id"], alert["building_id"], alert["gateway_id"]) == (
        "D01",
        town.premises_ids[0],
        town.building_id,
        town.gateway_id,
    )
    assert (alert["visit"], alert["worst_value"], alert["unit"]) == ("mandatory", 27.5, "%LEL")
    assert alert["evidence"]["samples"] == [[NOW.isoformat(), "LD-1", "leak_alarm", "raised", 2, 27.5]]
    assert await steps(conn, alert["alert_id"]) == ["raised"]
    version = await conn.fetchrow("SELECT * FROM rule_version")
    assert (version["rule_id"], version["version"]) == ("leak_alarm", alert["rule_version"])
    assert version["definition"] == CATALOG.rules["leak_alarm"].definition


async def test_a_second_pass_finds_nothing_to_do(pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town) -> None:
    """The cursor moves in the transaction of the results, so an event is evaluated once."""
    detector = await town.device("LD-1", "detector")
    await town.event(detector)
    assert (await events(pool)).batches == 1
    assert await events(pool) == passes.Done()
    assert [row["count"] for row in await alerts(conn)] == [1]


async def test_another_process_finds_the_cursor_taken(pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town) -> None:
    """While one transaction holds a slot's cursor, another does not wait for it and does nothing."""
    detector = await town.device("LD-1", "detector")
    await town.event(detector)
    async with conn.transaction():
        await conn.execute(*queries["add_cursors"].bind(stream="events"))
    async with conn.transaction():
        await conn.fetch(*queries["claim_cursor"].bind(stream="events", slot="D01"))
        assert await passes.events_pass(pool, CATALOG, "D01", NOW, 500) == passes.Done()
    assert (await events(pool)).batches == 1


async def test_tests_of_detectors_never_alert(pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town) -> None:
    """A self-test is recorded by ingest and is nobody's alarm."""
    detector = await town.device("LD-1", "detector")
    await town.event(detector, test=True)
    await events(pool)
    assert await alerts(conn) == []


async def test_a_device_without_installation_alerts_in_its_gateways_area(
    pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town
) -> None:
    """Nobody knows the home, but the alarm is real."""
    detector = await town.device("LD-1", "detector", home=None)
    await town.event(detector)
    await events(pool)
    (alert,) = await alerts(conn)
    assert (alert["area"], alert["premises_id"]) == ("D01", None)


async def test_a_clear_keeps_a_leak_open_and_a_new_raise_fires_again(
    pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town
) -> None:
    """Silence of the detector is no proof: the alert stays open; the next raise is the same alert."""
    detector = await town.device("LD-1", "detector")
    await town.event(detector)
    await town.event(detector, state="cleared", at=NOW + timedelta(minutes=5))
    await events(pool)
    (alert,) = await alerts(conn)
    assert (alert["state"], alert["firing"], alert["cleared_at"]) == ("open", False, NOW + timedelta(minutes=5))
    await town.event(detector, at=NOW + timedelta(minutes=9))
    await events(pool)
    (alert,) = await alerts(conn)
    assert (alert["firing"], alert["count"]) == (True, 2)
    assert await steps(conn, alert["alert_id"]) == ["raised", "cleared", "raised"]


async def test_a_faulty_detectors_clear_is_not_believed(
    pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town
) -> None:
    """A detector that says it is faulty cannot say that the gas is gone."""
    detector = await town.device("LD-1", "detector")
    await town.heard(detector, NOW, status=4096)
    await town.event(detector)
    await town.event(detector, state="cleared", at=NOW + timedelta(minutes=5))
    await events(pool)
    (alert,) = await alerts(conn)
    assert alert["firing"]
    assert await steps(conn, alert["alert_id"]) == ["raised", "clear_not_believed"]


async def test_an_alarm_older_than_two_days_is_late(pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town) -> None:
    """Recorded at its own time; pages no one about last week."""
    detector = await town.device("LD-1", "detector")
    await town.event(detector, at=NOW - timedelta(days=3), received_at=NOW, late=True)
    await events(pool)
    (alert,) = await alerts(conn)
    assert alert["late"]


async def test_two_detectors_of_a_building_are_an_incident(
    pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town
) -> None:
    """Two homes within half an hour, in two passes, are a critical alert of the building beside their own."""
    one, two = await town.device("LD-1", "detector", home=0), await town.device("LD-2", "detector", home=1)
    await town.event(one)
    await events(pool)
    assert await alerts(conn, "building_leaks") == []
    await town.event(two, at=NOW + timedelta(minutes=29))
    await events(pool)
    (incident,) = await alerts(conn, "building_leaks")
    assert (incident["subject"], incident["severity"], incident["worst_value"], incident["area"]) == (
        f"building:{town.building_id}",
        "critical",
        2.0,
        "D01",
    )
    assert len(await alerts(conn, "leak_alarm")) == 2


async def test_detectors_further_apart_in_time_are_no_incident(
    pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town
) -> None:
    """31 minutes apart is outside the 30 of the catalogue."""
    one, two = await town.device("LD-1", "detector", home=0), await town.device("LD-2", "detector", home=1)
    await town.event(one)
    await town.event(two, at=NOW + timedelta(minutes=31))
    await events(pool)
    assert await alerts(conn, "building_leaks") == []


NO_PILOT = "UPDATE premises SET appliances = '{hob}'"  # known, and none: six days of records are judged


async def test_a_micro_leak_is_found_and_ends_with_a_pause(
    pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town
) -> None:
    """10 L every second hour for six days is 5 L/h that never stops; three quiet hours prove the end."""
    await conn.execute(NO_PILOT)
    meter = await town.device("M-1")
    rows = hourly(NOW, [0, 10] * 72)
    await town.readings(meter, rows)
    await readings(pool)
    (alert,) = await alerts(conn)
    assert (alert["rule_id"], alert["severity"], alert["firing"], alert["late"]) == ("micro_leak", "major", True, False)
    assert alert["worst_value"] == pytest.approx(5.0, abs=1.7)  # a pulse within six hours
    assert len(alert["evidence"]["samples"]) == len(rows)
    quiet = [(NOW + timedelta(hours=hour), rows[-1][1]) for hour in (1, 2, 3)]
    await town.readings(meter, quiet, received_at=NOW + timedelta(hours=3))
    await readings(pool, NOW + timedelta(hours=3))
    (alert,) = await alerts(conn)
    assert (alert["state"], alert["firing"]) == ("open", False)
    assert await steps(conn, alert["alert_id"]) == ["raised", "cleared"]


async def test_the_order_of_arrival_changes_nothing_in_what_is_found(
    pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town
) -> None:
    """Days that arrive last first end in the same alert as days in order."""
    await conn.execute(NO_PILOT)
    rows = hourly(NOW, [0, 10] * 72)
    one, two = await town.device("M-1"), await town.device("M-2", home=1)
    for start in range(0, len(rows), 24):
        await town.readings(one, rows[start : start + 24])
        await readings(pool)
    for start in reversed(range(0, len(rows), 24)):
        await town.readings(two, rows[start : start + 24])
        await readings(pool)
    first, second = await alerts(conn, "micro_leak")
    for column in ("first_at", "last_at", "worst_value", "evidence", "firing", "count", "severity"):
        assert first[column] == second[column], column


async def test_flow_through_a_closed_valve_is_found(pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town) -> None:
    """Three pulses two hours and more after the valve closed; the one in the transition hour does not count."""
    meter = await town.device("M-1", has_valve=True)
    closed_at = NOW - timedelta(hours=6)
    await town.event(meter, "valve", "closed", closed_at)
    await town.readings(meter, hourly(NOW, [0, 50, 10, 0, 10, 10, 10, 0]))
    await readings(pool)
    (alert,) = await alerts(conn)
    assert (alert["rule_id"], alert["worst_value"], alert["unit"]) == ("flow_valve_closed", 30.0, "L")


async def test_a_register_that_goes_back_is_found_and_a_late_one_is_marked(
    pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town
) -> None:
    """50 L back is more than two pulses of 10 L; found three days later it is recorded as late."""
    meter, other = await town.device("M-1"), await town.device("M-2", home=1)
    await town.readings(meter, [(NOW - timedelta(hours=2), 900_000), (NOW - timedelta(hours=1), 850_000)])
    old = NOW - timedelta(days=3)
    await town.readings(other, [(old, 900_000), (old + timedelta(hours=1), 850_000)])
    await readings(pool)
    one, two = await alerts(conn, "index_backwards")
    assert (one["worst_value"], one["late"], two["late"]) == (50.0, False, True)


async def test_after_a_closing_evidence_starts_anew(pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town) -> None:
    """The same old readings, seen again after an officer closed the alert, open nothing."""
    await conn.execute(NO_PILOT)
    meter = await town.device("M-1")
    rows = hourly(NOW, [0, 10] * 72)
    await town.readings(meter, rows)
    await readings(pool)
    await conn.execute("UPDATE alert SET state = 'dismissed', cause = 'works', closed_at = $1", NOW)
    await town.readings(meter, [(NOW + timedelta(hours=1), rows[-1][1] + 10_000)])
    await readings(pool, NOW + timedelta(hours=1))
    assert [row["state"] for row in await alerts(conn)] == ["dismissed"]


async def test_a_silent_device_is_found_only_while_its_gateway_spoke(
    pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town
) -> None:
    """Three daily intervals without a word while the gateway was heard; telemetry closes it by itself."""
    silent, alive = await town.device("M-1"), await town.device("M-2", home=1)
    for day in range(6):
        await town.batch(received_at=NOW - timedelta(days=5 - day))
    await town.heard(silent, NOW - timedelta(days=4))
    await town.heard(alive, NOW)
    await passes.tick(pool, CATALOG, Listening([]), NOW)
    (alert,) = await alerts(conn)
    assert (alert["rule_id"], alert["subject"], alert["severity"]) == ("device_silent", f"device:{silent}", "minor")
    await passes.tick(pool, CATALOG, Listening([]), NOW + timedelta(hours=1))
    assert len(await alerts(conn)) == 1
    await town.heard(silent, NOW + timedelta(hours=2))
    await passes.tick(pool, CATALOG, Listening([]), NOW + timedelta(hours=3))
    (alert,) = await alerts(conn)
    assert (alert["state"], alert["closed_at"]) == ("verified", NOW + timedelta(hours=3))


async def test_a_dead_gateway_is_one_incident_and_not_its_devices(
    pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town
) -> None:
    """Everything behind it fell silent at once: the gateway is the alert, also right after it is back."""
    devices = [await town.device(f"M-{number}", home=None) for number in range(5)]
    other = await make_town(conn, "D02")  # somebody else is heard, so we were listening
    gone_at = NOW - timedelta(days=4)
    for device_id in devices:
        await town.heard(device_id, gone_at)
    for day in range(6):
        await other.batch(received_at=NOW - timedelta(days=5 - day))
    await other.gateway_heard(NOW)
    await passes.tick(pool, CATALOG, Listening([]), NOW)
    (alert,) = await alerts(conn)
    assert (alert["rule_id"], alert["subject"]) == ("gateway_silent", f"gateway:{town.gateway_id}")
    await town.gateway_heard(NOW + timedelta(minutes=5))
    await other.batch(received_at=NOW + timedelta(minutes=5))
    await passes.tick(pool, CATALOG, Listening([]), NOW + timedelta(minutes=6))
    (alert,) = await alerts(conn)
    assert alert["state"] == "verified"


async def test_a_birth_alone_makes_no_device_silent(pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town) -> None:
    """A gateway born today may have days of reports to pass on yet; one online for longer than allowed has not."""
    for number in range(3):
        await town.heard(await town.device(f"M-{number}", home=None), NOW - timedelta(days=5))
    for day in range(6):
        await town.batch(received_at=NOW - timedelta(days=5 - day))
    await town.gateway_heard(NOW, "online")
    born = "UPDATE gateway_state SET state_at = $1"
    await conn.execute(born, NOW)
    await passes.tick(pool, CATALOG, Listening([]), NOW)
    assert await alerts(conn) == []
    await conn.execute(born, NOW - timedelta(days=4))
    await passes.tick(pool, CATALOG, Listening([]), NOW + timedelta(hours=7))  # an excused silence is looked at again
    assert [alert["rule_id"] for alert in await alerts(conn)] == ["device_silent"] * 3


async def test_a_hazard_known_before_is_told_once(pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town) -> None:
    """A visit that finds only what was known already confirms the alert once, not at every tick."""
    await town.event(await town.device("LD-1", "detector"))
    await events(pool)
    (alert,) = await alerts(conn)
    await visited(conn, town, alert["alert_id"], "hazard_found", NOW + timedelta(hours=1))
    for minute in range(4):
        await passes.tick(pool, CATALOG, Listening([]), NOW + timedelta(hours=2, minutes=minute))
    assert await steps(conn, alert["alert_id"]) == ["raised", "confirmed"]


async def test_nobody_is_blamed_for_our_own_outage(pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town) -> None:
    """No batch at all for five days was us: after the first batch back, nobody is silent."""
    meter = await town.device("M-1")
    await town.heard(meter, NOW - timedelta(days=5))
    await town.batch(received_at=NOW - timedelta(days=5))
    await town.batch(received_at=NOW)
    await town.gateway_heard(NOW)
    await passes.tick(pool, CATALOG, Listening([]), NOW + timedelta(minutes=1))
    assert await alerts(conn) == []


async def visited(conn: asyncpg.Connection, town: Town, alert_id: int, result: str, at: datetime) -> int:
    """What inspections writes when a visit of an alert's duty is reported; returns the outcome id."""
    inspector_id = await make_inspector(conn, "I-1")
    duty_id = await insert(
        conn,
        "duty",
        "duty_id",
        premises_id=town.premises_ids[0],
        kind="alert",
        state="done",
        due_on=at.date(),
        mandatory=True,
        reason="leak",
        alert_id=alert_id,
        created_at=at,
    )
    run_id = await insert(
        conn, "roster_run", "run_id", day=at.date(), version=1, planned_at=at, seed=1, solver="test", figures={}
    )
    roster_id = await insert(
        conn, "roster", "roster_id", run_id=run_id, inspector_id=inspector_id, leave_at=at, return_at=at, travel_s=0
    )
    visit_id = await insert(
        conn,
        "visit",
        "visit_id",
        roster_id=roster_id,
        position=1,
        premises_id=town.premises_ids[0],
        arrive_at=at,
        leave_at=at,
        travel_s=0,
        mandatory=True,
        reasons=[],
    )
    await insert(conn, "visit_duty", "duty_id", visit_id=visit_id, duty_id=duty_id)
    return await insert(
        conn,
        "outcome",
        "outcome_id",
        client_id="00000000-0000-0000-0000-000000000001",
        visit_id=visit_id,
        premises_id=town.premises_ids[0],
        inspector_id=inspector_id,
        result=result,
        at=at,
        received_at=at,
        body={},
        actor="i",
    )


async def test_a_passed_inspection_verifies_the_alert(pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town) -> None:
    """The inspector found nothing: closed on that evidence, and the alarm is known to be a false one."""
    detector = await town.device("LD-1", "detector")
    await town.event(detector)
    await events(pool)
    (alert,) = await alerts(conn)
    outcome_id = await visited(conn, town, alert["alert_id"], "passed", NOW + timedelta(hours=1))
    await passes.tick(pool, CATALOG, Listening([]), NOW + timedelta(hours=2))
    (alert,) = await alerts(conn)
    assert (alert["state"], alert["confirmed"], alert["closed_at"]) == ("verified", False, NOW + timedelta(hours=2))
    step = await conn.fetchrow("SELECT * FROM alert_step ORDER BY step_id DESC LIMIT 1")
    assert (step["actor"], step["evidence"]["outcome_id"]) == ("inspections", outcome_id)


async def test_a_hazard_confirms_the_alert_until_its_recheck_passes(
    pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town
) -> None:
    """Hazard found: confirmed and open, noted once; hazard closed: verified."""
    detector = await town.device("LD-1", "detector")
    await town.event(detector)
    await events(pool)
    (alert,) = await alerts(conn)
    outcome_id = await visited(conn, town, alert["alert_id"], "hazard_found", NOW + timedelta(hours=1))
    hazard = {"premises_id": town.premises_ids[0], "outcome_id": outcome_id, "code": "leak_at_joint", "grade": 1}
    await insert(conn, "hazard", "hazard_id", **hazard, found_at=NOW, due_on=NOW.date(), state="open")
    for minute in (1, 2):
        await passes.tick(pool, CATALOG, Listening([]), NOW + timedelta(hours=2, minutes=minute))
    (alert,) = await alerts(conn)
    assert (alert["state"], alert["confirmed"]) == ("open", True)
    assert await steps(conn, alert["alert_id"]) == ["raised", "confirmed"]
    await conn.execute("UPDATE hazard SET state = 'closed', closed_at = $1", NOW)
    await passes.tick(pool, CATALOG, Listening([]), NOW + timedelta(hours=3))
    (alert,) = await alerts(conn)
    assert (alert["state"], alert["confirmed"]) == ("verified", True)


@asynccontextmanager
async def serving(pool: asyncpg.Pool, params: RuleParams) -> AsyncIterator[None]:
    """The rules service, listening, until the end of the block; its failure is the test's."""
    ready = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        service = group.create_task(run(pool, CATALOG, params, ready=ready))
        await asyncio.wait_for(ready.wait(), 5)
        yield
        service.cancel()


async def test_the_service_wakes_on_a_notice_and_raises_the_alert(pool: asyncpg.Pool, town: Town) -> None:
    """A notice, not the poll, leads from a committed batch to an alert that listeners are told of."""
    detector = await town.device("LD-1", "detector")
    told: asyncio.Queue[str] = asyncio.Queue()

    def on_notice(_conn: object, _pid: int, _channel: str, payload: object) -> None:
        told.put_nowait(str(payload))

    await town.conn.add_listener("gaswarden_alert", on_notice)
    async with serving(pool, RuleParams(poll_s=50)):
        await town.event(detector, at=datetime.now(UTC))
        await town.conn.execute("SELECT pg_notify('gaswarden_batch', 'D01')")
        assert int(await asyncio.wait_for(told.get(), 5)) > 0
    await town.conn.remove_listener("gaswarden_alert", on_notice)
