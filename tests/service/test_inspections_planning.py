"""Planning in the database: duties in step, rosters published once, nothing lost, the checker's word is law."""

import asyncio
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import asyncpg
import pytest

from inspections import cycle, planning
from inspections.checker import Broken, Rule
from inspections.model import Day, Plan
from inspections.params import RosterParams
from inspections.planning import plan_day, plan_day_once
from inspections.scheduler import Schedule, run
from inspections.upkeep import keep_alert_duties, open_periodic_duties
from inspections.worker import PlanningFailed
from sql.audit import first_broken_entry
from sql.errors import Conflict
from tests.service.inspections_rows import NOW, PARAMS, TOMORROW, raise_alert, settle_town, visit_of


async def test_periodic_duties_open_once_for_doors_due(pool: asyncpg.Pool, conn: asyncpg.Connection) -> None:
    """Doors whose two years end within the horizon get one duty, at the end of the two years; others none."""
    await settle_town(conn, homes=3, last_entered_on=date(2024, 12, 1))
    await conn.execute("UPDATE premises SET last_entered_on = '2025-06-01' WHERE code = 'H-002'")
    await conn.execute("UPDATE premises SET last_entered_on = NULL WHERE code = 'H-003'")
    assert await open_periodic_duties(pool, PARAMS, NOW) == 2
    assert await open_periodic_duties(pool, PARAMS, NOW) == 0
    due = dict(await conn.fetch("SELECT p.code, d.due_on FROM duty d JOIN premises p USING (premises_id)"))
    assert due == {"H-001": date(2026, 12, 1), "H-003": date(2026, 11, 20)}


async def test_the_duty_of_a_door_with_several_cycles_is_the_soonest(
    pool: asyncpg.Pool, conn: asyncpg.Connection, tmp_path: Path
) -> None:
    """A cycle of a district holds below it too; a door in a risk group is due by the group's shorter cycle, once."""
    await settle_town(conn, homes=3, last_entered_on=date(2025, 10, 1))
    await conn.execute("UPDATE premises SET tenure = 'rented' WHERE code = 'H-002'")
    packaged = (Path(cycle.__file__).with_name("cycles.toml")).read_text("utf-8")
    own = '[[cycle]]\nuser_class = "household"\nmonths = 14\nareas = ["C"]\nsource = "x"\n\n'
    (tmp_path / "cycles.toml").write_text(packaged.replace("[no_access]", own + "[no_access]"))
    params = PARAMS.model_copy(update={"cycles_file": tmp_path / "cycles.toml"})
    assert await open_periodic_duties(pool, params, NOW) == 3
    due = dict(await conn.fetch("SELECT p.code, d.due_on FROM duty d JOIN premises p USING (premises_id)"))
    december = date(2026, 12, 1)
    assert due == {"H-001": december, "H-002": date(2026, 10, 1), "H-003": december}


async def test_alert_opens_a_duty_and_closing_cancels_it(pool: asyncpg.Pool, conn: asyncpg.Connection) -> None:
    """An alert that wants a visit has exactly one duty; a dismissed one has none open; late minor news has none."""
    await settle_town(conn, homes=3)
    alert_id = await raise_alert(conn, "H-001")
    await raise_alert(conn, "H-002", late=True, severity="minor")
    await raise_alert(conn, "H-003", visit="none")
    assert await keep_alert_duties(pool, PARAMS, NOW) == (1, 0)
    assert await keep_alert_duties(pool, PARAMS, NOW) == (0, 0)
    duty = await conn.fetchrow("SELECT * FROM duty")
    assert (duty["alert_id"], duty["mandatory"], duty["due_on"]) == (alert_id, True, date(2026, 11, 20))
    await conn.execute("UPDATE alert SET state = 'dismissed' WHERE alert_id = $1", alert_id)
    assert await keep_alert_duties(pool, PARAMS, NOW) == (0, 1)
    assert await conn.fetchval("SELECT state FROM duty") == "cancelled"


async def test_alert_that_gets_worse_makes_its_duty_mandatory(pool: asyncpg.Pool, conn: asyncpg.Connection) -> None:
    """A duty opened for a normal visit follows its alert when that becomes mandatory."""
    await settle_town(conn, homes=1)
    await raise_alert(conn, "H-001", visit="normal", severity="minor")
    await keep_alert_duties(pool, PARAMS, NOW)
    await conn.execute("UPDATE alert SET visit = 'mandatory', severity = 'critical'")
    await keep_alert_duties(pool, PARAMS, NOW)
    assert tuple(await conn.fetchrow("SELECT mandatory, due_on FROM duty")) == (True, date(2026, 11, 20))


