"""Reads everything known of a household or an incident, in one snapshot, and makes the signed archive of it."""

import asyncio
import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import asyncpg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.dossier.archive import About, build_archive
from app.dossier.keys import public_pem
from app.dossier.summary import summary_page
from sql import audit, queries
from sql.actor import Actor
from sql.errors import NotFound

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
    "dossier_premises_hazards",
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
    "dossier_alert_hazards",
    "dossier_alert_commands",
    "dossier_alert_command_steps",
)
_SUBJECTS = {
    "alerts": "alert",
    "alert": "alert",
    "duties": "duty",
    "visits": "visit",
    "outcomes": "outcome",
    "hazards": "hazard",
    "requests": "request",
    "cases": "case",
    "commands": "command",
    "enforcement": "enforcement",
}


async def premises_dossier(pool: asyncpg.Pool, code: str, key: Ed25519PrivateKey, actor: Actor) -> bytes:
    """The archive of a household; audited with its digest. Raises NotFound."""
    async with pool.acquire() as conn, conn.transaction(isolation="repeatable_read", readonly=True):
        door = await conn.fetchrow(*queries["premises_by_code"].bind(code=code, areas=actor.area_list()))
        if door is None:
            raise NotFound(f"premises {code} does not exist")
        parts = await _parts(conn, "premises", _OF_PREMISES, {"premises_id": door["premises_id"]})
        parts["audit"] = await _audit(conn, [f"premises:{code}", *_subjects(parts)])
    return await _made(pool, "premises", code, parts, key, actor)


async def alert_dossier(pool: asyncpg.Pool, alert_id: int, key: Ed25519PrivateKey, actor: Actor) -> bytes:
    """The archive of an incident; audited with its digest. Raises NotFound."""
    async with pool.acquire() as conn, conn.transaction(isolation="repeatable_read", readonly=True):
        area = await conn.fetchval(*queries["dossier_alert_area"].bind(alert_id=alert_id))
        if area is None or not actor.covers(area):
            raise NotFound(f"alert {alert_id} does not exist")
        parts = await _parts(conn, "alert", _OF_ALERT, {"alert_id": alert_id})
        parts["audit"] = await _audit(conn, [f"alert:{alert_id}", *_subjects(parts)])
    return await _made(pool, "alert", str(alert_id), parts, key, actor)


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
    pool: asyncpg.Pool, kind: str, subject: str, parts: Parts, key: Ed25519PrivateKey, actor: Actor
) -> bytes:
    at = datetime.now(UTC)
    about = About(kind, subject, at, actor.name)
    archive = await asyncio.to_thread(_archive, about, parts, key)
    said = {"sha256": hashlib.sha256(archive).hexdigest(), "bytes": len(archive)}
    async with pool.acquire() as conn, conn.transaction():
        await audit.record(conn, actor, "dossier.make", f"{kind}:{subject}", said, at)
    return archive


def _archive(about: About, parts: Parts, key: Ed25519PrivateKey) -> bytes:
    files = {
        f"data/{name}.json": json.dumps(rows, ensure_ascii=False, indent=1).encode() for name, rows in parts.items()
    }
    files |= {"summary.html": summary_page(about, parts).encode(), "public_key.pem": public_pem(key)}
    return build_archive(about, files, key)
