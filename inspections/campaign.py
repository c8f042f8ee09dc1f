"""The year: which buildings are visited on which days, so that rosters stay tight, and what will not be reached. Pure.

Per group of inspectors who could stand in for one another, day by day: a few compounds are open at once; the working
time goes to their buildings, oldest due first; a compound that has nothing left to visit is closed and the most
urgent one opened. The same number of doors from few compounds gives a quarter more visits a day than doors drawn over
the whole area, and "oldest building first, few compounds open" keeps nearly all of what an exact plan gains
(docs/campaign.md).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt

Days = npt.NDArray[np.int32]
Seconds = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CampaignRules:
    """How the year is planned.

    `early_days`: a door may be visited so long before it is due (United Kingdom: two months). `priority_lead_days`:
    doors of the priority groups are taken as due so much sooner. `open_compounds_per_inspector`: how many compounds a
    group of inspectors works in at once. `compound_min_share`: a compound with less work than this share of a day is
    left to grow.
    """

    early_days: int = 60
    priority_lead_days: int = 60
    notice_days: int = 3
    open_compounds_per_inspector: float = 0.5
    compound_min_share: float = 0.25

    def open_compounds(self, inspectors: int) -> int:
        """How many compounds a group of inspectors works in at once."""
        return max(1, round(self.open_compounds_per_inspector * inspectors))


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


def plan_crew(
    crew: Crew, estates: Sequence[Estate], rules: CampaignRules, first_day: date
) -> tuple[list[Block], list[Forecast]]:
    """Plan the year of one crew; every door is in exactly one block or counted unreached in the forecast."""
    compounds = [_Compound.of(estate, rules) for estate in estates if len(estate)]
    blocks: list[Block] = []
    opened: list[_Compound] = []
    for day, capacity_s in enumerate(crew.capacity_s):
        if capacity_s > 0:
            _work_one_day(day, float(capacity_s), crew, compounds, opened, rules, blocks)
    return _merged(blocks), _forecast(compounds, first_day)


def _merged(blocks: Iterable[Block]) -> list[Block]:
    """One block for each building and day."""
    found: dict[tuple[int, int], Block] = {}
    for one in blocks:
        before = found.get((one.day, one.building_id))
        found[one.day, one.building_id] = one if before is None else _joined(before, one)
    return list(found.values())


def _joined(one: Block, other: Block) -> Block:
    return replace(
        one,
        doors=one.doors + other.doors,
        priority_doors=one.priority_doors + other.priority_doors,
        late_doors=one.late_doors + other.late_doors,
        work_s=one.work_s + other.work_s,
    )


def _work_one_day(
    day: int,
    capacity_s: float,
    crew: Crew,
    compounds: Sequence["_Compound"],
    opened: list["_Compound"],
    rules: CampaignRules,
    blocks: list[Block],
) -> None:
    """Spend a day's working time; compounds stay open until nothing in them may be visited any more.

    The first time around a compound with little to do is left to grow, unless some of it is overdue.
    """
    left_s = capacity_s
    limit = rules.open_compounds(crew.inspectors)
    least_s = capacity_s * rules.compound_min_share
    while left_s > 0:
        opened[:] = [compound for compound in opened if compound.waiting(day)]
        _open_more(day, opened, compounds, limit, least_s)
        spent_s = sum(compound.take(day, left_s / len(opened), blocks) for compound in opened)
        if not spent_s:  # the shares are too small for one more door: what is left goes to whom it still suffices
            spent_s = next((took for compound in opened if (took := compound.take(day, left_s, blocks))), 0.0)
        if not spent_s:
            return
        left_s -= spent_s
        least_s = 0.0


def _open_more(
    day: int, opened: list["_Compound"], compounds: Sequence["_Compound"], limit: int, least_s: float
) -> None:
    """Open the most urgent compounds up to the limit; little work is left to grow unless some of it is overdue."""
    if len(opened) >= limit:
        return
    held = {id(compound) for compound in opened}
    closed = [compound for compound in compounds if id(compound) not in held and compound.waiting(day)]
    ranked = sorted(closed, key=lambda compound: (-compound.urgency(day, least_s), compound.compound_id))
    opened += ranked[: limit - len(opened)]


@dataclass(slots=True)
class _Compound:
    """A compound as the year goes: its doors by the day they may be visited from, building by building."""

    compound_id: int
    area: str
    early_days: int
    key: Days  # when a door counts as due, priority doors sooner; sorted over the compound
    work: Seconds  # cumulative working seconds in that order
    buildings: list["_Building"]
    taken_s: float = 0.0
    taken_doors: int = 0

    @classmethod
    def of(cls, estate: Estate, rules: CampaignRules) -> "_Compound":
        key = (estate.due_day - rules.priority_lead_days * estate.priority).astype(np.int32)
        order = np.argsort(key, kind="stable")
        buildings = [
            _Building.of(int(building_id), estate, key, np.flatnonzero(estate.building_id == building_id))
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


@dataclass(slots=True)
class _Building:
    """The doors of a building in the order they are taken."""

    building_id: int
    key: Days
    due: Days
    work: Seconds  # cumulative
    priority: npt.NDArray[np.int32]  # cumulative
    taken: int = 0
    planned_day: Days = field(default_factory=lambda: np.zeros(0, np.int32))

    @classmethod
    def of(cls, building_id: int, estate: Estate, key: Days, doors: npt.NDArray[np.intp]) -> "_Building":
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


def _forecast(compounds: Sequence[_Compound], first_day: date) -> list[Forecast]:
    """Count by area and month of the due day; what was overdue at the start counts in the month before the first."""
    by_area: dict[str, list[_Building]] = {}
    for compound in compounds:
        by_area.setdefault(compound.area, []).extend(compound.buildings)
    return [line for area in sorted(by_area) for line in _forecast_area(area, by_area[area], first_day)]


def _forecast_area(area: str, buildings: Sequence[_Building], first_day: date) -> list[Forecast]:
    due = np.concatenate([building.due for building in buildings])
    planned = np.concatenate([building.planned_day for building in buildings])
    priority = np.concatenate([np.diff(building.priority) for building in buildings]).astype(bool)
    months = _months(due, first_day)
    begin = int(months.min())
    reached = planned >= 0
    on_time = reached & (planned <= np.maximum(due, 0))
    parts = (np.ones_like(reached), on_time, reached & ~on_time, ~reached, ~reached & priority)
    counts = [np.bincount(months[part] - begin, minlength=int(months.max()) - begin + 1) for part in parts]
    return [
        Forecast(area, _first_of_month(begin + month), *(int(count[month]) for count in counts))
        for month in range(len(counts[0]))
        if counts[0][month]
    ]


def _months(due: Days, first_day: date) -> npt.NDArray[np.int64]:
    """Months since year 0 of each due day; the day before the first stands for all that was overdue then."""
    days = np.datetime64(first_day, "D") + np.maximum(due, -1).astype("timedelta64[D]")
    return np.asarray(days.astype("datetime64[M]").astype(np.int64) + 1970 * 12)


def _first_of_month(months: int) -> date:
    year, month = divmod(months, 12)
    return date(year, month + 1, 1)


def plan_campaign(
    first_day: date, days: int, crews: Iterable[tuple[Crew, Sequence[Estate]]], rules: CampaignRules
) -> Campaign:
    """Plan the year of every crew; crews share no compound, so their order does not matter."""
    blocks: list[Block] = []
    forecast: list[Forecast] = []
    for crew, estates in crews:
        found, ahead = plan_crew(crew, estates, rules, first_day)
        blocks += found
        forecast += ahead
    blocks.sort(key=lambda block: (block.day, block.area, block.compound_id, block.building_id))
    return Campaign(first_day, days, tuple(blocks), tuple(forecast))


def expected_attempts(chance: float, attempts_max: int) -> float:
    """Visits a door takes until somebody gets in or the attempts end, at a chance of getting in: (1 - (1-p)^n) / p."""
    if chance <= 0:
        return float(attempts_max)
    return (1 - (1 - chance) ** attempts_max) / chance
