"""One pass of each stream: claim -> load -> detect -> step -> save, in one transaction each.

`events_pass` takes what devices assert, `readings_pass` the windows of devices whose readings changed, `tick` what is
missing and what inspectors found. A second process finds the claim taken and does nothing.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import asyncpg

from rules import (
    absence,
    assertions,
    changes,
    evaluation,
    frames,
    instants,
    lifecycle,
    store,
    watch_store,
    watching,
)
from rules.awaiting_store import follow_visits
from rules.building_alarms import alarms_together
from rules.catalog import Catalog
from rules.changes import key_of
from rules.detectors import DAILY
from rules.evaluation import Found, lookback, rounds
from rules.failures import Guard
from rules.gate import admit
from rules.hazard_store import follow_hazards, hazards_found
from rules.model import Cleared, Finding, Rule
from rules.spans import Span, plan_spans
from rules.unread import alarm_unread
from rules.unread_store import unread_alarms_of_batches
from rules.watch_store import StoredSight

OUTAGES_KEPT = timedelta(days=60)
INTERVAL_KEPT = timedelta(hours=1)
_REPORTED_LATE = timedelta(days=30)  # how old a hazard may be whose report corrects what was made of its alert


@dataclass(frozen=True, slots=True)
class Done:
    """What a pass did: batches it evaluated (0: nothing to do) and alerts it wrote."""

    batches: int = 0
    alert_ids: tuple[int, ...] = ()


async def save_found(
    conn: asyncpg.Connection, catalog: Catalog, found: Sequence[Found], now: datetime
) -> tuple[int, ...]:
    """Step findings, revisions and clears into alerts and save them; return the alerts written."""
    written: list[int] = []
    while found:
        keys = {key_of(one) for one in found}
        open_alerts = await store.open_alerts(conn, keys)
        closed = await store.closed_alerts(conn, keys - open_alerts.keys())
        changed = changes.apply(catalog.rules, open_alerts, closed, found, now)
        if not changed:
            break
        ids, lost = await store.save_changes(conn, catalog.rules, changed, now)
        written += ids
        found = [one for one in found if key_of(one) in lost]
    return tuple(written)


# ---------------------------------------------------------------------------------------------- events


async def events_pass(pool: asyncpg.Pool, catalog: Catalog, slot: str, now: datetime, batches_max: int) -> Done:
    """Evaluate the alarms in a slot's next batches: leak, several leaks in one building, carbon monoxide, unreadable.

    All other events are evaluated with the reports (rules/report_passes.py), so that a flood of them delays no alarm.
    """
    guard = Guard()
    async with pool.acquire() as conn, conn.transaction():
        cursor = await store.claim_cursor(conn, "events", slot)
        if cursor is None:
            return Done()
        batches = await store.event_batches_after(conn, slot, cursor, batches_max)
        if not batches:
            return Done()
        batch_ids = [row["batch_id"] for row in batches if row["event_rows"]]
        written = await _evaluate_events(conn, catalog, batch_ids, now, guard)
        refusing = [row["batch_id"] for row in batches if row["quarantined"]]
        written += await _evaluate_unread(conn, catalog, refusing, now, guard)
        await store.advance_cursor(conn, "events", slot, batches[-1]["batch_id"])
        await guard.save(conn, catalog, now)
        return Done(len(batches), written)


async def _evaluate_events(
    conn: asyncpg.Connection, catalog: Catalog, batch_ids: Sequence[int], now: datetime, guard: Guard
) -> tuple[int, ...]:
    if not batch_ids:
        return ()
    events = await store.events_of_batches(conn, batch_ids, ["leak_alarm"])
    found: list[Finding | Cleared] = []
    for rule in catalog.of_kind("leak_alarm"):
        found += guard.run(rule, partial(assertions.leak_alarm, rule, events), [])
    written = await save_found(conn, catalog, found, now)
    near = [(e.building_id, e.at) for e in events if e.building_id is not None and e.state == "raised" and not e.test]
    written += await save_found(conn, catalog, await alarms_together(conn, catalog, near, guard), now)
    co_alarms = await instants.evaluate_events(conn, catalog.of_kind("co_alarm"), batch_ids, now, guard)
    return written + await save_found(conn, catalog, co_alarms, now)


async def _evaluate_unread(
    conn: asyncpg.Connection, catalog: Catalog, batch_ids: Sequence[int], now: datetime, guard: Guard
) -> tuple[int, ...]:
    """Alarms that could not be stored."""
    rules = catalog.of_kind("alarm_unread")
    if not rules or not batch_ids:
        return ()
    alarms = await unread_alarms_of_batches(conn, batch_ids)
    found = [one for rule in rules for one in admit(rule, guard.run(rule, partial(alarm_unread, rule, alarms), []))]
    return await save_found(conn, catalog, found, now)


# ---------------------------------------------------------------------------------------------- readings


async def readings_pass(
    pool: asyncpg.Pool,
    catalog: Catalog,
    slot: str,
    now: datetime,
    batches_max: int,
    devices_max: int,
    zone: str = "UTC",
) -> Done:
    """Evaluate the windows of the devices that a slot's next batches touched, `devices_max` at a time.

    Rules about days follow the roll-up (rules/day_passes.py).
    """
    async with pool.acquire() as conn, conn.transaction():
        cursor = await store.claim_cursor(conn, "readings", slot)
        if cursor is None:
            return Done()
        batches = await store.reading_batches_after(conn, slot, cursor, batches_max)
        if not batches:
            return Done()
        rules, guard = [rule for rule in catalog.of_family("window") if rule.kind not in DAILY], Guard()
        touched = [(row["device_ids"], row["first_at"], row["last_at"]) for row in batches if row["first_at"]]
        written: tuple[int, ...] = ()
        reach = await reach_of(conn, rules, touched)
        for span in plan_spans(touched, lookback(rules), now, devices_max, reach):
            for part in rounds(await evaluate(conn, rules, span, zone, guard)):
                written += await save_found(conn, catalog, part, now)
        await store.advance_cursor(conn, "readings", slot, batches[-1]["batch_id"])
        await guard.save(conn, catalog, now)
        return Done(len(batches), written)


async def reach_of(
    conn: asyncpg.Connection, rules: Iterable[Rule], touched: Iterable[tuple[Sequence[int], datetime, datetime]]
) -> dict[int, datetime]:
    """Devices of which data arrived about the time of an open alert, with the time from which it must be seen whole."""
    earliest: dict[int, datetime] = {}
    for device_ids, first_at, _ in touched:
        for device_id in device_ids:
            earliest[device_id] = min(earliest.get(device_id, first_at), first_at)
    found: dict[int, datetime] = {}
    for one in await store.standing_alerts(conn, [rule.rule_id for rule in rules], list(earliest)):
        if earliest[one.device_id] <= one.last_at:
            found[one.device_id] = min(found.get(one.device_id, one.first_at), one.first_at)
    return found


async def evaluate(
    conn: asyncpg.Connection, rules: Sequence[Rule], span: Span, zone: str = "UTC", guard: Guard | None = None
) -> list[Found]:
    """What window rules say of a span of some devices: the one evaluator over stored data; it writes nothing."""
    if not rules:
        return []
    window = await frames.load_window(conn, rules, span, zone)
    closings = await frames.closings(conn, rules, span.device_ids)
    standing = await store.standing_alerts(conn, [rule.rule_id for rule in rules], span.device_ids)
    run = (guard or Guard()).run
    return await asyncio.to_thread(evaluation.evaluate, rules, window, closings, standing, run)


# ---------------------------------------------------------------------------------------------- tick


@dataclass(slots=True)
class Listening:
    """Our own outages as far as known, which grow by what arrived since the last look; and the shortest interval."""

    gaps: list[tuple[datetime, datetime]]
    seen_until: datetime | None = None
    interval_s: float | None = None
    interval_at: datetime | None = None


async def tick(pool: asyncpg.Pool, catalog: Catalog, listening: Listening, now: datetime, zone: str = "UTC") -> Done:
    """Evaluate absences, end what telemetry ended, and take in what inspectors found.

    Counts as one batch while more waits to be looked at, so that the next look follows at once.
    """
    guard = Guard()
    async with pool.acquire() as conn, conn.transaction():
        if not await store.claim_tick(conn):
            return Done()
        written = await take_inspections(conn, catalog, now)
        written += await follow_visits(conn, now)
        written += await _hazards(conn, catalog, now, zone, guard)
        written += await _end_silences(conn, catalog, now)
        written += await _floods(conn, catalog, now, guard)
        written += await _quiet_buildings(conn, catalog, now)
        written += await _end_unrepeated(conn, catalog, now)
        silences, more = await _find_silences(conn, catalog, listening, now, guard)
        await guard.save(conn, catalog, now)
        return Done(int(more), written + silences)


async def take_inspections(conn: asyncpg.Connection, catalog: Catalog, now: datetime) -> tuple[int, ...]:
    """Confirm or verify alerts by what inspectors found on the duties they caused."""
    del catalog
    written: list[int] = []
    for alert_id, visit in await store.alert_inspections(conn):
        alert, _ = await store.lock_alert(conn, alert_id)
        if alert.is_open:
            await store.save_transition(conn, alert, lifecycle.inspected(alert, visit, now), now)
            written.append(alert_id)
    for alert_id, visit in await store.late_findings(conn, now - _REPORTED_LATE):
        alert, _ = await store.lock_alert(conn, alert_id)
        if not alert.is_open and not alert.confirmed:
            await store.save_transition(conn, alert, lifecycle.confirmed_late(alert, visit), now)
            written.append(alert_id)
    return tuple(written)


async def _end_silences(conn: asyncpg.Connection, catalog: Catalog, now: datetime) -> tuple[int, ...]:
    return await save_found(conn, catalog, await watching.heard_again(StoredSight(conn), catalog, now), now)


async def _floods(conn: asyncpg.Connection, catalog: Catalog, now: datetime, guard: Guard) -> tuple[int, ...]:
    """Gateways that flood, and alerts of floods that are over."""
    return await save_found(conn, catalog, await watching.floods(StoredSight(conn), catalog, now, guard), now)


async def _hazards(
    conn: asyncpg.Connection, catalog: Catalog, now: datetime, zone: str, guard: Guard
) -> tuple[int, ...]:
    """Alerts of doors with open hazards, moved as inspections moved the hazards; `zone` is the city's."""
    written = await save_found(conn, catalog, await hazards_found(conn, catalog, now, guard), now)
    return written + await follow_hazards(conn, catalog, zone, now)


