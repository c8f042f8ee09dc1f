"""The campaign of the year, planned anew in time."""

from functools import partial

import asyncpg

from app.packaged import readable_catalogues
from app.settings import Settings
from app.supervision import Service
from inspections import campaigning


def build(settings: Settings, pool: asyncpg.Pool, chosen: frozenset[str]) -> Service:  # noqa: ARG001
    """The planner of the campaign."""
    readable_catalogues(settings)
    return partial(campaigning.run, pool, settings.roster)
