"""A district day against the plain plan: 20 inspectors, 1,000 doors, about ten seconds of search.

Run as `scripts/bench inspections [--full] [--json FILE]`.
"""

import argparse
import json
import random
import time
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

from inspections.checker import broken_rules
from inspections.model import Call, Day, Door, Duty, Inspector, Plan, Point, Travel, Window
from inspections.planner import plan, plan_greedily
from inspections.routing import Search

_HOUR = 3600


def district_day(seed: int, *, inspectors: int = 20, doors: int = 1000, mandatory: int = 15) -> Day:
    """A generated campaign day: compounds of 5-40 buildings, 24-120 flats, 12 % appointments, a few mandatory doors."""
    rng = random.Random(seed)
    day = date(2026, 11, 23)
    calls: list[Call] = []
    compound_id = building_id = 0
    while len(calls) < doors:
        compound_id += 1
        centre = Point(31.8 + rng.uniform(-0.05, 0.05), 117.2 + rng.uniform(-0.06, 0.06))
        for _ in range(rng.randint(5, 40)):
            building_id += 1
            place = Point(centre.latitude + rng.gauss(0, 0.002), centre.longitude + rng.gauss(0, 0.002))
            flats = rng.randint(24, 120)
            for _ in range(min(max(1, int(flats * rng.uniform(0.02, 0.15))), doors - len(calls))):
                calls.append(_call(rng, day, len(calls) + 1, compound_id, building_id, place))
    chosen = set(rng.sample(range(doors), mandatory))
    return Day(
        day,
        tuple(_made_mandatory(call) if index in chosen else call for index, call in enumerate(calls)),
        tuple(_inspector(rng, number) for number in range(1, inspectors + 1)),
        Travel(),
    )


def _call(rng: random.Random, day: date, number: int, compound_id: int, building_id: int, place: Point) -> Call:
    commercial = rng.random() < 0.05
    door = Door(
        number, f"P{number:05d}", building_id, compound_id, "D01", place, "commercial" if commercial else "household"
    )
    duty = Duty(number, number, "periodic", day, mandatory=False, reason="periodic inspection")
    window = None
    if rng.random() < 0.12:
        early = rng.choice([9, 10, 13, 14, 15]) * _HOUR
        window = Window(early, early + 2 * _HOUR)
    service = rng.randint(15, 25) * 60 if commercial else 480
    skills = frozenset({"commercial" if commercial else "household"})
    priority = min(60, 5 + int(rng.expovariate(1 / 10)))
    return Call(door, (duty,), priority, ("periodic inspection",), False, skills, service, window)


def _made_mandatory(call: Call) -> Call:
    return Call(call.door, call.duties, call.priority + 100, call.reasons, True, call.skills, call.service_s, None)


def _inspector(rng: random.Random, number: int) -> Inspector:
    start = Point(31.8 + rng.uniform(-0.05, 0.05), 117.2 + rng.uniform(-0.06, 0.06))
    skills = frozenset({"household", "commercial"} if number % 3 == 0 else {"household"})
    return Inspector(
        number, f"I-{number:03d}", frozenset({"D01"}), skills, start,
        8 * _HOUR + _HOUR // 2, 16 * _HOUR + _HOUR // 2, 1800, 11 * _HOUR + 1800, 13 * _HOUR + 1800,
    )  # fmt: skip


def measure(day: Day, made: Plan, seconds: float) -> dict[str, object]:
    """The figures of one plan; broken rules are counted by the independent checker."""
    visits = made.visits()
    total = sum(call.priority for call in day.calls)
    travel = sum(roster.travel_s for roster in made.rosters)
    compounds = [len({visit.call.door.compound_id for visit in roster.visits}) for roster in made.rosters]
    return {
        "solver": made.solver,
        "seconds": round(seconds, 1),
        "priority_pct": round(100 * sum(visit.call.priority for visit in visits) / total, 1),
        "visits": len(visits),
        "mandatory": f"{sum(v.call.mandatory for v in visits)}/{sum(c.mandatory for c in day.calls)}",
        "travel_min_per_visit": round(travel / 60 / max(1, len(visits)), 2),
        "compounds_per_inspector": round(sum(compounds) / max(1, len(compounds)), 1),
        "broken_rules": len(broken_rules(day, made)),
    }


def run_day(seed: int, search: Search) -> list[dict[str, object]]:
    """Plan one generated day both ways."""
    day = district_day(seed)
    rows = []
    makers: list[Callable[[], Plan]] = [lambda: plan_greedily(day, seed), lambda: plan(day, search, seed)]
    for make in makers:
        begun = time.perf_counter()
        made = make()
        rows.append({"day": seed, **measure(day, made, time.perf_counter() - begun)})
    return rows


def main(argv: Sequence[str] | None = None) -> int:
    """Print one row per day and plan; 1 when a rule was broken or the solver served less than the plain plan."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="four generated days instead of one")
    parser.add_argument("--iterations", type=int, default=10, help="per door")
    parser.add_argument("--polish", type=float, default=0.0, help="share of the search that moves single doors")
    parser.add_argument("--json", type=Path, help="write the rows to a file as well")
    options = parser.parse_args(argv)
    search = Search(iterations_per_call=options.iterations, polish_share=options.polish)
    rows = [row for seed in range(1, 5 if options.full else 2) for row in run_day(seed, search)]
    for row in rows:
        print("  ".join(f"{key} {value}" for key, value in row.items()))  # noqa: T201
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1), "utf-8")
    worse = any(
        float(str(s["priority_pct"])) < float(str(g["priority_pct"]))
        for g, s in zip(rows[::2], rows[1::2], strict=True)
    )
    return int(worse or any(row["broken_rules"] for row in rows))


if __name__ == "__main__":
    raise SystemExit(main())
