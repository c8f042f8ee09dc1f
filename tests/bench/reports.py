"""Figures of a year of inspections: seconds by part and period over HTTP, and by the command, beside what they read.

Run as `scripts/bench reports [--full] [--json FILE]`: 100,000 visits a year, with --full two million, each planned in
three versions, and the quarter of the year before. Before the questions the days are counted, as the service
does; after them, some changed and were not counted anew yet.
"""

import argparse
import asyncio
import json
import os
import shutil
import sys
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
from aiohttp import ClientSession, ClientTimeout
from aiohttp.test_utils import TestServer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from app.accounts import NewAccount, add_account
from app.embedded import EmbeddedServers, default_directory
from app.embedded.postgres import SUPERUSER
from app.http_params import HttpParams
from app.logs import LogParams, configure_logging
from app.web import Web
from inspections.counting import count_changes
from inspections.params import RosterParams
from inspections.report_routes import ReportRoutes
from sql import queries
from sql.actor import Actor
from sql.migrate import migrate
from sql.pool import open_pool
from tests.bench.reports_city import Filled, fill

_REPORTS_A_MINUTE = 17  # 8,000 visits in a working day of eight hours
_REPOSITORY = Path(__file__).parents[2]
_ASKED: tuple[dict[str, object], ...] = (
    {"year": 2026},
    {"year": 2026, "every": "month"},
    {"year": 2026, "by": "district", "every": "month"},
    {"year": 2026, "by": "station", "every": "month"},
    {"year": 2026, "by": "inspector", "every": "month"},
    {"year": 2026, "by": "compound"},
    {"year": 2026, "every": "day"},
    {"since": "2026-06-01", "until": "2026-06-30", "by": "district", "every": "day"},
    {"since": "2026-06-01", "until": "2026-06-01", "by": "inspector", "every": "day"},
)


@asynccontextmanager
async def city(visits_a_year: int, progress: Progress) -> AsyncIterator[tuple[EmbeddedServers, Filled]]:
    """A database of this run with a city's inspections."""
    folder = default_directory() / "bench" / uuid.uuid4().hex[:12]
    servers = EmbeddedServers.open(folder, mosquitto=False)
    task = progress.add_task("filling the database", total=None)
    try:
        await asyncio.to_thread(servers.start)
        await asyncio.to_thread(migrate, servers.admin_database_url)
        filled = await fill(servers.postgres.url(SUPERUSER), visits_a_year)
        progress.remove_task(task)
        yield servers, filled
    finally:
        await asyncio.to_thread(servers.destroy)
        shutil.rmtree(folder, ignore_errors=True)


async def over_http(servers: EmbeddedServers, progress: Progress) -> list[dict[str, Any]]:
    """Each question once to warm up and once measured, as an officer asks."""
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(open_pool(servers.database_url, application_name="bench"))
        async with pool.acquire() as conn:
            console = Actor("console", "administrator")
            token = await add_account(conn, NewAccount("olga", "officer"), console, datetime.now(UTC))
        routes = ReportRoutes(pool, RosterParams()).table()
        server = await stack.enter_async_context(TestServer(Web(pool, HttpParams(), routes, None).application))
        headers = {"Authorization": f"Bearer {token}"}
        session = await stack.enter_async_context(ClientSession(headers=headers, timeout=ClientTimeout(600)))
        address = str(server.make_url("/api/v1/reports/inspections"))
        found = [await _twice(session, address, asked) for asked in progress.track(_ASKED, description="asking")]
        await _busy_minute(pool)
        busy = await _twice(session, address, _ASKED[2])
        return [*found, busy | {"asked": f"{busy['asked']}, a busy minute not counted yet"}]


