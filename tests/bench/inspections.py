"""Rosters: a district and a city day beside the plain plan and other solvers, published instances, alarms.

Run as `scripts/bench inspections [--full] [--parts district,published,...] [--json FILE]`. Quick by default: one
district at three seconds, few published instances at five, three alarms; --full takes four districts at about ten
seconds, the city (200 inspectors, 10,000 doors), all carried instances at sixty and thirty alarms.
`--install-rivals` makes an interpreter with VROOM and OR-Tools under var/, `--rivals PYTHON` takes one there is.
"""

import argparse
import asyncio
import json
import resource
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from inspections.model import Day, Plan
from inspections.planner import plan_greedily
from inspections.search import Search
from inspections.worker import plan_apart
from tests.bench import inspections_rivals as rivals
from tests.bench.inspections_days import city_day, district_day, measure
from tests.bench.inspections_emergency import run_emergencies
from tests.bench.inspections_published import CARRIED, run_published

PARTS = ("district", "city", "published", "emergency")
_QUICK = ("district", "published", "emergency")
Row = dict[str, Any]


def run_day(label: str, day: Day, search: Search, seed: int, python: Path | None, *, rival: bool) -> Iterator[Row]:
    """Plan one generated day: plainly, as the product does, and by each rival in the seconds that ours took."""
    begun = time.perf_counter()
    plain = plan_greedily(day, seed)
    yield {"day": label, **measure(day, plain, time.perf_counter() - begun)}
    begun = time.perf_counter()
    ours: Plan = asyncio.run(plan_apart(day, search, seed))
    seconds = time.perf_counter() - begun
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
    yield {"day": label, **measure(day, ours, seconds), "memory_mb": memory}
    for name in ("vroom", "ortools") if rival and python else ():
        assert python is not None
        found = rivals.run_rival(python, name, day, seconds, seed)
        if isinstance(found, str):
            Console(stderr=True).print(f"{name} gave no plan: {found}")
        else:
            yield {"day": label, **measure(day, found[0], found[1])}


def run_parts(options: argparse.Namespace, python: Path | None) -> Iterator[tuple[str, list[Row]]]:
    """The rows of each part asked for."""
    parts = options.parts.split(",") if options.parts else PARTS if options.full else _QUICK
    search = Search(iterations_per_call=options.iterations or (10 if options.full else 3), polish_share=options.polish)
    if "district" in parts:
        rows: list[Row] = []
        for seed in range(1, 5 if options.full else 2):
            rows += run_day(f"district {seed}", district_day(seed), search, seed, python, rival=True)
        yield "district", rows
    if "city" in parts:
        yield "city", list(run_day("city", city_day(1), search, 1, python, rival=False))
    if "published" in parts:
        folder = options.published or CARRIED
        yield "published", list(_told(run_published(60.0 if options.full else 5.0, folder, few=not options.full)))
    if "emergency" in parts:
        days, alarms = (3, 10) if options.full else (1, 3)
        yield "emergency", list(run_emergencies(1, days, alarms, search.iterations_per_call))


def _told(rows: Iterator[Row]) -> Iterator[Row]:
    """The same rows, each said on standard error as it comes: the instances take a minute each."""
    said = Console(stderr=True)
    for row in rows:
        said.print(f"{row['instance']}, {row['with']}: {row['value']}, best known {row['best_known']}")
        yield row


def verdict(part: str, rows: Sequence[Row]) -> list[str]:
    """What is not as it should be, in words."""
    wrong = [f"{part}: {row['broken_rules']} broken rules in {row}" for row in rows if row["broken_rules"]]
    if part in {"district", "city"}:
        wrong += [line for day in {row["day"] for row in rows} for line in _worse([r for r in rows if r["day"] == day])]
    if part == "emergency":
        wrong += [f"alarm at {row['at']}: took {row['cpu_s']} s of a core" for row in rows if row["cpu_s"] > 2]
        wrong += [f"alarm at {row['at']}: a promise was broken" for row in rows if row["promises_broken"]]
        wrong += [f"alarm at {row['at']}: nobody goes" for row in rows if row["reached_after_min"] is None]
    return wrong


def _worse(rows: Sequence[Row]) -> list[str]:
    """At least five percent more priority than the plain plan, and no rival with more."""
    served = {row["solver"]: row["priority_pct"] for row in rows}
    ours, day = served["pyvrp"], rows[0]["day"]
    wrong = [] if ours >= 1.05 * served["greedy"] else [f"{day}: {ours} % is not 5 % more than {served['greedy']} %"]
    return wrong + [f"{day}: {name} serves {pct} %, ours {ours} %" for name, pct in served.items() if pct > ours]


def main(argv: Sequence[str] | None = None) -> int:
    """Print a table for each part; 1 when a rule or a promise was broken, or the target of a part was missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="the sizes of a city; about half an hour")
    parser.add_argument("--parts", help=f"of {','.join(PARTS)}; default without --full: {','.join(_QUICK)}")
    parser.add_argument("--iterations", type=int, help="solver iterations for each door")
    parser.add_argument(
        "--polish", type=float, default=Search().polish_share, help="share of the search that moves single doors"
    )
    parser.add_argument("--published", type=Path, help="folder with more instances in Solomon's format")
    parser.add_argument("--rivals", type=Path, help="a Python that has pyvroom and ortools")
    parser.add_argument("--install-rivals", action="store_true", help=f"install {', '.join(rivals.PINNED)} under var/")
    parser.add_argument("--json", type=Path, help="write the rows to a file as well")
    options = parser.parse_args(argv)
    python = rivals.install() if options.install_rivals else rivals.interpreter(options.rivals)
    console = Console()
    console.width = max(console.width, 150)
    if python is None:
        console.print("VROOM and OR-Tools are not installed (--install-rivals): skipped")
    found, wrong = {}, []
    for part, rows in run_parts(options, python):
        found[part] = rows
        _show(console, part, rows)
        wrong += verdict(part, rows)
    for line in wrong:
        console.print(f"[red]{line}[/red]")
    if options.json:
        options.json.write_text(json.dumps(found, indent=1), "utf-8")
    return int(bool(wrong))


def _show(console: Console, title: str, rows: Sequence[Row]) -> None:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    table = Table(*columns, title=title)
    for row in rows:
        table.add_row(*("" if row.get(name) is None else str(row[name]) for name in columns))
    console.print(table)


if __name__ == "__main__":
    raise SystemExit(main())
