"""The desk over HTTP: every feature's routes behind one door."""

from functools import partial

import asyncpg

from app.binding import Route
from app.confirmation import Confirmation
from app.dossier.collect import DossierDesk
from app.dossier.routes import DossierRoutes
from app.packaged import packaged_rules, readable_catalogues
from app.services import CannotStart
from app.services.probes import probes_of
from app.settings import Settings
from app.supervision import Service
from app.web import Web, serve
from ingest.commanding.routes import CommandRoutes
from ingest.proof_routes import ProofRoutes
from ingest.routes import IngestRoutes
from ingest.stranger_routes import StrangerRoutes
from inspections.booking_routes import BookingRoutes
from inspections.campaign_routes import CampaignRoutes
from inspections.case_routes import CaseRoutes
from inspections.enforcement_routes import EnforcementRoutes
from inspections.evidence_routes import EvidenceRoutes
from inspections.hazard_routes import HazardRoutes
from inspections.objects import unwritable
from inspections.offline_routes import OfflineRoutes
from inspections.printing.paper_routes import PaperRoutes
from inspections.report_routes import ReportRoutes
from inspections.request_routes import RequestRoutes
from inspections.routes import InspectionRoutes
from rules.notices.routes import NoticeRoutes
from rules.precision_routes import PrecisionRoutes
from rules.rota.routes import RotaRoutes
from rules.routes import AlertRoutes
from rules.rule_routes import RuleRoutes
from rules.silence_routes import SilenceRoutes


def build(settings: Settings, pool: asyncpg.Pool, chosen: frozenset[str]) -> Service:
    """The web service; it answers the probes when they have no port of their own."""
    readable_catalogues(settings)
    folder = unwritable(settings.evidence)
    if folder is not None:
        raise CannotStart(
            f"evidence: the folder {folder} cannot be written; set GASWARDEN_EVIDENCE__FOLDER or a bucket"
        )
    probes = probes_of(settings, pool, chosen) if settings.http.probe_port is None else None
    joined = Web(pool, settings.http, feature_routes(settings, pool), probes)
    Confirmation(pool).add_to(joined)
    return partial(serve, joined.application, settings.http.host, settings.http.port, settings.http.drain_s)


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
