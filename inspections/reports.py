"""A report as HTTP carries it, handed to the domain; a checklist as HTTP shows it."""

from datetime import datetime

import asyncpg

from inspections.access_rates import AccessRates
from inspections.answers import ChecklistAnswer, ChecklistItem, OutcomeReport
from inspections.checklists import Checklists
from inspections.model import UserClass
from inspections.outcomes import Finding
from inspections.params import RosterParams
from inspections.reporting import Details, report_outcome
from sql.actor import Actor

_SINCE_LATER = ("answers", "unseen", "notice_card", "readings", "position", "evidence")


async def take_report(
    conn: asyncpg.Connection,
    visit_id: int,
    report: OutcomeReport,
    params: RosterParams,
    actor: Actor,
    received_at: datetime,
    rates: AccessRates | None = None,
) -> asyncpg.Record:
    """Record a report in the caller's transaction and return its receipt; raises as `report_outcome` does."""
    return await report_outcome(
        conn,
        visit_id,
        report.client_id,
        report.result,
        report.at,
        [Finding(hazard.code, hazard.note) for hazard in report.hazards],
        report.note,
        _body(report),
        params,
        actor,
        received_at,
        details=Details(report.answers, tuple(report.unseen), report.notice_card, _shown(report)),
        rates=rates,
    )


def _shown(report: OutcomeReport) -> frozenset[str]:
    """The kinds of evidence that a report brings."""
    kinds: set[str] = {mention.kind for mention in report.evidence}
    return frozenset(kinds | ({"reading"} if report.readings else set()))


def _body(report: OutcomeReport) -> dict[str, object]:
    """The report as it is kept, without the empty ones of the fields that older reports did not have.

    So a report that is sent again after an upgrade is still the same report.
    """
    return {name: value for name, value in report.model_dump(mode="json").items() if value or name not in _SINCE_LATER}


def checklist_answer(lists: Checklists, user_class: UserClass) -> ChecklistAnswer:
    """The checklist of a user class."""
    items = [
        ChecklistItem.model_validate(item.model_dump(exclude={"classes"})) for item in lists.of(user_class).values()
    ]
    return ChecklistAnswer(user_class=user_class, version=lists.version, items=items)
