"""A day that changes: alarms get the nearest, what is done stays, promises are kept or told anew."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from inspections.changes import (
    AppointmentCancelled,
    AppointmentMade,
    ChangeRequest,
    DiffQuery,
    Ill,
    Mandatory,
    Overrun,
    Replan,
)
from inspections.changing import Changed, change_day
from inspections.day_routes import RosterDayRoutes
from inspections.planning import plan_day
from inspections.promises import promises_of_duty
from inspections.reporting import report_outcome
from inspections.scheduler import Schedule
from inspections.store import newest_run
from inspections.upkeep import keep_alert_duties
from inspections.why import WhyQuery
from sql.actor import Actor
from sql.errors import Conflict, NotFound
from tests.service.inspections_rows import NOW, PARAMS, TOMORROW, raise_alert, settle_town, visit_of

TEN = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)  # 10:00 in the city
DAY = TOMORROW
CONSOLE = Actor("console", "administrator")
OFFICER = Actor("olga", "officer")
LONG = PARAMS.model_copy(update={"household_min": 25, "change_iterations": 50})  # twenty homes fill a day


async def planned(pool: asyncpg.Pool, conn: asyncpg.Connection, homes: int = 45) -> None:
    """Two inspectors with more doors than their day holds, planned the evening before."""
    await settle_town(conn, homes=homes)
    await plan_day(pool, DAY, LONG, NOW)


async def lines(conn: asyncpg.Connection, version: int) -> dict[int, tuple[Any, ...]]:
    """What a version said: visit -> inspector, begin."""
    rows = await conn.fetch(
        """SELECT vv.visit_id, vv.inspector_id, vv.arrive_at FROM visit_version vv JOIN roster_run r USING (run_id)
           WHERE r.day = $1 AND r.version = $2""",
        DAY,
        version,
    )
    return {row["visit_id"]: (row["inspector_id"], row["arrive_at"]) for row in rows}


async def alarm(pool: asyncpg.Pool, conn: asyncpg.Connection, code: str, at: datetime = TEN) -> Changed:
    await raise_alert(conn, code, raised_at=at, first_at=at, last_at=at)
    return await change_day(pool, DAY, Mandatory(kind="mandatory"), LONG, at)


async def omitted_home(conn: asyncpg.Connection) -> str:
    code: str = await conn.fetchval(
        """SELECT p.code FROM omission JOIN premises p USING (premises_id)
           WHERE run_id = (SELECT max(run_id) FROM roster_run) ORDER BY p.code LIMIT 1"""
    )
    return code


async def test_alarm_gets_an_emergency_visit_and_what_is_done_stays(
    pool: asyncpg.Pool, conn: asyncpg.Connection
) -> None:
    """At ten an alarm is next on the roster of who may serve leaks; nothing begun moves, every version is kept."""
    await planned(pool, conn)
    before = await lines(conn, 1)
    code = await omitted_home(conn)
    changed = await alarm(pool, conn, code)
    assert (changed.from_version, changed.version) == (1, 2)
    (inserted,) = changed.effect["inserted"]
    assert (inserted["premises"], inserted["inspector"], inserted["mandatory"]) == (code, "I-1", True)
    assert inserted["minutes_from_now"] < 45  # the visit under way, and the way
    after = await lines(conn, 2)
    begun = {visit_id: line for visit_id, line in before.items() if line[1] <= TEN}
    assert begun
    assert begun.items() <= after.items()
    assert await lines(conn, 1) == before
    dropped = before.keys() - after.keys()
    assert len(dropped) == changed.effect["counts"]["dropped"] < 6
    reasons = await conn.fetch(
        """SELECT om.reason FROM omission om JOIN visit v USING (premises_id)
           JOIN roster_run r ON r.run_id = om.run_id WHERE r.version = 2 AND v.visit_id = ANY($1)""",
        list(dropped),
    )
    assert len(reasons) == len(dropped)
    assert changed.effect["seconds"] < 30


async def test_planned_door_with_an_alarm_is_next_and_stays_next(pool: asyncpg.Pool, conn: asyncpg.Connection) -> None:
    """An alarm at a door planned for the afternoon brings its visit forward, and no later change puts it off again."""
    await planned(pool, conn, homes=30)
    last = await conn.fetchrow(
        """SELECT v.visit_id, p.code FROM visit v JOIN premises p USING (premises_id) JOIN roster USING (roster_id)
           JOIN inspector i USING (inspector_id) WHERE i.code = 'I-1' ORDER BY v.arrive_at DESC LIMIT 1"""
    )
    begin = "SELECT arrive_at FROM visit WHERE visit_id = $1"
    assert await conn.fetchval(begin, last["visit_id"]) > TEN + timedelta(hours=1)
    await alarm(pool, conn, last["code"])
    brought = await conn.fetchval(begin, last["visit_id"])
    assert brought < TEN + timedelta(minutes=45)
    await change_day(pool, DAY, Ill(kind="ill", inspector="I-2"), LONG, TEN + timedelta(seconds=30))
    assert await conn.fetchval(begin, last["visit_id"]) <= brought + timedelta(minutes=1)


async def nobody_home(conn: asyncpg.Connection, visit_id: int, at: datetime) -> dict[str, Any]:
    """A visit that did not get in, reported at once; returns what its receipt says beside."""
    async with conn.transaction():
        receipt = await report_outcome(
            conn, visit_id, uuid4(), "no_access", at, [], None, {"visit": visit_id}, LONG, OFFICER, at
        )
    return dict(receipt["follow_up"])


async def test_a_door_that_did_not_open_waits_for_its_day(pool: asyncpg.Pool, conn: asyncpg.Connection) -> None:
    """Nobody opened in the morning: no change of the day sends anybody there again, for an alarm neither."""
    await planned(pool, conn, homes=10)
    await alarm(pool, conn, "H-001", TEN - timedelta(minutes=90))
    for code in ("H-001", "H-002"):
        visit_id = await visit_of(conn, code)
        assert visit_id is not None
        await conn.execute("UPDATE visit SET arrive_at = $2, leave_at = $2 WHERE visit_id = $1", visit_id, TEN)
        told = await nobody_home(conn, visit_id, TEN)
        day = DAY + timedelta(days=1)  # an alarm; what may wait is tried on another weekday, after three days
        assert (told["next_attempt"]["not_before"] == day.isoformat()) == (code == "H-001")
    await change_day(pool, DAY, Replan(kind="replan"), LONG, TEN + timedelta(minutes=1))
    again = await conn.fetchval(
        """SELECT count(*) FROM visit v JOIN roster USING (roster_id) JOIN premises p USING (premises_id)
           WHERE run_id = (SELECT max(run_id) FROM roster_run) AND p.code IN ('H-001', 'H-002')"""
    )
    assert again == 2


async def test_what_waits_is_done_where_somebody_must_go(pool: asyncpg.Pool, conn: asyncpg.Connection) -> None:
    """An inspection put off after a closed door is part of the visit that an alarm brings, this day or the next."""
    await planned(pool, conn, homes=10)
    visit_id = await visit_of(conn, "H-001")
    assert visit_id is not None
    await conn.execute("UPDATE visit SET arrive_at = $2, leave_at = $2 WHERE visit_id = $1", visit_id, TEN)
    await nobody_home(conn, visit_id, TEN)
    await alarm(pool, conn, "H-001", TEN + timedelta(minutes=5))
    kinds = (
        """SELECT array_agg(d.kind ORDER BY d.kind) FROM visit_duty JOIN duty d USING (duty_id) WHERE visit_id = $1"""
    )
    emergency = await conn.fetchval("SELECT max(visit_id) FROM visit")
    assert emergency != visit_id
    assert await conn.fetchval(kinds, emergency) == ["alert", "periodic"]
    await nobody_home(conn, emergency, TEN + timedelta(hours=1))
    await plan_day(pool, DAY + timedelta(days=1), LONG, TEN + timedelta(hours=9))
    tomorrow = await visit_of(conn, "H-001", DAY + timedelta(days=1))
    assert await conn.fetchval(kinds, tomorrow) == ["alert", "periodic"]


async def test_the_service_sends_somebody_by_itself(pool: asyncpg.Pool, conn: asyncpg.Connection) -> None:
    """A tick of the service at ten puts a new alarm on today's roster, once; the next tick has nothing to do."""
    await planned(pool, conn, homes=30)
    schedule = Schedule(pool, LONG)
    await raise_alert(conn, "H-001", raised_at=TEN)
    await schedule.tick(TEN)
    await schedule.tick(TEN + timedelta(seconds=2))
    run = await newest_run(conn, DAY)
    assert run is not None
    assert (run["version"], run["solver"]) == (2, "repair")
    mandatory = await conn.fetchval(
        "SELECT v.mandatory FROM visit v JOIN roster USING (roster_id) WHERE run_id = $1 AND premises_id ="
        " (SELECT premises_id FROM premises WHERE code = 'H-001')", run["run_id"])  # fmt: skip
    assert mandatory


