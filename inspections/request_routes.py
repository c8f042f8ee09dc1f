"""HTTP of residents' requests: record, list, one whole, its steps, figures of punctuality."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import asyncpg
from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from inspections import request_store as store
from inspections.params import RosterParams
from inspections.request_answers import (
    CategoryAnswer,
    FiguresQuery,
    RequestBody,
    RequestFigures,
    RequestPage,
    RequestQuery,
    RequestRow,
    RequestStepBody,
    RequestWhole,
    TimelineStep,
    read_cursor,
    write_cursor,
)
from inspections.request_visits import Wanted, name_door, open_visit, refuse_unvisited
from inspections.requests import AskedStep, Category, WrongRequestStep, deadlines, load_requests, take_step
from sql import audit, queries
from sql.actor import INSPECTIONS, Actor
from sql.errors import Conflict, NotFound

Route = tuple[str, str, frozenset[str], Callable[..., Awaitable[Any]]]
_OFFICE = frozenset({"officer", "administrator"})
_NO_DOOR = "no door is named, so no visit is planned: send somebody, and name the door (step door) once it is known"


class RequestRoutes:
    """Handlers of requests."""

    def __init__(self, pool: asyncpg.Pool, params: RosterParams) -> None:
        self._pool = pool
        self._params = params

    def table(self) -> list[Route]:
        """Method, path, roles and handler of each route; fixed paths before those with a parameter."""
        return [
            ("POST", "/requests", _OFFICE, self.record_request),
            ("GET", "/requests", _OFFICE, self.requests),
            ("GET", "/requests/figures", _OFFICE, self.request_figures),
            ("GET", "/requests/categories", _OFFICE, self.categories),
            ("GET", "/requests/{request_id}", _OFFICE, self.request),
            ("POST", "/requests/{request_id}/steps", _OFFICE, self.step_request),
        ]

    async def record_request(self, body: RequestBody, actor: Actor) -> RequestWhole:
        """Record what a resident asks for; a visit follows where the category asks for one.

        The same `client_id` again returns the same request; for other words it is refused.
        """
        at = datetime.now(UTC)
        with naming_the_field("RequestBody"):
            category = load_requests(self._params.requests_file).of(body.category)
        async with self._pool.acquire() as conn, conn.transaction():
            premises_id, area = await place(conn, body.premises, body.area, actor)
            request_id = await self._add(conn, body, category, premises_id, area, actor, at)
            return await _whole(conn, request_id, at)

    async def _add(
        self,
        conn: asyncpg.Connection,
        body: RequestBody,
        category: Category,
        premises_id: int | None,
        area: str,
        actor: Actor,
        at: datetime,
    ) -> int:
        received_at = min(body.received_at or at, at)
        reply_by, settle_by = deadlines(category, received_at)
        said = {
            "premises_id": premises_id,
            "area": area,
            "channel": body.channel,
            "category": body.category,
            "body": body.body,
        }
        request_id: int | None = await conn.fetchval(
            *queries["add_request"].bind(
                client_id=body.client_id,
                contact_name=body.contact_name,
                contact_phone=body.contact_phone,
                received_at=received_at,
                recorded_at=at,
                recorded_by=actor.name,
                reply_by=reply_by,
                settle_by=settle_by,
                **said,
            )
        )
        if request_id is None:
            return await _repeated(conn, body, said)
        await store.add_request_step(conn, request_id, "received", actor.name, f"{body.channel}: {category.title}", at)
        if category.visit != "none" and premises_id is not None:
            wanted = Wanted(request_id, category, received_at, settle_by)
            await open_visit(conn, wanted, premises_id, received_at, self._params.zone)
        elif category.visit != "none":
            await store.add_request_step(conn, request_id, "note", INSPECTIONS.name, _NO_DOOR, at)
        details = {"category": body.category, "channel": body.channel, "premises": body.premises}
        await audit.record(conn, actor, "request.record", f"request:{request_id}", details, at)
        return request_id

    async def requests(self, query: RequestQuery, actor: Actor) -> RequestPage:
        """Requests, newest first; no personal data in the list."""
        at = datetime.now(UTC)
        received_before, request_before = read_cursor(query.after)
        async with self._pool.acquire() as conn:
            rows = await conn.fetch(
                *queries["requests_page"].bind(
                    states=list(query.state) or None,
                    category=query.category,
                    channel=query.channel,
                    overdue_at=at if query.overdue else None,
                    areas=actor.area_list(),
                    received_before=received_before,
                    request_before=request_before,
                    limit_rows=query.limit + 1,
                    premises=query.premises,
                    owner=query.owner,
                )
            )
        items = [RequestRow(**row, overdue=_overdue(row, at)) for row in rows[: query.limit]]
        more = len(rows) > query.limit
        return RequestPage(
            items=items, next=write_cursor(items[-1].received_at, items[-1].request_id) if more else None
        )

    async def request(self, request_id: int, actor: Actor) -> RequestWhole:
        """One request with everything said; the look is audited."""
        at = datetime.now(UTC)
        async with self._pool.acquire() as conn, conn.transaction():
            whole = await _whole(conn, request_id, at)
            if not actor.covers(whole.area):
                raise NotFound(f"request {request_id} does not exist")
            await audit.record(conn, actor, "request.read", f"request:{request_id}", {"premises": whole.premises}, at)
            return whole

    async def step_request(self, request_id: int, body: RequestStepBody, actor: Actor) -> RequestWhole:
        """Take a step: assign, door (it is known now, or another), reply, close, withdraw, rate or note."""
        at = datetime.now(UTC)
        asked = AskedStep(body.step, actor.name, body.note, body.owner, body.rating, body.premises)
        async with self._pool.acquire() as conn, conn.transaction():
            request = await store.lock_request(conn, request_id, actor)
            with naming_the_field("RequestStepBody"):
                catalogue = load_requests(self._params.requests_file)
                after = take_step(request, asked, catalogue, at)
                if body.step == "close":
                    await refuse_unvisited(conn, request_id, body.note)
            words = body.note or body.owner or (f"{body.rating} of 5" if body.rating else None)
            if body.step == "door":
                door = await store.place_of_premises(conn, body.premises or "", actor)
                wanted = Wanted(request_id, catalogue.of(request.category), request.received_at, request.settle_by)
                await name_door(conn, wanted, door, at, self._params.zone)
                words = "; ".join(filter(None, (body.premises, body.note)))
            await store.save_request(conn, after, body.step, actor.name, words, at)
            if after.state in {"closed", "withdrawn"}:
                await store.cancel_request_duties(conn, request_id, at)
            await audit.record(conn, actor, f"request.{body.step}", f"request:{request_id}", {"state": after.state}, at)
            return await _whole(conn, request_id, at)

    async def categories(self) -> list[CategoryAnswer]:
        """The categories that a request may have, with their deadlines."""
        known = load_requests(self._params.requests_file).category
        return [CategoryAnswer.model_validate(one.model_dump()) for one in known]

    async def request_figures(self, query: FiguresQuery, actor: Actor) -> list[RequestFigures]:
        """Replied and settled in time, by channel and category, of what arrived in a span of time."""
        async with self._pool.acquire() as conn:
            rows = await conn.fetch(
                *queries["request_figures"].bind(
                    since=query.since, until=query.until, areas=actor.area_list(), at=datetime.now(UTC)
                )
            )
        return [
            RequestFigures(
                **row,
                reply_on_time_rate=rate(row["replied_in_time"], row["reply_due"]),
                settled_on_time_rate=rate(row["closed_in_time"], row["settlement_due"]),
                closure_rate=rate(row["closed"], row["received"] - row["withdrawn"]),
            )
            for row in rows
        ]


def rate(part: int, whole: int) -> float | None:
    """A share; None when there is nothing to share."""
    return part / whole if whole else None


async def place(
    conn: asyncpg.Connection, premises: str | None, area: str | None, actor: Actor
) -> tuple[int | None, str]:
    """The door and district of what was recorded, within the caller's areas; raises NotFound, Conflict for neither."""
    if premises is not None:
        row = await store.place_of_premises(conn, premises, actor)
        return row["premises_id"], row["area"]
    if area is None:
        raise Conflict("name the premises, or the area when no door is known")
    known = await conn.fetch(*queries["known_districts"].bind(codes=[area]))
    if not known or not actor.covers(area):
        raise NotFound(f"area: no district has the code {area}")
    return None, area


