"""Duties kept in step, tomorrow's rosters, and the figures of days."""

import asyncio
from functools import partial

import asyncpg

from app.packaged import readable_catalogues
from app.settings import Settings
from app.supervision import Service
from inspections import counting, scheduler
from inspections.params import RosterParams


def build(settings: Settings, pool: asyncpg.Pool, chosen: frozenset[str]) -> Service:  # noqa: ARG001
    """The scheduler of the days, and the count of what was done in them."""
    readable_catalogues(settings)
    return partial(_inspect, pool, settings.roster)


async def _inspect(pool: asyncpg.Pool, params: RosterParams) -> None:
    """Duties and rosters; the figures of days beside them, so that counting a year keeps no alarm waiting."""
    async with asyncio.TaskGroup() as group:
        group.create_task(scheduler.run(pool, params))
        group.create_task(counting.run(pool, params))
