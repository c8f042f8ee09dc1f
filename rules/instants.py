"""Evaluates what devices assert and measure at a moment: the event rules over events and reports, and zone pressure.

Events are evaluated as they come (rules/passes.py); reports have a stream of their own, so that an alarm never waits
behind them.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import asyncpg

from rules import conditions, instant_store, store, zones
from rules.catalog import Catalog
from rules.failures import Guard
from rules.gate import admit
from rules.instant_needs import events_of, limits, lookback
from rules.model import Cleared, Finding, Rule
from rules.passes import Done, save_found
from rules.spans import AHEAD, Span, plan_spans
from rules.told import Teller, Told

LEVELS = ("gateway", "compound", "district")
ZONE_DEVICES_MAX = 3000
"""Meters of a zone whose pressures are looked at; a share of these is the zone's."""

STREAM = "instants"


async def reports_pass(
    pool: asyncpg.Pool, catalog: Catalog, slot: str, now: datetime, batches_max: int, devices_max: int
) -> Done:
    """Evaluate the reports of a slot's next batches with the event rules, `devices_max` devices at a time."""
    guard = Guard()
    async with pool.acquire() as conn, conn.transaction():
        cursor = await store.claim_cursor(conn, STREAM, slot)
        if cursor is None:
            return Done()
        batches = await store.reading_batches_after(conn, slot, cursor, batches_max)
        if not batches:
            return Done()
        touched = [(row["device_ids"], row["first_at"], row["last_at"]) for row in batches if row["first_at"]]
        batch_ids = [row["batch_id"] for row in batches]
        rules = catalog.of_family("event")
        written: tuple[int, ...] = ()
        for span in plan_spans(touched, lookback(rules), now, devices_max):
            found = await evaluate_reports(conn, rules, batch_ids, span, guard)
            found += await _pressures(conn, catalog.of_kind("zone_pressure_fall"), found, guard)
            written += await save_found(conn, catalog, found, now)
        await store.advance_cursor(conn, STREAM, slot, batches[-1]["batch_id"])
        await guard.save(conn, catalog, now)
        return Done(len(batches), written)


async def evaluate_reports(
    conn: asyncpg.Connection, rules: Sequence[Rule], batch_ids: Sequence[int], span: Span, guard: Guard
) -> list[Finding | Cleared]:
    """Findings and clears of event rules over the devices of a span whose reports may concern a rule."""
    since, until = span.since + lookback(rules), span.until
    asked = limits(rules)
    telling = await instant_store.telling_devices(conn, batch_ids, span.device_ids, since, until, asked)
    telling |= await instant_store.firing_devices(conn, [rule.rule_id for rule in rules], span.device_ids)
    return await evaluate_told(conn, rules, sorted(telling), span.since, span.until, guard, bounded=span.bounded)


async def evaluate_told(
    conn: asyncpg.Connection,
    rules: Sequence[Rule],
    device_ids: Sequence[int],
    since: datetime,
    until: datetime,
    guard: Guard,
    *,
    bounded: bool = False,
) -> list[Finding | Cleared]:
    """Findings and clears of event rules over all that some devices told within `(since, until]`; writes nothing.

    `bounded`: newer samples exist and were left out on purpose, so nothing is said of now.
    """
    if not device_ids or not rules:
        return []
    tellers = await instant_store.tellers(conn, device_ids)
    told = await instant_store.told(conn, device_ids, since, until, events_of(rules))
    rule_ids = [rule.rule_id for rule in rules]
    closed = await instant_store.closed_at(conn, rule_ids, device_ids)
    firing = await store.firing_alerts(conn, rule_ids, [f"device:{device_id}" for device_id in device_ids])
    open_since = {(row["rule_id"], row["device_id"]): row["last_at"] for row in firing}
    found: list[Finding | Cleared] = []
    for rule in rules:
        for device_id, samples in told.items():
            teller = tellers.get(device_id)
            if teller is None:
                continue
            after = closed.get((rule.rule_id, device_id))
            fresh = [one for one in samples if after is None or one.at > after]
            last_at = open_since.get((rule.rule_id, device_id))
            found += guard.run(rule, lambda: _judge(rule, teller, fresh, last_at, bounded), [])  # noqa: B023 - called at once
    return found


def _judge(
    rule: Rule, teller: Teller, samples: Sequence[Told], firing_last_at: datetime | None, bounded: bool
) -> list[Finding | Cleared]:
    found: list[Finding | Cleared] = list(admit(rule, conditions.find(rule, teller, samples)))
    if bounded or firing_last_at is None or any(isinstance(one, Finding) and one.ongoing for one in found):
        return found
    end = conditions.ended(rule, teller, samples)
    if end is not None and end >= firing_last_at:
        found.append(Cleared(rule.rule_id, conditions.subject_of(teller), end))
    return found


async def evaluate_events(
    conn: asyncpg.Connection, catalog: Catalog, batch_ids: Sequence[int], now: datetime, guard: Guard
) -> list[Finding | Cleared]:
    """Findings and clears of the event rules over devices that asserted something in some batches.

    Leak alarms are not among them: they have a path of their own.
    """
    rules = [rule for rule in catalog.of_family("event") if rule.kind != "leak_alarm"]
    events = await store.events_of_batches(conn, batch_ids, sorted(events_of(rules)))
    fresh = [one for one in events if not one.test]
    if not fresh:
        return []
    found: list[Finding | Cleared] = []
    touched = [([one.device_id], one.at, one.at) for one in fresh]
    for span in plan_spans(touched, lookback(rules), now, 2000):
        found += await evaluate_told(
            conn, rules, span.device_ids, span.since, span.until, guard, bounded=span.bounded
        )
    return found


async def _pressures(
    conn: asyncpg.Connection, rules: Sequence[Rule], found: Sequence[Finding | Cleared], guard: Guard
) -> list[Finding | Cleared]:
    """Zones of devices whose pressure was found low just now: did it fall at most of them?"""
    low = {
        int(one.subject.partition(":")[2]): one.last_at
        for one in found
        if isinstance(one, Finding) and one.unit == "Pa" and one.ongoing and "low" in one.rule_id
    }
    if not low:
        return []
    grown: list[Finding | Cleared] = []
    at = max(low.values())
    for rule in rules:
        reach = timedelta(minutes=rule["within_min"], hours=rule["base_h"])
        for level in LEVELS:
            for zone_id, name in (await instant_store.pressure_zones(conn, list(low), level)).items():
                readings = await instant_store.zone_pressures(
                    conn, level, zone_id, at - reach, at + AHEAD, ZONE_DEVICES_MAX
                )
                subject, words = f"{level}:{zone_id}", f"{level} {name}"
                one = guard.run(rule, lambda: zones.zone_pressure(rule, subject, words, readings, at), None)  # noqa: B023
                grown += admit(rule, [one]) if one is not None else []
    return grown
