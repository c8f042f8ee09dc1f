"""Ingest figures: rates beside raw COPY and a bare subscriber, a tenfold burst, alarms, processor, bytes on disk.

Everything runs on this machine at once: broker, database, worker and the publisher. `live` is measured from the first
publication to the last commit; `drain` with the messages already waiting at the broker, without the publisher. The
burst offers ten times the steady rate of single readings, and goes on until the last one is committed.
"""

import argparse
import asyncio
import itertools
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from multiprocessing.synchronize import Event
from pathlib import Path

import asyncpg
from rich.console import Console
from rich.table import Table

from app.embedded import EmbeddedServers, default_directory
from sql.migrate import migrate
from tests.bench import ingest_load as load
from tests.bench import latency
from tests.bench.ingest_burst import Burst, run_burst
from tests.bench.ingest_plot import draw
from tests.bench.ingest_stages import stages
from tests.publisher import Publisher

_COPY_ROWS = 50_000
_WINDOW = 2_000


@dataclass(frozen=True)
class Sizes:
    """How much is sent."""

    devices: int
    report_days: int
    single_rounds: int
    burst_s: float
    alarms: int


QUICK = Sizes(10_000, 2, 8, 30.0, 100)
FULL = Sizes(20_000, 10, 50, 600.0, 500)
STEADY_PER_S = 1_000  # the city's steady rate is some 20 reports a second; this leaves room for chattier meters
BURST_PER_S = 10 * STEADY_PER_S
THINGSBOARD_PER_S = 5_000  # ThingsBoard's published figure on two cores: 5,000 messages, 15,000 points a second


@dataclass
class Figures:
    """What one way of working reached."""

    name: str
    messages: int
    rows: int
    seconds: float
    cpu_us: dict[str, float] = field(default_factory=dict)  # per message, by process
    bytes_per_row: float | None = None  # of the table `reading` with its indexes

    @property
    def messages_s(self) -> float:
        return self.messages / self.seconds

    @property
    def rows_s(self) -> float:
        return self.rows / self.seconds


