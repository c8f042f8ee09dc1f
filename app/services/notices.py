"""Who is told of what, and whether it reached them."""

from functools import partial

import asyncpg

from app.packaged import packaged_rules
from app.settings import Settings
from app.supervision import Service
from rules.notices import service as notices


def build(settings: Settings, pool: asyncpg.Pool, chosen: frozenset[str]) -> Service:  # noqa: ARG001
    """The sender of notices."""
    url = settings.database.url.get_secret_value()
    return partial(notices.run, pool, packaged_rules(settings), settings.notices, url, settings.roster.zone)
