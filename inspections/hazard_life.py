"""A hazard's life after it was found: written notice, supply cut, rectification, closure; and what is overdue. Pure.

`found -> notified -> (cut wanted -> cut) -> rectified -> re-checked -> closed`. The written notice decides whether a
national item is the operator's major hazard (MOHURD 2023 No. 4, Article 9). Grades 1 and 2 are closed by their re-check
alone; a grade-3 hazard, which has none, also by an officer once it is rectified.
"""

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Literal, get_args

from inspections.hazards import Grade

HazardStep = Literal["notify", "want_cut", "cut", "restore", "rectify", "close", "note"]
Delivery = Literal["signed", "refused_to_sign", "posted"]
Overdue = Literal["notice", "tracking", "rectification", "recheck"]
OVERDUE: tuple[Overdue, ...] = get_args(Overdue)
_AHEAD_MAX = timedelta(minutes=10)


class WrongHazardStep(Exception):
    """The step does not fit the hazard's state or lacks what it needs; names the field and the rule."""

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(f"{field}: {rule}")
        self.field = field
        self.rule = rule


@dataclass(frozen=True, slots=True)
class HazardLife:
    """A hazard as its life sees it."""

    hazard_id: int
    grade: int
    state: str
    found_at: datetime
    due_on: date
    notified_at: datetime | None = None
    notified_to: str | None = None
    notified_how: str | None = None
    cut_wanted_at: datetime | None = None
    cut_at: datetime | None = None
    cut_command_id: int | None = None
    restored_at: datetime | None = None
    rectified_at: datetime | None = None
    rectified_by: str | None = None
    closed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class AskedHazardStep:
    """What somebody asks: `to` and `how` of a notice, `by` of a rectification, `command_id` of a cut by valve."""

    step: HazardStep
    at: datetime
    note: str | None = None
    to: str | None = None
    how: Delivery | None = None
    by: str | None = None
    command_id: int | None = None


def take_hazard_step(hazard: HazardLife, asked: AskedHazardStep, now: datetime) -> HazardLife:
    """The hazard after a step; the first notice and rectification stay. Raises WrongHazardStep.

    A rectification holds until the supply is cut again, or a visit sees the hazard again.
    """
    if asked.at < hazard.found_at:
        raise WrongHazardStep("at", f"lies before the hazard was found, {hazard.found_at.isoformat()}")
    if asked.at > now + _AHEAD_MAX:
        raise WrongHazardStep("at", "lies more than ten minutes ahead of our clock")
    if asked.step == "note":
        _needs(asked.note, "note", "note needs words")
        return hazard
    if hazard.state == "closed":
        raise WrongHazardStep("step", "the hazard is closed")
    match asked.step:
        case "notify":
            return _notified(hazard, asked)
        case "want_cut":
            _needs(asked.note, "note", "want_cut says why the supply must be cut")
            return replace(hazard, cut_wanted_at=hazard.cut_wanted_at or asked.at)
        case "cut":
            if asked.command_id is None:
                _needs(asked.note, "note", "a cut without a valve command says who closed what by hand")
            return _cut(hazard, asked)
        case "restore":
            return _restored(hazard, asked)
        case "rectify":
            _needs(asked.by, "by", "rectify says who put it right")
            _needs(asked.note, "note", "rectify says what was done, and the evidence")
            return replace(hazard, rectified_at=hazard.rectified_at or asked.at, rectified_by=asked.by)
        case "close":
            return _closed(hazard, asked)


def _cut(hazard: HazardLife, asked: AskedHazardStep) -> HazardLife:
    """A cut after it was put right says that it was not: gas comes back after the next rectification only."""
    if hazard.cut_at is not None and asked.at < hazard.cut_at:
        return hazard  # told late: the newest cut counts
    cut = replace(hazard, cut_at=asked.at, cut_command_id=asked.command_id, restored_at=None)
    if hazard.rectified_at is None or asked.at < hazard.rectified_at:
        return cut
    return replace(cut, rectified_at=None, rectified_by=None)


def _notified(hazard: HazardLife, asked: AskedHazardStep) -> HazardLife:
    _needs(asked.to, "to", "a written notice says who received it")
    _needs(asked.how, "how", "a written notice was signed, refused_to_sign or posted")
    return replace(
        hazard,
        notified_at=hazard.notified_at or asked.at,
        notified_to=hazard.notified_to or asked.to,
        notified_how=hazard.notified_how or asked.how,
    )


def _restored(hazard: HazardLife, asked: AskedHazardStep) -> HazardLife:
    if hazard.cut_at is None:
        raise WrongHazardStep("step", "the supply was not cut")
    if hazard.rectified_at is None:
        raise WrongHazardStep("step", "gas is not given back before the hazard is rectified")
    return replace(hazard, restored_at=asked.at)


def _closed(hazard: HazardLife, asked: AskedHazardStep) -> HazardLife:
    if hazard.grade < 3:
        raise WrongHazardStep("step", f"a grade-{hazard.grade} hazard is closed by a re-check that passes")
    if hazard.rectified_at is None:
        raise WrongHazardStep("step", "it is not rectified yet")
    _needs(asked.note, "note", "close names the evidence")
    return replace(hazard, state="closed", closed_at=asked.at)


def _needs(value: str | None, field: str, rule: str) -> None:
    if not (value or "").strip():
        raise WrongHazardStep(field, rule)


def overdue_steps(
    hazard: HazardLife, grade: Grade, last_step_at: datetime | None, today: date, now: datetime
) -> tuple[Overdue, ...]:
    """What should have been done by now and was not, in the order of a hazard's life."""
    if hazard.state == "closed":
        return ()
    since = max(hazard.found_at, last_step_at or hazard.found_at)
    late: dict[Overdue, bool] = {
        "notice": hazard.notified_at is None and _passed(grade.notify_within_h, hazard.found_at, now),
        "tracking": _passed(grade.track_every_h, since, now),
        "rectification": hazard.rectified_at is None and today > hazard.due_on,
        "recheck": hazard.rectified_at is not None and grade.recheck and today > hazard.due_on,
    }
    return tuple(name for name in OVERDUE if late[name])


def _passed(hours: float | None, since: datetime, now: datetime) -> bool:
    return hours is not None and now > since + timedelta(hours=hours)
