"""Findings about stored readings."""

from functools import partial

import asyncpg

from app.settings import Settings
from app.supervision import Service
from ingest import validating


def build(settings: Settings, pool: asyncpg.Pool, chosen: frozenset[str]) -> Service:  # noqa: ARG001
    """The validation of readings."""
    return partial(validating.run, pool, settings.validation)
