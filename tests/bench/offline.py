"""Outcomes from offline in random order, doubled, over HTTP with a server that is killed: the same end as in order.

Run as `scripts/bench offline [--full] [--seed N] [--json FILE]`: 900 outcomes, with --full 10,000. Both ends are
compared in natural keys: outcomes, duties, hazards, doors, open cases, conflicts. Exit code 1 when they differ.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import socket
import sys
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from app.accounts import NewAccount, add_account
from app.embedded import EmbeddedServers, default_directory
from inspections.offline import take_batch
from inspections.params import RosterParams
from sql.actor import Actor
from sql.migrate import migrate
from sql.pool import open_pool
from tests.service.offline_city import end_state, reports, settle_doors

_REPOSITORY = Path(__file__).parents[2]
_BATCH = 50
_SENDERS = 4
_LOST = (aiohttp.ClientError, ConnectionError, TimeoutError)


@asynccontextmanager
async def database(folder: Path) -> AsyncIterator[EmbeddedServers]:
    """A server of this run, migrated."""
    servers = EmbeddedServers.open(folder)
    await asyncio.to_thread(servers.start)
    try:
        migrate(servers.admin_database_url)
        yield servers
    finally:
        await asyncio.to_thread(servers.destroy)


class Server:
    """`gaswarden run http` as a process that can be killed and started again on the same port."""

    def __init__(self, servers: EmbeddedServers) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("GASWARDEN_", "MQTT_"))}
        urls = {"DATABASE_URL": servers.database_url, "ADMIN_DATABASE_URL": servers.admin_database_url}
        self._environ = kept | urls | {"MQTT_URL": "mqtt://127.0.0.1:1", "GASWARDEN_HTTP__PORT": str(self.port)}
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it; a sender tries until it answers."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "app",
            "run",
            "http",
            cwd=_REPOSITORY,
            env=self._environ,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )

    async def kill(self) -> None:
        """SIGKILL, in the middle of whatever it does."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(signal.SIGKILL)
            await self._process.wait()


async def in_order(folder: Path, doors: int, first_day: datetime, seed: int) -> tuple[dict[str, Any], int, float]:
    """The end state of every outcome once, in order; how many there were, and the seconds it took."""
    async with (
        database(folder) as servers,
        open_pool(servers.database_url, application_name="bench") as pool,
        pool.acquire() as conn,
    ):
        await settle_doors(conn, doors, first_day)
        items = await reports(conn, seed)
        begun = time.perf_counter()
        for start in range(0, len(items), _BATCH):
            batch = items[start : start + _BATCH]
            await take_batch(pool, batch, RosterParams(), Actor("olga", "officer"), datetime.now(UTC))
        return await end_state(conn), len(items), time.perf_counter() - begun


async def at_random(folder: Path, doors: int, first_day: datetime, seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The end state of random order with duplicates, four senders and a kill in the middle; and what it took."""
    async with (
        database(folder) as servers,
        open_pool(servers.database_url, application_name="bench") as pool,
        pool.acquire() as conn,
    ):
        await settle_doors(conn, doors, first_day)
        items = await reports(conn, seed)
        console = Actor("console", "administrator")
        token = await add_account(conn, NewAccount("olga", "officer"), console, datetime.now(UTC))
        server = Server(servers)
        await server.start()
        try:
            figures = await _deliver(conn, server, token, items, seed)
        finally:
            await server.kill()
        return await end_state(conn), figures


async def _deliver(
    conn: asyncpg.Connection, server: Server, token: str, items: list[dict[str, Any]], seed: int
) -> dict[str, Any]:
    chance = random.Random(seed)
    sent = items + chance.sample(items, k=len(items) // 2)
    chance.shuffle(sent)
    batches = [sent[start : start + _BATCH] for start in range(0, len(sent), _BATCH)]
    queue: asyncio.Queue[list[dict[str, Any]]] = asyncio.Queue()
    for batch in batches:
        queue.put_nowait(batch)
    figures = {"items_sent": 0, "batches_repeated": 0, "receipts": 0}
    begun = time.perf_counter()
    with Progress(transient=True) as progress:
        task = progress.add_task("delivering", total=len(sent))
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session:
            address = f"http://127.0.0.1:{server.port}/api/v1/outcomes/batch"

            async def sender() -> None:
                while not queue.empty():
                    batch = queue.get_nowait()
                    while (receipts := await _try(session, address, batch)) is None:
                        figures["batches_repeated"] += 1
                        await asyncio.sleep(0.2)
                    assert [one["client_id"] for one in receipts] == [one["client_id"] for one in batch]
                    figures["items_sent"] += len(batch)
                    figures["receipts"] += len(receipts)
                    progress.advance(task, len(batch))

            async def killer() -> None:
                while await conn.fetchval("SELECT count(*) FROM outcome") < len(items) // 3:  # noqa: ASYNC110 - rows
                    await asyncio.sleep(0.05)
                await server.kill()
                await server.start()

            await asyncio.gather(killer(), *(sender() for _ in range(_SENDERS)))
    return figures | {"seconds": round(time.perf_counter() - begun, 1)}


async def _try(
    session: aiohttp.ClientSession, address: str, batch: list[dict[str, Any]]
) -> list[dict[str, Any]] | None:
    """The receipts of a batch, or None when no answer came."""
    try:
        async with session.post(address, json={"items": batch}) as response:
            if response.status == 503:
                return None
            assert response.status == 200, await response.text()
            found: list[dict[str, Any]] = await response.json()
            return found
    except _LOST:
        return None


async def measure(doors: int, seed: int) -> dict[str, Any]:
    """Both ends and whether they are equal, part by part."""
    folder = default_directory() / "bench" / uuid.uuid4().hex[:12]
    first_day = datetime.now(UTC) - timedelta(days=6)
    expected, count, seconds = await in_order(folder, doors, first_day, seed)
    found, figures = await at_random(folder, doors, first_day, seed)
    parts = {
        name: {
            "rows": len(rows),
            "equal": rows == found[name],
            "only_in_order": sorted({*map(repr, rows)} - {*map(repr, found[name])})[:5],
            "only_at_random": sorted({*map(repr, found[name])} - {*map(repr, rows)})[:5],
        }
        for name, rows in expected.items()
    }
    return {"outcomes": count, "seed": seed, "in_order_s": round(seconds, 1), "random": figures, "parts": parts}


def main() -> None:
    """Print the table; exit 1 when the ends differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="10,000 outcomes instead of 900")
    parser.add_argument("--seed", type=int, default=1, help="of the outcomes and of the order")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    figures = asyncio.run(measure(4_200 if options.full else 378, options.seed))
    table = Table(title=f"{figures['outcomes']} outcomes: random order with duplicates and a kill, against in order")
    for heading in ("part", "rows", "equal"):
        table.add_column(heading)
    for name, part in figures["parts"].items():
        table.add_row(name, str(part["rows"]), "yes" if part["equal"] else "NO")
    console = Console()
    console.print(table)
    for part in figures["parts"].values():
        for row in part["only_in_order"]:
            console.print(f"only in order:  {row}")
        for row in part["only_at_random"]:
            console.print(f"only at random: {row}")
    console.print(f"in order {figures['in_order_s']} s; random {figures['random']}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    sys.exit(0 if all(part["equal"] for part in figures["parts"].values()) else 1)


if __name__ == "__main__":
    main()
