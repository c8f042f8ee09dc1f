"""HTTP of enforcement against businesses: orders, and penalties with their amounts."""

from datetime import UTC, datetime, timedelta

import asyncpg

from inspections import request_store as store
from inspections.params import RosterParams
from inspections.request_answers import (
    EnforcementBody,
    EnforcementEnd,
    EnforcementFigures,
    EnforcementFiguresQuery,
    EnforcementPage,
    EnforcementQuery,
    EnforcementRow,
)
from inspections.request_routes import Route, field_error, rate
from inspections.wallclock import local_day
from sql import audit, queries
from sql.actor import Actor
from sql.errors import Conflict, NotFound

_OFFICE = frozenset({"officer", "administrator"})


class EnforcementRoutes:
    """Handlers of enforcement."""

    def __init__(self, pool: asyncpg.Pool, params: RosterParams) -> None:
        self._pool = pool
        self._params = params

    def table(self) -> list[Route]:
        """Method, path, roles and handler of each route."""
        return [
            ("POST", "/enforcement", _OFFICE, self.record_enforcement),
            ("GET", "/enforcement", _OFFICE, self.enforcements),
            ("GET", "/enforcement/figures", _OFFICE, self.enforcement_figures),
            ("POST", "/enforcement/{enforcement_id}/end", _OFFICE, self.end_enforcement),
        ]

    async def record_enforcement(self, body: EnforcementBody, actor: Actor) -> EnforcementRow:
        """Record an order or a penalty against a business; the same `client_id` again returns the same record."""
        at = datetime.now(UTC)
        _check_enforcement(body)
        async with self._pool.acquire() as conn, conn.transaction():
            door = await store.place_of_premises(conn, body.premises, actor)
            if door["user_class"] == "household":
                raise Conflict(f"premises {body.premises} is a household; enforcement is recorded against businesses")
            await _check_hazard(conn, body.hazard_id, door["premises_id"])
            values = body.model_dump(exclude={"premises"}) | {"premises_id": door["premises_id"]}
            added = await conn.fetchval(
                *queries["add_enforcement"].bind(recorded_at=at, recorded_by=actor.name, **values)
            )
            if added is None:
                await _check_repeat(conn, body, door["premises_id"])
            else:
                details = {"premises": body.premises, "kind": body.kind, "amount_fen": body.amount_fen}
                await audit.record(conn, actor, "enforcement.record", f"enforcement:{added}", details, at)
            row = await conn.fetchrow(*queries["enforcement_of_client"].bind(client_id=body.client_id))
            return await _enforcement(conn, row["enforcement_id"])

    async def enforcements(self, query: EnforcementQuery, actor: Actor) -> EnforcementPage:
        """Orders and penalties, newest first."""
        async with self._pool.acquire() as conn:
            rows = await conn.fetch(
                *queries["enforcements_page"].bind(
                    premises=query.premises,
                    state=query.state,
                    overdue_on=local_day(datetime.now(UTC), self._params.zone) if query.overdue else None,
                    areas=actor.area_list(),
                    after=query.after,
                    limit_rows=query.limit + 1,
                )
            )
        items = [EnforcementRow(**row) for row in rows[: query.limit]]
        return EnforcementPage(items=items, next=items[-1].enforcement_id if len(rows) > query.limit else None)

    async def enforcement_figures(self, query: EnforcementFiguresQuery, actor: Actor) -> list[EnforcementFigures]:
        """Orders and penalties issued in a span of days, by user class: what was complied with, in time, and paid."""
        today = local_day(datetime.now(UTC), self._params.zone)
        async with self._pool.acquire() as conn:
            rows = await conn.fetch(
                *queries["enforcement_figures"].bind(
                    from_day=query.since,
                    to_day=query.until + timedelta(days=1),
                    areas=actor.area_list(),
                    today=today,
                )
            )
        return [
            EnforcementFigures(
                **row,
                complied_on_time_rate=rate(row["complied_in_time"], row["complied"] + row["overdue"]),
                closure_rate=rate(row["complied"] + row["revoked"], row["issued"]),
            )
            for row in rows
        ]

    async def end_enforcement(self, enforcement_id: int, body: EnforcementEnd, actor: Actor) -> EnforcementRow:
        """Say that an order was complied with or a penalty paid, or that the authority revoked it."""
        at = datetime.now(UTC)
        async with self._pool.acquire() as conn, conn.transaction():
            row = await conn.fetchrow(*queries["lock_enforcement"].bind(enforcement_id=enforcement_id))
            if row is None or not actor.covers(row["area"]):
                raise NotFound(f"enforcement {enforcement_id} does not exist")
            if row["state"] != "open":
                raise Conflict(f"enforcement {enforcement_id} is {row['state']} already")
            if body.ended_on < row["issued_on"]:
                raise field_error("EnforcementEnd", "ended_on", "lies before the day it was issued")
            await conn.execute(
                *queries["end_enforcement"].bind(
                    enforcement_id=enforcement_id, state=body.state, ended_on=body.ended_on, note=body.note
                )
            )
            subject = f"enforcement:{enforcement_id}"
            await audit.record(conn, actor, f"enforcement.{body.state}", subject, {"note": body.note}, at)
            return await _enforcement(conn, enforcement_id)


def _check_enforcement(body: EnforcementBody) -> None:
    if (body.kind == "penalty") != (body.amount_fen is not None):
        raise field_error("EnforcementBody", "amount_fen", "a penalty has an amount, an order has none")
    if body.due_on < body.issued_on:
        raise field_error("EnforcementBody", "due_on", "lies before the day it was issued")


async def _check_hazard(conn: asyncpg.Connection, hazard_id: int | None, premises_id: int) -> None:
    if hazard_id is None:
        return
    query = queries["hazard_of_premises"]
    if await conn.fetchval(*query.bind(hazard_id=hazard_id, premises_id=premises_id)) is None:
        raise field_error("EnforcementBody", "hazard_id", f"hazard {hazard_id} is not of this door")


async def _check_repeat(conn: asyncpg.Connection, body: EnforcementBody, premises_id: int) -> None:
    row = await conn.fetchrow(*queries["enforcement_of_client"].bind(client_id=body.client_id))
    said = {"premises_id": premises_id, "kind": body.kind, "reference": body.reference, "amount_fen": body.amount_fen}
    if any(row[name] != value for name, value in said.items()):
        raise Conflict(f"client_id {body.client_id} was used before for a different record")


async def _enforcement(conn: asyncpg.Connection, enforcement_id: int) -> EnforcementRow:
    rows = await conn.fetch(
        *queries["enforcements_page"].bind(
            premises=None, state=None, overdue_on=None, areas=None, after=enforcement_id + 1, limit_rows=1
        )
    )
    return EnforcementRow(**rows[0])
