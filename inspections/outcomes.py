"""What a visit's outcome means: duties done or tried again, hazards found or closed, re-checks, the next cycle.

*Visited* and *entered* are different facts: no_access and refused did not get in and satisfy nothing. A re-check that
passed satisfies re-checks only: whoever inspected everything reports passed. A partial visit got in but did not see
all: what it found counts, and every duty but the appointment stays open for the rest.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from inspections.cycle import Cycles, DoorFacts, next_attempt, next_due
from inspections.hazards import HazardCatalogue, HazardKind
from inspections.model import Duty, Result

_ENTERED = frozenset({"passed", "hazard_found", "recheck_passed", "partial"})
_MAY_FIND = frozenset({"hazard_found", "partial"})


class InvalidOutcome(Exception):
    """The report contradicts itself or the catalogue; names the field and the rule."""

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(f"{field}: {rule}")
        self.field = field
        self.rule = rule


@dataclass(frozen=True, slots=True)
class Finding:
    """A hazard as reported: a code of the catalogue and the inspector's note."""

    code: str
    note: str | None = None


@dataclass(frozen=True, slots=True)
class KnownHazard:
    """An open hazard of the door; `later`: first seen after the visit that is being reported."""

    hazard_id: int
    code: str
    grade: int
    later: bool = False


@dataclass(frozen=True, slots=True)
class NewHazard:
    """A hazard to be recorded, and its re-check when the grade asks for one."""

    code: str
    grade: int
    due_on: date
    note: str | None
    recheck: bool
    recheck_from: date
    recheck_mandatory: bool
    recheck_reason: str


@dataclass(frozen=True, slots=True)
class Retry:
    """A duty that stays open: the first day it may be tried again, whether the visit counts as an attempt."""

    duty_id: int
    not_before: date
    due_on: date
    attempt: bool


@dataclass(frozen=True, slots=True)
class Decision:
    """Everything that follows from an outcome; the store writes it in one transaction."""

    entered: bool
    done: tuple[int, ...]
    retries: tuple[Retry, ...]
    hazards: tuple[NewHazard, ...]
    closed_hazards: tuple[int, ...]
    next_periodic: tuple[date, str] | None
    seen_again: tuple[int, ...] = ()


def check_report(result: Result, findings: Sequence[Finding], catalogue: HazardCatalogue) -> None:
    """Refuse a report that contradicts itself; raises InvalidOutcome naming the field."""
    if result == "hazard_found" and not findings:
        raise InvalidOutcome("hazards", "hazard_found needs at least one hazard")
    if result not in _MAY_FIND and findings:
        raise InvalidOutcome("hazards", f"a visit that ended {result} lists no hazards")
    for finding in findings:
        if finding.code not in catalogue.kinds:
            raise InvalidOutcome("hazards.code", f"{finding.code} is not in the catalogue")
    if len({finding.code for finding in findings}) < len(findings):
        raise InvalidOutcome("hazards.code", "a hazard is listed twice")


def decide(
    result: Result,
    findings: Sequence[Finding],
    duties: Sequence[Duty],
    known: Sequence[KnownHazard],
    facts: DoorFacts,
    visited_on: date,
    cycles: Cycles,
    catalogue: HazardCatalogue,
    *,
    planned_periodic: bool = False,
) -> Decision:
    """Decide what follows. `duties` are the visit's duties still open, `known` the door's open hazards.

    `planned_periodic`: the visit was planned as a full inspection, even if another visit has done that duty since.
    """
    if result not in _ENTERED:
        return _not_entered(duties, visited_on, cycles)
    if result == "recheck_passed" and not any(duty.kind == "recheck" for duty in duties):
        raise InvalidOutcome("result", "this visit has no open re-check that could pass")
    found = {finding.code for finding in findings}
    closed = _closed(result, duties, known, found)
    codes_known = {hazard.code for hazard in known if hazard.hazard_id not in closed}
    staying = {duty.duty_id for duty in duties if _stays(result, duty, closed)}
    full = result in {"passed", "hazard_found"}
    inspected = full and (planned_periodic or any(duty.kind == "periodic" for duty in duties))
    return Decision(
        entered=True,
        done=tuple(duty.duty_id for duty in duties if duty.duty_id not in staying),
        retries=tuple(_again(duty, visited_on, catalogue, found, cycles) for duty in duties if duty.duty_id in staying),
        hazards=tuple(_new(f, catalogue, visited_on) for f in findings if f.code not in codes_known),
        closed_hazards=closed,
        next_periodic=next_due(cycles.of(facts, visited_on), visited_on, visited_on) if inspected else None,
        seen_again=tuple(hazard.hazard_id for hazard in known if hazard.code in found),
    )


def _stays(result: Result, duty: Duty, closed: tuple[int, ...]) -> bool:
    """Whether a duty stays open although somebody got in."""
    if duty.kind == "recheck":
        return duty.hazard_id not in closed
    if duty.kind == "appointment":
        return False
    return result in {"recheck_passed", "partial"}


def _not_entered(duties: Sequence[Duty], visited_on: date, cycles: Cycles) -> Decision:
    """Nobody got in: every duty stays, the attempt counts, and another day is wanted."""
    retries = tuple(
        Retry(duty.duty_id, next_attempt(cycles.no_access, duty, visited_on), duty.due_on, attempt=True)
        for duty in duties
    )
    return Decision(False, (), retries, (), (), None)


def _closed(result: Result, duties: Sequence[Duty], known: Sequence[KnownHazard], found: set[str]) -> tuple[int, ...]:
    """Hazards proved gone: those of this visit's re-checks that were not found again, and on a pass the minor ones.

    A minor hazard (grade 3) has no re-check of its own: the next visit looks again.
    """
    if result == "partial":
        return ()  # what was not found may not have been seen
    rechecked = {duty.hazard_id for duty in duties if duty.kind == "recheck"}
    gone = [hazard for hazard in known if hazard.hazard_id in rechecked and hazard.code not in found]
    minor = [one for one in known if result == "passed" and one.grade == 3 and not one.later and one not in gone]
    return tuple(sorted(hazard.hazard_id for hazard in [*gone, *minor]))


def _again(duty: Duty, visited_on: date, catalogue: HazardCatalogue, found: set[str], cycles: Cycles) -> Retry:
    """A duty that somebody got in for and that stays: no attempt is counted.

    A re-check that found the hazard still there has a new deadline, the same hazard and duty; everything else keeps its
    due day and is tried again as after a visit that did not get in.
    """
    if duty.kind != "recheck" or duty.hazard_code not in found:
        rules = cycles.no_access
        wait_days = rules.mandatory_retry_days if duty.mandatory else rules.retry_days
        return Retry(duty.duty_id, visited_on + timedelta(days=wait_days), duty.due_on, attempt=False)
    kind = catalogue.kinds.get(duty.hazard_code or "")
    due = visited_on + timedelta(days=kind.deadline_days if kind else 1)
    return Retry(duty.duty_id, visited_on + timedelta(days=1), due, attempt=False)


def _new(finding: Finding, catalogue: HazardCatalogue, visited_on: date) -> NewHazard:
    kind: HazardKind = catalogue.kinds[finding.code]
    grade = catalogue.grade_of(kind)
    due = visited_on + timedelta(days=kind.deadline_days)
    reason = f"re-check of a grade-{kind.grade} hazard found on {visited_on.isoformat()}: {kind.title}"
    again_from = max(due, visited_on + timedelta(days=1))  # a re-check is made at the deadline
    return NewHazard(kind.code, kind.grade, due, finding.note, grade.recheck, again_from, grade.mandatory, reason)
