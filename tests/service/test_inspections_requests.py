"""Requests, cases and enforcement over HTTP and through the tick that reminds and escalates."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from aiohttp.test_utils import TestClient, TestServer

from app.accounts import NewAccount, add_account
from app.http_params import HttpParams
from app.web import Web
from inspections.case_routes import CaseRoutes
from inspections.enforcement_routes import EnforcementRoutes
from inspections.reminders import Reminded, remind
from inspections.request_routes import RequestRoutes
from sql.actor import Actor
from sql.audit import first_broken_entry
from tests.service.inspections_rows import PARAMS, premises_id, settle_town
from tests.service.rules_rows import insert

Call = Callable[..., Awaitable[tuple[int, Any]]]
SMELL = {"channel": "hotline", "category": "gas_smell", "body": "it smells on the stairs", "premises": "H-001"}


@pytest.fixture
async def call(pool: asyncpg.Pool, conn: asyncpg.Connection) -> AsyncIterator[Call]:
    """Send a request as somebody: olga of the whole city, otto of D02, the inspector ines."""
    await settle_town(conn, homes=3)
    accounts = [
        NewAccount("olga", "officer"),
        NewAccount("otto", "officer", areas=("D02",)),
        NewAccount("ines", "inspector", inspector_code="I-1"),
    ]
    at = datetime.now(UTC)
    tokens = {one.name: await add_account(conn, one, Actor("console", "administrator"), at) for one in accounts}
    routes = [*RequestRoutes(pool, PARAMS).table(), *CaseRoutes(pool, PARAMS).table()]
    routes += EnforcementRoutes(pool, PARAMS).table()
    async with TestClient(TestServer(Web(pool, HttpParams(), routes, None).application)) as client:

        async def send(method: str, path: str, *, as_: str = "olga", **options: Any) -> tuple[int, Any]:
            headers = {"Authorization": f"Bearer {tokens[as_]}"}
            async with client.request(method, f"/api/v1{path}", headers=headers, **options) as response:
                return response.status, await response.json(content_type=None)

        yield send


async def test_a_smell_of_gas_is_a_mandatory_visit_and_runs_to_its_end(call: Call, conn: asyncpg.Connection) -> None:
    """Recorded once however often sent, a mandatory visit, answered, closed: every step on the timeline, audited."""
    body = SMELL | {"client_id": str(uuid4()), "contact_phone": "+86 555 0100"}
    status, made = await call("POST", "/requests", json=body)
    assert (status, made["state"], len(made["duty_ids"])) == (200, "open", 1)
    assert (await call("POST", "/requests", json=body))[1]["request_id"] == made["request_id"]
    duty = await conn.fetchrow("SELECT kind, mandatory, reason FROM duty")
    assert (duty["kind"], duty["mandatory"]) == ("request", True)
    assert duty["reason"].endswith("Smell of gas")
    path = f"/requests/{made['request_id']}"
    assert (await call("POST", f"{path}/steps", json={"step": "close"}))[0] == 422
    assert (await call("POST", f"{path}/steps", json={"step": "reply", "note": "crew on the way"}))[0] == 200
    status, problem = await call("POST", f"{path}/steps", json={"step": "close"})
    assert (status, problem["errors"][0]["field"]) == (422, "body.note")  # it would cancel the mandatory visit
    for step in ({"step": "close", "note": "the crew made it safe"}, {"step": "rate", "rating": 2}):
        assert (await call("POST", f"{path}/steps", json=step))[0] == 200
    status, whole = await call("GET", path)
    assert [one["step"] for one in whole["timeline"]] == ["received", "reply", "close", "rate"]
    assert (whole["state"], whole["contact_phone"], whole["call_by"] is not None) == ("closed", "+86 555 0100", True)
    assert await conn.fetchval("SELECT state FROM duty") == "cancelled"
    assert await first_broken_entry(conn) is None


async def test_a_door_that_is_named_later_gets_its_visit(call: Call, conn: asyncpg.Connection) -> None:
    """A smell on the stairs becomes a mandatory visit with its door; a corrected door takes the visit along."""
    body = {key: value for key, value in SMELL.items() if key != "premises"} | {"client_id": str(uuid4())}
    _, made = await call("POST", "/requests", json=body | {"area": "C"})
    path = f"/requests/{made['request_id']}/steps"
    assert (await call("POST", path, json={"step": "door"}))[1]["errors"][0]["field"] == "body.premises"
    assert (await call("POST", path, json={"step": "door", "premises": "H-999"}))[0] == 404
    await call("POST", path, json={"step": "door", "premises": "H-001"})
    status, named = await call("POST", path, json={"step": "door", "premises": "H-002"})
    assert (status, named["premises"], named["area"]) == (200, "H-002", "D01")
    assert (await call("POST", path, json={"step": "door", "premises": "H-002"}))[0] == 409
    rows = await conn.fetch(
        "SELECT p.code, d.state, d.mandatory FROM duty d JOIN premises p USING (premises_id) ORDER BY 1"
    )
    assert [tuple(row) for row in rows] == [("H-001", "cancelled", True), ("H-002", "open", True)]
    assert [one["note"] for one in named["timeline"] if one["step"] == "door"] == ["H-001", "H-002"]
    assert (await call("POST", "/requests", json=body | {"area": "C"}))[1]["request_id"] == made["request_id"]
    await call("POST", path, json={"step": "withdraw", "note": "it was paint"})
    assert (await call("POST", path, json={"step": "door", "premises": "H-001"}))[0] == 422


async def test_others_do_not_see_it(call: Call) -> None:
    """An officer of another district does not find it, an inspector may not ask, the list carries no personal data."""
    _, made = await call("POST", "/requests", json=SMELL | {"client_id": str(uuid4())})
    path = f"/requests/{made['request_id']}"
    assert (await call("GET", path, as_="otto"))[0] == 404
    assert (await call("POST", f"{path}/steps", as_="otto", json={"step": "reply", "note": "x"}))[0] == 404
    assert (await call("GET", "/requests", as_="ines"))[0] == 403
    assert (await call("GET", "/requests", as_="otto"))[1]["items"] == []
    _, page = await call("GET", "/requests")
    assert {"body", "contact_phone", "contact_name"} & page["items"][0].keys() == set()


async def test_bad_requests_name_the_field(call: Call) -> None:
    """An unknown category, an unknown door, neither door nor area, and a client id used for other words are refused."""
    client_id = str(uuid4())
    status, problem = await call("POST", "/requests", json=SMELL | {"client_id": client_id, "category": "noise"})
    assert (status, problem["errors"][0]["field"]) == (422, "body.category")
    assert (await call("POST", "/requests", json=SMELL | {"client_id": client_id, "premises": "H-999"}))[0] == 404
    nowhere = {key: value for key, value in SMELL.items() if key != "premises"} | {"client_id": client_id}
    assert (await call("POST", "/requests", json=nowhere))[0] == 409
    status, made = await call("POST", "/requests", json=nowhere | {"area": "D01"})
    assert (status, made["duty_ids"], made["timeline"][-1]["step"]) == (200, [], "note")
    assert made["timeline"][-1]["note"].startswith("no door is named, so no visit is planned")
    assert (await call("POST", "/requests", json=nowhere | {"area": "D01", "body": "other words"}))[0] == 409


async def test_pages_go_through_all_once(call: Call) -> None:
    """Page by page, newest first, every request once, whatever the page's size; overdue ones can be asked for."""
    old = (datetime.now(UTC) - timedelta(days=2)).isoformat()
    for number in range(5):
        body = SMELL | {"client_id": str(uuid4()), "body": f"{number}"} | ({"received_at": old} if number < 2 else {})
        await call("POST", "/requests", json=body)
    found, after = [], None
    while True:
        _, page = await call("GET", "/requests", params={"limit": 2} | ({"after": after} if after else {}))
        found += [one["request_id"] for one in page["items"]]
        if (after := page["next"]) is None:
            break
    assert len(found) == len(set(found)) == 5
    _, late = await call("GET", "/requests", params={"overdue": "true"})
    assert {one["overdue"] for one in late["items"]} == {"settlement"}
    assert len(late["items"]) == 2


