"""Evaluates what devices assert and measure at a moment: the event rules over events and reports, and zone pressure.

Live data, late data and a backtest call these functions; they write nothing. A condition is found by all that the
device told around it, so the order of arrival changes nothing.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from itertools import product

import asyncpg

from rules import instant_store, store, zones
from rules.failures import Guard
from rules.gate import admit
from rules.instant_judging import judge_device
from rules.instant_needs import LOOKBACK_MIN, events_of, limits, lookback
from rules.model import Cleared, Finding, Rule
from rules.spans import Span, plan_spans
from rules.told import Told

LEVELS = ("district", "compound", "gateway")
"""Zones, the largest first."""

AT_ONCE = ("leak_alarm", "co_alarm")
"""Kinds whose events are evaluated in a stream of their own (rules/passes.py): nothing delays them."""

DEVICES_MAX = 2000
ZONE_DEVICES_MAX = 3000
"""Meters of a zone whose pressures are looked at; a share of these is the zone's."""


async def evaluate_reports(
    conn: asyncpg.Connection, rules: Sequence[Rule], batch_ids: Sequence[int], span: Span, guard: Guard
) -> list[Finding | Cleared]:
    """Findings and clears of event and zone pressure rules over a span's devices whose reports may concern a rule."""
    event_rules = [rule for rule in rules if rule.family == "event"]
    since, until = span.since + lookback(rules), span.until
    telling = await instant_store.telling_devices(conn, batch_ids, span.device_ids, since, until, limits(rules))
    firing = await instant_store.firing_at(conn, [one.rule_id for one in event_rules], span.device_ids)
    telling |= {device_id for _, device_id in firing}
    told = await load_told(conn, event_rules, sorted(telling), span)
    found = await judge_told(conn, event_rules, told, guard, bounded=span.bounded)
    zone_rules = [rule for rule in rules if rule.kind == "zone_pressure_fall"]
    return found + await _pressures(conn, zone_rules, _low_since(told, zone_rules, since), guard)


async def load_told(
    conn: asyncpg.Connection, rules: Sequence[Rule], device_ids: Sequence[int], span: Span
) -> dict[int, list[Told]]:
    """What some devices told that event rules may need; reports reach back less far than events."""
    if not device_ids:
        return {}
    reports_since = span.since + lookback(rules) - LOOKBACK_MIN
    return await instant_store.told(conn, device_ids, span.since, reports_since, span.until, events_of(rules))


async def judge_told(
    conn: asyncpg.Connection,
    rules: Sequence[Rule],
    told: Mapping[int, Sequence[Told]],
    guard: Guard,
    *,
    bounded: bool = False,
) -> list[Finding | Cleared]:
    """Findings and clears of event rules over what some devices told; what was told before a closing is settled.

    `bounded`: newer samples exist and were left out on purpose, so nothing is said of now.
    """
    if not told or not rules:
        return []
    device_ids, rule_ids = sorted(told), [rule.rule_id for rule in rules]
    tellers = await instant_store.tellers(conn, device_ids)
    closed = await instant_store.closed_at(conn, rule_ids, device_ids)
    firing_at = await instant_store.firing_at(conn, rule_ids, device_ids)
    found: list[Finding | Cleared] = []
    for rule, device_id in product(rules, device_ids):
        key = (rule.rule_id, device_id)
        fresh = [one for one in told[device_id] if key not in closed or one.at > closed[key]]
        judge = partial(judge_device, rule, tellers[device_id], fresh, firing_at.get(key), bounded)
        found += guard.run(rule, judge, [])
    return found


async def evaluate_events(
    conn: asyncpg.Connection, rules: Sequence[Rule], batch_ids: Sequence[int], now: datetime, guard: Guard
) -> list[Finding | Cleared]:
    """Findings and clears of some event rules over devices that asserted something in some batches."""
    if not rules or not batch_ids:
        return []
    events = await store.events_of_batches(conn, batch_ids, sorted(events_of(rules)))
    touched = [([one.device_id], one.at, one.at) for one in events if not one.test]
    found: list[Finding | Cleared] = []
    for span in plan_spans(touched, lookback(rules), now, DEVICES_MAX):
        told = await load_told(conn, rules, span.device_ids, span)
        found += await judge_told(conn, rules, told, guard, bounded=span.bounded)
    return found


def _low_since(told: Mapping[int, Sequence[Told]], rules: Sequence[Rule], since: datetime) -> dict[int, datetime]:
    """Devices that showed less than a zone rule's trigger since a moment, with when they last did."""
    trigger_pa = max((rule["trigger_pa"] for rule in rules), default=0.0)
    found: dict[int, datetime] = {}
    for device_id, samples in told.items():
        ats = [
            one.at
            for one in samples
            if one.pressure_pa is not None and one.pressure_pa < trigger_pa and one.at >= since
        ]
        if ats:
            found[device_id] = max(ats)
    return found


async def _pressures(
    conn: asyncpg.Connection, rules: Sequence[Rule], low: Mapping[int, datetime], guard: Guard
) -> list[Finding | Cleared]:
    """The largest zones of devices that showed low pressure in which it fell at most of the meters."""
    found: list[Finding | Cleared] = []
    for rule, level in product(rules, LEVELS):
        if not low or any(one.rule_id == rule.rule_id for one in found):
            continue
        at = max(low.values())
        since = at - timedelta(minutes=rule["within_min"], hours=rule["base_h"])
        for zone_id, name in sorted((await instant_store.pressure_zones(conn, sorted(low), level)).items()):
            readings = await instant_store.zone_pressures(conn, level, zone_id, since, at, ZONE_DEVICES_MAX)
            judge = partial(zones.zone_pressure, rule, f"{level}:{zone_id}", f"{level} {name}", readings, at)
            one = guard.run(rule, judge, None)
            found += admit(rule, [one]) if one is not None else []
    return found
