"""Days not worked, days under way, promises that must move: nobody is sent for routine, nothing is lost."""

from datetime import UTC, date, datetime, timedelta

import asyncpg
import pytest

from inspections.campaign_params import CampaignParams
from inspections.changes import AppointmentMade, Ill, Mandatory
from inspections.changing import change_day, plan_rest
from inspections.day_routes import RosterDayRoutes
from inspections.planning import DayUnderWay, plan_day
from inspections.promises import promises_of_duty
from inspections.scheduler import Schedule
from inspections.store import mandatory_unplanned
from inspections.why import WhyQuery
from sql.actor import Actor
from tests.service.inspections_rows import NOW, PARAMS, TOMORROW, premises_id, raise_alert, settle_town, visit_of

TEN = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)  # 10:00 in the city
WEEK = PARAMS.model_copy(update={"campaign": CampaignParams()})  # Monday to Friday; TOMORROW is a Saturday
SUNDAY_OFF = PARAMS.model_copy(update={"campaign": CampaignParams(weekdays=(0, 1, 2, 3, 4, 5), holidays_of="")})


async def promise(pool: asyncpg.Pool, conn: asyncpg.Connection, code: str, hour: int) -> int:
    """Two hours of TOMORROW from a local hour; returns the duty."""
    begin = datetime(2026, 11, 21, hour - 8, tzinfo=UTC)
    change = AppointmentMade(kind="appointment_made", premises=code, from_at=begin, to_at=begin + timedelta(hours=2))
    await change_day(pool, TOMORROW, change, PARAMS, NOW)
    door = "SELECT duty_id FROM duty JOIN premises USING (premises_id) WHERE kind = 'appointment' AND code = $1"
    found: int = await conn.fetchval(door, code)
    return found


async def visited(conn: asyncpg.Connection, version: int) -> set[str]:
    rows = await conn.fetch(
        """SELECT p.code FROM visit_version vv JOIN roster_run r USING (run_id) JOIN premises p USING (premises_id)
           WHERE r.day = $1 AND r.version = $2""",
        TOMORROW,
        version,
    )
    return {row["code"] for row in rows}


async def test_nobody_is_visited_for_routine_on_a_closed_day(pool: asyncpg.Pool, conn: asyncpg.Connection) -> None:
    """On a Saturday the leak and the promise are visited; every other due door says which day it is; Monday all are."""
    await settle_town(conn)
    await promise(pool, conn, "H-003", 13)
    await raise_alert(conn, "H-005")
    made = await plan_day(pool, TOMORROW, WEEK, NOW)
    assert await visited(conn, 1) == {"H-003", "H-005"}
    assert made.figures["closed"] == "a Saturday, which is not worked"
    omitted = await conn.fetch('SELECT "constraint", reason FROM omission')
    assert len(omitted) == 10
    assert {row["constraint"] for row in omitted} == {"calendar"}
    assert "a Saturday, which is not worked" in omitted[0]["reason"]
    later = "UPDATE duty SET due_on = $1 WHERE premises_id = $2"
    await conn.execute(later, date(2026, 12, 1), await premises_id(conn, "H-009"))
    await plan_day(pool, TOMORROW, WEEK, NOW)
    why = await RosterDayRoutes(pool, WEEK).why("H-009", WhyQuery(day=TOMORROW), Actor("console", "administrator"))
    assert why.sentence.startswith("the day is a Saturday, which is not worked: only what cannot wait is visited")
    monday = await plan_day(pool, TOMORROW + timedelta(days=2), WEEK, NOW)
    assert monday.figures["visits"] == 10


async def test_an_alarm_on_a_closed_day_calls_nobody_else(pool: asyncpg.Pool, conn: asyncpg.Connection) -> None:
    """The day changes for the alarm alone: doors left out for the calendar stay at rest."""
    await settle_town(conn)
    await plan_day(pool, TOMORROW, WEEK, NOW)
    await raise_alert(conn, "H-005", raised_at=TEN, first_at=TEN, last_at=TEN)
    changed = await change_day(pool, TOMORROW, Mandatory(kind="mandatory"), WEEK, TEN)
    assert [one["premises"] for one in changed.effect["inserted"]] == ["H-005"]
    assert await visited(conn, 2) == {"H-005"}


