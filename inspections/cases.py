"""Supervised cases: one case, one plan, and who hears of it when it does not move. Pure."""

import tomllib
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from inspections.last_good import LastGood

_PACKAGED = Path(__file__).with_name("cases.toml")

CaseState = Literal["open", "planned", "closed"]
CaseStep = Literal["assign", "plan", "supervise", "release", "close", "note"]
LEVELS = ("", "the station", "the company's safety department", "the authority")
"""Who hears of a case at each level of escalation."""


class InvalidCases(Exception):
    """The cases file contradicts itself; the message names the rule."""


class WrongCaseStep(Exception):
    """A step does not fit the case; names the field and the rule."""

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(f"{field}: {rule}")
        self.field = field
        self.rule = rule


class CaseKind(BaseModel):
    """Days from the opening: until a plan stands, until it is closed, until each level hears of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str = Field(pattern=r"^[a-z_]{1,32}$")
    title: str = Field(min_length=1)
    plan_days: int = Field(ge=0, le=365)
    close_days: int = Field(ge=1, le=3650)
    escalate_days: tuple[int, int, int]
    source: str = Field(min_length=1)


class CaseCatalogue(BaseModel):
    """The whole file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: tuple[CaseKind, ...]

    def of(self, code: str) -> CaseKind:
        """A kind by code; raises WrongCaseStep naming the field."""
        found = next((one for one in self.kind if one.code == code), None)
        if found is None:
            raise WrongCaseStep(
                "kind", f"{code} is not in the catalogue; there are {', '.join(k.code for k in self.kind)}"
            )
        return found


@lru_cache(maxsize=4)
def parse_cases(text: str) -> CaseCatalogue:
    """Read a cases file; raises InvalidCases, or pydantic's ValidationError naming the key."""
    catalogue = CaseCatalogue.model_validate(tomllib.loads(text))
    codes = [one.code for one in catalogue.kind]
    if twice := next((code for code in codes if codes.count(code) > 1), None):
        raise InvalidCases(f"kind {twice} is there twice")
    if missing := sorted({"no_access", "refused", "hazard_overdue"} - set(codes)):
        raise InvalidCases(f"the kinds that open by themselves must be there; missing: {', '.join(missing)}")
    if unsorted := next(
        (one.code for one in catalogue.kind if list(one.escalate_days) != sorted(one.escalate_days)), None
    ):
        raise InvalidCases(f"kind {unsorted}: escalate_days must not fall")
    return catalogue


_FILES = LastGood[CaseCatalogue]("cases", _PACKAGED, (InvalidCases,))


def load_cases(path: Path | None = None) -> CaseCatalogue:
    """The kinds of a file, or the packaged ones."""
    return _FILES.read(path, parse_cases)


@dataclass(frozen=True, slots=True)
class Case:
    """A case as far as its life goes."""

    case_id: int
    kind: str
    state: CaseState
    opened_at: datetime
    plan_by: datetime
    close_by: datetime
    owner: str | None = None
    plan: str | None = None
    planned_at: datetime | None = None
    supervised: bool = False
    level: int = 0
    result: str | None = None
    closed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class AskedCaseStep:
    """A step that a person takes on a case."""

    step: CaseStep
    actor: str
    note: str | None = None
    owner: str | None = None


@dataclass(frozen=True, slots=True)
class Escalation:
    """A level that must hear of a case now, and why."""

    level: int
    reason: str


def deadlines(kind: CaseKind, opened_at: datetime) -> tuple[datetime, datetime]:
    """By when a plan must stand and the case be closed."""
    return opened_at + timedelta(days=kind.plan_days), opened_at + timedelta(days=kind.close_days)


def take_case_step(case: Case, asked: AskedCaseStep, now: datetime) -> Case:
    """The case after a step; raises WrongCaseStep.

    A plan may be replaced by a better one; without a plan a case is not closed, and never without saying how it ended.
    A supervised case is closed only after it was released.
    """
    if case.state == "closed" and asked.step != "note":
        raise WrongCaseStep("step", "the case is closed; only a note may be added")
    match asked.step:
        case "assign":
            if not (asked.owner or "").strip():
                raise WrongCaseStep("owner", "assign needs the name of the one who takes care of it")
            return replace(case, owner=asked.owner)
        case "plan":
            _needs_note(asked, "what will be done, by whom, until when")
            first = case.planned_at or now
            return replace(case, state="planned", plan=asked.note, planned_at=first, owner=case.owner or asked.actor)
        case "supervise" | "release":
            _needs_note(asked, "why")
            return replace(case, supervised=asked.step == "supervise")
        case "close":
            return _closed(case, asked, now)
        case "note":
            _needs_note(asked, "what there is to say")
            return case


def _needs_note(asked: AskedCaseStep, what: str) -> None:
    if not (asked.note or "").strip():
        raise WrongCaseStep("note", f"{asked.step} needs a note: {what}")


def _closed(case: Case, asked: AskedCaseStep, now: datetime) -> Case:
    if case.plan is None:
        raise WrongCaseStep("step", "one case, one plan: it has no plan yet")
    if case.supervised:
        raise WrongCaseStep("step", "the case is supervised: release it first, and say why")
    _needs_note(asked, "how it ended")
    return replace(case, state="closed", result=asked.note, closed_at=now)


def escalation_due(case: Case, kind: CaseKind, now: datetime) -> Escalation | None:
    """The highest level that should have heard of an open case by now and has not; None when nobody more must."""
    if case.state == "closed":
        return None
    days = (now - case.opened_at) / timedelta(days=1)
    due = sum(days >= after for after in kind.escalate_days)
    if due <= case.level:
        return None
    stands = "a plan stands" if case.plan else "without a plan"
    return Escalation(due, f"open for {int(days)} days, {stands}: {LEVELS[due]} must hear of it")
