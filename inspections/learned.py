"""Chances to get in as known at the beginning of a day: learning them reads a year of outcomes.

All of a day goes by the same chances, so that the advice after a closed door does not depend on the order in which the
day's reports arrive, nor on a restart.
"""

import asyncio
from datetime import date, datetime
from zoneinfo import ZoneInfo

import asyncpg

from inspections.access_rates import AccessRates
from inspections.access_store import access_rates
from inspections.wallclock import WallClock, local_day


class LearnedRates:
    """The learned chances of the day, learned once in this process."""

    def __init__(self, pool: asyncpg.Pool, zone: ZoneInfo) -> None:
        self._pool = pool
        self._zone = zone
        self._learning = asyncio.Lock()
        self._learned: tuple[date, AccessRates] | None = None

    async def rates(self, at: datetime) -> AccessRates:
        """The chances as they were known when the local day of a moment began."""
        day = local_day(at, self._zone)
        async with self._learning:
            if self._learned is None or self._learned[0] != day:
                async with self._pool.acquire() as conn:
                    midnight = WallClock(day, self._zone).moment(0)
                    self._learned = (day, await access_rates(conn, self._zone, midnight))
            return self._learned[1]
