"""VROOM and OR-Tools on the instance that our solver gets, in an interpreter of their own; no dependency of ours.

`scripts/bench inspections --install-rivals` makes that interpreter under var/. The routes they return get the same hard
phase and filling as ours and are judged by the same checker.
"""

import json
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from inspections import routing
from inspections.model import Day, Plan
from inspections.planner import finish
from inspections.routing import make_blocks
from inspections.search import Search
from inspections.timetable import Ground, needs_break

PINNED = ("pyvroom==1.15.2", "ortools==9.15.6755", "numpy==2.4.6", "pandas==3.1.1")
FOLDER = Path(__file__).parents[2] / "var" / "rivals"
_SCRIPT = Path(__file__).with_name("_rival.py")
_BLOCK = 6  # measured: the best block size of both


def install() -> Path:
    """Make the interpreter with the pinned rivals; returns it."""
    venv.create(FOLDER, with_pip=True)
    python = FOLDER / "bin" / "python"
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", "--only-binary", ":all:", *PINNED], check=True)
    return python


def interpreter(given: Path | None) -> Path | None:
    """The interpreter that has the rivals, or None."""
    found = given or FOLDER / "bin" / "python"
    return found if found.exists() else None


def run_rival(python: Path, name: str, day: Day, seconds: float, seed: int) -> tuple[Plan, float] | str:
    """A rival's plan of a day and the seconds it took, or why there is none."""
    ground = Ground(day)
    blocks = make_blocks(ground, _BLOCK)
    asked = json.dumps(instance(ground, blocks) | {"solver": name, "seconds": seconds, "seed": seed})
    done = subprocess.run([str(python), str(_SCRIPT)], input=asked, capture_output=True, text=True, check=False)
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["no answer"])[-1]
    answer = json.loads(done.stdout)
    routes: list[list[int]] = [[] for _ in day.inspectors]
    for position, route in enumerate(answer["routes"]):
        routes[position] = [call for block in route for call in blocks[block]]
    return finish(ground, routes, name, seed, load_spread_max=10.0), answer["seconds"]


def instance(ground: Ground, blocks: Sequence[tuple[int, ...]]) -> dict[str, Any]:
    """The day as our solver sees it: compressed clock, lengthened services, prizes; in plain numbers."""
    search, demands = Search(), routing._demands(ground)
    cut = routing._common_cut(ground.day.inspectors)
    clients = []
    for block in blocks:
        call = ground.calls[block[0]]
        early, late = routing._compressed(call.window, cut)
        asked = {("area", call.door.area), *(("skill", skill) for skill in call.skills)}
        clients.append(
            {
                "place": ground.place[block[0]],
                "service_s": sum(ground.service_s[c] + ground.flat_s for c in block),
                "early_s": early,
                "late_s": late,
                "needs": [n for n, demand in enumerate(demands) if demand in asked],
                "prize": int(sum(ground.calls[c].worth * (20 if ground.calls[c].must else 1) for c in block)),
                "must": call.must,
            }
        )
    vehicles = []
    for position, inspector in enumerate(ground.day.inspectors):
        has = {"skill": inspector.skills, "area": inspector.areas}
        rest = inspector.break_s if needs_break(inspector) else 0
        vehicles.append(
            {
                "start": ground.station[position],
                "end": ground.end[position],
                "early_s": inspector.shift_start_s,
                "late_s": inspector.shift_end_s - rest,
                "has": [n for n, (kind, name) in enumerate(demands) if name in has[kind]],
            }
        )
    return {
        "durations": routing._durations(ground).tolist(),
        "costs": routing._costs(ground, search).tolist(),
        "prize_factor": search.prize_factor,
        "clients": clients,
        "vehicles": vehicles,
    }


if __name__ == "__main__":
    sys.exit(f"{install()} is ready")
