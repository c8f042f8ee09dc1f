"""Backtests: all rules over weeks of a hard city's history, against what it costs to read the same rows at all.

The history goes in through ingest's own transaction and is rolled up; loading it is not counted. The backtest runs in a
process of its own, whose peak memory is its own. The ceiling reads every row of the same devices and period by binary
COPY in the same slices, and throws it away.
"""

import asyncio
import io
import json
import resource
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

import asyncpg
from rich.console import Console
from rich.table import Table

from rules import backtest
from rules.backtesting import Asked, run_backtest, slice_of
from rules.catalog import default_catalog
from rules.drafts import changed
from simulator.city import build_city
from simulator.faults import plan_faults
from simulator.hard import HARD_NOISE, hard_city, hard_plan
from simulator.messages import messages
from sql.pool import open_pool
from tests.bench.rules_accuracy import NOW, ZONE, Sizes, registered
from tests.bench.rules_feed import Feeder
from tests.bench.rules_stage import Watch, stage

QUICK = Sizes(500, 14, 3.0)
FULL = Sizes(10_000, 30)
DRAFT = {"draft": "rule.micro_leak.parameters.days = 7"}
_READ = """SELECT device_id, at, index_ml, flags, status, flow_lh, pressure_pa, lel_pct, battery_mv, reason FROM reading
    WHERE device_id = ANY($1) AND at > $2 AND at <= $3"""


@dataclass(frozen=True)
class Costs:
    """What a backtest of one size costs: seconds, and the most memory its process took."""

    homes: int
    days: int
    devices: int
    rows: int
    load_s: float
    read_s: float
    backtest_s: float
    draft_s: float
    peak_mb: float
    alerts: dict[str, int]

    @property
    def ratio(self) -> float:
        """Times the reading of the same rows."""
        return self.backtest_s / self.read_s


class _Nobody(Watch):
    """A rules service that never looks: the history is only stored."""

    async def events(self, now: datetime, slots: object = None) -> None:
        del now, slots

    readings = reports = days = events

    async def tick(self, now: datetime) -> None:
        del now

    daily = tick

    async def roll_up(self, slots: object = None) -> None:
        """Later, at once."""
        del slots


async def measure(sizes: Sizes, seed: int, console: Console, url: str | None = None) -> Costs:
    """Store one city's history and try the rules on it; raises what the measuring process says when it fails."""
    began = time.perf_counter()
    city = build_city(hard_city(NOW, seed, sizes.homes, sizes.days))
    faults = plan_faults(city, NOW, seed, sizes.days, hard_plan(sizes.homes, sizes.days, sizes.dense))
    async with stage(url) as (pool, admin_url):
        await registered(pool, city)
        feeder = Feeder(pool, _Nobody(pool, default_catalog(), ZONE))
        with console.status("storing the history") as status:
            played = messages(city, faults, NOW, sizes.days, seed, HARD_NOISE)
            await feeder.play(played, NOW, lambda at: status.update(f"storing {at:%Y-%m-%d}"))
            await Watch(pool, default_catalog()).roll_up()
            async with open_pool(admin_url, application_name="bench") as owner:
                await owner.execute("ANALYZE")
        load_s = time.perf_counter() - began
        with console.status("trying the rules"):
            figures = await _measured(admin_url, NOW - timedelta(days=sizes.days))
    return Costs(sizes.homes, sizes.days, load_s=round(load_s, 1), **figures)


async def _measured(admin_url: str, since: datetime) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.bench.rules_backtest", admin_url, since.isoformat()]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    output, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"the backtest's process ended with {process.returncode}")
    return dict(json.loads(output))


# ---------------------------------------------------------------------------------------------- the backtest's process


async def tried(admin_url: str, since: datetime) -> dict[str, object]:
    """All rules in force, then a draft against them, then the reading alone; the server's cache is warm for each."""
    async with open_pool(admin_url, application_name="bench", command_timeout_s=3_600) as pool, pool.acquire() as conn:
        rows = await read(conn, since)
        asked, catalog = Asked(since, NOW), default_catalog()
        began = time.perf_counter()
        report = await run_backtest(conn, catalog, None, asked, ZONE, _nobody)
        backtest_s = time.perf_counter() - began
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        began = time.perf_counter()
        await run_backtest(conn, changed(catalog, DRAFT), catalog, asked, ZONE, _nobody)
        draft_s = time.perf_counter() - began
        began = time.perf_counter()
        await read(conn, since)
        read_s = time.perf_counter() - began
    found = backtest.as_data(report)
    return {
        "devices": report.devices,
        "rows": rows,
        "read_s": round(read_s, 3),
        "backtest_s": round(backtest_s, 2),
        "draft_s": round(draft_s, 2),
        "peak_mb": round(peak_mb),
        "alerts": {one["rule_id"]: one["alerts"] for one in found["rules"] if one["alerts"]},  # type: ignore[attr-defined]
    }


async def read(conn: asyncpg.Connection, since: datetime) -> int:
    """Read every row of the period in slices of devices, as a backtest does; returns how many."""
    ids = [row["device_id"] for row in await conn.fetch("SELECT device_id FROM device ORDER BY device_id")]
    rows = 0
    count = slice_of(Asked(since, NOW), list(default_catalog().rules.values()))
    for start in range(0, len(ids), count):
        part = ids[start : start + count]
        done = await conn.copy_from_query(_READ, part, since, NOW, output=io.BytesIO(), format="binary")
        rows += int(done.split()[-1])
    return rows


async def _nobody(_done: int, _devices: int) -> None:
    """Nobody listens."""


def report(costs: Costs, console: Console) -> None:
    """One row, and what was raised."""
    table = Table(
        "homes",
        "days",
        "devices",
        "rows",
        "stored in",
        "rows read",
        "backtest",
        "x reading",
        "draft",
        "peak MB",
    )
    table.title = "backtest: all rules over stored history, against reading the same rows"
    table.add_row(
        f"{costs.homes:,}", f"{costs.days}", f"{costs.devices:,}", f"{costs.rows:,}", f"{costs.load_s:.0f} s",
        f"{costs.read_s:.2f} s", f"{costs.backtest_s:.2f} s", f"{costs.ratio:.1f}", f"{costs.draft_s:.2f} s",
        f"{costs.peak_mb:.0f}",
    )  # fmt: skip
    console.print(table)
    console.print(f"alerts {costs.alerts or 'none'}")


def as_json(costs: Costs) -> dict[str, object]:
    """Everything as plain values."""
    return asdict(costs) | {"ratio": round(costs.ratio, 2)}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(tried(sys.argv[1], datetime.fromisoformat(sys.argv[2])))))  # noqa: T201 - the parent reads it
