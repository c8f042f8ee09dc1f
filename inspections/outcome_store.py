"""Outcomes in SQL: read what a visit is about, write everything its outcome decides, in the caller's transaction."""

from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from typing import Any
from uuid import UUID

import asyncpg

from inspections.cycle import DoorFacts
from inspections.duties import NewDuty
from inspections.model import Duty, UserClass
from inspections.outcomes import Decision
from inspections.store import open_duties
from sql import queries
from sql.errors import Conflict, NotFound


@dataclass(frozen=True, slots=True)
class PlannedVisit:
    """A saved visit: the door, where it lies, whose roster it is on."""

    visit_id: int
    premises_id: int
    premises: str
    user_class: UserClass
    area: str
    inspector_id: int
    inspector: str
    day: date
    planned_at: datetime
    built_year: int | None
    tenure: str | None
    elderly: bool | None
    special_care: bool | None
    areas_above: list[str]

    @property
    def facts(self) -> DoorFacts:
        """What decides the door's cycle."""
        areas = frozenset(self.areas_above)
        return DoorFacts(self.user_class, areas, self.built_year, self.tenure, self.elderly, self.special_care)


@dataclass(frozen=True, slots=True)
class Reported:
    """What a person reported, as it will be kept."""

    client_id: UUID
    result: str
    at: datetime
    received_at: datetime
    note: str | None
    body: dict[str, Any]
    actor: str
    checklist_version: str | None = None
    answers: dict[str, Any] | None = None
    unseen: tuple[str, ...] = ()
    follow_up: dict[str, Any] = field(default_factory=dict)


async def lock_visit(conn: asyncpg.Connection, visit_id: int) -> PlannedVisit:
    """Read a visit and lock its door until the transaction ends; raises NotFound."""
    row = await conn.fetchrow(*queries["lock_visit"].bind(visit_id=visit_id))
    if row is None:
        raise NotFound(f"visit {visit_id} does not exist")
    return PlannedVisit(**row)


async def repeated_outcome(
    conn: asyncpg.Connection, visit_id: int, client_id: UUID, body: dict[str, Any]
) -> int | None:
    """The outcome this report repeats word for word, or None when it is new; raises Conflict when it differs."""
    row = await conn.fetchrow(*queries["outcome_of_client"].bind(client_id=client_id))
    if row is not None:
        if row["visit_id"] != visit_id or row["body"] != body:
            raise Conflict(f"client_id {client_id} was used before for a different report")
        return int(row["outcome_id"])
    if await conn.fetchval(*queries["outcome_of_visit"].bind(visit_id=visit_id)) is not None:
        raise Conflict(f"visit {visit_id} already has an outcome, reported under another client_id")
    return None


async def duties_of_visit(conn: asyncpg.Connection, visit_id: int, entered_at: datetime | None) -> list[Duty]:
    """The visit's duties that are still open, locked; got in, also those that only a later visit has done."""
    bound = queries["duties_of_visit"].bind(visit_id=visit_id, entered_at=entered_at)
    return [Duty(**row) for row in await conn.fetch(*bound)]


async def join_rechecks(conn: asyncpg.Connection, visit_id: int, at: datetime) -> None:
    """Make the re-checks of what was put right by `at` duties of a visit that got in then, whenever they are due."""
    await conn.execute(*queries["join_rechecks"].bind(visit_id=visit_id, at=at))


async def planned_periodic(conn: asyncpg.Connection, visit_id: int) -> bool:
    """Whether the visit was planned as a full inspection."""
    found: bool = await conn.fetchval(*queries["planned_periodic"].bind(visit_id=visit_id))
    return found


async def tried_in_a_row(conn: asyncpg.Connection, premises_id: int, at: datetime) -> list[datetime]:
    """When visits before a moment did not get in, since the last that did, oldest first."""
    return [row["at"] for row in await conn.fetch(*queries["tried_in_a_row"].bind(premises_id=premises_id, at=at))]


async def tried_since(conn: asyncpg.Connection, premises_id: int, at: datetime) -> list[datetime]:
    """When visits after a moment did not get in, until the next that did, oldest first."""
    return [row["at"] for row in await conn.fetch(*queries["tried_since"].bind(premises_id=premises_id, at=at))]


