"""How much a door weighs among others, every point explained in words.

The points order doors against each other; they are a choice of this product, not a published scale. *Which* doors come
first follows named practice: older estates, vacant and rented homes, elderly people living alone, restaurants, and
homes not entered last round.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from inspections.cycle import add_months
from inspections.model import Door, Duty

_ALERT_POINTS = {"critical": 100, "major": 40, "minor": 15, "info": 5}
_RECHECK_POINTS = {1: 60, 2: 25, 3: 10}
_KIND_POINTS = {"periodic": 10, "appointment": 40, "request": 15}
_OVERDUE_POINTS_MAX = 30
_EARLY_POINTS_MAX = 6
_ATTEMPT_POINTS, _ATTEMPT_POINTS_MAX = 3, 9
_OLD_BUILDING_YEARS = 25  # no source gives a number for "older estate"
_HOSE_LIFE_MONTHS = 18  # rubber hose; no source found, a common manufacturer's figure: conservative


@dataclass(frozen=True, slots=True)
class Weight:
    """The priority of a door: points, whether it must be on the next roster, and a sentence for each point given."""

    points: int
    mandatory: bool
    reasons: tuple[str, ...]


def weigh(door: Door, duties: Sequence[Duty], day: date) -> Weight:
    """Weigh the visit that would satisfy all `duties` of a door on `day`; never less than one point."""
    given = [part for duty in duties for part in _duty_points(duty, day)]
    given += list(_risk_points(door, day))
    mandatory = any(duty.mandatory for duty in duties)
    reasons = [f"{sentence} ({points:+d})" for points, sentence in given]
    if mandatory:
        reasons.insert(0, "mandatory: planned before anything is weighed")
    return Weight(max(1, sum(points for points, _ in given)), mandatory, tuple(reasons))


def _duty_points(duty: Duty, day: date) -> Iterator[tuple[int, str]]:
    yield _base(duty), f"{duty.reason}, due on {duty.due_on.isoformat()}"
    days = (day - duty.due_on).days
    if days > 0:
        yield min(_OVERDUE_POINTS_MAX, -(-days // 7)), f"{days} day{'s' if days > 1 else ''} overdue"
    elif days <= -7:
        yield -min(_EARLY_POINTS_MAX, -days // 7), f"due only in {-days} days"
    if duty.attempts:
        points = min(_ATTEMPT_POINTS_MAX, _ATTEMPT_POINTS * duty.attempts)
        yield points, f"not entered at {duty.attempts} earlier visit{'s' if duty.attempts > 1 else ''}"


def _base(duty: Duty) -> int:
    if duty.kind == "alert":
        return _ALERT_POINTS.get(duty.alert_severity or "", _ALERT_POINTS["minor"])
    if duty.kind == "recheck":
        return _RECHECK_POINTS.get(duty.hazard_grade or 0, _RECHECK_POINTS[2])
    return _KIND_POINTS[duty.kind]


def _risk_points(door: Door, day: date) -> Iterator[tuple[int, str]]:
    if door.built_year is not None and day.year - door.built_year >= _OLD_BUILDING_YEARS:
        yield 3, f"building of {door.built_year}"
    if door.tenure in {"rented", "vacant"}:
        yield 2, f"{door.tenure} home"
    if door.elderly:
        yield 4, "an elderly person lives alone here"
    if door.special_care:
        yield 3, "a person in need of special care lives here"
    if door.user_class == "commercial":
        yield 3, "restaurant or other business"
    if door.hose_installed_on is not None and add_months(door.hose_installed_on, _HOSE_LIFE_MONTHS) <= day:
        yield 4, f"hose of {door.hose_installed_on.isoformat()} is past {_HOSE_LIFE_MONTHS} months"
    if door.last_entered_on is None:
        yield 2, "no earlier inspection is known"
