"""Readings and events against the rules: alerts and their clocks."""

from functools import partial

import asyncpg

from app.database import open_database
from app.packaged import packaged_rules
from app.settings import Settings
from app.supervision import Service
from rules import evaluator


def build(settings: Settings, pool: asyncpg.Pool, chosen: frozenset[str]) -> Service:  # noqa: ARG001
    """The evaluator, with a pool of its own for events."""
    events_pool = partial(open_database, settings, "rules events")
    return partial(evaluator.run, pool, packaged_rules(settings), settings.rules, events_pool=events_pool)
