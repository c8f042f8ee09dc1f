"""Open hazards of the gravest grade as alerts: one for each door, on the clock of a leak. Pure.

`found -> made safe (supply cut, or put right) -> verified (every hazard closed)`. Inspections write the hazards; what
they write moves the alert, and its timeline says by which hazard.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from rules.model import Alert, Cleared, Finding, Json, Reason, Rule, Transition

GAS_ESCAPES = "leak"
"""Code of the hazard that is gas escaping (inspections/hazards.toml)."""


@dataclass(frozen=True, slots=True)
class DoorHazard:
    """A hazard as the alert of its door needs it.

    `cut_at`: the supply is off since, and was not given back; `seen_at`: when a visit last saw it.
    """

    hazard_id: int
    premises_id: int
    premises: str
    area: str
    user_class: str
    inspector: str
    code: str
    grade: int
    found_at: datetime
    due_on: date
    cut_at: datetime | None = None
    rectified_at: datetime | None = None
    closed_at: datetime | None = None
    closed_outcome_id: int | None = None
    seen_at: datetime | None = None

    @property
    def is_safe(self) -> bool:
        """Whether nothing can happen by it: put right, or without gas."""
        return self.rectified_at is not None or self.cut_at is not None

    @property
    def words(self) -> str:
        """Its code as words."""
        return self.code.replace("_", " ")

    def row(self) -> list[object]:
        """The sample as evidence keeps it."""
        return [self.found_at.isoformat(), f"hazard {self.hazard_id}", self.code, self.grade, self.due_on.isoformat()]


def subject_of(premises_id: int) -> str:
    """The subject of a door's alert."""
    return f"premises:{premises_id}"


def hazard_open(rule: Rule, doors: Iterable[Sequence[DoorHazard]], now: datetime) -> list[Finding]:
    """One finding for each door with hazards that are open; each door comes with all of its open hazards."""
    found = []
    for door in doors:
        hazards = [one for one in door if one.closed_at is None and one.grade <= rule["grade_max"]]
        if hazards and rule.covers("premises", None, hazards[0].user_class, hazards[0].area):
            found.append(_finding(rule, hazards, now))
    return found


def _finding(rule: Rule, hazards: Sequence[DoorHazard], now: datetime) -> Finding:
    first = min(hazards, key=lambda one: (one.found_at, one.hazard_id))
    escapes = any(one.code == GAS_ESCAPES and not one.is_safe for one in hazards)
    due_on = min(one.due_on for one in hazards)
    safe = all(one.is_safe for one in hazards)
    grades = " and ".join(sorted({str(one.grade) for one in hazards}))
    many = "a hazard" if len(hazards) == 1 else f"{len(hazards)} hazards"
    words = ", ".join(dict.fromkeys(one.words for one in hazards))
    sentence = (
        f"{first.premises}: {many} of grade {grades}: {words}; found by {first.inspector} on "
        f"{first.found_at:%Y-%m-%d %H:%M} UTC, to be put right by {due_on.isoformat()}; "
        f"{'made safe' if safe else 'the gas supply is not cut'}"
    )
    evidence: Json = {
        "premises": first.premises,
        "hazards": len(hazards),
        "due_on": due_on.isoformat(),
        "safe": safe,
        "columns": ["found_at", "hazard", "code", "grade", "due_on"],
        "samples": [one.row() for one in sorted(hazards, key=lambda one: one.hazard_id)],
    }
    severity = rule.severity_high if escapes else rule.severity
    subject = subject_of(first.premises_id)
    return Finding(rule.rule_id, subject, first.found_at, now, severity, sentence, evidence, ongoing=not safe)


def made_safe(alert: Alert, hazards: Iterable[DoorHazard], now: datetime) -> Cleared | None:
    """The end of what fires, once no open hazard of the door is unsafe; None while one is, or when nothing fires."""
    standing = [one for one in hazards if one.closed_at is None]
    if not alert.firing or any(not one.is_safe for one in standing):
        return None
    return Cleared(alert.rule_id, alert.subject, now, evidence={"hazards": [_state(one) for one in hazards]})


