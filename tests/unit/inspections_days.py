"""Doors, calls, inspectors and whole days for tests of the planner: defaults plus overrides."""

from dataclasses import replace
from datetime import date
from typing import Any

from hypothesis import strategies as st

from inspections.access_rates import expected_service_s
from inspections.model import Call, Day, Door, Duty, Inspector, Overbooking, Point, Travel, Window

DAY = date(2026, 11, 23)
HOUR = 3600
CENTRE = Point(31.8, 117.2)


def door(number: int, building: int = 1, **changes: Any) -> Door:
    """Door `number` in a building a little north-east of the centre for each building number."""
    point = Point(CENTRE.latitude + building * 0.002, CENTRE.longitude + building * 0.002)
    made = Door(number, f"P{number:03d}", building, building // 3, "D01", point, "household")
    return replace(made, **changes)


def duty(number: int, **changes: Any) -> Duty:
    """A periodic duty of door `number`, due on the day."""
    made = Duty(number, number, "periodic", DAY, mandatory=False, reason="periodic inspection")
    return replace(made, **changes)


def call(number: int, building: int = 1, *, area: str = "D01", **changes: Any) -> Call:
    """A household call of eight minutes and priority 10."""
    at = door(number, building, area=area)
    made = Call(at, (duty(number),), 10, ("periodic inspection",), False, frozenset({"household"}), 480)
    return replace(made, **changes)


def inspector(number: int = 1, **changes: Any) -> Inspector:
    """A household inspector of district D01, 08:30 to 16:30, half an hour of break from 11:30 to 13:30."""
    made = Inspector(
        number, f"I-{number:03d}", frozenset({"D01"}), frozenset({"household"}), CENTRE,
        8 * HOUR + 1800, 16 * HOUR + 1800, 1800, 11 * HOUR + 1800, 13 * HOUR + 1800,
    )  # fmt: skip
    return replace(made, **changes)


def day(calls: list[Call], inspectors: list[Inspector] | None = None) -> Day:
    """A day with one inspector unless others are given."""
    return Day(DAY, tuple(calls), tuple([inspector()] if inspectors is None else inspectors), Travel())


@st.composite
def windows(draw: st.DrawFn) -> Window | None:
    """No window, or one of up to four hours somewhere in the day."""
    if draw(st.booleans()):
        return None
    early = draw(st.integers(7, 17)) * HOUR
    return Window(early, early + draw(st.integers(0, 4)) * HOUR)


@st.composite
def best_parts(draw: st.DrawFn, window: Window) -> Window | None:
    """No part of a window, or one within it."""
    early = draw(st.integers(window.early_s, window.late_s))
    return draw(st.sampled_from([None, Window(early, draw(st.integers(early, window.late_s)))]))


@st.composite
def calls(draw: st.DrawFn, number: int) -> Call:
    """Any call: 1 to 12 buildings near or far, all skills, known and unknown areas, short and endless work."""
    building = draw(st.integers(1, 12))
    skills = draw(st.sets(st.sampled_from(["household", "commercial", "leak"]), max_size=2))
    work_s = draw(st.sampled_from([300, 480, 1500, 9000, 40_000]))
    window = draw(windows())
    mandatory = draw(st.integers(0, 4)) == 0
    promised = window is not None and not mandatory and draw(st.booleans())
    chance = 1.0 if mandatory or promised else draw(st.sampled_from([1.0, 0.7, 0.3]))
    expected_s = expected_service_s(work_s, chance, Overbooking())
    severity = draw(st.sampled_from(["critical", "major"])) if mandatory else None
    return call(
        number,
        building,
        duties=(duty(number, mandatory=mandatory, alert_severity=severity),),
        area=draw(st.sampled_from(["D01", "D01", "D02", "D09"])),
        skills=frozenset(skills),
        priority=draw(st.integers(0, 60)),
        mandatory=mandatory,
        service_s=expected_s,
        full_service_s=work_s if chance < 1 else None,
        chance=chance,
        window=window,
        promised=promised,
        best=None if window is None or mandatory or promised else draw(best_parts(window)),
    )


@st.composite
def inspectors(draw: st.DrawFn, number: int) -> Inspector:
    """Any inspector the table allows: early, late and short shifts, any break, no break, any skills."""
    start = draw(st.integers(5, 14)) * HOUR
    after = draw(st.integers(9, 15)) * HOUR
    inside = draw(st.sampled_from([None, None, 1, 5]))
    return inspector(
        number,
        areas=draw(st.sampled_from([frozenset({"D01"}), frozenset({"D02"}), frozenset({"D01", "D02"})])),
        skills=frozenset(draw(st.sets(st.sampled_from(["household", "commercial", "leak"]), max_size=3))),
        start=door(0, inside).point if inside else Point(CENTRE.latitude + draw(st.integers(-3, 3)) * 0.01, 117.2),
        end=draw(st.sampled_from([None, Point(CENTRE.latitude, CENTRE.longitude + 0.02)])),
        station=draw(st.sampled_from(["", "north"])),
        inside_building_id=inside,
        shift_start_s=start,
        shift_end_s=start + draw(st.integers(1, 9)) * HOUR,
        break_s=draw(st.sampled_from([0, 1800, 3600])),
        break_after_s=after,
        break_before_s=after + draw(st.integers(0, 3)) * 1800,
    )


@st.composite
def days(draw: st.DrawFn) -> Day:
    """Any small day."""
    made_calls = [draw(calls(number)) for number in range(1, draw(st.integers(0, 14)) + 1)]
    made = [draw(inspectors(number)) for number in range(1, draw(st.integers(0, 4)) + 1)]
    return day(made_calls, made)