async def test_a_day_that_nobody_planned_is_planned_in_the_morning(
    pool: asyncpg.Pool, conn: asyncpg.Connection
) -> None:
    """When no process ran in the evening, the first tick plans today; a new system waits for its hour."""
    await settle_town(conn)
    schedule = Schedule(pool, LONG)
    await schedule.tick(TEN)
    assert await newest_run(conn, DAY) is None
    await plan_day(pool, DAY - timedelta(days=1), LONG, TEN - timedelta(days=1))
    await schedule.tick(TEN + timedelta(seconds=2))
    assert await newest_run(conn, DAY) is not None


async def test_omitted_door_that_becomes_mandatory_plans_tomorrow_anew(
    pool: asyncpg.Pool, conn: asyncpg.Connection
) -> None:
    """A duty known when its door was left out for weight, and mandatory since, gets tomorrow planned anew."""
    await planned(pool, conn)
    code = await omitted_home(conn)
    await raise_alert(conn, code, visit="normal", severity="minor", raised_at=NOW - timedelta(hours=1))
    await keep_alert_duties(pool, LONG, NOW - timedelta(hours=1))
    await conn.execute("UPDATE alert SET visit = 'mandatory', severity = 'critical'")
    await Schedule(pool, LONG).tick(NOW + timedelta(minutes=2))
    run = await newest_run(conn, DAY)
    assert run is not None
    assert run["version"] == 2
    assert await visit_of(conn, code) is not None


