"""What machines ask a process, on a listener of its own."""

from functools import partial

import asyncpg
from aiohttp import web

from app.probes import Probes
from app.settings import Settings
from app.supervision import Service
from app.web import serve


def build(settings: Settings, pool: asyncpg.Pool, chosen: frozenset[str]) -> Service:
    """The probes' own listener."""
    application = web.Application()
    probes_of(settings, pool, chosen).add_to(application)
    port = settings.http.probe_port or 0
    return partial(serve, application, settings.http.probe_host, port, settings.http.drain_s, "probes")


def probes_of(settings: Settings, pool: asyncpg.Pool, chosen: frozenset[str]) -> Probes:
    """The probes of a process that runs the chosen services."""
    return Probes(pool, settings.ingest.slot if "ingest" in chosen else None)
