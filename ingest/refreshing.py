"""How far continuous aggregates hold what arrived (community edition), so that who reads days can follow there, too.

A refresh computes whatever was committed before it began. So it is remembered when which batches were seen, and a
refresh that began later and came to its end has them all. Pure.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

LOOK_EVERY = timedelta(minutes=1)
LOOKS_MAX = 1440
"""A day of looks: aggregates are refreshed every hour, and a refresh may fail for a while."""


@dataclass(slots=True)
class Looks:
    """When which batch was the newest of each slot, oldest first."""

    seen: deque[tuple[datetime, dict[str, int]]] = field(default_factory=lambda: deque(maxlen=LOOKS_MAX))

    def note(self, at: datetime, newest: Mapping[str, int]) -> None:
        """Remember a look; one a minute is enough."""
        if not self.seen or at - self.seen[-1][0] >= LOOK_EVERY:
            self.seen.append((at, dict(newest)))

    def refreshed(self, began_at: datetime | None) -> dict[str, int]:
        """Up to which batch each slot is in the aggregates since a refresh that began then; each look counts once."""
        held: dict[str, int] = {}
        while began_at is not None and self.seen and self.seen[0][0] < began_at:
            held |= self.seen.popleft()[1]
        return held