async def test_roster_for_today_begins_from_now(pool: asyncpg.Pool, conn: asyncpg.Connection) -> None:
    """Planned at night nobody works any more; planned at 11:00 for the same day, no visit lies before 11:15."""
    await settle_town(conn)
    eleven = NOW - timedelta(hours=8)
    assert (await plan_day(pool, TOMORROW - timedelta(days=1), PARAMS, NOW)).figures["inspectors"] == 0
    await plan_day(pool, TOMORROW - timedelta(days=1), PARAMS, eleven)
    assert await conn.fetchval("SELECT min(leave_at) FROM roster") >= eleven + timedelta(minutes=15)


async def test_building_alert_is_checked_at_the_newest_alarm(pool: asyncpg.Pool, conn: asyncpg.Connection) -> None:
    """An alert of a whole building sends the inspector to the door whose alert is newest there."""
    await settle_town(conn, homes=6)
    await raise_alert(conn, "H-003", visit="none")
    building_id = await conn.fetchval("SELECT building_id FROM premises WHERE code = 'H-003'")
    await raise_alert(conn, "H-006", premises_id=None, building_id=building_id, subject=f"building:{building_id}")
    await keep_alert_duties(pool, PARAMS, NOW)
    code = await conn.fetchval("SELECT p.code FROM duty d JOIN premises p USING (premises_id)")
    assert code == "H-003"


async def test_leak_reaches_tomorrows_roster_with_its_reason(pool: asyncpg.Pool, conn: asyncpg.Connection) -> None:
    """A door with a leak alert and a periodic duty is one mandatory visit that satisfies both, by one who may."""
    await settle_town(conn, homes=12)
    alert_id = await raise_alert(conn, "H-005")
    made = await plan_day(pool, TOMORROW, PARAMS, NOW)
    assert (made.version, made.solver, made.figures["visits"]) == (1, "pyvrp", 12)
    visit = await conn.fetchrow(
        """SELECT v.*, i.code AS inspector, ARRAY(SELECT d.kind FROM visit_duty JOIN duty d USING (duty_id)
                  WHERE visit_id = v.visit_id ORDER BY 1) AS kinds
           FROM visit v JOIN roster USING (roster_id) JOIN inspector i USING (inspector_id) WHERE visit_id = $1""",
        await visit_of(conn, "H-005"),
    )
    assert visit["mandatory"]
    assert visit["inspector"] == "I-1"  # the only one with the skill for leaks
    assert visit["kinds"] == ["alert", "periodic"]
    assert any("gas at 25 %" in reason for reason in visit["reasons"]), alert_id
    assert await first_broken_entry(conn) is None


async def test_every_due_door_is_planned_or_omitted_with_a_reason(pool: asyncpg.Pool, conn: asyncpg.Connection) -> None:
    """With far more doors than a day holds, each is on a roster or an omission; none twice, none nowhere."""
    await settle_town(conn, homes=300)
    await plan_day(pool, TOMORROW, PARAMS, NOW)
    planned = await conn.fetch("SELECT premises_id FROM visit")
    omitted = await conn.fetch('SELECT premises_id, "constraint", reason FROM omission')
    everybody = [row["premises_id"] for row in (*planned, *omitted)]
    assert sorted(everybody) == sorted(
        row["premises_id"] for row in await conn.fetch("SELECT premises_id FROM premises")
    )
    assert all(row["reason"] for row in omitted)
    assert {row["constraint"] for row in omitted} <= {"capacity", "crowded_out"}


async def test_two_processes_plan_a_day_once(pool: asyncpg.Pool, conn: asyncpg.Connection) -> None:
    """Of two that start at once, one plans and the other finds the day planned."""
    await settle_town(conn)
    runs = await asyncio.gather(*(plan_day_once(pool, TOMORROW, PARAMS, NOW) for _ in range(2)))
    assert sorted(made.version if made else 0 for made in runs) == [0, 1]
    assert await conn.fetchval("SELECT count(*) FROM roster_run") == 1


async def test_planning_again_makes_the_next_version_with_the_same_plan(
    pool: asyncpg.Pool, conn: asyncpg.Connection
) -> None:
    """Asked again, the same day gives version 2, visit for visit the same."""
    await settle_town(conn)
    await plan_day(pool, TOMORROW, PARAMS, NOW)
    assert (await plan_day(pool, TOMORROW, PARAMS, NOW)).version == 2
    visits = """SELECT inspector_id, position, premises_id, arrive_at
                FROM visit JOIN roster USING (roster_id) WHERE run_id = $1"""
    runs = [row["run_id"] for row in await conn.fetch("SELECT run_id FROM roster_run ORDER BY version")]
    first, second = [sorted(map(tuple, await conn.fetch(visits, run_id))) for run_id in runs]
    assert first == second != []


