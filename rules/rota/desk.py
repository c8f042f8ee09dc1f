"""What people do with the rota: plan a shift, call it off, hand duty over, release somebody. Audited."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg

from rules.rota import store
from rules.rota.coverage import not_taken_over
from rules.rota.model import Shift
from sql import audit, queries
from sql.actor import Actor
from sql.errors import Conflict, NotFound

_EARLY = timedelta(hours=2)
"""A shift may take over so long before it begins (ours)."""

_LONGEST = timedelta(days=31)


@dataclass(frozen=True, slots=True)
class NewShift:
    """A shift to be planned; `areas` None is the whole city."""

    account: str
    level: int
    areas: tuple[str, ...] | None
    starts_at: datetime
    ends_at: datetime
    note: str | None = None


@dataclass(frozen=True, slots=True)
class HandedOver:
    """What a hand-over did: its number, how many alerts were open, and districts that nobody took over."""

    handover_id: int
    open_alerts: int
    uncovered: tuple[str, ...]


async def add_shift(conn: asyncpg.Connection, new: NewShift, by: Actor, now: datetime) -> int:
    """Plan a shift; returns its number.

    Raises NotFound for an account or district, Conflict for times that do not fit.
    """
    if not new.starts_at < new.ends_at <= new.starts_at + _LONGEST:
        raise Conflict("a shift ends after it starts, and lasts 31 days at most")
    if new.ends_at <= now:
        raise Conflict("a shift cannot be planned into the past")
    await _check_areas(conn, new.areas)
    clash = await conn.fetchrow(
        *queries["overlapping_shift"].bind(
            account=new.account, level=new.level, starts_at=new.starts_at, ends_at=new.ends_at
        )
    )
    if clash is not None:
        times = f"{clash['starts_at']:%Y-%m-%d %H:%M} to {clash['ends_at']:%Y-%m-%d %H:%M} UTC"
        raise Conflict(f"{new.account} has shift {clash['shift_id']} at level {new.level} from {times} already")
    shift_id: int | None = await conn.fetchval(
        *queries["add_shift"].bind(
            account=new.account,
            level=new.level,
            areas=None if new.areas is None else sorted(new.areas),
            starts_at=new.starts_at,
            ends_at=new.ends_at,
            note=new.note,
            added_at=now,
            added_by=by.name,
        )
    )
    if shift_id is None:
        raise NotFound(f"there is no account {new.account}, or it is revoked")
    details = {"account": new.account, "level": new.level, "areas": new.areas and sorted(new.areas),
               "starts_at": new.starts_at.isoformat(), "ends_at": new.ends_at.isoformat()}  # fmt: skip
    await audit.record(conn, by, "rota.add", f"shift:{shift_id}", details, now)
    return shift_id


async def _check_areas(conn: asyncpg.Connection, areas: Sequence[str] | None) -> None:
    if areas is None:
        return
    known = (await store.districts(conn)).above
    if unknown := sorted(set(areas) - known.keys()):
        raise NotFound(f"no district has the code {', '.join(unknown)}")


async def cancel_shift(conn: asyncpg.Connection, shift_id: int, by: Actor, now: datetime) -> None:
    """Call off a shift that has not begun. Raises NotFound, or Conflict when it has: then it must be handed over."""
    shift = await store.lock_shift(conn, shift_id)
    if shift.on_duty(now) or shift.relieved_at is not None:
        raise Conflict(f"shift {shift_id} has begun: hand it over instead")
    await conn.execute(*queries["cancel_shift"].bind(shift_id=shift_id, at=now))
    await audit.record(conn, by, "rota.cancel", f"shift:{shift_id}", {"account": shift.account}, now)


async def hand_over(
    conn: asyncpg.Connection, from_id: int, to_id: int, note: str, by: Actor, now: datetime
) -> HandedOver:
    """Pass duty on: the one who leaves is relieved, the other takes over, what is open is written down.

    Allowed to both of them and to administrators. Raises NotFound, or Conflict when the two do not fit: another level,
    not on duty, not near its start, or districts of the first that neither the second nor anybody else on duty has.
    """
    leaving, coming = await store.lock_shift(conn, from_id), await store.lock_shift(conn, to_id)
    _check_pair(leaving, coming, by, now)
    districts = await store.districts(conn)
    others = [one for one in await store.shifts_between(conn, now, now + timedelta(seconds=1))
              if one.level == leaving.level and one.shift_id != from_id and one.on_duty(now)]  # fmt: skip
    left = not_taken_over(leaving, [coming, *others], districts.leaves, districts.above)
    if left:
        raise Conflict(f"nobody would be on duty at level {leaving.level} for {', '.join(left[:20])}: "
                       f"{coming.account} does not have them")  # fmt: skip
    await conn.execute(*queries["take_shift"].bind(shift_id=to_id, at=now))
    await conn.execute(*queries["relieve_shift"].bind(shift_id=from_id, at=now))
    return await _record(conn, leaving, coming, note, by, now, ())


def _check_pair(leaving: Shift, coming: Shift, by: Actor, now: datetime) -> None:
    if by.role != "administrator" and by.name not in {leaving.account, coming.account}:
        raise Conflict(f"only {leaving.account}, {coming.account} or an administrator may hand over")
    if leaving.shift_id == coming.shift_id:
        raise Conflict("a shift cannot be handed over to itself")
    if not leaving.on_duty(now):
        raise Conflict(f"shift {leaving.shift_id} of {leaving.account} is not on duty now")
    if coming.level != leaving.level:
        raise Conflict(f"shift {coming.shift_id} is of level {coming.level}, not {leaving.level}")
    if coming.relieved_at is not None or coming.ends_at <= now:
        raise Conflict(f"shift {coming.shift_id} of {coming.account} is over")
    if coming.starts_at - now > _EARLY:
        raise Conflict(
            f"shift {coming.shift_id} begins at {coming.starts_at:%Y-%m-%d %H:%M} UTC: more than two hours ahead"
        )


async def release(conn: asyncpg.Connection, shift_id: int, note: str, by: Actor, now: datetime) -> HandedOver:
    """End a shift without a successor, by an administrator: what is uncovered then is returned, and warned of."""
    if by.role != "administrator":
        raise Conflict("only an administrator may release somebody without a successor")
    leaving = await store.lock_shift(conn, shift_id)
    if not leaving.on_duty(now):
        raise Conflict(f"shift {shift_id} of {leaving.account} is not on duty now")
    districts = await store.districts(conn)
    others = [one for one in await store.shifts_between(conn, now, now + timedelta(seconds=1))
              if one.level == leaving.level and one.shift_id != shift_id and one.on_duty(now)]  # fmt: skip
    left = not_taken_over(leaving, others, districts.leaves, districts.above)
    await conn.execute(*queries["relieve_shift"].bind(shift_id=shift_id, at=now))
    return await _record(conn, leaving, None, note, by, now, tuple(left))


async def _record(
    conn: asyncpg.Connection,
    leaving: Shift,
    coming: Shift | None,
    note: str,
    by: Actor,
    now: datetime,
    left: tuple[str, ...],
) -> HandedOver:
    still_open = await store.open_alerts_of(conn, None if leaving.areas is None else sorted(leaving.areas))
    handover_id = await conn.fetchval(
        *queries["add_handover"].bind(
            from_shift=leaving.shift_id,
            to_shift=coming and coming.shift_id,
            at=now,
            actor=by.name,
            note=note,
            open_alerts=still_open,
        )
    )
    details = {"from": leaving.account, "to": coming and coming.account, "level": leaving.level, "note": note,
               "open_alerts": [one["alert_id"] for one in still_open], "uncovered": list(left)}  # fmt: skip
    await audit.record(conn, by, "rota.hand_over", f"shift:{leaving.shift_id}", details, now)
    return HandedOver(handover_id, len(still_open), left)