async def _twice(session: ClientSession, address: str, asked: dict[str, object]) -> dict[str, Any]:
    query = {name: str(value) for name, value in asked.items()}
    first_s, _ = await _ask(session, address, query)
    again_s, answer = await _ask(session, address, query)
    named = " ".join(f"{name}={value}" for name, value in asked.items())
    lines, visited = len(answer["lines"]), answer["total"]["visited"]
    return {"asked": named, "first_s": first_s, "again_s": again_s, "lines": lines, "visited": visited}


async def count(servers: EmbeddedServers) -> dict[str, Any]:
    """Every day counted for the first time, as after an upgrade."""
    async with open_pool(servers.database_url, application_name="bench") as pool:
        begun = time.perf_counter()
        days = await count_changes(pool, RosterParams().zone, datetime(2027, 3, 1, tzinfo=UTC))
        return {"days": days, "seconds": round(time.perf_counter() - begun, 1)}


async def _busy_minute(pool: asyncpg.Pool) -> None:
    """Mark what a minute of reports changes between two passes: today, and the due days of as many doors."""
    due = [date(2026, 6, 1) + timedelta(days=n) for n in range(_REPORTS_A_MINUTE)]
    kinds = ["planned", "visited"] + ["due"] * len(due)
    await pool.execute(*queries["mark_days"].bind(kinds=kinds, days=[date(2026, 6, 30)] * 2 + due))


async def _ask(session: ClientSession, address: str, query: dict[str, str]) -> tuple[float, dict[str, Any]]:
    begun = time.perf_counter()
    async with session.get(address, params=query) as response:
        answer = await response.json()
        assert response.status == 200, answer
    return round(time.perf_counter() - begun, 2), answer


async def by_command(servers: EmbeddedServers) -> dict[str, Any]:
    """`gaswarden report inspections --year 2026` as a process of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GASWARDEN_")}
    environ = kept | {"DATABASE_URL": servers.database_url, "MQTT_URL": "mqtt://127.0.0.1:1"}
    command = ("report", "inspections", "--year", "2026", "--json")
    begun = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "app", *command, cwd=_REPOSITORY, env=environ, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    seconds = round(time.perf_counter() - begun, 2)
    assert process.returncode == 0, f"{' '.join(command)} ended with {process.returncode}"
    total = json.loads(out)
    named = f"gaswarden {' '.join(command)}"
    return {"asked": named, "again_s": seconds, "lines": len(total["lines"]), "visited": total["total"]["visited"]}


async def run(visits_a_year: int) -> dict[str, Any]:
    """What was filled, and the seconds of each question."""
    with Progress(console=Console(stderr=True), transient=True) as progress:
        async with city(visits_a_year, progress) as (servers, filled):
            task = progress.add_task("counting the days", total=None)
            counted = await count(servers)
            progress.remove_task(task)
            figures = [*await over_http(servers, progress), await by_command(servers)]
            return {"filled": asdict(filled), "counted": counted, "figures": figures}


def show(results: dict[str, Any]) -> None:
    """Print the table."""
    held = ", ".join(f"{count:,} {name}" for name, count in results["filled"].items())
    table = Table(title=f"Seconds of a report over {held}", title_justify="left")
    for column in ("asked", "first", "again", "lines", "visited"):
        table.add_column(column, justify="left" if column == "asked" else "right")
    for one in results["figures"]:
        table.add_row(
            one["asked"], f"{one.get('first_s', '')}", f"{one['again_s']}", f"{one['lines']:,}", f"{one['visited']:,}"
        )
    Console(width=160).print(table)
    counted = results["counted"]
    Console(width=160).print(f"Counted {counted['days']:,} days, kind by kind, in {counted['seconds']} s.")


def main() -> None:
    """Measure, print a table, and write JSON when asked."""
    parser = argparse.ArgumentParser(prog="scripts/bench reports", description=__doc__)
    parser.add_argument("--full", action="store_true", help="two million visits a year instead of 100,000")
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    options = parser.parse_args()
    configure_logging(LogParams(level="warning"))
    results = asyncio.run(run(2_000_000 if options.full else 100_000))
    show(results)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
