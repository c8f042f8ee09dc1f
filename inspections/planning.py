"""Plans a day: duties in step, load, choose, plan, check, and save roster and omissions in one transaction."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

import asyncpg
import structlog
from prometheus_client import Counter

from inspections import store
from inspections.access_store import access_rates
from inspections.campaign_store import buildings_in_turn
from inspections.candidates import Choice, choose, make_calls, mark_turn, split
from inspections.checker import Broken, broken_rules
from inspections.cycle import load_cycles
from inspections.figures import defer, run_figures
from inspections.model import Call, Day, Duty, Inspector, Plan, TravelTable
from inspections.params import RosterParams
from inspections.planner import plan_greedily
from inspections.promises import give_way
from inspections.router import travel_table
from inspections.stations import parts
from inspections.upkeep import keep_alert_duties, open_periodic_duties
from inspections.wallclock import DAY_S, WallClock, local_day, present
from inspections.worker import PlanningFailed, plan_apart
from sql import audit
from sql.actor import INSPECTIONS, Actor
from sql.errors import Conflict

log = structlog.get_logger()
_REFUSED = Counter("gaswarden_roster_plans_refused_total", "Plans the checker refused, or a solver that failed")


class DayUnderWay(Conflict):
    """Somebody has set out or reported on the day's rosters in force: only the rest of the day can change."""


@dataclass(frozen=True, slots=True)
class Run:
    """One planning of one day, as saved."""

    run_id: int
    day: date
    version: int
    planned_at: datetime
    seed: int
    solver: str
    figures: dict[str, Any]


async def plan_day(
    pool: asyncpg.Pool, day: date, params: RosterParams, at: datetime, actor: Actor = INSPECTIONS
) -> Run:
    """Plan a day anew and publish it as the next version.

    Raises Conflict for a past day, DayUnderWay for one that `changing.plan_rest` can plan the rest of, PlanningFailed.
    """
    run = await _plan_day(pool, day, params, at, actor, only_missing=False)
    assert run is not None
    return run


async def plan_day_once(pool: asyncpg.Pool, day: date, params: RosterParams, at: datetime) -> Run | None:
    """Plan a day that has no rosters yet; None when it has, also when another process was planning it meanwhile."""
    return await _plan_day(pool, day, params, at, INSPECTIONS, only_missing=True)


async def _plan_day(
    pool: asyncpg.Pool, day: date, params: RosterParams, at: datetime, actor: Actor, *, only_missing: bool
) -> Run | None:
    if day < local_day(at, params.zone):
        raise Conflict(f"{day.isoformat()} has passed; only today and later days are planned")
    await keep_alert_duties(pool, params, at)
    await open_periodic_duties(pool, params, at)
    async with pool.acquire() as conn, conn.transaction():
        await store.lock_planning(conn, day)
        if only_missing and await store.newest_run(conn, day):
            return None
        if await store.under_way(conn, day, at):
            raise DayUnderWay(
                f"{day.isoformat()} is under way: what is done or travelled to stays; replan the rest of it"
            )
        return await _claimed(conn, day, params, at, actor)


async def _claimed(conn: asyncpg.Connection, day: date, params: RosterParams, at: datetime, actor: Actor) -> Run:
    """Load, choose, plan, check, save: within the transaction that holds the right to plan."""
    begun = time.perf_counter()
    in_turn = await buildings_in_turn(conn, day, params.campaign.catch_up_days)
    whole = await _load(conn, day, params, at, in_turn)
    closed = params.campaign.calendar.closed(day)
    choice = _on_call(whole) if closed else _choose(whole, params, in_turn)
    whole = replace(whole, table=await table_of(replace(whole, calls=choice.considered), params))
    plan, fallback = await _checked_plan(replace(whole, calls=choice.considered), params)
    deferred = defer(choice.deferred, day, closed)
    figures = run_figures(whole, choice, plan) | {
        "seconds": round(time.perf_counter() - begun, 2),
        "fallback": fallback,
        "candidates_cut": sum(len(call.duties) for call in whole.calls) >= params.candidates_max,
    }
    figures |= {"closed": closed} if closed else {}
    clock = WallClock(day, params.zone)
    figures["promised_anew"] = len(await give_way(conn, plan, clock, actor, at))
    run_id, version = await store.save_plan(conn, plan, clock, at, figures, deferred)
    subject = f"roster:{day.isoformat()}"
    await audit.record(conn, actor, "roster.plan", subject, {"run_id": run_id, "version": version}, at)
    log.info("roster planned", day=day.isoformat(), version=version, **figures)
    return Run(run_id, day, version, at, plan.seed, plan.solver, figures)


