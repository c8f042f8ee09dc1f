"""HTTP of hazards: the list with what is overdue, one hazard with its timeline, the steps of its life."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import fields
from datetime import UTC, date, datetime
from typing import Any, Literal

import asyncpg
from pydantic import AwareDatetime, Field, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from inspections.answers import Shape
from inspections.hazard_life import (
    AskedHazardStep,
    Delivery,
    HazardLife,
    HazardStep,
    Overdue,
    WrongHazardStep,
    overdue_steps,
    take_hazard_step,
)
from inspections.hazard_store import lock_hazard, save_step, step_known
from inspections.hazards import HazardCatalogue, load_hazards
from inspections.params import RosterParams
from inspections.wallclock import local_day
from sql import audit, queries
from sql.actor import Actor
from sql.errors import NotFound

Route = tuple[str, str, frozenset[str], Callable[..., Awaitable[Any]]]
_OFFICE = frozenset({"officer", "administrator"})
_WRITERS = frozenset({"officer", "inspector"})
_LIFE = tuple(one.name for one in fields(HazardLife))


class HazardAnswer(Shape):
    """A hazard with where its life stands and what is overdue."""

    hazard_id: int
    premises: str
    area: str
    code: str
    grade: int
    state: Literal["open", "closed"]
    found_at: datetime
    due_on: date
    note: str | None
    notified_at: datetime | None
    notified_to: str | None
    notified_how: Delivery | None
    cut_wanted_at: datetime | None
    cut_at: datetime | None
    cut_command_id: int | None
    restored_at: datetime | None
    rectified_at: datetime | None
    rectified_by: str | None
    closed_at: datetime | None
    outcome_id: int
    closed_outcome_id: int | None
    last_step_at: datetime | None
    overdue: list[Overdue]


class HazardStepAnswer(Shape):
    """A line of a hazard's timeline."""

    at: datetime
    recorded_at: datetime
    step: HazardStep
    actor: str
    note: str | None
    details: dict[str, Any]


class WholeHazardAnswer(HazardAnswer):
    """A hazard with its timeline."""

    timeline: list[HazardStepAnswer]


class HazardPage(Shape):
    """A page of hazards."""

    items: list[HazardAnswer]
    next: int | None


class HazardQuery(Shape):
    """Which hazards. With `overdue` a page may hold fewer than `limit`; go on as long as there is a `next`."""

    state: Literal["open", "closed"] = "open"
    grade: int | None = Field(None, ge=1, le=3)
    overdue: bool = False
    after: int = Field(0, ge=0, le=2**63 - 1, description="Cursor: `next` of the page before.")
    limit: int = Field(50, ge=1, le=500)


class HazardStepBody(Shape):
    """A step of a hazard's life; what each needs is said when it lacks."""

    step: HazardStep
    at: AwareDatetime
    note: str | None = Field(None, max_length=2000, pattern=r"^[^\x00]*$")
    to: str | None = Field(None, max_length=200, pattern=r"^[^\x00]*$", description="notify: who received it.")
    how: Delivery | None = Field(None, description="notify: signed, refused_to_sign or posted.")
    by: str | None = Field(None, max_length=200, pattern=r"^[^\x00]*$", description="rectify: who put it right.")
    command_id: int | None = Field(None, ge=1, le=2**63 - 1, description="cut: the valve command that did it.")


