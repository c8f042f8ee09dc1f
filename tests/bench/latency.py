"""From a leak alarm published to the alert readable over HTTP: idle, and while a flood of readings is worked off.

Broker, database, all services in the processes of a deployment, the publishers and the asking officer share this
machine. The officer asks again as soon as the answer is there; the clock starts before the message leaves the gateway.
Every alarm is of another detector, so that each is an alert of its own.
"""

import argparse
import asyncio
import json
import os
import shutil
import statistics
import time
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from app.database import open_database
from app.demo.desk import Desk
from app.demo.district import State, settle_in
from app.demo.stage import Servers, run_as_deployed
from app.embedded import EmbeddedServers, default_directory
from app.embedded.processes import free_port
from app.settings import load_settings
from simulator.link import Broker
from simulator.model import City, Message
from simulator.publisher import Publisher
from sql.migrate import migrate
from tests.bench.latency_flood import Sender, flooding

_GIVE_UP_S = 60.0
_WARM_UP = 5


@dataclass(frozen=True)
class Sizes:
    """Homes of the district, alarms per measurement, readings a second while flooded."""

    homes: int
    alarms: int
    flood_per_s: int


QUICK = Sizes(600, 100, 3_000)
FULL = Sizes(3_000, 500, 10_000)  # the tenfold burst of `scripts/bench ingest`


@asynccontextmanager
async def stage(sizes: Sizes, folder: Path) -> AsyncIterator[tuple[City, Publisher, Desk, list[Sender], int]]:
    """A district with all services on durable servers of this run."""
    async with AsyncExitStack() as stack:
        servers = EmbeddedServers.open(folder)
        await asyncio.to_thread(servers.start)
        stack.push_async_callback(asyncio.to_thread, servers.destroy)
        addresses = Servers(servers.database_url, servers.admin_database_url, servers.mqtt_url, servers)
        migrate(addresses.admin_database_url)
        settings, _ = load_settings(addresses.environment())
        state = State(datetime.now(UTC), 1, sizes.homes, 12)
        city = state.city()
        async with open_database(settings, "bench") as pool, pool.acquire() as conn:
            state = await settle_in(conn, folder / "demo", city, state, datetime.now(UTC))
        port = free_port(0)
        await stack.enter_async_context(run_as_deployed(addresses, port, folder / "log"))
        desk = await stack.enter_async_context(Desk(f"http://127.0.0.1:{port}", state.tokens["officer"]))
        accounts = addresses.gateway_accounts([gateway.code for gateway in city.gateways])
        publisher = await stack.enter_async_context(Publisher(Broker.at(servers.mqtt_url), accounts))
        yield city, publisher, desk, senders_of(city, accounts), servers.mqtt_port


def alarm(city: City, number: int, at: datetime) -> Message:
    """A leak alarm of one detector after the other."""
    detectors = [device for device in city.devices if device.kind == "detector"]
    device = detectors[number % len(detectors)]
    area = next(gateway.area for gateway in city.gateways if gateway.code == device.gateway)
    body = {
        "device": device.code, "seq": number % 65_536, "at": at.isoformat(), "event": "leak_alarm", "state": "raised",
        "level": 2, "lel_pct": 25.5,
    }  # fmt: skip
    return Message(device.gateway, area, "events", json.dumps(body).encode(), device.code, number, at, at)


async def measure(city: City, publisher: Publisher, desk: Desk, first: int, count: int) -> list[float]:
    """Milliseconds from publication to the first answer that holds the alert, one alarm after the other."""
    found = []
    for number in range(first, first + count):
        message = alarm(city, number, datetime.now(UTC))
        begun = time.perf_counter()
        publishing = asyncio.create_task(publisher.publish([message]))
        while not await _readable(desk, message):
            if time.perf_counter() - begun > _GIVE_UP_S:
                raise TimeoutError(f"alarm {number} of {message.device} became no alert in {_GIVE_UP_S:.0f} s")
        found.append((time.perf_counter() - begun) * 1000)
        await publishing
    return found


async def _readable(desk: Desk, message: Message) -> bool:
    page = await desk.ask("alerts", state="open", rule="leak_alarm", limit="20")
    return any(item["device"] == message.device for item in page["items"])


def senders_of(city: City, accounts: Mapping[str, tuple[str, str]]) -> list[Sender]:
    """The gateways that have meters."""
    meters: dict[str, list[str]] = defaultdict(list)
    for device in city.devices:
        if device.kind == "meter":
            meters[device.gateway].append(device.code)
    areas = {gateway.code: gateway.area for gateway in city.gateways}
    return [Sender(accounts[code], areas[code], tuple(codes)) for code, codes in sorted(meters.items())]


async def run(sizes: Sizes) -> dict[str, dict[str, float]]:
    """Both measurements: count, median, 99th percentile and worst, milliseconds."""
    folder = default_directory() / "bench" / uuid.uuid4().hex[:12]
    results = {}
    os.environ["GASWARDEN_INGEST__GATEWAY_RATE__BURST"] = (
        "10000000"  # a burst of a city, from the gateways of a district
    )
    try:
        async with stage(sizes, folder) as (city, publisher, desk, senders, port):
            assert _WARM_UP + 2 * sizes.alarms <= sum(one.kind == "detector" for one in city.devices)
            await measure(city, publisher, desk, 0, _WARM_UP)
            results["idle"] = _figures(await measure(city, publisher, desk, _WARM_UP, sizes.alarms))
            with flooding(port, senders, sizes.flood_per_s) as flood:
                await asyncio.sleep(3)
                measured = await measure(city, publisher, desk, _WARM_UP + sizes.alarms, sizes.alarms)
                results[f"during {flood.per_s:,.0f} readings/s"] = _figures(measured)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return results


def _figures(milliseconds: list[float]) -> dict[str, float]:
    ordered = sorted(milliseconds)
    return {
        "alarms": len(ordered),
        "median_ms": round(statistics.median(ordered), 1),
        "p99_ms": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))], 1),
        "worst_ms": round(ordered[-1], 1),
    }


def report(results: dict[str, dict[str, float]], console: Console) -> None:
    """Print the table."""
    table = Table(title="Leak alarm published -> alert readable over HTTP, milliseconds", title_justify="left")
    for column in ("load", "alarms", "median", "p99", "worst"):
        table.add_column(column, justify="left" if column == "load" else "right")
    for name, one in results.items():
        table.add_row(name, *(f"{one[key]:,.1f}" for key in ("alarms", "median_ms", "p99_ms", "worst_ms")))
    console.print(table)


def main() -> None:
    """Measure, print a table, and write JSON when asked."""
    parser = argparse.ArgumentParser(prog="scripts/bench latency", description=__doc__)
    parser.add_argument("--full", action="store_true", help="a larger district and 500 alarms each")
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    options = parser.parse_args()
    results = asyncio.run(run(FULL if options.full else QUICK))
    report(results, Console())
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
