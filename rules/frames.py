"""Loads the frames of the window rules."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import asyncpg
import polars as pl

from rules import detectors
from rules.copying import copied, fetched
from rules.model import Rule
from rules.spans import Span
from rules.windows import BOUNDARIES, CLOSINGS, DAYS, DEVICES, READINGS, REPORTS, VALVES, Window, pairs_of, prepare

DAYS_BACK = timedelta(days=66)
"""Daily registers reach back this far: longest no use, and what is usual before it."""
SEASON_BACK = (timedelta(days=400), timedelta(days=345))
"""And they hold the same season of the year before."""


async def load_window(conn: asyncpg.Connection, rules: Sequence[Rule], span: Span, zone: str) -> Window:
    """Everything the detectors of some window rules need of some devices, within the span."""
    device_ids = list(span.device_ids)
    readings = await readings_window(conn, device_ids, span.since, span.until)
    devices = await fetched(conn, "window_devices", DEVICES, device_ids=device_ids)
    valves = await fetched(conn, "valve_facts", VALVES, device_ids=device_ids, since=span.since)
    boundaries = await fetched(conn, "installation_boundaries", BOUNDARIES, device_ids=device_ids, since=span.since)
    window = prepare(readings, devices, valves, boundaries, span.until if span.bounded else None)
    window = replace(window, since=span.since, zone=zone)
    if detectors.needs_reports(rules):
        reports = await copied(
            conn, "window_reports", REPORTS, device_ids=device_ids, since=span.since, until=span.until
        )
        window = replace(window, reports=reports)
    if detectors.needs_days(rules):
        window = replace(window, days=await _days(conn, device_ids, span))
    return replace(window, beginnings=await _beginnings(conn, rules, window))


async def _days(conn: asyncpg.Connection, device_ids: Sequence[int], span: Span) -> pl.DataFrame:
    return await copied(
        conn,
        "window_days",
        DAYS,
        device_ids=list(device_ids),
        since=span.since - DAYS_BACK,
        until=span.until,
        season_from=span.since - SEASON_BACK[0],
        season_until=span.until - SEASON_BACK[1],
    )


async def _beginnings(conn: asyncpg.Connection, rules: Iterable[Rule], window: Window) -> pl.DataFrame | None:
    """Pairs of the first weeks of the records of those devices for which it matters."""
    rules = list(rules)
    wanted = detectors.beginnings_wanted(rules, window)
    if not wanted:
        return None
    days = timedelta(days=detectors.learn_days(rules))
    rows = await copied(conn, "beginnings", _COPIED_READINGS, device_ids=wanted, learn=days)
    devices = window.devices.filter(pl.col("device_id").is_in(wanted))
    return pairs_of(_known(rows), devices, BOUNDARIES.to_frame())


async def closings(
    conn: asyncpg.Connection, rules: Sequence[Rule], device_ids: Sequence[int]
) -> dict[str, pl.DataFrame]:
    """Per rule, when the newest closed alert of each device was closed (CLOSINGS).

    By our clock when a person closed it; where telemetry may close, at the moment of telemetry that did.
    """
    schema = pl.Schema({"rule_id": pl.String(), **CLOSINGS, "cleared_at": CLOSINGS["closed_at"]})
    rule_ids = [rule.rule_id for rule in rules]
    found = await fetched(conn, "closings", schema, rule_ids=rule_ids, device_ids=device_ids)
    return {rule.rule_id: _closings_of(rule, found) for rule in rules}


def _closings_of(rule: Rule, found: pl.DataFrame) -> pl.DataFrame:
    by_telemetry = rule.clears == "by_telemetry"
    moment = pl.coalesce("cleared_at", "closed_at") if by_telemetry else pl.col("closed_at")
    mine = found.filter(pl.col("rule_id") == rule.rule_id)
    return mine.group_by("device_id").agg(moment.max().alias("closed_at"))


_COPIED_READINGS = pl.Schema(READINGS)


async def readings_window(
    conn: asyncpg.Connection, device_ids: Sequence[int], since: datetime, until: datetime
) -> pl.DataFrame:
    """Registers, flows and status words of devices (READINGS) in no particular order; unknown is null."""
    rows = await copied(
        conn, "readings_window", _COPIED_READINGS, device_ids=list(device_ids), since=since, until=until
    )
    return _known(rows)


def _known(rows: pl.DataFrame) -> pl.DataFrame:
    """Nulls for what the queries say instead of null: -1, and not a number."""
    unknown = [pl.when(pl.col(name) >= 0).then(pl.col(name)).alias(name) for name in ("index_ml", "status")]
    return rows.with_columns(*unknown, pl.col("flow_lh").fill_nan(None))
