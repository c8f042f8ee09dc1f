"""The inspections service: keeps duties in step, sends somebody when an alarm comes up during the day, plans tomorrow.

Tomorrow is planned at the configured local time, and anew for an alarm; today as well when nobody planned it yesterday.
"""

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg
import structlog
from prometheus_client import Gauge

from inspections import change_store
from inspections.changes import Mandatory
from inspections.changing import change_day, plan_rest
from inspections.params import RosterParams
from inspections.planning import plan_day_once
from inspections.reminders import remind
from inspections.store import mandatory_unplanned
from inspections.upkeep import keep_alert_duties, open_periodic_duties
from inspections.wallclock import WallClock, local_day
from inspections.worker import PlanningFailed
from sql.errors import Conflict
from sql.pool import DATABASE_LOST

__all__ = ["RosterParams", "Schedule", "run"]

log = structlog.get_logger()
_CONNECTED = Gauge("gaswarden_inspections_connected", "1 while inspections reach the database")


class Schedule:
    """What is due when; remembers when periodic duties were opened and when a failed planning may be tried again."""

    def __init__(self, pool: asyncpg.Pool, params: RosterParams) -> None:
        self._pool = pool
        self._params = params
        self._periodic_from: datetime | None = None
        self._plan_from: datetime | None = None
        self._remind_from: datetime | None = None
        self._change_from: datetime | None = None

    async def tick(self, at: datetime) -> None:
        """Do everything that is due at a moment."""
        await keep_alert_duties(self._pool, self._params, at)
        if self._change_from is None or at >= self._change_from:
            await self._keep_today(at)
        if self._periodic_from is None or at >= self._periodic_from:
            await open_periodic_duties(self._pool, self._params, at)
            self._periodic_from = at + timedelta(seconds=self._params.periodic_every_s)
        if self._remind_from is None or at >= self._remind_from:
            await remind(self._pool, self._params, at)
            self._remind_from = at + timedelta(seconds=self._params.remind_every_s)
        if self._plan_from is None or at >= self._plan_from:
            await self._plan_tomorrow(at)

    async def _keep_today(self, at: datetime) -> None:
        """Put what must be done today and came up since on today's rosters; plan today if yesterday nobody did."""
        today = local_day(at, self._params.zone)
        clock = WallClock(today, self._params.zone)
        pause = timedelta(seconds=self._params.replan_after_s)
        try:
            async with self._pool.acquire() as conn:
                missed = await change_store.day_missed(conn, clock, at)
                waiting = await change_store.mandatory_today(conn, clock, at)
            if missed:
                log.warning("today was not planned yesterday: planning it now", day=today.isoformat())
                await plan_day_once(self._pool, today, self._params, at)
                self._change_from = at + pause
            if waiting:
                await change_day(self._pool, today, Mandatory(kind="mandatory"), self._params, at)
                async with self._pool.acquire() as conn:
                    still = await change_store.mandatory_today(conn, clock, at)
                self._change_from = at + pause if still else None
        except (PlanningFailed, Conflict) as failure:
            self._change_from = at + pause
            log.error("today's rosters could not be changed", day=today.isoformat(), error=str(failure))

    async def _plan_tomorrow(self, at: datetime) -> None:
        """Plan tomorrow once it is time; plan it anew when a mandatory duty came up since: no leak waits a day more."""
        tomorrow = local_day(at, self._params.zone) + timedelta(days=1)
        pause = timedelta(seconds=self._params.replan_after_s)
        try:
            if at.astimezone(self._params.zone).time() >= self._params.plan_at:
                await plan_day_once(self._pool, tomorrow, self._params, at)
            async with self._pool.acquire() as conn:
                missing = await mandatory_unplanned(conn, tomorrow, at)
            if missing:
                log.info("planning anew for duties that came up", day=tomorrow.isoformat(), mandatory=missing)
                await plan_rest(self._pool, tomorrow, self._params, at)
                self._plan_from = at + pause
        except (PlanningFailed, Conflict) as failure:
            self._plan_from = at + pause
            log.error("no roster could be planned", day=tomorrow.isoformat(), error=str(failure))


async def run(pool: asyncpg.Pool, params: RosterParams, ready: asyncio.Event | None = None) -> None:
    """Work until cancelled; a lost database is logged once when lost and once when back."""
    schedule = Schedule(pool, params)
    lost = False
    while True:
        try:
            await schedule.tick(datetime.now(UTC))
            if lost:
                log.info("database is back", service="inspections")
            lost = False
            if ready is not None:
                ready.set()
        except asyncpg.TransactionRollbackError as error:  # a deadlock: the next tick does it again
            log.info("tick rolled back", service="inspections", error=str(error))
        except DATABASE_LOST as error:
            if not lost:
                log.warning("database lost", service="inspections", error=repr(error))
            lost = True
        _CONNECTED.set(0 if lost else 1)
        await asyncio.sleep(params.tick_s)
