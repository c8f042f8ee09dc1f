"""Small windows for the tests of window rules: one meter, its registers by the hour, and what is known of its home."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import polars as pl

from rules.catalog import default_catalog
from rules.detectors import detect
from rules.model import Finding, Rule
from rules.windows import BOUNDARIES, DAYS, DEVICES, FLOWS, READINGS, REPORTS, VALVES, Window, pairs_of, prepare

RULES = default_catalog().rules
START = datetime(2026, 11, 1, tzinfo=UTC)
Row = tuple[datetime, int | None, int, int | None]


def hour(number: float) -> datetime:
    """A moment `number` hours after the start."""
    return START + timedelta(hours=number)


def hourly(litres: Iterable[float], start_l: float = 1000.0, first_hour: int = 0) -> list[Row]:
    """Register readings at full hours; `litres[i]` moved in hour i."""
    total = start_l
    rows: list[Row] = [(hour(first_hour), round(total * 1000), 0, None)]
    for number, moved in enumerate(litres, start=1):
        total += moved
        rows.append((hour(first_hour + number), round(total * 1000), 0, None))
    return rows


def window(
    rows: Sequence[Row],
    *,
    pulse_ml: int = 10,
    qmax_lh: float = 4000.0,
    appliances: list[str] | None = None,
    tenure: str | None = None,
    valves: Sequence[tuple[datetime, bool, bool]] = (),
    boundaries: Sequence[datetime] = (),
    flows: Sequence[tuple[datetime, float]] = (),
    days: Sequence[tuple[datetime, int]] = (),
    reports: Sequence[tuple[datetime, datetime]] = (),
    beginning: Sequence[Row] = (),
    since: datetime | None = None,
    zone: str = "UTC",
) -> Window:
    """A window of one household meter M-1."""
    device = (1, "M-1", "meter", "G2.5", "household", "D01", pulse_ml, None, qmax_lh, tenure, appliances, None)
    devices = pl.DataFrame([device], schema=DEVICES, orient="row")
    edges = pl.DataFrame([(1, at) for at in boundaries], schema=BOUNDARIES, orient="row")
    facts = pl.DataFrame([(1, *valve) for valve in valves], schema=VALVES, orient="row")
    seen = prepare(readings_of(rows), devices, facts, edges)
    return replace(
        seen,
        flows=pl.DataFrame([(1, *flow) for flow in flows], schema=FLOWS, orient="row"),
        days=pl.DataFrame([(1, *day) for day in days], schema=DAYS, orient="row"),
        reports=pl.DataFrame([(1, *report) for report in reports], schema=REPORTS, orient="row"),
        beginnings=pairs_of(readings_of(beginning), devices, edges) if beginning else None,
        since=since,
        zone=zone,
    )


def readings_of(rows: Sequence[Row], device_id: int = 1) -> pl.DataFrame:
    """Readings of one device."""
    return pl.DataFrame([(device_id, *row, None) for row in rows], schema=READINGS, orient="row")


def found(rule: str | Rule, seen: Window) -> list[Finding]:
    """What a rule (by its id in the catalogue, or as it is) finds."""
    return detect(RULES[rule] if isinstance(rule, str) else rule, seen)
