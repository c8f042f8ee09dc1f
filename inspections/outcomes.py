"""What a visit's outcome means: duties done or tried again, hazards found or closed, re-checks, the next cycle.

*Visited* and *entered* are different facts: no_access and refused did not get in and satisfy nothing. A re-check that
passed satisfies re-checks only: whoever inspected everything reports passed. A partial visit got in but did not see
all: what it found counts, and every duty but the appointment stays open for the rest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from inspections.cycle import Cycles, DoorFacts, next_attempt, next_due
from inspections.hazard_episodes import FoundHazard
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
class Recheck:
    """When a hazard is looked at again, and why."""

    due_on: date
    not_before: date
    mandatory: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Retry:
    """A duty that stays open: the first day it may be tried again, whether the visit counts as an attempt."""

    duty_id: int
    not_before: date
    due_on: date
    attempt: bool


@dataclass(frozen=True, slots=True)
class Decision:
    """Everything that follows from an outcome; the store writes it in one transaction.

    `found`: every hazard that the visit saw, known or new; `rechecked`: hazards that its re-checks proved gone.
    """

    entered: bool
    done: tuple[int, ...]
    retries: tuple[Retry, ...]
    found: tuple[FoundHazard, ...]
    rechecked: tuple[int, ...]
    next_periodic: tuple[date, str] | None


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
    facts: DoorFacts,
    visited_on: date,
    cycles: Cycles,
    catalogue: HazardCatalogue,
    *,
    planned_periodic: bool = False,
    planned_rechecks: Mapping[int, str] | None = None,
) -> Decision:
    """Decide what follows. `duties` are the visit's duties still open.

    `planned_periodic`: the visit was planned as a full inspection, even if another visit has done that duty since;
    `planned_rechecks`: likewise the hazards that it was to re-check, with their codes.
    """
    if result not in _ENTERED:
        return _not_entered(duties, visited_on, cycles)
    rechecks = dict(planned_rechecks or {}) | {
        duty.hazard_id: duty.hazard_code or "" for duty in duties if duty.kind == "recheck" and duty.hazard_id
    }
    if result == "recheck_passed" and not rechecks:
        raise InvalidOutcome("result", "this visit has no re-check that could pass")
    found = {finding.code for finding in findings}
    closed = _proved_gone(result, rechecks, found)
    staying = {duty.duty_id for duty in duties if _stays(result, duty, closed)}
    full = result in {"passed", "hazard_found"}
    inspected = full and (planned_periodic or any(duty.kind == "periodic" for duty in duties))
    return Decision(
        entered=True,
        done=tuple(duty.duty_id for duty in duties if duty.duty_id not in staying),
        retries=tuple(_again(duty, visited_on, catalogue, found, cycles) for duty in duties if duty.duty_id in staying),
        found=tuple(_found(finding, catalogue, visited_on) for finding in findings),
        rechecked=closed,
        next_periodic=next_due(cycles.of(facts, visited_on), visited_on, visited_on) if inspected else None,
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


def _proved_gone(result: Result, rechecks: Mapping[int, str], found: set[str]) -> tuple[int, ...]:
    """Hazards of this visit's re-checks that were not found again; a partial visit proves nothing gone."""
    if result == "partial":
        return ()  # what was not found may not have been seen
    return tuple(sorted(hazard_id for hazard_id, code in rechecks.items() if code not in found))


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


def _found(finding: Finding, catalogue: HazardCatalogue, visited_on: date) -> FoundHazard:
    kind: HazardKind = catalogue.kinds[finding.code]
    return FoundHazard(kind.code, kind.grade, visited_on + timedelta(days=kind.deadline_days), finding.note)


def recheck_of(found: FoundHazard, catalogue: HazardCatalogue, found_on: date) -> Recheck | None:
    """The re-check that a hazard's grade asks for, or None: at its deadline, not on the day it was found."""
    grade = catalogue.grades[found.grade]
    if not grade.recheck:
        return None
    kind = catalogue.kinds.get(found.code)
    title = kind.title if kind else found.code  # a catalogue may have dropped it since
    reason = f"re-check of a grade-{found.grade} hazard found on {found_on.isoformat()}: {title}"
    return Recheck(found.due_on, max(found.due_on, found_on + timedelta(days=1)), grade.mandatory, reason)
