"""Runs a backtest over stored history: loads windows slice by slice, and lets the pure parts decide."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import product

import asyncpg

from rules import backtest, evaluation, frames, instant_store
from rules.assertions import Event
from rules.backtest import OFFICER_HOURS, KnownLeak, Report, RuleSummary
from rules.backtest_absence import LOOK_EVERY, absences_of_period, rules_of
from rules.backtest_daily import assets_of_period, zones_of_period
from rules.backtest_groups import buildings_of_period
from rules.backtest_reach import assumed, why_not
from rules.catalog import Catalog
from rules.evaluation import Found
from rules.instant_judging import judge_history
from rules.instant_needs import LOOKBACK_MIN, events_of, limits
from rules.instant_needs import lookback as events_lookback
from rules.model import Alert, Cleared, Finding, Rule
from rules.spans import Span
from rules.told import Teller
from rules.told import Told as Sample
from sql import queries
from sql.errors import NotFound

DEVICE_DAYS = 40_000
"""Days of all devices together that are in memory at once: of hourly readings about a million rows, 500 MB."""

TELLING_SLICE = 200
"""Devices whose events and reports are in memory at once: only those of which an event rule may say something."""

Told = Callable[[int, int], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a backtest is about: the period, which devices (empty: all), and what officers' work costs.

    `look_every`: how often it looks for who is silent.
    """

    since: datetime
    until: datetime
    areas: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    answered_after: timedelta | None = timedelta(days=1)
    officer_hours: Mapping[str, float] = field(default_factory=lambda: OFFICER_HOURS)
    look_every: timedelta = LOOK_EVERY


async def run_backtest(
    conn: asyncpg.Connection, draft: Catalog, current: Catalog | None, asked: Asked, zone: str, told: Told
) -> Report:
    """What the draft would have raised, against the rules in force when they are given; writes nothing.

    `told` hears how many of how many devices are done. Raises NotFound when no device fits.
    """
    query = queries["backtest_devices"].bind(areas=list(asked.areas) or None, codes=list(asked.devices) or None)
    device_ids = [row["device_id"] for row in await conn.fetch(*query)]
    if not device_ids:
        raise NotFound("no device is in these areas or has these codes")
    drafts, currents = _tested(draft), _tested(current) if current else []
    changed = [rule for rule in currents if rule not in drafts]
    found: list[Found] = []
    before: list[Found] = []
    count = slice_of(asked, [*drafts, *changed])
    progress = _Progress(told, len(device_ids), bool(rules_of(draft)))
    for start in range(0, len(device_ids), count):
        part = device_ids[start : start + count]
        new, old = await _of_slice(conn, drafts, changed, part, asked, zone)
        found += new
        before += old
        await progress.devices_done(start + len(part))
    silences, silences_before = await _silences(conn, draft, current, device_ids, asked, progress)
    found += await _buildings(conn, drafts, drafts, device_ids, asked)
    before += await _buildings(conn, changed, currents, device_ids, asked)
    found += await _daily(conn, drafts, device_ids, asked)
    before += await _daily(conn, changed, device_ids, asked)
    leaks = await known_leaks(conn, asked, set(device_ids))
    report = _summary(draft, found, silences, leaks, asked, len(device_ids))
    if current is None:
        return report
    shared = {rule.rule_id for rule in currents if rule in drafts}
    before += [one for one in found if one.rule_id in shared]
    return backtest.against(
        report, _summary(current, before, silences_before, leaks, asked, len(device_ids)), _kinds(draft, current)
    )


