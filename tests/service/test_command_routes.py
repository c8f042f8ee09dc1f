"""Commands over HTTP: who may ask, approve and look, within their areas, and that every deed is recorded."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from aiohttp.test_utils import TestClient, TestServer

from app.accounts import NewAccount, add_account
from app.http_params import HttpParams
from app.web import Web
from ingest.commanding.routes import CommandRoutes
from sql.actor import Actor
from tests.servers import Database
from tests.service.rules_rows import NOW, Town, make_inspector, make_town

CONSOLE = Actor("console", "administrator")


class Desk:
    """An HTTP client with one token per person."""

    def __init__(self, client: TestClient[Any, Any], tokens: dict[str, str]) -> None:
        self._client, self._tokens = client, tokens

    async def get(self, path: str, who: str = "olga", status: int = 200, **query: Any) -> Any:
        return await self._call("GET", path, who, status, params=query)

    async def post(self, path: str, who: str = "olga", status: int = 200, **body: Any) -> Any:
        return await self._call("POST", path, who, status, json=body)

    async def ask(self, device_id: int, valve: str = "close", who: str = "olga", status: int = 200, **more: Any) -> Any:
        body = {"client_id": str(uuid4()), "valve": valve, "note": "smell of gas"} | more
        return await self.post(f"/devices/{device_id}/commands", who, status, **body)

    async def _call(self, method: str, path: str, who: str, status: int, **sent: Any) -> Any:
        headers = {"Authorization": f"Bearer {self._tokens[who]}"}
        async with self._client.request(method, f"/api/v1{path}", headers=headers, **sent) as response:
            assert response.status == status, await response.text()
            return await response.json()


@pytest.fixture
async def town(conn: asyncpg.Connection) -> Town:
    await make_town(conn, "D02")
    return await make_town(conn, "D01")


@pytest.fixture
async def desk(pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town) -> AsyncIterator[Desk]:
    await make_inspector(conn, "I-1")
    accounts = [
        NewAccount("olga", "officer"),
        NewAccount("boris", "officer", ("D01",)),
        NewAccount("sam", "officer", ("D02",)),
        NewAccount("ines", "inspector", ("D01",), "I-1"),
    ]
    tokens = {account.name: await add_account(conn, account, CONSOLE, NOW) for account in accounts}
    web = Web(pool, HttpParams(), CommandRoutes(pool).table(), None)
    async with TestClient(TestServer(web.application)) as client:
        yield Desk(client, tokens)


async def test_asks_to_close_and_shows_it(desk: Desk, town: Town, conn: asyncpg.Connection) -> None:
    """It is approved by the one who asks, listed, and shown with its timeline."""
    meter = await town.device("M-1", has_valve=True)
    made = await desk.ask(meter)
    assert (made["state"], made["approved_by"], made["device"], made["area"]) == ("approved", "olga", "M-1", "D01")
    assert [step["step"] for step in made["timeline"]] == ["requested", "approved"]
    assert await desk.get(f"/commands/{made['command_id']}") == made
    assert [row["command_id"] for row in (await desk.get("/commands"))["items"]] == [made["command_id"]]
    rows = await conn.fetch("SELECT actor, action FROM audit_entry WHERE action LIKE 'command%'")
    assert [tuple(row) for row in rows] == [("olga", "command.request")]


async def test_opening_waits_for_another_person(desk: Desk, town: Town, conn: asyncpg.Connection) -> None:
    """The one who asked is told so; the other's approval is recorded."""
    meter = await town.device("M-1", has_valve=True)
    made = await desk.ask(meter, "open")
    path = f"/commands/{made['command_id']}/approve"
    refused = await desk.post(path, "olga", 409)
    assert "second person" in refused["detail"]
    assert (await desk.post(path, "boris", note="resident is at home"))["approved_by"] == "boris"
    await desk.post(path, "boris", 409)
    actions = [row["action"] for row in await conn.fetch("SELECT action FROM audit_entry ORDER BY audit_id")]
    assert actions[-2:] == ["command.request", "command.approve"]


async def test_withdraws_once(desk: Desk, town: Town) -> None:
    """Before it is sent; a second time it is over already."""
    made = await desk.ask(await town.device("M-1", has_valve=True))
    path = f"/commands/{made['command_id']}/withdraw"
    assert (await desk.post(path, "boris"))["state"] == "withdrawn"
    await desk.post(path, "boris", 409)


async def test_the_same_client_id_is_the_same_command(desk: Desk, town: Town) -> None:
    """A retry after a lost answer asks for nothing more; the id of another command is refused."""
    meter = await town.device("M-1", has_valve=True)
    other = await town.device("M-2", has_valve=True)
    client_id = str(uuid4())
    first = await desk.ask(meter, client_id=client_id)
    assert (await desk.ask(meter, client_id=client_id))["command_id"] == first["command_id"]
    await desk.ask(other, client_id=client_id, status=409)
    await desk.ask(meter, status=409)


async def test_others_areas_and_roles_stay_out(desk: Desk, town: Town) -> None:
    """An officer of another district finds nothing; an inspector may not."""
    meter = await town.device("M-1", has_valve=True)
    made = await desk.ask(meter)
    number = made["command_id"]
    await desk.ask(meter, who="sam", status=404)
    await desk.get(f"/commands/{number}", "sam", 404)
    await desk.post(f"/commands/{number}/approve", "sam", 404)
    await desk.post(f"/commands/{number}/withdraw", "sam", 404)
    assert (await desk.get("/commands", "sam"))["items"] == []
    await desk.ask(meter, who="ines", status=403)
    await desk.get("/commands", "ines", 403)


