"""HTTP of working offline: the day's bundle, batches of outcomes, conflicts and how they are settled."""

import hashlib
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime
from typing import Any, get_args

import asyncpg

from inspections import store, views
from inspections.answers import OneRosterAnswer, RosterAnswer
from inspections.checklists import load_checklists
from inspections.hazards import HazardCatalogue, load_hazards
from inspections.learned import LearnedRates
from inspections.model import UserClass
from inspections.offline import settle, take_batch
from inspections.offline_answers import (
    BatchBody,
    BundleAnswer,
    BundleDuty,
    BundleHazard,
    BundleHazardKind,
    ConflictAnswer,
    ConflictPage,
    ConflictQuery,
    ItemReceipt,
    SettleBody,
)
from inspections.outcomes import InvalidOutcome
from inspections.params import RosterParams
from inspections.printing.words import hazard_title
from inspections.reports import checklist_answer
from inspections.wallclock import local_day
from sql import audit, queries
from sql.actor import Actor
from sql.errors import Conflict, NotFound

Route = tuple[str, str, frozenset[str], Callable[..., Awaitable[Any]]]
_OFFICE = frozenset({"officer", "administrator"})
_REPORTERS = frozenset({"officer", "inspector"})


class OfflineRoutes:
    """Handlers over a pool."""

    def __init__(self, pool: asyncpg.Pool, params: RosterParams) -> None:
        self._pool = pool
        self._params = params
        self._learned = LearnedRates(pool, params.zone)

    def table(self) -> list[Route]:
        """Method, path, roles and handler of each route."""
        return [
            ("GET", "/inspectors/{code}/bundle/{day}", _OFFICE | _REPORTERS, self.bundle),
            ("POST", "/outcomes/batch", _REPORTERS, self.batch),
            ("GET", "/outcome-conflicts", _OFFICE, self.conflicts),
            ("GET", "/outcome-conflicts/{conflict_id}", _OFFICE, self.conflict),
            ("POST", "/outcome-conflicts/{conflict_id}/settle", _OFFICE, self.settle),
        ]

    async def bundle(self, code: str, day: date, actor: Actor) -> BundleAnswer:
        """All that an inspector needs for today without a network; of other days no address leaves the house."""
        at = datetime.now(UTC)
        missing = NotFound(f"inspector {code} has no roster on {day.isoformat()}")
        if actor.role == "inspector" and actor.inspector_code != code:
            raise missing
        if day != local_day(at, self._params.zone):
            raise Conflict(f"a bundle is given for today only, {local_day(at, self._params.zone).isoformat()}")
        async with self._pool.acquire() as conn, conn.transaction():
            run = await store.newest_run(conn, day)
            rows = [] if run is None else await views.rosters_of_run(conn, run["run_id"], code, actor)
            if run is None or not rows:
                raise missing
            row = dict(rows[0])
            visits = await views.visits_of_rosters(conn, [row["roster_id"]], actor)
            roster = RosterAnswer.model_validate(row | {"visits": visits[row.pop("roster_id")]})
            whole = OneRosterAnswer(
                **roster.model_dump(), day=day, version=run["version"], planned_at=run["planned_at"]
            )
            answer = await self._bundle(conn, whole)
            await audit.record(
                conn, actor, "bundle.read", f"roster:{day.isoformat()}/{code}", {"version": run["version"]}, at
            )
        return answer

    async def _bundle(self, conn: asyncpg.Connection, roster: OneRosterAnswer) -> BundleAnswer:
        catalogue = load_hazards(self._params.hazards_file)
        lists = load_checklists(catalogue, self._params.checklists_file)
        duty_ids = [duty_id for visit in roster.visits for duty_id in visit.duty_ids]
        duties = await conn.fetch(*queries["duties_of_doors"].bind(duty_ids=duty_ids))
        doors = [visit.premises for visit in roster.visits]
        hazards = await conn.fetch(*queries["hazards_of_doors"].bind(premises_codes=doors))
        present = {visit.user_class for visit in roster.visits}
        classes: list[UserClass] = [name for name in get_args(UserClass) if name in present]
        return BundleAnswer(
            base_version=roster.version,
            roster=roster,
            duties=[BundleDuty.model_validate(dict(duty)) for duty in duties],
            hazards=[BundleHazard.model_validate(dict(hazard)) for hazard in hazards],
            checklists=[checklist_answer(lists, name) for name in classes],
            hazard_kinds=[
                BundleHazardKind.model_validate(
                    kind.model_dump(exclude={"source"}) | {"title_zh": hazard_title(kind.code, kind.title, "zh")}
                )
                for kind in catalogue.kinds.values()
            ],
            hazards_digest=_digest(catalogue),
        )

    async def batch(self, body: BatchBody, actor: Actor) -> list[ItemReceipt]:
        """Outcomes from offline, any order, sent again until a receipt comes: recorded, or kept as a conflict."""
        at = datetime.now(UTC)
        return await take_batch(self._pool, body.items, self._params, actor, at, await self._learned.rates(at))

    async def conflicts(self, query: ConflictQuery, actor: Actor) -> ConflictPage:
        """Reports that could not be taken as they stand, oldest first; notes in them are personal data."""
        at = datetime.now(UTC)
        async with self._pool.acquire() as conn, conn.transaction():
            rows = await conn.fetch(
                *queries["outcome_conflicts_page"].bind(
                    state=query.state, areas=actor.area_list(), after=query.after, limit_rows=query.limit + 1
                )
            )
            items = [ConflictAnswer.model_validate(dict(row)) for row in rows[: query.limit]]
            said = {"state": query.state, "count": len(items)}
            await audit.record(conn, actor, "outcome_conflict.read", "outcome_conflict", said, at)
        return ConflictPage(items=items, next=items[-1].conflict_id if len(rows) > query.limit else None)

    async def conflict(self, conflict_id: int, actor: Actor) -> ConflictAnswer:
        """One report that could not be taken, as it was sent; the look is audited."""
        at = datetime.now(UTC)
        async with self._pool.acquire() as conn, conn.transaction():
            bound = queries["outcome_conflict"].bind(conflict_id=conflict_id, areas=actor.area_list())
            row = await conn.fetchrow(*bound)
            if row is None:
                raise NotFound(f"conflict {conflict_id} does not exist")
            await audit.record(conn, actor, "outcome_conflict.read", f"outcome_conflict:{conflict_id}", {}, at)
        return ConflictAnswer.model_validate(dict(row))

    async def settle(self, conflict_id: int, body: SettleBody, actor: Actor) -> None:
        """Decide on a conflict: record it as it was sent, or reject it, and say why."""
        async with self._pool.acquire() as conn, conn.transaction():
            try:
                record = body.decision == "record"
                await settle(conn, conflict_id, record, body.note, self._params, actor, datetime.now(UTC))
            except InvalidOutcome as refusal:
                raise Conflict(f"it cannot be recorded as it was sent: {refusal}") from refusal


def _digest(catalogue: HazardCatalogue) -> str:
    text = "\n".join(kind.model_dump_json() for kind in catalogue.kinds.values())
    return hashlib.sha256(text.encode()).hexdigest()[:16]
