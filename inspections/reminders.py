"""What does not move by itself: overdue requests are reminded of, cases go up a level, late hazards become cases."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import asyncpg
import structlog
from prometheus_client import Counter

from inspections import request_store as store
from inspections.cases import escalation_due, load_cases
from inspections.params import RosterParams
from inspections.requests import load_requests, wants_reminder
from inspections.wallclock import local_day
from sql import queries
from sql.actor import INSPECTIONS

log = structlog.get_logger()
_REMINDED = Counter("gaswarden_requests_reminded_total", "Reminders of overdue requests")
_ESCALATED = Counter("gaswarden_cases_escalated_total", "Cases that went up a level", ["level"])
_BATCH_ROWS = 500


@dataclass(frozen=True, slots=True)
class Reminded:
    """What one look did."""

    requests: int
    cases_opened: int
    cases_escalated: int


async def remind(pool: asyncpg.Pool, params: RosterParams, at: datetime) -> Reminded:
    """Do all that is due at a moment, in one transaction; a second process does what this one has not locked."""
    async with pool.acquire() as conn, conn.transaction():
        await _note_visits(conn)
        requests = await _remind_of_requests(conn, params, at)
        opened = await _open_cases_of_hazards(conn, params, at)
        escalated = await _escalate_cases(conn, params, at)
        return Reminded(requests, opened, escalated)


async def _note_visits(conn: asyncpg.Connection) -> None:
    for row in await conn.fetch(*queries["visited_requests"].bind()):
        note = f"inspector {row['inspector']}: {row['result']}"
        await store.add_request_step(conn, row["request_id"], "visited", INSPECTIONS.name, note, row["at"])


async def _remind_of_requests(conn: asyncpg.Connection, params: RosterParams, at: datetime) -> int:
    catalogue = load_requests(params.requests_file)
    reminded = 0
    before = at - timedelta(hours=catalogue.remind_every_hours)
    for request in await store.overdue_requests(conn, at, before, _BATCH_ROWS):
        reason = wants_reminder(request, catalogue, at)
        if reason is None:
            continue
        after = replace(request, reminders=request.reminders + 1, reminded_at=at)
        await store.save_request(conn, after, "reminded", INSPECTIONS.name, reason, at)
        log.warning("request overdue", request_id=request.request_id, owner=request.owner, why=reason)
        _REMINDED.inc()
        reminded += 1
    return reminded


async def _open_cases_of_hazards(conn: asyncpg.Connection, params: RosterParams, at: datetime) -> int:
    catalogue = load_cases(params.cases_file)
    opened = 0
    for row in await store.hazards_without_case(conn, local_day(at, params.zone), _BATCH_ROWS):
        title = f"hazard {row['code']} of grade {row['grade']} was to be put right by {row['due_on'].isoformat()}"
        case_id = await store.open_case(
            conn,
            catalogue,
            "hazard_overdue",
            row["premises_id"],
            row["area"],
            title,
            INSPECTIONS.name,
            at,
            row["hazard_id"],
        )
        opened += case_id is not None
    return opened


async def _escalate_cases(conn: asyncpg.Connection, params: RosterParams, at: datetime) -> int:
    catalogue = load_cases(params.cases_file)
    escalated = 0
    for case in await store.escalating_cases(conn, catalogue, at, _BATCH_ROWS):
        due = escalation_due(case, catalogue.of(case.kind), at)
        if due is None:
            continue
        await store.save_case(conn, replace(case, level=due.level), "escalated", INSPECTIONS.name, due.reason, at)
        log.warning("case escalated", case_id=case.case_id, level=due.level, why=due.reason)
        _ESCALATED.labels(due.level).inc()
        escalated += 1
    return escalated
