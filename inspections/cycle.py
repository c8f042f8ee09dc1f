"""When a door is due: the periodic cycle of its class, area and risk group, and the next attempt after no access."""

import calendar
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from inspections.last_good import LastGood
from inspections.model import Duty, UserClass, Window

_PACKAGED = Path(__file__).with_name("cycles.toml")
_DAY_S = 86_400

RiskGroup = Literal["old_building", "rented", "vacant", "elderly_alone", "special_care"]
RISK_GROUPS: tuple[RiskGroup, ...] = get_args(RiskGroup)


@dataclass(frozen=True, slots=True)
class DoorFacts:
    """What decides a door's cycle; None is unknown and puts a door in no group.

    `areas_above`: the code of the door's district and of every district above it.
    """

    user_class: UserClass
    areas_above: frozenset[str] = frozenset()
    built_year: int | None = None
    tenure: str | None = None
    elderly: bool | None = None
    special_care: bool | None = None


class Cycle(BaseModel):
    """One periodic cycle: for a user class, perhaps only in some areas (districts below included) or one risk group."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    user_class: UserClass
    months: int = Field(ge=1, le=120)
    areas: tuple[str, ...] = ()
    risk_group: RiskGroup | None = None
    source: str = Field(min_length=1)

    @property
    def is_general(self) -> bool:
        """Whether it holds for every door of its class."""
        return not self.areas and self.risk_group is None

    @property
    def scope(self) -> str:
        """Whom it is for, in words; empty for a general cycle."""
        words = [self.risk_group.replace("_", " ")] if self.risk_group else []
        return ", ".join(words + ([f"district {' or '.join(self.areas)}"] if self.areas else []))


class NoAccess(BaseModel):
    """How a visit that did not get in is repeated; days."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    retry_days: int = Field(ge=1, le=60)
    mandatory_retry_days: int = Field(ge=1, le=60)
    attempts_max: int = Field(ge=1, le=20)
    pause_days: int = Field(ge=1, le=365)
    half_day_at: time


class Cycles(BaseModel):
    """The whole file; every user class has exactly one general cycle, others shorten it for areas and risk groups."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    old_building_years: int = Field(ge=1, le=200)
    cycle: tuple[Cycle, ...]
    no_access: NoAccess

    def of(self, facts: DoorFacts, today: date) -> Cycle:
        """The cycle of a door: the shortest of all that match it, the first of equally short ones."""
        groups = risk_groups(facts, today, self.old_building_years)
        matching = [
            cycle
            for cycle in self.cycle
            if cycle.user_class == facts.user_class
            and (not cycle.areas or facts.areas_above & set(cycle.areas))
            and (cycle.risk_group is None or cycle.risk_group in groups)
        ]
        return min(matching, key=lambda cycle: cycle.months)

    def shortest_first(self) -> Sequence[Cycle]:
        """Every cycle, the shortest first: a door that several match is due by the first of them."""
        return sorted(self.cycle, key=lambda cycle: cycle.months)


def risk_groups(facts: DoorFacts, today: date, old_building_years: int) -> frozenset[RiskGroup]:
    """The risk groups that a door is known to be in."""
    old = facts.built_year is not None and today.year - facts.built_year >= old_building_years
    known: dict[RiskGroup, bool | None] = {
        "old_building": old,
        "rented": facts.tenure == "rented",
        "vacant": facts.tenure == "vacant",
        "elderly_alone": facts.elderly,
        "special_care": facts.special_care,
    }
    return frozenset(name for name, holds in known.items() if holds)


class InvalidCycles(Exception):
    """The cycles file is incomplete; the message names the rule."""


@lru_cache(maxsize=4)
def parse_cycles(text: str) -> Cycles:
    """Read a cycles file; raises InvalidCycles, or pydantic's ValidationError naming the key."""
    cycles = Cycles.model_validate(tomllib.loads(text))
    classes = sorted(cycle.user_class for cycle in cycles.cycle if cycle.is_general)
    if classes != ["commercial", "household", "industrial"]:
        found = ", ".join(classes) or "none"
        raise InvalidCycles(f"each user class has exactly one general cycle (no areas, no risk_group), not {found}")
    scopes = [(cycle.user_class, tuple(sorted(cycle.areas)), cycle.risk_group) for cycle in cycles.cycle]
    if twice := next((scope for scope in scopes if scopes.count(scope) > 1), None):
        raise InvalidCycles(f"two cycles have the same user_class, areas and risk_group: {twice}")
    return cycles


_FILES = LastGood[Cycles]("cycles", _PACKAGED, (InvalidCycles,))


def load_cycles(path: Path | None = None) -> Cycles:
    """The cycles of a file, or the packaged ones."""
    return _FILES.read(path, parse_cycles)


def add_months(day: date, months: int) -> date:
    """The same day of a later (or earlier) month, or that month's last day."""
    years, month = divmod(day.month - 1 + months, 12)
    year = day.year + years
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def next_due(cycle: Cycle, last_entered_on: date | None, today: date) -> tuple[date, str]:
    """When the next periodic inspection is due, and why; a door of unknown history is due today."""
    every = f"periodic inspection every {cycle.months} months" + (f" ({cycle.scope})" if cycle.scope else "")
    if last_entered_on is None:
        return today, f"{every}; no earlier inspection is known"
    due = add_months(last_entered_on, cycle.months)
    return due, f"{every}; last entered on {last_entered_on.isoformat()}"


def next_attempt(rules: NoAccess, duty: Duty, tried_on: date) -> date:
    """The first day on which a duty may be tried again after a visit that did not get in."""
    if duty.mandatory:
        return tried_on + timedelta(days=rules.mandatory_retry_days)
    paused = (duty.attempts + 1) % rules.attempts_max == 0
    return tried_on + timedelta(days=rules.pause_days if paused else rules.retry_days)


def other_half_day(rules: NoAccess, last_attempt_local: datetime | None) -> Window | None:
    """The half of the day that was not tried last; None when nothing was tried."""
    if last_attempt_local is None:
        return None
    half_s = rules.half_day_at.hour * 3600 + rules.half_day_at.minute * 60
    if last_attempt_local.time() < rules.half_day_at:
        return Window(half_s, _DAY_S)
    return Window(0, half_s)
