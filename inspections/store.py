"""Duties, planning and saved rosters in SQL; every function takes a connection, the caller owns the transaction."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from typing import Any

import asyncpg

from inspections.cycle import Cycle
from inspections.duties import AlertNote, NewDuty
from inspections.model import Call, Door, Duty, Inspector, Omission, Plan, Point, Roster, Visit
from inspections.wallclock import DAY_S, Absence, WallClock
from sql import queries

_PLANNING_WAIT_S = 900.0


async def lock_duties(conn: asyncpg.Connection) -> None:
    """Wait for the right to keep duties in step; held until the transaction ends."""
    await conn.execute(*queries["lock_duties"].bind())


async def lock_planning(conn: asyncpg.Connection, day: date) -> None:
    """Wait for the right to plan or change a day, as long as another process takes; held until the transaction ends."""
    await conn.execute(*queries["lock_planning"].bind(day=day), timeout=_PLANNING_WAIT_S)


async def premises_without_periodic(
    conn: asyncpg.Connection, cycle: Cycle, built_by: int, entered_before: date, limit_rows: int
) -> list[tuple[int, date | None]]:
    """Doors whose cycle ends and that have no open periodic duty, with the day they were last entered.

    `built_by`: the youngest year in which an old building was built.
    """
    rows = await conn.fetch(
        *queries["premises_without_periodic"].bind(
            user_class=cycle.user_class,
            areas=list(cycle.areas) or None,
            risk_group=cycle.risk_group,
            built_by=built_by,
            entered_before=entered_before,
            limit_rows=limit_rows,
        )
    )
    return [(row["premises_id"], row["last_entered_on"]) for row in rows]


async def alerts_awaiting_duty(conn: asyncpg.Connection, limit_rows: int) -> list[AlertNote]:
    """Open alerts that want a visit and have no duty yet."""
    rows = await conn.fetch(*queries["alerts_awaiting_duty"].bind(limit_rows=limit_rows))
    return [AlertNote(**row) for row in rows if row["premises_id"] is not None]


async def open_duties(conn: asyncpg.Connection, duties: Sequence[NewDuty], at: datetime) -> int:
    """Open duties; returns how many were new."""
    rows = [
        {
            "premises_id": duty.premises_id,
            "kind": duty.kind,
            "due_on": duty.due_on.isoformat(),
            "not_before": duty.not_before.isoformat() if duty.not_before else None,
            "mandatory": duty.mandatory,
            "reason": duty.reason,
            "alert_id": duty.alert_id,
            "hazard_id": duty.hazard_id,
        }
        for duty in duties
    ]
    return len(await conn.fetch(*queries["open_duties"].bind(rows=rows, at=at))) if rows else 0


async def cancel_moot_duties(conn: asyncpg.Connection, at: datetime) -> int:
    """Cancel the duties of alerts that are closed; returns how many."""
    return len(await conn.fetch(*queries["cancel_moot_duties"].bind(at=at)))


async def harden_duties(conn: asyncpg.Connection, today: date) -> int:
    """Make the duties mandatory whose alerts have become so since; returns how many."""
    return len(await conn.fetch(*queries["harden_duties"].bind(today=today)))


async def newest_run(conn: asyncpg.Connection, day: date) -> asyncpg.Record | None:
    """The roster run in force on a day, or None."""
    return await conn.fetchrow(*queries["newest_run"].bind(day=day))


async def mandatory_unplanned(conn: asyncpg.Connection, day: date, at: datetime) -> int:
    """How many mandatory duties the rosters in force on a day neither serve nor explain; 0 when none are in force."""
    return int(await conn.fetchval(*queries["mandatory_unplanned"].bind(day=day, at=at)))


async def working_inspectors(conn: asyncpg.Connection, *, everybody: bool = False) -> list[Inspector]:
    """Everybody who is active (or was), with the districts covered."""
    return [_inspector(row) for row in await conn.fetch(*queries["working_inspectors"].bind(everybody=everybody))]


def _inspector(row: Mapping[str, Any]) -> Inspector:
    return Inspector(
        inspector_id=row["inspector_id"],
        code=row["code"],
        areas=frozenset(row["areas"]),
        skills=frozenset(row["skills"]),
        start=Point(row["start_latitude"], row["start_longitude"]),
        shift_start_s=_seconds(row["shift_start"]),
        shift_end_s=_seconds(row["shift_end"]),
        break_s=row["break_minutes"] * 60,
        break_after_s=_seconds(row["break_after"]),
        break_before_s=_seconds(row["break_before"]),
        end=None if row["end_latitude"] is None else Point(row["end_latitude"], row["end_longitude"]),
        station=row["station"],
    )


def _seconds(moment: time) -> int:
    return moment.hour * 3600 + moment.minute * 60 + moment.second


async def absences(conn: asyncpg.Connection, from_at: datetime, to_at: datetime) -> list[Absence]:
    """Who is away at some time between two moments."""
    return [Absence(**row) for row in await conn.fetch(*queries["absences"].bind(from_at=from_at, to_at=to_at))]


async def plannable_duties(
    conn: asyncpg.Connection, clock: WallClock, due_by: date, at: datetime, limit_rows: int
) -> list[Duty]:
    """Open duties that a visit on the clock's day could satisfy: mandatory ones first, then by kind and due day."""
    rows = await conn.fetch(
        *queries["plannable_duties"].bind(
            day=clock.day,
            due_by=due_by,
            at=at,
            limit_rows=limit_rows,
            day_from=clock.moment(0),
            day_to=clock.moment(DAY_S),
        )
    )
    return [Duty(**row) for row in rows]


