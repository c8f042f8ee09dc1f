"""The composition root: opens the pool, builds the chosen services, and has them supervised."""

import os
import sys
from collections.abc import Iterable, Mapping
from importlib import import_module

import asyncpg
import structlog
from prometheus_client import disable_created_metrics

from app.database import open_database
from app.services import PROCESSES, SERVICES
from app.settings import Settings
from app.supervision import Service, supervise

_NICENESS = 10
"""Of a process that has only services which nobody waits for."""
_SWITCH_INTERVAL_S = 0.001
"""How long a thread that computes keeps the event loop from its turn: an alarm takes dozens of turns."""
log = structlog.get_logger()


async def run(settings: Settings, names: Iterable[str] = SERVICES) -> None:
    """Run the named services in this process until a signal; raises CannotStart, or the failures of `supervise`."""
    chosen = frozenset(names)
    if chosen <= frozenset(PROCESSES["background"]):
        os.nice(_NICENESS)
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    disable_created_metrics()  # type: ignore[no-untyped-call]
    async with open_database(settings, "+".join(name for name in SERVICES if name in chosen)) as pool:
        log.info("starting", services=sorted(chosen))
        await supervise(build(settings, pool, chosen), drain_s=settings.drain_s)
    log.info("stopped")


def build(settings: Settings, pool: asyncpg.Pool, chosen: frozenset[str]) -> Mapping[str, Service]:
    """The chosen services, and the probes' own listener when it has a port; raises CannotStart."""
    names = [name for name in SERVICES if name in chosen]
    if settings.http.probe_port is not None:
        names.append("probes")
    return {name: import_module(f"app.services.{name}").build(settings, pool, chosen) for name in names}
