"""What is looked at once a day: devices past their life, and balances of zones. Page by page, a transaction each.

How far a day has come is kept in rule_daily, so a restart goes on where it was, and a second process finds the claim
taken.
"""

from datetime import UTC, datetime
from functools import partial

import asyncpg

from rules import daily_store, service_life, watch_store, zones
from rules.catalog import Catalog
from rules.failures import Guard
from rules.gate import admit
from rules.model import Cleared, Finding, Rule
from rules.passes import Done, save_found

KINDS_OF_DEVICE = {"meter_past_life": "meter", "detector_past_life": "detector"}
DEVICES_AT_ONCE = 20_000
ZONES_AT_ONCE = 20


async def daily_pass(pool: asyncpg.Pool, catalog: Catalog, now: datetime) -> Done:
    """One page of every task that is not done today; counts as a batch while there is more."""
    written: tuple[int, ...] = ()
    more = 0
    async with pool.acquire() as conn, conn.transaction():
        await _watch_missed(conn, now)
    for rule in (*catalog.of_family("asset"), *catalog.of_kind("zone_loss")):
        async with pool.acquire() as conn, conn.transaction():
            done = await _page(conn, catalog, rule, now)
        written += done.alert_ids
        more += done.batches
    return Done(more, written)


async def _watch_missed(conn: asyncpg.Connection, now: datetime) -> None:
    """Once a day, watch devices whose registration committed out of the order of its ids."""
    today = now.astimezone(UTC).date()
    claim = await daily_store.claim_daily(conn, "watch_missed_devices", today)
    if claim is not None and not (claim["done"] and claim["day"] >= today):
        await watch_store.watch_missed_devices(conn, now)
        await daily_store.advance_daily(conn, "watch_missed_devices", today, 0, True)


async def _page(conn: asyncpg.Connection, catalog: Catalog, rule: Rule, now: datetime) -> Done:
    today = now.astimezone(UTC).date()
    claim = await daily_store.claim_daily(conn, rule.rule_id, today)
    if claim is None or (claim["done"] and claim["day"] >= today):
        return Done()
    after_id = claim["after_id"] if claim["day"] == today else 0
    guard = Guard()
    look = _assets if rule.family == "asset" else _zones
    found, end_id = await look(conn, rule, after_id, now, guard)
    await daily_store.advance_daily(conn, rule.rule_id, today, end_id or 0, end_id is None)
    written = await save_found(conn, catalog, found, now)
    await guard.save(conn, catalog, now)
    return Done(int(end_id is not None), written)


async def _assets(
    conn: asyncpg.Connection, rule: Rule, after_id: int, now: datetime, guard: Guard
) -> tuple[list[Finding | Cleared], int | None]:
    """Findings of a page of devices and the page's last id; after the last page (None) the clears."""
    today = now.astimezone(UTC).date()
    began_until = service_life.anniversary(today, -int(rule["life_years"]))
    end_id = await daily_store.device_page_end(conn, after_id, DEVICES_AT_ONCE)
    if end_id is None:
        over = await daily_store.assets_over(conn, rule.rule_id, began_until)
        return [Cleared(rule.rule_id, subject, now) for subject in over], None
    grace_until = service_life.anniversary(began_until, -int(rule["grace_years"]))
    kind = KINDS_OF_DEVICE[rule.kind]
    assets = await daily_store.aged_devices(conn, rule, kind, began_until, grace_until, after_id, DEVICES_AT_ONCE)
    found: list[Finding] = guard.run(rule, partial(service_life.past_life, rule, assets, today, now), [])
    return list(admit(rule, found)), end_id


async def _zones(
    conn: asyncpg.Connection, rule: Rule, after_id: int, now: datetime, guard: Guard
) -> tuple[list[Finding | Cleared], int | None]:
    """Balances of a page of zones; a zone whose loss is explained again clears its alert."""
    period = zones.balanced_period(rule, now)
    page = await daily_store.checked_zones(conn, after_id, ZONES_AT_ONCE)
    firing = await daily_store.firing_zones(conn, rule.rule_id)
    found: list[Finding | Cleared] = []
    for row in page:
        subject = f"{row['level']}:{row['place_id']}"
        meters = await daily_store.zone_meters(conn, row, *period, now)
        name = f"{row['level']} {row['name']}"
        said: list[Finding | Cleared] = guard.run(rule, partial(zones.judge_zone, rule, subject, name, meters, now), [])
        found += [one for one in said if isinstance(one, Finding) or subject in firing]
    return found, page[-1]["number"] if page else None