async def doors(conn: asyncpg.Connection, premises_ids: Sequence[int]) -> dict[int, Door]:
    """Premises by id as planning sees them."""
    rows = await conn.fetch(*queries["doors"].bind(premises_ids=list(premises_ids)))
    return {row["premises_id"]: _door(dict(row)) for row in rows}


def _door(row: dict[str, Any]) -> Door:
    point = Point(row.pop("latitude"), row.pop("longitude"))
    return Door(point=point, **row)


async def under_way(conn: asyncpg.Connection, day: date, at: datetime) -> bool:
    """Whether somebody has set out on the rosters of a day in force, or reported one of their visits."""
    return bool(await conn.fetchval(*queries["day_under_way"].bind(day=day, at=at)))


async def save_plan(
    conn: asyncpg.Connection,
    plan: Plan,
    clock: WallClock,
    planned_at: datetime,
    figures: Mapping[str, object],
    deferred: Sequence[Omission],
) -> tuple[int, int]:
    """Save a plan as the next version of its day; returns run id and version."""
    run = await conn.fetchrow(
        *queries["add_run"].bind(
            day=plan.day, planned_at=planned_at, seed=plan.seed, solver=plan.solver, figures=dict(figures)
        )
    )
    assert run is not None
    run_id: int = run["run_id"]
    saved = await conn.fetch(
        *queries["add_rosters"].bind(run_id=run_id, rows=[roster_row(roster, clock) for roster in plan.rosters])
    )
    roster_of = {row["inspector_id"]: row["roster_id"] for row in saved}
    await _save_visits(conn, plan, clock, roster_of)
    await conn.execute(*queries["add_visit_versions"].bind(run_id=run_id))
    await add_omissions(conn, run_id, (*plan.omissions, *deferred))
    return run_id, run["version"]


async def add_omissions(conn: asyncpg.Connection, run_id: int, omissions: Sequence[Omission]) -> None:
    """Keep what a run left out, with constraint, reason and price."""
    rows = [_omission_row(omission) for omission in omissions]
    await conn.execute(*queries["add_omissions"].bind(run_id=run_id, rows=rows))


async def _save_visits(conn: asyncpg.Connection, plan: Plan, clock: WallClock, roster_of: Mapping[int, int]) -> None:
    rows = [
        visit_row(visit, clock) | {"roster_id": roster_of[roster.inspector.inspector_id], "position": position}
        for roster in plan.rosters
        for position, visit in enumerate(roster.visits, 1)
    ]
    saved = await conn.fetch(*queries["add_visits"].bind(rows=rows))
    visit_of = {row["premises_id"]: row["visit_id"] for row in saved}
    pairs = [(visit_of[v.call.premises_id], duty.duty_id) for v in plan.visits() for duty in v.call.duties]
    await conn.execute(
        *queries["add_visit_duties"].bind(visit_ids=[visit for visit, _ in pairs], duty_ids=[duty for _, duty in pairs])
    )


def visit_row(visit: Visit, clock: WallClock) -> dict[str, object]:
    """A visit as its row, apart from roster and position."""
    promise = promise_of(visit.call, clock)
    return {
        "premises_id": visit.call.premises_id,
        "arrive_at": clock.moment(visit.arrive_s).isoformat(),
        "leave_at": clock.moment(visit.leave_s).isoformat(),
        "travel_s": visit.travel_s,
        "mandatory": visit.call.mandatory,
        "reasons": list(visit.call.reasons),
        "chance": round(visit.chance, 3) if visit.call.chances else None,
        "promised_from": promise[0].isoformat() if promise else None,
        "promised_to": promise[1].isoformat() if promise else None,
    }


def promise_of(call: Call, clock: WallClock) -> tuple[datetime, datetime] | None:
    """The window that somebody was told for this day, None when the call is not promised."""
    told = [
        (duty.promised_from, duty.promised_to)
        for duty in call.duties
        if duty.promised_from and duty.promised_to and clock.moment(0) <= duty.promised_from < clock.moment(DAY_S)
    ]
    return min(told) if told and call.promised else None


def roster_row(roster: Roster, clock: WallClock) -> dict[str, object]:
    """A roster as its row."""
    rest, rest_end = roster.break_start_s, roster.break_end_s
    return {
        "inspector_id": roster.inspector.inspector_id,
        "leave_at": clock.moment(roster.leave_s).isoformat(),
        "return_at": clock.moment(roster.return_s).isoformat(),
        "break_start_at": None if rest is None else clock.moment(rest).isoformat(),
        "break_end_at": None if rest_end is None else clock.moment(rest_end).isoformat(),
        "travel_s": roster.travel_s,
    }


def _omission_row(omission: Omission) -> dict[str, object]:
    return {
        "premises_id": omission.call.premises_id,
        "binding": omission.constraint,
        "reason": omission.reason,
        "price": omission.price,
        "mandatory": omission.call.mandatory,
    }
