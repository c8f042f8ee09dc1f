"""HTTP of inspections: rosters, what was left out, outcomes, a door's history, duties."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import Any, get_args

import asyncpg
from aiohttp import web
from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from inspections import store, views
from inspections.answers import (
    ChecklistAnswer,
    DayAnswer,
    DutyPage,
    DutyQuery,
    ListedDuty,
    OmissionAnswer,
    OmissionPage,
    OmissionQuery,
    OneRosterAnswer,
    OutcomeReceipt,
    OutcomeReport,
    PremisesAnswer,
    RosterAnswer,
    RosterQuery,
    RunAnswer,
)
from inspections.changing import plan_rest
from inspections.checklists import load_checklists
from inspections.day_routes import RosterDayRoutes
from inspections.hazards import load_hazards
from inspections.learned import LearnedRates
from inspections.model import UserClass
from inspections.outcomes import InvalidOutcome
from inspections.params import RosterParams
from inspections.printing.formats import (
    RosterFile,
    RosterFormat,
    RosterSurroundings,
    SheetLanguage,
    roster_file,
    roster_surroundings,
)
from inspections.reports import checklist_answer, take_report
from inspections.worker import PlanningFailed
from sql import audit
from sql.actor import Actor
from sql.errors import Conflict, NotFound

Route = tuple[str, str, frozenset[str], Callable[..., Awaitable[Any]]]
_OFFICE = frozenset({"officer", "administrator"})
_EVERYBODY = frozenset({"officer", "administrator", "inspector"})


class InspectionRoutes:
    """Handlers of the inspections package."""

    def __init__(self, pool: asyncpg.Pool, params: RosterParams) -> None:
        self._pool = pool
        self._params = params
        self._learned = LearnedRates(pool, params.zone)

    def table(self) -> list[Route]:
        """Method, path, roles and handler of each route; fixed paths before those with a parameter."""
        return [
            ("GET", "/rosters/{day}", _OFFICE, self.rosters),
            ("GET", "/rosters/{day}/omissions", _OFFICE, self.omissions),
            ("POST", "/rosters/{day}/plan", _OFFICE, self.plan),
            *RosterDayRoutes(self._pool, self._params).table(),
            ("GET", "/rosters/{day}/{inspector}", _EVERYBODY, self.roster),
            ("POST", "/visits/{visit_id}/outcome", frozenset({"inspector", "officer"}), self.outcome),
            ("GET", "/checklists/{user_class}", _EVERYBODY, self.checklist),
            ("GET", "/premises/{code}", _OFFICE, self.premises),
            ("GET", "/duties", _OFFICE, self.duties),
        ]

    async def rosters(self, day: date, actor: Actor) -> DayAnswer:
        """Every inspector's roster of a day, newest version."""
        at = datetime.now(UTC)
        async with self._pool.acquire() as conn, conn.transaction():
            run = await _run_in_force(conn, day)
            rosters = await _rosters(conn, run["run_id"], None, actor)
            await audit.record(conn, actor, "roster.read", f"roster:{day.isoformat()}", {"version": run["version"]}, at)
        return DayAnswer(**_run_facts(day, run), rosters=[RosterAnswer.model_validate(roster) for roster in rosters])

    async def roster(
        self, day: date, inspector: str, query: RosterQuery, actor: Actor
    ) -> OneRosterAnswer | web.Response:
        """One inspector's roster of a day: JSON, CSV, GeoJSON, iCalendar or PDF; an inspector sees the own one only."""
        if query.format == "json":
            return (await self._one(day, inspector, actor))[0]
        file = await self.roster_as_file(day, inspector, query.format, actor, query.language)
        headers = {"Content-Disposition": f'attachment; filename="{file.name}"'}
        charset = "utf-8" if file.media_type.startswith("text/") else None
        return web.Response(body=file.content, content_type=file.media_type, charset=charset, headers=headers)

    async def roster_as_file(
        self, day: date, inspector: str, wanted: RosterFormat, actor: Actor, language: SheetLanguage = "both"
    ) -> RosterFile:
        """One inspector's roster as a file; raises NotFound, or Conflict when the font it needs is missing."""
        answer, around = await self._one(day, inspector, actor)
        return await roster_file(answer, around, wanted, self._params.zone, language)

    async def _one(self, day: date, inspector: str, actor: Actor) -> tuple[OneRosterAnswer, RosterSurroundings]:
        at = datetime.now(UTC)
        missing = f"inspector {inspector} has no roster on {day.isoformat()}"
        if actor.role == "inspector" and actor.inspector_code != inspector:
            raise NotFound(missing)
        async with self._pool.acquire() as conn, conn.transaction():
            run = await _run_in_force(conn, day)
            rosters = await _rosters(conn, run["run_id"], inspector, actor)
            if not rosters:
                raise NotFound(missing)
            subject = f"roster:{day.isoformat()}/{inspector}"
            await audit.record(conn, actor, "roster.read", subject, {"version": run["version"]}, at)
            around = await roster_surroundings(conn, day, run["run_id"], inspector, actor)
        facts = _run_facts(day, run)
        return OneRosterAnswer(**rosters[0], day=day, version=facts["version"], planned_at=facts["planned_at"]), around

    async def omissions(self, day: date, query: OmissionQuery, actor: Actor) -> OmissionPage:
        """Doors that were due and are on no roster of the day: the constraint that binds, the price of forcing in."""
        async with self._pool.acquire() as conn:
            run = await _run_in_force(conn, day)
            rows = await views.omissions_of_run(
                conn, run["run_id"], actor, query.constraint, query.after, query.limit + 1
            )
        items = [OmissionAnswer.model_validate(dict(row)) for row in rows[: query.limit]]
        return OmissionPage(items=items, next=items[-1].premises if len(rows) > query.limit else None)

    async def plan(self, day: date, actor: Actor) -> RunAnswer:
        """Plan a day anew; of a day under way only the rest. The new version replaces the one in force."""
        if actor.areas is not None and actor.role != "administrator":
            raise Conflict("a day is planned for the whole city; your account covers only part of it")
        try:
            run = await plan_rest(self._pool, day, self._params, datetime.now(UTC), actor)
        except PlanningFailed as failure:
            raise Conflict(f"no roster could be planned: {failure}") from failure
        return RunAnswer(
            day=run.day,
            version=run.version,
            planned_at=run.planned_at,
            seed=run.seed,
            solver=run.solver,
            figures=run.figures,
        )

    async def outcome(self, visit_id: int, body: OutcomeReport, actor: Actor) -> OutcomeReceipt:
        """Report what happened at a door; repeat unchanged until a receipt comes."""
        at = datetime.now(UTC)
        rates = await self._learned.rates(at) if body.result in {"no_access", "refused"} else None
        with _naming_the_field():
            async with self._pool.acquire() as conn, conn.transaction():
                receipt = await take_report(conn, visit_id, body, self._params, actor, at, rates)
        return OutcomeReceipt.model_validate(dict(receipt))

    async def checklist(self, user_class: str) -> ChecklistAnswer:
        """What to ask at the door of a user class, in English and Chinese, and which answer means which hazard."""
        known: tuple[UserClass, ...] = get_args(UserClass)
        found = next((name for name in known if name == user_class), None)
        if found is None:
            raise NotFound(f"there is no user class {user_class}; there are {', '.join(known)}")
        lists = load_checklists(load_hazards(self._params.hazards_file), self._params.checklists_file)
        return checklist_answer(lists, found)

    async def premises(self, code: str, actor: Actor) -> PremisesAnswer:
        """A door with its duties, visits, outcomes, hazards and alerts."""
        at = datetime.now(UTC)
        async with self._pool.acquire() as conn, conn.transaction():
            row = dict(await views.premises_by_code(conn, code, actor))
            parts = await views.history(conn, row.pop("premises_id"))
            await audit.record(conn, actor, "premises.read", f"premises:{code}", {}, at)
        return PremisesAnswer.model_validate(row | {name: [dict(one) for one in rows] for name, rows in parts.items()})

    async def duties(self, query: DutyQuery, actor: Actor) -> DutyPage:
        """Duties by due day: open ones unless another state is asked for."""
        async with self._pool.acquire() as conn:
            rows = await views.duties_page(
                conn,
                actor,
                state=query.state,
                kind=query.kind,
                due_by=query.due_by,
                after=query.cursor(),
                limit_rows=query.limit + 1,
            )
        items = [ListedDuty.model_validate(dict(row)) for row in rows[: query.limit]]
        more = len(rows) > query.limit
        return DutyPage(items=items, next=f"{items[-1].due_on.isoformat()}_{items[-1].duty_id}" if more else None)


