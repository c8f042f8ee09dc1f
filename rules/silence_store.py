"""Loads and saves silences; every function takes a connection and joins the caller's transaction."""

from collections.abc import Sequence
from datetime import datetime

import asyncpg

from rules.silences import Silence
from sql import queries
from sql.errors import NotFound


async def silences_covering(
    conn: asyncpg.Connection, alert_ids: Sequence[int], now: datetime
) -> dict[int, list[Silence]]:
    """Silences not over yet whose scope covers alerts, by alert id."""
    found: dict[int, list[Silence]] = {}
    if alert_ids:
        for row in await conn.fetch(*queries["silences_covering"].bind(alert_ids=list(alert_ids), now=now)):
            values = dict(row)
            found.setdefault(values.pop("alert_id"), []).append(Silence(**values))
    return found


async def subject_area(conn: asyncpg.Connection, subject: str) -> str:
    """The district of a subject (`device:12`, `premises:9`, `building:7`, `gateway:3`); raises NotFound."""
    kind, _, number = subject.partition(":")
    ids: dict[str, int | None] = dict.fromkeys(("device_id", "building_id", "gateway_id", "premises_id"))
    ids[f"{kind}_id"] = int(number)
    area: str | None = await conn.fetchval(*queries["subject_area"].bind(**ids))
    if area is None:
        raise NotFound(f"there is no {kind} {number}")
    return area


async def add_silence(conn: asyncpg.Connection, **values: object) -> int:
    """Write a new silence; return its id."""
    silence_id: int = await conn.fetchval(*queries["add_silence"].bind(**values))
    return silence_id


async def lock_silence(conn: asyncpg.Connection, silence_id: int) -> asyncpg.Record:
    """One silence, locked; raises NotFound."""
    row = await conn.fetchrow(*queries["lock_silence"].bind(silence_id=silence_id))
    if row is None:
        raise NotFound(f"no silence {silence_id}")
    return row


async def approve_silence(conn: asyncpg.Connection, silence_id: int, name: str, now: datetime) -> None:
    """Let a silence cover leaks."""
    await conn.execute(*queries["approve_silence"].bind(silence_id=silence_id, approved_by=name, approved_at=now))


async def end_silence(conn: asyncpg.Connection, silence_id: int, name: str, now: datetime) -> None:
    """End a silence, and have the alerts whose notices it held back looked at at once."""
    await conn.execute(*queries["end_silence"].bind(silence_id=silence_id, ended_by=name, ended_at=now))
    await conn.execute(*queries["wake_quiet_alerts"].bind(now=now))
