"""HTTP of supervised cases and of enforcement against businesses."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import asyncpg

from inspections import request_store as store
from inspections.cases import AskedCaseStep, WrongCaseStep, load_cases, take_case_step
from inspections.params import RosterParams
from inspections.request_answers import (
    CaseBody,
    CaseFigures,
    CasePage,
    CaseQuery,
    CaseRow,
    CaseStepBody,
    CaseWhole,
    EnforcementBody,
    EnforcementEnd,
    EnforcementPage,
    EnforcementQuery,
    EnforcementRow,
    FiguresQuery,
    TimelineStep,
    read_cursor,
    write_cursor,
)
from inspections.request_routes import Route, field_error, place, rate
from inspections.wallclock import local_day
from sql import audit, queries
from sql.actor import Actor
from sql.errors import Conflict, NotFound

_OFFICE = frozenset({"officer", "administrator"})


class CaseRoutes:
    """Handlers of cases and enforcement."""

    def __init__(self, pool: asyncpg.Pool, params: RosterParams) -> None:
        self._pool = pool
        self._params = params

    def table(self) -> list[Route]:
        """Method, path, roles and handler of each route; fixed paths before those with a parameter."""
        return [
            ("POST", "/cases", _OFFICE, self.open_case),
            ("GET", "/cases", _OFFICE, self.cases),
            ("GET", "/cases/figures", _OFFICE, self.case_figures),
            ("GET", "/cases/{case_id}", _OFFICE, self.case),
            ("POST", "/cases/{case_id}/steps", _OFFICE, self.step_case),
            ("POST", "/enforcement", _OFFICE, self.record_enforcement),
            ("GET", "/enforcement", _OFFICE, self.enforcements),
            ("POST", "/enforcement/{enforcement_id}/end", _OFFICE, self.end_enforcement),
        ]

    async def open_case(self, body: CaseBody, actor: Actor) -> CaseWhole:
        """Open a case; one of its kind that is open for the door already is refused with its name."""
        at = datetime.now(UTC)
        async with self._pool.acquire() as conn, conn.transaction():
            premises_id, area = await place(conn, body.premises, body.area, actor)
            if body.request_id is not None:
                await store.lock_request(conn, body.request_id, actor)
            with _naming_the_field("CaseBody"):
                case_id = await store.open_case(
                    conn, load_cases(self._params.cases_file), body.kind, premises_id, area, body.title, actor.name, at
                )
            if case_id is None:
                raise Conflict(f"a case of kind {body.kind} is open for {body.premises} already")
            if body.request_id is not None:
                await conn.execute(*queries["link_request_to_case"].bind(request_id=body.request_id, case_id=case_id))
            details = {"kind": body.kind, "premises": body.premises, "request_id": body.request_id}
            await audit.record(conn, actor, "case.open", f"case:{case_id}", details, at)
            return await _whole(conn, case_id)

    async def cases(self, query: CaseQuery, actor: Actor) -> CasePage:
        """Cases, newest first."""
        opened_before, case_before = read_cursor(query.after)
        async with self._pool.acquire() as conn:
            rows = await conn.fetch(
                *queries["cases_page"].bind(
                    states=list(query.state) or None,
                    kind=query.kind,
                    supervised=query.supervised,
                    overdue_at=datetime.now(UTC) if query.overdue else None,
                    areas=actor.area_list(),
                    opened_before=opened_before,
                    case_before=case_before,
                    limit_rows=query.limit + 1,
                )
            )
        items = [CaseRow(**row) for row in rows[: query.limit]]
        more = len(rows) > query.limit
        return CasePage(items=items, next=write_cursor(items[-1].opened_at, items[-1].case_id) if more else None)

    async def case(self, case_id: int, actor: Actor) -> CaseWhole:
        """One case with its plan and timeline; the look is audited."""
        at = datetime.now(UTC)
        async with self._pool.acquire() as conn, conn.transaction():
            whole = await _whole(conn, case_id)
            if not actor.covers(whole.area):
                raise NotFound(f"case {case_id} does not exist")
            await audit.record(conn, actor, "case.read", f"case:{case_id}", {"premises": whole.premises}, at)
            return whole

    async def step_case(self, case_id: int, body: CaseStepBody, actor: Actor) -> CaseWhole:
        """Take a step: assign, plan, supervise, release, close or note."""
        at = datetime.now(UTC)
        async with self._pool.acquire() as conn, conn.transaction():
            case = await store.lock_case(conn, case_id, actor)
            with _naming_the_field("CaseStepBody"):
                after = take_case_step(case, AskedCaseStep(body.step, actor.name, body.note, body.owner), at)
            await store.save_case(conn, after, body.step, actor.name, body.note or body.owner, at)
            await audit.record(conn, actor, f"case.{body.step}", f"case:{case_id}", {"state": after.state}, at)
            return await _whole(conn, case_id)

    async def case_figures(self, query: FiguresQuery, actor: Actor) -> list[CaseFigures]:
        """Planned and closed in time, by kind, of cases opened in a span of time."""
        async with self._pool.acquire() as conn:
            rows = await conn.fetch(
                *queries["case_figures"].bind(
                    since=query.since, until=query.until, areas=actor.area_list(), at=datetime.now(UTC)
                )
            )
        return [
            CaseFigures(
                **row,
                closed_on_time_rate=rate(row["closed_in_time"], row["closing_due"]),
                closure_rate=rate(row["closed"], row["opened"]),
            )
            for row in rows
        ]

    # ---- enforcement

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


async def _whole(conn: asyncpg.Connection, case_id: int) -> CaseWhole:
    row = await conn.fetchrow(*queries["case_whole"].bind(case_id=case_id))
    if row is None:
        raise NotFound(f"case {case_id} does not exist")
    steps = await conn.fetch(*queries["case_steps"].bind(case_id=case_id))
    return CaseWhole(**row, timeline=[TimelineStep(**step) for step in steps])


@contextmanager
def _naming_the_field(title: str) -> Iterator[None]:
    """What the domain refuses in a body is refused like any other invalid field."""
    try:
        yield
    except WrongCaseStep as refusal:
        raise field_error(title, refusal.field, refusal.rule) from refusal
