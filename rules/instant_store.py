"""Loads what devices assert and measure at a moment; every function takes a connection and joins its transaction."""

from collections.abc import Iterable, Sequence
from dataclasses import fields
from datetime import datetime

import asyncpg

from rules.assertions import Event
from rules.instant_needs import Limits
from rules.told import Teller, Told, in_order
from rules.zones import Pressure
from sql import queries


async def instant_batches_after(conn: asyncpg.Connection, slot: str, batch_id: int, count: int) -> list[asyncpg.Record]:
    """The next batches of a slot, with how many events they brought and which devices and device time they touched."""
    query = queries["instant_batches_after"]
    return await conn.fetch(*query.bind(slot=slot, batch_id=batch_id, count=count))  # type: ignore[no-any-return]


async def telling_devices(
    conn: asyncpg.Connection,
    batch_ids: Sequence[int],
    device_ids: Sequence[int],
    since: datetime,
    until: datetime,
    limits: Limits,
) -> set[int]:
    """Devices whose reports in some batches may begin a condition of the event rules."""
    rows = await conn.fetch(
        *queries["telling_devices"].bind(
            batch_ids=batch_ids,
            device_ids=device_ids,
            since=since,
            until=until,
            **_asked(limits),
        )
    )
    return {row["device_id"] for row in rows}


async def telling_in_period(
    conn: asyncpg.Connection,
    device_ids: Sequence[int],
    since: datetime,
    until: datetime,
    limits: Limits,
    kinds: Iterable[str],
) -> list[int]:
    """Devices that in `(since, until]` told what may begin a condition of the event rules."""
    query = queries["telling_in_period"].bind(
        device_ids=device_ids, since=since, until=until, kinds=sorted(kinds), **_asked(limits)
    )
    return sorted(row["device_id"] for row in await conn.fetch(*query))


def _asked(limits: Limits) -> dict[str, object]:
    return {one.name: getattr(limits, one.name) for one in fields(limits)}


async def firing_at(
    conn: asyncpg.Connection, rule_ids: Sequence[str], device_ids: Sequence[int]
) -> dict[tuple[str, int], datetime]:
    """Open alerts of rules and devices that telemetry still shows, with their newest event time."""
    rows = await conn.fetch(*queries["firing_of_devices"].bind(rule_ids=rule_ids, device_ids=device_ids))
    return {(row["rule_id"], row["device_id"]): row["last_at"] for row in rows}


async def tellers(conn: asyncpg.Connection, device_ids: Sequence[int]) -> dict[int, Teller]:
    """What the event rules need to know of devices, by id."""
    rows = await conn.fetch(*queries["tellers"].bind(device_ids=device_ids))
    return {row["device_id"]: Teller(**row) for row in rows}


async def told(
    conn: asyncpg.Connection,
    device_ids: Sequence[int],
    since: datetime,
    reports_since: datetime,
    until: datetime,
    kinds: Iterable[str],
) -> dict[int, list[Told]]:
    """Events of some kinds within `(since, until]` and reports since a later moment, by device and in order."""
    reports = queries["told_reports"].bind(device_ids=device_ids, since=reports_since, until=until)
    events = queries["told_events"].bind(device_ids=device_ids, since=since, until=until, kinds=sorted(kinds))
    rows = await conn.fetch(*reports) + await conn.fetch(*events)
    found: dict[int, list[Told]] = {}
    for row in rows:
        found.setdefault(row["device_id"], []).append(Told(**row))
    return {device_id: in_order(samples) for device_id, samples in found.items()}


async def told_leak_alarms(
    conn: asyncpg.Connection, device_ids: Sequence[int], since: datetime, until: datetime
) -> dict[int, list[Event]]:
    """Leak alarms raised and cleared within `(since, until]`, by device, with nothing said of the device's state."""
    found: dict[int, list[Event]] = {}
    query = queries["told_leak_alarms"].bind(device_ids=device_ids, since=since, until=until)
    for row in await conn.fetch(*query):
        found.setdefault(row["device_id"], []).append(Event(**row))
    return found


async def leaking_buildings(
    conn: asyncpg.Connection, device_ids: Sequence[int], since: datetime, until: datetime
) -> list[int]:
    """Buildings in which some devices raised leak alarms within `(since, until]`."""
    query = queries["leaking_buildings"].bind(device_ids=device_ids, since=since, until=until)
    return [row["building_id"] for row in await conn.fetch(*query)]


async def closed_at(
    conn: asyncpg.Connection, rule_ids: Sequence[str], device_ids: Sequence[int]
) -> dict[tuple[str, int], datetime]:
    """When the newest closed alert of each rule and device was closed."""
    rows = await conn.fetch(*queries["closings"].bind(rule_ids=rule_ids, device_ids=device_ids))
    return {(row["rule_id"], row["device_id"]): row["closed_at"] for row in rows}


async def pressure_zones(conn: asyncpg.Connection, device_ids: Sequence[int], level: str) -> dict[int, str]:
    """The zones at a level that some devices lie in: name by id."""
    rows = await conn.fetch(*queries["pressure_zones"].bind(device_ids=device_ids, level=level))
    return {row["zone_id"]: row["name"] for row in rows if row["zone_id"] is not None}


async def zone_pressures(
    conn: asyncpg.Connection, level: str, zone_id: int, since: datetime, until: datetime, count: int
) -> list[Pressure]:
    """Pressures of the meters of a zone within `(since, until]`, of at most `count` meters."""
    rows = await conn.fetch(*queries["zone_devices"].bind(level=level, zone_id=zone_id, count=count))
    codes = {row["device_id"]: row["code"] for row in rows}
    if not codes:
        return []
    found = await conn.fetch(*queries["zone_pressures"].bind(device_ids=list(codes), since=since, until=until))
    return [Pressure(row["device_id"], codes[row["device_id"]], row["at"], row["pressure_pa"]) for row in found]
