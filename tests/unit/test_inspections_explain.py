"""Why a door is left out: each constraint alone, and the price of forcing it in."""

import pytest

from inspections.model import Call, Constraint, Inspector, Omission, Window
from inspections.planner import plan
from inspections.search import Search
from tests.unit.inspections_days import HOUR, call, day, inspector

QUICK = Search(iterations_per_call=1, iterations_min=20)


def only_omission(calls: list[Call], inspectors: list[Inspector] | None = None) -> Omission:
    made = plan(day(calls, inspectors), QUICK, 1)
    assert len(made.omissions) == 1
    return made.omissions[0]


@pytest.mark.parametrize(
    ("left_out", "constraint", "words"),
    [
        (call(1, skills=frozenset({"leak"})), "skill", "nobody who works on this day has the skills leak"),
        (call(1, area="D77"), "area", "covers area D77"),
        (call(1, window=Window(20 * HOUR, 21 * HOUR)), "window", "between 20:00 and 21:00"),
        (call(1, service_s=9 * HOUR), "shift", "540 min of work do not fit"),
    ],
)
def test_constraint_that_binds_alone(left_out: Call, constraint: Constraint, words: str) -> None:
    """Each hard constraint is recognised by testing the door alone against everybody."""
    omission = only_omission([left_out])
    assert omission.constraint == constraint
    assert words in omission.reason


def test_nobody_works() -> None:
    """Without inspectors the day has no capacity."""
    assert only_omission([call(1)], []).constraint == "capacity"


def test_skill_elsewhere_is_a_matter_of_area() -> None:
    """The skill exists in the city, but nobody who has it covers the door: the area binds, not the skill."""
    elsewhere = inspector(2, areas=frozenset({"D02"}), skills=frozenset({"leak"}))
    omission = only_omission([call(1, skills=frozenset({"leak"})), call(2, area="D02", skills=frozenset({"leak"}))],
                             [inspector(1), elsewhere])  # fmt: skip
    assert omission.constraint == "area"


def test_crowded_out_names_what_would_go_and_what_it_costs() -> None:
    """A light door that does not fit names the visit it would displace, and the minutes that are missing."""
    heavy = [call(n, priority=50, service_s=3 * HOUR) for n in (1, 2)]
    omission = only_omission([*heavy, call(3, priority=5, service_s=3 * HOUR)])
    assert omission.constraint == "crowded_out"
    assert omission.price["inspector"] == "I-001"
    assert omission.price["priority_lost"] == 50
    assert omission.price["displaces"] == [{"premises": "P001", "priority": 50}]
    missing = omission.price["minutes_missing"]
    assert isinstance(missing, int)
    assert 90 < missing < 180  # 9 h of work and half an hour of break in 8 h, and a few minutes of travel


def test_mandatory_against_mandatory_is_capacity() -> None:
    """When only mandatory visits fill the day nothing can be displaced."""
    omission = only_omission([call(n, mandatory=True, service_s=4 * HOUR, priority=n) for n in (1, 2)])
    assert omission.constraint == "capacity"
    assert omission.call.premises_id == 1
