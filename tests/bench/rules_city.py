"""The whole city: hourly registers of a million meters, every stream of the rules service; minutes, memory, growth.

The registry and the readings go straight into the tables as ingest would leave them: batches, device states, frozen
hours. The evaluator runs in a process of its own, whose peak memory is its own; the database has its own processes.
"""

import asyncio
import json
import resource
import subprocess
import sys
import time
from collections.abc import Awaitable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO

import asyncpg
import numpy as np
import numpy.typing as npt
import psycopg
from rich.console import Console
from rich.table import Table

from rules.catalog import default_catalog
from simulator.city import CityParams, build_city
from simulator.usage import Hours, Millilitres, hourly_use
from sql.pool import open_pool
from tests.bench.rules_stage import Watch, stage

NOW = datetime(2026, 3, 10, 6, 0, tzinfo=UTC)
HOURS = 48
QUICK = (20_000,)
FULL = (50_000, 150_000, 500_000, 1_500_000)
SILENT_SHARE = 0.003
_AT_ONCE = 20_000  # meters generated and copied together
_BATCH = 2_000  # meters in one batch
_KINDS = 2_000  # homes that are modelled; the city is made of them, each with its own start and meter
_ROW = np.dtype(
    [
        ("fields", ">i2"),
        ("device_bytes", ">i4"), ("device_id", ">i4"),
        ("at_bytes", ">i4"), ("at", ">i8"),
        ("index_bytes", ">i4"), ("index_ml", ">i8"),
        ("flags_bytes", ">i4"), ("flags", ">i4"),
        ("batch_bytes", ">i4"), ("batch_id", ">i8"),
    ]
)  # fmt: skip
_SEEN = ("city",)
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Costs:
    """What a city of one size costs: loading it for this run, then one day after the other, and a look for silence.

    A day is every stream, one after the other: `streams` says how long each took on the second day. The roll-up, which
    the days wait for, is a service of its own and stands apart.
    """

    meters: int
    rows: int
    load_s: float
    first_day_s: float
    second_day_s: float
    streams: dict[str, float]
    roll_up_s: float
    tick_s: float
    second_tick_s: float
    peak_mb: float
    database_gb: float
    alerts: dict[str, int]

    @property
    def rows_s(self) -> float:
        """Rows evaluated a second, over both days and all streams."""
        return self.rows / (self.first_day_s + self.second_day_s)


async def measure(sizes: tuple[int, ...], console: Console, url: str | None = None) -> list[Costs]:
    """A database for each size; raises what the evaluator's process says when it fails."""
    found = []
    for meters in sizes:
        async with stage(url) as (pool, admin_url):
            with console.status(f"{meters:,} meters: registry and readings"):
                began = time.perf_counter()
                await asyncio.to_thread(register, admin_url, meters)
                async with pool.acquire() as conn:
                    rows = await fill(conn, meters)
                load_s = time.perf_counter() - began
                await asyncio.to_thread(_analyze, admin_url)
            with console.status(f"{meters:,} meters: rules"):
                found.append(await _evaluated(admin_url, meters, rows, load_s))
    return found


async def _evaluated(admin_url: str, meters: int, rows: int, load_s: float) -> Costs:
    command = [sys.executable, "-m", "tests.bench.rules_city", admin_url]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    output, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"the evaluator's process ended with {process.returncode}")
    return Costs(meters, rows, round(load_s, 1), **json.loads(output))


def register(admin_url: str, meters: int) -> None:
    """Districts of 10,000 homes, compounds, buildings of 14 doors, gateways of 200 meters, and who is where."""
    with psycopg.connect(admin_url, autocommit=True) as conn:
        for statement in _REGISTRY:
            conn.execute(statement, {"meters": meters, "installed": NOW - timedelta(days=900)})
        conn.execute("ANALYZE")


_REGISTRY = (
    """INSERT INTO district (code, name) SELECT 'A' || n, 'Area ' || n FROM generate_series(0, %(meters)s / 10000) n""",
    """INSERT INTO compound (code, name, district_id, latitude, longitude)
       SELECT 'C' || n, 'Compound ' || n, (SELECT min(district_id) FROM district) + n / 20, 30, 120
       FROM generate_series(0, %(meters)s / 500) n""",
    """INSERT INTO building (code, name, compound_id, latitude, longitude)
       SELECT 'B' || n, 'Building ' || n, (SELECT min(compound_id) FROM compound) + n * 14 / 500, 30, 120
       FROM generate_series(0, %(meters)s / 14) n""",
    """INSERT INTO premises (code, building_id, unit, address, user_class)
       SELECT 'P' || n, (SELECT min(building_id) FROM building) + n / 14, n::text, 'made up',
              CASE WHEN n %% 50 = 0 THEN 'commercial' ELSE 'household' END
       FROM generate_series(0, %(meters)s - 1) n""",
    """INSERT INTO gateway (code, area)
       SELECT 'GW' || n, 'A' || n / 50 FROM generate_series(0, %(meters)s / 200) n""",
    """INSERT INTO device (code, kind, gateway_id, meter_class, qmin_lh, qmax_lh, pulse_ml, register_wrap_ml, has_valve,
                           expected_interval_s, made_on)
       SELECT 'M' || n, 'meter', (SELECT min(gateway_id) FROM gateway) + n / 200, 'G2.5', 25, 4000,
              CASE WHEN n %% 3 = 0 THEN 1000 ELSE 10000 END, 100000000000, true, 86400, date '2023-01-01'
       FROM generate_series(0, %(meters)s - 1) n""",
    """INSERT INTO installation (device_id, premises_id, installed_at)
       SELECT d.device_id, p.premises_id, %(installed)s
       FROM device d JOIN premises p ON p.code = 'P' || substr(d.code, 2)""",
)