@dataclass(frozen=True, slots=True)
class _Progress:
    """Tells how many devices are done; where arrivals are played again, too, that is the last quarter of the way."""

    told: Told
    devices: int
    plays: bool

    async def devices_done(self, done: int) -> None:
        """So many devices were looked at one by one."""
        await self.told(done * 3 // 4 if self.plays else done, self.devices)

    async def days_done(self, done: int, days: int) -> None:
        """So many days were played again."""
        await self.told(self.devices * 3 // 4 + (self.devices - self.devices * 3 // 4) * done // days, self.devices)


async def _silences(
    conn: asyncpg.Connection,
    draft: Catalog,
    current: Catalog | None,
    device_ids: Sequence[int],
    asked: Asked,
    progress: _Progress,
) -> tuple[list[Alert], list[Alert]]:
    """Alerts of the absence rules of a draft and of the rules in force; played once where these are the same."""
    same = current is None or rules_of(current) == rules_of(draft)
    catalogs = [draft] if same or current is None else [draft, current]
    played = [one for one in catalogs if rules_of(one)]
    period = (asked.since, asked.until, asked.answered_after)
    alerts = iter(await absences_of_period(conn, played, device_ids, *period, progress.days_done, asked.look_every))
    each = [next(alerts) if rules_of(one) else [] for one in catalogs]
    return each[0], each[-1]


def slice_of(asked: Asked, rules: Sequence[Rule]) -> int:
    """How many devices are looked at together, so that months take no more memory than weeks."""
    days = (asked.until - asked.since + evaluation.lookback(_of_family(rules, "window"))) / timedelta(days=1)
    return max(1, int(DEVICE_DAYS / max(days, 1.0)))


def _tested(catalog: Catalog) -> list[Rule]:
    return [rule for rule in catalog.rules.values() if why_not(rule) is None]


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
    found, before = await _windows(conn, drafts, changed, device_ids, asked, zone)
    told, told_before = await _instants(conn, drafts, changed, device_ids, asked)
    return _of_period(found + told, asked.since), _of_period(before + told_before, asked.since)


async def _windows(
    conn: asyncpg.Connection,
    drafts: Sequence[Rule],
    changed: Sequence[Rule],
    device_ids: Sequence[int],
    asked: Asked,
    zone: str,
) -> tuple[list[Found], list[Found]]:
    new, old = _of_family(drafts, "window"), _of_family(changed, "window")
    rules = [*new, *old]
    if not rules:
        return [], []
    span = Span(tuple(device_ids), asked.since - evaluation.lookback(rules), asked.until)
    window = await frames.load_window(conn, rules, span, zone)
    found = await asyncio.to_thread(evaluation.evaluate, new, window, {})
    return found, await asyncio.to_thread(evaluation.evaluate, old, window, {})


async def _instants(
    conn: asyncpg.Connection,
    drafts: Sequence[Rule],
    changed: Sequence[Rule],
    device_ids: Sequence[int],
    asked: Asked,
) -> tuple[list[Found], list[Found]]:
    """What event rules say of all that some devices told; devices that told nothing of note are not loaded."""
    new, old = _of_family(drafts, "event"), _of_family(changed, "event")
    rules = [*new, *old]
    if not rules:
        return [], []
    since, kinds = asked.since - events_lookback(rules), events_of(rules)
    noted = kinds | ({"leak_alarm"} if any(rule.kind == "leak_alarm" for rule in rules) else set())
    telling = await instant_store.telling_in_period(conn, device_ids, since, asked.until, limits(rules), noted)
    found: list[Found] = []
    before: list[Found] = []
    for start in range(0, len(telling), TELLING_SLICE):
        part = telling[start : start + TELLING_SLICE]
        told = await instant_store.told(conn, part, since, asked.since - LOOKBACK_MIN, asked.until, kinds)
        tellers = await instant_store.tellers(conn, part)
        alarms = await instant_store.told_leak_alarms(conn, part, since, asked.until)
        found += await asyncio.to_thread(_judged, new, tellers, told, alarms)
        before += await asyncio.to_thread(_judged, old, tellers, told, alarms)
    return found, before


def _judged(
    rules: Sequence[Rule],
    tellers: Mapping[int, Teller],
    told: Mapping[int, Sequence[Sample]],
    alarms: Mapping[int, Sequence[Event]],
) -> list[Found]:
    return [
        one
        for rule, device_id in product(rules, sorted(tellers))
        for one in judge_history(rule, tellers[device_id], told.get(device_id, ()), alarms.get(device_id, ()))
    ]


async def _buildings(
    conn: asyncpg.Connection, rules: Sequence[Rule], with_leaks: Sequence[Rule], device_ids: Sequence[int], asked: Asked
) -> list[Found]:
    groups = [rule for rule in rules if rule.kind == "building_leaks"]
    leak_rules = [rule for rule in with_leaks if rule.kind == "leak_alarm"]
    found = await buildings_of_period(conn, groups, leak_rules, device_ids, asked.since, asked.until)
    return _of_period(found, asked.since)


async def _daily(
    conn: asyncpg.Connection, rules: Sequence[Rule], device_ids: Sequence[int], asked: Asked
) -> list[Found]:
    """What stood before the period stays among it: an alert of before is not raised anew."""
    assets, losses = _of_family(rules, "asset"), [rule for rule in rules if rule.kind == "zone_loss"]
    aged = await assets_of_period(conn, assets, device_ids, asked.since, asked.until)
    return [*aged, *await zones_of_period(conn, losses, device_ids, asked.since, asked.until)]


def _of_family(rules: Sequence[Rule], family: str) -> list[Rule]:
    return [rule for rule in rules if rule.family == family]


def _of_period(found: Sequence[Found], since: datetime) -> list[Found]:
    """What reaches into the period; revisions have no meaning where nothing was found before."""
    return [
        one
        for one in found
        if (isinstance(one, Finding) and one.last_at > since) or (isinstance(one, Cleared) and one.at > since)
    ]


def _summary(
    catalog: Catalog,
    found: Sequence[Found],
    silences: Sequence[Alert],
    leaks: Sequence[KnownLeak],
    asked: Asked,
    devices: int,
) -> Report:
    alerts = sorted([*backtest.alerts_of(catalog.rules, found, asked.answered_after), *silences], key=backtest.in_order)
    report = backtest.summarised(catalog.rules, alerts, leaks, asked.since, asked.until, devices, asked.officer_hours)
    disabled = [
        RuleSummary(rule.rule_id, rule.version, 0, {}, 0.0, "is not enabled") for rule in catalog.disabled.values()
    ]
    rules = catalog.rules
    each = [
        replace(one, not_evaluated=why_not(rules[one.rule_id]), assumes=assumed(rules[one.rule_id]))
        for one in report.rules
    ]
    return replace(report, rules=(*each, *disabled))


async def known_leaks(conn: asyncpg.Connection, asked: Asked, device_ids: set[int]) -> list[KnownLeak]:
    """Leaks known to have been one behind the doors of some devices in a period."""
    rows = await conn.fetch(*queries["known_leaks"].bind(since=asked.since, until=asked.until))
    leaks = [
        KnownLeak(row["name"], frozenset(row["device_ids"]), row["from_at"], min(row["to_at"], asked.until))
        for row in rows
    ]
    return [leak for leak in leaks if leak.device_ids & device_ids]
