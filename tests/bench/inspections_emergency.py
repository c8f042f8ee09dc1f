"""An alarm during a running day: how soon somebody is there, what moves, and whether promises hold."""

import random
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from inspections.checker import broken_freezes, broken_rules
from inspections.emergency import is_emergency
from inspections.model import Call, Day, Inspector, Plan
from inspections.params import RosterParams
from inspections.planner import plan
from inspections.repair import Repaired, Wanted, repair
from inspections.search import Search
from inspections.standing import Placed, RunningRoster, Standing, idle, stand
from tests.bench.inspections_days import district_day

_HOUR = 3600


def run_emergencies(seed: int, days: int, alarms: int, iterations: int) -> Iterator[dict[str, Any]]:
    """Plan districts with an eighth of the doors promised, then raise alarms between nine and three, one at a time."""
    for number in range(seed, seed + days):
        day = _promised(district_day(number))
        made = plan(day, Search(iterations_per_call=iterations), number)
        rng = random.Random(number)
        for _ in range(alarms):
            yield {"day": number} | _alarm(day, made, rng)


def _promised(day: Day) -> Day:
    calls = tuple(replace(call, promised=call.window is not None and not call.mandatory) for call in day.calls)
    return replace(day, calls=calls)


def _alarm(day: Day, made: Plan, rng: random.Random) -> dict[str, Any]:
    """One critical alert at a door of the district that is on no roster, at some minute of the day."""
    now_s = rng.randint(9 * _HOUR, 15 * _HOUR)
    struck = rng.choice(made.omissions).call
    duty = replace(struck.duties[0], kind="alert", mandatory=True, alert_severity="critical", reason="leak alarm")
    alarm = replace(struck, duties=(duty,), mandatory=True, priority=200, promised=False, window=None)
    assert is_emergency(alarm)
    running = [_running(made, inspector) for inspector in day.inspectors]
    standings = [
        stand(r, now_s, day.travel, present=r.inspector, until_s={}) if r.visits else idle(r.inspector, now_s)
        for r in running
    ]
    waiting = [o.call for o in made.omissions if o.call.premises_id != struck.premises_id]
    wanted = _wanted(day, standings, alarm, waiting)
    begun, worked = time.perf_counter(), time.process_time()
    repaired = repair(wanted, RosterParams().change_search, 1)
    taken = {"seconds": time.perf_counter() - begun, "cpu_s": time.process_time() - worked}
    at = {"at": f"{now_s // 3600:02d}:{now_s % 3600 // 60:02d}"}
    return at | {name: round(value, 2) for name, value in taken.items()} | _figures(
        running, standings, repaired, alarm, now_s
    )  # fmt: skip


def _running(made: Plan, inspector: Inspector) -> RunningRoster:
    roster = next((r for r in made.rosters if r.inspector.inspector_id == inspector.inspector_id), None)
    if roster is None:
        return RunningRoster(inspector, replace(made.rosters[0], inspector=inspector, visits=()), ())
    placed = tuple(
        Placed(v.call.premises_id, v.call.premises_id, v.call.door.building_id, v.call, v, done=False)
        for v in roster.visits
    )
    return RunningRoster(inspector, roster, placed)


def _wanted(day: Day, standings: list[Standing], alarm: Call, waiting: list[Call]) -> Wanted:
    ahead = {s.inspector.inspector_id: tuple(p.premises_id for p in s.ahead) for s in standings if s.rest}
    known = {call.premises_id: call for call in day.calls}
    best = sorted(waiting, key=lambda call: (-call.worth, call.premises_id))[:120]
    calls = [*(known[p] for premises in ahead.values() for p in premises), *best, alarm]
    rest = tuple(standing.rest for standing in standings if standing.rest is not None)
    return Wanted(replace(day, calls=tuple(calls), inspectors=rest), ahead, (alarm.premises_id,))


def _figures(
    running: list[RunningRoster], standings: list[Standing], repaired: Repaired, alarm: Call, now_s: int
) -> dict[str, Any]:
    was = {p.premises_id: s.inspector.inspector_id for s in standings for p in s.ahead}
    now = {v.call.premises_id: r.inspector.inspector_id for r in repaired.plan.rosters for v in r.visits}
    promised = [p for s in standings for p in s.ahead if p.call is not None and p.call.promised]
    frozen = {
        p.visit_id: (s.inspector.inspector_id, position, p.visit.arrive_s)
        for s in standings
        for position, p in enumerate(s.frozen, 1)
    }
    reached = [v.arrive_s for r in repaired.plan.rosters for v in r.visits if v.call.premises_id == alarm.premises_id]
    broken = [*broken_rules(repaired.day, repaired.plan), *broken_freezes(running, frozen, now_s, set())]
    return {
        "reached_after_min": round((reached[0] - now_s) / 60) if reached else None,
        "moved": sum(p in now and now[p] != inspector for p, inspector in was.items()),
        "dropped": sum(p not in now for p in was),
        "promises": len(promised),
        "promises_broken": sum(p.premises_id not in now for p in promised) + len(repaired.repromised),
        "broken_rules": len(broken),
    }
