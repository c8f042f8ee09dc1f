"""The words of the rota: a shift, a gap. All frozen."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Shift:
    """One person's duty at a level for some districts (None: the whole city; a district stands for all below it).

    Who has taken over stays on duty until somebody else does (`relieved_at`), whatever `ends_at` says.
    """

    shift_id: int
    account: str
    level: int
    areas: frozenset[str] | None
    starts_at: datetime
    ends_at: datetime
    taken_at: datetime | None = None
    relieved_at: datetime | None = None

    def on_duty(self, at: datetime) -> bool:
        """Whether this person is to be told at a moment: from the start (or an earlier take-over) until relieved."""
        begun = min(self.starts_at, self.taken_at or self.starts_at)
        return begun <= at and (self.relieved_at is None or at < self.relieved_at)

    def overdue(self, at: datetime) -> bool:
        """Whether it should have been handed over by now."""
        return self.relieved_at is None and at >= self.ends_at


@dataclass(frozen=True, slots=True)
class Gap:
    """Nobody is planned at a level for districts between two moments."""

    level: int
    areas: tuple[str, ...]
    starts_at: datetime
    ends_at: datetime
