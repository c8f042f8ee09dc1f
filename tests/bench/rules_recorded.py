"""Recorded real homes: the catalogue's window rules on every file of a folder, each finding listed with its evidence.

Whole histories are evaluated at once by the same function that live data go through, so that every stretch a rule would
have reported is listed, not only the first. Files are known by their columns: cumulative litres or cubic metres by unix
time, cubic metres by the hour, and an IoT meter with pressure and flow by the minute.
"""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import polars as pl
from rich.console import Console
from rich.table import Table

from ingest.history_marks import mark_rows
from ingest.history_rows import HistoryState
from ingest.model import Device
from rules import passes
from rules.catalog import Catalog, default_catalog
from rules.model import Finding
from rules.spans import Span
from tests.bench.rules_stage import stage

_IMPORTED = {"device": pl.String(), "at": pl.Datetime("us", "UTC"), "value_ml": pl.Int64()}
_BRUSSELS = ZoneInfo("Europe/Brussels")
_QMAX_LH = 6_000.0  # a G4, as a home with gas heating has


@dataclass(frozen=True)
class Recording:
    """A recorded meter: moments with registers in millilitres (None: not told), pressure and flow where told."""

    name: str
    rows: tuple[tuple[datetime, int | None, int | None, float | None], ...]
    note: str


@dataclass(frozen=True)
class Listed:
    """One finding on one recording."""

    recording: str
    rule: str
    first_at: datetime
    last_at: datetime
    value: float | None
    unit: str | None
    severity: str
    sentence: str
    evidence: Mapping[str, object]


async def measure(folder: Path, console: Console, url: str | None = None) -> list[Listed]:
    """Every finding of every rule on every recording below a folder; raises ValueError when there is none."""
    recordings = list(read_folder(folder))
    if not recordings:
        raise ValueError(f"{folder}: no file here has the columns of a recorded home")
    catalog = default_catalog()
    found: list[Listed] = []
    async with stage(url, durable=False) as (pool, admin_url), pool.acquire() as conn:
        device_ids = await _register(admin_url, recordings)
        for recording in recordings:
            with console.status(recording.name):
                found += await _findings(conn, catalog, recording, device_ids[recording.name])
    return found


async def _register(admin_url: str, recordings: Iterable[Recording]) -> dict[str, int]:
    conn = await asyncpg.connect(admin_url)
    try:
        await conn.execute(_PLACE)
        return {
            one.name: await conn.fetchval(
                """WITH home AS (
                       INSERT INTO premises (code, building_id, unit, address, user_class)
                       SELECT $1, building_id, '1', 'recorded', 'household' FROM building RETURNING premises_id
                   ), meter AS (
                       INSERT INTO device (code, kind, gateway_id, meter_class, qmin_lh, qmax_lh, pulse_ml,
                                           expected_interval_s, made_on)
                       SELECT $1, 'meter', gateway_id, 'G4', 40, $2, 1000, 86400, '2018-01-01' FROM gateway
                       RETURNING device_id
                   )
                   INSERT INTO installation (device_id, premises_id, installed_at)
                   SELECT device_id, premises_id, '2015-01-01' FROM meter, home RETURNING device_id""",
                one.name,
                _QMAX_LH,
            )
            for one in recordings
        }
    finally:
        await conn.close()


_PLACE = """
    INSERT INTO district (code, name) VALUES ('R', 'Recorded');
    INSERT INTO compound (code, name, district_id, latitude, longitude)
    SELECT 'R', 'Recorded', district_id, 52, 5 FROM district;
    INSERT INTO building (code, name, compound_id, latitude, longitude)
    SELECT 'R', 'Recorded', compound_id, 52, 5 FROM compound;
    INSERT INTO gateway (code, area) VALUES ('R', 'R');
"""


async def _findings(conn: asyncpg.Connection, catalog: Catalog, recording: Recording, device_id: int) -> list[Listed]:
    flags = _marks(recording)
    rows = [
        (device_id, at, index_ml, flow, pressure, flags.get(at, 0), 0)
        for at, index_ml, pressure, flow in recording.rows
    ]
    columns = ["device_id", "at", "index_ml", "flow_lh", "pressure_pa", "flags", "batch_id"]
    await conn.copy_records_to_table("reading", records=rows, columns=columns)
    first, last = recording.rows[0][0], recording.rows[-1][0]
    span = Span((device_id,), first - timedelta(hours=1), last + timedelta(hours=1))
    found = await passes.evaluate(conn, catalog.of_family("window"), span)
    listed = [_listed(recording, one) for one in found if isinstance(one, Finding)]
    return sorted(listed, key=lambda one: (one.rule, one.first_at))


def _marks(recording: Recording) -> dict[datetime, int]:
    """What ingest would mark on import: a lone zero, a fall, a step that no meter measures."""
    known = [(recording.name, at, index_ml) for at, index_ml, _, _ in recording.rows if index_ml is not None]
    frame = pl.DataFrame(known, schema=_IMPORTED, orient="row")
    marks = mark_rows(frame, {recording.name: Device(1, 1, qmax_lh=_QMAX_LH)}, HistoryState())
    return {at: mark for (_, at, _), mark in zip(known, marks, strict=True) if mark}


