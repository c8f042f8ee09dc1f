"""Messages of gateways and other sources, stored and acknowledged."""

from functools import partial

import asyncpg

from app.database import open_database
from app.settings import Settings
from app.supervision import Service
from ingest import subscriber


def build(settings: Settings, pool: asyncpg.Pool, chosen: frozenset[str]) -> Service:  # noqa: ARG001
    """The slot's worker, with a pool of its own for events."""
    events_pool = partial(open_database, settings, "ingest events")
    return partial(subscriber.run, pool, settings.ingest, settings.broker, events_pool)
