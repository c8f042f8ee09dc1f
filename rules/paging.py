"""Pages: people shall be told of an alert. What for, how urgently, and for how long that is worth trying."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType

LEVELS = range(1, 10)
"""Levels of the on-duty rota: 1 is told first, the next ones when a level does not answer."""

DEADLINES: Mapping[str, timedelta] = MappingProxyType(
    {
        "raised": timedelta(minutes=30),
        "worse": timedelta(minutes=30),
        "reminder": timedelta(minutes=15),
        "escalated": timedelta(minutes=30),
        "ack_expired": timedelta(minutes=30),
        "handed_over": timedelta(hours=2),
        "closed": timedelta(hours=4),
        "channel_dead": timedelta(hours=2),
    }
)
"""By purpose: no attempt to hand a notice over begins later than this after the page was requested.

The times are ours (no source found): half an hour is the time in which a crew must be on site (Nanning China Gas), and
by then the escalation has told the next level; news of a closed alert may come late but not the next day.
"""

PURPOSES = tuple(DEADLINES)


@dataclass(frozen=True, slots=True)
class Page:
    """A page: which alert, what for (one of PURPOSES), and which level of the rota is to be told."""

    alert_id: int
    purpose: str
    level: int = 1

    def __post_init__(self) -> None:
        """Refuse a purpose or level that nobody knows; raises ValueError."""
        if self.purpose not in DEADLINES:
            raise ValueError(f"purpose {self.purpose!r} is none of {', '.join(PURPOSES)}")
        if self.level not in LEVELS:
            raise ValueError(f"level {self.level} is outside {LEVELS[0]} to {LEVELS[-1]}")