async def _load(
    conn: asyncpg.Connection, day: date, params: RosterParams, at: datetime, in_turn: frozenset[int]
) -> Day:
    clock = WallClock(day, params.zone)
    inspectors = still_working(await present_inspectors(conn, clock), day, params, at)
    due_by = day + timedelta(days=params.horizon_days)
    duties = await store.plannable_duties(conn, clock, due_by, at, params.candidates_max)
    calls = [mark_turn(call, in_turn) for call in await calls_of(conn, duties, day, params, at)]
    return Day(day, tuple(calls), tuple(inspectors), params.travel, overbooking=params.overbooking)


async def table_of(day: Day, params: RosterParams) -> TravelTable | None:
    """The travel times of a routing server within each part of a day, None when there is none."""
    if params.router_url is None:
        return None
    groups = []
    for part in parts(day):
        ends = [inspector.end for inspector in part.day.inspectors if inspector.end is not None]
        starts = [inspector.start for inspector in part.day.inspectors]
        groups.append([*(call.door.point for call in part.day.calls), *starts, *ends])
    return await travel_table(groups, params)


async def present_inspectors(conn: asyncpg.Connection, clock: WallClock) -> list[Inspector]:
    """Who works on the clock's day, absences taken off."""
    absences = await store.absences(conn, clock.moment(0), clock.moment(DAY_S))
    return present(await store.working_inspectors(conn), absences, clock)


async def calls_of(
    conn: asyncpg.Connection, duties: Sequence[Duty], day: date, params: RosterParams, at: datetime
) -> list[Call]:
    """Duties merged into calls, weighed, with their chances as learned so far."""
    doors = await store.doors(conn, sorted({duty.premises_id for duty in duties}))
    rates = await access_rates(conn, params.zone, at) if params.learn_access else None
    return make_calls(doors, duties, day, params.call_rules(load_cycles(params.cycles_file), rates))


def still_working(inspectors: Sequence[Inspector], day: date, params: RosterParams, at: datetime) -> list[Inspector]:
    """Who has time left: for today the shift begins no earlier than some minutes from now."""
    if day != local_day(at, params.zone):
        return list(inspectors)
    shown = at.astimezone(params.zone)
    earliest_s = shown.hour * 3600 + shown.minute * 60 + params.lead_min * 60
    return [
        replace(inspector, shift_start_s=max(inspector.shift_start_s, earliest_s))
        for inspector in inspectors
        if inspector.shift_end_s > earliest_s
    ]


def _choose(whole: Day, params: RosterParams, in_turn: frozenset[int]) -> Choice:
    """Choose in each independent group of inspectors: one district's backlog must not crowd out another's doors."""
    choices = [
        choose(
            group.calls,
            group.inspectors,
            capacity_factor=params.capacity_factor,
            spread=params.spread_share,
            in_turn=in_turn,
        )
        for group in split(whole)
    ]
    return Choice(
        tuple(call for choice in choices for call in choice.considered),
        tuple(call for choice in choices for call in choice.deferred),
    )


def _on_call(whole: Day) -> Choice:
    """A closed day: what must be, for whoever can be called; routine waits for a day that is worked."""
    must = tuple(call for call in whole.calls if call.must)
    return Choice(must, tuple(call for call in whole.calls if not call.must))


async def _checked_plan(day: Day, params: RosterParams) -> tuple[Plan, bool]:
    """The solver's plan when the checker agrees, else the plain one (True); PlanningFailed when neither holds."""
    try:
        plan = await plan_apart(day, params.search, params.seed, params.plan_timeout_s)
        broken = await asyncio.to_thread(broken_rules, day, plan)
        if not broken:
            return plan, False
        _REFUSED.inc()
        log.error("roster refused by the checker", day=day.day.isoformat(), broken=_words(broken))
    except PlanningFailed as failure:
        _REFUSED.inc()
        log.error("solver failed", day=day.day.isoformat(), error=str(failure))
    plain = await asyncio.to_thread(plan_greedily, day, params.seed)
    broken = await asyncio.to_thread(broken_rules, day, plain)
    if broken:
        raise PlanningFailed(f"the plain plan breaks rules as well: {_words(broken)}")
    return plain, True


def _words(broken: Sequence[Broken]) -> list[str]:
    return [f"{one.rule.value}: {one.where} {one.sentence}" for one in broken[:20]]