async def _repeated(conn: asyncpg.Connection, body: RequestBody, said: Mapping[str, object]) -> int:
    row = await conn.fetchrow(*queries["request_of_client"].bind(client_id=body.client_id))
    assert row is not None
    named_since = ("premises_id", "area") if row["door_named"] else ()
    if any(row[name] != value for name, value in said.items() if name not in named_since):
        raise Conflict(f"client_id {body.client_id} was used before for a different request")
    return int(row["request_id"])


async def _whole(conn: asyncpg.Connection, request_id: int, at: datetime) -> RequestWhole:
    row = await conn.fetchrow(*queries["request_whole"].bind(request_id=request_id))
    if row is None:
        raise NotFound(f"request {request_id} does not exist")
    steps = await conn.fetch(*queries["request_steps"].bind(request_id=request_id))
    return RequestWhole(**row, overdue=_overdue(row, at), timeline=[TimelineStep(**step) for step in steps])


def _overdue(row: Mapping[str, Any], at: datetime) -> str | None:
    waits = (
        ("reply", row["reply_by"], row["state"] == "open"),
        ("settlement", row["settle_by"], row["state"] in {"open", "replied"}),
        ("call", row["call_by"], row["call_by"] is not None),
    )
    passed = [(by, what) for what, by, holds in waits if holds and by < at]
    return max(passed)[1] if passed else None


@contextmanager
def naming_the_field(title: str) -> Iterator[None]:
    """What the domain refuses in a body is refused like any other invalid field."""
    try:
        yield
    except WrongRequestStep as refusal:
        raise field_error(title, refusal.field, refusal.rule) from refusal


def field_error(title: str, field: str, rule: str) -> ValidationError:
    """A validation error of one field of the body."""
    fault = PydanticCustomError("step", "{rule}", {"rule": rule})
    return ValidationError.from_exception_data(title, [InitErrorDetails(type=fault, loc=("body", field), input=None)])
