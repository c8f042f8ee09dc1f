"""Plans in processes of their own, as many as there are cores: seconds of search never block the event loop."""

import asyncio
import os
import pickle
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from inspections.model import Day, Plan
from inspections.planner import joined, plan_parts
from inspections.search import Search
from inspections.stations import Part, parts

_ROOT = Path(__file__).resolve().parent.parent
_CALLS_WORTH_A_PROCESS = 150
_NICENESS = 5
Made = TypeVar("Made")


class PlanningFailed(Exception):
    """The planning process ended without a plan; the message holds its last words."""


async def plan_apart(day: Day, search: Search, seed: int, timeout_s: float = 900.0) -> Plan:
    """Plan a day's parts in other processes; raises PlanningFailed. Cancelling ends them all.

    The plan is the same however many cores there are.
    """
    cut = parts(day)
    shares = _shares(cut, len(os.sched_getaffinity(0)))
    made: dict[int, Plan] = {}

    async def work(share: Sequence[int]) -> None:
        days = [cut[number].day for number in share]
        plans = await run_apart(plan_parts, days, day.inspectors, search, seed, timeout_s=timeout_s)
        made.update(zip(share, plans, strict=True))

    try:
        async with asyncio.TaskGroup() as group:
            for share in shares:
                group.create_task(work(share))
    except* PlanningFailed as failures:
        raise PlanningFailed(str(failures.exceptions[0])) from failures
    plans = [made[number] for number in range(len(cut))]
    return await asyncio.to_thread(joined, day, cut, plans, search, seed)


def _shares(cut: Sequence[Part], processes: int) -> list[list[int]]:
    """The parts dealt to processes, the largest first to the one that has least; small days need only one."""
    calls = sum(len(part.day.calls) for part in cut)
    shares: list[list[int]] = [[] for _ in range(max(1, min(processes, calls // _CALLS_WORTH_A_PROCESS)))]
    work = [0] * len(shares)
    for number in sorted(range(len(cut)), key=lambda n: (-len(cut[n].day.calls), n)):
        least = work.index(min(work))
        shares[least].append(number)
        work[least] += len(cut[number].day.calls)
    return [share for share in shares if share]


async def run_apart(function: Callable[..., Made], *args: object, timeout_s: float) -> Made:
    """Run a function of a module in another process; raises PlanningFailed, also when it takes longer than allowed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "inspections.worker",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=_ROOT,
        start_new_session=True,  # a Ctrl-C is for us; we end it ourselves
    )
    try:
        async with asyncio.timeout(timeout_s):
            answer, complaint = await process.communicate(pickle.dumps((function, args)))
    except BaseException as error:
        if process.returncode is None:
            process.kill()
        await process.wait()
        if isinstance(error, TimeoutError):
            raise PlanningFailed(f"no plan within {timeout_s:.0f} s") from error
        raise
    if process.returncode != 0:
        raise PlanningFailed(complaint.decode(errors="replace").strip()[-2000:] or f"exit code {process.returncode}")
    made: Made = pickle.loads(answer)  # noqa: S301 - written by our own process
    return made


def main() -> None:
    """Read a pickled (function, arguments) from standard input, write the pickled result to standard output."""
    os.nice(_NICENESS)  # a roster can wait for an alarm
    function, args = pickle.load(sys.stdin.buffer)  # noqa: S301 - written by our own process
    sys.stdout.buffer.write(pickle.dumps(function(*args)))


if __name__ == "__main__":
    main()
