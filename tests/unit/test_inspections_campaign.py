"""The campaign of the year: every door in one block or counted, few compounds a day, priority first."""

from collections import Counter, defaultdict
from datetime import date

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from inspections.access_rates import AccessRates
from inspections.campaign import expected_attempts, plan_campaign
from inspections.campaign_doors import DOORS, Absent, Work, crews, due_doors, estates, with_work
from inspections.campaign_model import Campaign, Crew, Estate
from inspections.campaign_params import CampaignParams
from inspections.campaign_rules import CampaignRules
from inspections.cycle import load_cycles
from inspections.model import Inspector, Point
from inspections.working_days import WorkingDays

FIRST = date(2026, 12, 1)
RULES = CampaignRules()
ABOVE = {"D01": frozenset({"D01", "C"}), "C": frozenset({"C"})}


def estate(compound_id: int, due: list[int], *, buildings: int = 2, priority: list[bool] | None = None) -> Estate:
    """A compound whose doors, ten minutes each, are dealt over its buildings."""
    return Estate(
        compound_id,
        "D01",
        np.array([compound_id * 100 + n % buildings for n in range(len(due))], np.int32),
        np.array(due, np.int32),
        np.full(len(due), 600.0),
        np.array(priority or [False] * len(due)),
    )


def crew(doors_a_day: float, days: int, inspectors: int = 2) -> Crew:
    return Crew("D01", inspectors, np.full(days, doors_a_day * 600.0))


def planned(doors_a_day: float, days: int, *estates: Estate, rules: CampaignRules = RULES) -> Campaign:
    return plan_campaign(FIRST, days, [(crew(doors_a_day, days), estates)], rules)


@given(
    compounds=st.lists(st.lists(st.integers(-40, 120), min_size=1, max_size=40), min_size=1, max_size=6),
    doors_a_day=st.integers(0, 15),
    days=st.integers(1, 90),
)
def test_no_door_is_lost_and_no_day_holds_too_much(compounds: list[list[int]], doors_a_day: int, days: int) -> None:
    """Planned and not reached add up to all; no day is longer than its working time; nothing is planned too early."""
    campaign = planned(doors_a_day, days, *(estate(n, due) for n, due in enumerate(compounds, 1)))
    in_blocks = sum(block.doors for block in campaign.blocks)
    assert in_blocks == sum(line.on_time + line.late for line in campaign.forecast)
    assert in_blocks + sum(line.unreached for line in campaign.forecast) == sum(map(len, compounds))
    by_day: Counter[int] = Counter()
    for block in campaign.blocks:
        by_day[block.day] += round(block.work_s)
        due = [day for compound in [compounds[block.compound_id - 1]] for day in compound]
        assert min(due) <= block.day + RULES.early_days
    assert all(seconds <= doors_a_day * 600 for seconds in by_day.values())
    assert len({(block.day, block.building_id) for block in campaign.blocks}) == len(campaign.blocks)


def test_what_fits_is_on_time() -> None:
    """With working time enough for all, nothing is late and nothing is left."""
    campaign = planned(12, 300, *(estate(n, list(range(n, 300, 5))) for n in range(1, 9)))
    assert sum(line.late + line.unreached for line in campaign.forecast) == 0


def test_few_compounds_are_open_at_once() -> None:
    """Two inspectors work in one compound at a time, but for the days on which one ends and the next begins."""
    campaign = planned(10, 60, *(estate(n, [20] * 60) for n in range(1, 9)))
    compounds = defaultdict(set)
    for block in campaign.blocks:
        compounds[block.day].add(block.compound_id)
    assert max(map(len, compounds.values())) <= 2
    assert sum(map(len, compounds.values())) <= len(compounds) + 8


def test_priority_groups_come_first() -> None:
    """Of two compounds alike, the one of old and rented homes is visited first, and the shortage hits the other."""
    due = [30] * 40
    campaign = planned(1, 60, estate(1, due), estate(2, due, priority=[True] * 40))
    assert campaign.blocks[0].compound_id == 2
    assert sum(line.unreached for line in campaign.forecast) == 20
    assert sum(line.priority_unreached for line in campaign.forecast) == 0


