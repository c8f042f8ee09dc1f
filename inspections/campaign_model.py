"""The words of the campaign: rules, what is due in a compound, crews, blocks of doors on days, the forecast."""

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt

Days = npt.NDArray[np.int32]
Seconds = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Estate:
    """The doors of one compound that come due: one entry a door, in any order.

    `building_id`, `due_day` (days after the campaign's first day, may be negative), `work_s` (expected working time
    until somebody gets in or the attempts end) and `priority` are arrays of equal length.
    """

    compound_id: int
    area: str
    building_id: npt.NDArray[np.int32]
    due_day: Days
    work_s: Seconds
    priority: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        """Number of doors."""
        return len(self.due_day)


@dataclass(frozen=True, slots=True)
class Crew:
    """A group of inspectors and the compounds only they visit: working seconds on each day of the horizon."""

    name: str
    inspectors: int
    capacity_s: Seconds


@dataclass(frozen=True, slots=True)
class Block:
    """Doors of one building planned for one day."""

    building_id: int
    compound_id: int
    area: str
    day: int
    doors: int
    priority_doors: int
    late_doors: int
    work_s: float


@dataclass(frozen=True, slots=True)
class Forecast:
    """What becomes of the doors of an area that come due in a month: on time, late, not reached within the horizon."""

    area: str
    month: date
    due: int
    on_time: int
    late: int
    unreached: int
    priority_unreached: int


@dataclass(frozen=True, slots=True)
class Campaign:
    """A planned year: blocks in order of day, and the forecast by area and month of the due day."""

    first_day: date
    days: int
    blocks: tuple[Block, ...]
    forecast: tuple[Forecast, ...]

    def day_of(self, block: Block) -> date:
        """The calendar day of a block."""
        return self.first_day + timedelta(days=block.day)