class HazardRoutes:
    """Handlers over a pool."""

    def __init__(self, pool: asyncpg.Pool, params: RosterParams) -> None:
        self._pool = pool
        self._params = params

    def table(self) -> list[Route]:
        """Method, path, roles and handler of each route."""
        return [
            ("GET", "/hazards", _OFFICE, self.hazards),
            ("GET", "/hazards/{hazard_id}", _OFFICE, self.hazard),
            ("POST", "/hazards/{hazard_id}/steps", _WRITERS, self.step),
        ]

    async def hazards(self, query: HazardQuery, actor: Actor) -> HazardPage:
        """Hazards by id, with what is overdue: notice, tracking, rectification, re-check."""
        now, catalogue = datetime.now(UTC), load_hazards(self._params.hazards_file)
        async with self._pool.acquire() as conn:
            rows = await _rows(conn, query.state, query.grade, actor, query.after, query.limit + 1)
        shown = [self._answer(row, catalogue, now) for row in rows[: query.limit]]
        items = [one for one in shown if one.overdue or not query.overdue]
        return HazardPage(items=items, next=shown[-1].hazard_id if len(rows) > query.limit else None)

    async def hazard(self, hazard_id: int, actor: Actor) -> WholeHazardAnswer:
        """One hazard with everything that was done about it; who received the notice is personal data."""
        at = datetime.now(UTC)
        async with self._pool.acquire() as conn, conn.transaction():
            answer = await self._whole(conn, hazard_id, actor, at)
            await audit.record(conn, actor, "hazard.read", f"hazard:{hazard_id}", {}, at)
        return answer

    async def step(self, hazard_id: int, body: HazardStepBody, actor: Actor) -> WholeHazardAnswer:
        """Take a step of a hazard's life, sent again any number of times; an inspector for doors he was sent to."""
        now = datetime.now(UTC)
        asked = AskedHazardStep(**body.model_dump())
        async with self._pool.acquire() as conn, conn.transaction():
            hazard = await lock_hazard(conn, hazard_id, actor, local_day(now, self._params.zone))
            if await step_known(conn, hazard_id, asked, actor.name):
                return await self._whole(conn, hazard_id, actor, now)
            try:
                await _check_command(conn, asked.command_id, hazard_id)
                after = take_hazard_step(hazard, asked, now)
            except WrongHazardStep as refusal:
                raise _field_fault(refusal) from refusal
            await save_step(conn, after, asked, actor.name, now, self._params.zone)
            said = {"step": asked.step, "at": asked.at.isoformat()}
            await audit.record(conn, actor, f"hazard.{asked.step}", f"hazard:{hazard_id}", said, now)
            return await self._whole(conn, hazard_id, actor, now)

    async def _whole(self, conn: asyncpg.Connection, hazard_id: int, actor: Actor, now: datetime) -> WholeHazardAnswer:
        rows = await _rows(conn, None, None, actor, hazard_id - 1, 1)
        if not rows or rows[0]["hazard_id"] != hazard_id:
            raise NotFound(f"hazard {hazard_id} does not exist")
        answer = self._answer(rows[0], load_hazards(self._params.hazards_file), now)
        steps = await conn.fetch(*queries["hazard_timeline"].bind(hazard_id=hazard_id))
        return WholeHazardAnswer(
            **answer.model_dump(), timeline=[HazardStepAnswer.model_validate(dict(step)) for step in steps]
        )

    def _answer(self, row: Mapping[str, Any], catalogue: HazardCatalogue, now: datetime) -> HazardAnswer:
        life = HazardLife(**{name: row[name] for name in _LIFE})
        today = local_day(now, self._params.zone)
        overdue = overdue_steps(life, catalogue.grades[life.grade], row["last_step_at"], today, now)
        return HazardAnswer.model_validate(dict(row) | {"overdue": list(overdue)})


async def _rows(
    conn: asyncpg.Connection, state: str | None, grade: int | None, actor: Actor, after: int, limit_rows: int
) -> list[asyncpg.Record]:
    bound = queries["hazards_page"].bind(
        state=state, grade=grade, areas=actor.area_list(), after=after, limit_rows=limit_rows
    )
    return list(await conn.fetch(*bound))


async def _check_command(conn: asyncpg.Connection, command_id: int | None, hazard_id: int) -> None:
    """Raises WrongHazardStep when a command is none to close a valve at the hazard's door, or is not proved to have."""
    if command_id is None:
        return
    state = await conn.fetchval(*queries["closing_command"].bind(command_id=command_id, hazard_id=hazard_id))
    if state is None:
        raise WrongHazardStep("command_id", "is no command that closes a valve at this door")
    if state != "proved":
        raise WrongHazardStep("command_id", f"has not closed the valve: it is {state}; only a proved one has")


def _field_fault(refusal: WrongHazardStep) -> ValidationError:
    fault = PydanticCustomError("hazard_step", "{rule}", {"rule": refusal.rule})
    return ValidationError.from_exception_data(
        "HazardStepBody", [InitErrorDetails(type=fault, loc=("body", refusal.field), input=None)]
    )
