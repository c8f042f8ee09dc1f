"""Published instances with time windows and with prizes, through the product's own modelling.

With time windows (VRPTW): all customers must be served, travel counts. With prizes (TOPTW): a fixed number of
inspectors, the demand of a customer is its prize, not all can be served. A unit of an instance is ten seconds here;
distances are cut to one decimal, as the best known values have it. Our model knows no capacity: where the plan found
exceeds the vehicles' capacity this is said, and the value is that of a relaxed problem.
"""

import math
import time
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from inspections.checker import broken_rules
from inspections.model import Call, Day, Door, Duty, Inspector, Plan, Point, Travel, TravelTable, Window
from inspections.planner import plan
from inspections.search import Search

CARRIED = Path(__file__).parents[1] / "data" / "solomon"
_UNIT_S = 10
_DAY = date(2026, 11, 23)
# Best known: travel with distances cut to one decimal (DIMACS challenge of 2022), and prizes for 1..4 tours, as the
# literature on team orienteering with time windows gives them (Vansteenwegen et al. 2009 and later).
BEST_TRAVEL = {
    "C101": 827.3, "R101": 1637.7, "RC101": 1619.8, "C201": 589.1, "R201": 1143.2, "RC208": 776.1,
}  # fmt: skip
BEST_PRIZE = {"C101": (320, 590, 810, 1020), "R101": (198, 349, 484, 611), "RC101": (219, 427, 621, 811)}


@dataclass(frozen=True, slots=True)
class Customer:
    """A row of an instance; the first is the depot."""

    number: int
    x: float
    y: float
    demand: int
    ready: int
    due: int
    service: int


@dataclass(frozen=True, slots=True)
class Instance:
    """A published instance: vehicles, their capacity, depot and customers."""

    name: str
    vehicles: int
    capacity: int
    customers: tuple[Customer, ...]


def read_instance(path: Path) -> Instance:
    """Read a file in Solomon's format."""
    rows = [line.split() for line in path.read_text("utf-8").splitlines() if line.strip()]
    numbers = [[int(float(cell)) for cell in row] for row in rows if all(_is_number(cell) for cell in row)]
    (vehicles, capacity), customers = numbers[0], [Customer(*row) for row in numbers[1:]]
    return Instance(rows[0][0], vehicles, capacity, tuple(customers))


def _is_number(cell: str) -> bool:
    return cell.replace(".", "", 1).replace("-", "", 1).isdigit()


def as_day(instance: Instance, inspectors: int, *, prizes: bool) -> Day:
    """The instance as a day: a customer is a building with one door, the horizon is the shift."""
    depot, *customers = instance.customers
    points = [Point(customer.y / 1000, customer.x / 1000) for customer in instance.customers]
    seconds = tuple(array("i", [_distance(a, b) for b in instance.customers]) for a in instance.customers)
    table = TravelTable("published", {point: number for number, point in enumerate(points)}, seconds)
    staff = tuple(
        Inspector(number, f"V{number:02d}", frozenset({"A"}), frozenset(), points[0], depot.ready * _UNIT_S,
                  depot.due * _UNIT_S, 0, 0, 0) for number in range(1, inspectors + 1)
    )  # fmt: skip
    calls = tuple(_call(customer, points[n], prizes=prizes) for n, customer in enumerate(customers, 1))
    return Day(_DAY, calls, staff, Travel(1.0, 1000.0, 0, 0, 0), table)


def _call(customer: Customer, point: Point, *, prizes: bool) -> Call:
    door = Door(customer.number, f"C{customer.number}", customer.number, 1, "A", point, "household")
    duty = Duty(customer.number, customer.number, "periodic", _DAY, mandatory=False, reason="published")
    window = Window(customer.ready * _UNIT_S, customer.due * _UNIT_S)
    priority = customer.demand if prizes else 100
    return Call(door, (duty,), priority, ("published",), False, frozenset(), customer.service * _UNIT_S, window)


def _distance(a: Customer, b: Customer) -> int:
    return math.floor(math.hypot(a.x - b.x, a.y - b.y) * 10)


def run_published(seconds: float, folder: Path, *, few: bool) -> Iterator[dict[str, Any]]:
    """Solve the instances of a folder with both objectives; the gap is against the best known, in percent."""
    search = Search(iterations_per_call=10**6, block_size=1, load_spread_max=10.0, seconds_max=seconds)
    for path in sorted(folder.glob("*.txt")):
        instance = read_instance(path)
        if few and instance.name not in {"R101", "C201", "RC101"}:
            continue
        yield _with_windows(instance, search)
        for tours, best in enumerate(BEST_PRIZE.get(instance.name, ()), 1):
            if not few or tours in {1, 2}:
                yield _with_prizes(instance, tours, best, search)


def _with_windows(instance: Instance, search: Search) -> dict[str, Any]:
    day = as_day(instance, instance.vehicles, prizes=False)
    made, seconds = _timed(day, search)
    travel = sum(roster.travel_s for roster in made.rosters) / _UNIT_S
    best = BEST_TRAVEL.get(instance.name)
    demand = {customer.number: customer.demand for customer in instance.customers}
    fullest = max((sum(demand[v.call.premises_id] for v in r.visits) for r in made.rosters), default=0)
    return {
        "instance": instance.name,
        "with": "time windows",
        "served": f"{len(made.visits())}/{len(day.calls)}",
        "value": round(travel, 1),
        "best_known": best,
        "gap_pct": None if best is None else round(100 * (travel / best - 1), 2),
        "capacity": "kept" if fullest <= instance.capacity else f"exceeded ({fullest} of {instance.capacity})",
        "seconds": seconds,
        "broken_rules": len(broken_rules(day, made)),
    }


def _with_prizes(instance: Instance, tours: int, best: int, search: Search) -> dict[str, Any]:
    day = as_day(instance, tours, prizes=True)
    made, seconds = _timed(day, search)
    prize = sum(visit.call.priority for visit in made.visits())
    return {
        "instance": instance.name,
        "with": f"prizes, {tours} tour{'s' if tours > 1 else ''}",
        "served": f"{len(made.visits())}/{len(day.calls)}",
        "value": prize,
        "best_known": best,
        "gap_pct": round(100 * (1 - prize / best), 2),
        "capacity": "-",
        "seconds": seconds,
        "broken_rules": len(broken_rules(day, made)),
    }


def _timed(day: Day, search: Search) -> tuple[Plan, float]:
    begun = time.perf_counter()
    made = plan(day, search, 1)
    return made, round(time.perf_counter() - begun, 1)