def unsafe_again(alert: Alert, hazards: Iterable[DoorHazard]) -> bool:
    """Whether a visit has seen a hazard of the door, unsafe, after the alert was made safe."""
    since = alert.made_safe_at
    if alert.state != "made_safe" or since is None:
        return False
    return any(
        one.closed_at is None and not one.is_safe and one.seen_at is not None and one.seen_at > since for one in hazards
    )


def followed(
    alert: Alert, hazards: Sequence[DoorHazard], written_until: datetime | None, now: datetime
) -> list[Transition]:
    """What the hazards of its door do to an open alert, in order: nothing when they have done it.

    `hazards`: those it was raised for and those open now. `written_until`: the end of the last deadline that was given
    in writing for those open; verification is not due before it.
    """
    standing = [one for one in hazards if one.closed_at is None]
    if not hazards:
        return []
    if not standing:
        return [_closed(alert, hazards, now)]
    steps = []
    if alert.on_site_at is None:
        steps.append(_was_there(alert, standing))
        alert = steps[-1].alert or alert
    if alert.state != "made_safe" and all(one.is_safe for one in standing):
        steps.append(_safe(alert, standing, now))
        alert = steps[-1].alert or alert
    if alert.verify_by != written_until:
        steps.append(Transition(alert.changed(verify_by=written_until), Reason.NOTHING_NEW))
    return steps


def _was_there(alert: Alert, hazards: Sequence[DoorHazard]) -> Transition:
    """Whoever found it stood at the door, before anybody at the desk knew: attendance is not what is missing."""
    last = max(hazards, key=lambda one: (one.found_at, one.hazard_id))
    at = max(last.found_at, alert.clock_at or alert.raised_at)
    note = f"{last.inspector} was at the door when it was found, {last.found_at:%Y-%m-%d %H:%M} UTC"
    evidence: Json = {"hazards": [_state(one) for one in hazards]}
    return _by_inspections(alert, alert.changed(on_site_at=at), Reason.FOUND_AT_THE_DOOR, "inspected", note, evidence)


def _safe(alert: Alert, hazards: Sequence[DoorHazard], now: datetime) -> Transition:
    mended = all(one.rectified_at is not None for one in hazards)
    reason = Reason.RECTIFIED if mended else Reason.SUPPLY_CUT
    note = "every hazard is put right; the re-check is to come" if mended else "the gas supply is cut"
    evidence: Json = {"hazards": [_state(one) for one in hazards]}
    return _by_inspections(
        alert, alert.changed(state="made_safe", made_safe_at=now), reason, "made_safe", note, evidence
    )


def _closed(alert: Alert, hazards: Sequence[DoorHazard], now: datetime) -> Transition:
    evidence: Json = {"hazards": [_state(one) for one in hazards]}
    note = "every hazard of the door is closed"
    after = alert.changed(state="verified", closed_at=now)
    return _by_inspections(alert, after, Reason.HAZARDS_CLOSED, "verified", note, evidence)


def _state(hazard: DoorHazard) -> Mapping[str, object]:
    """What is known of a hazard, as evidence; what did not happen is left out."""
    moments = {
        "cut_at": hazard.cut_at,
        "rectified_at": hazard.rectified_at,
        "closed_at": hazard.closed_at,
    }
    known = {name: at.isoformat() for name, at in moments.items() if at is not None}
    outcome = {} if hazard.closed_outcome_id is None else {"outcome_id": hazard.closed_outcome_id}
    return {"hazard_id": hazard.hazard_id, "code": hazard.code, **known, **outcome}


def _by_inspections(before: Alert, after: Alert, reason: Reason, step: str, note: str, evidence: Json) -> Transition:
    return Transition(after, reason, step, before.state, "inspections", note, evidence)
