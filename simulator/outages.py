"""When gateways are away, and how wrong clocks are, as the planted faults have it."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from simulator.planter import Fault

FLOOD_S: Final = 900.0
"""What waited at a gateway comes within a quarter of an hour when it is back."""

_AWAY = ("gateway_outage", "gateway_blip", "cell_outage")
_CLOCKS = ("clock_slow", "clock_hour_behind", "clock_ahead")


@dataclass(frozen=True, slots=True)
class Clock:
    """A device's clock: from `since` on it is so many seconds behind (ahead: less than 0), and loses more every day."""

    since: datetime | None = None
    slow_s_a_day: float = 0.0
    behind_s: float = 0.0

    def behind(self, at: datetime) -> timedelta:
        """How far the clock is behind at a moment, to the second."""
        if self.since is None or at < self.since:
            return timedelta()
        lost_s = self.behind_s + self.slow_s_a_day * ((at - self.since) / timedelta(days=1))
        return timedelta(seconds=round(lost_s))


def clocks(faults: Iterable[Fault]) -> dict[str, Clock]:
    """The clocks that are wrong, by device."""
    return {
        fault.devices[0]: Clock(fault.start, fault.values.get("slow_s_a_day", 0.0), fault.values.get("behind_s", 0.0))
        for fault in faults
        if fault.name in _CLOCKS
    }


def away(faults: Iterable[Fault]) -> dict[str, list[tuple[datetime, datetime]]]:
    """From when to when gateways are away, by gateway; what they would have sent waits."""
    found: dict[str, list[tuple[datetime, datetime]]] = defaultdict(list)
    for fault in faults:
        if fault.name in _AWAY:
            for kind, code in fault.others or (fault.subject,):
                if kind != "gateway":
                    continue
                found[code].append((fault.start, fault.end))
    return dict(found)
