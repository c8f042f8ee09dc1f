"""The composition root: opens the pool, builds the chosen services, and has them supervised."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import asyncpg
import structlog
from aiohttp import web
from prometheus_client import disable_created_metrics

from app.binding import Route
from app.confirmation import Confirmation
from app.dossier.collect import DossierDesk
from app.dossier.routes import DossierRoutes
from app.probes import Probes, missing_migrations
from app.problems import UNREACHABLE
from app.settings import Settings
from app.supervision import Service, supervise
from app.web import Web, serve
from ingest import rollup, subscriber, validating
from ingest.commanding import dispatcher
from ingest.commanding.routes import CommandRoutes
from ingest.proof_routes import ProofRoutes
from ingest.routes import IngestRoutes
from ingest.stranger_routes import StrangerRoutes
from inspections import campaigning, counting, scheduler
from inspections.booking_routes import BookingRoutes
from inspections.campaign_routes import CampaignRoutes
from inspections.case_routes import CaseRoutes
from inspections.catalogues import catalogue_files
from inspections.enforcement_routes import EnforcementRoutes
from inspections.evidence_routes import EvidenceRoutes
from inspections.hazard_routes import HazardRoutes
from inspections.objects import unwritable
from inspections.offline_routes import OfflineRoutes
from inspections.params import RosterParams
from inspections.printing.paper_routes import PaperRoutes
from inspections.report_routes import ReportRoutes
from inspections.request_routes import RequestRoutes
from inspections.routes import InspectionRoutes
from rules import evaluator
from rules.catalog import Catalog
from rules.model import InvalidRule
from rules.notices import service as notices
from rules.notices.routes import NoticeRoutes
from rules.precision_routes import PrecisionRoutes
from rules.rota.routes import RotaRoutes
from rules.routes import AlertRoutes
from rules.rule_routes import RuleRoutes
from rules.rule_sets import catalog_at
from rules.silence_routes import SilenceRoutes
from sql.pool import open_pool

SERVICES = ("ingest", "rollup", "validation", "commands", "rules", "notices", "inspections", "campaign", "http")
PROCESSES = {
    "ingest": ("ingest",),
    "watch": ("commands", "rules", "notices"),
    "desk": ("http",),
    "background": ("rollup", "validation", "inspections", "campaign"),
}
"""Which services share a process where they are deployed: what works through much keeps nobody waiting at the desk."""
_NICENESS = 10
"""Of a process that has only services which nobody waits for."""
_SWITCH_INTERVAL_S = 0.001
"""How long a thread that computes keeps the event loop from its turn: an alarm takes dozens of turns."""
_RETRY_S = 0.5
log = structlog.get_logger()


class CannotStart(Exception):
    """The process cannot begin its work; the message says why and what to do."""


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


@asynccontextmanager
async def open_database(settings: Settings, purpose: str, *, wait: bool = True) -> AsyncIterator[asyncpg.Pool]:
    """Open a pool once the database answers, and check that it is migrated; raises CannotStart.

    With `wait=False` a database that does not answer at once is an error.
    """
    pool, kept = await _open_when_it_answers(settings, purpose, settings.database.start_wait_s if wait else 0.0)
    async with kept:
        async with pool.acquire() as conn:
            missing = await missing_migrations(conn)
        if missing:
            raise CannotStart(f"the database lacks {', '.join(missing)}; run `gaswarden migrate`")
        yield pool


async def _open_when_it_answers(settings: Settings, purpose: str, wait_s: float) -> tuple[asyncpg.Pool, AsyncExitStack]:
    """A pool and what closes it; a database that goes away again just after it answered is waited for, too."""
    deadline = asyncio.get_running_loop().time() + wait_s
    while True:
        await _await_database(settings, max(0.0, deadline - asyncio.get_running_loop().time()))
        try:
            async with AsyncExitStack() as undo:
                pool = await undo.enter_async_context(
                    open_pool(
                        settings.database.url.get_secret_value(),
                        application_name=f"gaswarden {purpose}",
                        size_max=settings.database.pool_max,
                        command_timeout_s=settings.database.command_timeout_s,
                    )
                )
                return pool, undo.pop_all()
        except UNREACHABLE:
            await asyncio.sleep(_RETRY_S)


async def _await_database(settings: Settings, wait_s: float) -> None:
    """Wait for a database that is still starting; one that refuses our name or password is not waited for."""
    deadline = asyncio.get_running_loop().time() + wait_s
    told = False
    while True:
        try:
            conn = await asyncpg.connect(settings.database.url.get_secret_value(), timeout=5)
        except UNREACHABLE as error:
            if asyncio.get_running_loop().time() >= deadline:
                raise CannotStart(f"the database does not answer: {error or type(error).__name__}") from error
            if not told:
                log.warning("waiting for the database", error=str(error) or type(error).__name__)
            told = True
            await asyncio.sleep(_RETRY_S)
        except (
            OSError,
            asyncpg.PostgresError,
            asyncpg.InterfaceError,
            asyncpg.InternalClientError,
            ValueError,
        ) as error:
            raise CannotStart(f"the database refuses us: {error}") from error
        else:
            await conn.close()
            return


def build(settings: Settings, pool: asyncpg.Pool, chosen: frozenset[str]) -> Mapping[str, Service]:
    """The chosen services, and the probes' own listener when it has a port."""
    builders: Mapping[str, Callable[[], Service]] = {
        "ingest": partial(_ingest, settings, pool),
        "rollup": partial(_rollup, settings, pool),
        "validation": partial(_validation, settings, pool),
        "commands": partial(_commands, settings, pool),
        "rules": partial(_rules, settings, pool),
        "notices": partial(_notices, settings, pool),
        "inspections": partial(_inspections, settings, pool),
        "campaign": partial(_campaign, settings, pool),
        "http": partial(_http, settings, pool, chosen),
    }
    if chosen & {"inspections", "campaign", "http"}:
        readable_catalogues(settings)
    services = {name: builders[name]() for name in SERVICES if name in chosen}
    if settings.http.probe_port is not None:
        services["probes"] = _probes(settings, pool, chosen)
    return services


