"""Windows that somebody was told: made, kept for ever, moved with a reason, cancelled. In the caller's transaction."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg

from inspections.model import Call, Duty, Window
from inspections.repair import Repaired
from inspections.wallclock import WallClock, local_day
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


async def tell_new_windows(
    conn: asyncpg.Connection, repaired: Repaired, clock: WallClock, actor: Actor, at: datetime
) -> list[dict[str, Any]]:
    """Tell new windows where promises could not be kept: another time of the day, or the same time of the next day."""
    unkept = {
        omission.call.premises_id: omission.reason for omission in repaired.plan.omissions if omission.call.promised
    }
    told = []
    for call in repaired.day.calls:
        window = repaired.repromised.get(call.premises_id)
        if window is None and call.premises_id not in unkept:
            continue
        why = unkept.get(call.premises_id, "nobody can keep the time promised before")
        for duty, begin, end in _new_windows(call, window, clock):
            reason = f"the day changed: {why}"
            await promise_anew(conn, duty.duty_id, begin, end, reason, clock.zone, actor, at)
            moments = {"was_from": duty.promised_from, "from": begin, "to": end}
            told.append({"premises": call.door.code, "duty_id": duty.duty_id, "reason": reason}
                        | {name: moment and moment.isoformat() for name, moment in moments.items()})  # fmt: skip
    return told


def _new_windows(call: Call, window: Window | None, clock: WallClock) -> Iterator[tuple[Duty, datetime, datetime]]:
    """The new window of each promise for this day, as long as the old one."""
    for duty in call.duties:
        begin, end = duty.promised_from, duty.promised_to
        if begin is not None and end is not None and local_day(begin, clock.zone) == clock.day:
            later = begin + timedelta(days=1) if window is None else clock.moment(window.early_s)
            yield duty, later, later + (end - begin)


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