@contextmanager
def _naming_the_field() -> Iterator[None]:
    """What the domain refuses in a report is refused like any other invalid field."""
    try:
        yield
    except InvalidOutcome as refusal:
        fault = PydanticCustomError("outcome", "{rule}", {"rule": refusal.rule})
        loc: tuple[int | str, ...] = ("body", *refusal.field.split("."))
        raise ValidationError.from_exception_data(
            "OutcomeReport", [InitErrorDetails(type=fault, loc=loc, input=None)]
        ) from refusal


async def _run_in_force(conn: asyncpg.Connection, day: date) -> asyncpg.Record:
    run = await store.newest_run(conn, day)
    if run is None:
        raise NotFound(f"no roster was planned for {day.isoformat()}")
    return run


async def _rosters(conn: asyncpg.Connection, run_id: int, inspector: str | None, actor: Actor) -> list[dict[str, Any]]:
    rows = [dict(row) for row in await views.rosters_of_run(conn, run_id, inspector, actor)]
    visits = await views.visits_of_rosters(conn, [row["roster_id"] for row in rows], actor)
    return [row | {"visits": visits[row.pop("roster_id")]} for row in rows]


def _run_facts(day: date, run: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "day": day,
        "version": run["version"],
        "planned_at": run["planned_at"],
        "seed": run["seed"],
        "solver": run["solver"],
        "figures": run["figures"],
    }
