"""Doors of a year as arrays: when each comes due, what a visit takes on average, which come first. Pure, vectorised."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import polars as pl

from inspections.access_rates import AccessRates
from inspections.campaign import expected_attempts
from inspections.campaign_model import Crew, Estate
from inspections.cycle import Cycle, Cycles
from inspections.model import Inspector, UserClass

DOORS = pl.Schema(
    {
        "premises_id": pl.Int32(),
        "building_id": pl.Int32(),
        "compound_id": pl.Int32(),
        "area": pl.String(),
        "user_class": pl.String(),
        "built_year": pl.Int32(),
        "tenure": pl.String(),
        "elderly": pl.Boolean(),
        "special_care": pl.Boolean(),
        "last_entered_on": pl.Date(),
        "due_on": pl.Date(),
        "attempts": pl.Int32(),
    }
)
"""One row a door; `due_on` and `attempts` are those of its open periodic duty, null when it has none."""

_PRIORITY_GROUPS = ("old_building", "rented", "vacant", "elderly_alone")


@dataclass(frozen=True, slots=True)
class Work:
    """What visits take: seconds of work by user class, the step from door to door, and how often a door is tried."""

    service_s: Mapping[UserClass, int]
    step_s: int
    attempts_max: int


@dataclass(frozen=True, slots=True)
class Absent:
    """An inspector who does not work on some days, both included."""

    inspector_id: int
    from_day: date
    to_day: date


def due_doors(
    doors: pl.DataFrame, cycles: Cycles, above: Mapping[str, frozenset[str]], first_day: date, days: int
) -> pl.DataFrame:
    """The doors of DOORS that come due within `days` of `first_day`, with `due_day` (days after it) and `priority`.

    `above`: the districts above each district, itself included. A door of unknown history is due on the first day.
    """
    marked = doors.with_columns(_group(name, first_day, cycles.old_building_years).alias(name) for name in _GROUPS)
    months = pl.coalesce(
        pl.when(_matches(cycle, above)).then(pl.lit(cycle.months, pl.Int32)) for cycle in cycles.shortest_first()
    )
    entered = pl.col("last_entered_on")
    cycle_end = pl.coalesce(
        pl.when(pl.col("months") == length).then(entered.dt.offset_by(f"{length}mo"))
        for length in sorted({cycle.months for cycle in cycles.cycle})
    )
    missed = pl.col("attempts").fill_null(0) > 0
    due = marked.with_columns(months.alias("months")).with_columns(
        pl.coalesce("due_on", cycle_end, pl.lit(first_day)).alias("due"),
        (pl.any_horizontal(*_PRIORITY_GROUPS) | missed).alias("priority"),
    )
    within = due.filter(pl.col("due") < first_day + timedelta(days=days))
    return within.with_columns((pl.col("due") - first_day).dt.total_days().cast(pl.Int32).alias("due_day"))


def _group(name: str, today: date, old_building_years: int) -> pl.Expr:
    known = {
        "old_building": pl.col("built_year") <= today.year - old_building_years,
        "rented": pl.col("tenure") == "rented",
        "vacant": pl.col("tenure") == "vacant",
        "elderly_alone": pl.col("elderly"),
        "special_care": pl.col("special_care"),
    }
    return known[name].fill_null(value=False)


_GROUPS = ("old_building", "rented", "vacant", "elderly_alone", "special_care")


def _matches(cycle: Cycle, above: Mapping[str, frozenset[str]]) -> pl.Expr:
    wanted = pl.col("user_class") == cycle.user_class
    if cycle.areas:
        inside = [area for area, codes in above.items() if codes & set(cycle.areas)]
        wanted &= pl.col("area").is_in(inside)
    if cycle.risk_group is not None:
        wanted &= pl.col(cycle.risk_group)
    return wanted


def with_work(due: pl.DataFrame, rates: AccessRates, work: Work, on: date) -> pl.DataFrame:
    """Add `work_s`: the seconds a door takes until somebody gets in or the attempts end, by class and area."""
    kinds = due.select("user_class", "area").unique().rows()
    rows = [(user_class, area, _work_s(user_class, area, rates, work, on)) for user_class, area in kinds]
    schema = {"user_class": pl.String, "area": pl.String, "work_s": pl.Float64}
    return due.join(pl.DataFrame(rows, schema=schema, orient="row"), on=["user_class", "area"], how="left")


def _work_s(user_class: UserClass, area: str, rates: AccessRates, work: Work, on: date) -> float:
    hours = [rates.chance(user_class, area, on, hour) for hour in range(9, 17)]
    chance = sum(hours) / len(hours)
    attempts = expected_attempts(chance, work.attempts_max)
    entered = 1 - (1 - chance) ** work.attempts_max
    return entered * work.service_s[user_class] + attempts * work.step_s


def estates(due: pl.DataFrame) -> list[Estate]:
    """The doors compound by compound, in order of compound."""
    found = []
    for (compound_id, area), part in sorted(due.partition_by(["compound_id", "area"], as_dict=True).items()):
        found.append(
            Estate(
                compound_id=int(str(compound_id)),
                area=str(area),
                building_id=part["building_id"].to_numpy().astype(np.int32),
                due_day=part["due_day"].to_numpy().astype(np.int32),
                work_s=part["work_s"].to_numpy().astype(np.float64),
                priority=part["priority"].to_numpy().astype(np.bool_),
            )
        )
    return found


def crews(
    inspectors: Sequence[Inspector], absent: Iterable[Absent], worked: Sequence[bool], first_day: date, reserve: float
) -> dict[str, Crew]:
    """The crew of each area: who shares areas works as one; `reserve` of the time is kept for what comes up."""
    away: dict[int, list[Absent]] = {}
    for one in absent:
        away.setdefault(one.inspector_id, []).append(one)
    found: dict[str, Crew] = {}
    for areas, members in _groups(inspectors):
        capacity = np.zeros(len(worked))
        for inspector in members:
            there = np.array(worked, dtype=float)
            for one in away.get(inspector.inspector_id, ()):
                begin, end = (one.from_day - first_day).days, (one.to_day - first_day).days + 1
                there[max(0, begin) : max(0, end)] = 0
            capacity += there * (inspector.shift_end_s - inspector.shift_start_s - inspector.break_s) * (1 - reserve)
        crew = Crew("+".join(sorted(areas)), len(members), capacity)
        found |= dict.fromkeys(areas, crew)
    return found


def _groups(inspectors: Sequence[Inspector]) -> list[tuple[set[str], list[Inspector]]]:
    groups: list[tuple[set[str], list[Inspector]]] = []
    for inspector in inspectors:
        areas, members = set(inspector.areas), [inspector]
        for other in [group for group in groups if group[0] & areas]:
            groups.remove(other)
            areas |= other[0]
            members = [*other[1], *members]
        groups.append((areas, members))
    return groups