async def test_a_visit_made_the_evening_before_stops_nothing(pool: asyncpg.Pool, conn: asyncpg.Connection) -> None:
    """Tomorrow's leak was tried tonight, nobody opened: it is on tomorrow's roster again, and so is the next alarm."""
    await planned(pool, conn, homes=30)
    schedule = Schedule(pool, LONG)
    await raise_alert(conn, "H-001", raised_at=NOW)
    await schedule.tick(NOW + timedelta(minutes=2))
    visit_id = await visit_of(conn, "H-001")
    assert visit_id is not None
    await nobody_home(conn, visit_id, NOW + timedelta(minutes=10))
    await raise_alert(conn, "H-002", raised_at=NOW + timedelta(minutes=11))
    await schedule.tick(NOW + timedelta(minutes=12))
    ahead = """SELECT p.code FROM visit v JOIN premises p USING (premises_id) JOIN roster USING (roster_id)
               LEFT JOIN outcome o USING (visit_id)
               WHERE run_id = (SELECT max(run_id) FROM roster_run) AND v.mandatory AND o.outcome_id IS NULL
               ORDER BY 1"""
    assert [row["code"] for row in await conn.fetch(ahead)] == ["H-001", "H-002"]
    why = await RosterDayRoutes(pool, LONG).why("H-001", WhyQuery(day=DAY), CONSOLE)
    assert why.verdict == "on_roster"
    await schedule.tick(NOW + timedelta(minutes=30))
    run = await newest_run(conn, DAY)
    assert run is not None
    assert run["version"] == 3


