"""At the door over HTTP: checklists, attempts that become cases, notice cards and booking."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from aiohttp.test_utils import TestClient, TestServer

from app.accounts import NewAccount, add_account
from app.http_params import HttpParams
from app.web import Web
from inspections.booking_routes import BookingRoutes
from inspections.checklists import load_checklists
from inspections.hazard_routes import HazardRoutes
from inspections.hazards import load_hazards
from inspections.routes import InspectionRoutes
from sql.actor import Actor
from sql.audit import first_broken_entry
from tests.service.inspections_rows import PARAMS, plan_visit, settle_town
from tests.service.rules_rows import insert
from tests.unit.test_at_the_door import sound

Call = Callable[..., Awaitable[tuple[int, Any]]]
NOW = datetime.now(UTC)


@pytest.fixture
async def call(pool: asyncpg.Pool, conn: asyncpg.Connection) -> AsyncIterator[Call]:
    """Send a request as somebody, or as nobody: olga of the whole city, ines on the roster I-1."""
    await settle_town(conn, homes=3)
    accounts = [NewAccount("olga", "officer"), NewAccount("ines", "inspector", inspector_code="I-1")]
    tokens = {one.name: await add_account(conn, one, Actor("console", "administrator"), NOW) for one in accounts}
    routes = [*InspectionRoutes(pool, PARAMS).table(), *BookingRoutes(pool, PARAMS).table()]
    routes += HazardRoutes(pool, PARAMS).table()
    async with TestClient(TestServer(Web(pool, HttpParams(public_per_minute=7), routes, None).application)) as client:

        async def send(method: str, path: str, *, as_: str | None = "olga", **options: Any) -> tuple[int, Any]:
            headers = {"Authorization": f"Bearer {tokens[as_]}"} if as_ else {}
            async with client.request(method, f"/api/v1{path}", headers=headers, **options) as response:
                return response.status, await response.json(content_type=None)

        yield send


def report(result: str, *, days_ago: float = 0, **more: Any) -> dict[str, Any]:
    return {"client_id": str(uuid4()), "result": result, "at": (NOW - timedelta(days=days_ago)).isoformat(), **more}


async def test_answers_become_hazards(call: Call, conn: asyncpg.Connection) -> None:
    """Questions are served; a missing answer is a field error; an answer that means a hazard makes one."""
    visit_id, _ = await plan_visit(conn, "H-001", NOW - timedelta(days=1))
    _, asked = await call("GET", "/checklists/household", as_="ines")
    assert {"code", "en", "zh", "unit", "hazard"} <= asked["items"][0].keys()
    path = f"/visits/{visit_id}/outcome"
    answers = sound(load_checklists(load_hazards()).of("household"))
    some = {code: answer for code, answer in answers.items() if code != "hose_sound"}
    status, problem = await call("POST", path, json=report("passed", answers=some))
    assert (status, problem["errors"][0]["field"]) == (422, "body.answers.hose_sound")
    status, problem = await call("POST", path, json=report("passed", answers=answers | {"dual_fuel": True}))
    assert (status, problem["errors"][0]["field"]) == (422, "body.hazards")
    body = report("hazard_found", answers=answers | {"dual_fuel": True})
    status, receipt = await call("POST", path, json=body)
    assert (status, [one["code"] for one in receipt["hazards"]]) == (200, ["dual_fuel"])
    lacking = ["evidence.photo", "evidence.reading"]  # of a hazard of grade 1
    assert (receipt["checklist_version"], receipt["follow_up"]["lacking"]) == (asked["version"], lacking)
    assert (await call("POST", path, json=body))[1] == receipt


async def test_a_report_without_answers_says_what_it_lacks(call: Call, conn: asyncpg.Connection) -> None:
    """A fact at the door is kept; the receipt names what a full inspection should have had."""
    visit_id, _ = await plan_visit(conn, "H-001", NOW - timedelta(days=1))
    _, receipt = await call("POST", f"/visits/{visit_id}/outcome", json=report("passed"))
    assert receipt["follow_up"]["lacking"] == ["answers"]


async def test_the_third_closed_door_is_a_case(call: Call, conn: asyncpg.Connection) -> None:
    """First, second, third no-access in a row, with the next attempt in words; then a case; refusal has its own."""
    duty_id = None
    for number, days_ago in enumerate((9.0, 5.0, 1.0), 1):
        visit_id, duty_id = await plan_visit(conn, "H-001", NOW - timedelta(days=10), duty_id)
        body = report("no_access", days_ago=days_ago)
        _, receipt = await call("POST", f"/visits/{visit_id}/outcome", json=body)
        follow = receipt["follow_up"]
        assert (follow["attempt"], len(follow["case_ids"])) == (number, int(number == 3))
        assert follow["next_attempt"]["reason"].startswith(f"attempt {number + 1}: nobody got in on ")
    assert await conn.fetchval("SELECT attempts FROM duty WHERE duty_id = $1", duty_id) == 3
    visit_id, _ = await plan_visit(conn, "H-001", NOW - timedelta(days=10), duty_id)
    _, receipt = await call("POST", f"/visits/{visit_id}/outcome", json=report("refused"))
    kinds = await conn.fetch("SELECT kind, state FROM case_file ORDER BY case_id")
    assert [tuple(row) for row in kinds] == [("no_access", "open"), ("refused", "open")]


async def test_a_resident_books_with_the_card(call: Call, conn: asyncpg.Connection) -> None:
    """A card left at a door opens its windows, books one visit with a promise, shows nothing personal, is audited."""
    _, cards = await call("POST", "/notice-cards", json={"count": 2})
    path = f"/booking/{cards[0]['token']}"
    assert (await call("GET", path, as_=None))[0] == 404  # not left anywhere yet
    visit_id, duty_id = await plan_visit(conn, "H-001", NOW - timedelta(days=1))
    card = report("no_access", notice_card=cards[0]["card_no"])
    assert (await call("POST", f"/visits/{visit_id}/outcome", json=card))[0] == 200
    status, offered = await call("GET", path, as_=None)
    assert (status, offered["booked"], set(offered)) == (200, None, {"valid_until", "booked", "free"})
    window = offered["free"][0]
    elsewhere = {"begins_at": (NOW + timedelta(days=300)).isoformat()}
    assert (await call("POST", path, as_=None, json=elsewhere))[0] == 409
    status, booked = await call("POST", path, as_=None, json={"begins_at": window["begins_at"]})
    assert (status, booked["booked"], booked["free"]) == (200, window, [])
    assert (await call("POST", path, as_=None, json={"begins_at": window["begins_at"]}))[0] == 200
    row = await conn.fetchrow(
        """SELECT d.kind, d.promised_from, p.reason, p.actor, w.not_before = d.due_on AS together
           FROM duty d JOIN promise p USING (duty_id) JOIN duty w ON w.duty_id = $1 WHERE d.kind = 'appointment'""",
        duty_id,
    )
    assert (row["kind"], row["actor"], row["promised_from"]) == (
        "appointment", "resident", datetime.fromisoformat(window["begins_at"]),
    )  # fmt: skip
    assert row["together"]
    assert await conn.fetchval("SELECT role FROM audit_entry WHERE action = 'appointment.book'") == "resident"
    assert await first_broken_entry(conn) is None
    assert (await call("GET", f"/booking/{cards[1]['token']}", as_=None))[0] == 404
    assert (await call("GET", "/booking/guess", as_=None))[0] == 404
    assert (await call("GET", path, as_=None))[0] == 429


async def test_a_card_belongs_to_one_door(call: Call, conn: asyncpg.Connection) -> None:
    """Left at one door it cannot be left at another; an expired one opens nothing."""
    _, cards = await call("POST", "/notice-cards", json={"count": 1})
    for number, code in enumerate(("H-001", "H-002")):
        visit_id, _ = await plan_visit(conn, code, NOW - timedelta(days=1))
        body = report("no_access", notice_card=cards[0]["card_no"])
        status, answer = await call("POST", f"/visits/{visit_id}/outcome", json=body)
        assert status == (422 if number else 200)
        assert not number or answer["errors"][0]["field"] == "body.notice_card"
    assert await conn.fetchval("SELECT count(*) FROM outcome") == 1
    await conn.execute("UPDATE notice_card SET expires_at = now() - interval '1 s'")
    assert (await call("GET", f"/booking/{cards[0]['token']}", as_=None))[0] == 404


async def test_a_hazard_is_followed_to_its_end(call: Call, conn: asyncpg.Connection) -> None:
    """Found, overdue without a notice, notified, cut, put right, re-check moved up: on the timeline, audited."""
    visit_id, _ = await plan_visit(conn, "H-001", NOW - timedelta(days=1))
    found = report("hazard_found", days_ago=0.5, hazards=[{"code": "hose_through_room"}])
    _, receipt = await call("POST", f"/visits/{visit_id}/outcome", json=found)
    path = f"/hazards/{receipt['hazards'][0]['hazard_id']}"
    _, page = await call("GET", "/hazards", params={"overdue": "true"})
    assert page["items"][0]["overdue"] == ["notice"]
    status, problem = await call("POST", f"{path}/steps", json={"step": "notify", "at": NOW.isoformat()})
    assert (status, problem["errors"][0]["field"]) == (422, "body.to")
    cut = {"step": "cut", "at": NOW.isoformat(), "command_id": 7}
    assert (await call("POST", f"{path}/steps", json=cut))[1]["errors"][0]["field"] == "body.command_id"
    for step in (
        {"step": "notify", "to": "Resident 1", "how": "signed"},
        {"step": "cut", "note": "meter valve closed by hand"},
        {"step": "rectify", "by": "Resident 1", "note": "hose replaced"},
    ):
        status, _ = await call("POST", f"{path}/steps", as_="ines", json=step | {"at": NOW.isoformat()})
        assert status == 200
    again = {"step": "cut", "note": "meter valve closed by hand", "at": NOW.isoformat()}
    assert (await call("POST", f"{path}/steps", as_="ines", json=again))[0] == 200  # no answer came: sent again
    _, whole = await call("GET", path)
    assert whole["rectified_by"] == "Resident 1"
    assert [one["step"] for one in whole["timeline"]] == ["notify", "cut", "rectify"]
    assert (whole["overdue"], whole["state"], whole["notified_to"]) == ([], "open", "Resident 1")
    recheck = await conn.fetchrow("SELECT due_on, not_before FROM duty WHERE kind = 'recheck'")
    assert recheck["not_before"] < recheck["due_on"]
    assert (
        await conn.fetchval("SELECT count(*) FROM audit_entry WHERE action LIKE 'hazard.%' AND action <> 'hazard.read'")
        == 3
    )
    assert (await call("GET", "/hazards/999"))[0] == 404


async def test_a_cut_by_command_is_a_proved_one(call: Call, conn: asyncpg.Connection) -> None:
    """A command that was only sent has cut nothing; the same command proved has."""
    visit_id, _ = await plan_visit(conn, "H-001", NOW - timedelta(days=1))
    found = report("hazard_found", days_ago=0.5, hazards=[{"code": "leak"}])
    _, receipt = await call("POST", f"/visits/{visit_id}/outcome", json=found)
    path = f"/hazards/{receipt['hazards'][0]['hazard_id']}/steps"
    home = await conn.fetchval("SELECT premises_id FROM premises WHERE code = 'H-001'")
    area = await conn.fetchval("SELECT code FROM district ORDER BY district_id LIMIT 1")
    gateway = await insert(conn, "gateway", "gateway_id", code="GW-1", area=area)
    meter = await insert(
        conn, "device", "device_id", kind="meter", code="M-1", gateway_id=gateway, expected_interval_s=86_400,
        meter_class="G2.5", qmin_lh=25.0, qmax_lh=4000.0, pulse_ml=10_000, has_valve=True,
    )  # fmt: skip
    await insert(
        conn, "installation", "installation_id", device_id=meter, premises_id=home,
        installed_at=NOW - timedelta(days=900),
    )  # fmt: skip
    number = await conn.fetchval(
        """INSERT INTO command (client_id, device_id, valve, state, reason, requested_by, requested_at, approved_by,
                                approved_at, expires_at, sent_at, attempts, note, area)
           VALUES ($1, $2, 'close', 'sent', 'x', 'olga', $3, 'olga', $3, $3::timestamptz + interval '1 h', $3, 1,
                   'leak', 'D01')
           RETURNING command_id""",
        uuid4(), meter, NOW,
    )  # fmt: skip
    cut = {"step": "cut", "at": NOW.isoformat(), "command_id": number}
    status, problem = await call("POST", path, json=cut)
    assert (status, problem["errors"][0]["field"]) == (422, "body.command_id")
    await conn.execute("UPDATE command SET state = 'proved', answered_at = $1, ended_at = $1", NOW)
    status, whole = await call("POST", path, json=cut)
    assert (status, whole["cut_command_id"]) == (200, number)


async def test_whoever_stands_there_closes_what_was_put_right(call: Call, conn: asyncpg.Connection) -> None:
    """A re-check due in weeks passes on a visit for something else once the hazard was rectified, not before."""
    visit_id, _ = await plan_visit(conn, "H-001", NOW - timedelta(days=3))
    found = report("hazard_found", days_ago=2, hazards=[{"code": "hose_aged"}, {"code": "hose_through_room"}])
    _, receipt = await call("POST", f"/visits/{visit_id}/outcome", json=found)
    aged = next(one["hazard_id"] for one in receipt["hazards"] if one["code"] == "hose_aged")
    periodic = await conn.fetchval("SELECT duty_id FROM duty WHERE kind = 'periodic' AND state = 'open'")
    early, _ = await plan_visit(conn, "H-001", NOW - timedelta(days=2), periodic)
    passed = report("recheck_passed", days_ago=0.5)
    status, problem = await call("POST", f"/visits/{early}/outcome", json=passed)
    assert (status, problem["errors"][0]["field"]) == (422, "body.result")
    rectify = {"step": "rectify", "by": "Resident 1", "note": "new hose", "at": (NOW - timedelta(days=1)).isoformat()}
    assert (await call("POST", f"/hazards/{aged}/steps", json=rectify))[0] == 200
    status, receipt = await call("POST", f"/visits/{early}/outcome", json=passed)
    assert (status, receipt["hazards_closed"]) == (200, [aged])
    duties = await conn.fetch("SELECT hazard_id, state FROM duty WHERE kind = 'recheck'")
    assert {row["hazard_id"]: row["state"] == "done" for row in duties} == {
        row["hazard_id"]: row["hazard_id"] == aged for row in duties
    }


async def test_whoever_rechecks_may_cut(call: Call, conn: asyncpg.Connection) -> None:
    """A hazard that somebody else found is a stranger's until the door is on one's own roster, today or before."""
    visit_id, _ = await plan_visit(conn, "H-001", NOW - timedelta(days=3), inspector="I-2")
    found = report("hazard_found", days_ago=2, hazards=[{"code": "leak"}])
    _, receipt = await call("POST", f"/visits/{visit_id}/outcome", json=found)
    path = f"/hazards/{receipt['hazards'][0]['hazard_id']}/steps"
    cut = {"step": "cut", "note": "valve closed by hand", "at": NOW.isoformat()}
    assert (await call("POST", path, as_="ines", json=cut))[0] == 404
    recheck = await conn.fetchval("SELECT duty_id FROM duty WHERE kind = 'recheck'")
    await plan_visit(conn, "H-001", NOW + timedelta(days=2), recheck)
    assert (await call("POST", path, as_="ines", json=cut))[0] == 404
    await plan_visit(conn, "H-001", NOW - timedelta(hours=1), recheck)
    status, answer = await call("POST", path, as_="ines", json=cut)
    assert (status, answer["timeline"][-1]["actor"]) == (200, "ines")


async def test_residents_behind_our_proxy_are_told_apart(pool: asyncpg.Pool) -> None:
    """Through a proxy that is named each resident has calls of the own; one token has few, from wherever."""
    params = HttpParams.model_validate(
        {"public_per_minute": 2, "public_per_token_per_minute": 5, "trusted_proxies": ["127.0.0.0/8"]}
    )
    routes = BookingRoutes(pool, PARAMS).table()
    async with TestClient(TestServer(Web(pool, params, routes, None).application)) as client:

        async def ask(resident: str, token: str = "") -> int:
            path = f"/api/v1/booking/{token or uuid4()}"
            async with client.get(path, headers={"X-Forwarded-For": f"192.0.2.1, {resident}"}) as response:
                return response.status

        assert [await ask("203.0.113.1") for _ in range(3)] == [404, 404, 429]
        assert await ask("203.0.113.2") == 404
        assert [await ask(f"198.51.100.{n}", "one-card") for n in range(6)] == [404] * 5 + [429]


async def test_a_header_of_strangers_is_not_believed(pool: asyncpg.Pool) -> None:
    """Without a named proxy a caller cannot pass for many by writing other addresses into the header."""
    routes = BookingRoutes(pool, PARAMS).table()
    async with TestClient(TestServer(Web(pool, HttpParams(public_per_minute=2), routes, None).application)) as client:
        found = []
        for n in range(3):
            headers = {"X-Forwarded-For": f"203.0.113.{n}"}
            async with client.get(f"/api/v1/booking/{uuid4()}", headers=headers) as response:
                found.append(response.status)
        assert found == [404, 404, 429]