async def test_lists_are_asked_by_door_and_owner(call: Call) -> None:
    """A clerk finds what is known of a caller's door, and what somebody takes care of; the catalogues are served."""
    _, made = await call("POST", "/requests", json=SMELL | {"client_id": str(uuid4())})
    await call("POST", f"/requests/{made['request_id']}/steps", json={"step": "assign", "owner": "olga"})
    await call("POST", "/cases", json={"kind": "complaint", "title": "t", "premises": "H-001"})
    for path in ("/requests", "/cases"):
        assert len((await call("GET", path, params={"premises": "H-001"}))[1]["items"]) == 1
        assert (await call("GET", path, params={"premises": "H-002"}))[1]["items"] == []
        assert (await call("GET", path, params={"owner": "otto"}))[1]["items"] == []
    assert len((await call("GET", "/requests", params={"owner": "olga"}))[1]["items"]) == 1
    assert (await call("GET", "/cases"))[1]["items"][0]["overdue"] is None
    assert "gas_smell" in {one["code"] for one in (await call("GET", "/requests/categories"))[1]}
    assert "no_access" in {one["code"] for one in (await call("GET", "/cases/kinds"))[1]}


async def test_figures_say_what_was_in_time(call: Call, conn: asyncpg.Connection) -> None:
    """Answered and settled in time against what was due by now; what is not due yet counts as neither."""
    now = datetime.now(UTC)
    for hours in (48, 0):
        received = (now - timedelta(hours=hours)).isoformat()
        await call("POST", "/requests", json=SMELL | {"client_id": str(uuid4()), "received_at": received})
    span = {"since": (now - timedelta(days=7)).isoformat(), "until": (now + timedelta(days=1)).isoformat()}
    _, rows = await call("GET", "/requests/figures", params=span)
    assert (rows[0]["received"], rows[0]["reply_due"], rows[0]["reply_on_time_rate"]) == (2, 1, 0.0)
    await conn.execute("UPDATE request SET state = 'replied', replied_at = received_at WHERE reply_by > now()")
    _, rows = await call("GET", "/requests/figures", params=span)
    assert (rows[0]["reply_due"], rows[0]["reply_on_time_rate"]) == (2, 0.5)


