"""Events and reports become alerts of the event family, in a real database, whatever came first."""

from datetime import datetime, timedelta
from functools import partial

import asyncpg
import pytest

from rules import conditions, passes
from rules.catalog import default_catalog
from rules.report_passes import STREAM, reports_pass
from sql import queries
from tests.service.rules_rows import NOW, Town, insert, make_town

CATALOG = default_catalog()


@pytest.fixture
async def town(conn: asyncpg.Connection) -> Town:
    return await make_town(conn)


async def report(
    town: Town, device_id: int, at: datetime, *, received_at: datetime | None = None, **values: object
) -> None:
    """Commit a batch with one report of a device."""
    async with town.conn.transaction():
        batch_id = await town.batch([device_id], received_at=received_at or at, first_at=at, last_at=at)
        row = {"device_id": device_id, "at": at, "seq": 1, "batch_id": batch_id, **values}
        await insert(town.conn, "reading", "batch_id", **row)


async def work(pool: asyncpg.Pool, now: datetime = NOW) -> None:
    """Evaluate all events and reports that wait."""
    async with pool.acquire() as conn:
        for stream in ("events", STREAM):
            await conn.execute(*queries["add_cursors"].bind(stream=stream))
    await passes.events_pass(pool, CATALOG, "D01", now, 500)
    await reports_pass(pool, CATALOG, "D01", now, 500, 2000)


async def alerts(conn: asyncpg.Connection) -> dict[str, asyncpg.Record]:
    rows = await conn.fetch("SELECT * FROM alert ORDER BY alert_id")
    assert len({row["rule_id"] for row in rows}) == len(rows)
    return {row["rule_id"]: row for row in rows}


def ago(**units: float) -> datetime:
    return NOW - timedelta(**units)


async def test_a_reading_above_the_set_point_is_a_leak_alert_that_a_low_one_does_not_close(
    pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town
) -> None:
    """8 %LEL opens it, an alarm event of level 2 joins the same alert, a reading of zero only says it is quiet."""
    detector = await town.device("LD-1", "detector")
    await report(town, detector, ago(minutes=9), lel_pct=8.0)
    await work(pool)
    assert (await alerts(conn))["leak_alarm"]["severity"] == "major"
    await town.event(detector, at=ago(minutes=5), lel_pct=30.0)
    await town.event(detector, state="cleared", at=ago(minutes=3))
    await conn.execute("UPDATE device_state SET leak_state = 'cleared'")
    await report(town, detector, ago(minutes=1), lel_pct=0.0, status=0)
    await work(pool)
    alert = (await alerts(conn))["leak_alarm"]
    assert (alert["state"], alert["severity"], alert["firing"]) == ("open", "critical", False)


async def test_a_blind_detector_is_an_alert_and_ends_no_leak(
    pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town
) -> None:
    """Fault after gas: the leak goes on, the fault is an alert of its own that a healthy status word ends."""
    detector = await town.device("LD-1", "detector")
    await report(town, detector, ago(minutes=9), lel_pct=12.0, status=0)
    await report(town, detector, ago(minutes=8), lel_pct=0.0, status=4096)
    await work(pool)
    found = await alerts(conn)
    assert found["leak_alarm"]["firing"]
    assert found["detector_fault"]["state"] == "open"
    await report(town, detector, ago(minutes=2), lel_pct=0.0, status=0)
    await work(pool)
    found = await alerts(conn)
    assert (found["detector_fault"]["state"], found["leak_alarm"]["state"]) == ("verified", "open")


async def test_a_self_test_is_nobodys_alarm_and_late_news_page_nobody(
    pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town
) -> None:
    """Test events and simulated readings open nothing; what is a week old is recorded as late."""
    detector = await town.device("LD-1", "detector")
    await town.event(detector, "co_alarm", test=True)
    await report(town, detector, NOW, lel_pct=50.0, flags=32)
    await work(pool)
    assert await alerts(conn) == {}
    await town.event(detector, "co_alarm", at=ago(days=7), received_at=NOW, late=True)
    await report(town, detector, ago(days=7), received_at=NOW, lel_pct=50.0)
    await work(pool)
    assert {row["rule_id"]: row["late"] for row in (await alerts(conn)).values()} == {
        "co_alarm": True,
        "leak_alarm": True,
    }