def _listed(recording: Recording, one: Finding) -> Listed:
    return Listed(
        recording.name, one.rule_id, one.first_at, one.last_at, one.value, one.unit, one.severity, one.sentence,
        one.evidence,
    )  # fmt: skip


# ---------------------------------------------------------------------------------------------- files


def read_folder(folder: Path) -> Iterable[Recording]:
    """The recordings below a folder: one per home, files of the same IoT meter joined."""
    minutes: dict[datetime, tuple[int | None, int | None, float | None]] = {}
    for path in sorted(folder.rglob("*.csv")):
        text = path.read_text("utf-8-sig")
        header = text.partition("\n")[0]
        if header.startswith("unix_ts,reading"):
            yield _by_unix_time(path.stem, text)
        elif '"Verbruik"' in header:
            yield _by_hour(path.stem, _engie(text))
        elif header.startswith("From (date);"):
            yield _by_hour(path.stem, _fluvius(text))
        elif header.startswith("UNIX Timestamp,Local Time,Pressure"):
            minutes |= _biogas(text)
    if minutes:
        rows = tuple((at, *minutes[at]) for at in sorted(minutes))
        yield Recording("biogas", rows, "a biogas digester's meter by the minute")


def _by_unix_time(name: str, text: str) -> Recording:
    """Cumulative litres (whole numbers) or cubic metres, or cubic metres an hour: told apart by their course."""
    values: dict[int, float] = {}
    for row in csv.DictReader(text.splitlines()):
        values.setdefault(int(row["unix_ts"]), float(row["reading"]))
    times = sorted(values)
    series = pl.Series([values[at] for at in times])
    if (series.diff().drop_nulls() >= 0).mean() < 0.9:  # type: ignore[operator]
        return _by_hour(name, {datetime.fromtimestamp(at, UTC): values[at] for at in times})
    factor = 1_000 if all(value.is_integer() for value in values.values()) else 1_000_000
    rows = tuple((datetime.fromtimestamp(at, UTC), round(values[at] * factor), None, None) for at in times)
    return Recording(name, rows, "cumulative register by the hour")


def _by_hour(name: str, m3: Mapping[datetime, float]) -> Recording:
    """A register from volumes of the hour that begins at each moment; a missing hour is a missing register, no zero."""
    total, rows = 1_000_000_000, []
    for at in sorted(m3):
        total += round(m3[at] * 1_000_000)
        rows.append((at + timedelta(hours=1), total, None, None))
    return Recording(name, tuple(rows), "volumes by the hour, added up")


def _engie(text: str) -> dict[datetime, float]:
    rows = csv.DictReader(text.splitlines())
    return {datetime.fromisoformat(row["Datum"]).astimezone(UTC): float(row["Verbruik"]) for row in rows}


def _fluvius(text: str) -> dict[datetime, float]:
    """Hours in local time, each of them in cubic metres and again in kWh; the hour told twice in autumn counts once."""
    found: dict[datetime, float] = {}
    for row in csv.DictReader(text.splitlines(), delimiter=";"):
        if row["Unit"] != "m³" or not row["Volume"]:
            continue
        local = datetime.strptime(f"{row['From (date)']} {row['From (time)']}", "%d/%m/%Y %H:%M:%S")  # noqa: DTZ007
        at = local.replace(tzinfo=_BRUSSELS).astimezone(UTC)
        if at in found:
            at = local.replace(tzinfo=_BRUSSELS, fold=1).astimezone(UTC)
        found.setdefault(at, float(row["Volume"].replace(",", ".")))
    return found


def _biogas(text: str) -> dict[datetime, tuple[int | None, int | None, float | None]]:
    found = {}
    for row in csv.DictReader(text.splitlines()):
        told = row["Gas Consumption (l)"]
        index_ml = round(float(told) * 1000) if told else None
        pressure, flow = row["Pressure (Pa)"], row["Flow (lph)"]
        at = datetime.fromtimestamp(int(row["UNIX Timestamp"]), UTC)
        found[at] = (index_ml, round(float(pressure)) if pressure else None, float(flow) if flow else None)
    return found


def report(found: list[Listed], console: Console) -> None:
    """Every finding, one a line, to be judged one by one."""
    table = Table("recording", "rule", "from", "to", "value", "sentence")
    for one in found:
        value = "" if one.value is None else f"{one.value:g} {one.unit}"
        table.add_row(
            one.recording,
            one.rule,
            f"{one.first_at:%Y-%m-%d %H:%M}",
            f"{one.last_at:%Y-%m-%d %H:%M}",
            value,
            one.sentence,
        )
    console.print(table)
    console.print(f"{len(found)} findings")


def as_json(found: list[Listed]) -> list[dict[str, Any]]:
    """Everything as plain values, evidence included."""
    return [
        {
            "recording": one.recording, "rule": one.rule, "first_at": one.first_at.isoformat(),
            "last_at": one.last_at.isoformat(), "value": one.value, "unit": one.unit, "severity": one.severity,
            "sentence": one.sentence, "evidence": dict(one.evidence),
        }
        for one in found
    ]  # fmt: skip