async def test_what_cannot_be_asked(desk: Desk, town: Town) -> None:
    """No valve, no such device or alert, an alert elsewhere, an alert as a reason to open, a note that says nothing."""
    meter = await town.device("M-1", has_valve=True)
    plain = await town.device("M-2")
    assert "without a valve" in (await desk.ask(plain, status=409))["detail"]
    await desk.ask(987_654, status=404)
    await desk.ask(meter, alert_id=987_654, status=404)
    await desk.ask(meter, "open", alert_id=987_654, status=409)
    await desk.ask(meter, note="", status=422)
    await desk.ask(meter, "shut", status=422)
    assert (await desk.get("/commands"))["items"] == []


async def test_lists_by_filters_and_pages(desk: Desk, town: Town) -> None:
    """Newest first; states in groups or by name; the cursor goes on where the page ended."""
    meters = [await town.device(f"M-{number}", has_valve=True) for number in range(3)]
    made = [(await desk.ask(meter))["command_id"] for meter in meters]
    await desk.post(f"/commands/{made[0]}/withdraw")
    page = await desk.get("/commands", limit=2)
    assert [row["command_id"] for row in page["items"]] == made[:0:-1]
    rest = await desk.get("/commands", limit=2, after=page["next"])
    assert ([row["command_id"] for row in rest["items"]], rest["next"]) == (made[:1], None)
    assert [row["command_id"] for row in (await desk.get("/commands", state="ended"))["items"]] == made[:1]
    assert len((await desk.get("/commands", state="in_flight", device_id=meters[1]))["items"]) == 1
    assert (await desk.get("/commands", valve="open"))["items"] == []


async def test_a_passed_visit_lets_a_valve_be_opened(desk: Desk, town: Town, conn: asyncpg.Connection) -> None:
    """A dismissed alert still holds a valve that was closed because of it, until an inspector was inside."""
    meter = await town.device("M-1", has_valve=True)
    alert_id = await conn.fetchval(
        """INSERT INTO alert (rule_id, rule_version, subject, area, device_id, premises_id, severity, state, firing,
               late, sentence, first_at, last_at, raised_at, evidence, visit)
        VALUES ('micro_leak', '1', 'device:1', 'D01', $1, $2, 'major', 'dismissed', false, false, '', now(), now(),
               now(), '{}', 'normal') RETURNING alert_id""",
        meter,
        town.premises_ids[0],
    )
    closing = await desk.ask(meter, alert_id=alert_id)
    await conn.execute(
        "UPDATE command SET state = 'proved', sent_at = now(), attempts = 1, ended_at = now() WHERE command_id = $1",
        closing["command_id"],
    )
    assert f"alert {alert_id}" in (await desk.ask(meter, "open", status=409))["detail"]
    assert f"alert {alert_id}" in (await desk.get(f"/commands/{closing['command_id']}"))["not_safe_to_open"]
    await _visit(conn, town.premises_ids[0], "hazard_found")
    await desk.ask(meter, "open", status=409)
    await _visit(conn, town.premises_ids[0], "passed")
    assert (await desk.ask(meter, "open"))["state"] == "requested"


async def _visit(conn: asyncpg.Connection, premises_id: int, result: str) -> None:
    """An inspector's outcome of this moment, with the roster it belongs to."""
    await conn.execute(
        """WITH run AS (
            INSERT INTO roster_run (day, version, planned_at, seed, solver, figures)
            SELECT current_date, 1 + count(*), now(), 1, 'test', '{}' FROM roster_run RETURNING run_id
        ), roster AS (
            INSERT INTO roster (run_id, inspector_id, leave_at, return_at, travel_s)
            SELECT run_id, inspector_id, now(), now(), 0 FROM run, inspector LIMIT 1 RETURNING roster_id, inspector_id
        ), visit AS (
            INSERT INTO visit (roster_id, position, premises_id, arrive_at, leave_at, travel_s, mandatory, reasons)
            SELECT roster_id, 1, $1, now(), now(), 0, true, '[]' FROM roster RETURNING visit_id
        )
        INSERT INTO outcome (client_id, visit_id, premises_id, inspector_id, result, at, received_at, body, actor)
        SELECT gen_random_uuid(), visit_id, $1, inspector_id, $2, clock_timestamp(), clock_timestamp(), '{}', 'ines'
        FROM visit, roster""",
        premises_id,
        result,
    )


async def gaswarden(db: Database, *arguments: str) -> tuple[int | None, str, str]:
    """The command line as a process of its own: exit code, standard output, standard error."""
    environ = {name: text for name, text in os.environ.items() if not name.startswith(("GASWARDEN_", "MQTT_"))}
    environ |= {"DATABASE_URL": db.url, "ADMIN_DATABASE_URL": db.admin_url, "MQTT_URL": "mqtt://127.0.0.1:1"}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "app",
        *arguments,
        env=environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 40)
    return process.returncode, out.decode(), err.decode()


async def test_the_command_line_lists_and_shows(desk: Desk, town: Town, db: Database) -> None:
    """A list by state, one whole with its timeline; an unknown number is code 1, an unknown state code 2."""
    made = await desk.ask(await town.device("M-1", has_valve=True))
    number = str(made["command_id"])
    code, out, _ = await gaswarden(db, "command", "list", "--state", "in_flight", "--json")
    assert (code, [row["command_id"] for row in json.loads(out)]) == (0, [made["command_id"]])
    code, out, err = await gaswarden(db, "command", "show", number)
    assert code == 0
    assert "close M-1: approved" in err
    assert "close_needs_one" in out
    assert (await gaswarden(db, "command", "show", "987654"))[0] == 1
    assert (await gaswarden(db, "command", "list", "--state", "lost"))[0] == 2
