"""Officers' work over many open alerts: a page of the list by each filter, one step, and how late the live stream is.

Everything goes over HTTP, with token, audit, timeline and notices as in operation, on one machine.
Run as `scripts/bench alerts [--full] [--json FILE]`: 10,000 open alerts (as many closed), with --full 100,000.
"""

import argparse
import asyncio
import json
import shutil
import statistics
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
from aiohttp import ClientSession
from aiohttp.test_utils import TestServer
from rich.console import Console
from rich.table import Table

from app.accounts import NewAccount, add_account
from app.embedded import EmbeddedServers, default_directory
from app.http_params import HttpParams
from app.web import Web
from rules.routes import AlertRoutes
from sql.actor import Actor
from sql.migrate import migrate
from sql.pool import open_pool

_FILL = """
    INSERT INTO rule_version (rule_id, version, definition, first_used_at)
    SELECT 'rule_' || n, 'v', '{}', now() FROM generate_series(0, 29) n;
    INSERT INTO district (code, name) SELECT 'D' || n, 'District ' || n FROM generate_series(1, 40) n;
    INSERT INTO compound (code, name, district_id, latitude, longitude)
    SELECT 'C' || district_id, 'Compound', district_id, 31.8, 117.2 FROM district;
    INSERT INTO building (code, name, compound_id, latitude, longitude)
    SELECT 'B' || compound_id || '-' || n, 'Block', compound_id, 31.8, 117.2 FROM compound, generate_series(1, 20) n;
    INSERT INTO premises (code, building_id, unit, address, user_class)
    SELECT 'P' || building_id || '-' || n, building_id, n, 'Street', 'household'
    FROM building, generate_series(1, 20) n;
    INSERT INTO gateway (code, area) SELECT 'GW' || district_id, code FROM district"""
_DEVICES = """
    INSERT INTO device (code, kind, gateway_id, alarm_lel_pct, expected_interval_s)
    SELECT 'LD-' || n, 'detector', 1 + n % 40, 10, 86400 FROM generate_series(1, $1::int) n"""
_ALERTS = """
    INSERT INTO alert (rule_id, rule_version, subject, area, device_id, premises_id, building_id, severity, state,
        firing, late, sentence, first_at, last_at, raised_at, evidence, visit, owner, due_stage, due_at, wake_at,
        closed_at, leak)
    SELECT 'rule_' || n % 30, 'v', 'device:' || n, 'D' || 1 + n % 40, 1 + n % $1::int, 1 + n % 16000, 1 + n % 800,
        CASE WHEN n % 100 = 0 THEN 'critical' WHEN n % 10 = 0 THEN 'major' WHEN n % 10 < 6 THEN 'minor' ELSE 'info' END,
        CASE WHEN n % 2 = 0 THEN 'verified' ELSE 'open' END, true, false, 'LD-' || n || ' raised a leak alarm',
        $2::timestamptz - make_interval(secs => n), $2::timestamptz - make_interval(secs => n),
        $2::timestamptz - make_interval(secs => n), '{"samples": []}', 'none',
        CASE WHEN n % 1001 = 0 THEN 'olga' END, CASE WHEN n % 2 = 1 THEN 'acknowledged' END,
        CASE WHEN n % 2 = 1 THEN $2::timestamptz + make_interval(secs => n - 500) END,
        CASE WHEN n % 2 = 1 THEN $2::timestamptz + make_interval(days => 1) END,
        CASE WHEN n % 2 = 0 THEN $2::timestamptz END, n % 100 = 0
    FROM generate_series(1, 2 * $1::int) n"""


@dataclass(frozen=True)
class Sizes:
    """Open alerts, pages asked for by each filter, steps taken, steps watched on the stream."""

    alerts: int
    pages: int
    steps: int
    watched: int


QUICK = Sizes(10_000, 100, 200, 200)
FULL = Sizes(100_000, 300, 1000, 500)


@dataclass
class Office:
    """An officer's session on the address of the service, and the open alerts."""

    session: ClientSession
    address: str
    alert_ids: list[int]

    async def get(self, **query: str) -> dict[str, Any]:
        """A page of the list."""
        async with self.session.get(f"{self.address}/alerts", params=query) as response:
            assert response.status == 200, await response.text()
            found: dict[str, Any] = await response.json()
            return found

    async def post(self, path: str, body: dict[str, object]) -> None:
        """A deed."""
        async with self.session.post(f"{self.address}{path}", json=body) as response:
            assert response.status == 200, await response.text()


@asynccontextmanager
async def office(sizes: Sizes, folder: Path) -> AsyncIterator[Office]:
    """The alerts in a database of this run, and HTTP in front of it."""
    async with AsyncExitStack() as stack:
        servers = EmbeddedServers.open(folder)
        await asyncio.to_thread(servers.start)
        stack.push_async_callback(asyncio.to_thread, servers.destroy)
        migrate(servers.admin_database_url)
        await _fill(servers.admin_database_url, sizes)
        pool = await stack.enter_async_context(open_pool(servers.database_url, application_name="bench"))
        async with pool.acquire() as conn:
            console = Actor("console", "administrator")
            token = await add_account(conn, NewAccount("olga", "officer"), console, datetime.now(UTC))
            rows = await conn.fetch("SELECT alert_id FROM alert WHERE state = 'open' ORDER BY alert_id")
        web = Web(pool, HttpParams(), AlertRoutes(pool).table(), None)
        server = await stack.enter_async_context(TestServer(web.application))
        session = await stack.enter_async_context(ClientSession(headers={"Authorization": f"Bearer {token}"}))
        yield Office(session, str(server.make_url("/api/v1")), [row["alert_id"] for row in rows])


