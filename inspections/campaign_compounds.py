"""Compounds as the year goes: which of their doors may be visited when, and what was planned of them. Pure."""

from dataclasses import dataclass, field
from typing import Self

import numpy as np
import numpy.typing as npt

from inspections.campaign_model import Block, Days, Estate, Seconds
from inspections.campaign_rules import CampaignRules


@dataclass(slots=True)
class Building:
    """The doors of a building in the order they are taken."""

    building_id: int
    key: Days
    due: Days
    work: Seconds  # cumulative
    priority: npt.NDArray[np.int32]  # cumulative
    taken: int = 0
    planned_day: Days = field(default_factory=lambda: np.zeros(0, np.int32))

    @classmethod
    def of(cls, building_id: int, estate: Estate, key: Days, doors: npt.NDArray[np.intp]) -> Self:
        """The building of these doors of an estate; `key` says when each of the estate's doors counts as due."""
        order = doors[np.lexsort((estate.due_day[doors], key[doors]))]
        return cls(
            building_id,
            key[order],
            estate.due_day[order],
            np.concatenate(([0.0], np.cumsum(estate.work_s[order]))),
            np.concatenate(([0], np.cumsum(estate.priority[order]))).astype(np.int32),
            planned_day=np.full(len(order), -1, np.int32),
        )

    def next_key(self) -> int:
        """When the next door counts as due; far away when none is left."""
        return int(self.key[self.taken]) if self.taken < len(self.key) else np.iinfo(np.int32).max

    def take(self, until: int, budget_s: float, day: int) -> tuple[int, int, int, float] | None:
        """Take what may be visited and fits: doors, priority doors, late doors, seconds; None when nothing does."""
        eligible = int(self.key.searchsorted(until, side="right"))
        fits = int(self.work.searchsorted(self.work[self.taken] + budget_s, side="right")) - 1
        end = min(eligible, fits)
        if end <= self.taken:
            return None
        begin, self.taken = self.taken, end
        self.planned_day[begin:end] = day
        late = int(np.count_nonzero(np.maximum(self.due[begin:end], 0) < day))
        priority = int(self.priority[end] - self.priority[begin])
        return end - begin, priority, late, float(self.work[end] - self.work[begin])


@dataclass(slots=True)
class Compound:
    """A compound as the year goes: its doors by the day they may be visited from, building by building."""

    compound_id: int
    area: str
    early_days: int
    key: Days  # when a door counts as due, priority doors sooner; sorted over the compound
    work: Seconds  # cumulative working seconds in that order
    buildings: list[Building]
    taken_s: float = 0.0
    taken_doors: int = 0

    @classmethod
    def of(cls, estate: Estate, rules: CampaignRules) -> Self:
        """A compound of which nothing is planned yet."""
        key = (estate.due_day - rules.priority_lead_days * estate.priority).astype(np.int32)
        order = np.argsort(key, kind="stable")
        buildings = [
            Building.of(int(building_id), estate, key, np.flatnonzero(estate.building_id == building_id))
            for building_id in np.unique(estate.building_id)
        ]
        work = np.concatenate(([0.0], np.cumsum(estate.work_s[order])))
        return cls(estate.compound_id, estate.area, rules.early_days, key[order], work, buildings)

    def _eligible(self, day: int) -> int:
        return int(self.key.searchsorted(day + self.early_days, side="right"))

    def waiting(self, day: int) -> bool:
        """Whether some door may be visited now."""
        return self._eligible(day) > self.taken_doors

    def urgency(self, day: int, least_s: float) -> float:
        """Working seconds that wait here, what is overdue three times; little that can wait weighs nothing."""
        eligible_s = float(self.work[self._eligible(day)]) - self.taken_s
        overdue_s = max(0.0, float(self.work[int(self.key.searchsorted(day, side="right"))]) - self.taken_s)
        if eligible_s < least_s and overdue_s == 0:
            return eligible_s * 1e-6
        return eligible_s + 2 * overdue_s

    def take(self, day: int, budget_s: float, blocks: list[Block]) -> float:
        """Plan doors for a day within a budget, the building with the oldest door first; returns the seconds spent."""
        spent = 0.0
        until = day + self.early_days
        for building in sorted(self.buildings, key=lambda one: (one.next_key(), one.building_id)):
            part = building.take(until, budget_s - spent, day)
            if part is None:
                continue
            doors, priority, late, work_s = part
            blocks.append(Block(building.building_id, self.compound_id, self.area, day, doors, priority, late, work_s))
            spent += work_s
            self.taken_s += work_s
            self.taken_doors += doors
        return spent
