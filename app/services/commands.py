"""Commands to valves, sent and proved."""

from functools import partial

import asyncpg

from app.settings import Settings
from app.supervision import Service
from ingest.commanding import dispatcher


def build(settings: Settings, pool: asyncpg.Pool, chosen: frozenset[str]) -> Service:  # noqa: ARG001
    """The dispatcher of commands."""
    return partial(dispatcher.run, pool, settings.commands, settings.broker)
