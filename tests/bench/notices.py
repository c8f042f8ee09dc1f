"""From a leak alarm published to its notice handed to the channel: idle, and during a tenfold burst of telemetry.

Broker, database, all services, the publishers and the webhook share this machine. The clock starts before the message
leaves the gateway and stops when the webhook of the one on duty has the request. Every alarm is of another detector, so
that each is an alert of its own.
"""

import argparse
import asyncio
import json
import os
import shutil
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import asyncpg
from aiohttp import web
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from app.database import open_database
from app.demo.district import State, settle_in
from app.demo.stage import Servers, run_as_deployed
from app.embedded import EmbeddedServers, default_directory
from app.embedded.processes import free_port
from app.settings import load_settings
from rules.notices.contacts import Contacts
from rules.notices.pages import ContactBody
from rules.notices.params import NoticeParams
from rules.rota.desk import NewShift, add_shift
from simulator.link import Broker
from simulator.live import Live, Spoken
from simulator.model import City
from simulator.publisher import Publisher
from sql.actor import Actor
from sql.migrate import migrate
from tests.bench.latency import _WARM_UP, _figures, alarm

_GIVE_UP_S = 60.0
_ADMINISTRATOR = Actor("bench", "administrator")


@dataclass(frozen=True)
class Sizes:
    """Homes of the district, alarms per measurement; readings a second usually and in the burst (ten times as many)."""

    homes: int
    alarms: int
    usual_per_s: int

    @property
    def burst_per_s(self) -> int:
        """The tenfold burst."""
        return 10 * self.usual_per_s


QUICK = Sizes(600, 60, 300)
FULL = Sizes(4_000, 500, 300)


@dataclass
class Channel:
    """The webhook of the one on duty: when each device's first notice came."""

    port: int = 0
    came: dict[str, float] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, request: web.Request) -> web.Response:
        """One notice."""
        text = json.dumps(await request.json(), ensure_ascii=False)
        at = time.perf_counter()
        for word in text.replace(",", " ").replace("\\n", " ").split():
            self.came.setdefault(word, at)
        self.changed.set()
        return web.Response()

    async def wait(self, device: str) -> float:
        """The moment a notice that names a device came."""
        async with asyncio.timeout(_GIVE_UP_S):
            while device not in self.came:
                self.changed.clear()
                if device not in self.came:
                    await self.changed.wait()
        return self.came[device]


@asynccontextmanager
async def channel() -> AsyncIterator[Channel]:
    """The webhook on a free port."""
    taken = Channel()
    application = web.Application()
    application.router.add_post("/duty", taken.take)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    taken.port = runner.addresses[0][1]
    try:
        yield taken
    finally:
        await runner.cleanup()


async def put_on_duty(conn: asyncpg.Connection, key: str, port: int, account: str) -> None:
    """The officer of the demonstration is on duty and reached by the webhook."""
    params = NoticeParams(contact_key=SecretStr(key), schemes=("json",), private_hosts=True)
    body = ContactBody(address=f"json://127.0.0.1:{port}/duty", language="en")
    now = datetime.now(UTC)
    async with conn.transaction():
        await Contacts(params).add(conn, account, body, _ADMINISTRATOR, now)
        await add_shift(conn, NewShift(account, 1, None, now, now + timedelta(days=1)), _ADMINISTRATOR, now)


