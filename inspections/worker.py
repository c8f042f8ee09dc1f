"""Plans a day in a process of its own, so that seconds of search never block the event loop, and Ctrl-C can end it."""

import asyncio
import pickle
import sys
from pathlib import Path

from inspections.model import Day, Plan
from inspections.planner import plan
from inspections.routing import Search

_ROOT = Path(__file__).resolve().parent.parent


class PlanningFailed(Exception):
    """The planning process ended without a plan; the message holds its last words."""


async def plan_apart(day: Day, search: Search, seed: int) -> Plan:
    """Plan in another process; raises PlanningFailed. Cancelling ends the process."""
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
        answer, complaint = await process.communicate(pickle.dumps((day, search, seed)))
    except BaseException:
        if process.returncode is None:
            process.kill()
        await process.wait()
        raise
    if process.returncode != 0:
        raise PlanningFailed(complaint.decode(errors="replace").strip()[-2000:] or f"exit code {process.returncode}")
    made: Plan = pickle.loads(answer)  # noqa: S301 - written by our own process
    return made


def main() -> None:
    """Read a pickled (day, search, seed) from standard input, write the pickled plan to standard output."""
    day, search, seed = pickle.load(sys.stdin.buffer)  # noqa: S301 - written by our own process
    sys.stdout.buffer.write(pickle.dumps(plan(day, search, seed)))


if __name__ == "__main__":
    main()
