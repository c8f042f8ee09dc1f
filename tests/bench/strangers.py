"""Devices that nobody registered, a message each: what they cost, and what is left of them in the database.

One gateway publishes; the worker is a process on durable servers of this run. Every message must have its disposition
and the account must be exact, or the program ends with an error.
"""

import argparse
import asyncio
import json
import shutil
import time
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path

import asyncpg
from rich.console import Console
from rich.progress import Progress

from app.embedded import EmbeddedServers, default_directory
from tests.ingest_city import NOW, reading, topic
from tests.mid_load import Worker, await_session, settle
from tests.publisher import Publisher

QUICK, FULL = 50_000, 1_000_000
_CHUNK = 10_000
_GIVE_UP_S = 120.0


@dataclass(frozen=True)
class Figures:
    """What was sent and kept; memory is the worker's, megabytes at the beginning and at its highest."""

    devices: int
    seconds: float
    messages_per_s: float
    worker_begin_mb: float
    worker_max_mb: float
    quarantine_rows: int
    unregistered_rows: int
    messages_counted: int
    database_mb: float


async def measure(servers: EmbeddedServers, devices: int) -> Figures:
    """Publish, wait until all is accounted for, and look at what is left."""
    account = ("GW-1", servers.add_gateways(["GW-1"])["GW-1"])
    worker = Worker(servers)
    conn = await asyncpg.connect(servers.admin_database_url)
    try:
        await asyncio.to_thread(await_session, servers)
        before = await _received(conn)
        begun_s, begin_mb = time.perf_counter(), worker.rss_mb
        highest_mb = await asyncio.to_thread(_publish, servers, account, devices, worker)
        while await _received(conn) - before < devices:
            await asyncio.sleep(0.2)
            highest_mb = max(highest_mb, worker.rss_mb)
            if time.perf_counter() - begun_s > _GIVE_UP_S + devices / 1_000:
                raise SystemExit("not everything that was acknowledged became accounted for")
        seconds = time.perf_counter() - begun_s
        kept = await conn.fetchrow(
            "SELECT (SELECT count(*) FROM quarantine) AS quarantine,"
            " (SELECT count(*) FROM unregistered_device) AS rows,"
            " (SELECT sum(messages)::bigint FROM unregistered_device) AS messages,"
            " pg_database_size(current_database()) / 1e6 AS mb, (SELECT sum(quarantined) FROM ledger) AS quarantined"
        )
        if not kept["messages"] == kept["quarantined"] >= devices:
            raise SystemExit(f"the account is wrong: {dict(kept)} of {devices}")
    finally:
        worker.stop()
        await conn.close()
    return Figures(
        devices, round(seconds, 1), round(devices / seconds), begin_mb, highest_mb,
        kept["quarantine"], kept["rows"], kept["messages"], round(float(kept["mb"]), 1),
    )  # fmt: skip


async def _received(conn: asyncpg.Connection) -> int:
    return int(await conn.fetchval("SELECT coalesce(sum(received), 0) FROM ledger"))


def _publish(servers: EmbeddedServers, account: tuple[str, str], devices: int, worker: Worker) -> float:
    highest_mb = 0.0
    with Publisher("127.0.0.1", servers.mqtt_port, account) as gateway, Progress(transient=True) as bar:
        task = bar.add_task("messages acknowledged", total=devices)
        for first in range(0, devices, _CHUNK):
            numbers = range(first, min(first + _CHUNK, devices))
            gateway.publish([(topic(), reading(f"X-{n}", n % 65_536, NOW)) for n in numbers], window=2_000)
            bar.advance(task, len(numbers))
            highest_mb = max(highest_mb, worker.rss_mb)
    return highest_mb


def main() -> None:
    """Measure, print, and write JSON when asked."""
    parser = argparse.ArgumentParser(prog="scripts/bench strangers", description=__doc__)
    parser.add_argument("--full", action="store_true", help=f"{FULL:,} devices instead of {QUICK:,}")
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    chosen = parser.parse_args()
    folder = default_directory() / "bench" / uuid.uuid4().hex[:12]
    servers = EmbeddedServers.open(folder)
    try:
        servers.start()
        found = asyncio.run(measure(settle(servers), FULL if chosen.full else QUICK))
    finally:
        servers.destroy()
        shutil.rmtree(folder, ignore_errors=True)
    Console().print(
        f"{found.devices:,} unregistered devices, a message each: {found.seconds:,.1f} s, {found.messages_per_s:,.0f}/s"
        f"; worker {found.worker_begin_mb:.0f} -> {found.worker_max_mb:.0f} MB\n"
        f"kept: {found.unregistered_rows:,} rows of devices to register that count {found.messages_counted:,} messages,"
        f" {found.quarantine_rows:,} messages in quarantine; database {found.database_mb:,.0f} MB"
    )
    if chosen.json:
        chosen.json.write_text(json.dumps(asdict(found), indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