def test_doors_of_days_not_worked_wait() -> None:
    """A day without working time holds nothing, and what is late by it is called late."""
    capacity = np.array([0.0, 0.0, 6000.0])
    campaign = plan_campaign(FIRST, 3, [(Crew("D01", 1, capacity), [estate(1, [1, 2, 3])])], RULES)
    assert {block.day for block in campaign.blocks} == {2}
    assert [(line.on_time, line.late) for line in campaign.forecast] == [(2, 1)]


@pytest.mark.parametrize(("chance", "visits"), [(0.0, 3.0), (1.0, 1.0), (0.5, 1.75)])
def test_expected_attempts(chance: float, visits: float) -> None:
    """At a chance of one half: 1 + 1/2 + 1/4 visits, with at most three."""
    assert expected_attempts(chance, 3) == pytest.approx(visits)


def door(number: int, **given: object) -> dict[str, object]:
    row: dict[str, object] = dict.fromkeys(DOORS)
    row |= {"premises_id": number, "building_id": 1, "compound_id": 1, "area": "D01", "user_class": "household"}
    return row | {"last_entered_on": date(2025, 1, 31)} | given


def test_due_days_follow_the_cycles() -> None:
    """Two years for a home, one for a rented one and a shop, at once for unknown history; an open duty's day wins."""
    rows = [
        door(1),
        door(2, tenure="rented"),
        door(3, user_class="commercial"),
        door(4, last_entered_on=None),
        door(5, due_on=date(2026, 12, 24), attempts=1),
        door(6, last_entered_on=date(2026, 11, 1)),
    ]
    due = due_doors(pl.DataFrame(rows, schema=DOORS), load_cycles(), ABOVE, FIRST, 365)
    found = {row["premises_id"]: (row["due"], row["priority"]) for row in due.iter_rows(named=True)}
    assert found == {
        1: (date(2027, 1, 31), False),
        2: (date(2026, 1, 31), True),
        3: (date(2026, 1, 31), False),
        4: (FIRST, False),
        5: (date(2026, 12, 24), True),
    }


def test_work_counts_the_visits_in_vain() -> None:
    """A household at one half takes its work for the seven eighths who open in three attempts, and 1.75 steps."""
    due = due_doors(pl.DataFrame([door(1)], schema=DOORS), load_cycles(), ABOVE, FIRST, 365)
    work = Work({"household": 480, "commercial": 1200, "industrial": 1500}, step_s=60, attempts_max=3)
    (found,) = estates(with_work(due, AccessRates(), work, FIRST))
    assert float(found.work_s[0]) == pytest.approx(0.875 * 480 + 1.75 * 60, rel=0.01)


def test_holidays_are_not_worked_and_make_up_days_are() -> None:
    """China's National Day is free, the Saturday that makes up for it is worked; without a country weekdays count."""
    china = WorkingDays("CN", frozenset(range(5)))
    assert china.closed(date(2026, 10, 1)) == "a public holiday (National Day)"
    assert china.is_worked(date(2026, 10, 10))
    assert china.closed(date(2026, 10, 17)) == "a Saturday, which is not worked"
    assert next(china.after(date(2026, 9, 30))) == date(2026, 10, 8)
    assert [WorkingDays("", frozenset(range(5))).is_worked(date(2026, 10, day)) for day in (1, 2, 3)] == [
        True,
        True,
        False,
    ]


def test_an_unknown_country_stops_the_start() -> None:
    """A country without known holidays is named, not found out in the night."""
    with pytest.raises(ValidationError, match="no holidays of 'XX' are known"):
        CampaignParams(holidays_of="XX")


def inspector(number: int, *areas: str) -> Inspector:
    hour = 3600
    return Inspector(
        number, f"I-{number}", frozenset(areas), frozenset({"household"}), Point(0, 0), 8 * hour, 16 * hour, 1800, 0, 0
    )


def test_who_shares_a_district_works_as_one_crew() -> None:
    """Leave takes its days off the crew's time; a reserve is kept; others' districts stay apart."""
    people = [inspector(1, "D01", "C"), inspector(2, "D01"), inspector(3, "D09")]
    found = crews(people, [Absent(2, FIRST, FIRST)], [True, True, False], FIRST, 0.5)
    assert found["D01"] is found["C"]
    assert found["D09"].inspectors == 1
    assert found["D01"].capacity_s.tolist() == [13_500, 27_000, 0]
