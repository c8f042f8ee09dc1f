"""HTTP over a real database: who may call what, and how every refusal is told."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, date, datetime
from typing import Annotated, Any
from uuid import UUID

import asyncpg
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from pydantic import BaseModel, ConfigDict, Field

from app.accounts import NewAccount, add_account, revoke_account
from app.http_params import HttpParams
from app.probes import Probes
from app.web import Web
from sql import audit
from sql.actor import Actor
from sql.errors import Conflict, NotFound

CONSOLE = Actor("console", "administrator")
NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)


class NoteBody(BaseModel):
    """A note."""

    model_config = ConfigDict(extra="forbid")
    note: Annotated[str, Field(min_length=1, max_length=20)]


class Page(BaseModel):
    """Which part of a list."""

    limit: Annotated[int, Field(ge=1, le=500)] = 50
    state: tuple[str, ...] = ()


class Echo(BaseModel):
    """What the handler was given."""

    given: dict[str, Any]


class EchoRoutes:
    """Handlers that show what they were bound to, over the real pool."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    def table(self) -> list[tuple[str, str, frozenset[str], Callable[..., Awaitable[Any]]]]:
        """Every way of binding."""
        officer, everybody = frozenset({"officer"}), frozenset({"officer", "inspector", "administrator"})
        return [
            ("GET", "/things/{number}", officer, self.thing),
            ("GET", "/days/{day}/{code}", officer, self.day),
            ("POST", "/things/{number}/notes", officer, self.add_note),
            ("GET", "/me", everybody, self.me),
            ("DELETE", "/files/{file_id}", officer, self.delete),
            ("GET", "/csv", officer, self.csv),
            ("GET", "/rows", officer, self.rows),
            ("GET", "/text/{text}", officer, self.text),
        ]

    async def thing(self, number: int, query: Page) -> Echo:
        """One thing."""
        if number == 404:
            raise NotFound("there is no thing 404")
        if number == 409:
            raise Conflict("thing 409 is closed")
        if number == 500:
            raise KeyError("a bug")
        return Echo(given={"number": number, "limit": query.limit, "state": query.state})

    async def day(self, day: date, code: str) -> Echo:
        """One day."""
        return Echo(given={"day": day, "code": code})

    async def add_note(self, number: int, body: NoteBody, actor: Actor) -> Echo:
        """Write a note."""
        return Echo(given={"number": number, "note": body.note, "actor": actor.name})

    async def me(self, actor: Actor) -> Echo:
        """Who am I."""
        return Echo(given={"name": actor.name, "role": actor.role, "areas": actor.area_list()})

    async def delete(self, file_id: UUID) -> None:
        """Delete nothing."""
        assert file_id.version == 4

    async def csv(self) -> web.Response:
        """A table."""
        return web.Response(text="a,b\n", content_type="text/csv")

    async def rows(self) -> list[Echo]:
        """A list."""
        return [Echo(given={"n": 1}), Echo(given={"n": 2})]

    async def text(self, text: str) -> Echo:
        """Ask the database for a text."""
        async with self._pool.acquire() as conn:
            return Echo(given={"text": await conn.fetchval("SELECT $1::text", text)})


Call = Callable[..., Awaitable[tuple[int, Any, Any]]]


@pytest.fixture
async def token(conn: asyncpg.Connection) -> str:
    return await add_account(conn, NewAccount("olga", "officer"), CONSOLE, NOW)


@pytest.fixture
async def client(pool: asyncpg.Pool) -> AsyncIterator[TestClient[Any, Any]]:
    served = Web(pool, HttpParams(body_bytes_max=1024), EchoRoutes(pool).table(), Probes(pool, None))
    async with TestClient(TestServer(served.application)) as opened:
        yield opened


@pytest.fixture
def call(client: TestClient[Any, Any], token: str) -> Call:
    """Send a request as officer olga; returns status, headers and the JSON."""

    async def send(method: str, path: str, **options: Any) -> tuple[int, Any, Any]:
        headers = {"Authorization": f"Bearer {token}", **options.pop("headers", {})}
        async with client.request(method, path, headers=headers, **options) as response:
            raw = await response.read()
            return response.status, response.headers, await response.json(content_type=None) if raw else None

    return send


async def test_binds_path_query_and_many_values(call: Call) -> None:
    """Path and query parameters reach the handler in their own types, repeated ones as a list."""
    status, headers, body = await call("GET", "/api/v1/things/7?limit=3&state=a&state=b")
    assert (status, body) == (200, {"given": {"number": 7, "limit": 3, "state": ["a", "b"]}})
    assert headers["Content-Type"] == "application/json; charset=utf-8"


async def test_binds_date_and_escaped_text(call: Call) -> None:
    """A date and a percent-encoded text arrive decoded."""
    status, _, body = await call("GET", "/api/v1/days/2026-11-20/a%2Fb")
    assert (status, body["given"]) == (200, {"day": "2026-11-20", "code": "a/b"})


