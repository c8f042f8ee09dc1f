"""The catalogue of hazards: code, grade, deadline and action, each with its source; a city may bring its own file."""

import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from inspections.last_good import LastGood

_PACKAGED = Path(__file__).with_name("hazards.toml")


class Grade(BaseModel):
    """What a grade means: whether it is re-checked, and whether the re-check must be on the next roster."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    grade: int = Field(ge=1, le=3)
    meaning: str = Field(min_length=1)
    recheck: bool
    mandatory: bool
    action: str = Field(min_length=1)
    evidence: tuple[Literal["photo", "reading", "signature"], ...] = ()
    notify_within_h: float | None = Field(None, gt=0, description="The written notice is out by then, hours.")
    track_every_h: float | None = Field(None, gt=0, description="Somebody looks after it so often, hours.")


class HazardKind(BaseModel):
    """One thing an inspector may find."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str = Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")
    title: str = Field(min_length=1)
    grade: int = Field(ge=1, le=3)
    deadline_days: int = Field(ge=0, le=365)
    source: str = Field(min_length=1)


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    grade: tuple[Grade, ...]
    hazard: tuple[HazardKind, ...]


class InvalidCatalogue(Exception):
    """The hazard catalogue contradicts itself; the message names the code or grade."""


class HazardCatalogue:
    """Hazard kinds by code, grades by number."""

    def __init__(self, kinds: dict[str, HazardKind], grades: dict[int, Grade]) -> None:
        self.kinds = kinds
        self.grades = grades

    def grade_of(self, kind: HazardKind) -> Grade:
        """What the grade of a kind asks for."""
        return self.grades[kind.grade]


@lru_cache(maxsize=4)
def parse_hazards(text: str) -> HazardCatalogue:
    """Read a catalogue; raises InvalidCatalogue, or pydantic's ValidationError naming the key."""
    file = _File.model_validate(tomllib.loads(text))
    grades = {grade.grade: grade for grade in file.grade}
    if sorted(grade.grade for grade in file.grade) != [1, 2, 3]:
        raise InvalidCatalogue("grades 1, 2 and 3 must each be there once")
    kinds: dict[str, HazardKind] = {}
    for kind in file.hazard:
        if kind.code in kinds:
            raise InvalidCatalogue(f"hazard {kind.code} is there twice")
        kinds[kind.code] = kind
    return HazardCatalogue(kinds, grades)


_FILES = LastGood[HazardCatalogue]("hazards", _PACKAGED, (InvalidCatalogue,))


def load_hazards(path: Path | None = None) -> HazardCatalogue:
    """The catalogue of a file, or the packaged one."""
    return _FILES.read(path, parse_hazards)
