"""Backtests of rules that look once a day: ages of devices, balances of zones. Loads what they need, writes nothing."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

import asyncpg

from rules import daily_store, service_life, zones
from rules.asset_history import InUse, asset_story
from rules.daily import KINDS_OF_DEVICE, ZONES_AT_ONCE
from rules.model import Cleared, Finding, Rule
from rules.service_life import Asset
from sql import queries

DEVICES_AT_ONCE = 20_000

STOOD = timedelta(days=7)
"""Balances begin so long before the period, so that what was found by then is not new in it."""


async def assets_of_period(
    conn: asyncpg.Connection, rules: Sequence[Rule], device_ids: Sequence[int], since: datetime, until: datetime
) -> list[Finding | Cleared]:
    """What the asset rules say of some devices, as if looking at the beginning of every UTC day."""
    found: list[Finding | Cleared] = []
    for rule in rules:
        began_until = service_life.anniversary(until.astimezone(UTC).date(), -int(rule["life_years"]))
        for start in range(0, len(device_ids), DEVICES_AT_ONCE):
            part = device_ids[start : start + DEVICES_AT_ONCE]
            kind = KINDS_OF_DEVICE[rule.kind]
            query = queries["aged_in_period"].bind(kind=kind, device_ids=part, began_until=began_until)
            uses = [_in_use(row) for row in await conn.fetch(*query)]
            found += asset_story(rule, uses, since, until)
    return found


def _in_use(row: asyncpg.Record) -> InUse:
    values = dict(row)
    installed_at, removed_at = values.pop("installed_at"), values.pop("removed_at")
    return InUse(Asset(**values), installed_at, removed_at)


async def zones_of_period(
    conn: asyncpg.Connection, rules: Sequence[Rule], device_ids: Sequence[int], since: datetime, until: datetime
) -> list[Finding | Cleared]:
    """What the balances of the zones around some devices say, day by day, by what had arrived on each."""
    if not rules:
        return []
    found: list[Finding | Cleared] = []
    rows = await conn.fetch(*queries["zones_around"].bind(device_ids=device_ids))
    wanted = {row["check_of"] for row in rows}
    async for zone in _zones(conn):
        if zone["check_of"] not in wanted:
            continue
        subject, name = f"{zone['level']}:{zone['place_id']}", f"{zone['level']} {zone['name']}"
        for rule in rules:
            for now in _mornings(since - STOOD, until):
                meters = await daily_store.zone_meters(conn, zone, *zones.balanced_period(rule, now), now)
                said = zones.judge_zone(rule, subject, name, meters, now)
                found += [replace(one, shown_at=now) if isinstance(one, Finding) else one for one in said]
    return found


async def _zones(conn: asyncpg.Connection) -> AsyncIterator[asyncpg.Record]:
    after_id = 0
    while page := await daily_store.checked_zones(conn, after_id, ZONES_AT_ONCE):
        for zone in page:
            yield zone
        after_id = page[-1]["number"]


def _mornings(since: datetime, until: datetime) -> list[datetime]:
    """The beginnings of UTC days within `(since, until]`."""
    first = datetime.combine(since.astimezone(UTC).date(), time(), UTC) + timedelta(days=1)
    return [first + timedelta(days=day) for day in range((until - first) // timedelta(days=1) + 1)]
