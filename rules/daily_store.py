"""Loads what the daily rules look at; every function takes a connection and joins its transaction."""

from collections.abc import Mapping
from datetime import date, datetime

import asyncpg

from rules.model import Rule
from rules.service_life import Asset
from rules.zones import Metered
from sql import queries


async def claim_daily(conn: asyncpg.Connection, task: str, day: date) -> asyncpg.Record | None:
    """How far a task has come, locked; None while another process works at it."""
    await conn.execute(*queries["begin_daily"].bind(task=task, day=day))
    return await conn.fetchrow(*queries["claim_daily"].bind(task=task))


async def advance_daily(conn: asyncpg.Connection, task: str, day: date, after_id: int, done: bool) -> None:
    """Remember how far a task has come."""
    await conn.execute(*queries["advance_daily"].bind(task=task, day=day, after_id=after_id, done=done))


async def device_page_end(conn: asyncpg.Connection, after_id: int, count: int) -> int | None:
    """The last id of a page of devices; None when there is none."""
    found: int | None = await conn.fetchval(*queries["device_page_end"].bind(after_id=after_id, count=count))
    return found


async def aged_devices(
    conn: asyncpg.Connection, rule: Rule, kind: str, began_until: date, grace_until: date, after_id: int, count: int
) -> list[Asset]:
    """Devices of a page that are in use past their life and whose alert does not say so yet."""
    rows = await conn.fetch(
        *queries["aged_devices"].bind(
            rule_id=rule.rule_id,
            kind=kind,
            began_until=began_until,
            grace_until=grace_until,
            severity_high=rule.severity_high,
            after_id=after_id,
            count=count,
        )
    )
    return [Asset(**row) for row in rows]


async def assets_over(conn: asyncpg.Connection, rule_id: str, began_until: date) -> list[str]:
    """Subjects of open alerts about devices that are not in use any more, or not that old."""
    rows = await conn.fetch(*queries["assets_over"].bind(rule_id=rule_id, began_until=began_until))
    return [row["subject"] for row in rows]


async def checked_zones(conn: asyncpg.Connection, after_id: int, count: int) -> list[asyncpg.Record]:
    """Places that check meters feed."""
    return await conn.fetch(*queries["checked_zones"].bind(after_id=after_id, count=count))  # type: ignore[no-any-return]


async def zone_meters(
    conn: asyncpg.Connection, zone: Mapping[str, object], from_at: datetime, to_at: datetime, known_at: datetime
) -> list[Metered]:
    """What each meter of a zone used over a period, in litres, by what had arrived at a moment."""
    rows = await conn.fetch(
        *queries["zone_meters"].bind(
            level=zone["level"],
            place_id=zone["place_id"],
            check_of=zone["check_of"],
            from_at=from_at,
            to_at=to_at,
            known_at=known_at,
        )
    )
    return [
        Metered(
            row["code"],
            None if row["used_ml"] is None else row["used_ml"] / 1000,
            row["is_check"],
            row["pulse_ml"] / 1000,
        )
        for row in rows
    ]


async def firing_zones(conn: asyncpg.Connection, rule_id: str) -> set[str]:
    """Zones with an open loss."""
    return {row["subject"] for row in await conn.fetch(*queries["firing_zones"].bind(rule_id=rule_id))}
