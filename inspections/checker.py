"""The independent judge of a plan: recomputes every roster in real clock time and lists every broken rule.

It shares no code with planner, timetable or travel on purpose: a mistake there must show here. It reads only the
finished plan and the day it was made for.
"""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from inspections.model import Call, Day, Inspector, Plan, Point, Roster, Visit
from inspections.standing import RunningRoster


class Rule(Enum):
    """The rules a published roster never breaks."""

    UNKNOWN = "unknown"  # a call or inspector that is not of this day
    TWICE = "twice"
    LOST = "lost"  # neither on a roster nor an omission
    SKILL = "skill"
    AREA = "area"
    WINDOW = "window"
    SERVICE = "service"
    TRAVEL = "travel"
    SHIFT = "shift"
    BREAK = "break"
    MANDATORY = "mandatory"
    PROMISE = "promise"
    OVERBOOKED = "overbooked"
    FROZEN = "frozen"  # what was done or under way when the day changed


@dataclass(frozen=True, slots=True)
class Broken:
    """One broken rule, in words, with where it was seen."""

    rule: Rule
    where: str
    sentence: str


def broken_rules(day: Day, plan: Plan) -> list[Broken]:
    """Every rule the plan breaks; an empty list means it may be published."""
    calls = {call.premises_id: call for call in day.calls}
    return [
        *_whole(day, plan),
        *(broken for roster in plan.rosters for broken in _roster(day, calls, roster)),
        *_mandatory(day, plan),
    ]


def _whole(day: Day, plan: Plan) -> Iterator[Broken]:
    """Each call exactly once; each inspector at most once."""
    known = {call.premises_id: call for call in day.calls}
    seen = Counter(visit.call.premises_id for visit in plan.visits())
    seen.update(omission.call.premises_id for omission in plan.omissions)
    for premises_id, times in seen.items():
        if premises_id not in known:
            yield Broken(Rule.UNKNOWN, f"premises {premises_id}", "is not a call of this day")
        elif times > 1:
            yield Broken(Rule.TWICE, known[premises_id].door.code, f"is planned or omitted {times} times")
    for premises_id in known.keys() - seen.keys():
        yield Broken(Rule.LOST, known[premises_id].door.code, "is neither on a roster nor an omission")
    for inspector_id, times in Counter(roster.inspector.inspector_id for roster in plan.rosters).items():
        if times > 1:
            yield Broken(Rule.TWICE, f"inspector {inspector_id}", f"has {times} rosters")


def _roster(day: Day, calls: Mapping[int, Call], roster: Roster) -> Iterator[Broken]:
    inspector = next((i for i in day.inspectors if i.inspector_id == roster.inspector.inspector_id), None)
    if inspector is None:
        yield Broken(Rule.UNKNOWN, roster.inspector.code, "does not work on this day")
        return
    for visit in roster.visits:
        yield from _visit(day, inspector, calls.get(visit.call.premises_id, visit.call), visit)
    yield from _shift(inspector, roster)
    yield from _break(inspector, roster)
    yield from _legs(day, inspector, roster)
    yield from _overbooking(day, calls, inspector, roster)


def _visit(day: Day, inspector: Inspector, call: Call, visit: Visit) -> Iterator[Broken]:
    where = f"{inspector.code} at {call.door.code}"
    if not call.skills <= inspector.skills:
        yield Broken(Rule.SKILL, where, f"needs {sorted(call.skills - inspector.skills)}")
    if call.door.area not in inspector.areas:
        yield Broken(Rule.AREA, where, f"lies in {call.door.area}, which the inspector does not cover")
    if call.window and not call.window.early_s <= visit.arrive_s <= call.window.late_s:
        yield Broken(Rule.WINDOW, where, f"begins {visit.arrive_s} s, allowed {call.window}")
    needed = max(call.service_s, _expected_s(day, call))
    if visit.leave_s - visit.arrive_s < needed:
        yield Broken(Rule.SERVICE, where, f"{visit.leave_s - visit.arrive_s} s of work, {needed} s needed")


def _expected_s(day: Day, call: Call) -> int:
    """The work weighed by the chance that somebody is home, rounded down; what must be is never shortened."""
    full = call.service_s if call.full_service_s is None else call.full_service_s
    if call.must or full <= day.overbooking.no_access_s:
        return full
    chance = 1.0 if call.full_service_s is None else call.chance
    return math.floor(chance * full + (1 - chance) * day.overbooking.no_access_s)


