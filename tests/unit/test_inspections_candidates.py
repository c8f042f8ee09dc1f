"""Weighing doors and choosing which are considered."""

from dataclasses import replace
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from inspections.access_rates import AccessRates, Tried
from inspections.candidates import CallRules, choose, make_calls, split
from inspections.cycle import load_cycles
from inspections.model import Window
from inspections.priority import weigh
from tests.unit.inspections_days import DAY, call, day, door, duty, inspector

RULES = CallRules(
    {"household": 480, "commercial": 1200, "industrial": 1500}, load_cycles().no_access, ZoneInfo("Asia/Shanghai")
)
ENTERED = date(2024, 11, 1)


def test_every_point_is_explained() -> None:
    """The points in the reasons add up to the priority."""
    risky = door(1, built_year=1985, tenure="rented", elderly=True, hose_installed_on=date(2023, 1, 1))
    late = duty(1, due_on=date(2026, 9, 1), attempts=2)
    weight = weigh(risky, [late, duty(2, kind="alert", alert_severity="major", mandatory=True)], DAY)
    points = [int(reason.rpartition("(")[2].rstrip(")")) for reason in weight.reasons[1:]]
    assert sum(points) == weight.points
    assert weight.reasons[0].startswith("mandatory")


@pytest.mark.parametrize(
    ("changes", "more"),
    [
        ({"due_on": date(2026, 11, 9)}, 2),
        ({"due_on": date(2020, 1, 1)}, 30),
        ({"due_on": date(2026, 12, 7)}, -2),
        ({"attempts": 1}, 3),
        ({"attempts": 9}, 9),
    ],
)
def test_points_of_a_duty(changes: dict[str, object], more: int) -> None:
    """Overdue weeks and earlier attempts count up to a limit, being early counts against."""
    plain = weigh(door(1, last_entered_on=ENTERED), [duty(1)], DAY).points
    changed = weigh(door(1, last_entered_on=ENTERED), [duty(1, **changes)], DAY).points
    assert changed - plain == more


def test_unknown_attributes_add_nothing_but_unknown_history_does() -> None:
    """Unknown is not a risk by itself, except never having been seen."""
    assert weigh(door(1), [duty(1)], DAY).points == weigh(door(1, last_entered_on=ENTERED), [duty(1)], DAY).points + 2


def learned(hour_rates: dict[int, tuple[int, int]]) -> AccessRates:
    """Rates from visits on working days to households of D01: tried and entered by hour."""
    return AccessRates(
        Tried("household", "D01", weekend=False, hour=hour, attempts=attempts, tried=tried, entered=entered)
        for hour, (tried, entered) in hour_rates.items()
        for attempts in (0, 1)
    )


def test_a_further_attempt_aims_at_the_learned_hours() -> None:
    """Shut on Friday at 9:30, people known to be home from 16 on: tried after 13, best 16 to 18, and it says why."""
    friday = datetime(2026, 11, 20, 1, 30, tzinfo=UTC)
    tried = duty(1, attempts=1, last_attempt_at=friday)
    rates = learned({9: (400, 100), 14: (400, 120), 16: (400, 320)})
    (made,) = make_calls({1: door(1)}, [tried], DAY, replace(RULES, rates=rates))
    assert (made.window, made.best) == (Window(13 * 3600, 24 * 3600), Window(16 * 3600, 18 * 3600 - 1))
    (reason,) = [one for one in made.reasons if one.startswith("nobody got in")]
    assert reason.startswith("nobody got in on Fri 2026-11-20 at 09:30: tried from 13:00 this time, best 16:00-18:00: ")
    assert reason.endswith("(2400 visits learned from in D01)")
    assert made.chance == rates.chance("household", "D01", DAY, 16, 1)


def test_hours_that_are_all_the_same_leave_the_half_day() -> None:
    """Nothing learned: any time of the other half is as good; a mandatory visit waits for no hour."""
    tried = duty(1, attempts=1, last_attempt_at=datetime(2026, 11, 20, 6, tzinfo=UTC))
    for rates in (None, AccessRates()):
        (made,) = make_calls({1: door(1)}, [tried], DAY, replace(RULES, rates=rates))
        assert (made.window, made.best) == (Window(0, 13 * 3600), None)
        assert made.reasons[-1] == "nobody got in on Fri 2026-11-20 at 14:00: tried before 13:00 this time"
    (urgent,) = make_calls({1: door(1)}, [replace(tried, mandatory=True)], DAY, RULES)
    assert (urgent.window, urgent.best) == (None, None)


def test_duties_of_a_door_are_one_call() -> None:
    """A leak alert and a periodic duty are one visit that needs the skill for leaks and has no window."""
    alert = replace(duty(2, kind="alert", alert_rule="micro_leak", mandatory=True), premises_id=1)
    (made,) = make_calls({1: door(1)}, [duty(1), alert], DAY, RULES)
    assert [d.duty_id for d in made.duties] == [1, 2]
    assert (made.skills, made.mandatory, made.window) == (frozenset({"household", "leak"}), True, None)


def test_repeat_after_no_access_is_in_the_other_half_of_the_day() -> None:
    """A door tried at 10:00 local time is called at in the afternoon."""
    tried = duty(1, attempts=1, last_attempt_at=datetime(2026, 11, 20, 2, 0, tzinfo=UTC))
    (made,) = make_calls({1: door(1)}, [tried], DAY, RULES)
    assert made.window == Window(13 * 3600, 24 * 3600)


def test_choice_keeps_all_that_somebody_waits_for() -> None:
    """Mandatory doors and re-checks are considered however many doors there are."""
    many = [call(n, 1 + n % 30) for n in range(1, 400)]
    waited = call(500, 77, duties=(duty(500, kind="recheck"),))
    forced = call(501, 78, mandatory=True)
    choice = choose([*many, waited, forced], [inspector()], capacity_factor=1.0, spread=0.0)
    considered = {c.premises_id for c in choice.considered}
    assert {500, 501} <= considered
    assert len(choice.considered) + len(choice.deferred) == 401
    assert 30 < len(considered) < 60


def test_choice_opens_few_compounds() -> None:
    """Without spread the doors considered come from the weightiest compounds, whole buildings, oldest due first."""
    calls = [call(n, 1 + n % 60) for n in range(1, 600)]
    compact = choose(calls, [inspector()], capacity_factor=1.0, spread=0.0).considered
    spread = choose(calls, [inspector()], capacity_factor=1.0, spread=1.0).considered
    assert len({c.door.compound_id for c in compact}) < len({c.door.compound_id for c in spread})


def test_groups_do_not_touch() -> None:
    """Inspectors of two districts are planned apart unless one of them covers both."""
    calls = [call(1, area="D01"), call(2, area="D02"), call(3, area="D09")]
    east, west = inspector(1), inspector(2, areas=frozenset({"D02"}))
    apart = split(day(calls, [east, west]))
    assert [[c.premises_id for c in group.calls] for group in apart] == [[1], [2], [3]]
    joined = split(day(calls, [east, west, inspector(3, areas=frozenset({"D01", "D02"}))]))
    assert [[c.premises_id for c in group.calls] for group in joined] == [[1, 2], [3]]
    assert [len(group.inspectors) for group in joined] == [3, 0]