async def test_door_on_a_visit_still_ahead_is_not_planned_again(pool: asyncpg.Pool, conn: asyncpg.Connection) -> None:
    """What tomorrow's roster holds is not on the day after's, unless tomorrow passes without an outcome."""
    await settle_town(conn)
    await plan_day(pool, TOMORROW, PARAMS, NOW)
    after = TOMORROW + timedelta(days=1)
    assert (await plan_day(pool, after, PARAMS, NOW)).figures["candidates"] == 0
    assert (await plan_day(pool, after, PARAMS, NOW + timedelta(days=1))).figures["candidates"] == 12


async def test_past_day_is_refused(pool: asyncpg.Pool) -> None:
    """Yesterday cannot be planned."""
    with pytest.raises(Conflict, match="has passed"):
        await plan_day(pool, date(2026, 11, 19), PARAMS, NOW)


async def test_refused_plan_is_replaced_by_the_plain_one(
    pool: asyncpg.Pool, conn: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the checker objects to the solver's plan, the plain plan is published instead."""
    await settle_town(conn)
    monkeypatch.setattr(planning, "broken_rules", object_to("pyvrp"))
    made = await plan_day(pool, TOMORROW, PARAMS, NOW)
    assert (made.solver, made.figures["fallback"], made.figures["visits"]) == ("greedy", True, 12)


async def test_nothing_is_published_when_every_plan_is_refused(
    pool: asyncpg.Pool, conn: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A roster that breaks a rule is never published, whatever made it."""
    await settle_town(conn)
    monkeypatch.setattr(planning, "broken_rules", object_to("pyvrp", "greedy"))
    with pytest.raises(PlanningFailed, match="breaks rules as well"):
        await plan_day(pool, TOMORROW, PARAMS, NOW)
    assert await conn.fetchval("SELECT count(*) FROM roster_run") == 0


def object_to(*solvers: str) -> Callable[[Day, Plan], list[Broken]]:
    """A checker that objects to the plans of these solvers."""

    def check(_day: Day, plan: Plan) -> list[Broken]:
        return [Broken(Rule.SHIFT, "I-1", "objected on purpose")] if plan.solver in solvers else []

    return check


async def test_tomorrow_is_planned_after_the_hour_and_only_once(pool: asyncpg.Pool, conn: asyncpg.Connection) -> None:
    """Before 18:00 in the city nothing is planned, after it tomorrow is, and later ticks leave it alone."""
    await settle_town(conn)
    schedule = Schedule(pool, PARAMS)
    await schedule.tick(NOW - timedelta(hours=1, seconds=1))
    assert await conn.fetchval("SELECT count(*) FROM roster_run") == 0
    await schedule.tick(NOW)
    await schedule.tick(NOW + timedelta(minutes=1))
    assert [tuple(row) for row in await conn.fetch("SELECT day, version FROM roster_run")] == [(TOMORROW, 1)]


async def test_a_leak_after_the_hour_plans_tomorrow_anew(pool: asyncpg.Pool, conn: asyncpg.Connection) -> None:
    """An alarm raised when tomorrow is planned already gets onto a next version; a second one waits for the pause."""
    await settle_town(conn)
    schedule = Schedule(pool, PARAMS)
    await schedule.tick(NOW)
    await raise_alert(conn, "H-001")
    await schedule.tick(NOW + timedelta(minutes=1))
    await raise_alert(conn, "H-002")
    await schedule.tick(NOW + timedelta(minutes=1, seconds=30))
    versions = "SELECT max(version) FROM roster_run WHERE day = $1"
    assert await conn.fetchval(versions, TOMORROW) == 2
    await schedule.tick(NOW + timedelta(minutes=3))
    await schedule.tick(NOW + timedelta(minutes=5))
    assert await conn.fetchval(versions, TOMORROW) == 3
    mandatory = await conn.fetch(
        """SELECT p.code FROM visit v JOIN premises p USING (premises_id) JOIN roster ro USING (roster_id)
        JOIN roster_run ru USING (run_id) WHERE v.mandatory AND ru.version = 3 ORDER BY 1"""
    )
    assert [row["code"] for row in mandatory] == ["H-001", "H-002"]


async def test_service_brings_duties_in_step_until_cancelled(pool: asyncpg.Pool, conn: asyncpg.Connection) -> None:
    """The running service opens the duty of a new alert by itself."""
    await settle_town(conn, homes=1)
    ready = asyncio.Event()
    service = asyncio.create_task(run(pool, RosterParams(tick_s=0.05, iterations_min=20), ready))
    async with asyncio.timeout(30):
        await ready.wait()
        await raise_alert(conn, "H-001")
        while not await conn.fetchval("SELECT count(*) FROM duty WHERE kind = 'alert'"):  # noqa: ASYNC110 - a row
            await asyncio.sleep(0.02)
    service.cancel()
    with pytest.raises(asyncio.CancelledError):
        await service
