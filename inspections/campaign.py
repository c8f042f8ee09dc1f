"""The year: which buildings are visited on which days, so that rosters stay tight, and what will not be reached. Pure.

Per group of inspectors who could stand in for one another, day by day: a few compounds are open at once; the working
time goes to their buildings, oldest due first; a compound that has nothing left to visit is closed and the most
urgent one opened. The same number of doors from few compounds gives a quarter more visits a day than doors drawn over
the whole area, and "oldest building first, few compounds open" keeps nearly all of what an exact plan gains
(docs/campaign.md).
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date

import numpy as np
import numpy.typing as npt

from inspections.campaign_compounds import Building, Compound
from inspections.campaign_model import Block, Campaign, Crew, Days, Estate, Forecast
from inspections.campaign_rules import CampaignRules


def plan_crew(
    crew: Crew, estates: Sequence[Estate], rules: CampaignRules, first_day: date
) -> tuple[list[Block], list[Forecast]]:
    """Plan the year of one crew; every door is in exactly one block or counted unreached in the forecast."""
    compounds = [Compound.of(estate, rules) for estate in estates if len(estate)]
    blocks: list[Block] = []
    opened: list[Compound] = []
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
    compounds: Sequence[Compound],
    opened: list[Compound],
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


def _open_more(day: int, opened: list[Compound], compounds: Sequence[Compound], limit: int, least_s: float) -> None:
    """Open the most urgent compounds up to the limit; little work is left to grow unless some of it is overdue."""
    if len(opened) >= limit:
        return
    held = {id(compound) for compound in opened}
    closed = [compound for compound in compounds if id(compound) not in held and compound.waiting(day)]
    ranked = sorted(closed, key=lambda compound: (-compound.urgency(day, least_s), compound.compound_id))
    opened += ranked[: limit - len(opened)]


def _forecast(compounds: Sequence[Compound], first_day: date) -> list[Forecast]:
    """Count by area and month of the due day; what was overdue at the start counts in the month before the first."""
    by_area: dict[str, list[Building]] = {}
    for compound in compounds:
        by_area.setdefault(compound.area, []).extend(compound.buildings)
    return [line for area in sorted(by_area) for line in _forecast_area(area, by_area[area], first_day)]


def _forecast_area(area: str, buildings: Sequence[Building], first_day: date) -> list[Forecast]:
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
