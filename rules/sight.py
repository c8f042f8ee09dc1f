"""What the absence rules ask about who is heard, and what they note. Pure.

The rules do not know who answers: the database (rules/watch_store.py), or stored history that is played again
(rules/replay). So live and backtest are the same rules.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar

from rules.absence import Outage, Quiet
from rules.flooding import Flooding
from rules.model import Rule
from rules.topology import Count, Spot

_T = TypeVar("_T")
Row = Mapping[str, Any]


class Guarding(Protocol):
    """Runs detectors, so that a mistake in one stops that rule alone (rules/failures.py)."""

    def run(self, rule: Rule, detector: Callable[[], _T], otherwise: _T) -> _T:
        """What the detector returns, or `otherwise` when it breaks off."""
        ...


@dataclass(frozen=True, slots=True)
class Watch:
    """What a look at a device left: its learned interval, when to look next, whether it is silent."""

    device_id: int
    interval_s: float | None
    gaps: int | None
    due_at: datetime
    silent_since: datetime | None = None
    folded_into: str | None = None


class Sight(Protocol):
    """Who was heard, who is watched and which alerts stand, at one moment. Rows have the columns of the queries."""

    async def watch_new_devices(self, now: datetime, count: int) -> int:
        """Watch devices registered since the last look; returns how many."""
        ...

    async def due_devices(self, now: datetime, count: int) -> Sequence[Row]:
        """Watched devices that are due, the longest due first."""
        ...

    async def gateways_passed_on(self, gateway_ids: Sequence[int], count: int) -> Mapping[int, datetime]:
        """Up to when gateways passed on what any of their devices told."""
        ...

    async def device_arrivals(self, device_ids: Sequence[int], since: datetime) -> Mapping[int, Iterable[datetime]]:
        """When messages of devices arrived, by device."""
        ...

    async def save_watches(self, watches: Sequence[Watch]) -> None:
        """Note what looks at devices left."""
        ...

    async def gone_devices(self, rule_id: str, until: datetime, count: int) -> Sequence[Row]:
        """Devices that their platform calls gone and that have no alert for it."""
        ...

    async def watched_places(
        self, spots: Sequence[Spot], overdue_intervals: float, now: datetime, gateway_rule_ids: Sequence[str]
    ) -> Mapping[Spot, Count]:
        """How much is watched and overdue in some buildings and compounds."""
        ...

    async def compounds_of_districts(
        self, district_ids: Sequence[int]
    ) -> tuple[Mapping[Spot, Sequence[Spot]], Mapping[Spot, str]]:
        """The compounds of districts in which anything is installed, and the districts' names."""
        ...

    async def open_cells(self, rule_ids: Sequence[str]) -> Sequence[Row]:
        """Incidents of silent places that are open."""
        ...

    async def silences_within(self, rule_ids: Sequence[str], spot: Spot) -> Sequence[Row]:
        """Open alerts of single silent devices in a place."""
        ...

    async def gateways_of_areas(self, areas: Sequence[str], rule_ids: Sequence[str]) -> Sequence[Row]:
        """Districts with their gateways, and which of these have an open alert of silence."""
        ...

    async def fold_watches(self, device_ids: Sequence[int], subject: str) -> None:
        """Note into which incident silent devices are folded."""
        ...

    async def refold_watches(self, from_subject: str, to_subject: str) -> None:
        """Move what was folded into a small incident to the larger one that took it up."""
        ...

    async def unfold_watches(self, subject: str, at: datetime) -> None:
        """Let what was folded into an incident be looked at for itself, now."""
        ...

    async def silent_gateways(
        self, rule: Rule, now: datetime, observed_from: datetime, count: int, cell_rule_ids: Sequence[str]
    ) -> Sequence[Quiet]:
        """Gateways that may be silent and have no alert for it."""
        ...

    async def gateway_outages(
        self, gateway_ids: Sequence[int], since: datetime, rule_ids: Sequence[str], now: datetime
    ) -> Mapping[int, Sequence[Outage]]:
        """Times in which gateways were away, by gateway."""
        ...

    async def heard_again(self, rule_ids: Sequence[str]) -> Sequence[tuple[str, str]]:
        """Rule and subject of open silences whose device or gateway has been heard since."""
        ...

    async def flooding_gateways(self, rule_id: str) -> Sequence[Flooding]:
        """Registered gateways whose flood goes on and that have no open alert for it."""
        ...

    async def floods_over(self, rule_ids: Sequence[str]) -> Sequence[tuple[str, str]]:
        """Rule and subject of open alerts about floods that are over."""
        ...


def spots_of(row: Row) -> tuple[Spot, ...]:
    """The places a row names, the smallest first."""
    found = []
    for level in ("building", "compound", "district"):
        number = row[f"{level}_id"]
        if isinstance(number, int):
            found.append((level, number))
    return tuple(found)