async def test_binds_body_and_actor(call: Call) -> None:
    """A JSON body becomes its model, and the caller is known by name."""
    status, _, body = await call("POST", "/api/v1/things/7/notes", json={"note": "seen"})
    assert (status, body["given"]) == (200, {"number": 7, "note": "seen", "actor": "olga"})


async def test_answers_lists_nothing_and_own_responses(call: Call, client: TestClient[Any, Any], token: str) -> None:
    """A list of models is JSON, None is 204, a response of the handler's own is sent as it is."""
    assert (await call("GET", "/api/v1/rows"))[2] == [{"given": {"n": 1}}, {"given": {"n": 2}}]
    assert (await call("DELETE", "/api/v1/files/0a0a0a0a-0000-4000-8000-000000000000"))[0] == 204
    async with client.get("/api/v1/csv", headers={"Authorization": f"Bearer {token}"}) as response:
        assert (response.content_type, await response.text()) == ("text/csv", "a,b\n")


REFUSALS = [
    ("GET", "/api/v1/things/404", {}, 404, "there is no thing 404", None),
    ("GET", "/api/v1/things/409", {}, 409, "thing 409 is closed", None),
    ("GET", "/api/v1/nothing", {}, 404, "There is nothing at this address.", None),
    ("PUT", "/api/v1/rows", {}, 405, "This address takes GET.", None),
    ("GET", "/api/v1/things/x", {}, 422, None, "path.number"),
    ("GET", f"/api/v1/things/{10**30}", {}, 422, None, "path.number"),
    ("GET", "/api/v1/days/2026-13-01/x", {}, 422, None, "path.day"),
    ("DELETE", "/api/v1/files/nope", {}, 422, None, "path.file_id"),
    ("GET", "/api/v1/things/1?limit=0", {}, 422, None, "query.limit"),
    ("GET", "/api/v1/things/1?limit=1&limit=2", {}, 422, "query.limit: may be given once only", "query.limit"),
    ("GET", "/api/v1/things/1?lmit=1", {}, 422, None, "query.lmit"),
    ("POST", "/api/v1/things/1/notes", {"json": {}}, 422, "body.note: Field required", "body.note"),
    ("POST", "/api/v1/things/1/notes", {"json": {"note": "a", "by": "me"}}, 422, None, "body.by"),
    (
        "POST",
        "/api/v1/things/1/notes",
        {"data": b"{", "headers": {"Content-Type": "application/json"}},
        400,
        None,
        None,
    ),
    (
        "POST",
        "/api/v1/things/1/notes",
        {"data": b"\xff", "headers": {"Content-Type": "application/json"}},
        400,
        None,
        None,
    ),
    ("POST", "/api/v1/things/1/notes", {"data": {"note": "a"}}, 415, None, None),
    ("POST", "/api/v1/things/1/notes", {"json": {"note": "x" * 2000}}, 413, None, None),
    ("GET", "/api/v1/text/a%00b", {}, 422, None, None),
]


@pytest.mark.parametrize(
    ("method", "path", "options", "status", "detail", "field"), REFUSALS, ids=lambda value: str(value)[:40]
)
async def test_refusal(
    call: Call, method: str, path: str, options: dict[str, Any], status: int, detail: str | None, field: str | None
) -> None:
    """Every refusal is a problem document with its status, its sentence, and the field at fault."""
    got, headers, body = await call(method, path, **options)
    assert (got, body["status"]) == (status, status)
    assert headers["Content-Type"].startswith("application/problem+json")
    assert body["detail"] == (detail or body["detail"])
    assert body["request_id"] == headers["X-Request-Id"]
    if field is not None:
        assert [error["field"] for error in body["errors"]] == [field]


async def test_bug_is_500_without_its_words(call: Call) -> None:
    """A KeyError in a handler is our fault: 500, not 404, and its words stay in the log."""
    status, _, body = await call("GET", "/api/v1/things/500")
    assert status == 500
    assert "bug" not in str(body)


@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer ", "Basic b2xnYTp4", "Bearer nope", "Bearer \xe9"]
)
async def test_no_valid_token_is_401(client: TestClient[Any, Any], authorization: str | None) -> None:
    """Without a known token nothing is told but how to authenticate."""
    headers = {} if authorization is None else {"Authorization": authorization}
    async with client.get("/api/v1/me", headers=headers) as response:
        assert response.status == 401
        assert response.headers["WWW-Authenticate"].startswith('Bearer realm="gaswarden"')


async def test_revoked_token_is_refused_at_once(call: Call, conn: asyncpg.Connection) -> None:
    """A token works until its account is revoked, and not once afterwards."""
    assert (await call("GET", "/api/v1/me"))[0] == 200
    await revoke_account(conn, "olga", CONSOLE, NOW)
    assert (await call("GET", "/api/v1/me"))[0] == 401


async def test_other_role_is_403(call: Call, conn: asyncpg.Connection) -> None:
    """A role outside the route's is refused, by name."""
    token = await add_account(conn, NewAccount("adam", "administrator"), CONSOLE, NOW)
    status, _, body = await call("GET", "/api/v1/rows", headers={"Authorization": f"Bearer {token}"})
    assert (status, body["detail"]) == (403, "The role administrator may not do this; it takes officer.")


