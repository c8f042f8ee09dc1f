"""HTTP of supervised cases."""

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
    CaseKindAnswer,
    CasePage,
    CaseQuery,
    CaseRow,
    CaseStepBody,
    CaseWhole,
    FiguresQuery,
    TimelineStep,
    read_cursor,
    write_cursor,
)
from inspections.request_routes import Route, field_error, place, rate
from sql import audit, queries
from sql.actor import Actor
from sql.errors import Conflict, NotFound

_OFFICE = frozenset({"officer", "administrator"})


class CaseRoutes:
    """Handlers of cases."""

    def __init__(self, pool: asyncpg.Pool, params: RosterParams) -> None:
        self._pool = pool
        self._params = params

    def table(self) -> list[Route]:
        """Method, path, roles and handler of each route; fixed paths before those with a parameter."""
        return [
            ("POST", "/cases", _OFFICE, self.open_case),
            ("GET", "/cases", _OFFICE, self.cases),
            ("GET", "/cases/figures", _OFFICE, self.case_figures),
            ("GET", "/cases/kinds", _OFFICE, self.kinds),
            ("GET", "/cases/{case_id}", _OFFICE, self.case),
            ("POST", "/cases/{case_id}/steps", _OFFICE, self.step_case),
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
            return await _whole(conn, case_id, at)

    async def cases(self, query: CaseQuery, actor: Actor) -> CasePage:
        """Cases, newest first."""
        at = datetime.now(UTC)
        opened_before, case_before = read_cursor(query.after)
        async with self._pool.acquire() as conn:
            rows = await conn.fetch(
                *queries["cases_page"].bind(
                    states=list(query.state) or None,
                    kind=query.kind,
                    supervised=query.supervised,
                    overdue_at=at if query.overdue else None,
                    areas=actor.area_list(),
                    opened_before=opened_before,
                    case_before=case_before,
                    limit_rows=query.limit + 1,
                    premises=query.premises,
                    owner=query.owner,
                )
            )
        items = [CaseRow(**row, overdue=_overdue(row, at)) for row in rows[: query.limit]]
        more = len(rows) > query.limit
        return CasePage(items=items, next=write_cursor(items[-1].opened_at, items[-1].case_id) if more else None)

    async def case(self, case_id: int, actor: Actor) -> CaseWhole:
        """One case with its plan and timeline; the look is audited."""
        at = datetime.now(UTC)
        async with self._pool.acquire() as conn, conn.transaction():
            whole = await _whole(conn, case_id, at)
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
            return await _whole(conn, case_id, at)

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

    async def kinds(self) -> list[CaseKindAnswer]:
        """The kinds that a case may be of, with their days."""
        known = load_cases(self._params.cases_file).kind
        return [CaseKindAnswer.model_validate(one.model_dump()) for one in known]


async def _whole(conn: asyncpg.Connection, case_id: int, at: datetime) -> CaseWhole:
    row = await conn.fetchrow(*queries["case_whole"].bind(case_id=case_id))
    if row is None:
        raise NotFound(f"case {case_id} does not exist")
    steps = await conn.fetch(*queries["case_steps"].bind(case_id=case_id))
    return CaseWhole(**row, overdue=_overdue(row, at), timeline=[TimelineStep(**step) for step in steps])


def _overdue(row: asyncpg.Record, at: datetime) -> str | None:
    """The latest deadline of a case that has passed unmet."""
    if row["state"] != "closed" and row["close_by"] < at:
        return "closing"
    return "plan" if row["state"] == "open" and row["plan_by"] < at else None


@contextmanager
def _naming_the_field(title: str) -> Iterator[None]:
    """What the domain refuses in a body is refused like any other invalid field."""
    try:
        yield
    except WrongCaseStep as refusal:
        raise field_error(title, refusal.field, refusal.rule) from refusal
