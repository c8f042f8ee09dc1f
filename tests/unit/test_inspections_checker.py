"""The checker sees each rule broken on purpose."""

from array import array
from collections.abc import Callable
from dataclasses import replace

import pytest

from inspections.checker import Rule, broken_rules
from inspections.model import Day, Omission, Plan, Point, Roster, TravelTable, Visit, Window
from inspections.planner import plan
from inspections.search import Search
from tests.unit.inspections_days import HOUR, call, day, inspector

QUICK = Search(iterations_per_call=1, iterations_min=20)
FULL = day([call(n, 1 + n // 12) for n in range(1, 40)], [inspector(1), inspector(2, areas=frozenset({"D02"}))])
GOOD = plan(FULL, QUICK, 1)


def with_roster(**changes: object) -> Plan:
    return replace(GOOD, rosters=(replace(GOOD.rosters[0], **changes),))  # type: ignore[arg-type]


def with_visit(position: int, **changes: object) -> Plan:
    visits = list(GOOD.rosters[0].visits)
    visits[position] = replace(visits[position], **changes)  # type: ignore[arg-type]
    return with_roster(visits=tuple(visits))


def first() -> Visit:
    return GOOD.rosters[0].visits[0]


def roster() -> Roster:
    return GOOD.rosters[0]


def changed_call(**changes: object) -> Callable[[Day], Day]:
    """The same day, in which the first visited door asks for something else."""

    def change(whole: Day) -> Day:
        premises_id = first().call.premises_id
        calls = [replace(c, **changes) if c.premises_id == premises_id else c for c in whole.calls]  # type: ignore[arg-type]
        return replace(whole, calls=tuple(calls))

    return change


def rules(whole: Day, made: Plan) -> set[Rule]:
    return {broken.rule for broken in broken_rules(whole, made)}


def test_good_plan_breaks_nothing() -> None:
    """The plan that the tests below break holds by itself, and fills the day."""
    assert broken_rules(FULL, GOOD) == []
    assert roster().break_start_s is not None


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (changed_call(skills=frozenset({"leak"})), Rule.SKILL),
        (changed_call(door=replace(first().call.door, area="D02")), Rule.AREA),
        (changed_call(window=Window(20 * HOUR, 21 * HOUR)), Rule.WINDOW),
        (changed_call(service_s=481), Rule.SERVICE),
        (changed_call(full_service_s=900, chance=0.5), Rule.SERVICE),
        (changed_call(full_service_s=3 * HOUR, chance=0.0), Rule.OVERBOOKED),
    ],
)
def test_door_asks_for_more_than_the_plan_gives(change: Callable[[Day], Day], rule: Rule) -> None:
    """The checker believes the day, not the copy of the call inside the plan."""
    assert rules(change(FULL), GOOD) == {rule}


@pytest.mark.parametrize(
    ("broken", "rule"),
    [
        (lambda: with_visit(0, arrive_s=first().arrive_s - 1, leave_s=first().leave_s - 1), Rule.TRAVEL),
        (lambda: with_visit(3, arrive_s=roster().visits[2].leave_s + 59), Rule.TRAVEL),
        (lambda: with_roster(return_s=roster().visits[-1].leave_s + 1), Rule.TRAVEL),
        (lambda: with_roster(leave_s=8 * HOUR), Rule.SHIFT),
        (lambda: with_roster(return_s=17 * HOUR), Rule.SHIFT),
        (lambda: with_roster(break_start_s=None, break_end_s=None), Rule.BREAK),
        (lambda: with_roster(break_end_s=(roster().break_end_s or 0) - 1), Rule.BREAK),
        (lambda: with_roster(break_start_s=9 * HOUR, break_end_s=9 * HOUR + 1800), Rule.BREAK),
        (lambda: replace(GOOD, rosters=(*GOOD.rosters, *GOOD.rosters)), Rule.TWICE),
        (lambda: replace(GOOD, omissions=(Omission(first().call, "capacity", "full", {}),)), Rule.TWICE),
        (lambda: with_roster(visits=roster().visits[:-1]), Rule.LOST),
        (lambda: with_roster(inspector=inspector(9)), Rule.UNKNOWN),
        (lambda: replace(GOOD, omissions=(Omission(call(777), "capacity", "full", {}),)), Rule.UNKNOWN),
    ],
)
def test_plan_broken_on_purpose(broken: Callable[[], Plan], rule: Rule) -> None:
    """Each tampering is seen as the rule it breaks."""
    assert rule in rules(FULL, broken())


def test_break_across_travel_is_seen() -> None:
    """Travel is not interrupted: a break in the middle of a way that needs the whole gap breaks the rule."""
    far = day([call(1, 1), call(2, 60)])
    made = plan(far, QUICK, 1)
    visits = made.rosters[0].visits
    gap = visits[1].arrive_s - visits[0].leave_s
    late = 12 * HOUR - visits[0].leave_s  # move the day so that the gap lies in the break's window
    moved = [replace(v, arrive_s=v.arrive_s + late, leave_s=v.leave_s + late) for v in visits]
    second = replace(moved[1], arrive_s=moved[1].arrive_s + 1800, leave_s=moved[1].leave_s + 1800)
    rest = moved[0].leave_s + gap // 2
    torn = replace(
        made.rosters[0], visits=(moved[0], second), leave_s=9 * HOUR, return_s=16 * HOUR + 1800,
        break_start_s=rest, break_end_s=rest + 1800,
    )  # fmt: skip
    assert rules(far, replace(made, rosters=(torn,))) == {Rule.TRAVEL}


def test_mandatory_door_left_out_without_need() -> None:
    """An idle inspector who could have gone shows that a mandatory omission was not necessary."""
    whole = day([call(1, mandatory=True)])
    unneeded = Plan(whole.day, (), (Omission(whole.calls[0], "capacity", "full", {}),), "none", 1)
    assert rules(whole, unneeded) == {Rule.MANDATORY}


def test_promise_broken_without_need() -> None:
    """A promised door left out although somebody idle could keep the promise is seen."""
    whole = day([call(1, promised=True, window=Window(10 * HOUR, 12 * HOUR))])
    unneeded = Plan(whole.day, (), (Omission(whole.calls[0], "capacity", "full", {}),), "none", 1)
    assert rules(whole, unneeded) == {Rule.PROMISE}


def test_own_end_is_where_the_day_ends() -> None:
    """An inspector whose day ends far away is not back by the time the way to the start takes."""
    there = inspector(end=Point(31.9, 117.3))
    moved = replace(FULL, inspectors=(there, FULL.inspectors[1]))
    assert Rule.TRAVEL in rules(moved, GOOD)
    assert rules(moved, plan(moved, QUICK, 1)) == set()


def test_travel_of_a_routing_server_is_the_law() -> None:
    """What the server says takes an hour cannot be planned in minutes; legs it has no way for are the great circle."""
    points = sorted({(c.door.point.latitude, c.door.point.longitude) for c in FULL.calls})
    hours = tuple(array("i", [-1 if n == m else 3600 for n in range(len(points))]) for m in range(len(points)))
    slow = replace(FULL, table=TravelTable("osrm", {Point(*p): n for n, p in enumerate(points)}, hours))
    assert rules(slow, GOOD) == {Rule.TRAVEL}
    assert rules(slow, plan(slow, QUICK, 1)) == set()


def test_omission_needs_a_reason() -> None:
    """An empty reason explains nothing."""
    whole = day([call(1)], [])
    silent = Plan(whole.day, (), (Omission(whole.calls[0], "capacity", "", {}),), "none", 1)
    assert rules(whole, silent) == {Rule.MANDATORY}