@asynccontextmanager
async def stage(sizes: Sizes, folder: Path) -> AsyncIterator[tuple[City, Publisher, Channel]]:
    """A district with all services on durable servers of this run, its officer on duty."""
    async with AsyncExitStack() as stack:
        servers = EmbeddedServers.open(folder)
        await asyncio.to_thread(servers.start)
        stack.push_async_callback(asyncio.to_thread, servers.destroy)
        addresses = Servers(servers.database_url, servers.admin_database_url, servers.mqtt_url, servers)
        migrate(addresses.admin_database_url)
        settings, _ = load_settings(addresses.environment())
        hook = await stack.enter_async_context(channel())
        pool = await stack.enter_async_context(open_database(settings, "bench"))
        state = State(datetime.now(UTC), 1, sizes.homes, 12)
        city = state.city()
        async with pool.acquire() as conn:
            state = await settle_in(conn, folder / "demo", city, state, datetime.now(UTC))
            await put_on_duty(conn, servers.contact_key, hook.port, "demo-officer")
        os.environ |= {"GASWARDEN_NOTICES__SCHEMES": "json", "GASWARDEN_NOTICES__PRIVATE_HOSTS": "true"}
        await stack.enter_async_context(run_as_deployed(addresses, free_port(0), folder / "log"))
        accounts = addresses.gateway_accounts([gateway.code for gateway in city.gateways])
        publisher = await stack.enter_async_context(Publisher(Broker.at(servers.mqtt_url), accounts))
        yield city, publisher, hook


async def measure(city: City, publisher: Publisher, hook: Channel, first: int, count: int) -> list[float]:
    """Milliseconds from publication to the notice at the webhook, one alarm after the other."""
    found = []
    for number in range(first, first + count):
        message = alarm(city, number, datetime.now(UTC))
        assert message.device is not None
        begun = time.perf_counter()
        publishing = asyncio.create_task(publisher.publish([message]))
        found.append((await hook.wait(message.device) - begun) * 1000)
        await publishing
    return found


async def flood(city: City, publisher: Publisher, per_s: int) -> None:
    """Single readings of sound meters at a steady rate, until cancelled."""
    spoken = {device.code: Spoken(datetime.now(UTC), 0, 1_000_000) for device in city.devices}
    live = Live(city, (), spoken, 1)
    while True:
        begun = time.perf_counter()
        at = datetime.now(UTC)
        await publisher.publish([live.tick(at) for _ in range(per_s // 10)])
        await asyncio.sleep(max(0.0, 0.1 - (time.perf_counter() - begun)))


async def run(sizes: Sizes) -> dict[str, dict[str, float]]:
    """All three measurements: count, median, 99th percentile and worst, milliseconds."""
    folder = default_directory() / "bench" / uuid.uuid4().hex[:12]
    results: dict[str, dict[str, float]] = {}
    try:
        async with stage(sizes, folder) as (city, publisher, hook):
            assert _WARM_UP + 3 * sizes.alarms <= sum(device.kind == "detector" for device in city.devices)
            one = partial(measure, city, publisher, hook)
            await one(0, _WARM_UP)
            results["idle"] = _figures(await one(_WARM_UP, sizes.alarms))
            for turn, per_s in enumerate((sizes.usual_per_s, sizes.burst_per_s), start=1):
                flooding = asyncio.create_task(flood(city, publisher, per_s))
                await asyncio.sleep(3)
                begin = _WARM_UP + turn * sizes.alarms
                results[f"during {per_s:,} readings/s"] = _figures(await one(begin, sizes.alarms))
                flooding.cancel()
                await asyncio.gather(flooding, return_exceptions=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return results


def report(results: dict[str, dict[str, float]], console: Console) -> None:
    """Print the table."""
    table = Table(title="Leak alarm published -> notice handed to the channel, milliseconds", title_justify="left")
    for column in ("load", "alarms", "median", "p99", "worst"):
        table.add_column(column, justify="left" if column == "load" else "right")
    for name, one in results.items():
        table.add_row(name, *(f"{one[key]:,.1f}" for key in ("alarms", "median_ms", "p99_ms", "worst_ms")))
    console.print(table)


def main() -> None:
    """Measure, print a table, and write JSON when asked."""
    parser = argparse.ArgumentParser(prog="scripts/bench notices", description=__doc__)
    parser.add_argument("--full", action="store_true", help="a larger district and 500 alarms each")
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    options = parser.parse_args()
    results = asyncio.run(run(FULL if options.full else QUICK))
    report(results, Console())
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