def _overbooking(day: Day, calls: Mapping[int, Call], inspector: Inspector, roster: Roster) -> Iterator[Broken]:
    """Should everybody be home, the work exceeds the planned time by no more than allowed."""
    excess = sum(
        max(0, call.full_service_s - (visit.leave_s - visit.arrive_s))
        for visit in roster.visits
        if (call := calls.get(visit.call.premises_id, visit.call)).full_service_s is not None
    )
    planned_s = sum(visit.leave_s - visit.arrive_s for visit in roster.visits)
    if excess > day.overbooking.excess_share * planned_s:
        yield Broken(Rule.OVERBOOKED, inspector.code, f"relies on {excess} s of absence in {planned_s} s at doors")


def _shift(inspector: Inspector, roster: Roster) -> Iterator[Broken]:
    if roster.leave_s < inspector.shift_start_s:
        yield Broken(
            Rule.SHIFT, inspector.code, f"leaves {inspector.shift_start_s - roster.leave_s} s before the shift"
        )
    if roster.return_s > inspector.shift_end_s:
        yield Broken(Rule.SHIFT, inspector.code, f"is back {roster.return_s - inspector.shift_end_s} s after the shift")


def _break(inspector: Inspector, roster: Roster) -> Iterator[Broken]:
    """A break of full length begins within its window, unless the day lies wholly before or after that window."""
    begin, end = roster.break_start_s, roster.break_end_s
    if begin is None or end is None:
        works_across = roster.leave_s < inspector.break_before_s < roster.return_s
        if inspector.break_s > 0 and works_across:
            yield Broken(Rule.BREAK, inspector.code, "works across the break's window without a break")
        return
    if end - begin < inspector.break_s:
        yield Broken(Rule.BREAK, inspector.code, f"the break lasts {end - begin} s of {inspector.break_s} s")
    if not inspector.break_after_s <= begin <= inspector.break_before_s:
        yield Broken(Rule.BREAK, inspector.code, f"the break begins at {begin} s, outside its window")
    if begin < roster.leave_s or end > roster.return_s:
        yield Broken(Rule.BREAK, inspector.code, "the break lies outside the working day")
    for visit in roster.visits:
        if begin < visit.leave_s and visit.arrive_s < end:
            yield Broken(Rule.BREAK, inspector.code, f"the break overlaps the visit at {visit.call.door.code}")


def _legs(day: Day, inspector: Inspector, roster: Roster) -> Iterator[Broken]:
    """Between two visits there is time for travel, set-up, and the break when it lies there."""
    travel = day.travel
    place, building, free_from = inspector.start, inspector.inside_building_id, roster.leave_s
    for visit in roster.visits:
        door = visit.call.door
        move = _move_s(day, place, door.point, same=building == door.building_id)
        setup = 0 if building == door.building_id else travel.building_setup_s
        if not _enough(roster, free_from, visit.arrive_s, move, setup):
            yield Broken(
                Rule.TRAVEL, f"{inspector.code} to {door.code}", f"{move:.0f} s travel and {setup} s set-up do not fit"
            )
        place, building, free_from = door.point, door.building_id, visit.leave_s
    end = inspector.start if inspector.end is None else inspector.end
    home = _move_s(day, place, end, same=False) if roster.visits else 0.0
    if not _enough(roster, free_from, roster.return_s, home, 0):
        yield Broken(Rule.TRAVEL, f"{inspector.code} home", f"{home:.0f} s of travel do not fit")


def _enough(roster: Roster, begin: int, end: int, move_s: float, setup_s: int) -> bool:
    rest, rest_end = roster.break_start_s, roster.break_end_s
    if rest is None or rest_end is None or rest_end <= begin or rest >= end:
        return end - begin >= move_s + setup_s
    before, after = rest - begin, end - rest_end  # travel is not interrupted: it lies wholly on one side of the break
    return after >= move_s + setup_s or (before >= move_s and before + after >= move_s + setup_s)


