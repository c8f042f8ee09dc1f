"""Hours and days of readings, and retirement of what was kept long enough."""

from functools import partial

import asyncpg

from app.settings import Settings
from app.supervision import Service
from ingest import rollup


def build(settings: Settings, pool: asyncpg.Pool, chosen: frozenset[str]) -> Service:  # noqa: ARG001
    """The roll-up."""
    return partial(rollup.run, pool, settings.rollup)
