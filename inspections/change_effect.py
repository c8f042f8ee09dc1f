"""What a change makes of a day, put together from what is frozen and what was repaired, and how it differs. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from inspections.model import Call, Point, Roster, Travel, Visit
from inspections.repair import Repaired
from inspections.standing import InForce, NextVersion, Standing
from inspections.travel import travel_matrix
from inspections.wallclock import WallClock


@dataclass(frozen=True, slots=True)
class Before:
    """A running day before a change: the version in force, where everybody stands, and what there is to do."""

    now: InForce
    standings: tuple[Standing, ...]
    calls: Mapping[int, Call]
    now_s: int
    travel: Travel
    day: date


def next_version(before: Before, repaired: Repaired) -> NextVersion:
    """Everybody's whole day: what is frozen, then the repaired rest; those not concerned keep theirs."""
    ids = {p.premises_id: p.visit_id for s in before.standings for p in s.ahead}
    new = {roster.inspector.inspector_id: roster for roster in repaired.plan.rosters}
    concerned = {inspector.inspector_id for inspector in repaired.day.inspectors}
    rosters = []
    for standing in before.standings:
        number = standing.inspector.inspector_id
        frozen = [(placed.visit_id, placed.visit) for placed in standing.frozen]
        if number in concerned or standing.rest is None:
            ahead = [(ids.get(v.call.premises_id), v) for v in new[number].visits] if number in new else []
        else:
            ahead = [(p.visit_id, replace(p.visit, call=p.call)) for p in standing.ahead if p.call is not None]
        if frozen or ahead:
            rosters.append(
                (_whole(before, standing, new.get(number), [v for _, v in frozen + ahead]), tuple(frozen + ahead))
            )
    frozen_ids = frozenset(placed.visit_id for standing in before.standings for placed in standing.frozen)
    joined = tuple(
        (placed.visit_id, duty.duty_id)
        for standing in before.standings
        for placed in standing.frozen
        if not placed.done and placed.premises_id in before.calls
        for duty in before.calls[placed.premises_id].duties
    )
    return NextVersion(tuple(rosters), frozen_ids, repaired.plan.omissions, joined)


def _whole(before: Before, standing: Standing, new: Roster | None, visits: list[Visit]) -> Roster:
    """The roster around all visits of the day: from when to when, with its break and its travel."""
    running = next((r.roster for r in before.now.rosters if r.inspector == standing.inspector), None)
    end = standing.inspector.start if standing.inspector.end is None else standing.inspector.end
    home = _leg_s(before.travel, visits[-1].call.door.point, end)
    rest = standing.break_taken
    if new is not None:
        return_s = new.return_s
        if rest is None and new.break_start_s is not None and new.break_end_s is not None:
            rest = (new.break_start_s, new.break_end_s)
    elif standing.ahead and standing.rest is not None and running is not None:
        return_s = running.return_s
        if rest is None and running.break_start_s is not None and running.break_end_s is not None:
            rest = (running.break_start_s, running.break_end_s)
    else:
        return_s = max(visits[-1].leave_s, rest[1] if rest else 0) + home
    leave_s = standing.leave_s if standing.leave_s is not None else (new or running or _never()).leave_s
    return Roster(
        standing.inspector,
        tuple(visits),
        min(leave_s, visits[0].arrive_s),
        return_s,
        rest[0] if rest else None,
        rest[1] if rest else None,
        sum(visit.travel_s for visit in visits) + home,
    )


def _never() -> Roster:
    raise AssertionError("a roster with visits was in force or was made")


def _leg_s(travel: Travel, origin: Point, target: Point) -> int:
    return int(travel_matrix([origin, target], travel)[0][1])


def effect_of(before: Before, made: NextVersion, clock: WallClock) -> dict[str, Any]:
    """What was inserted, moved to somebody else and dropped, each with whom and why, and how many."""
    was = {p.visit_id: (s.inspector.code, p) for s in before.standings for p in s.ahead}
    inserted, moved, kept = [], [], set()
    for roster, visits in made.rosters:
        for visit_id, visit in visits:
            entry = {
                "premises": visit.call.door.code,
                "inspector": roster.inspector.code,
                "arrive_at": clock.moment(visit.arrive_s).isoformat(),
            }
            if visit_id is None:
                minutes = (visit.arrive_s - before.now_s) // 60
                inserted.append(entry | {"mandatory": visit.call.mandatory, "minutes_from_now": minutes})
            elif visit_id in was:
                kept.add(visit_id)
                if was[visit_id][0] != roster.inspector.code:
                    moved.append(entry | {"from_inspector": was[visit_id][0]})
    why = {omission.call.premises_id: omission.reason for omission in made.omissions}
    dropped = [
        {
            "premises": placed.visit.call.door.code,
            "inspector": code,
            "reason": why.get(placed.premises_id, "nothing is open for this door any more"),
        }
        for visit_id, (code, placed) in was.items()
        if visit_id not in kept
    ]
    counts = {"inserted": len(inserted), "moved": len(moved), "dropped": len(dropped)}
    return {"counts": counts, "inserted": inserted, "moved": moved, "dropped": dropped}
