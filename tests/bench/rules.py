"""Rules: accuracy against a hard city's truth, recorded real homes, the whole city, backtests.

Everything runs on a database of this run with production's durable settings, in simulated time. Quick by default;
--full takes the sizes of a city: 10,000 homes x 60 days, 1.5 million meters x 48 hours, 10,000 meters x 30 days.
"""

import argparse
import asyncio
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from rules.catalog import default_catalog
from tests.bench import rules_accuracy, rules_backtest, rules_city, rules_plot, rules_recorded, rules_windows
from tests.bench.rules_accuracy import Sizes

PARTS = ("accuracy", "windows", "city", "backtest", "recorded")


def _sizes(chosen: argparse.Namespace, quick: Sizes = rules_accuracy.QUICK, full: Sizes = rules_accuracy.FULL) -> Sizes:
    usual = full if chosen.full else quick
    return replace(usual, homes=chosen.homes or usual.homes, days=chosen.days or usual.days)


async def run(chosen: argparse.Namespace, console: Console) -> dict[str, Any]:
    """The parts that were asked for, one after the other; their figures by name."""
    figures: dict[str, Any] = {}
    if "accuracy" in chosen.parts:
        result = await rules_accuracy.measure(_sizes(chosen), chosen.seed, console, chosen.database)
        rules_accuracy.report(result, default_catalog(), console)
        figures["accuracy"] = result.as_json()
    if "windows" in chosen.parts:
        result = rules_windows.measure(_sizes(chosen), chosen.seed, console)
        rules_accuracy.report(result, default_catalog(), console)
        figures["windows"] = result.as_json()
    if "city" in chosen.parts:
        costs = await rules_city.measure(
            chosen.meters or (rules_city.FULL if chosen.full else rules_city.QUICK), console
        )
        rules_city.report(costs, console)
        figures["city"] = rules_city.as_json(costs)
    if "backtest" in chosen.parts:
        sizes = _sizes(chosen, rules_backtest.QUICK, rules_backtest.FULL)
        tried = await rules_backtest.measure(sizes, chosen.seed, console, chosen.database)
        rules_backtest.report(tried, console)
        figures["backtest"] = rules_backtest.as_json(tried)
    if "recorded" in chosen.parts and chosen.recorded:
        found = await rules_recorded.measure(chosen.recorded, console)
        rules_recorded.report(found, console)
        figures["recorded"] = rules_recorded.as_json(found)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="the sizes of a city, minutes instead of seconds")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="only these")
    parser.add_argument("--seed", type=int, default=1, help="of the simulated city")
    parser.add_argument(
        "--database", help="an empty database of your own (its owner's address) instead of one of this run"
    )
    parser.add_argument("--meters", nargs="+", type=int, help="sizes of the whole city instead of the usual ones")
    parser.add_argument("--recorded", type=Path, help="folder of recorded real homes; without it that part is left out")
    parser.add_argument("--homes", type=int, help="homes of the simulated city instead of the usual number")
    parser.add_argument("--days", type=int, help="days of its history instead of the usual number")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    parser.add_argument("--plot", type=Path, help="draw them into this PNG file")
    chosen = parser.parse_args()
    console = Console(width=150 if not sys.stdout.isatty() else None)
    figures = asyncio.run(run(chosen, console))
    if chosen.json:
        chosen.json.write_text(json.dumps(figures, indent=1, default=str) + "\n", "utf-8")
    if chosen.plot:
        rules_plot.draw(figures, chosen.plot)


if __name__ == "__main__":
    main()
