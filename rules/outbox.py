"""The outbox: a page is written in the transaction of what it tells of, and a worker takes it from there."""

from collections.abc import Sequence
from datetime import datetime

import asyncpg

from rules.paging import Page
from sql import queries


async def request_notices(conn: asyncpg.Connection, pages: Sequence[Page], now: datetime) -> None:
    """Ask for people to be told, in the caller's transaction: the pages exist exactly if it commits.

    Who is told, by which channel and in which words is decided when the page is worked on, a moment after the commit
    (rules/notices); whether it is still needed is looked at again before each notice leaves.
    """
    if not pages:
        return
    await conn.execute(
        *queries["request_pages"].bind(
            alert_ids=[page.alert_id for page in pages],
            purposes=[page.purpose for page in pages],
            levels=[page.level for page in pages],
            requested_at=now,
        )
    )
