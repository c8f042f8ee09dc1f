"""Reads everything known of a household or an incident, in one snapshot, and makes the signed archive of it."""

import asyncio
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import asyncpg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.dossier.archive import About, build_archive, lacking_of
from app.dossier.evidence import Kept, gather_evidence
from app.dossier.keys import DossierParams, public_pem
from app.dossier.paper import Printed, summary_pdf
from app.dossier.summary import summary_page
from inspections.evidence_params import EvidenceParams
from inspections.hazards import load_hazards
from inspections.objects import Objects
from inspections.params import RosterParams
from inspections.printing.paper import FontMissing
from sql import audit, queries
from sql.actor import Actor
from sql.errors import Conflict, NotFound

Parts = dict[str, list[dict[str, Any]]]
_OF_PREMISES = (
    "dossier_premises_premises",
    "dossier_premises_devices",
    "dossier_premises_readings_by_day",
    "dossier_premises_reading_findings",
    "dossier_premises_events",
    "dossier_premises_alerts",
    "dossier_premises_alert_steps",
    "dossier_premises_duties",
    "dossier_premises_promises",
    "dossier_premises_visits",
    "dossier_premises_outcomes",
    "dossier_premises_reports_in_conflict",
    "dossier_premises_evidence",
    "dossier_premises_notice_cards",
    "dossier_premises_hazards",
    "dossier_premises_hazard_steps",
    "dossier_premises_requests",
    "dossier_premises_request_steps",
    "dossier_premises_cases",
    "dossier_premises_case_steps",
    "dossier_premises_enforcement",
    "dossier_premises_commands",
    "dossier_premises_command_steps",
)
_OF_ALERT = (
    "dossier_alert_alert",
    "dossier_alert_alert_steps",
    "dossier_alert_episodes",
    "dossier_alert_premises",
    "dossier_alert_readings",
    "dossier_alert_events",
    "dossier_alert_notices",
    "dossier_alert_duties",
    "dossier_alert_visits",
    "dossier_alert_outcomes",
    "dossier_alert_evidence",
    "dossier_alert_hazards",
    "dossier_alert_hazard_steps",
    "dossier_alert_commands",
    "dossier_alert_command_steps",
)
_SUBJECTS = {
    "alerts": "alert",
    "alert": "alert",
    "duties": "duty",
    "visits": "visit",
    "outcomes": "outcome",
    "evidence": "evidence",
    "hazards": "hazard",
    "requests": "request",
    "cases": "case",
    "commands": "command",
    "enforcement": "enforcement",
}


@dataclass(frozen=True, slots=True)
class DossierDesk:
    """What making dossiers needs: the rows, the files of evidence, the key, and how paper names things."""

    pool: asyncpg.Pool
    objects: Objects
    params: DossierParams
    printed: Printed

    @classmethod
    def of(
        cls, pool: asyncpg.Pool, params: DossierParams, evidence: EvidenceParams, roster: RosterParams
    ) -> "DossierDesk":
        """The desk of these settings."""
        titles = {code: kind.title for code, kind in load_hazards(roster.hazards_file).kinds.items()}
        return cls(pool, Objects(evidence), params, Printed(roster.printing, roster.zone, titles))


@dataclass(frozen=True, slots=True)
class Dossier:
    """A signed archive, and a sentence for each file of evidence that it had to go without."""

    archive: bytes
    lacking: tuple[str, ...]


async def premises_dossier(desk: DossierDesk, code: str, actor: Actor) -> Dossier:
    """The archive of a household; audited with its digest.

    Raises NotFound, Conflict (no key, no font), or ObjectsUnreachable: what cannot be read now is not called missing.
    """
    key = desk.params.key()
    async with desk.pool.acquire() as conn, conn.transaction(isolation="repeatable_read", readonly=True):
        door = await conn.fetchrow(*queries["premises_by_code"].bind(code=code, areas=actor.area_list()))
        if door is None:
            raise NotFound(f"premises {code} does not exist")
        parts = await _parts(conn, "premises", _OF_PREMISES, {"premises_id": door["premises_id"]})
        parts["audit"] = await _audit(conn, [f"premises:{code}", *_subjects(parts)])
    return await _made(desk, "premises", code, parts, key, actor)


async def alert_dossier(desk: DossierDesk, alert_id: int, actor: Actor) -> Dossier:
    """The archive of an incident; audited with its digest. Raises as `premises_dossier`."""
    key = desk.params.key()
    async with desk.pool.acquire() as conn, conn.transaction(isolation="repeatable_read", readonly=True):
        area = await conn.fetchval(*queries["dossier_alert_area"].bind(alert_id=alert_id))
        if area is None or not actor.covers(area):
            raise NotFound(f"alert {alert_id} does not exist")
        parts = await _parts(conn, "alert", _OF_ALERT, {"alert_id": alert_id})
        parts["audit"] = await _audit(conn, [f"alert:{alert_id}", *_subjects(parts)])
    return await _made(desk, "alert", str(alert_id), parts, key, actor)


async def _parts(conn: asyncpg.Connection, kind: str, names: Sequence[str], bound: Mapping[str, int]) -> Parts:
    """The rows of each query, under its name without the prefix that it shares with the others."""
    parts: Parts = {}
    for name in names:
        rows = await conn.fetch(*queries[name].bind(**bound))
        parts[name.removeprefix(f"dossier_{kind}_")] = [row["known"] for row in rows]
    return parts


async def _audit(conn: asyncpg.Connection, subjects: Sequence[str]) -> list[dict[str, Any]]:
    rows = await conn.fetch(*queries["dossier_audit"].bind(subjects=sorted(set(subjects))))
    return [row["known"] for row in rows]


def _subjects(parts: Parts) -> list[str]:
    """What the audit calls the things of these parts."""
    return [
        f"{word}:{row[f'{word}_id']}"
        for name, word in _SUBJECTS.items()
        for row in parts.get(name, [])
        if f"{word}_id" in row
    ]


async def _made(
    desk: DossierDesk, kind: str, subject: str, parts: Parts, key: Ed25519PrivateKey, actor: Actor
) -> Dossier:
    at = datetime.now(UTC)
    about = About(kind, subject, at, actor.name)
    kept = await gather_evidence(desk.objects, parts["evidence"], desk.params.evidence_bytes_max)
    try:
        archive = await asyncio.to_thread(_archive, about, parts, kept, key, desk.printed)
    except FontMissing as missing:
        raise Conflict(str(missing)) from missing
    lacking = tuple(lacking_of([asdict(item) for item in kept.items]))
    said = {"sha256": hashlib.sha256(archive).hexdigest(), "bytes": len(archive), "evidence_lacking": len(lacking)}
    async with desk.pool.acquire() as conn, conn.transaction():
        await audit.record(conn, actor, "dossier.make", f"{kind}:{subject}", said, at)
    return Dossier(archive, lacking)


def _archive(about: About, parts: Parts, kept: Kept, key: Ed25519PrivateKey, printed: Printed) -> bytes:
    files = {
        f"data/{name}.json": json.dumps(rows, ensure_ascii=False, indent=1).encode() for name, rows in parts.items()
    }
    files |= kept.files
    files |= {
        "summary.html": summary_page(about, parts, kept.items).encode(),
        "summary.pdf": summary_pdf(about, parts, kept, printed),
        "public_key.pem": public_pem(key),
    }
    return build_archive(about, files, key, kept.items)
