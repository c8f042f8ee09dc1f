"""Dossiers of a household and an incident: what is in them, who gets them, and that making one is on the record."""

import hashlib
import io
import json
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from aiohttp.test_utils import TestClient, TestServer
from pydantic import SecretStr

from app.accounts import NewAccount, add_account
from app.dossier.archive import verify_archive
from app.dossier.collect import DossierDesk, alert_dossier, premises_dossier
from app.dossier.keys import DossierParams, new_signing_key, read_public
from app.dossier.routes import DossierRoutes
from app.http_params import HttpParams
from app.web import Web
from inspections.evidence_params import EvidenceParams
from inspections.objects import ObjectsUnreachable
from inspections.planning import plan_day
from sql import queries
from sql.actor import Actor
from sql.audit import first_broken_entry, record
from sql.errors import NotFound
from tests.service.inspections_rows import NOW, PARAMS, TOMORROW, raise_alert, settle_town, visit_of
from tests.service.rules_rows import insert

CONSOLE = Actor("console", "administrator")
SIGNING = DossierParams(signing_key=SecretStr(new_signing_key()))
KEY = SIGNING.key()
PHOTO = b"\xff\xd8 as if it were a photo"


def desk_of(pool: asyncpg.Pool, folder: Path, params: DossierParams = SIGNING) -> DossierDesk:
    return DossierDesk.of(pool, params, EvidenceParams(folder=folder), PARAMS)


@pytest.fixture
def desk(pool: asyncpg.Pool, tmp_path: Path) -> DossierDesk:
    """Makes dossiers of this test's rows and of the files in a folder of its own."""
    return desk_of(pool, tmp_path)


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
    desk: DossierDesk, conn: asyncpg.Connection, alert_id: int
) -> None:
    """Alert, duties, the visit in both versions, the look at it; nothing of the neighbour; audited, the chain whole."""
    data = data_of((await premises_dossier(desk, "H-001", CONSOLE)).archive)
    assert [alert["alert_id"] for alert in data["alerts"]] == [alert_id]
    assert data["alerts"][0]["evidence"] == {"lel_pct": 25}
    assert {duty["kind"] for duty in data["duties"]} == {"periodic", "alert"}
    assert [visit["version"] for visit in data["visits"]] == [1, 2]
    assert [row["subject"] for row in data["audit"] if row["action"] == "premises.read"] == ["premises:H-001"]
    assert "H-002" not in json.dumps(data)
    assert await conn.fetchval("SELECT subject FROM audit_entry WHERE action = 'dossier.make'") == "premises:H-001"
    assert await first_broken_entry(conn) is None


async def test_incident_holds_its_visits(desk: DossierDesk, alert_id: int) -> None:
    """The alert, the duty it led to, the visit and the door; parts without anything are there and empty."""
    data = data_of((await alert_dossier(desk, alert_id, CONSOLE)).archive)
    assert data["alert"][0]["sentence"] == "gas at 25 % of the lower explosive limit"
    assert [duty["alert_id"] for duty in data["duties"]] == [alert_id]
    assert {visit["premises_id"] for visit in data["visits"]} == {data["premises"][0]["premises_id"]}
    assert data["commands"] == []


async def test_what_is_not_there_or_elsewhere_has_no_dossier(
    pool: asyncpg.Pool, desk: DossierDesk, alert_id: int
) -> None:
    """An unknown door or alert, and one of another district, is refused, and no dossier is recorded."""
    otto = Actor("otto", "administrator", frozenset({"D02"}))
    with pytest.raises(NotFound):
        await premises_dossier(desk, "H-999", CONSOLE)
    with pytest.raises(NotFound):
        await premises_dossier(desk, "H-001", otto)
    with pytest.raises(NotFound):
        await alert_dossier(desk, alert_id, otto)
    assert await pool.fetchval("SELECT count(*) FROM audit_entry WHERE action = 'dossier.make'") == 0


async def test_only_administrators_over_http(
    pool: asyncpg.Pool, desk: DossierDesk, conn: asyncpg.Connection, alert_id: int
) -> None:
    """An administrator gets an archive that the served key verifies; an officer gets none."""
    people = [NewAccount("ada", "administrator"), NewAccount("olga", "officer")]
    ada, olga = [{"Authorization": f"Bearer {await add_account(conn, one, CONSOLE, NOW)}"} for one in people]
    routes = DossierRoutes(desk).table()
    async with TestClient(TestServer(Web(pool, HttpParams(), routes, None).application)) as client:
        key = read_public(await (await client.get("/api/v1/dossiers/key", headers=ada)).read())
        answer = await client.get(f"/api/v1/dossiers/alerts/{alert_id}", headers=ada)
        assert answer.content_type == "application/zip"
        assert verify_archive(await answer.read(), key).faults == ()
        assert (await client.get(f"/api/v1/dossiers/alerts/{alert_id}", headers=olga)).status == 403


