"""What was seen at doors, in SQL, for learning how likely a door opens."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import asyncpg

from inspections.access_rates import AccessPrior, AccessRates, Tried
from sql import queries

_SEEN_FOR = timedelta(days=366)


async def access_rates(
    conn: asyncpg.Connection, zone: ZoneInfo, at: datetime, prior: AccessPrior | None = None
) -> AccessRates:
    """Chances to get in, learned from the outcomes of the year before `at`."""
    rows = await conn.fetch(*queries["access_counts"].bind(since=at - _SEEN_FOR, known_at=at, zone=str(zone)))
    return AccessRates([Tried(**row) for row in rows], prior)
