"""Chances to get in, kept for an hour: learning them reads a year of outcomes."""

import asyncio
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import asyncpg

from inspections.access_rates import AccessRates
from inspections.access_store import access_rates

_KEPT_FOR = timedelta(hours=1)


class LearnedRates:
    """The learned chances, not older than an hour."""

    def __init__(self, pool: asyncpg.Pool, zone: ZoneInfo) -> None:
        self._pool = pool
        self._zone = zone
        self._learning = asyncio.Lock()
        self._rates: AccessRates | None = None
        self._learned_at: datetime | None = None

    async def rates(self, at: datetime) -> AccessRates:
        """The chances as known at a moment."""
        async with self._learning:
            if self._rates is None or self._learned_at is None or at - self._learned_at >= _KEPT_FOR:
                async with self._pool.acquire() as conn:
                    self._rates = await access_rates(conn, self._zone, at)
                self._learned_at = at
            return self._rates