async def keep(conn: asyncpg.Connection, folder: Path, visit_id: int, content: bytes, found: bytes | None) -> int:
    """A photo of a visit as it was recorded, and what of it lies in the folder by now."""
    digest = hashlib.sha256(content)
    row = {"client_id": uuid4(), "kind": "photo", "media_type": "image/jpeg", "size_bytes": len(content)}
    times = {"taken_at": NOW, "received_at": NOW, "actor": "ines"}
    key = f"xx/{digest.hexdigest()}"
    named = {"visit_id": visit_id, "sha256": digest.digest(), "object_key": key}
    if found is not None:
        (folder / "xx").mkdir(exist_ok=True)
        (folder / key).write_bytes(found)
    return await insert(conn, "evidence", "evidence_id", **(row | named | times))


async def test_photographs_are_in_it_or_named(
    pool: asyncpg.Pool, desk: DossierDesk, conn: asyncpg.Connection, alert_id: int, tmp_path: Path
) -> None:
    """Of the household and of the incident: whole as it was taken, else missing, corrupt or left out by name."""
    visit_id = await visit_of(conn, "H-001")
    assert visit_id is not None
    whole = await keep(conn, tmp_path, visit_id, PHOTO, PHOTO)
    missing = await keep(conn, tmp_path, visit_id, PHOTO + b"1", None)
    corrupt = await keep(conn, tmp_path, visit_id, PHOTO + b"2", PHOTO)
    neighbour = await visit_of(conn, "H-002")
    assert neighbour is not None
    await keep(conn, tmp_path, neighbour, PHOTO + b"3", PHOTO + b"3")
    for made in (await premises_dossier(desk, "H-001", CONSOLE), await alert_dossier(desk, alert_id, CONSOLE)):
        verdict = verify_archive(made.archive, KEY.public_key())
        assert verdict.faults == ()
        standing = {item["evidence_id"]: item["standing"] for item in verdict.manifest["evidence"]}
        assert standing == {whole: "whole", missing: "missing", corrupt: "corrupt"}
        assert [sentence.split(" (")[0] for sentence in verdict.lacking] == [
            f"evidence {missing}",
            f"evidence {corrupt}",
        ]
        assert made.lacking == verdict.lacking
        with zipfile.ZipFile(io.BytesIO(made.archive)) as opened:
            assert opened.read(f"evidence/{whole}-photo.jpg") == PHOTO
    small = desk_of(pool, tmp_path, SIGNING.model_copy(update={"evidence_bytes_max": len(PHOTO) - 1}))
    assert len((await premises_dossier(small, "H-001", CONSOLE)).lacking) == 3


async def test_store_out_of_reach_is_no_missing_photograph(
    conn: asyncpg.Connection, pool: asyncpg.Pool, alert_id: int, tmp_path: Path
) -> None:
    """While the store cannot be read nothing is called missing: there is no dossier, and none is recorded."""
    visit_id = await visit_of(conn, "H-001")
    assert visit_id is not None
    await keep(conn, tmp_path, visit_id, PHOTO, None)
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(ObjectsUnreachable):
        await premises_dossier(desk_of(pool, tmp_path / "file"), "H-001", CONSOLE)
    assert await conn.fetchval("SELECT count(*) FROM audit_entry WHERE action = 'dossier.make'") == 0


async def test_audit_of_a_thing_is_found_by_index(conn: asyncpg.Connection) -> None:
    """Among many entries the few about a door are looked up, not searched for."""
    await conn.execute(
        """INSERT INTO audit_entry (at, actor, role, action, subject, details, digest)
           SELECT now(), 'x', 'officer', 'premises.read', 'premises:' || n, '{}', '\\x00'
           FROM generate_series(1, 5000) n"""
    )
    await conn.execute("ANALYZE audit_entry")
    text, *arguments = queries["dossier_audit"].bind(subjects=["premises:17", "visit:3"])
    plan = "\n".join(row[0] for row in await conn.fetch(f"EXPLAIN {text}", *arguments))
    assert "audit_entry_subject_idx" in plan
    assert "Seq Scan" not in plan
