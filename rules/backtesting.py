"""Runs a backtest over stored history: loads windows slice by slice, and lets the pure parts decide."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import asyncpg

from rules import backtest, evaluation, frames
from rules.backtest import OFFICER_HOURS, KnownLeak, Report
from rules.catalog import Catalog
from rules.evaluation import Found
from rules.model import Alert, Cleared, Finding, Rule
from rules.spans import Span
from sql import queries
from sql.errors import NotFound

SLICE = 2500
"""Devices whose windows are in memory at once: a month of hourly readings of so many takes about 500 MB."""

Told = Callable[[int, int], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a backtest is about: the period, which devices (empty: all), and what officers' work costs."""

    since: datetime
    until: datetime
    areas: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    answered_after: timedelta | None = timedelta(days=1)
    officer_hours: Mapping[str, float] = field(default_factory=lambda: OFFICER_HOURS)


async def run_backtest(
    conn: asyncpg.Connection, draft: Catalog, current: Catalog | None, asked: Asked, zone: str, told: Told
) -> Report:
    """What the draft would have raised, against the rules in force when they are given; writes nothing.

    `told` hears how many of how many devices are done. Raises NotFound when no device fits.
    """
    query = queries["backtest_devices"].bind(areas=list(asked.areas) or None, codes=list(asked.devices) or None)
    device_ids = [row["device_id"] for row in await conn.fetch(*query)]
    if not device_ids:
        raise NotFound("no meter is in these areas or has these codes")
    drafts, currents = _window_rules(draft), _window_rules(current) if current else []
    changed = [rule for rule in currents if rule not in drafts]
    found: list[Found] = []
    before: list[Found] = []
    for start in range(0, len(device_ids), SLICE):
        part = device_ids[start : start + SLICE]
        new, old = await _of_slice(conn, drafts, changed, part, asked, zone)
        found += new
        before += old
        await told(start + len(part), len(device_ids))
    leaks = await known_leaks(conn, asked, set(device_ids))
    report = _summary(draft, found, leaks, asked, len(device_ids))
    if current is None:
        return report
    shared = {rule.rule_id for rule in currents if rule in drafts}
    before += [one for one in found if one.rule_id in shared]
    return backtest.against(report, _summary(current, before, leaks, asked, len(device_ids)), _kinds(draft, current))


def _window_rules(catalog: Catalog) -> list[Rule]:
    return list(catalog.of_family("window"))


def _kinds(*catalogs: Catalog) -> list[dict[str, str]]:
    return [{rule_id: rule.kind for rule_id, rule in catalog.rules.items()} for catalog in catalogs]


async def _of_slice(
    conn: asyncpg.Connection,
    drafts: Sequence[Rule],
    changed: Sequence[Rule],
    device_ids: Sequence[int],
    asked: Asked,
    zone: str,
) -> tuple[list[Found], list[Found]]:
    rules = [*drafts, *changed]
    span = Span(tuple(device_ids), asked.since - evaluation.lookback(rules), asked.until)
    window = await frames.load_window(conn, rules, span, zone)
    found = await asyncio.to_thread(evaluation.evaluate, drafts, window, {})
    before = await asyncio.to_thread(evaluation.evaluate, changed, window, {})
    return _of_period(found, asked.since), _of_period(before, asked.since)


def _of_period(found: Sequence[Found], since: datetime) -> list[Found]:
    """What reaches into the period; revisions have no meaning where nothing was found before."""
    return [
        one
        for one in found
        if (isinstance(one, Finding) and one.last_at > since) or (isinstance(one, Cleared) and one.at > since)
    ]


def _summary(
    catalog: Catalog, found: Sequence[Found], leaks: Sequence[KnownLeak], asked: Asked, devices: int
) -> Report:
    alerts: list[Alert] = backtest.alerts_of(catalog.rules, found, asked.answered_after)
    tested = {rule_id: rule for rule_id, rule in catalog.rules.items() if rule.family == "window"}
    return backtest.summarised(tested, alerts, leaks, asked.since, asked.until, devices, asked.officer_hours)


async def known_leaks(conn: asyncpg.Connection, asked: Asked, device_ids: set[int]) -> list[KnownLeak]:
    """Leaks known to have been one behind the doors of some devices in a period."""
    rows = await conn.fetch(*queries["known_leaks"].bind(since=asked.since, until=asked.until))
    leaks = [
        KnownLeak(row["name"], frozenset(row["device_ids"]), row["from_at"], min(row["to_at"], asked.until))
        for row in rows
    ]
    return [leak for leak in leaks if leak.device_ids & device_ids]
