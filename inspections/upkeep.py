"""Keeps duties in step with the world: cycles that come due, alerts that want a visit, alerts that are closed."""

from datetime import datetime, timedelta

import asyncpg

from inspections import store
from inspections.cycle import Cycle, Cycles, add_months, load_cycles, next_due
from inspections.duties import NewDuty, duty_of_alert
from inspections.params import RosterParams
from inspections.wallclock import local_day

_BATCH_ROWS = 5_000


async def keep_alert_duties(pool: asyncpg.Pool, params: RosterParams, at: datetime) -> tuple[int, int]:
    """Open duties for alerts that want a visit, cancel those of closed alerts; returns both counts."""
    today = local_day(at, params.zone)
    async with pool.acquire() as conn, conn.transaction():
        await store.lock_duties(conn)
        cancelled = await store.cancel_moot_duties(conn, at)
        await store.harden_duties(conn, today)
        alerts = await store.alerts_awaiting_duty(conn, _BATCH_ROWS)
        wanted = [duty for alert in alerts if (duty := duty_of_alert(alert, today)) is not None]
        return await store.open_duties(conn, wanted, at), cancelled


async def open_periodic_duties(pool: asyncpg.Pool, params: RosterParams, at: datetime) -> int:
    """Open a periodic duty for every door whose cycle ends within the horizon; returns how many.

    The shortest cycles come first: a door that several match gets the duty of the one that makes it due soonest.
    """
    opened = 0
    cycles = load_cycles(params.cycles_file)
    for cycle in cycles.shortest_first():
        while (count := await _open_batch(pool, cycles, cycle, params, at)) > 0:
            opened += count
    return opened


async def _open_batch(pool: asyncpg.Pool, cycles: Cycles, cycle: Cycle, params: RosterParams, at: datetime) -> int:
    """One transaction of at most `_BATCH_ROWS` duties; 0 when none is left."""
    today = local_day(at, params.zone)
    entered_before = add_months(today + timedelta(days=params.horizon_days), -cycle.months)
    async with pool.acquire() as conn, conn.transaction():
        await store.lock_duties(conn)
        built_by = today.year - cycles.old_building_years
        due = await store.premises_without_periodic(conn, cycle, built_by, entered_before, _BATCH_ROWS)
        duties = []
        for premises_id, last_entered_on in due:
            due_on, reason = next_due(cycle, last_entered_on, today)
            duties.append(NewDuty(premises_id, "periodic", due_on, mandatory=False, reason=reason))
        return await store.open_duties(conn, duties, at)