async def test_a_day_under_way_is_planned_from_where_everybody_stands(
    pool: asyncpg.Pool, conn: asyncpg.Connection
) -> None:
    """Planning anew at ten keeps every visit that began by then with its id and hour; before, all is new."""
    await settle_town(conn)
    assert (await plan_rest(pool, TOMORROW, PARAMS, NOW)).version == 1
    assert (await plan_rest(pool, TOMORROW, PARAMS, NOW)).solver == "pyvrp"
    begun = await conn.fetch(
        """SELECT v.visit_id, v.arrive_at FROM visit v JOIN roster USING (roster_id) JOIN roster_run r USING (run_id)
           WHERE r.version = 2 AND v.arrive_at <= $1""",
        TEN,
    )
    assert begun
    with pytest.raises(DayUnderWay, match="is under way"):
        await plan_day(pool, TOMORROW, PARAMS, TEN)
    assert (await plan_rest(pool, TOMORROW, PARAMS, TEN)).version == 3
    kept = await conn.fetch(
        "SELECT visit_id, vv.arrive_at FROM visit_version vv JOIN roster_run r USING (run_id) WHERE r.version = 3"
    )
    assert {tuple(row) for row in begun} <= {tuple(row) for row in kept}
    assert len(await visited(conn, 3)) == 12


async def test_a_visit_of_tomorrow_that_is_reported_today_stops_no_planning(
    pool: asyncpg.Pool, conn: asyncpg.Connection
) -> None:
    """An alarm after that is still put on tomorrow's roster, and the visit that was reported stays as it was."""
    await settle_town(conn)
    await plan_day(pool, TOMORROW, PARAMS, NOW)
    first = await visit_of(conn, "H-001")
    await conn.execute(
        """INSERT INTO outcome (client_id, visit_id, premises_id, inspector_id, result, at, received_at, body, actor)
           SELECT gen_random_uuid(), visit_id, premises_id, inspector_id, 'passed', $2, $2, '{}', 'ines'
           FROM visit JOIN roster USING (roster_id) WHERE visit_id = $1""",
        first,
        NOW,
    )
    await raise_alert(conn, "H-005", raised_at=NOW, first_at=NOW, last_at=NOW)
    await Schedule(pool, PARAMS).tick(NOW)
    assert await mandatory_unplanned(conn, TOMORROW, NOW) == 0
    assert await visit_of(conn, "H-001") == first


async def test_a_promise_moves_to_a_day_that_is_worked_and_has_room(
    pool: asyncpg.Pool, conn: asyncpg.Connection
) -> None:
    """Nobody is left on Saturday, Sunday is closed, Monday at that time is full: Tuesday is told, and recorded."""
    await settle_town(conn)
    await plan_day(pool, TOMORROW, SUNDAY_OFF, NOW)
    duty_id = await promise(pool, conn, "H-003", 11)
    monday = datetime(2026, 11, 23, 3, tzinfo=UTC)
    await conn.execute(
        """INSERT INTO duty (premises_id, kind, state, due_on, mandatory, reason, created_at, promised_from,
                             promised_to)
           SELECT premises_id, 'appointment', 'open', $1, false, 'x', $2, $3, $4
           FROM premises ORDER BY premises_id DESC LIMIT 4""",
        date(2026, 11, 23),
        NOW,
        monday,
        monday + timedelta(hours=1),
    )
    for code in ("I-1", "I-2"):
        await change_day(pool, TOMORROW, Ill(kind="ill", inspector=code), SUNDAY_OFF, TEN)
    history = [row["promised_from"] for row in await promises_of_duty(conn, duty_id)]
    assert history == [datetime(2026, 11, 21, 3, tzinfo=UTC), monday + timedelta(days=1)]


@pytest.mark.parametrize("evening_before", [True, False])
async def test_an_alarm_at_a_promised_door_tells_the_new_time(
    pool: asyncpg.Pool, conn: asyncpg.Connection, evening_before: bool
) -> None:
    """Promised for the afternoon, visited for the alarm in the morning: the resident is told, planned or changed."""
    await settle_town(conn)
    duty_id = await promise(pool, conn, "H-003", 14)
    at = NOW if evening_before else TEN
    if not evening_before:
        await plan_day(pool, TOMORROW, PARAMS, NOW)
    await raise_alert(conn, "H-003", raised_at=at, first_at=at, last_at=at)
    if evening_before:
        await plan_day(pool, TOMORROW, PARAMS, at)
    else:
        await change_day(pool, TOMORROW, Mandatory(kind="mandatory"), PARAMS, at)
    arrive_at = await conn.fetchval("SELECT arrive_at FROM visit WHERE visit_id = $1", await visit_of(conn, "H-003"))
    assert arrive_at < datetime(2026, 11, 21, 6, tzinfo=UTC)  # before 14:00
    old, new = await promises_of_duty(conn, duty_id)
    assert new["promised_from"] <= arrive_at <= new["promised_to"]
    assert (new["reason"], old["promised_from"].hour) == ("the time promised gives way to the alarm at this door", 6)