async def shift_hours(conn: asyncpg.Connection) -> tuple[int, int]:
    """The hours between which anybody works, local; the whole day when nobody does."""
    row = await conn.fetchrow(*queries["shift_hours"].bind())
    return (0, 24) if row is None or row["from_hour"] is None else (row["from_hour"], row["to_hour"])


async def planned_rechecks(conn: asyncpg.Connection, visit_id: int) -> dict[int, str]:
    """The hazards that the visit was to re-check, with their codes, whatever became of the duties since."""
    rows = await conn.fetch(*queries["planned_rechecks"].bind(visit_id=visit_id))
    return {row["hazard_id"]: row["code"] for row in rows}


async def record_outcome(
    conn: asyncpg.Connection,
    visit: PlannedVisit,
    reported: Reported,
    decision: Decision,
    visited_on: date,
    tried_at: datetime,
) -> int:
    """Write an outcome and what follows for its duties; returns its id. Raises Conflict when the client id is taken.

    `tried_at`: of the newest visit that the decision takes into account, this one or one reported before it.
    """
    outcome_id = await add_outcome(conn, visit, reported, decision)
    await conn.execute(
        *queries["finish_duties"].bind(duty_ids=list(decision.done), outcome_id=outcome_id, at=reported.received_at)
    )
    await put_off_duties(conn, decision, visit.visit_id, tried_at)
    if decision.next_periodic is not None:
        due_on, reason = decision.next_periodic
        door = visit.premises_id
        duty = NewDuty(door, "periodic", due_on, mandatory=False, reason=reason)
        await conn.execute(*queries["mark_entered"].bind(premises_id=door, entered_on=visited_on))
        await open_duties(conn, [duty], reported.received_at)
        moved = queries["move_next_periodic"]
        await conn.execute(*moved.bind(premises_id=door, visit_id=visit.visit_id, due_on=due_on, reason=reason))
    await conn.execute(*queries["announce_outcome"].bind(outcome_id=outcome_id))
    return outcome_id


async def add_outcome(conn: asyncpg.Connection, visit: PlannedVisit, reported: Reported, decision: Decision) -> int:
    """Add the row of the outcome itself; raises Conflict when another report took the client id meanwhile."""
    try:
        outcome_id: int = await conn.fetchval(
            *queries["add_outcome"].bind(
                client_id=reported.client_id,
                visit_id=visit.visit_id,
                premises_id=visit.premises_id,
                inspector_id=visit.inspector_id,
                result=reported.result,
                at=reported.at,
                received_at=reported.received_at,
                note=reported.note,
                body=reported.body,
                actor=reported.actor,
                checklist_version=reported.checklist_version,
                answers=reported.answers,
                unseen=list(reported.unseen),
                follow_up=reported.follow_up,
                found=[asdict(one) | {"due_on": one.due_on.isoformat()} for one in decision.found],
            )
        )
    except asyncpg.UniqueViolationError as error:
        raise Conflict(f"{error.constraint_name}: client_id {reported.client_id} was just used elsewhere") from error
    return outcome_id


async def put_off_duties(conn: asyncpg.Connection, decision: Decision, visit_id: int, at: datetime) -> None:
    """Put off the duties that this visit did not satisfy, and count their attempts anew: reports come in any order."""
    rows = [
        {
            "duty_id": retry.duty_id,
            "not_before": retry.not_before.isoformat(),
            "due_on": retry.due_on.isoformat(),
        }
        for retry in decision.retries
    ]
    if rows:
        await conn.execute(*queries["put_off_duties"].bind(rows=rows, at=at))
    await conn.execute(*queries["recount_attempts"].bind(visit_id=visit_id))


async def outcome_receipt(conn: asyncpg.Connection, outcome_id: int) -> asyncpg.Record:
    """What an outcome did, the same however often it is asked."""
    row = await conn.fetchrow(*queries["outcome_receipt"].bind(outcome_id=outcome_id))
    assert row is not None
    return row
