"""Checklists per user class: what is asked at the door, and which answer means which hazard. Pure."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from inspections.hazards import HazardCatalogue
from inspections.last_good import LastGood
from inspections.model import Result, UserClass
from inspections.outcomes import Finding, InvalidOutcome

_PACKAGED = Path(__file__).with_name("checklists.toml")
_WORDS = ("not_seen", "not_applicable")

Answer = bool | float | Literal["not_seen", "not_applicable"]


class Item(BaseModel):
    """One question, in English and Chinese; `hazard_if`, `above` and `below` say which answer means `hazard`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str = Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")
    classes: tuple[UserClass, ...] = Field(min_length=1)
    en: str = Field(min_length=1)
    zh: str = Field(min_length=1)
    kind: Literal["yes_no", "number"]
    unit: str | None = None
    hazard: str | None = None
    hazard_if: Literal["yes", "no"] | None = None
    above: float | None = None
    below: float | None = None
    mandatory: bool = True
    source: str = Field(min_length=1)

    @model_validator(mode="after")
    def _whole(self) -> "Item":
        limits = self.above is not None or self.below is not None
        if (self.kind == "number") != (self.unit is not None):
            raise ValueError(f"{self.code}: a number has a unit, a yes_no has none")
        if (self.kind == "number" and self.hazard_if) or (self.kind == "yes_no" and limits):
            raise ValueError(f"{self.code}: hazard_if is for yes_no, above and below are for number")
        if (self.hazard is not None) != (limits or self.hazard_if is not None):
            raise ValueError(f"{self.code}: a hazard and the answer that means it go together")
        return self

    def means_hazard(self, answer: Answer) -> bool:
        """Whether an answer of the right kind means the item's hazard."""
        if self.hazard is None or isinstance(answer, str):
            return False
        if self.kind == "yes_no":
            return answer is (self.hazard_if == "yes")
        return (self.above is not None and answer > self.above) or (self.below is not None and answer < self.below)

    def fits(self, answer: Answer) -> bool:
        """Whether an answer is of the item's kind; `not_seen` and `not_applicable` fit every item."""
        return isinstance(answer, str) or isinstance(answer, bool) == (self.kind == "yes_no")


class Checklists(BaseModel):
    """The whole file: every item, and the version that outcomes keep."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str = Field(min_length=1, max_length=32)
    item: tuple[Item, ...] = Field(min_length=1)

    def of(self, user_class: UserClass) -> dict[str, Item]:
        """The items asked in a user class, by code, in order."""
        return {item.code: item for item in self.item if user_class in item.classes}


@dataclass(frozen=True, slots=True)
class Checked:
    """What the answers say: the hazards they mean, and the items that were not seen."""

    findings: tuple[Finding, ...]
    unseen: tuple[str, ...]


class InvalidChecklists(Exception):
    """The file contradicts itself or the hazard catalogue; the message names the item."""


@lru_cache(maxsize=4)
def parse_checklists(text: str, catalogue: HazardCatalogue) -> Checklists:
    """Read a file; raises InvalidChecklists, or pydantic's ValidationError naming the key."""
    lists = Checklists.model_validate(tomllib.loads(text))
    codes = [item.code for item in lists.item]
    if twice := next((code for code in codes if codes.count(code) > 1), None):
        raise InvalidChecklists(f"item {twice} is there twice")
    for item in lists.item:
        if item.hazard is not None and item.hazard not in catalogue.kinds:
            raise InvalidChecklists(f"item {item.code}: {item.hazard} is not in the hazard catalogue")
    return lists


_FILES = LastGood[Checklists]("checklists", _PACKAGED, (InvalidChecklists,))


def load_checklists(catalogue: HazardCatalogue, path: Path | None = None) -> Checklists:
    """The checklists of a file, or the packaged ones."""
    return _FILES.read(path, lambda text: parse_checklists(text, catalogue))


def check_answers(items: Mapping[str, Item], answers: Mapping[str, Answer], result: Result) -> Checked:
    """Judge a complete report's answers; raises InvalidOutcome naming the first item at fault.

    Mandatory items must be answered; one that was not seen makes the visit partial, and only a partial visit may leave
    mandatory items out.
    """
    for code, answer in answers.items():
        if code not in items:
            raise InvalidOutcome(f"answers.{code}", "is not asked in this user class")
        if not items[code].fits(answer):
            wanted = "yes or no (true, false)" if items[code].kind == "yes_no" else f"a number in {items[code].unit}"
            raise InvalidOutcome(f"answers.{code}", f"must be {wanted}, or one of {', '.join(_WORDS)}")
    unseen = _unseen(items, answers)
    if result != "partial" and unseen:
        raise InvalidOutcome(f"answers.{unseen[0]}", f"is mandatory; without it the visit is partial, not {result}")
    return Checked(_findings(items, answers), unseen)


def _unseen(items: Mapping[str, Item], answers: Mapping[str, Answer]) -> tuple[str, ...]:
    return tuple(code for code, item in items.items() if item.mandatory and answers.get(code, "not_seen") == "not_seen")


def _findings(items: Mapping[str, Item], answers: Mapping[str, Answer]) -> tuple[Finding, ...]:
    found: dict[str, Finding] = {}
    for code, item in items.items():
        answer = answers.get(code)
        if item.hazard is not None and answer is not None and item.means_hazard(answer):
            shown = f"{answer:g} {item.unit}" if item.kind == "number" else ("yes" if answer else "no")
            found.setdefault(item.hazard, Finding(item.hazard, f"{item.en}: {shown}"))
    return tuple(found.values())


def joined(said: Sequence[Finding], derived: Sequence[Finding]) -> list[Finding]:
    """What the inspector listed and what the answers mean, each hazard once; the inspector's own note wins."""
    listed = {finding.code for finding in said}
    return [*said, *(finding for finding in derived if finding.code not in listed)]
