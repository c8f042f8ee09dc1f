"""Windows that somebody was told: made, kept for ever, moved with a reason, cancelled. In the caller's transaction."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg

from inspections.booking import BookableWindow, Offer
from inspections.booking_store import later_window
from inspections.model import Call, Duty, Plan, Window
from inspections.repair import Repaired
from inspections.wallclock import WallClock, local_day
from sql import queries
from sql.actor import Actor
from sql.errors import NotFound

_HALF_HOUR_S = 1800


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
    conn: asyncpg.Connection, repaired: Repaired, clock: WallClock, offer: Offer, actor: Actor, at: datetime
) -> list[dict[str, Any]]:
    """Tell new windows where promises could not be kept: another time of the day, or the same time of a later one.

    The later day is the next one worked on which somebody able still has room. What gave way to an alarm at the same
    door is told the time of the alarm's visit.
    """
    unkept = {
        omission.call.premises_id: omission.reason for omission in repaired.plan.omissions if omission.call.promised
    }
    told = []
    for call in repaired.day.calls:
        window = repaired.repromised.get(call.premises_id)
        if window is None and call.premises_id not in unkept:
            continue
        why = unkept.get(call.premises_id, "nobody can keep the time promised before")
        for duty, old in _promised_on(call, clock):
            new = await _moved(conn, call, old, window, clock, offer)
            told.append(await _tell(conn, call, duty, new, f"the day changed: {why}", clock, actor, at))
    return told + await give_way(conn, repaired.plan, clock, actor, at)


async def give_way(
    conn: asyncpg.Connection, plan: Plan, clock: WallClock, actor: Actor, at: datetime
) -> list[dict[str, Any]]:
    """Tell new windows to those whose door is visited for an alarm at another time of the day than was promised.

    The new window is as long as the old one and begins at the half hour before the visit.
    """
    told = []
    for visit in plan.visits():
        begin = clock.moment(visit.arrive_s)
        for duty, old in _promised_on(visit.call, clock) if visit.call.mandatory else ():
            if not old.begins_at <= begin <= old.ends_at:
                early = clock.moment(visit.arrive_s // _HALF_HOUR_S * _HALF_HOUR_S)
                late = max(begin, early + (old.ends_at - old.begins_at))
                reason = "the time promised gives way to the alarm at this door"
                told.append(await _tell(conn, visit.call, duty, BookableWindow(early, late), reason, clock, actor, at))
    return told


def _promised_on(call: Call, clock: WallClock) -> Iterator[tuple[Duty, BookableWindow]]:
    """The duties of a call that are promised for this day, each with its window in local time."""
    for duty in call.duties:
        begin, end = duty.promised_from, duty.promised_to
        if begin is not None and end is not None and local_day(begin, clock.zone) == clock.day:
            yield duty, BookableWindow(begin.astimezone(clock.zone), end.astimezone(clock.zone))


async def _moved(
    conn: asyncpg.Connection, call: Call, old: BookableWindow, window: Window | None, clock: WallClock, offer: Offer
) -> BookableWindow:
    """The new window of a promise, as long as the old one."""
    if window is None:
        return await later_window(conn, call.premises_id, old, offer, clock.day)
    begin = clock.moment(window.early_s)
    return BookableWindow(begin, begin + (old.ends_at - old.begins_at))


async def _tell(
    conn: asyncpg.Connection,
    call: Call,
    duty: Duty,
    new: BookableWindow,
    reason: str,
    clock: WallClock,
    actor: Actor,
    at: datetime,
) -> dict[str, Any]:
    """Promise a new window and say so."""
    begin, end = new.begins_at.astimezone(UTC), new.ends_at.astimezone(UTC)
    await promise_anew(conn, duty.duty_id, begin, end, reason, clock.zone, actor, at)
    moments = {"was_from": duty.promised_from, "from": begin, "to": end}
    said = {name: moment and moment.isoformat() for name, moment in moments.items()}
    return {"premises": call.door.code, "duty_id": duty.duty_id, "reason": reason} | said


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