def _ingest(settings: Settings, pool: asyncpg.Pool) -> Service:
    events_pool = partial(open_database, settings, "ingest events")
    return partial(subscriber.run, pool, settings.ingest, settings.broker, events_pool)


def _rollup(settings: Settings, pool: asyncpg.Pool) -> Service:
    return partial(rollup.run, pool, settings.rollup)


def _validation(settings: Settings, pool: asyncpg.Pool) -> Service:
    return partial(validating.run, pool, settings.validation)


def _commands(settings: Settings, pool: asyncpg.Pool) -> Service:
    return partial(dispatcher.run, pool, settings.commands, settings.broker)


def _rules(settings: Settings, pool: asyncpg.Pool) -> Service:
    events_pool = partial(open_database, settings, "rules events")
    return partial(evaluator.run, pool, packaged_rules(settings), settings.rules, events_pool=events_pool)


def packaged_rules(settings: Settings) -> Catalog:
    """The rules that are in force while no set is activated: the settings' own, or the packaged ones."""
    try:
        return catalog_at(settings.rules.file)
    except InvalidRule as error:
        raise CannotStart(f"rules: {error}") from error


def readable_catalogues(settings: Settings) -> None:
    """Raises CannotStart in one sentence when a catalogue of inspections is wrong: it would fail at its first use."""
    for file in catalogue_files(settings.roster):
        if not file.ok:
            raise CannotStart(f"{file.name}: {file.fact}")


def _notices(settings: Settings, pool: asyncpg.Pool) -> Service:
    url = settings.database.url.get_secret_value()
    return partial(notices.run, pool, packaged_rules(settings), settings.notices, url, settings.roster.zone)


def _inspections(settings: Settings, pool: asyncpg.Pool) -> Service:
    return partial(_inspect, pool, settings.roster)


async def _inspect(pool: asyncpg.Pool, params: RosterParams) -> None:
    """Duties and rosters; the figures of days beside them, so that counting a year keeps no alarm waiting."""
    async with asyncio.TaskGroup() as group:
        group.create_task(scheduler.run(pool, params))
        group.create_task(counting.run(pool, params))


def _campaign(settings: Settings, pool: asyncpg.Pool) -> Service:
    return partial(campaigning.run, pool, settings.roster)


def _http(settings: Settings, pool: asyncpg.Pool, chosen: frozenset[str]) -> Service:
    folder = unwritable(settings.evidence)
    if folder is not None:
        raise CannotStart(
            f"evidence: the folder {folder} cannot be written; set GASWARDEN_EVIDENCE__FOLDER or a bucket"
        )
    probes = _probe_routes(settings, pool, chosen) if settings.http.probe_port is None else None
    joined = Web(pool, settings.http, feature_routes(settings, pool), probes)
    Confirmation(pool).add_to(joined)
    return partial(serve, joined.application, settings.http.host, settings.http.port, settings.http.drain_s)


def _probes(settings: Settings, pool: asyncpg.Pool, chosen: frozenset[str]) -> Service:
    application = web.Application()
    _probe_routes(settings, pool, chosen).add_to(application)
    port = settings.http.probe_port or 0
    return partial(serve, application, settings.http.probe_host, port, settings.http.drain_s, "probes")


def _probe_routes(settings: Settings, pool: asyncpg.Pool, chosen: frozenset[str]) -> Probes:
    return Probes(pool, settings.ingest.slot if "ingest" in chosen else None)


def feature_routes(settings: Settings, pool: asyncpg.Pool) -> list[Route]:
    """Every route the features offer."""
    return [
        *AlertRoutes(pool, packaged_rules(settings)).table(),
        *RuleRoutes(pool, packaged_rules(settings)).table(),
        *SilenceRoutes(pool, packaged_rules(settings)).table(),
        *PrecisionRoutes(pool).table(),
        *NoticeRoutes(pool, settings.notices).table(),
        *RotaRoutes(pool, settings.notices, settings.roster.zone).table(),
        *StrangerRoutes(pool).table(),  # before `/devices/{device_id}`
        *IngestRoutes(pool).table(),
        *ProofRoutes(pool, settings.ingest.sources).table(),
        *CommandRoutes(pool, settings.commands).table(),
        *DossierRoutes(DossierDesk.of(pool, settings.dossier, settings.evidence, settings.roster)).table(),
        *PaperRoutes(pool, settings.roster).table(),
        *ReportRoutes(pool, settings.roster).table(),
        *InspectionRoutes(pool, settings.roster).table(),
        *CampaignRoutes(pool, settings.roster).table(),
        *BookingRoutes(pool, settings.roster).table(),
        *OfflineRoutes(pool, settings.roster).table(),
        *HazardRoutes(pool, settings.roster).table(),
        *EvidenceRoutes(pool, settings.evidence).table(),
        *RequestRoutes(pool, settings.roster).table(),
        *CaseRoutes(pool, settings.roster).table(),
        *EnforcementRoutes(pool, settings.roster).table(),
    ]
