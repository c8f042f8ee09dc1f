"""Takes a report from the door: decides what follows and writes all of it in one transaction."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from inspections import outcome_store as store
from inspections.cycle import load_cycles
from inspections.hazards import load_hazards
from inspections.model import Result
from inspections.outcomes import Finding, InvalidOutcome, check_report, decide
from inspections.params import RosterParams
from inspections.wallclock import local_day
from sql import audit
from sql.actor import Actor
from sql.errors import NotFound

_AHEAD_MAX = timedelta(minutes=10)
_BEHIND_MAX = timedelta(minutes=10)


async def report_outcome(
    conn: asyncpg.Connection,
    visit_id: int,
    client_id: UUID,
    result: Result,
    at: datetime,
    findings: list[Finding],
    note: str | None,
    body: dict[str, Any],
    params: RosterParams,
    actor: Actor,
    received_at: datetime,
) -> asyncpg.Record:
    """Record an outcome and return its receipt; the same report again returns the same receipt.

    Raises NotFound for a visit that is not the caller's to report, Conflict when the report contradicts an earlier one,
    InvalidOutcome when it contradicts the catalogue or itself. Runs in the caller's transaction.
    """
    visit = await store.lock_visit(conn, visit_id)
    _may_report(actor, visit)
    repeated = await store.repeated_outcome(conn, visit_id, client_id, body)
    if repeated is not None:
        return await store.outcome_receipt(conn, repeated)
    if at > received_at + _AHEAD_MAX:
        raise InvalidOutcome("at", "lies more than ten minutes ahead of our clock")
    if at < visit.planned_at - _BEHIND_MAX:
        raise InvalidOutcome("at", f"lies before {visit.planned_at:%Y-%m-%d %H:%M} UTC, when this visit was planned")
    catalogue = load_hazards(params.hazards_file)
    check_report(result, findings, catalogue)
    duties = await store.duties_of_visit(conn, visit_id)
    known = await store.open_hazards(conn, visit.premises_id)
    visited_on = local_day(at, params.zone)
    cycles = load_cycles(params.cycles_file)
    decision = decide(result, findings, duties, known, visit.facts, visited_on, cycles, catalogue)
    reported = store.Reported(client_id, result, at, received_at, note, body, actor.name)
    outcome_id = await store.record_outcome(conn, visit, reported, decision, visited_on)
    details = {"outcome_id": outcome_id, "result": result, "premises": visit.premises}
    await audit.record(conn, actor, "outcome.report", f"visit:{visit_id}", details, received_at)
    return await store.outcome_receipt(conn, outcome_id)


def _may_report(actor: Actor, visit: store.PlannedVisit) -> None:
    """An inspector reports own visits, an officer those of the own areas; to anybody else the visit does not exist."""
    own = actor.role != "inspector" or actor.inspector_code == visit.inspector
    if not own or not actor.covers(visit.area):
        raise NotFound(f"visit {visit.visit_id} does not exist")