async def test_the_tick_reminds_opens_and_escalates_once(
    call: Call, pool: asyncpg.Pool, conn: asyncpg.Connection
) -> None:
    """An overdue request is reminded of once a day; a late hazard becomes a case, which goes up with the days."""
    now = datetime.now(UTC)
    await call("POST", "/requests", json=SMELL | {"client_id": str(uuid4())})
    await _late_hazard(conn, now)
    later = now + timedelta(hours=1)
    assert await remind(pool, PARAMS, later) == Reminded(requests=1, cases_opened=1, cases_escalated=0)
    assert await remind(pool, PARAMS, later + timedelta(minutes=5)) == Reminded(0, 0, 0)
    assert await remind(pool, PARAMS, later + timedelta(days=1)) == Reminded(1, 0, 1)
    _, page = await call("GET", "/cases", params={"kind": "hazard_overdue"})
    _, whole = await call("GET", f"/cases/{page['items'][0]['case_id']}")
    assert [one["step"] for one in whole["timeline"]] == ["opened", "escalated"]
    assert whole["level"] == 1


async def _late_hazard(conn: asyncpg.Connection, now: datetime) -> None:
    door = await premises_id(conn, "H-002")
    inspector = await conn.fetchval("SELECT min(inspector_id) FROM inspector")
    run = await insert(
        conn, "roster_run", "run_id", day=date(2026, 1, 5), version=1, planned_at=now, seed=1, solver="x", figures={}
    )
    roster = await insert(
        conn, "roster", "roster_id", run_id=run, inspector_id=inspector, leave_at=now, return_at=now, travel_s=0
    )
    visit = await insert(
        conn, "visit", "visit_id", roster_id=roster, position=1, premises_id=door, arrive_at=now, leave_at=now,
        travel_s=0, mandatory=False, reasons=[],
    )  # fmt: skip
    outcome = await insert(
        conn, "outcome", "outcome_id", client_id=uuid4(), visit_id=visit, premises_id=door, inspector_id=inspector,
        result="hazard_found", at=now, received_at=now, body={}, actor="ines",
    )  # fmt: skip
    await insert(
        conn, "hazard", "hazard_id", premises_id=door, outcome_id=outcome, code="hose_aged", grade=2, found_at=now,
        due_on=(now - timedelta(days=3)).date(), state="open",
    )  # fmt: skip


