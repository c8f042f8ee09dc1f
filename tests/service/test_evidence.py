"""Evidence over HTTP: kept by content in a folder or in S3, judged, limited, and named by receipts that lack it."""

import io
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from aiohttp import ClientSession
from aiohttp.test_utils import TestClient, TestServer
from moto.server import ThreadedMotoServer
from PIL import Image
from pydantic import SecretStr

from app.accounts import NewAccount, add_account
from app.http_params import HttpParams
from app.web import Web
from inspections.evidence_params import EvidenceParams
from inspections.evidence_routes import EvidenceRoutes
from inspections.objects import Objects
from inspections.routes import InspectionRoutes
from sql.actor import Actor
from tests.service.inspections_rows import PARAMS, plan_visit, settle_town

NOW = datetime.now(UTC)
Send = Callable[..., Any]


def picture(color: str = "red", size: tuple[int, int] = (40, 30)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, color).save(out, "JPEG")
    return out.getvalue()


@pytest.fixture
async def send(pool: asyncpg.Pool, conn: asyncpg.Connection, tmp_path: Path) -> AsyncIterator[Send]:
    """Send a request as olga (office), ines (I-1) or ida (I-2); files go to a folder of this test."""
    await settle_town(conn, homes=2)
    accounts = [
        NewAccount("olga", "officer"),
        NewAccount("ines", "inspector", inspector_code="I-1"),
        NewAccount("ida", "inspector", inspector_code="I-2"),
    ]
    tokens = {one.name: await add_account(conn, one, Actor("console", "administrator"), NOW) for one in accounts}
    kept = EvidenceParams(folder=tmp_path / "kept", bytes_max=4096, pixels_max=10_000, per_visit_max=2)
    routes = [*EvidenceRoutes(pool, kept).table(), *InspectionRoutes(pool, PARAMS).table()]
    async with TestClient(TestServer(Web(pool, HttpParams(), routes, None).application)) as client:

        async def request(method: str, path: str, as_: str = "ines", **options: Any) -> tuple[int, Any]:
            headers = {"Authorization": f"Bearer {tokens[as_]}"}
            async with client.request(method, f"/api/v1{path}", headers=headers, **options) as response:
                text = "json" in response.content_type
                return response.status, await (response.json(content_type=None) if text else response.read())

        yield request


async def test_a_photo_is_kept_once_and_shown_to_its_own(send: Send, conn: asyncpg.Connection) -> None:
    """Sent twice it is one row and comes back byte by byte; another inspector does not find it; looks are audited."""
    visit_id, _ = await plan_visit(conn, "H-001", NOW - timedelta(hours=1))
    query = {"kind": "photo", "taken_at": NOW.isoformat()}
    path = f"/visits/{visit_id}/evidence/{uuid4()}"
    status, kept = await send("PUT", path, params=query, data=picture())
    assert (status, kept["media_type"], kept["width_px"]) == (200, "image/jpeg", 40)
    assert (await send("PUT", path, params=query, data=picture()))[1] == kept
    assert (await send("PUT", path, params=query, data=picture("blue")))[0] == 409
    assert (await send("GET", f"/evidence/{kept['evidence_id']}", as_="olga"))[1] == picture()
    assert (await send("GET", f"/evidence/{kept['evidence_id']}", as_="ida"))[0] == 404
    assert [one["sha256"] for one in (await send("GET", f"/visits/{visit_id}/evidence"))[1]] == [kept["sha256"]]
    actions = await conn.fetch("SELECT action FROM audit_entry WHERE action LIKE 'evidence.%' ORDER BY audit_id")
    assert [row["action"] for row in actions] == ["evidence.add", "evidence.read"]


@pytest.mark.parametrize(
    ("kind", "content", "words"),
    [
        ("photo", b"<svg onload=alert(1)>", "no whole image"),
        ("photo", picture()[:200], "no whole image"),
        ("photo", b"x" * 5000, "larger than 4096"),
        ("photo", b"", "is empty"),
        ("photo", picture(size=(200, 200)), "more than 10000 pixels"),
        ("document", picture(), "is a PDF"),
    ],
    ids=["no image", "cut short", "too large", "empty", "too many pixels", "no document"],
)
async def test_what_is_not_what_it_says_is_refused(
    send: Send, conn: asyncpg.Connection, kind: str, content: bytes, words: str
) -> None:
    """By content and limits, as a field error; nothing is kept."""
    visit_id, _ = await plan_visit(conn, "H-001", NOW - timedelta(hours=1))
    query = {"kind": kind, "taken_at": NOW.isoformat()}
    status, problem = await send("PUT", f"/visits/{visit_id}/evidence/{uuid4()}", params=query, data=content)
    assert (status, problem["errors"][0]["field"]) == (422, "body.content")
    assert words in problem["detail"]
    assert await conn.fetchval("SELECT count(*) FROM evidence") == 0


async def test_a_receipt_names_the_evidence_that_lacks(send: Send, conn: asyncpg.Connection) -> None:
    """A grade-1 hazard asks for a photo and an instrument reading; the report that brings both lacks neither."""
    said = {"result": "hazard_found", "at": NOW.isoformat(), "hazards": [{"code": "leak"}]}
    visit_id, _ = await plan_visit(conn, "H-001", NOW - timedelta(hours=1))
    _, receipt = await send("POST", f"/visits/{visit_id}/outcome", json=said | {"client_id": str(uuid4())})
    assert receipt["follow_up"]["lacking"] == ["answers", "evidence.photo", "evidence.reading"]
    visit_id, _ = await plan_visit(conn, "H-002", NOW - timedelta(hours=1))
    proof = {
        "client_id": str(uuid4()),
        "readings": [{"value": 120, "unit": "ppm", "instrument": "D-7"}],
        "evidence": [{"client_id": str(uuid4()), "kind": "photo"}],
        "position": {"latitude": 31.8, "longitude": 117.2, "accuracy_m": 8},
    }
    _, receipt = await send("POST", f"/visits/{visit_id}/outcome", json=said | proof)
    assert receipt["follow_up"]["lacking"] == ["answers"]


@pytest.fixture
def s3() -> Iterator[EvidenceParams]:
    """A bucket on a server of this test."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield EvidenceParams(
        s3_bucket="evidence",
        s3_endpoint=f"http://{host}:{port}",
        s3_access_key_id=SecretStr("test"),
        s3_secret_access_key=SecretStr("test"),
    )
    server.stop()


async def test_objects_in_s3(s3: EvidenceParams) -> None:
    """The same interface over S3: what is put is got, byte by byte; what is not there is missing."""
    await _make_bucket(s3)
    objects = Objects(s3)
    await objects.put("ab/abc", picture())
    assert await objects.get("ab/abc") == picture()
    with pytest.raises(FileNotFoundError):
        await objects.get("ab/none")


async def _make_bucket(s3: EvidenceParams) -> None:
    async with ClientSession() as session, session.put(f"{s3.s3_endpoint}/{s3.s3_bucket}") as response:
        assert response.status == 200