async def test_ill_inspector_is_relieved(pool: asyncpg.Pool, conn: asyncpg.Connection) -> None:
    """What an inspector who falls ill has not done goes to the other, or is left out with its reason."""
    await planned(pool, conn, homes=30)
    before = await lines(conn, 1)
    changed = await change_day(pool, DAY, Ill(kind="ill", inspector="I-2"), LONG, TEN)
    after = await lines(conn, 2)
    ill = await conn.fetchval("SELECT inspector_id FROM inspector WHERE code = 'I-2'")
    assert all(line[1] < TEN for line in after.values() if line[0] == ill)
    gone = before.keys() - after.keys()
    told = {one["premises"] for one in changed.effect["dropped"]}
    assert len(told) == len(gone)
    assert all(one["reason"] for one in changed.effect["dropped"])
    replanned = await plan_day(pool, DAY + timedelta(days=1), LONG, TEN)
    assert replanned.figures["inspectors"] == 2  # back the day after
    with pytest.raises(NotFound):
        await change_day(pool, DAY, Ill(kind="ill", inspector="I-9"), LONG, TEN)


async def test_overrun_moves_what_comes_after(pool: asyncpg.Pool, conn: asyncpg.Connection) -> None:
    """A visit that takes an hour longer stays where it is, and the next begins after it."""
    await planned(pool, conn)
    row = await conn.fetchrow(
        "SELECT visit_id FROM visit WHERE arrive_at <= $1 ORDER BY arrive_at DESC, visit_id LIMIT 1", TEN
    )
    until = TEN + timedelta(hours=1)
    await change_day(pool, DAY, Overrun(kind="overrun", visit_id=row["visit_id"], until=until), LONG, TEN)
    mine = await conn.fetchrow("SELECT roster_id, position, leave_at FROM visit WHERE visit_id = $1", row["visit_id"])
    assert mine["leave_at"] == until
    following = await conn.fetchval(
        "SELECT min(arrive_at) FROM visit WHERE roster_id = $1 AND position > $2", mine["roster_id"], mine["position"]
    )
    assert following >= until
    ahead = await conn.fetchval("SELECT visit_id FROM visit ORDER BY arrive_at DESC LIMIT 1")
    with pytest.raises(Conflict, match="is not under way"):
        await change_day(pool, DAY, Overrun(kind="overrun", visit_id=ahead, until=until), LONG, TEN)


async def make(pool: asyncpg.Pool, code: str, hour: int, at: datetime = NOW) -> Changed:
    """Promise a home two hours from a local hour of the day."""
    begin = datetime(2026, 11, 21, hour - 8, tzinfo=UTC)
    change = AppointmentMade(kind="appointment_made", premises=code, from_at=begin, to_at=begin + timedelta(hours=2))
    return await change_day(pool, DAY, change, LONG, at)


async def test_appointment_is_kept_and_its_cancellation_frees_the_time(
    pool: asyncpg.Pool, conn: asyncpg.Connection
) -> None:
    """A promised window is on the roster within it, through an alarm too; cancelled, another door takes its time."""
    await planned(pool, conn)
    code = await omitted_home(conn)
    made = await make(pool, code, 13)
    assert [one["premises"] for one in made.effect["inserted"]] == [code]
    visit = await conn.fetchrow("SELECT * FROM visit WHERE promised_from IS NOT NULL")
    assert visit["promised_from"] <= visit["arrive_at"] <= visit["promised_to"]
    changed = await alarm(pool, conn, await omitted_home(conn))
    assert changed.effect["promised_anew"] == []
    kept = await conn.fetchrow("SELECT * FROM visit WHERE visit_id = $1", visit["visit_id"])
    assert kept["promised_from"] <= kept["arrive_at"] <= kept["promised_to"]
    duty_id = await conn.fetchval("SELECT duty_id FROM duty WHERE kind = 'appointment'")
    periodic = "UPDATE duty SET state = 'cancelled' WHERE kind = 'periodic' AND premises_id = $1"
    await conn.execute(periodic, kept["premises_id"])
    freed = await change_day(
        pool,
        DAY,
        AppointmentCancelled(kind="appointment_cancelled", duty_id=duty_id),
        PARAMS,
        TEN + timedelta(minutes=5),
    )
    assert [one["premises"] for one in freed.effect["dropped"]] == [code]
    assert freed.effect["counts"]["inserted"] > 0


