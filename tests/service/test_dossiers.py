"""Dossiers of a household and an incident: what is in them, who gets them, and that making one is on the record."""

import io
import json
import zipfile
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from aiohttp.test_utils import TestClient, TestServer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import SecretStr

from app.accounts import NewAccount, add_account
from app.dossier.archive import verify_archive
from app.dossier.collect import alert_dossier, premises_dossier
from app.dossier.keys import DossierParams, new_signing_key, read_public
from app.dossier.routes import DossierRoutes
from app.web import HttpParams, Web
from inspections.planning import plan_day
from sql.actor import Actor
from sql.audit import first_broken_entry, record
from sql.errors import NotFound
from tests.service.inspections_rows import NOW, PARAMS, TOMORROW, raise_alert, settle_town

CONSOLE = Actor("console", "administrator")
KEY = Ed25519PrivateKey.generate()


def data_of(archive: bytes) -> dict[str, Any]:
    assert verify_archive(archive, KEY.public_key()).faults == ()
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        return {
            name.removeprefix("data/").removesuffix(".json"): json.loads(opened.read(name))
            for name in opened.namelist()
            if name.startswith("data/")
        }


@pytest.fixture
async def alert_id(pool: asyncpg.Pool, conn: asyncpg.Connection) -> int:
    """A leak alert at H-001 in a planned town, somebody having looked at the door."""
    await settle_town(conn)
    found = await raise_alert(conn, "H-001", evidence={"lel_pct": 25})
    await plan_day(pool, TOMORROW, PARAMS, NOW)
    await plan_day(pool, TOMORROW, PARAMS, NOW + timedelta(minutes=1))
    async with conn.transaction():
        await record(conn, CONSOLE, "premises.read", "premises:H-001", {}, NOW)
        await record(conn, CONSOLE, "premises.read", "premises:H-002", {}, NOW)
    return found


async def test_household_holds_its_own_and_nobody_elses(
    pool: asyncpg.Pool, conn: asyncpg.Connection, alert_id: int
) -> None:
    """Alert, duties, the visit in both versions, the look at it; nothing of the neighbour; audited, the chain whole."""
    data = data_of(await premises_dossier(pool, "H-001", KEY, CONSOLE))
    assert [alert["alert_id"] for alert in data["alerts"]] == [alert_id]
    assert data["alerts"][0]["evidence"] == {"lel_pct": 25}
    assert {duty["kind"] for duty in data["duties"]} == {"periodic", "alert"}
    assert [visit["version"] for visit in data["visits"]] == [1, 2]
    assert [row["subject"] for row in data["audit"] if row["action"] == "premises.read"] == ["premises:H-001"]
    assert "H-002" not in json.dumps(data)
    assert await conn.fetchval("SELECT subject FROM audit_entry WHERE action = 'dossier.make'") == "premises:H-001"
    assert await first_broken_entry(conn) is None


async def test_incident_holds_its_visits(pool: asyncpg.Pool, alert_id: int) -> None:
    """The alert, the duty it led to, the visit and the door; parts without anything are there and empty."""
    data = data_of(await alert_dossier(pool, alert_id, KEY, CONSOLE))
    assert data["alert"][0]["sentence"] == "gas at 25 % of the lower explosive limit"
    assert [duty["alert_id"] for duty in data["duties"]] == [alert_id]
    assert {visit["premises_id"] for visit in data["visits"]} == {data["premises"][0]["premises_id"]}
    assert data["commands"] == []


async def test_what_is_not_there_or_elsewhere_has_no_dossier(pool: asyncpg.Pool, alert_id: int) -> None:
    """An unknown door or alert, and one of another district, is refused, and no dossier is recorded."""
    otto = Actor("otto", "administrator", frozenset({"D02"}))
    with pytest.raises(NotFound):
        await premises_dossier(pool, "H-999", KEY, CONSOLE)
    with pytest.raises(NotFound):
        await premises_dossier(pool, "H-001", KEY, otto)
    with pytest.raises(NotFound):
        await alert_dossier(pool, alert_id, KEY, otto)
    assert await pool.fetchval("SELECT count(*) FROM audit_entry WHERE action = 'dossier.make'") == 0


async def test_only_administrators_over_http(pool: asyncpg.Pool, conn: asyncpg.Connection, alert_id: int) -> None:
    """An administrator gets an archive that the served key verifies; an officer gets none."""
    people = [NewAccount("ada", "administrator"), NewAccount("olga", "officer")]
    ada, olga = [{"Authorization": f"Bearer {await add_account(conn, one, CONSOLE, NOW)}"} for one in people]
    routes = DossierRoutes(pool, DossierParams(signing_key=SecretStr(new_signing_key()))).table()
    async with TestClient(TestServer(Web(pool, HttpParams(), routes, None).application)) as client:
        key = read_public(await (await client.get("/api/v1/dossiers/key", headers=ada)).read())
        answer = await client.get(f"/api/v1/dossiers/alerts/{alert_id}", headers=ada)
        assert answer.content_type == "application/zip"
        assert verify_archive(await answer.read(), key).faults == ()
        assert (await client.get(f"/api/v1/dossiers/alerts/{alert_id}", headers=olga)).status == 403
