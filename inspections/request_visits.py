"""The visit that a request asks for: opened with its door, moved to another, never lost in silence."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg

from inspections import request_store as store
from inspections.requests import Category, WrongRequestStep
from inspections.wallclock import local_day
from sql import queries
from sql.errors import Conflict


@dataclass(frozen=True, slots=True)
class Wanted:
    """A request as far as its visit goes."""

    request_id: int
    category: Category
    received_at: datetime
    settle_by: datetime


async def open_visit(conn: asyncpg.Connection, wanted: Wanted, premises_id: int, at: datetime, zone: ZoneInfo) -> None:
    """Open the duty that the category asks for: mandatory ones are due at once, others by the request's deadline."""
    mandatory = wanted.category.visit == "mandatory"
    reason = f"resident's request of {wanted.received_at.astimezone(zone):%Y-%m-%d %H:%M}: {wanted.category.title}"
    await conn.execute(
        *queries["open_request_duty"].bind(
            premises_id=premises_id,
            request_id=wanted.request_id,
            due_on=local_day(wanted.received_at if mandatory else wanted.settle_by, zone),
            mandatory=mandatory,
            reason=reason,
            at=at,
        )
    )


async def name_door(
    conn: asyncpg.Connection, wanted: Wanted, door: Mapping[str, Any], at: datetime, zone: ZoneInfo
) -> None:
    """Say which door a request is about: the visit that it asks for goes there, and not to another door any more.

    Raises Conflict when it is about that door already.
    """
    named = queries["name_request_door"].bind(
        request_id=wanted.request_id, premises_id=door["premises_id"], area=door["area"]
    )
    if await conn.fetchval(*named) is None:
        raise Conflict("the request is about this door already")
    await store.cancel_request_duties(conn, wanted.request_id, at)
    if wanted.category.visit != "none":
        await open_visit(conn, wanted, door["premises_id"], at, zone)


async def refuse_unvisited(conn: asyncpg.Connection, request_id: int, note: str | None) -> None:
    """Raises WrongRequestStep when closing would cancel a mandatory visit that nobody gave a reason for."""
    if (note or "").strip():
        return
    if await conn.fetchval(*queries["awaits_mandatory_visit"].bind(request_id=request_id)):
        raise WrongRequestStep(
            "note", "the mandatory visit was not made yet and would be cancelled: close says why none is needed"
        )
