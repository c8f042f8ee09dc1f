"""The life of hazards in SQL; every function joins the caller's transaction."""

from dataclasses import fields
from datetime import date, datetime
from zoneinfo import ZoneInfo

import asyncpg

from inspections.hazard_life import AskedHazardStep, HazardLife
from inspections.wallclock import local_day
from sql import queries
from sql.actor import Actor
from sql.errors import NotFound

_FIELDS = tuple(one.name for one in fields(HazardLife))
_CHANGES = tuple(name for name in _FIELDS if name not in {"grade", "found_at", "due_on"})


async def lock_hazard(conn: asyncpg.Connection, hazard_id: int, actor: Actor, today: date) -> HazardLife:
    """A hazard of the caller's areas, for an inspector of doors he was sent to, locked; raises NotFound."""
    bound = queries["lock_hazard"].bind(hazard_id=hazard_id, inspector=actor.inspector_code, today=today)
    row = await conn.fetchrow(*bound)
    stranger = row is None or not actor.covers(row["area"])
    if stranger or (actor.role == "inspector" and not row["at_door"]):
        raise NotFound(f"hazard {hazard_id} does not exist")
    return HazardLife(**{name: row[name] for name in _FIELDS})


async def step_known(conn: asyncpg.Connection, hazard_id: int, asked: AskedHazardStep, actor: str) -> bool:
    """Whether the same step was taken already: same person, same time, same words."""
    bound = queries["hazard_step_known"].bind(
        hazard_id=hazard_id, at=asked.at, step=asked.step, actor=actor, note=asked.note, details=_details(asked)
    )
    return bool(await conn.fetchval(*bound))


def _details(asked: AskedHazardStep) -> dict[str, object]:
    said = {"to": asked.to, "how": asked.how, "by": asked.by, "command_id": asked.command_id}
    return {name: value for name, value in said.items() if value is not None}


async def save_step(
    conn: asyncpg.Connection, after: HazardLife, asked: AskedHazardStep, actor: str, now: datetime, zone: ZoneInfo
) -> None:
    """Write a hazard after a step, and the step; what was put right may be re-checked from that day on."""
    await conn.execute(*queries["update_hazard"].bind(**{name: getattr(after, name) for name in _CHANGES}))
    await conn.execute(
        *queries["add_hazard_step"].bind(
            hazard_id=after.hazard_id,
            at=asked.at,
            recorded_at=now,
            step=asked.step,
            actor=actor,
            note=asked.note,
            details=_details(asked),
        )
    )
    if asked.step == "rectify":
        day = local_day(asked.at, zone)
        await conn.execute(*queries["recheck_from"].bind(hazard_id=after.hazard_id, day=day))
