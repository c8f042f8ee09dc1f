"""A tenfold burst of single readings: does the worker's memory stay flat, is anything lost, how long does it drain."""

import asyncio
import json
import multiprocessing
import time
from dataclasses import dataclass, field
from datetime import timedelta
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
from rich.console import Console

from tests.bench import ingest_load as load
from tests.publisher import Publisher

if TYPE_CHECKING:
    from multiprocessing.sharedctypes import Synchronized

    from tests.bench.ingest import Bench

_TICK_S = 0.1


@dataclass
class Burst:
    """What was offered and what became of it; the samples are (seconds, published, received, worker's RSS in MB)."""

    offered_per_s: int
    seconds: float = 0.0
    published: int = 0
    received: int = 0
    rows: int = 0
    drained_after_s: float = 0.0
    rss_before_mb: float = 0.0
    samples: list[tuple[float, int, int, float]] = field(default_factory=list)

    @property
    def rss_peak_mb(self) -> float:
        return max(sample[3] for sample in self.samples)

    @property
    def rss_growth_in_second_half_mb(self) -> float:
        """By how much the peak of the second half is above that of the first: flat is about nothing."""
        half = len(self.samples) // 2
        first, second = self.samples[:half], self.samples[half:]
        return max(sample[3] for sample in second) - max(sample[3] for sample in first)

    def report(self, console: Console, wanted_per_s: int) -> None:
        """Say it in four sentences."""
        console.print(
            f"burst: {self.published:,} messages in {self.seconds:.0f} s ({self.published / self.seconds:,.0f}/s of "
            f"{wanted_per_s:,}/s wanted); received {self.received:,}, stored {self.rows:,}, lost "
            f"{self.published - self.received:,}; drained {self.drained_after_s:.1f} s after the last publication\n"
            f"worker's memory: {self.rss_before_mb:.0f} MB before, {self.rss_peak_mb:.0f} MB at most, "
            f"{self.rss_growth_in_second_half_mb:+.0f} MB from the first half to the second"
        )


def run_burst(bench: "Bench", seconds: float, per_s: int = 10_000) -> Burst:
    """Offer `per_s` messages a second for so long, then wait until the last is committed."""
    worker = bench.start_worker()
    found = Burst(per_s, rss_before_mb=_rss_mb(worker.pid))
    before, rows_before = bench.ledger_received(), bench.rows()
    context = multiprocessing.get_context("spawn")
    published, ready, go = context.Value("q", 0), context.Event(), context.Event()
    account = bench.servers.credentials("ingest")
    arguments = (bench.servers.mqtt_port, account, bench.sizes.devices, per_s, seconds, published, ready, go)
    process = context.Process(target=_publish, args=arguments)
    process.start()
    ready.wait(120)
    go.set()
    asyncio.run(_watch(bench.servers.database_url, worker.pid, process, published, before, found))
    process.join()
    if process.exitcode != 0:
        raise SystemExit("the publisher of the burst failed")
    found.rows = bench.rows() - rows_before
    worker.terminate()
    worker.communicate(timeout=60)
    return found


async def _watch(
    url: str,
    worker: int,
    process: "multiprocessing.context.SpawnProcess",
    published: "Synchronized[int]",
    before: int,
    found: Burst,
) -> None:
    started = time.perf_counter()
    conn = await asyncpg.connect(url)
    try:
        while True:
            running = process.is_alive()
            received = await conn.fetchval("SELECT coalesce(sum(received), 0)::bigint FROM ledger") - before
            elapsed = time.perf_counter() - started
            found.samples.append((elapsed, published.value, received, _rss_mb(worker)))
            if running:
                found.seconds = elapsed
            elif received >= published.value or elapsed > found.seconds + 600:
                break
            await asyncio.sleep(0.25)
        found.published, found.received = published.value, received
        found.drained_after_s = elapsed - found.seconds
    finally:
        await conn.close()


def _publish(
    port: int,
    account: tuple[str, str],
    devices: int,
    per_s: int,
    seconds: float,
    published: "Synchronized[int]",
    ready: Event,
    go: Event,
) -> None:
    """Publish at a steady pace; what falls behind is caught up with, as a gateway would."""
    with Publisher("127.0.0.1", port, account) as link:
        ready.set()
        go.wait()
        started = time.perf_counter()
        count = 0
        while (elapsed := time.perf_counter() - started) < seconds:
            due = min(int(elapsed * per_s) - count, per_s)
            if due > 0:
                link.publish([_message(number, devices) for number in range(count, count + due)], window=2_000)
                count += due
                published.value = count
            time.sleep(_TICK_S / 2)


def _message(number: int, devices: int) -> load.Message:
    turn, device = divmod(number, devices)
    at = load.DAY - timedelta(hours=4) + timedelta(seconds=17 * turn)
    body = {"device": f"M-{device}", "seq": turn % 65_536, "at": at.isoformat(), "index_ml": 10_000 * turn}
    return f"gas/v1/{load.AREA}/{load.gateway_of(device)}/readings", json.dumps(body).encode()


def _rss_mb(pid: int) -> float:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in text.splitlines() if line.startswith("VmRSS")).split()[1]) / 1000
