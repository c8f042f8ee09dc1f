"""A planned day changes: load where everybody stands, repair, check, and publish the next version in one transaction.

Repair and search cover the inspectors concerned and those nearest to them; everybody else's roster is carried over.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

import asyncpg
import structlog

from inspections import change_store, store, views
from inspections.change_effect import Before, effect_of, next_version
from inspections.changes import AppointmentCancelled, AppointmentMade, Change, Ill, Overrun, Replan
from inspections.checker import broken_freezes, broken_joints, broken_rules
from inspections.model import Call
from inspections.params import RosterParams
from inspections.planning import DayUnderWay, Run, calls_of, plan_day, present_inspectors, table_of
from inspections.promises import cancel_appointment, make_appointment, tell_new_windows
from inspections.repair import Repaired, repair
from inspections.scope import wanted_of
from inspections.standing import NextVersion, Standing, idle, stand
from inspections.upkeep import keep_alert_duties
from inspections.wallclock import DAY_S, WallClock, local_day
from inspections.worker import PlanningFailed, plan_apart, run_apart
from sql import audit
from sql.actor import INSPECTIONS, Actor
from sql.errors import Conflict, NotFound

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Changed:
    """What a change led to; no version when no roster of the day was concerned."""

    day: date
    change_id: int | None
    from_version: int | None
    version: int | None
    effect: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Facts:
    """What a change touches, once it is written down."""

    touched: frozenset[int] = frozenset()
    until_s: Mapping[int, int] | None = None
    new_duty_id: int | None = None


async def change_day(
    pool: asyncpg.Pool, day: date, change: Change, params: RosterParams, at: datetime, actor: Actor = INSPECTIONS
) -> Changed:
    """Change a planned day and publish its next version.

    Raises NotFound for an unknown inspector, visit, duty or door, Conflict for a day that has passed or has no roster,
    or for a promise that nobody can keep, PlanningFailed when no repair holds before the checker.
    """
    if day < local_day(at, params.zone):
        raise Conflict(f"{day.isoformat()} has passed; only today and later days change")
    await keep_alert_duties(pool, params, at)
    async with pool.acquire() as conn, conn.transaction():
        await store.lock_planning(conn, day)
        run = await store.newest_run(conn, day)
        facts = await _write_down(conn, run, day, change, params, at, actor)
        if run is None:
            if facts.new_duty_id is None and not isinstance(change, AppointmentCancelled | Ill):
                raise Conflict(f"no roster was planned for {day.isoformat()}")
            return Changed(day, None, None, None, {"note": "no roster was planned for this day yet"})
        return await _next(conn, run, WallClock(day, params.zone), change, facts, params, at, actor)


async def plan_rest(
    pool: asyncpg.Pool, day: date, params: RosterParams, at: datetime, actor: Actor = INSPECTIONS
) -> Run:
    """Plan a day anew; one that is under way from where everybody stands, what is done or travelled to stays.

    Raises as `planning.plan_day` and `change_day` do.
    """
    try:
        return await plan_day(pool, day, params, at, actor)
    except DayUnderWay:
        await change_day(pool, day, Replan(kind="replan"), params, at, actor)
    async with pool.acquire() as conn:
        run = await store.newest_run(conn, day)
    assert run is not None
    return Run(day=day, **run)


async def _write_down(
    conn: asyncpg.Connection,
    run: Mapping[str, Any] | None,
    day: date,
    change: Change,
    params: RosterParams,
    at: datetime,
    actor: Actor,
) -> _Facts:
    """Write what the change says into the tables it concerns."""
    clock = WallClock(day, params.zone)
    if isinstance(change, Ill):
        begins, ends = change.from_at or max(at, clock.moment(0)), change.until or clock.moment(DAY_S)
        if ends <= begins:
            raise Conflict("the absence ends before it begins")
        inspector_id = await change_store.add_absence(
            conn, change.inspector, "ill", begins, ends, change.note, actor.name, at
        )
        return _Facts(frozenset({inspector_id}))
    if isinstance(change, Overrun):
        if run is None:
            raise NotFound(f"visit {change.visit_id} is not on a roster in force on {day.isoformat()}")
        inspector_id = await change_store.inspector_of_visit(conn, change.visit_id, run["run_id"])
        return _Facts(frozenset({inspector_id}), {change.visit_id: clock.second(change.until)})
    if isinstance(change, AppointmentCancelled):
        await cancel_appointment(conn, change.duty_id, at)
        return _Facts()
    if isinstance(change, AppointmentMade):
        if local_day(change.from_at, params.zone) != day or change.from_at <= at:
            raise Conflict(f"the window must begin on {day.isoformat()}, after now")
        door = await views.premises_by_code(conn, change.premises, actor)
        duty_id = await make_appointment(
            conn, door["premises_id"], change.from_at, change.to_at, change.reason, params.zone, actor, at
        )
        return _Facts(new_duty_id=duty_id)
    return _Facts()


async def _next(
    conn: asyncpg.Connection,
    run: Mapping[str, Any],
    clock: WallClock,
    change: Change,
    facts: _Facts,
    params: RosterParams,
    at: datetime,
    actor: Actor,
) -> Changed:
    before = await _before(conn, run, clock, facts, params, at)
    begun = time.perf_counter()
    repaired = await _repaired(before, change, facts, params)
    seconds = round(time.perf_counter() - begun, 2)
    if facts.new_duty_id is not None:
        _refuse_unkept(repaired, facts.new_duty_id, clock)
    made = next_version(before, repaired)
    _check(before, made)
    repromised = await tell_new_windows(conn, repaired, clock, params.offer, actor, at)
    effect = effect_of(before, made, clock) | {"promised_anew": repromised, "seconds": seconds}
    figures = _figures(made, change.kind, effect)
    run_id, version = await change_store.save_next(
        conn, before.now, made, clock, at, params.seed, repaired.plan.solver, figures
    )
    body = change.model_dump(mode="json")
    change_id = await change_store.add_change(conn, clock.day, body, before.now.run_id, run_id, effect, actor.name, at)
    subject = f"roster:{clock.day.isoformat()}"
    details = {"change_id": change_id, "kind": change.kind, "version": version}
    await audit.record(conn, actor, "roster.change", subject, details, at)
    log.info("roster changed", day=clock.day.isoformat(), kind=change.kind, version=version, seconds=seconds,
             counts=effect["counts"])  # fmt: skip
    return Changed(clock.day, change_id, before.now.version, version, effect)


async def _before(
    conn: asyncpg.Connection,
    run: Mapping[str, Any],
    clock: WallClock,
    facts: _Facts,
    params: RosterParams,
    at: datetime,
) -> Before:
    """Where everybody stands, and what there is to do in the rest of the day."""
    staff = {inspector.inspector_id: inspector for inspector in await store.working_inspectors(conn, everybody=True)}
    present = {inspector.inspector_id: inspector for inspector in await present_inspectors(conn, clock)}
    now = await change_store.in_force(conn, run, staff, clock)
    duties = await change_store.running_duties(conn, now.run_id, clock, at)
    calls = {call.premises_id: call for call in await calls_of(conn, duties, clock.day, params, at)}
    if params.campaign.calendar.closed(
        clock.day
    ):  # what nobody was sent for yet and must not be waits for a day worked
        sent = {placed.premises_id for roster in now.rosters for placed in roster.visits}
        calls = {number: call for number, call in calls.items() if call.must or number in sent}
    now_s = clock.second(at)
    standings = [
        stand(r, now_s, params.travel, present=present.get(r.inspector.inspector_id), until_s=facts.until_s or {})
        for r in now.rosters
    ]
    out = {standing.inspector.inspector_id for standing in standings}
    standings += [idle(inspector, now_s) for number, inspector in present.items() if number not in out]
    _refuse_not_begun(standings, facts, clock)
    known = tuple(_with_calls(standing, calls) for standing in standings)
    return Before(now, known, calls, now_s, params.travel, clock.day)


def _refuse_not_begun(standings: list[Standing], facts: _Facts, clock: WallClock) -> None:
    """Only a visit that somebody makes or travels to can take longer: of one ahead nobody knows it yet."""
    for placed in (placed for standing in standings for placed in standing.ahead):
        if placed.visit_id in (facts.until_s or {}):
            begin = clock.moment(placed.visit.arrive_s).astimezone(clock.zone)
            raise Conflict(f"visit {placed.visit_id} is not under way: it is planned for {begin:%Y-%m-%d %H:%M}")


def _with_calls(standing: Standing, calls: Mapping[int, Call]) -> Standing:
    ahead = tuple(replace(placed, call=calls.get(placed.premises_id)) for placed in standing.ahead)
    return replace(standing, ahead=ahead)


async def _repaired(before: Before, change: Change, facts: _Facts, params: RosterParams) -> Repaired:
    """The rest of the day, repaired; raises PlanningFailed."""
    wanted = wanted_of(before, facts.touched, params, change.kind)
    wanted = replace(wanted, day=replace(wanted.day, table=await table_of(wanted.day, params)))
    if isinstance(change, Replan):
        plan = await plan_apart(wanted.day, params.search, params.seed, params.plan_timeout_s)
        if not broken_rules(wanted.day, plan):
            return Repaired(wanted.day, plan, {}, searched=True)
    for search in (params.change_search, replace(params.change_search, iterations_min=0)):
        repaired = await run_apart(repair, wanted, search, params.seed, timeout_s=params.plan_timeout_s)
        broken = broken_rules(repaired.day, repaired.plan)
        if not broken:
            return repaired
        words = [f"{one.rule.value}: {one.where} {one.sentence}" for one in broken[:20]]
        log.error("changed roster refused by the checker", broken=words)
    raise PlanningFailed("no repair of the day holds before the checker")


def _refuse_unkept(repaired: Repaired, duty_id: int, clock: WallClock) -> None:
    """A new promise that the day cannot keep is not made."""
    for omission in repaired.plan.omissions:
        if any(duty.duty_id == duty_id for duty in omission.call.duties):
            raise Conflict(f"nobody can keep this window on {clock.day.isoformat()}: {omission.reason}")
    for call in repaired.day.calls:
        if call.premises_id in repaired.repromised and any(duty.duty_id == duty_id for duty in call.duties):
            begin = clock.moment(repaired.repromised[call.premises_id].early_s).astimezone(clock.zone)
            raise Conflict(f"nobody can keep this window; {begin:%H:%M} would be possible")


def _check(before: Before, made: NextVersion) -> None:
    kept = {
        visit_id: (roster.inspector.inspector_id, position, visit.arrive_s)
        for roster, visits in made.rosters
        for position, (visit_id, visit) in enumerate(visits, 1)
        if visit_id is not None
    }
    away = {s.inspector.inspector_id for s in before.standings if s.rest is None}
    broken = broken_freezes(before.now.rosters, kept, before.now_s, away)
    for roster, visits in made.rosters:
        frozen = sum(visit_id in made.frozen for visit_id, _ in visits)
        broken += broken_joints([visit for _, visit in visits], frozen, roster.inspector)
    if broken:
        raise PlanningFailed(f"the change would move what is done or under way: {broken[0].where} {broken[0].sentence}")


def _figures(made: NextVersion, kind: str, effect: Mapping[str, Any]) -> dict[str, Any]:
    visits = [visit for _, visits in made.rosters for _, visit in visits]
    return {
        "change": kind,
        "visits": len(visits),
        "mandatory_served": sum(visit.call.mandatory for visit in visits),
        "travel_s": sum(roster.travel_s for roster, _ in made.rosters),
        "seconds": effect["seconds"],
        "promised_anew": len(effect["promised_anew"]),
        **effect["counts"],
    }
