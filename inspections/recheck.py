"""Judges the rosters of a day as they are stored and served, not as the planner returned them."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg

from inspections import store, views
from inspections.checker import broken_rules
from inspections.model import Call, Day, Inspector, Omission, Plan, Roster, Visit
from inspections.params import RosterParams
from inspections.planning import calls_of, present_inspectors, table_of
from inspections.wallclock import WallClock
from sql.actor import INSPECTIONS

_ALL_ROWS = 1_000_000


async def broken_in_force(pool: asyncpg.Pool, day: date, params: RosterParams) -> list[str] | None:
    """What the independent checker finds in the newest rosters of a day, as sentences; None when there are none.

    The calls are made anew from the open duties, so a mandatory duty that is neither on a roster nor among the
    omissions shows as lost. Meant for a day that was just planned: duties that changed since show as differences.
    """
    async with pool.acquire() as conn, conn.transaction(isolation="repeatable_read", readonly=True):
        run = await store.newest_run(conn, day)
        if run is None:
            return None
        calls = await _calls(conn, day, params, run["planned_at"])
        working = await present_inspectors(conn, WallClock(day, params.zone))
        inspectors = {inspector.code: inspector for inspector in working}
        rosters = await _rosters(conn, run["run_id"], calls, inspectors, params.zone)
        omissions, strangers = await _omissions(conn, run["run_id"], calls)
    plan = Plan(day, tuple(rosters), tuple(omissions), run["solver"], run["seed"])
    told = {visit.call.premises_id for visit in plan.visits()} | {one.call.premises_id for one in omissions}
    expected = tuple(call for call in calls.values() if call.premises_id in told or call.mandatory)
    whole = Day(day, expected, tuple(inspectors.values()), params.travel, overbooking=params.overbooking)
    whole = replace(
        whole, table=await table_of(whole, params) if run["figures"].get("travel") != "great circle" else None
    )
    moot = [f"unknown: {code} was left out and has no open duty any more" for code in strangers]
    return moot + [f"{one.rule.value}: {one.where} {one.sentence}" for one in broken_rules(whole, plan)]


async def _calls(conn: asyncpg.Connection, day: date, params: RosterParams, at: datetime) -> dict[str, Call]:
    due_by = day + timedelta(days=params.horizon_days)
    clock = WallClock(day, params.zone)
    duties = await store.plannable_duties(conn, clock, due_by, at, params.candidates_max)
    return {call.door.code: call for call in await calls_of(conn, duties, day, params, at)}


async def _rosters(
    conn: asyncpg.Connection,
    run_id: int,
    calls: Mapping[str, Call],
    inspectors: Mapping[str, Inspector],
    zone: ZoneInfo,
) -> list[Roster]:
    rows = await views.rosters_of_run(conn, run_id, None, INSPECTIONS)
    visits = await views.visits_of_rosters(conn, [row["roster_id"] for row in rows], INSPECTIONS)
    return [
        Roster(
            inspectors[row["inspector"]],
            tuple(_visits(visits[row["roster_id"]], calls, zone)),
            _second(row["leave_at"], zone),
            _second(row["return_at"], zone),
            row["break_start_at"] and _second(row["break_start_at"], zone),
            row["break_end_at"] and _second(row["break_end_at"], zone),
            row["travel_s"],
        )
        for row in rows
    ]


def _visits(rows: Iterable[Mapping[str, Any]], calls: Mapping[str, Call], zone: ZoneInfo) -> Iterable[Visit]:
    for row in rows:
        arrive_s, leave_s = _second(row["arrive_at"], zone), _second(row["leave_at"], zone)
        if row["premises"] in calls:
            yield Visit(calls[row["premises"]], arrive_s, leave_s, row["travel_s"])


def _second(moment: datetime, zone: ZoneInfo) -> int:
    """What the wall clock shows at a moment, as seconds of its day."""
    shown = moment.astimezone(zone)
    midnight = datetime.combine(shown.date(), time(), UTC)
    return round((shown.replace(tzinfo=UTC) - midnight).total_seconds())


async def _omissions(
    conn: asyncpg.Connection, run_id: int, calls: Mapping[str, Call]
) -> tuple[list[Omission], list[str]]:
    """The doors left out, and the codes of those that nothing is open for any more."""
    rows = await views.omissions_of_run(conn, run_id, INSPECTIONS, None, None, _ALL_ROWS)
    known = [row for row in rows if row["premises"] in calls]
    omissions = [Omission(calls[row["premises"]], row["constraint"], row["reason"], row["price"]) for row in known]
    return omissions, [row["premises"] for row in rows if row["premises"] not in calls]
