"""When a door that did not open is tried again: asked for a report's receipt, and settled by the newest visit known."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime

import asyncpg

from inspections import outcome_store as store
from inspections.access_rates import AccessRates, BestTime
from inspections.attempts import NextAttempt, advise, advise_must, put_off
from inspections.cycle import Cycles
from inspections.hazards import HazardCatalogue
from inspections.model import Duty
from inspections.outcomes import Decision, decide
from inspections.params import RosterParams
from inspections.wallclock import local_day
from sql import queries


async def advice_for(
    conn: asyncpg.Connection,
    visit: store.PlannedVisit,
    tried: Sequence[datetime],
    decision: Decision,
    cycles: Cycles,
    params: RosterParams,
    rates: AccessRates | None,
) -> NextAttempt | None:
    """Another time of day and weekday than those `tried` in a row, the newest last; None when nothing waits."""
    waiting: list[date] = [retry.not_before for retry in decision.retries if retry.attempt]
    if not waiting:
        return None
    best = await _best_times(conn, visit, len(tried), rates)
    shown = [moment.astimezone(params.zone) for moment in tried]
    return advise(cycles.no_access, shown, best, max(waiting), params.campaign.calendar)


async def told_advice(
    conn: asyncpg.Connection,
    visit: store.PlannedVisit,
    tried: Sequence[datetime],
    advice: NextAttempt | None,
    decision: Decision,
    duties: Sequence[Duty],
    params: RosterParams,
    rates: AccessRates | None,
) -> NextAttempt | None:
    """The advice as the receipt tells it: what is mandatory is tried sooner than what may wait."""
    mandatory = {duty.duty_id for duty in duties if duty.mandatory}
    must_on = min((one.not_before for one in decision.retries if one.duty_id in mandatory), default=None)
    if advice is None or must_on is None:
        return advice
    best = await _best_times(conn, visit, len(tried), rates)
    return advise_must(advice, [moment.astimezone(params.zone) for moment in tried], best, must_on)


async def _best_times(
    conn: asyncpg.Connection, visit: store.PlannedVisit, attempts: int, rates: AccessRates | None
) -> Sequence[BestTime]:
    from_hour, to_hour = await store.shift_hours(conn)
    learned = rates or AccessRates()
    return learned.best_times(visit.user_class, visit.area, attempts, from_hour=from_hour, to_hour=to_hour)


async def settle_put_off(
    conn: asyncpg.Connection,
    visit: store.PlannedVisit,
    outcome_id: int,
    cycles: Cycles,
    catalogue: HazardCatalogue,
    params: RosterParams,
    rates: AccessRates | None,
) -> None:
    """Put the door's duties off as its newest visit would have, had it been reported last.

    It is not the one just recorded when reports come in another order; how often nobody got in is known better now.
    """
    newest = await conn.fetchrow(*queries["newest_outcome"].bind(premises_id=visit.premises_id))
    if newest is None or newest["outcome_id"] == outcome_id or newest["entered"]:
        return
    at, visit_id = newest["at"], newest["visit_id"]
    duties = [_before(duty) for duty in await store.duties_of_visit(conn, visit_id, None)]
    decision = decide(newest["result"], [], duties, visit.facts, local_day(at, params.zone), cycles, catalogue)
    tried = [*await store.tried_in_a_row(conn, visit.premises_id, at), at]
    advice = await advice_for(conn, visit, tried, decision, cycles, params, rates)
    await store.put_off_duties(conn, put_off(decision, duties, advice), visit_id, at)


def _before(duty: Duty) -> Duty:
    """The duty as it was before its newest visit, which is counted already."""
    return replace(duty, attempts=max(0, duty.attempts - 1))
