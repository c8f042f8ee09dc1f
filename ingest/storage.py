"""What readings take on disk, how fast that grows, and for how many days the disk lasts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import asyncpg

from sql import queries

GROWTH_DAYS = 14
_COMPRESSED = ("reading", "event", "reading_hourly", "reading_daily")


@dataclass(frozen=True, slots=True)
class TableSize:
    """A table on disk, in bytes; `rows` is what the server's statistics know, `chunks` None for an ordinary table."""

    name: str
    table_bytes: int
    index_bytes: int
    total_bytes: int
    rows: int
    chunks: int | None

    @property
    def bytes_per_row(self) -> float | None:
        """Bytes on disk of one row with its share of the indexes; None without rows."""
        return self.total_bytes / self.rows if self.rows else None


@dataclass(frozen=True, slots=True)
class IndexSize:
    """An index on disk over all chunks, in bytes."""

    table: str
    name: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Growth:
    """How fast the database grows: readings and bytes a day, over so many whole days of arrivals (0: nothing known)."""

    days: int
    readings_per_day: float
    bytes_per_day: float


@dataclass(frozen=True, slots=True)
class Storage:
    """Everything `gaswarden storage` shows; sizes in bytes."""

    at: datetime
    edition: str
    postgresql: str
    timescaledb: str
    database_bytes: int
    tables: tuple[TableSize, ...]
    indexes: tuple[IndexSize, ...]
    growth: Growth
    compression_ratio: dict[str, float] | None
    keep_days: dict[str, int | None]
    retired_before: dict[str, datetime]
    waiting_batches: int

    def table(self, name: str) -> TableSize | None:
        """The size of one table by name."""
        return next((table for table in self.tables if table.name == name), None)


async def measure(conn: asyncpg.Connection) -> Storage:
    """Ask the database for its sizes; takes about a second on years of data, no rows are read."""
    facts = await conn.fetchrow(*queries["database_facts"].bind())
    hyper = await conn.fetch(*queries["hypertable_sizes"].bind())
    plain = await conn.fetch(*queries["plain_table_sizes"].bind())
    tables = (
        *(
            TableSize(r["name"], r["table_bytes"], r["index_bytes"], r["total_bytes"], r["rows"], r["chunks"])
            for r in hyper
        ),
        *(TableSize(r["name"], r["table_bytes"], r["index_bytes"], r["total_bytes"], r["rows"], None) for r in plain),
    )
    since = facts["at"] - timedelta(days=GROWTH_DAYS + 1)
    arrivals = [(row["day"], row["rows"]) for row in await conn.fetch(*queries["arrivals_by_day"].bind(since=since))]
    edition = await conn.fetchval(*queries["storage_facts"].bind())
    waiting = await conn.fetchval(*queries["waiting_rollup_batches"].bind()) if edition == "apache" else 0
    retired = await conn.fetch(*queries["retired_counts"].bind())
    return Storage(
        facts["at"],
        edition,
        facts["postgresql"],
        facts["timescaledb"],
        facts["bytes"],
        tables,
        tuple(IndexSize(*row) for row in await conn.fetch(*queries["index_sizes"].bind())),
        growth_of(arrivals, bytes_per_reading(tables), facts["at"].date()),
        await _compression(conn) if edition == "community" else None,
        {row["subject"]: row["keep_days"] for row in await conn.fetch(*queries["retention_rules"].bind())},
        {row["subject"]: row["before_at"] for row in retired},
        waiting,
    )


async def _compression(conn: asyncpg.Connection) -> dict[str, float]:
    """Size before by size after of the converted chunks, by table; a table without any is left out."""
    ratios = {}
    for table in _COMPRESSED:
        row = await conn.fetchrow(*queries["columnstore_sizes"].bind(table_name=table))
        if row is not None and row["before_bytes"] and row["after_bytes"]:
            ratios[table] = row["before_bytes"] / row["after_bytes"]
    return ratios


def bytes_per_reading(tables: Sequence[TableSize]) -> float | None:
    """What one reading costs on disk with its share of indexes and roll-ups; None without readings."""
    sizes = {table.name: table for table in tables}
    reading = sizes.get("reading")
    if reading is None or not reading.rows:
        return None
    rollups = sum(sizes[name].total_bytes for name in ("reading_hourly", "reading_daily") if name in sizes)
    return (reading.total_bytes + rollups) / reading.rows


def growth_of(arrivals: Sequence[tuple[date, int]], reading_bytes: float | None, today: date) -> Growth:
    """Growth from the readings that arrived on each day; today and the first day are not whole and do not count.

    When no whole day is known yet, the days there are count as they are.
    """
    whole = [(day, rows) for day, rows in arrivals if day != today][1:] or list(arrivals)
    if not whole or reading_bytes is None:
        return Growth(0, 0.0, 0.0)
    days = (max(day for day, _ in whole) - min(day for day, _ in whole)).days + 1
    per_day = sum(rows for _, rows in whole) / days
    return Growth(days, per_day, per_day * reading_bytes)


def runway_days(growth: Growth, free_bytes: int) -> float | None:
    """For how many days free disk lasts at this growth, before retention takes anything away; None without growth."""
    return free_bytes / growth.bytes_per_day if growth.bytes_per_day > 0 else None
