"""What the campaign in force says about a day or a building, in SQL."""

from datetime import date, timedelta

import asyncpg

from sql import queries


async def buildings_in_turn(conn: asyncpg.Connection, day: date, catch_up_days: int) -> frozenset[int]:
    """Buildings whose turn is a day, or was within so many days before; empty without a campaign."""
    query = queries["buildings_in_turn"]
    rows = await conn.fetch(*query.bind(day=day, since=day - timedelta(days=catch_up_days)))
    return frozenset(row["building_id"] for row in rows)


async def campaign_week(conn: asyncpg.Connection, premises: str, day: date) -> date | None:
    """Monday of the week in which the campaign in force next visits a door's building, from a day on."""
    week: date | None = await conn.fetchval(*queries["campaign_week"].bind(premises=premises, day=day))
    return week
