"""HTTP of a planned day that changes: changes, versions compared, and why a door is or is not on a roster."""

from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime
from typing import Any

import asyncpg

from inspections import change_store, day_views, store, views
from inspections.changes import (
    AppointmentCancelled,
    AppointmentMade,
    ChangeAnswer,
    ChangeList,
    ChangeRecord,
    ChangeRequest,
    DiffAnswer,
    DiffQuery,
    Ill,
    Overrun,
)
from inspections.changing import change_day
from inspections.params import RosterParams
from inspections.versions import counted, differences
from inspections.why import WhyAnswer, WhyQuery, explain_door
from inspections.worker import PlanningFailed
from sql import audit
from sql.actor import Actor
from sql.errors import Conflict, NotFound

Route = tuple[str, str, frozenset[str], Callable[..., Awaitable[Any]]]
_OFFICE = frozenset({"officer", "administrator"})


class RosterDayRoutes:
    """Handlers for a day that is planned already."""

    def __init__(self, pool: asyncpg.Pool, params: RosterParams) -> None:
        self._pool = pool
        self._params = params

    def table(self) -> list[Route]:
        """Method, path, roles and handler of each route."""
        return [
            ("POST", "/rosters/{day}/changes", _OFFICE | {"inspector"}, self.change),
            ("GET", "/rosters/{day}/changes", _OFFICE, self.changes),
            ("GET", "/rosters/{day}/diff", _OFFICE, self.diff),
            ("GET", "/premises/{code}/why", _OFFICE, self.why),
        ]

    async def change(self, day: date, body: ChangeRequest, actor: Actor) -> ChangeAnswer:
        """Change a planned day: what is done or under way stays, few visits move, promises are kept or told anew.

        An inspector may report that an own visit takes longer.
        """
        at = datetime.now(UTC)
        async with self._pool.acquire() as conn:
            await _may_change(conn, body, actor)
        try:
            made = await change_day(self._pool, day, body.change, self._params, at, actor)
        except PlanningFailed as failure:
            raise Conflict(f"the day could not be changed: {failure}") from failure
        return ChangeAnswer(
            day=made.day,
            change_id=made.change_id,
            from_version=made.from_version,
            version=made.version,
            effect=dict(made.effect),
        )

    async def changes(self, day: date, actor: Actor) -> ChangeList:
        """What changed a day, oldest first; for those who see the whole city."""
        _whole_city(actor)
        async with self._pool.acquire() as conn:
            rows = await change_store.changes_of_day(conn, day)
        return ChangeList(items=[ChangeRecord.model_validate(dict(row)) for row in rows])

    async def diff(self, day: date, query: DiffQuery, actor: Actor) -> DiffAnswer:
        """How two versions of a day differ, within the caller's areas; default: the one in force and the one before."""
        async with self._pool.acquire() as conn:
            run = await store.newest_run(conn, day)
            if run is None:
                raise NotFound(f"no roster was planned for {day.isoformat()}")
            later = query.to_version or run["version"]
            earlier = query.from_version or later - 1
            before, after = [await day_views.version_lines(conn, day, one, actor) for one in (earlier, later)]
            doors = [row["premises"] for row in before]
            reasons = await day_views.omission_reasons(conn, day, later, doors)
            rows = await change_store.changes_of_day(conn, day) if actor.areas is None else []
        items, same = differences(before, after, reasons)
        return DiffAnswer(
            day=day,
            from_version=earlier,
            to_version=later,
            same=same,
            counts=counted(items),
            items=items,
            changes=[ChangeRecord.model_validate(dict(row)) for row in rows if earlier < row["version"] <= later],
        )

    async def why(self, code: str, query: WhyQuery, actor: Actor) -> WhyAnswer:
        """Why a door is, or is not, visited on a day."""
        at = datetime.now(UTC)
        async with self._pool.acquire() as conn, conn.transaction():
            known = await day_views.known_of_door(conn, code, query.day, self._params, at, actor)
            await audit.record(conn, actor, "premises.why", f"premises:{code}", {"day": known.day.isoformat()}, at)
        return explain_door(known, self._params.zone)


def _whole_city(actor: Actor) -> None:
    if actor.areas is not None and actor.role != "administrator":
        raise Conflict("this concerns the whole city; your account covers only part of it")


async def _may_change(conn: asyncpg.Connection, body: ChangeRequest, actor: Actor) -> None:
    """Tell apart what concerns one inspector, visit or door of the caller's areas from what concerns the city."""
    change = body.change
    if isinstance(change, Overrun):
        found = await day_views.visit_holder(conn, change.visit_id)
        own = actor.role != "inspector" or (found is not None and found["inspector"] == actor.inspector_code)
        if found is None or not own or not actor.covers(found["area"]):
            raise NotFound(f"visit {change.visit_id} does not exist")
        return
    if actor.role == "inspector":
        raise Conflict("an inspector reports an own visit that takes longer; the desk makes other changes")
    if isinstance(change, AppointmentMade):
        await views.premises_by_code(conn, change.premises, actor)
    elif isinstance(change, AppointmentCancelled):
        if not await day_views.duty_within(conn, change.duty_id, actor):
            raise NotFound(f"duty {change.duty_id} does not exist")
    elif isinstance(change, Ill):
        area = await day_views.area_of_inspector(conn, change.inspector)
        if area is None or not actor.covers(area):
            raise NotFound(f"inspector {change.inspector} does not exist")
    else:
        _whole_city(actor)
