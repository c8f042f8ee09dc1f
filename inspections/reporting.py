"""Takes a report from the door: decides what follows and writes all of it in one transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from inspections import outcome_store as store
from inspections.access_cases import Try
from inspections.access_rates import AccessRates
from inspections.arrival_order import settle_cases, settle_hazards
from inspections.attempts import NextAttempt, put_off
from inspections.booking_store import leave_card
from inspections.checklists import Answer, Checklists, check_answers, joined, load_checklists
from inspections.cycle import Cycles, load_cycles
from inspections.hazards import HazardCatalogue, load_hazards
from inspections.model import Duty, Result
from inspections.outcomes import Decision, Finding, InvalidOutcome, check_report, decide
from inspections.params import RosterParams
from inspections.trying_again import advice_for, settle_put_off, told_advice
from inspections.wallclock import local_day
from sql import audit
from sql.actor import Actor
from sql.errors import NotFound

_AHEAD_MAX = timedelta(minutes=10)
_BEHIND_MAX = timedelta(minutes=10)
_ENTERED = frozenset({"passed", "hazard_found", "recheck_passed", "partial"})
_SAW_ALL = _ENTERED - {"partial"}
_FULL = frozenset({"passed", "hazard_found"})


@dataclass(frozen=True, slots=True)
class Details:
    """What a report says beside its result: answers, what was not seen, the card that was left."""

    answers: Mapping[str, Answer] | None = None
    unseen: tuple[str, ...] = ()
    notice_card: str | None = None
    evidence: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Follow:
    """What the receipt says beside the facts of the tables."""

    lacking: tuple[str, ...] = ()
    attempt: int | None = None
    advice: NextAttempt | None = None
    cases: list[int] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        said: dict[str, Any] = {"lacking": list(self.lacking), "case_ids": self.cases}
        if self.attempt is not None:
            said["attempt"] = self.attempt
        if self.advice is not None:
            said["next_attempt"] = {
                "not_before": self.advice.not_before.isoformat(),
                "from_hour": self.advice.from_hour,
                "to_hour": self.advice.to_hour,
                "chance": round(self.advice.chance, 3),
                "reason": self.advice.reason,
            }
        return said


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
    *,
    details: Details | None = None,
    rates: AccessRates | None = None,
) -> asyncpg.Record:
    """Record an outcome and return its receipt; the same report again returns the same receipt.

    `rates`: what was learned of doors that open, for the advice after a visit that did not get in.
    Raises NotFound for a visit that is not the caller's to report, Conflict when the report contradicts an earlier one,
    InvalidOutcome when it contradicts the catalogue or itself. Runs in the caller's transaction.
    """
    details = details or Details()
    visit = await store.lock_visit(conn, visit_id)
    _may_report(actor, visit)
    repeated = await store.repeated_outcome(conn, visit_id, client_id, body)
    if repeated is not None:
        return await store.outcome_receipt(conn, repeated)
    _check_time(at, visit, received_at)
    catalogue = load_hazards(params.hazards_file)
    lists = load_checklists(catalogue, params.checklists_file)
    periodic = await store.planned_periodic(conn, visit_id)
    findings, unseen, lacking = _checked(visit, result, findings, details, lists, periodic, params)
    check_report(result, findings, catalogue)
    lacking = (*lacking, *_missing_evidence(findings, details, catalogue, params))
    if result in _SAW_ALL:
        await store.join_rechecks(conn, visit_id, at)
    duties = await store.duties_of_visit(conn, visit_id, at if result in _ENTERED else None)
    rechecks = await store.planned_rechecks(conn, visit_id)
    visited_on = local_day(at, params.zone)
    cycles = load_cycles(params.cycles_file)
    decision = decide(
        result, findings, duties, visit.facts, visited_on, cycles, catalogue,
        planned_periodic=periodic, planned_rechecks=rechecks,
    )  # fmt: skip
    tried = None if decision.entered else Try(at, visit_id, result)
    cases = await settle_cases(conn, visit, tried, at, cycles.no_access.attempts_max, params, received_at)
    follow, tried_at = _Follow(lacking, cases=cases), at
    if not decision.entered:
        later = await store.tried_since(conn, visit.premises_id, at)
        tried_at = later[-1] if later else at  # reports come in any order: the newest try decides when the next is
        last_on = local_day(tried_at, params.zone)
        decision = decide(result, findings, duties, visit.facts, last_on, cycles, catalogue)
        decision, follow = await _try_again(conn, visit, at, later, decision, duties, cycles, params, rates, follow)
    reported = store.Reported(
        client_id, result, at, received_at, note, body, actor.name,
        lists.version if details.answers is not None else None,
        dict(details.answers) if details.answers is not None else None, unseen, follow.as_json(),
    )  # fmt: skip
    outcome_id = await store.record_outcome(conn, visit, reported, decision, visited_on, tried_at)
    if decision.entered:
        await settle_hazards(conn, visit, outcome_id, decision, at, catalogue, params, received_at)
    await settle_put_off(conn, visit, outcome_id, cycles, catalogue, params, rates)
    if details.notice_card is not None:
        await leave_card(
            conn, details.notice_card, visit.premises_id, outcome_id, at + timedelta(days=params.card_days)
        )
    said = {"outcome_id": outcome_id, "result": result, "premises": visit.premises}
    await audit.record(conn, actor, "outcome.report", f"visit:{visit_id}", said, received_at)
    return await store.outcome_receipt(conn, outcome_id)


def _may_report(actor: Actor, visit: store.PlannedVisit) -> None:
    """An inspector reports own visits, an officer those of the own areas; to anybody else the visit does not exist."""
    own = actor.role != "inspector" or actor.inspector_code == visit.inspector
    if not own or not actor.covers(visit.area):
        raise NotFound(f"visit {visit.visit_id} does not exist")


def _check_time(at: datetime, visit: store.PlannedVisit, received_at: datetime) -> None:
    if at > received_at + _AHEAD_MAX:
        raise InvalidOutcome("at", "lies more than ten minutes ahead of our clock")
    if at < visit.planned_at - _BEHIND_MAX:
        raise InvalidOutcome("at", f"lies before {visit.planned_at:%Y-%m-%d %H:%M} UTC, when this visit was planned")


def _checked(
    visit: store.PlannedVisit,
    result: Result,
    findings: Sequence[Finding],
    details: Details,
    lists: Checklists,
    periodic: bool,
    params: RosterParams,
) -> tuple[list[Finding], tuple[str, ...], tuple[str, ...]]:
    """The hazards said and derived, what was not seen, and what the report lacks."""
    unseen = details.unseen
    derived: tuple[Finding, ...] = ()
    lacking: tuple[str, ...] = ()
    if result not in _ENTERED and details.answers:
        raise InvalidOutcome("answers", f"a visit that ended {result} answers no checklist")
    if details.notice_card is not None and result in _ENTERED:
        raise InvalidOutcome("notice_card", "is left where nobody was met or entry was refused")
    if details.answers is not None and result in _ENTERED - {"recheck_passed"}:
        checked = check_answers(lists.of(visit.user_class), details.answers, result)
        derived = checked.findings
        unseen = (*unseen, *(code for code in checked.unseen if code not in unseen))
    elif periodic and result in _FULL:
        if params.checklist == "required":
            first = next(code for code, item in lists.of(visit.user_class).items() if item.mandatory)
            raise InvalidOutcome(f"answers.{first}", "is mandatory: a full inspection answers the checklist")
        lacking = ("answers",)
    if result == "partial" and not unseen:
        raise InvalidOutcome("unseen", "a partial visit says which rooms, appliances or items were not seen")
    if result != "partial" and unseen:
        raise InvalidOutcome("unseen", f"a visit that ended {result} lists nothing unseen: report partial")
    return joined(findings, derived), unseen, lacking


def _missing_evidence(
    findings: Sequence[Finding], details: Details, catalogue: HazardCatalogue, params: RosterParams
) -> tuple[str, ...]:
    """The evidence that the grades of the hazards ask for and the report does not bring; refused when it must."""
    asked = {kind for one in findings for kind in catalogue.grade_of(catalogue.kinds[one.code]).evidence}
    missing = sorted(asked - details.evidence)
    if missing and params.evidence == "required":
        field = "readings" if missing[0] == "reading" else "evidence"
        raise InvalidOutcome(field, f"hazards of this grade need evidence: {', '.join(missing)}")
    return tuple(f"evidence.{kind}" for kind in missing)


async def _try_again(
    conn: asyncpg.Connection,
    visit: store.PlannedVisit,
    at: datetime,
    later: list[datetime],
    decision: Decision,
    duties: list[Duty],
    cycles: Cycles,
    params: RosterParams,
    rates: AccessRates | None,
    follow: _Follow,
) -> tuple[Decision, _Follow]:
    """Nobody got in: another time of day and weekday."""
    earlier = await store.tried_in_a_row(conn, visit.premises_id, at)
    tried = [*earlier, at, *later]
    advice = await advice_for(conn, visit, tried, decision, cycles, params, rates)
    told = await told_advice(conn, visit, tried, advice, decision, duties, params, rates)
    return put_off(decision, duties, advice), replace(follow, attempt=len(earlier) + 1, advice=told)