async def test_promise_that_cannot_be_kept_is_told_anew_never_broken_in_silence(
    pool: asyncpg.Pool, conn: asyncpg.Connection
) -> None:
    """With nobody left who could keep it the appointment gets another window, recorded beside the old one."""
    await planned(pool, conn, homes=20)
    await make(pool, "H-003", 11)
    duty_id = await conn.fetchval("SELECT duty_id FROM duty WHERE kind = 'appointment'")
    changes = [await change_day(pool, DAY, Ill(kind="ill", inspector=code), LONG, TEN) for code in ("I-1", "I-2")]
    (told,) = [one for changed in changes for one in changed.effect["promised_anew"]]
    assert told["duty_id"] == duty_id
    history = await promises_of_duty(conn, duty_id)
    assert [row["promised_from"] for row in history] == [
        datetime(2026, 11, 21, 3, tzinfo=UTC), datetime(2026, 11, 22, 3, tzinfo=UTC)
    ]  # fmt: skip
    assert "the day changed" in history[1]["reason"]
    after = await plan_day(pool, DAY + timedelta(days=1), LONG, TEN + timedelta(hours=1))
    assert after.figures["promised_served"] == 1


async def test_promise_that_nobody_can_keep_is_not_made(pool: asyncpg.Pool, conn: asyncpg.Connection) -> None:
    """A window in the evening, when nobody works, is refused and leaves nothing behind."""
    await planned(pool, conn, homes=20)
    with pytest.raises(Conflict, match="nobody can keep this window"):
        await make(pool, "H-003", 20)
    assert await conn.fetchval("SELECT count(*) FROM duty WHERE kind = 'appointment'") == 0
    assert await conn.fetchval("SELECT count(*) FROM promise") == 0


async def test_planning_the_rest_anew_keeps_what_is_done(pool: asyncpg.Pool, conn: asyncpg.Connection) -> None:
    """Planning the rest of a running day begins where everybody stands."""
    await planned(pool, conn)
    before = await lines(conn, 1)
    await change_day(pool, DAY, Replan(kind="replan"), LONG, TEN)
    begun = {visit_id: line for visit_id, line in before.items() if line[1] <= TEN}
    assert begun.items() <= (await lines(conn, 2)).items()
    effect = await conn.fetchval("SELECT effect FROM roster_change")
    assert json.dumps(effect)


async def test_day_without_roster_does_not_change(pool: asyncpg.Pool, conn: asyncpg.Connection) -> None:
    """Without a roster there is nothing to repair; an appointment for that day is kept for its planning."""
    await settle_town(conn)
    with pytest.raises(Conflict, match="no roster was planned"):
        await change_day(pool, DAY, Mandatory(kind="mandatory"), LONG, TEN)
    made = await make(pool, "H-003", 13)
    assert made.version is None
    assert (await plan_day(pool, DAY, LONG, NOW)).figures["promised_served"] == 1


