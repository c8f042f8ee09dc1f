"""Loads the frames of the window rules: readings by binary COPY, which costs a tenth of fetching rows."""

import io
from collections.abc import Sequence
from datetime import UTC, datetime

import asyncpg
import numpy as np
import polars as pl

from rules.windows import BOUNDARIES, CLOSINGS, DEVICES, READINGS, TIME, VALVES, Window, prepare
from sql import queries

_HEADER_BYTES = 19  # signature 11, flags 4, extension length 4
_EPOCH_US = int(datetime(2000, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000  # PostgreSQL counts from there
_ROW = np.dtype(
    [
        ("columns", ">i2"),
        ("_1", ">i4"),
        ("device_id", ">i4"),
        ("_2", ">i4"),
        ("at", ">i8"),
        ("_3", ">i4"),
        ("index_ml", ">i8"),
        ("_4", ">i4"),
        ("flags", ">i4"),
        ("_5", ">i4"),
        ("status", ">i4"),
    ]
)


async def load_window(
    conn: asyncpg.Connection, device_ids: Sequence[int], since: datetime, until: datetime, *, bounded: bool
) -> Window:
    """Everything the window detectors need of some devices, within `(since, until]`.

    `bounded`: newer data exist and were left out on purpose.
    """
    readings = await readings_window(conn, device_ids, since, until)
    devices = await _frame(conn, "window_devices", DEVICES, device_ids=device_ids)
    valves = await _frame(conn, "valve_facts", VALVES, device_ids=device_ids, since=since)
    boundaries = await _frame(conn, "installation_boundaries", BOUNDARIES, device_ids=device_ids, since=since)
    return prepare(readings, devices, valves, boundaries, until if bounded else None)


async def closings(
    conn: asyncpg.Connection, rule_ids: Sequence[str], device_ids: Sequence[int]
) -> dict[str, pl.DataFrame]:
    """Per rule, when the newest closed alert of each device was closed (CLOSINGS)."""
    schema = pl.Schema({"rule_id": pl.String(), **CLOSINGS})
    found = await _frame(conn, "closings", schema, rule_ids=rule_ids, device_ids=device_ids)
    return {rule_id: found.filter(pl.col("rule_id") == rule_id).drop("rule_id") for rule_id in rule_ids}


async def readings_window(
    conn: asyncpg.Connection, device_ids: Sequence[int], since: datetime, until: datetime
) -> pl.DataFrame:
    """Registers and status words of devices (READINGS) in no particular order; unknown is null."""
    output = io.BytesIO()
    text, *arguments = queries["readings_window"].bind(device_ids=list(device_ids), since=since, until=until)
    await conn.copy_from_query(str(text).rstrip(";"), *arguments, output=output, format="binary")
    return decode_rows(output.getbuffer())


def decode_rows(copied: memoryview) -> pl.DataFrame:
    """The rows of a binary COPY of `readings_window`: five fixed-width columns, none null."""
    rows = np.frombuffer(copied[_HEADER_BYTES:-2], dtype=_ROW)
    native = {name: rows[name].astype(rows[name].dtype.newbyteorder("=")) for name in READINGS}
    native["at"] = native["at"] + _EPOCH_US
    unknown = [pl.when(pl.col(name) >= 0).then(pl.col(name)).alias(name) for name in ("index_ml", "status")]
    frame = pl.DataFrame(native).with_columns(pl.col("at").cast(TIME), *unknown)
    return frame.cast(READINGS)


async def _frame(conn: asyncpg.Connection, name: str, schema: pl.Schema, **values: object) -> pl.DataFrame:
    rows = await conn.fetch(*queries[name].bind(**values))
    columns = {column: [row[column] for row in rows] for column in schema}
    return pl.DataFrame(columns, schema=schema)