class Bench:
    """Servers of this run, and one measurement after another on them."""

    def __init__(self, servers: EmbeddedServers, sizes: Sizes) -> None:
        self.servers = servers
        self.sizes = sizes
        self.figures: list[Figures] = []
        self.burst: Burst | None = None
        self._workers: list[subprocess.Popen[str]] = []

    def end(self) -> None:
        """End what a failed measurement left running."""
        for worker in self._workers:
            if worker.poll() is None:
                worker.kill()

    def run(self) -> None:
        sizes = self.sizes
        report_rows = sizes.devices * sizes.report_days * 25
        single_rows = sizes.devices * sizes.single_rounds
        self._copy("raw COPY, rows of reports", load.report_records(sizes.devices, sizes.report_days))
        self._copy("raw COPY, single readings", load.single_records(sizes.devices, sizes.single_rounds))
        reports, singles = (load.reports, sizes.report_days), (load.singles, sizes.single_rounds)
        half = sizes.report_days // 2 or 1
        self._worker("reports of 25 values, live", *reports, report_rows, drain=False)
        self._fresh()
        self._worker("reports of 25 values, drain", load.reports, half, sizes.devices * half * 25, drain=True)
        self._fresh()
        self._worker("single readings, live", *singles, single_rows, drain=False)
        self._fresh()
        self._worker("single readings, drain", *singles, single_rows, drain=True)
        self._forget_sessions()  # or the broker would queue for the absent worker, too
        self._bare("only acknowledges, live", *singles)
        self._fresh()
        self.burst = run_burst(self, sizes.burst_s)

    # ---- measurements

    def _copy(self, name: str, records: Iterable[load.Record]) -> None:
        rows = list(records)
        chunks = [rows[start : start + _COPY_ROWS] for start in range(0, len(rows), _COPY_ROWS)]

        async def copy() -> float:
            conn = await asyncpg.connect(self.servers.database_url)
            try:
                started = time.perf_counter()
                for chunk in chunks:
                    await conn.copy_records_to_table("reading", records=chunk, columns=load.RECORD_COLUMNS)
                return time.perf_counter() - started
            finally:
                await conn.close()

        self.figures.append(Figures(name, 0, len(rows), asyncio.run(copy())))

    def _worker(
        self, name: str, make: Callable[[int, int], list[load.Message]], rounds: int, rows: int, *, drain: bool
    ) -> None:
        count = self.sizes.devices * rounds
        worker = self.start_worker()
        expected = self.ledger_received() + count
        if drain:
            _stop(worker)
            publisher = self._start_publisher(make, rounds)
            publisher.go()
            publisher.join()
            worker = self.start_worker(await_subscription=False)
            before = self._cpu(worker.pid)
            started = time.perf_counter()
        else:
            publisher = self._start_publisher(make, rounds)
            before = self._cpu(worker.pid)
            started = time.perf_counter()
            publisher.go()
        self.await_ledger(expected)
        seconds = time.perf_counter() - started
        after = self._cpu(worker.pid)
        cpu = {key: (after[key] - before[key]) / count * 1e6 for key in after}
        publisher.join()
        _stop(worker)
        self.figures.append(Figures(name, count, rows, seconds, cpu, self._bytes_per_row() if drain else None))

    def _bytes_per_row(self) -> float:
        """Of the table and its indexes, as they lie on disk after the load; nothing is compressed yet."""
        size = "SELECT sum(total_bytes)::bigint FROM hypertable_detailed_size('reading')"
        url = self.servers.admin_database_url
        return asyncio.run(_fetch(url, size)) / asyncio.run(_fetch(url, "SELECT count(*) FROM reading"))

    def _bare(self, name: str, make: Callable[[int, int], list[load.Message]], rounds: int) -> None:
        count = self.sizes.devices * rounds
        command = [sys.executable, "-m", "tests.bench.ingest_bare", self.servers.mqtt_url, str(count)]
        bare = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert bare.stdout is not None
        bare.stdout.readline()
        publisher = self._start_publisher(make, rounds)
        started = time.perf_counter()
        publisher.go()
        bare.wait(600)
        self.figures.append(Figures(name, count, 0, time.perf_counter() - started))
        publisher.join()

    # ---- parts

    def start_worker(self, *, await_subscription: bool = True) -> "subprocess.Popen[str]":
        """Start a worker and wait until it is connected."""
        command = [sys.executable, "-m", "app", "run", "ingest"]
        addresses = {"DATABASE_URL": self.servers.database_url, "MQTT_URL": self.servers.mqtt_url}
        environ = {name: value for name, value in os.environ.items() if not name.startswith("GASWARDEN_")}
        worker = subprocess.Popen(
            command,
            env=environ | addresses | {"GASWARDEN_HTTP__PROBE_PORT": "0"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._workers.append(worker)
        assert worker.stderr is not None
        said = []
        for line in worker.stderr:
            said.append(line)
            if "broker_connected" in line:
                break
        else:
            raise SystemExit(f"the worker did not start:\n{''.join(said[-5:])}")
        if await_subscription:
            self._await_subscription()
        return worker

    def _await_subscription(self) -> None:
        """Wait until readings come through: a message of nobody's device is published until it is in quarantine."""
        topic = f"gas/v1/{load.AREA}/{load.gateway_of(0)}/readings"
        seen = "SELECT coalesce(sum(times), 0) FROM quarantine"
        before = asyncio.run(_fetch(self.servers.database_url, seen))
        while asyncio.run(_fetch(self.servers.database_url, seen)) == before:
            with Publisher("127.0.0.1", self.servers.mqtt_port, self.servers.credentials("ingest")) as probe:
                probe.publish_one(topic, b"{")
            time.sleep(0.2)
        time.sleep(0.5)  # probes that are still on their way

    def _start_publisher(self, make: Callable[[int, int], list[load.Message]], rounds: int) -> "_Publishing":
        return _Publishing(self.servers, make, self.sizes.devices, rounds)

    def _fresh(self) -> None:
        """Forget the rows of an earlier measurement, so that the same messages are new again."""
        tables = "reading, event, conflict, quarantine, ledger, batch, device_state, gateway_state, gateway_event"
        asyncio.run(_execute(self.servers.admin_database_url, f"TRUNCATE {tables}"))
        asyncio.run(_execute(self.servers.superuser_database_url, "CHECKPOINT"))

    def _forget_sessions(self) -> None:
        """A broker that knows no session and holds no message."""
        broker = self.servers.mosquitto
        broker.stop()
        broker.forget()
        broker.start()
        _let_ingest_publish(self.servers)

    def ledger_received(self) -> int:
        return asyncio.run(_fetch(self.servers.database_url, "SELECT coalesce(sum(received), 0) FROM ledger"))

    def rows(self) -> int:
        """Readings stored now."""
        return asyncio.run(_fetch(self.servers.database_url, "SELECT count(*) FROM reading"))

    def await_ledger(self, expected: int) -> None:
        self._await("SELECT coalesce(sum(received), 0) FROM ledger", expected)

    def _await(self, statement: str, expected: int) -> None:
        async def wait() -> None:
            conn = await asyncpg.connect(self.servers.database_url)
            try:
                while await conn.fetchval(statement) < expected:  # noqa: ASYNC110 - it happens elsewhere
                    await asyncio.sleep(0.02)
            finally:
                await conn.close()

        asyncio.run(asyncio.wait_for(wait(), 900))

    def _cpu(self, worker: int) -> dict[str, float]:
        """Seconds of processor used so far by worker, database and broker."""
        broker, database = self.servers.mosquitto.pid(), _postmaster(self.servers)
        backends = sum(map(_cpu_s, [database, *_children(database)]))
        return {"database": backends, "broker": _cpu_s(broker or 0), "worker": _cpu_s(worker)}


class _Publishing:
    """A publisher process that has its messages ready and waits for the word."""

    def __init__(
        self, servers: EmbeddedServers, make: Callable[[int, int], list[load.Message]], devices: int, rounds: int
    ) -> None:
        context = multiprocessing.get_context("spawn")
        self._go, ready = context.Event(), context.Event()
        account = servers.credentials("ingest")
        arguments = (servers.mqtt_port, account, make, devices, rounds, ready, self._go)
        self._process = context.Process(target=_publish, args=arguments)
        self._process.start()
        ready.wait(120)

    def go(self) -> None:
        self._go.set()

    def join(self) -> None:
        self._process.join(600)
        if self._process.exitcode != 0:
            raise SystemExit("the publisher failed")


def _publish(
    port: int,
    account: tuple[str, str],
    make: Callable[[int, int], list[load.Message]],
    devices: int,
    rounds: int,
    ready: Event,
    go: Event,
) -> None:
    messages = make(devices, rounds)
    with Publisher("127.0.0.1", port, account) as publisher:
        ready.set()
        go.wait()
        publisher.publish(messages, window=_WINDOW, timeout_s=900)


def _stop(process: "subprocess.Popen[str]") -> None:
    process.terminate()
    process.communicate(timeout=60)


async def _execute(url: str, statement: str) -> None:
    conn = await asyncpg.connect(url)
    await conn.execute(statement)
    await conn.close()


async def _fetch(url: str, statement: str) -> int:
    conn = await asyncpg.connect(url)
    try:
        return int(await conn.fetchval(statement))
    finally:
        await conn.close()


async def _fetch_text(url: str, statement: str) -> str:
    conn = await asyncpg.connect(url)
    try:
        return str(await conn.fetchval(statement))
    finally:
        await conn.close()


def _cpu_s(pid: int) -> float:
    """User and system time of a process and its ended children, from /proc."""
    try:
        parts = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except FileNotFoundError:
        return 0.0
    return sum(map(int, parts[11:15])) / os.sysconf("SC_CLK_TCK")


def _children(pid: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rsplit(")", 1)[1].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        if parent == pid:
            found.append(int(stat.parent.name))
    return found


def _postmaster(servers: EmbeddedServers) -> int:
    return int((servers.postgres.data / "postmaster.pid").read_text().split("\n", 1)[0])


def report(figures: list[Figures], console: Console) -> dict[str, float]:
    """Print the table; return the ratios that are promised."""
    table = Table("what", "messages", "rows", "s", "messages/s", "rows/s", "CPU µs a message", "bytes a row")
    for one in figures:
        cpu = ", ".join(f"{name} {value:.0f}" for name, value in sorted(one.cpu_us.items()))
        messages = f"{one.messages_s:,.0f}" if one.messages else "-"
        rows = f"{one.rows_s:,.0f}" if one.rows else "-"
        size = f"{one.bytes_per_row:.0f}" if one.bytes_per_row else "-"
        table.add_row(one.name, f"{one.messages:,}", f"{one.rows:,}", f"{one.seconds:.1f}", messages, rows, cpu, size)
    console.print(table)
    by_name = {one.name: one for one in figures}
    raw, live = by_name["raw COPY, rows of reports"], by_name["reports of 25 values, live"]
    drain = by_name["reports of 25 values, drain"]
    ratios = {
        "reports_live_of_copy": live.rows_s / raw.rows_s,
        "reports_drain_of_copy": drain.rows_s / raw.rows_s,
        "single_live_messages_s": by_name["single readings, live"].messages_s,
        "single_drain_messages_s": by_name["single readings, drain"].messages_s,
        "single_live_of_bare_subscriber": by_name["single readings, live"].messages_s
        / by_name["only acknowledges, live"].messages_s,
        "single_live_of_thingsboard": by_name["single readings, live"].messages_s / THINGSBOARD_PER_S,
        "report_points_live_of_thingsboard": live.rows_s / (3 * THINGSBOARD_PER_S),
    }
    for name, value in ratios.items():
        console.print(f"{name} = {value:,.2f}")
    return ratios


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="minutes instead of seconds")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    parser.add_argument("--plot", type=Path, help="draw them into this PNG file")
    chosen = parser.parse_args()
    console = Console(width=120 if not sys.stdout.isatty() else None)
    sizes = FULL if chosen.full else QUICK
    bench, edition = _measure(sizes)
    ratios = report(bench.figures, console)
    assert bench.burst is not None
    bench.burst.report(console, BURST_PER_S)
    alarms = asyncio.run(latency.run(latency.FULL if chosen.full else latency.QUICK))
    latency.report(alarms, console)
    by_stage = {
        "report of 25": stages(load.reports(5_000, 1)),
        "single reading": stages(load.singles(5_000, 1)),
    }
    _report_stages(by_stage, console)
    console.print(f"edition of TimescaleDB: {edition}; bytes a row are before any compression")
    everything = {
        "figures": [asdict(one) | {"messages_s": one.messages_s, "rows_s": one.rows_s} for one in bench.figures],
        "ratios": ratios,
        "burst": asdict(bench.burst),
        "alarms": alarms,
        "stages_us": by_stage,
        "edition": edition,
    }
    if chosen.json:
        chosen.json.write_text(json.dumps(everything, indent=1) + "\n", "utf-8")
    if chosen.plot:
        draw(everything, chosen.plot)


def _measure(sizes: Sizes) -> tuple[Bench, str]:
    """Everything that needs one worker on servers of its own."""
    directory = default_directory() / "bench" / uuid.uuid4().hex[:8]
    servers = EmbeddedServers.open(directory)
    try:
        servers.start()
        _let_ingest_publish(servers)
        migrate(servers.admin_database_url)
        bench = Bench(servers, sizes)
        load.register(servers.admin_database_url, sizes.devices)
        try:
            bench.run()
        finally:
            bench.end()
        licence = "SELECT current_setting('timescaledb.license')"
        return bench, asyncio.run(_fetch_text(servers.database_url, licence))
    finally:
        servers.destroy()
        if not any(itertools.islice(directory.parent.iterdir(), 1)):
            shutil.rmtree(directory.parent, ignore_errors=True)


def _report_stages(by_stage: dict[str, dict[str, float]], console: Console) -> None:
    table = Table("worker's stages, CPU µs a message", *by_stage)
    for name in next(iter(by_stage.values())):
        table.add_row(name, *(f"{one[name]:.1f}" for one in by_stage.values()))
    console.print(table)


def _let_ingest_publish(servers: EmbeddedServers) -> None:
    """One connection publishes for all gateways here: the access rules of this broker let the ingest account do so."""
    rules = servers.mosquitto.directory / "access"
    rules.write_text(rules.read_text() + "\nuser ingest\ntopic write gas/v1/#\n")
    servers.mosquitto.reload()


if __name__ == "__main__":
    main()
