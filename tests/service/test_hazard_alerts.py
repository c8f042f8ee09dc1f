"""From what an inspector reports to the alert of the door, and back: inspections write hazards, rules alerts."""

from datetime import timedelta
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from inspections import hazard_store
from inspections.hazard_life import AskedHazardStep, HazardStep, take_hazard_step
from inspections.model import Result
from inspections.outcomes import Finding
from inspections.reporting import report_outcome
from rules import deeds
from rules.catalog import default_catalog
from rules.model import OfficerStep
from rules.passes import Listening, tick
from sql.actor import Actor
from sql.errors import Conflict
from tests.service.inspections_rows import NOW, PARAMS, plan_visit, raise_alert, settle_town
from tests.service.rules_rows import insert

CATALOG = default_catalog()
OFFICER = Actor("olga", "officer")
GAUGE = {"kind": "instrument", "instrument": "GT-44", "value": 0.0, "unit": "ppm"}


@pytest.fixture
async def town(conn: asyncpg.Connection) -> asyncpg.Connection:
    await settle_town(conn, homes=3)
    return conn


async def report(
    conn: asyncpg.Connection,
    result: Result,
    *codes: str,
    minute: float,
    duty_id: int | None = None,
    told_after: float = 0,
) -> int:
    """A visit to H-001 at a minute, reported so many minutes after; returns its outcome's id."""
    at = NOW + timedelta(minutes=minute)
    open_duty = "SELECT max(duty_id) FROM duty WHERE kind = 'periodic' AND state = 'open'"
    visit_id, _ = await plan_visit(conn, "H-001", at, duty_id or await conn.fetchval(open_duty))
    body = {"client_id": str(uuid4()), "result": result, "hazards": list(codes)}
    async with conn.transaction():
        findings, told_at = [Finding(code) for code in codes], at + timedelta(minutes=told_after)
        receipt = await report_outcome(
            conn, visit_id, uuid4(), result, at, findings, None, body, PARAMS, OFFICER, told_at
        )
    return int(receipt["outcome_id"])


async def step(conn: asyncpg.Connection, step: HazardStep, minute: float) -> None:
    """A step on the newest hazard of grade 1, as the route takes it."""
    at = NOW + timedelta(minutes=minute)
    hazard_id = await conn.fetchval("SELECT max(hazard_id) FROM hazard WHERE grade = 1")
    asked = AskedHazardStep(step, at, note="closed at the riser", by="a fitter")
    async with conn.transaction():
        after = take_hazard_step(await hazard_store.lock_hazard(conn, hazard_id, OFFICER, at.date()), asked, at)
        await hazard_store.save_step(conn, after, asked, "olga", at, ZoneInfo("Asia/Shanghai"))


async def look(pool: asyncpg.Pool, minute: float) -> int:
    done = await tick(pool, CATALOG, Listening([]), NOW + timedelta(minutes=minute), "Asia/Shanghai")
    return len(done.alert_ids)


async def timeline(conn: asyncpg.Connection) -> list[str]:
    return [row["reason"] for row in await conn.fetch("SELECT reason FROM alert_step ORDER BY step_id")]


async def alert_now(conn: asyncpg.Connection) -> Any:
    return await conn.fetchrow("SELECT * FROM alert ORDER BY alert_id DESC LIMIT 1")


async def test_from_the_report_to_the_recheck(pool: asyncpg.Pool, town: asyncpg.Connection) -> None:
    """A leak found pages as critical; the cut makes it safe; the re-check that passes ends it with its outcome."""
    await report(town, "hazard_found", "leak", "light_rust", minute=0)
    assert await look(pool, 1) == 2  # raised, and the inspector was there
    row = await alert_now(town)
    assert (row["rule_id"], row["severity"], row["state"], row["leak"]) == ("hazard_open", "critical", "open", True)
    door = await town.fetchval("SELECT premises_id FROM premises WHERE code = 'H-001'")
    assert (row["subject"], row["premises_id"], row["area"]) == (f"premises:{door}", door, "D01")
    assert (row["due_stage"], row["evidence"]["hazards"]) == ("acknowledged", 1)
    assert await town.fetchval("SELECT purpose FROM page WHERE alert_id = $1", row["alert_id"]) == "raised"
    assert await look(pool, 2) == 0
    await step(town, "cut", 3)
    assert await look(pool, 4) == 2  # it does not fire any more, and is made safe
    row = await alert_now(town)
    # found on the 20th, one day: the end of the 21st in the city
    assert (row["state"], row["due_stage"], row["due_at"]) == ("made_safe", "verified", NOW + timedelta(hours=29))
    recheck = await town.fetchval("SELECT duty_id FROM duty WHERE kind = 'recheck'")
    await step(town, "rectify", 5)
    outcome_id = await report(town, "recheck_passed", minute=600, duty_id=recheck)
    assert await look(pool, 601) == 1
    row = await alert_now(town)
    assert (row["state"], row["closed_at"], row["due_at"]) == ("verified", NOW + timedelta(minutes=601), None)
    evidence = await town.fetchval("SELECT evidence FROM alert_step ORDER BY step_id DESC LIMIT 1")
    assert [one["outcome_id"] for one in evidence["hazards"]] == [outcome_id]
    assert await timeline(town) == ["raised", "found_at_the_door", "cleared", "supply_cut", "hazards_closed"]