async def test_events_of_a_meter_become_alerts_with_their_reasons(
    pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town
) -> None:
    """Valve closed by itself, tilt, hold test, pass-through by the second closed-valve event."""
    meter = await town.device("M-1")
    await town.event(meter, "valve", "closed", ago(minutes=9), cause="large_flow")
    await town.event(meter, "tilt", at=ago(minutes=8))
    await town.event(meter, "hold_test", "abnormal", ago(minutes=7))
    await town.event(meter, "flow_valve_closed", at=ago(days=20), received_at=ago(days=20))
    await town.event(meter, "flow_valve_closed", at=ago(minutes=6))
    await work(pool)
    found = await alerts(conn)
    assert set(found) == {
        "valve_self_closed",
        "tamper",
        "hold_test_failed",
        "meter_flow_valve_closed",
        "valve_pass_through",
    }
    assert found["tamper"]["sentence"] == "M-1 says that it was tilted"
    assert found["valve_self_closed"]["sentence"] == "M-1 closed its own valve: large flow"
    assert found["valve_pass_through"]["visit"] == "mandatory"


async def test_gas_that_two_doors_of_a_building_only_report_is_an_incident(
    pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town
) -> None:
    """By a reading and by a meter's reason: one that measured gas for hours before is no second alarm of now."""
    stuck, detector = await town.device("LD-1", "detector"), await town.device("LD-2", "detector")
    meter = await town.device("M-3", home=1)
    for hours in (5, 4, 3, 2, 1, 0):
        await report(town, stuck, ago(hours=hours, minutes=1), lel_pct=50.0)
    await report(town, detector, ago(minutes=9), lel_pct=6.0)
    await work(pool)
    assert {row["subject"][:7] for row in await conn.fetch("SELECT subject FROM alert")} == {"device:"}
    await report(town, meter, ago(minutes=2), reason=10)
    await work(pool)
    incident = await conn.fetchrow("SELECT * FROM alert WHERE rule_id = 'building_leaks'")
    assert (incident["subject"], incident["severity"]) == (f"building:{town.building_id}", "critical")
    assert incident["sentence"].endswith("within 7 min: LD-2, M-3")


async def test_a_meter_that_only_reports_what_it_suspects_is_heard(
    pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town
) -> None:
    """Many meters are set to report and not to close: a suspected leak, a use that never stops."""
    leaking, burning = await town.device("M-1"), await town.device("M-2")
    await town.event(leaking, "micro_flow", at=ago(minutes=8))
    await report(town, burning, ago(minutes=7), reason=24, status=0)
    await work(pool)
    assert {rule_id: row["sentence"] for rule_id, row in (await alerts(conn)).items()} == {
        "meter_micro_flow": "M-1 suspects a leak: a small flow that never stops",
        "meter_continuous_flow": "M-2 says that gas has flowed for longer than it is set to",
    }


async def test_what_came_first_does_not_matter(pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town) -> None:
    """The end arrives before the beginning: the alert is there, and quiet."""
    detector = await town.device("LD-1", "detector")
    await report(town, detector, ago(minutes=1), lel_pct=0.0, status=0)
    await work(pool)
    await report(town, detector, ago(minutes=5), received_at=NOW, lel_pct=25.0, status=0)
    await work(pool)
    alert = (await alerts(conn))["leak_alarm"]
    assert (alert["severity"], alert["firing"], alert["last_at"]) == ("critical", False, ago(minutes=5))


async def test_an_alarm_of_a_detector_installed_nowhere_is_sent_to_its_gateways_area(
    pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town
) -> None:
    """It is open in the gateway's area, and says why there and where to look; by event and by reading alike."""
    by_event = await town.device("LD-1", "detector", home=None)
    by_reading = await town.device("LD-2", "detector", home=None)
    await town.event(by_event)
    await report(town, by_reading, NOW, lel_pct=30.0)
    await work(pool)
    rows = await conn.fetch("SELECT area, premises_id, sentence FROM alert ORDER BY alert_id")
    assert [(row["area"], row["premises_id"]) for row in rows] == [("D01", None)] * 2
    assert all("installed nowhere that we know: look where its gateway GW-D01 is" in row["sentence"] for row in rows)


