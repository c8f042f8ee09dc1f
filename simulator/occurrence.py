"""One thing a device says outside its daily routine, and the bodies of alarms and valves."""

from datetime import datetime
from typing import Any, NamedTuple


class Occurrence(NamedTuple):
    """What one device says at one moment because of a fault."""

    at: datetime
    device: str
    kind: str
    body: dict[str, Any]


def alarm(state: str, level: int, lel_pct: float) -> dict[str, Any]:
    """The body of a leak alarm."""
    return {"event": "leak_alarm", "state": state, "level": level, "lel_pct": lel_pct}


def valve(state: str, cause: str) -> dict[str, Any]:
    """The body of a valve's movement."""
    return {"event": "valve", "state": state, "cause": cause}