async def _quiet_buildings(conn: asyncpg.Connection, catalog: Catalog, now: datetime) -> tuple[int, ...]:
    rule_ids = [rule.rule_id for rule in catalog.of_kind("building_leaks")]
    leak_rule_ids = [rule.rule_id for rule in catalog.of_kind("leak_alarm")]
    quiet = await store.quiet_buildings(conn, rule_ids, leak_rule_ids)
    return await save_found(conn, catalog, [Cleared(rule_id, subject, now) for rule_id, subject in quiet], now)


async def _end_unrepeated(conn: asyncpg.Connection, catalog: Catalog, now: datetime) -> tuple[int, ...]:
    """What nobody ever says is over, such as an earthquake, is over when it has not recurred for long enough."""
    waits = {one.rule_id: one.clear_after_min for one in catalog.rules.values() if one.clear_after_min is not None}
    return await save_found(conn, catalog, await store.not_recurred(conn, waits, now), now) if waits else ()


async def _find_silences(
    conn: asyncpg.Connection, catalog: Catalog, listening: Listening, now: datetime, guard: Guard
) -> tuple[tuple[int, ...], bool]:
    """Alerts written of who is silent, and whether more waits to be looked at."""
    facts = await store.listening_since(conn)
    if listening.interval_at is None or now - listening.interval_at > INTERVAL_KEPT:
        listening.interval_s, listening.interval_at = await watch_store.shortest_interval(conn), now
    if facts["first_at"] is None or listening.interval_s is None:
        listening.interval_at = None
        return (), False
    gap_s = absence.own_gap_s(listening.interval_s)
    since = listening.seen_until or now - OUTAGES_KEPT
    listening.gaps += await store.batch_gaps(conn, since, gap_s)
    listening.seen_until = facts["newest_at"]
    ours = absence.outages(listening.gaps, now, facts["newest_at"], gap_s)
    written: list[int] = []

    async def save(found: Sequence[Finding | Cleared]) -> None:
        written.extend(await save_found(conn, catalog, found, now))

    more = await watching.find_silences(StoredSight(conn), catalog, ours, facts["first_at"], now, guard, save)
    return tuple(written), more
