"""When a door is due: the periodic cycle by user class, and the next attempt after a visit that did not get in."""

import calendar
import tomllib
from datetime import date, datetime, time, timedelta
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from inspections.model import Duty, UserClass, Window

_PACKAGED = Path(__file__).with_name("cycles.toml")
_DAY_S = 86_400


class Cycle(BaseModel):
    """One periodic cycle and where it comes from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    user_class: UserClass
    months: int = Field(ge=1, le=120)
    source: str = Field(min_length=1)


class NoAccess(BaseModel):
    """How a visit that did not get in is repeated; days."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    retry_days: int = Field(ge=1, le=60)
    mandatory_retry_days: int = Field(ge=1, le=60)
    attempts_max: int = Field(ge=1, le=20)
    pause_days: int = Field(ge=1, le=365)
    half_day_at: time


class Cycles(BaseModel):
    """The whole file; every user class has exactly one cycle."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cycle: tuple[Cycle, ...]
    no_access: NoAccess

    def of(self, user_class: UserClass) -> Cycle:
        """The cycle of a user class."""
        return next(cycle for cycle in self.cycle if cycle.user_class == user_class)


class InvalidCycles(Exception):
    """The cycles file is incomplete; the message names the rule."""


def parse_cycles(text: str) -> Cycles:
    """Read a cycles file; raises InvalidCycles, or pydantic's ValidationError naming the key."""
    cycles = Cycles.model_validate(tomllib.loads(text))
    classes = sorted(cycle.user_class for cycle in cycles.cycle)
    if classes != ["commercial", "household", "industrial"]:
        raise InvalidCycles(f"each user class has exactly one cycle; the file has {', '.join(classes) or 'none'}")
    return cycles


def load_cycles(path: Path | None = None) -> Cycles:
    """The cycles of a file, or the packaged ones."""
    return parse_cycles((path or _PACKAGED).read_text("utf-8"))


def add_months(day: date, months: int) -> date:
    """The same day of a later (or earlier) month, or that month's last day."""
    years, month = divmod(day.month - 1 + months, 12)
    year = day.year + years
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def next_due(cycle: Cycle, last_entered_on: date | None, today: date) -> tuple[date, str]:
    """When the next periodic inspection is due, and why; a door of unknown history is due today."""
    if last_entered_on is None:
        return today, f"periodic inspection every {cycle.months} months; no earlier inspection is known"
    due = add_months(last_entered_on, cycle.months)
    return due, f"periodic inspection every {cycle.months} months; last entered on {last_entered_on.isoformat()}"


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