async def test_what_the_recheck_sees_again_is_not_put_right(pool: asyncpg.Pool, town: asyncpg.Connection) -> None:
    """Said to be put right, gas given back, seen again: not put right, unsafe again and paged; put right anew, safe."""
    await report(town, "hazard_found", "leak", minute=0)
    await look(pool, 1)
    await step(town, "cut", 2)
    await step(town, "rectify", 3)
    await step(town, "restore", 4)
    await look(pool, 5)
    assert (await alert_now(town))["state"] == "made_safe"
    recheck = await town.fetchval("SELECT duty_id FROM duty WHERE kind = 'recheck'")
    await report(town, "hazard_found", "leak", minute=60, duty_id=recheck)
    row = await town.fetchrow("SELECT state, rectified_at, rectified_by FROM hazard")
    assert tuple(row) == ("open", None, None)
    assert await town.fetchval("SELECT note FROM hazard_step ORDER BY step_id DESC LIMIT 1") == (
        "seen again at the door: it is not put right"
    )
    await look(pool, 61)
    await look(pool, 62)
    row = await alert_now(town)
    assert (row["state"], row["severity"], row["episode"], row["due_stage"]) == ("open", "critical", 1, "acknowledged")
    assert await town.fetchval("SELECT count(*) FROM page WHERE purpose = 'raised'") == 2
    await step(town, "rectify", 70)
    await look(pool, 71)
    assert (await alert_now(town))["state"] == "made_safe"


async def test_an_open_hazard_is_not_verified_by_a_measurement(pool: asyncpg.Pool, town: asyncpg.Connection) -> None:
    """0 ppm does not mend a bypass: refused with the hazard's name. Who dismisses it is not asked again about it."""
    await report(town, "hazard_found", "meter_bypass", minute=0)
    await look(pool, 1)
    alert_id = (await alert_now(town))["alert_id"]
    now = NOW + timedelta(minutes=2)

    async def take(name: str, **values: Any) -> None:
        async with town.transaction():
            await deeds.take_step(town, CATALOG, alert_id, OfficerStep(name, "olga", **values), OFFICER, now)

    for name in ("acknowledge", "dispatch", "on_site", "made_safe"):
        await take(name)
    with pytest.raises(Conflict, match=r"hazard \d+ \(meter bypass\) is open"):
        await take("verify", evidence=(GAUGE,))
    await take("dismiss", cause="data_error")
    assert await look(pool, 3) == 0
    await report(town, "hazard_found", "severe_rust", minute=60)
    await look(pool, 61)
    row = await alert_now(town)
    assert (row["episode"], row["state"], row["evidence"]["hazards"]) == (2, "open", 2)


async def test_a_hazard_that_opens_again_raises_its_alert_again(pool: asyncpg.Pool, town: asyncpg.Connection) -> None:
    """Later news from the door corrects what was closed: the alert is a new episode."""
    await report(town, "hazard_found", "severe_rust", minute=0)
    await look(pool, 1)
    await town.execute("UPDATE hazard SET state = 'closed', closed_at = $1", NOW + timedelta(minutes=5))
    await look(pool, 6)
    await town.execute("UPDATE hazard SET state = 'open', closed_at = NULL")
    await look(pool, 7)
    rows = await town.fetch("SELECT episode, state FROM alert ORDER BY alert_id")
    assert [tuple(row) for row in rows] == [(1, "verified"), (2, "open")]