async def test_areas_include_child_districts(call: Call, conn: asyncpg.Connection) -> None:
    """An account of a district covers the districts below it and no other."""
    await conn.execute("INSERT INTO district (code, name) VALUES ('C', 'city'), ('X', 'other')")
    await conn.execute(
        "INSERT INTO district (code, name, parent_id) SELECT 'C1', 'c', district_id FROM district WHERE code = 'C'"
    )
    await conn.execute(
        "INSERT INTO district (code, name, parent_id) SELECT 'C11', 'c', district_id FROM district WHERE code = 'C1'"
    )
    for areas, covered in ((("C1",), ["C1", "C11"]), (("C",), ["C", "C1", "C11"]), ((), [])):
        name = f"o-{len(covered)}"
        token = await add_account(conn, NewAccount(name, "officer", areas), CONSOLE, NOW)
        _, _, body = await call("GET", "/api/v1/me", headers={"Authorization": f"Bearer {token}"})
        assert body["given"] == {"name": name, "role": "officer", "areas": covered}


async def test_account_refusals(conn: asyncpg.Connection) -> None:
    """A second account of a name, an unknown district and an inspector without a code are refused, and not audited."""
    await add_account(conn, NewAccount("olga", "officer"), CONSOLE, NOW)
    before = await conn.fetchval("SELECT count(*) FROM audit_entry")
    with pytest.raises(Conflict, match="olga already"):
        await add_account(conn, NewAccount("olga", "officer"), CONSOLE, NOW)
    with pytest.raises(NotFound, match="no district has the code Z9"):
        await add_account(conn, NewAccount("omar", "officer", ("Z9",)), CONSOLE, NOW)
    with pytest.raises(Conflict, match="names its inspector"):
        await add_account(conn, NewAccount("ines", "inspector"), CONSOLE, NOW)
    with pytest.raises(NotFound, match="no account nobody"):
        await revoke_account(conn, "nobody", CONSOLE, NOW)
    assert await conn.fetchval("SELECT count(*) FROM audit_entry") == before
    assert await audit.first_broken_entry(conn) is None


async def test_request_id_is_kept_or_made(call: Call) -> None:
    """A sane request id of the caller comes back, an insane one is replaced."""
    assert (await call("GET", "/api/v1/me", headers={"X-Request-Id": "abc-1"}))[1]["X-Request-Id"] == "abc-1"
    assert len((await call("GET", "/api/v1/me", headers={"X-Request-Id": "a b"}))[1]["X-Request-Id"]) == 32


async def test_probes_answer_without_token(client: TestClient[Any, Any]) -> None:
    """Alive, ready and metrics are open, and ready names what it looked at and which process answers."""
    async with client.get("/healthz") as response:
        assert response.status == 200
    async with client.get("/readyz") as response:
        body = await response.json()
        assert (response.status, set(body["checks"])) == (200, {"database", "migrations"})
        assert body["process"] == os.getpid()
    async with client.get("/metrics") as response:
        assert 'gaswarden_http_requests_total{method="GET",route="/healthz",status="200"}' in await response.text()


async def test_not_ready_names_the_reason(pool: asyncpg.Pool, db: Any) -> None:
    """Without its migrations, and with a worker that has no broker, a process is alive but not ready, and says why."""
    admin = await asyncpg.connect(db.admin_url)
    await admin.execute("DELETE FROM schema_migration")
    await admin.close()
    application = web.Application()
    Probes(pool, "east").add_to(application)
    async with TestClient(TestServer(application)) as opened, opened.get("/readyz") as response:
        body = await response.json()
    assert response.status == 503
    assert body["checks"]["database"] == {"ok": True, "reason": None}
    assert body["checks"]["migrations"]["reason"].startswith("not applied: 0001_initial.sql")
    assert body["checks"]["broker"]["reason"] == "the ingest worker of slot east is not connected to the broker"


async def test_openapi_is_served_and_shown(call: Call, client: TestClient[Any, Any]) -> None:
    """The document names every path, its parameters, bodies and answers; the page shows it and loads nothing."""
    _, _, document = await call("GET", "/api/v1/openapi.json")
    assert document["openapi"] == "3.1.0"
    assert set(document["paths"]) == {path for _, path, *_ in EchoRoutes.table(EchoRoutes.__new__(EchoRoutes))}
    note = document["paths"]["/things/{number}/notes"]["post"]
    assert note["summary"] == "Write a note."
    assert note["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/NoteBody"}
    assert note["responses"]["200"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Echo"}
    assert [p["name"] for p in document["paths"]["/things/{number}"]["get"]["parameters"]] == [
        "number",
        "limit",
        "state",
    ]
    async with client.get("/api/v1/docs") as response:
        shown = await response.text()
    assert "/days/{day}/{code}" in shown
    assert "src=" not in shown
    assert "http://" not in shown.replace("http://www.w3.org", "")