def _move_s(day: Day, origin: Point, target: Point, *, same: bool) -> float:
    travel, table = day.travel, day.table
    if same:
        return travel.between_flats_s
    if table is not None and origin in table.index and target in table.index:
        given = table.seconds[table.index[origin]][table.index[target]]
        if given >= 0:
            return given + travel.between_buildings_s
    a, b = math.radians(origin.latitude), math.radians(target.latitude)
    across = math.radians(target.longitude - origin.longitude)
    cosine = math.sin(a) * math.sin(b) + math.cos(a) * math.cos(b) * math.cos(across)
    sine = math.hypot(
        math.cos(b) * math.sin(across), math.cos(a) * math.sin(b) - math.sin(a) * math.cos(b) * math.cos(across)
    )
    metres = 6_371_009.0 * math.atan2(sine, cosine)
    return metres * travel.detour * 3.6 / travel.speed_kmh + travel.between_buildings_s


def broken_freezes(
    before: Iterable[RunningRoster], after: Mapping[int, tuple[int, int, int]], now_s: int, away: Collection[int]
) -> list[Broken]:
    """What was done, or begun by somebody still at work, and is not as it was.

    `after` is visit -> (inspector, position, begin). What was done ahead of its plan may stand earlier, nothing else.
    """
    broken = []
    for running in before:
        number = running.inspector.inspector_id
        order = sorted((line[1], visit_id) for visit_id, line in after.items() if line[0] == number)
        was = {placed.visit_id: place for place, placed in enumerate(running.visits)}
        early = {p.visit_id for p in running.visits if p.done_s is not None and p.done_s < p.visit.arrive_s}
        for placed in running.visits:
            if not placed.done and (placed.visit.arrive_s > now_s or number in away):
                continue
            found = after.get(placed.visit_id, (None, 0, 0))
            ahead = [visit_id for position, visit_id in order if position < found[1] and visit_id not in early]
            begun_s = min(found[2], placed.visit.arrive_s) if placed.visit_id in early else placed.visit.arrive_s
            overtaken = any(was.get(visit_id, len(was)) > was[placed.visit_id] for visit_id in ahead)
            if found[0] != number or found[2] != begun_s or overtaken:
                where = f"{running.inspector.code} at {placed.visit.call.door.code}"
                broken.append(Broken(Rule.FROZEN, where, "was done or under way and is not left as it was"))
    return broken


def broken_joints(visits: Sequence[Visit], frozen: int, inspector: Inspector) -> list[Broken]:
    """Where the rest of a day begins before the first `frozen` visits have ended and the way is done."""
    if not 0 < frozen < len(visits):
        return []
    last, first = visits[frozen - 1], visits[frozen]
    if first.arrive_s >= last.leave_s + first.travel_s:
        return []
    where = f"{inspector.code} to {first.call.door.code}"
    return [Broken(Rule.FROZEN, where, f"begins {last.leave_s + first.travel_s - first.arrive_s} s too early")]


def _mandatory(day: Day, plan: Plan) -> Iterator[Broken]:
    """An omission is explained, and no able inspector with nothing that must be could have served one that must be."""
    busy = {r.inspector.inspector_id for r in plan.rosters if any(visit.call.must for visit in r.visits)}
    for omission in plan.omissions:
        call = omission.call
        if not omission.reason:
            yield Broken(Rule.MANDATORY, call.door.code, "is left out without a reason")
        if not call.must:
            continue
        rule = Rule.MANDATORY if call.mandatory else Rule.PROMISE
        for inspector in day.inspectors:
            if inspector.inspector_id not in busy and _could_serve_alone(day, inspector, call):
                yield Broken(rule, call.door.code, f"is left out although {inspector.code} could go")


def _could_serve_alone(day: Day, inspector: Inspector, call: Call) -> bool:
    """A cautious test: true only when the visit certainly fits into an otherwise empty day without a break."""
    if not call.skills <= inspector.skills or call.door.area not in inspector.areas:
        return False
    move = math.ceil(_move_s(day, inspector.start, call.door.point, same=False))
    begin = inspector.shift_start_s + move + day.travel.building_setup_s
    if call.window:
        begin = max(begin, call.window.early_s)
        if begin > call.window.late_s:
            return False
    end = inspector.start if inspector.end is None else inspector.end
    back = begin + call.service_s + math.ceil(_move_s(day, call.door.point, end, same=False))
    return back <= min(inspector.shift_end_s, inspector.break_before_s)