async def test_versions_are_compared(pool: asyncpg.Pool, conn: asyncpg.Connection) -> None:
    """The difference of two versions names the alarm, what it displaced and why, and the change that led to it."""
    await planned(pool, conn)
    code = await omitted_home(conn)
    changed = await alarm(pool, conn, code)
    routes = RosterDayRoutes(pool, LONG)
    diff = await routes.diff(DAY, DiffQuery(), CONSOLE)
    assert (diff.from_version, diff.to_version) == (1, 2)
    assert [one.premises for one in diff.items if one.what == "added"] == [code]
    dropped = {one.premises: one.why for one in diff.items if one.what == "dropped"}
    assert dropped.keys() == {one["premises"] for one in changed.effect["dropped"]}
    assert all(dropped.values())
    assert [(change.kind, change.version) for change in diff.changes] == [("mandatory", 2)]
    assert diff.counts["promises_not_kept"] == 0
    nothing = await routes.diff(DAY, DiffQuery(from_version=2, to_version=2), CONSOLE)
    assert nothing.items == []
    hidden = await routes.diff(DAY, DiffQuery(), Actor("otto", "officer", areas=frozenset({"D02"})))
    assert (hidden.items, hidden.same) == ([], 0)
    with pytest.raises(NotFound, match="no version"):
        await routes.diff(DAY, DiffQuery(to_version=7), CONSOLE)


async def test_any_door_can_be_asked_about(pool: asyncpg.Pool, conn: asyncpg.Connection) -> None:
    """On a roster, left out, put off, not due for long, nothing open: each door gets its own answer."""
    await planned(pool, conn)
    routes = RosterDayRoutes(pool, LONG)
    left_out = await omitted_home(conn)
    visited = await conn.fetchval("SELECT p.code FROM visit JOIN premises p USING (premises_id) ORDER BY 1 LIMIT 1")
    put_off, done = await omitted_home_after(conn, left_out, 1), await omitted_home_after(conn, left_out, 2)
    after = DAY + timedelta(days=1)
    await conn.execute(
        """UPDATE duty SET not_before = '2026-12-24', attempts = 1
           WHERE premises_id = (SELECT premises_id FROM premises WHERE code = $1)""",
        put_off,
    )
    await conn.execute(
        "UPDATE duty SET state = 'cancelled' WHERE premises_id = (SELECT premises_id FROM premises WHERE code = $1)",
        done,
    )
    answers = {code: await routes.why(code, WhyQuery(day=DAY), CONSOLE) for code in (visited, left_out)}
    answers |= {code: await routes.why(code, WhyQuery(day=after), CONSOLE) for code in (put_off, done)}
    assert {code: answer.verdict for code, answer in answers.items()} == {
        visited: "on_roster", left_out: "left_out", put_off: "deferred", done: "nothing_open"
    }  # fmt: skip
    assert answers[visited].inspector in {"I-1", "I-2"}
    assert answers[visited].chance == pytest.approx(0.5, abs=0.1)
    assert answers[left_out].price
    assert "put off until 2026-12-24 after 1 visit without entry" in answers[put_off].sentence
    assert answers[done].next_due_on is not None
    with pytest.raises(NotFound):
        await routes.why("H-999", WhyQuery(), CONSOLE)


async def omitted_home_after(conn: asyncpg.Connection, code: str, number: int) -> str:
    found: str = await conn.fetchval(
        """SELECT p.code FROM omission JOIN premises p USING (premises_id)
           WHERE p.code > $1 ORDER BY 1 OFFSET $2 LIMIT 1""",
        code,
        number - 1,
    )
    return found


async def test_inspector_reports_an_own_visit_only(pool: asyncpg.Pool, conn: asyncpg.Connection) -> None:
    """An inspector may say that an own visit takes longer; another's does not exist, the desk makes other changes."""
    await planned(pool, conn)
    routes = RosterDayRoutes(pool, LONG)
    ines = Actor("ines", "inspector", inspector_code="I-1")
    visit_id = await conn.fetchval(
        """SELECT visit_id FROM visit JOIN roster USING (roster_id) JOIN inspector i USING (inspector_id)
           WHERE code = 'I-2'"""
    )
    overrun = Overrun(kind="overrun", visit_id=visit_id, until=TEN)
    with pytest.raises(NotFound):
        await routes.change(DAY, ChangeRequest(change=overrun), ines)
    with pytest.raises(Conflict):
        await routes.change(DAY, ChangeRequest(change=Mandatory(kind="mandatory")), ines)
