"""Requests and cases in SQL; every function takes a connection and joins the caller's transaction."""

from collections.abc import Mapping
from dataclasses import fields
from datetime import date, datetime
from typing import Any

import asyncpg

from inspections.cases import Case, CaseCatalogue, deadlines
from inspections.requests import ResidentRequest
from sql import queries
from sql.actor import Actor
from sql.errors import NotFound

_REQUEST_FIELDS = tuple(one.name for one in fields(ResidentRequest))
_CASE_FIELDS = tuple(one.name for one in fields(Case))
_REQUEST_CHANGES = (
    "request_id", "state", "owner", "reply", "replied_at", "closed_at", "rating", "call_by", "reminders", "reminded_at",
)  # fmt: skip
_CASE_CHANGES = (
    "case_id", "state", "owner", "plan", "planned_at", "supervised", "level", "result", "closed_at",
)  # fmt: skip


async def place_of_premises(conn: asyncpg.Connection, code: str, actor: Actor) -> asyncpg.Record:
    """A door's id, district and user class, when the caller's areas hold it; raises NotFound."""
    row = await conn.fetchrow(*queries["place_of_premises"].bind(code=code))
    if row is None or not actor.covers(row["area"]):
        raise NotFound(f"premises {code} does not exist")
    return row


async def lock_request(conn: asyncpg.Connection, request_id: int, actor: Actor) -> ResidentRequest:
    """A request of the caller's areas, locked; raises NotFound."""
    row = await conn.fetchrow(*queries["lock_request"].bind(request_id=request_id))
    if row is None or not actor.covers(row["area"]):
        raise NotFound(f"request {request_id} does not exist")
    return request_of(row)


def request_of(row: Mapping[str, Any]) -> ResidentRequest:
    """A request from a row that has its columns."""
    return ResidentRequest(**{name: row[name] for name in _REQUEST_FIELDS})


async def overdue_requests(
    conn: asyncpg.Connection, at: datetime, reminded_before: datetime, limit_rows: int
) -> list[ResidentRequest]:
    """Requests with a deadline that has passed and of which nobody was reminded lately, locked."""
    query = queries["overdue_requests"]
    rows = await conn.fetch(*query.bind(at=at, reminded_before=reminded_before, limit_rows=limit_rows))
    return [request_of(row) for row in rows]


async def save_request(
    conn: asyncpg.Connection, request: ResidentRequest, step: str, actor: str, note: str | None, at: datetime
) -> None:
    """Write a request after a step, and the step."""
    changes = {name: getattr(request, name) for name in _REQUEST_CHANGES}
    await conn.execute(*queries["update_request"].bind(**changes))
    await add_request_step(conn, request.request_id, step, actor, note, at)


async def add_request_step(
    conn: asyncpg.Connection, request_id: int, step: str, actor: str, note: str | None, at: datetime
) -> None:
    """One more line of a request's timeline."""
    await conn.execute(
        *queries["add_request_step"].bind(request_id=request_id, at=at, step=step, actor=actor, note=note)
    )


async def cancel_request_duties(conn: asyncpg.Connection, request_id: int, at: datetime) -> None:
    """No visit is needed for a request any more."""
    await conn.execute(*queries["cancel_request_duties"].bind(request_id=request_id, at=at))


async def open_case(
    conn: asyncpg.Connection,
    catalogue: CaseCatalogue,
    kind: str,
    premises_id: int | None,
    area: str,
    title: str,
    opened_by: str,
    at: datetime,
    hazard_id: int | None = None,
) -> int | None:
    """Open a case with its first step; None when one of its kind is open for the door already.

    Raises WrongCaseStep for a kind that the catalogue does not have.
    """
    plan_by, close_by = deadlines(catalogue.of(kind), at)
    case_id: int | None = await conn.fetchval(
        *queries["open_case"].bind(
            kind=kind,
            premises_id=premises_id,
            area=area,
            hazard_id=hazard_id,
            title=title,
            opened_at=at,
            opened_by=opened_by,
            plan_by=plan_by,
            close_by=close_by,
        )
    )
    if case_id is not None:
        await add_case_step(conn, case_id, "opened", opened_by, title, at)
    return case_id


async def add_case_step(
    conn: asyncpg.Connection, case_id: int, step: str, actor: str, note: str | None, at: datetime
) -> None:
    """One more line of a case's timeline."""
    await conn.execute(*queries["add_case_step"].bind(case_id=case_id, at=at, step=step, actor=actor, note=note))


async def lock_case(conn: asyncpg.Connection, case_id: int, actor: Actor) -> Case:
    """A case of the caller's areas, locked; raises NotFound."""
    row = await conn.fetchrow(*queries["lock_case"].bind(case_id=case_id))
    if row is None or not actor.covers(row["area"]):
        raise NotFound(f"case {case_id} does not exist")
    return case_of(row)


def case_of(row: Mapping[str, Any]) -> Case:
    """A case from a row that has its columns."""
    return Case(**{name: row[name] for name in _CASE_FIELDS})


async def escalating_cases(
    conn: asyncpg.Connection, catalogue: CaseCatalogue, at: datetime, limit_rows: int
) -> list[Case]:
    """Open cases that a higher level should have heard of by a moment, locked."""
    steps = [(kind.code, level, days) for kind in catalogue.kind for level, days in enumerate(kind.escalate_days, 1)]
    rows = await conn.fetch(
        *queries["escalating_cases"].bind(
            kinds=[kind for kind, _, _ in steps],
            levels=[level for _, level, _ in steps],
            after_days=[days for _, _, days in steps],
            at=at,
            limit_rows=limit_rows,
        )
    )
    return [case_of(row) for row in rows]


async def save_case(
    conn: asyncpg.Connection, case: Case, step: str, actor: str, note: str | None, at: datetime
) -> None:
    """Write a case after a step, and the step."""
    await conn.execute(*queries["update_case"].bind(**{name: getattr(case, name) for name in _CASE_CHANGES}))
    await add_case_step(conn, case.case_id, step, actor, note, at)


async def hazards_without_case(conn: asyncpg.Connection, today: date, limit_rows: int) -> list[asyncpg.Record]:
    """Open hazards past their deadline that no case was ever opened for."""
    return list(await conn.fetch(*queries["hazards_without_case"].bind(today=today, limit_rows=limit_rows)))