async def _fill(admin_url: str, sizes: Sizes) -> None:
    owner = await asyncpg.connect(admin_url)
    try:
        await owner.execute(_FILL)
        await owner.execute(_DEVICES, sizes.alerts)
        await owner.execute(_ALERTS, sizes.alerts, datetime.now(UTC))
        await owner.execute("VACUUM ANALYZE")
    finally:
        await owner.close()


async def timed(count: int, one: Callable[[int], Awaitable[object]]) -> list[float]:
    """Milliseconds of each of so many calls, one after the other, after three that do not count."""
    for number in range(3):
        await one(number)
    found = []
    for number in range(3, count + 3):
        begun = time.perf_counter()
        await one(number)
        found.append((time.perf_counter() - begun) * 1000)
    return found


async def lists(desk: Office, count: int) -> dict[str, list[float]]:
    """The list by each filter, and deep in it."""
    deep = str(desk.alert_ids[len(desk.alert_ids) // 2])
    filters: dict[str, dict[str, str]] = {
        "newest": {"state": "open"},
        "deep page": {"state": "open", "after": deep},
        "critical": {"state": "open", "severity": "critical"},
        "one owner": {"state": "open", "owner": "olga"},
        "one rule": {"state": "open", "rule": "rule_7"},
        "one district": {"state": "open", "area": "D7"},
        "overdue": {"overdue": "true"},
        "text": {"state": "open", "text": "LD-77"},
        "text, nothing found": {"state": "open", "text": "no such words"},
    }
    return {f"list: {name}": await timed(count, _asking(desk, given)) for name, given in filters.items()}


def _asking(desk: Office, given: dict[str, str]) -> Callable[[int], Awaitable[object]]:
    return lambda _: desk.get(**given)


async def deeds(desk: Office, count: int) -> dict[str, list[float]]:
    """One step, and a bulk acknowledgement of a hundred."""
    waiting = iter(desk.alert_ids)

    async def acknowledge(_: int) -> None:
        await desk.post(f"/alerts/{next(waiting)}/steps", {"step": "acknowledge"})

    async def bulk(_: int) -> None:
        await desk.post("/alerts/acknowledgements", {"alert_ids": [next(waiting) for _ in range(100)]})

    return {"step: acknowledge": await timed(count, acknowledge), "acknowledge 100 at once": await timed(20, bulk)}


async def stream_delay(desk: Office, count: int) -> dict[str, list[float]]:
    """From the answer to a step, which follows its commit, to the step's event at a listener; 0: it came first."""
    answered: dict[int, float] = {}
    heard: dict[int, float] = {}
    done = asyncio.Event()

    async def listen() -> None:
        async with desk.session.get(f"{desk.address}/alerts/stream") as response:
            async for line in response.content:
                if line.startswith(b'data: {"'):
                    heard[json.loads(line[6:])["alert_id"]] = time.perf_counter()
                    if len(heard) == count:
                        done.set()
                        return

    listening = asyncio.create_task(listen())
    await asyncio.sleep(0.5)
    for alert_id in desk.alert_ids[-count:]:
        await desk.post(f"/alerts/{alert_id}/steps", {"step": "acknowledge"})
        answered[alert_id] = time.perf_counter()
    async with asyncio.timeout(30):
        await done.wait()
    await listening
    return {"stream: commit to event": [max(0.0, heard[one] - answered[one]) * 1000 for one in answered]}


async def run(sizes: Sizes) -> dict[str, dict[str, float]]:
    """All measurements: count, median, 99th percentile and worst, milliseconds."""
    folder = default_directory() / "bench" / uuid.uuid4().hex[:12]
    try:
        async with office(sizes, folder) as desk:
            found = await lists(desk, sizes.pages)
            found |= await deeds(desk, sizes.steps)
            found |= await stream_delay(desk, sizes.watched)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return {name: _figures(values) for name, values in found.items()}


def _figures(milliseconds: list[float]) -> dict[str, float]:
    ordered = sorted(milliseconds)
    return {
        "count": len(ordered),
        "median_ms": round(statistics.median(ordered), 1),
        "p99_ms": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))], 1),
        "worst_ms": round(ordered[-1], 1),
    }


def report(results: dict[str, dict[str, float]], alerts: int, console: Console) -> None:
    """Print the table."""
    table = Table(title=f"{alerts:,} open alerts: milliseconds over HTTP", title_justify="left")
    for column in ("what", "count", "median", "p99", "worst"):
        table.add_column(column, justify="left" if column == "what" else "right")
    for name, one in results.items():
        table.add_row(name, *(f"{one[key]:,.1f}" for key in ("count", "median_ms", "p99_ms", "worst_ms")))
    console.print(table)


def main() -> None:
    """Measure, print a table, and write JSON when asked."""
    parser = argparse.ArgumentParser(prog="scripts/bench alerts", description=__doc__)
    parser.add_argument("--full", action="store_true", help="100,000 open alerts instead of 10,000")
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    options = parser.parse_args()
    sizes = FULL if options.full else QUICK
    results = asyncio.run(run(sizes))
    report(results, sizes.alerts, Console())
    if options.json:
        options.json.write_text(json.dumps({"alerts": sizes.alerts, "figures": results}, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