async def test_a_case_is_planned_before_it_is_closed(call: Call) -> None:
    """One case of a kind for a door at a time; out of a request; its plan stands before its end."""
    _, made = await call("POST", "/requests", json=SMELL | {"client_id": str(uuid4()), "category": "complaint"})
    body = {"kind": "complaint", "title": "third complaint", "premises": "H-001", "request_id": made["request_id"]}
    status, opened = await call("POST", "/cases", json=body)
    assert (status, opened["request_ids"]) == (200, [made["request_id"]])
    assert (await call("POST", "/cases", json=body))[0] == 409
    path = f"/cases/{opened['case_id']}/steps"
    status, problem = await call("POST", path, json={"step": "close", "note": "settled"})
    assert (status, "one case, one plan" in problem["detail"]) == (422, True)
    for step in ({"step": "plan", "note": "visit with the manager"}, {"step": "close", "note": "settled"}):
        assert (await call("POST", path, json=step))[0] == 200
    now = datetime.now(UTC)
    span = {"since": (now - timedelta(days=1)).isoformat(), "until": (now + timedelta(days=1)).isoformat()}
    _, figures = await call("GET", "/cases/figures", params=span)
    assert (figures[0]["closed_on_time_rate"], figures[0]["closure_rate"]) == (1.0, 1.0)
    assert (await call("POST", "/cases", json=body))[0] == 200


async def test_enforcement_is_against_businesses(call: Call, conn: asyncpg.Connection) -> None:
    """A penalty has an amount in fen and is recorded once; a household gets none; its end has a day."""
    body = {
        "client_id": str(uuid4()), "premises": "H-003", "kind": "penalty", "authority": "Housing bureau",
        "reference": "2026-17", "issued_on": "2026-11-01", "due_on": "2026-11-15", "amount_fen": 500_000,
        "text": "no leak detector",
    }  # fmt: skip
    assert (await call("POST", "/enforcement", json=body))[0] == 409
    await conn.execute("UPDATE premises SET user_class = 'commercial' WHERE code = 'H-003'")
    status, problem = await call("POST", "/enforcement", json=body | {"amount_fen": None})
    assert (status, problem["errors"][0]["field"]) == (422, "body.amount_fen")
    status, made = await call("POST", "/enforcement", json=body)
    assert (status, made["amount_fen"], made["state"]) == (200, 500_000, "open")
    assert (await call("POST", "/enforcement", json=body))[1]["enforcement_id"] == made["enforcement_id"]
    assert len((await call("GET", "/enforcement", params={"overdue": "true"}))[1]["items"]) == 1
    path = f"/enforcement/{made['enforcement_id']}/end"
    end = {"state": "complied", "ended_on": "2026-11-14", "note": "paid"}
    assert (await call("POST", path, json=end | {"ended_on": "2026-10-01"}))[0] == 422
    assert (await call("POST", path, json=end))[1]["state"] == "complied"
    assert (await call("POST", path, json=end))[0] == 409
    _, figures = await call("GET", "/enforcement/figures", params={"since": "2026-11-01", "until": "2026-11-01"})
    (row,) = figures
    assert (row["user_class"], row["kind"], row["issued"], row["amount_fen"]) == ("commercial", "penalty", 1, 500_000)
    assert (row["paid_fen"], row["complied_on_time_rate"], row["closure_rate"]) == (500_000, 1.0, 1.0)
    assert (await call("GET", "/enforcement/figures", params={"since": "2026-11-02", "until": "2026-11-30"}))[1] == []
