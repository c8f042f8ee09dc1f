"""Windows that somebody was told: made, kept for ever, moved with a reason, cancelled. In the caller's transaction."""

from datetime import datetime
from zoneinfo import ZoneInfo

import asyncpg

from inspections.wallclock import local_day
from sql import queries
from sql.actor import Actor
from sql.errors import NotFound


async def make_appointment(
    conn: asyncpg.Connection,
    premises_id: int,
    promised_from: datetime,
    promised_to: datetime,
    reason: str,
    zone: ZoneInfo,
    actor: Actor,
    at: datetime,
) -> int:
    """Open an appointment and promise its window; returns the duty. Rosters follow through `changing.change_day`."""
    duty_id: int = await conn.fetchval(
        *queries["add_promised_duty"].bind(
            premises_id=premises_id,
            due_on=local_day(promised_from, zone),
            reason=reason,
            promised_from=promised_from,
            promised_to=promised_to,
            at=at,
        )
    )
    await _keep(conn, duty_id, promised_from, promised_to, reason, actor, at)
    return duty_id


async def promise_anew(
    conn: asyncpg.Connection,
    duty_id: int,
    promised_from: datetime,
    promised_to: datetime,
    reason: str,
    zone: ZoneInfo,
    actor: Actor,
    at: datetime,
) -> None:
    """Give an open duty another window and keep why; raises NotFound when it is not open."""
    bound = queries["set_promise"].bind(
        duty_id=duty_id, promised_from=promised_from, promised_to=promised_to, due_on=local_day(promised_from, zone)
    )
    if await conn.fetchval(*bound) is None:
        raise NotFound(f"duty {duty_id} is not open")
    await _keep(conn, duty_id, promised_from, promised_to, reason, actor, at)


async def cancel_appointment(conn: asyncpg.Connection, duty_id: int, at: datetime) -> int:
    """Cancel an open appointment; returns its door. Raises NotFound."""
    row = await conn.fetchrow(*queries["cancel_appointment"].bind(duty_id=duty_id, at=at))
    if row is None:
        raise NotFound(f"duty {duty_id} is not an open appointment")
    return int(row["premises_id"])


async def promises_of_duty(conn: asyncpg.Connection, duty_id: int) -> list[asyncpg.Record]:
    """Every window that somebody was told for a duty, oldest first."""
    return list(await conn.fetch(*queries["promises_of_duty"].bind(duty_id=duty_id)))


async def _keep(
    conn: asyncpg.Connection,
    duty_id: int,
    promised_from: datetime,
    promised_to: datetime,
    reason: str,
    actor: Actor,
    at: datetime,
) -> None:
    await conn.execute(
        *queries["add_promise"].bind(
            duty_id=duty_id,
            promised_from=promised_from,
            promised_to=promised_to,
            reason=reason,
            actor=actor.name,
            made_at=at,
        )
    )
