"""The year: a campaign for a city's doors, and what learning who opens when is worth over a year, by simulation.

Run as `scripts/bench campaign [--full] [--json FILE]`. Quick by default (100,000 doors, a small year); --full takes two
million doors, 200 inspectors and 250 working days, and a larger year.
"""

import argparse
import json
import random
import resource
import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from datetime import time as clock_time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from rich.console import Console
from rich.progress import track
from rich.table import Table

from inspections.access_rates import AccessPrior, AccessRates, Tried, expected_service_s
from inspections.campaign_doors import DOORS
from inspections.campaigning import Material, make
from inspections.cycle import Cycles, load_cycles, next_attempt, other_half_day
from inspections.model import Duty, Inspector, Overbooking, Point
from inspections.params import RosterParams

_FIRST = date(2027, 1, 4)
_HOURS = range(9, 17)
_PARAMS = RosterParams()
_BOOKING = Overbooking()
_LEVELS = (0.3, 0.5, 0.7)  # the share of first visits that would be answered, roughly
_HOMES_AN_INSPECTOR = 8_000
_VISIT_S, _MOVING_S = 480, 150
_WORK_S_AN_HOUR = 3000  # of each hour from 9 to 17: an hour and twenty minutes of the day go to breaks and ways


def city(doors: int, inspectors: int, seed: int) -> Material:
    """A city of homes in compounds of 5 to 40 buildings; each station of five inspectors has a district of its own."""
    rng = np.random.default_rng(seed)
    stations = max(1, inspectors // 5)
    building = rng.integers(0, max(1, doors // 70), doors).astype(np.int32)
    compound = building // 20
    built, tenure = 1990 + building % 36, rng.choice(["owner", "owner", "owner", "owner", "rented"], doors)
    shop = rng.random(doors) < 0.03
    months = np.where(shop | (tenure == "rented"), 12, np.where(built <= 2002, 18, 24))  # as inspections/cycles.toml
    entered = np.datetime64(_FIRST) - (months * 30.44 - rng.integers(10, 365, doors)).astype("timedelta64[D]")
    frame = pl.DataFrame(
        {
            "premises_id": np.arange(doors, dtype=np.int32),
            "building_id": building,
            "compound_id": compound,
            "area": [f"S{number:03d}" for number in compound % stations],
            "user_class": np.where(shop, "commercial", "household"),
            "built_year": built.astype(np.int32),
            "tenure": tenure,
            "elderly": rng.random(doors) < 0.06,
            "special_care": np.zeros(doors, bool),
            "last_entered_on": entered,
            "due_on": pl.Series([None], dtype=pl.Date).extend_constant(None, doors - 1),
            "attempts": pl.Series([None], dtype=pl.Int32).extend_constant(None, doors - 1),
        },
        schema_overrides=DOORS,
    )
    crew = [_inspector(number, f"S{number // 5 % stations:03d}") for number in range(inspectors)]
    above = {f"S{number:03d}": frozenset({f"S{number:03d}"}) for number in range(stations)}
    return Material(_FIRST, frame, crew, [], above, AccessRates(), load_cycles())


def _inspector(number: int, area: str) -> Inspector:
    skills = frozenset({"household", "commercial"})
    return Inspector(
        number, f"I-{number}", frozenset({area}), skills, Point(31.8, 117.2), 30_600, 59_400, 1800, 41_400, 48_600
    )


def measure_plan(doors: int, inspectors: int) -> dict[str, Any]:
    """Plan the year of a generated city; seconds, memory, and the plan's own figures."""
    material = city(doors, inspectors, 1)
    before_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    begun = time.perf_counter()
    campaign, figures = make(material, _PARAMS)
    seconds = time.perf_counter() - begun
    compounds = Counter((block.day, block.area) for block in campaign.blocks)
    opened = {(block.day, block.area, block.compound_id) for block in campaign.blocks}
    return {
        "doors": doors,
        "inspectors": inspectors,
        "seconds": round(seconds, 1),
        "memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "memory_before_mb": round(before_mb),
        "compounds_a_station_and_day": round(len(opened) / max(1, len(compounds)), 2),
        **figures,
    }


@dataclass(slots=True)
class Home:
    """A home of the simulated year: how likely it opens at which hours is hidden from the planner."""

    number: int
    away: bool  # at work by day: opens at weekends, early and late
    attempts: int = 0
    entered: bool = False
    not_before: date = _FIRST
    hours: tuple[int, int] = (9, 17)


def opens(home: Home, hour: int, *, weekend: bool, level: float) -> float:
    """The hidden chance: `level` is the share that answers a first visit at a random working hour."""
    if not home.away:
        return min(0.95, level * 1.5)
    best = weekend or hour < 10 or hour >= 16
    return min(0.95, level * (1.2 if best else 0.35))


def simulate(homes_count: int, inspectors: int, level: float, *, learn: bool, seed: int) -> dict[str, Any]:
    """A year of six-day weeks with fixed working time: who is entered, with and without learning.

    Without learning every door is given its full time and a door that did not open is tried in the other half of the
    day. With learning, time is overbooked by the chance learned so far, and the next attempt takes the best hours.
    """
    rng = random.Random(seed)
    homes = [Home(number, rng.random() < 0.6) for number in range(homes_count)]
    seen: Counter[tuple[bool, int, int, bool]] = Counter()
    rates, cycles = AccessRates(), load_cycles()
    visits = entered = first = first_entered = 0
    for day in (_FIRST + timedelta(days=offset) for offset in range(364)):
        if day.weekday() == 6:
            continue
        if learn and day.weekday() == 0:
            rates = _rates(seen)
        for home, hour in _day(homes, day, inspectors, rates, learn=learn):
            got_in = rng.random() < opens(home, hour, weekend=day.weekday() == 5, level=level)
            seen[day.weekday() == 5, hour, min(home.attempts, 3), got_in] += 1
            visits, entered = visits + 1, entered + got_in
            first, first_entered = first + (not home.attempts), first_entered + (got_in and not home.attempts)
            home.entered = got_in
            if not got_in:
                _try_again(home, day, hour, rates, cycles, learn=learn)
    return {
        "learning": learn,
        "homes": homes_count,
        "visits": visits,
        "first_visits_entered_pct": round(100 * first_entered / max(1, first), 1),
        "visits_entered_pct": round(100 * entered / max(1, visits), 1),
        "reached_pct": round(100 * entered / homes_count, 1),
    }


def _rates(seen: Counter[tuple[bool, int, int, bool]]) -> AccessRates:
    tried: Counter[tuple[bool, int, int]] = Counter()
    for (weekend, hour, attempts, _), count in seen.items():
        tried[weekend, hour, attempts] += count
    cells = [
        Tried("household", "D01", weekend, hour, attempts, count, seen[weekend, hour, attempts, True])
        for (weekend, hour, attempts), count in tried.items()
    ]
    return AccessRates(cells, AccessPrior())


def _day(
    homes: Sequence[Home], day: date, inspectors: int, rates: AccessRates, *, learn: bool
) -> Iterator[tuple[Home, int]]:
    """The doors of a day with the hour of each visit, repeats first; the working time decides how many."""
    queues: dict[tuple[int, int], deque[Home]] = defaultdict(deque)
    for home in sorted(homes, key=lambda one: (-one.attempts, one.number)):
        if not home.entered and home.not_before <= day:
            queues[home.hours].append(home)
    for hour in (hour for hour in _HOURS for _ in range(inspectors)):
        left_s = _WORK_S_AN_HOUR
        fitting = sorted((hours for hours in queues if hours[0] <= hour < hours[1]), key=lambda one: one[1] - one[0])
        while left_s > 0 and (hours := next((one for one in fitting if queues[one]), None)):
            home = queues[hours].popleft()
            chance = rates.chance("household", "D01", day, hour, home.attempts)
            left_s -= _MOVING_S + (expected_service_s(_VISIT_S, chance, _BOOKING) if learn else _VISIT_S)
            yield home, hour


def _try_again(home: Home, day: date, hour: int, rates: AccessRates, cycles: Cycles, *, learn: bool) -> None:
    duty = Duty(home.number, home.number, "periodic", day, mandatory=False, reason="", attempts=home.attempts)
    home.not_before = next_attempt(cycles.no_access, duty, day)
    home.attempts += 1
    if not learn:
        window = other_half_day(cycles.no_access, datetime.combine(day, clock_time(hour)))
        home.hours = (9, 13) if window is not None and window.early_s == 0 else (13, 17)
        return
    best = rates.best_times("household", "D01", home.attempts, from_hour=9, to_hour=17)[0]
    if best.weekend:
        home.not_before += timedelta(days=(5 - home.not_before.weekday()) % 7)
    home.hours = (best.from_hour, best.to_hour)


def show(title: str, rows: Sequence[dict[str, Any]]) -> None:
    """Print rows of equal columns as a table."""
    table = Table(title=title, title_justify="left")
    for column in rows[0]:
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(f"{value:,}" if isinstance(value, int | float) else str(value) for value in row.values()))
    Console(width=180).print(table)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="scripts/bench campaign", description=__doc__)
    parser.add_argument("--full", action="store_true", help="two million doors, 200 inspectors; a larger year")
    parser.add_argument("--json", type=Path, help="write the figures to a file")
    options = parser.parse_args()
    planned = measure_plan(2_000_000, 200) if options.full else measure_plan(100_000, 10)
    show("The campaign of a year", [{"figure": key, "value": value} for key, value in planned.items()])
    inspectors = 5 if options.full else 1
    cases = [(level, learn) for level in _LEVELS for learn in (False, True)]
    years = [
        simulate(_HOMES_AN_INSPECTOR * inspectors, inspectors, level, learn=learn, seed=1)
        for level, learn in track(cases, "simulating years")
    ]
    show("A year at doors that open to some of the first visits", years)
    if options.json is not None:
        options.json.write_text(json.dumps({"campaign": planned, "years": years}, indent=2, default=str))


if __name__ == "__main__":
    main()