def _analyze(admin_url: str) -> None:
    with psycopg.connect(admin_url, autocommit=True) as conn:
        conn.execute("ANALYZE")


async def fill(conn: asyncpg.Connection, meters: int) -> int:
    """Two days of hourly registers of every meter, in batches as they arrive; returns the rows."""
    first_id = await conn.fetchval("SELECT min(device_id) FROM device")
    increments = _increments()
    start = NOW.replace(hour=0) - timedelta(hours=HOURS)
    rows = 0
    for day in range(HOURS // 24):  # day by day, so that batches have the order in which they arrive
        for first in range(0, meters, _AT_ONCE):
            ids = np.arange(first_id + first, first_id + min(first + _AT_ONCE, meters))
            registers = _registers(ids, increments)[:, day * 24 : day * 24 + 24]
            batches = await _batches(conn, ids, start + timedelta(days=day))
            stream = _stream(ids, registers, start + timedelta(days=day), batches)
            await conn.copy_to_table(
                "reading",
                source=BytesIO(stream),
                columns=["device_id", "at", "index_ml", "flags", "batch_id"],
                format="binary",
            )
            rows += len(ids) * 24
    await conn.execute(_HEARD, NOW - timedelta(hours=2), NOW - timedelta(days=5), SILENT_SHARE)
    await conn.execute(_GATEWAYS_HEARD, NOW - timedelta(minutes=30))
    return rows


_HEARD = """INSERT INTO device_state (device_id, last_received_at, heard_at)
    SELECT device_id, at, at FROM (
        SELECT device_id, CASE WHEN (device_id::bigint * 7919) % 10007 < 10007 * $3::float
                               THEN $2::timestamptz ELSE $1::timestamptz END AS at
        FROM device
    ) d"""
_GATEWAYS_HEARD = """INSERT INTO gateway_state (gateway_id, last_received_at, heard_at, state)
    SELECT gateway_id, $1, $1, 'online' FROM gateway"""


def _increments() -> Millilitres:
    """Use by the hour of many kinds of homes, as the simulator models it."""
    start = NOW.replace(hour=0) - timedelta(hours=HOURS + 8)
    city = build_city(CityParams(now=NOW, homes=_KINDS, history_days=12))
    return hourly_use(city, Hours(start, HOURS, 8), 1)


def _registers(ids: npt.NDArray[np.int64], increments: Millilitres) -> Millilitres:
    rng = np.random.default_rng(int(ids[0]))
    kinds = rng.integers(0, len(increments), len(ids))
    starts = rng.integers(60 * 10**6, 3_000 * 10**6, len(ids))
    pulse = np.where(ids % 3 == 0, 1_000, 10_000)[:, None]
    true_ml = starts[:, None] + np.cumsum(increments[kinds], axis=1)
    return np.asarray(true_ml // pulse * pulse)


async def _batches(conn: asyncpg.Connection, ids: npt.NDArray[np.int64], day: datetime) -> npt.NDArray[np.int64]:
    """The batches in which these meters' day arrives, some hours after it ended; one batch id for each meter."""
    parts = [ids[start : start + _BATCH].tolist() for start in range(0, len(ids), _BATCH)]
    received_at = day + timedelta(hours=26)
    found = [
        await conn.fetchval(
            """INSERT INTO batch (slot, first_received_at, last_received_at, received, stored, duplicate, late,
                   conflict, quarantined, reading_rows, event_rows, gateway_rows, device_ids, first_at, last_at)
               VALUES ('city', $1, $1, $2, $2, 0, 0, 0, 0, $2 * 24, 0, 0, $3, $4, $5) RETURNING batch_id""",
            received_at, len(part), part, day + timedelta(hours=1), day + timedelta(hours=24),
        )
        for part in parts
    ]  # fmt: skip
    return np.repeat(np.array(found), [len(part) for part in parts])


def _stream(ids: npt.NDArray[np.int64], registers: Millilitres, day: datetime, batches: npt.NDArray[np.int64]) -> bytes:
    """A day of registers as binary COPY, hour after hour within a meter."""
    hours = registers.shape[1]
    rows = np.zeros(registers.size, _ROW)
    rows["fields"] = 5
    for name, size in (("device", 4), ("at", 8), ("index", 8), ("flags", 4), ("batch", 8)):
        rows[f"{name}_bytes"] = size
    begins_us = (day - _EPOCH) // timedelta(microseconds=1)
    rows["device_id"] = np.repeat(ids, hours)
    rows["at"] = np.tile(begins_us + np.arange(1, hours + 1) * 3_600_000_000, len(ids))
    rows["index_ml"] = registers.ravel()
    rows["batch_id"] = np.repeat(batches, hours)
    return b"PGCOPY\n\xff\r\n\0" + bytes(8) + rows.tobytes() + b"\xff\xff"


# ---------------------------------------------------------------------------------------------- the evaluator's process


async def evaluate(admin_url: str) -> dict[str, object]:
    """Both days one after the other, then two looks for silence; seconds, alerts, peak memory of this process."""
    async with open_pool(admin_url, application_name="bench", command_timeout_s=3_600) as pool:
        watch = Watch(pool, default_catalog())
        day_s = [await _one_day(pool, watch, day) for day in range(HOURS // 24)]
        evaluated_s = [sum(took for name, took in one.items() if name != "roll-up") for one in day_s]
        tick_s = [await _timed(watch, NOW + timedelta(minutes=10 * number)) for number in range(2)]
        rows = await pool.fetch("SELECT rule_id, count(*) AS count FROM alert GROUP BY rule_id ORDER BY rule_id")
        size = await pool.fetchval("SELECT pg_database_size(current_database())")
    return {
        "first_day_s": round(evaluated_s[0], 2),
        "second_day_s": round(evaluated_s[1], 2),
        "streams": {name: round(took, 2) for name, took in day_s[1].items() if name != "roll-up"},
        "roll_up_s": round(day_s[1]["roll-up"], 2),
        "tick_s": round(tick_s[0], 2),
        "second_tick_s": round(tick_s[1], 2),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "database_gb": round(size / 1e9, 2),
        "alerts": {row["rule_id"]: row["count"] for row in rows},
    }


async def _one_day(pool: asyncpg.Pool, watch: Watch, day: int) -> dict[str, float]:
    """Let every stream see the batches of one day, in the order in which the service's loops come to them; seconds.

    Batches of later days are put out of sight by a slot that nobody asks for.
    """
    ends = NOW.replace(hour=0) - timedelta(hours=HOURS - 24 * (day + 1))
    await pool.execute("UPDATE batch SET slot = CASE WHEN last_at <= $1 THEN 'city' ELSE 'later' END", ends)
    now = ends + timedelta(hours=6)
    passes: dict[str, Awaitable[None]] = {
        "events": watch.events(now, _SEEN),
        "instants": watch.reports(now, _SEEN),
        "readings": watch.readings(now, _SEEN),
        "roll-up": watch.roll_up(_SEEN),
        "days": watch.days(now, _SEEN),
        "daily": watch.daily(now),
    }
    took: dict[str, float] = {}
    for name, one in passes.items():
        began = time.perf_counter()
        await one
        took[name] = time.perf_counter() - began
    return took


async def _timed(watch: Watch, now: datetime) -> float:
    began = time.perf_counter()
    await watch.tick(now)
    return time.perf_counter() - began


def report(costs: list[Costs], console: Console) -> None:
    """One row a size."""
    table = Table(
        "meters",
        "rows",
        "load",
        "first day",
        "one more day",
        "rows/s",
        "roll-up",
        "silence, first",
        "again",
        "peak MB",
        "database GB",
    )
    table.title = f"the whole city, {HOURS} h of hourly registers, every stream of the rules"
    for one in costs:
        table.add_row(
            f"{one.meters:,}", f"{one.rows:,}", f"{one.load_s:.0f} s", f"{one.first_day_s:.1f} s",
            f"{one.second_day_s:.1f} s", f"{one.rows_s:,.0f}", f"{one.roll_up_s:.1f} s",
            f"{one.tick_s:.1f} s", f"{one.second_tick_s:.1f} s",
            f"{one.peak_mb:.0f}", f"{one.database_gb:.1f}",
        )  # fmt: skip
    console.print(table)
    for one in costs:
        streams = ", ".join(f"{name} {took:.1f} s" for name, took in one.streams.items())
        console.print(f"{one.meters:,} meters: one more day: {streams}; alerts {one.alerts or 'none'}")


def as_json(costs: list[Costs]) -> list[dict[str, object]]:
    """Everything as plain values."""
    return [asdict(one) | {"rows_s": round(one.rows_s)} for one in costs]


if __name__ == "__main__":
    print(json.dumps(asyncio.run(evaluate(sys.argv[1]))))  # noqa: T201 - the parent reads it