async def test_pressure_that_falls_at_most_meters_is_one_alert_of_their_zone(
    pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town
) -> None:
    """Five of six meters fall from 2.1 to 1.7 kPa within minutes; one stays: one incident, the district's."""
    meters = [await town.device(f"M-{number}") for number in range(6)]
    for number, meter in enumerate(meters):
        await report(town, meter, ago(hours=5), pressure_pa=2100)
        await report(town, meter, ago(minutes=9 - number), pressure_pa=2100 if number == 0 else 1700)
    await work(pool)
    found = await alerts(conn)
    assert set(found) == {"zone_pressure_fall"}
    assert found["zone_pressure_fall"]["sentence"].startswith(
        "Pressure fell by 400 Pa at 5 of 6 devices of district D01"
    )


async def test_a_rule_that_breaks_off_stands_still_alone_and_is_seen(
    pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mistake in one detector: other rules go on, the failure is counted, and it is mended when it comes through."""
    meter = await town.device("M-1")
    whole = conditions.find

    def broken(rule: object, *rest: object) -> object:
        if getattr(rule, "kind", "") == "tamper":
            raise ZeroDivisionError("planted")
        return whole(rule, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(conditions, "find", broken)
    await town.event(meter, "tamper")
    await town.event(meter, "magnet")
    await work(pool)
    assert set(await alerts(conn)) == {"magnet"}
    failing = await conn.fetch(*queries["failing_rules"].bind())
    assert [(row["rule_id"], row["error"]) for row in failing] == [("tamper", "ZeroDivisionError: planted")]
    monkeypatch.undo()
    await town.event(meter, "tamper", at=NOW + timedelta(seconds=1))
    await work(pool)
    assert set(await alerts(conn)) == {"magnet", "tamper"}
    assert await conn.fetch(*queries["failing_rules"].bind()) == []


async def test_what_does_not_recur_is_over_after_the_time_its_rule_says(
    pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town
) -> None:
    """An earthquake of yesterday fires until a day after it; then the alert is quiet and waits for a person."""
    meter = await town.device("M-1")
    await town.event(meter, "seismic", at=ago(hours=2))
    await work(pool)
    await passes.tick(pool, CATALOG, passes.Listening([]), NOW + timedelta(hours=21))
    assert (await alerts(conn))["seismic"]["firing"]
    await passes.tick(pool, CATALOG, passes.Listening([]), NOW + timedelta(hours=23))
    alert = (await alerts(conn))["seismic"]
    assert (alert["firing"], alert["state"], alert["cleared_at"]) == (False, "open", ago(hours=2) + timedelta(days=1))


@pytest.mark.parametrize("kind", ["valve", "fault"])
async def test_a_cleared_condition_closes_only_what_telemetry_may_close(
    pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town, kind: str
) -> None:
    """A meter's fault ends by itself; a valve that closed itself stays open for a person although it is open again."""
    meter = await town.device("M-1")
    begin = partial(town.event, meter, kind)
    await (begin("closed", ago(minutes=5), cause="seismic") if kind == "valve" else begin("raised", ago(minutes=5)))
    await work(pool)
    await begin("open" if kind == "valve" else "cleared", ago(minutes=1))
    await work(pool)
    (alert,) = (await alerts(conn)).values()
    assert (alert["state"], alert["firing"]) == ("open" if kind == "valve" else "verified", False)


async def test_alarms_do_not_wait_for_other_events(pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town) -> None:
    """Leak and carbon monoxide are there after the pass over alarms; an earthquake's flood has a stream of its own."""
    detector, meter = await town.device("LD-1", "detector"), await town.device("M-1")
    await town.event(detector)
    await town.event(detector, "co_alarm")
    await town.event(meter, "seismic")
    await conn.execute(*queries["add_cursors"].bind(stream="events"))
    await passes.events_pass(pool, CATALOG, "D01", NOW, 500)
    assert set(await alerts(conn)) == {"leak_alarm", "co_alarm"}
    await work(pool)
    assert set(await alerts(conn)) == {"leak_alarm", "co_alarm", "seismic"}
