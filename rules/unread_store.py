"""Loads alarms that could not be stored; ingest writes them."""

from collections.abc import Sequence

import asyncpg

from rules.unread import Unread
from sql import queries


async def unread_alarms_of_batches(conn: asyncpg.Connection, batch_ids: Sequence[int]) -> list[Unread]:
    """What some batches brought that may be an alarm and is in quarantine, with what is known of its place."""
    rows = await conn.fetch(*queries["unread_alarms_of_batches"].bind(batch_ids=batch_ids))
    return [Unread(**row) for row in rows]