async def test_several_hazards_of_one_visit_page_once(pool: asyncpg.Pool, town: asyncpg.Connection) -> None:
    """One alert for the door, and looks that meet change nothing twice."""
    await report(town, "hazard_found", "severe_rust", "meter_bypass", "private_alteration", minute=0)
    await look(pool, 1)
    await look(pool, 1)
    assert await town.fetchval("SELECT count(*) FROM alert") == 1
    assert await town.fetchval("SELECT count(*) FROM page") == 1
    assert (await alert_now(town))["evidence"]["hazards"] == 3


async def test_the_leak_whose_visit_found_it_has_the_clock_already(
    pool: asyncpg.Pool, town: asyncpg.Connection
) -> None:
    """No second alert while that one is open and waits for the re-check; closed by a person, the hazard has its own."""
    alert_id = await raise_alert(town, "H-001", leak=True)
    door = await town.fetchval("SELECT premises_id FROM premises WHERE code = 'H-001'")
    duty_id = await insert(
        town, "duty", "duty_id", premises_id=door, kind="alert", state="open", due_on=NOW.date(), mandatory=True,
        reason="gas", alert_id=alert_id, created_at=NOW,
    )  # fmt: skip
    await report(town, "hazard_found", "leak", minute=10, duty_id=duty_id)
    await look(pool, 11)
    row = await alert_now(town)
    assert (row["alert_id"], row["confirmed"]) == (alert_id, True)
    step = OfficerStep("dismiss", "olga", cause="test")
    async with town.transaction():
        await deeds.take_step(town, CATALOG, alert_id, step, OFFICER, NOW + timedelta(minutes=12))
    await look(pool, 13)
    row = await alert_now(town)
    assert (row["rule_id"], row["severity"], row["state"]) == ("hazard_open", "critical", "open")


async def test_a_finding_told_late_makes_its_alert_true(pool: asyncpg.Pool, town: asyncpg.Connection) -> None:
    """Found early, told late; passed between: verified as false, then true, once, and closed all the same."""
    alert_id = await raise_alert(town, "H-001", leak=True, last_at=NOW - timedelta(minutes=1))
    door = await town.fetchval("SELECT premises_id FROM premises WHERE code = 'H-001'")
    duty_id = await insert(
        town, "duty", "duty_id", premises_id=door, kind="alert", state="open", due_on=NOW.date(), mandatory=True,
        reason="gas", alert_id=alert_id, created_at=NOW,
    )  # fmt: skip
    await report(town, "passed", minute=240, duty_id=duty_id)
    await look(pool, 241)
    row = await alert_now(town)
    assert (row["state"], row["confirmed"]) == ("verified", False)
    await report(town, "hazard_found", "hose_aged", minute=10, duty_id=duty_id, told_after=300)
    await look(pool, 311)
    assert await look(pool, 312) == 0
    row = await alert_now(town)
    assert (row["alert_id"], row["state"], row["confirmed"]) == (alert_id, "verified", True)
    assert (await timeline(town))[-2:] == ["inspection_passed", "hazard_found"]


async def test_the_recheck_ends_the_alert_whose_visit_saw_a_known_hazard(
    pool: asyncpg.Pool, town: asyncpg.Connection
) -> None:
    """A hazard that another visit had found is the alert's as well: it is confirmed, and ends with the re-check."""
    await report(town, "hazard_found", "leak", minute=0)
    await look(pool, 1)
    alert_id = await raise_alert(town, "H-001", leak=True, last_at=NOW + timedelta(minutes=5))
    door = await town.fetchval("SELECT premises_id FROM premises WHERE code = 'H-001'")
    duty_id = await insert(
        town, "duty", "duty_id", premises_id=door, kind="alert", state="open", due_on=NOW.date(), mandatory=True,
        reason="gas", alert_id=alert_id, created_at=NOW,
    )  # fmt: skip
    await report(town, "hazard_found", "leak", minute=10, duty_id=duty_id)
    await look(pool, 11)
    row = await town.fetchrow("SELECT state, confirmed FROM alert WHERE alert_id = $1", alert_id)
    assert tuple(row) == ("open", True)
    recheck = await town.fetchval("SELECT duty_id FROM duty WHERE kind = 'recheck'")
    await report(town, "recheck_passed", minute=600, duty_id=recheck)
    await look(pool, 601)
    assert [row["state"] for row in await town.fetch("SELECT state FROM alert")] == ["verified", "verified"]
