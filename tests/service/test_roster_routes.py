"""Rosters, outcomes, premises and duties over HTTP: who sees what, in which shape."""

import csv
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from aiohttp.test_utils import TestClient, TestServer
from icalendar import Calendar

from app.accounts import NewAccount, add_account
from app.http_params import HttpParams
from app.web import Web
from inspections.planning import plan_day
from inspections.printing.paper_routes import PaperRoutes
from inspections.routes import InspectionRoutes
from inspections.wallclock import local_day
from sql.actor import Actor
from tests.service.inspections_rows import NOW, PARAMS, TOMORROW, raise_alert, settle_town, visit_of

CONSOLE = Actor("console", "administrator")
Call = Callable[..., Awaitable[tuple[int, Any]]]
ROSTERS = f"/rosters/{TOMORROW.isoformat()}"


@pytest.fixture
async def planned(pool: asyncpg.Pool, conn: asyncpg.Connection) -> None:
    """Twelve homes, one with a leak alert, planned for tomorrow."""
    await settle_town(conn)
    await raise_alert(conn, "H-001")
    await plan_day(pool, TOMORROW, PARAMS, NOW)


@pytest.fixture
async def client(pool: asyncpg.Pool) -> AsyncIterator[TestClient[Any, Any]]:
    routes = [*PaperRoutes(pool, PARAMS).table(), *InspectionRoutes(pool, PARAMS).table()]
    served = Web(pool, HttpParams(), routes, None)
    async with TestClient(TestServer(served.application)) as opened:
        yield opened


@pytest.fixture
async def call(client: TestClient[Any, Any], conn: asyncpg.Connection) -> Call:
    """Send a request as somebody: olga of the whole city, otto of D02, the inspectors I-1 and I-2."""
    await settle_town(conn)
    accounts = [
        NewAccount("olga", "officer"),
        NewAccount("otto", "officer", areas=("D02",)),
        NewAccount("ines", "inspector", inspector_code="I-1"),
        NewAccount("ivan", "inspector", inspector_code="I-2"),
    ]
    tokens = {account.name: await add_account(conn, account, CONSOLE, NOW) for account in accounts}

    async def send(method: str, path: str, *, as_: str = "olga", **options: Any) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {tokens[as_]}"}
        async with client.request(method, f"/api/v1{path}", headers=headers, **options) as response:
            if response.content_type == "application/pdf":
                return response.status, await response.read()
            is_json = "json" in response.content_type
            return response.status, await response.json(content_type=None) if is_json else await response.text()

    return send


@pytest.mark.usefixtures("planned", "conn")
async def test_day_shows_every_roster_and_is_audited(call: Call, conn: asyncpg.Connection) -> None:
    """An officer sees all rosters with address, reasons and travel; the look is on the record."""
    status, day = await call("GET", ROSTERS)
    assert (status, day["version"], day["solver"]) == (200, 1, "pyvrp")
    visits = [visit for roster in day["rosters"] for visit in roster["visits"]]
    assert len(visits) == 12
    leak = next(visit for visit in visits if visit["premises"] == "H-001")
    assert leak["mandatory"]
    assert leak["address"] == "1 Garden Road, flat 1"
    assert any("critical alert" in reason for reason in leak["reasons"])
    looks = await conn.fetch("SELECT actor, subject FROM audit_entry WHERE action = 'roster.read'")
    assert [tuple(row) for row in looks] == [("olga", f"roster:{TOMORROW.isoformat()}")]


@pytest.mark.usefixtures("planned")
async def test_inspector_sees_the_own_roster_only(call: Call) -> None:
    """The own day in order; a colleague's does not exist, and the whole day is not for inspectors."""
    status, roster = await call("GET", f"{ROSTERS}/I-1", as_="ines")
    assert status == 200
    assert [visit["position"] for visit in roster["visits"]] == list(range(1, len(roster["visits"]) + 1))
    assert (await call("GET", f"{ROSTERS}/I-1", as_="ivan"))[0] == 404
    assert (await call("GET", ROSTERS, as_="ines"))[0] == 403


@pytest.mark.usefixtures("planned")
async def test_roster_as_csv_has_local_times(call: Call) -> None:
    """One line a visit, on the city's wall clock, with a telephone number left as it is."""
    status, text = await call("GET", f"{ROSTERS}/I-1?format=csv")
    lines = list(csv.DictReader(io.StringIO(text)))
    assert status == 200
    assert lines[0]["contact_phone"] == "+86 555 0100"
    assert all("08:30" <= line["arrive"] <= "16:30" for line in lines)


@pytest.mark.usefixtures("planned")
async def test_other_districts_see_nothing(call: Call) -> None:
    """An officer of another district finds no visits, no door, no duties."""
    status, day = await call("GET", ROSTERS, as_="otto")
    assert (status, day["rosters"]) == (200, [])
    assert (await call("GET", "/premises/H-001", as_="otto"))[0] == 404
    assert (await call("GET", "/duties", as_="otto"))[1]["items"] == []
    assert (await call("POST", f"{ROSTERS}/plan", as_="otto"))[0] == 409


async def test_day_without_roster(call: Call) -> None:
    """A day nobody planned is not there; a word that is no day is refused by name."""
    assert (await call("GET", ROSTERS))[0] == 404
    status, problem = await call("GET", "/rosters/someday")
    assert (status, problem["errors"][0]["field"]) == (422, "path.day")


async def test_officer_plans_a_day(call: Call) -> None:
    """Planning over HTTP publishes the next version and shows its figures; the past is refused."""
    day = local_day(datetime.now(UTC), PARAMS.zone) + timedelta(days=1)
    status, run = await call("POST", f"/rosters/{day.isoformat()}/plan")
    assert (status, run["version"], run["figures"]["visits"]) == (200, 1, 12)
    assert (await call("POST", f"/rosters/{day.isoformat()}/plan"))[1]["version"] == 2
    assert (await call("POST", "/rosters/2020-01-01/plan"))[0] == 409


async def test_omissions_come_in_pages(call: Call, conn: asyncpg.Connection, pool: asyncpg.Pool) -> None:
    """Everything left out is listed once over the pages, each with constraint, reason and price."""
    await settle_town(conn, homes=150)
    await plan_day(pool, TOMORROW, PARAMS.model_copy(update={"iterations_min": 10}), NOW)
    seen: list[str] = []
    after: str | None = ""
    while after is not None:
        status, page = await call("GET", f"{ROSTERS}/omissions?limit=20" + (f"&after={after}" if after else ""))
        assert status == 200
        assert all(item["reason"] and item["price"] for item in page["items"])
        seen += [item["premises"] for item in page["items"]]
        after = page["next"]
    assert len(seen) == len(set(seen)) == await conn.fetchval("SELECT count(*) FROM omission") > 20


@pytest.mark.usefixtures("planned")
async def test_outcome_story(call: Call, conn: asyncpg.Connection) -> None:
    """The inspector reports a hazard, repeats it, and the door's history shows all of it."""
    visit_id = await visit_of(conn, "H-001")
    body: dict[str, Any] = {
        "client_id": str(uuid4()), "result": "hazard_found", "at": datetime.now(UTC).isoformat(),
        "hazards": [{"code": "leak", "note": "at the hose"}], "note": "gas closed",
    }  # fmt: skip
    status, receipt = await call("POST", f"/visits/{visit_id}/outcome", as_="ines", json=body)
    assert (status, receipt["entered"], receipt["hazards"][0]["grade"]) == (200, True, 1)
    assert (await call("POST", f"/visits/{visit_id}/outcome", as_="ines", json=body))[1] == receipt
    changed = body | {"result": "passed", "hazards": []}
    assert (await call("POST", f"/visits/{visit_id}/outcome", as_="ines", json=changed))[0] == 409
    status, door = await call("GET", "/premises/H-001")
    assert status == 200
    assert [visit["result"] for visit in door["visits"]] == ["hazard_found"]
    found_on = local_day(datetime.fromisoformat(body["at"]), PARAMS.zone)
    assert door["hazards"][0]["due_on"] == (found_on + timedelta(days=1)).isoformat()
    assert sorted(duty["kind"] for duty in door["duties"] if duty["state"] == "open") == ["periodic", "recheck"]
    assert await conn.fetchval("SELECT count(*) FROM audit_entry WHERE action = 'premises.read'") == 1


@pytest.mark.usefixtures("planned")
@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"result": "hazard_found"}, "body.hazards"),
        ({"hazards": [{"code": "leak"}]}, "body.hazards"),
        ({"result": "hazard_found", "hazards": [{"code": "dragon"}]}, "body.hazards.code"),
        ({"result": "maybe"}, "body.result"),
        ({"at": "2026-11-21T02:00:00"}, "body.at"),
        ({"at": "2999-01-01T00:00:00Z"}, "body.at"),
        ({"at": "2001-01-01T00:00:00Z"}, "body.at"),  # before the visit was planned
        ({"surprise": 1}, "body.surprise"),
    ],
)
async def test_bad_report_names_the_field(
    call: Call, conn: asyncpg.Connection, changes: dict[str, Any], field: str
) -> None:
    """A report that contradicts itself or the catalogue is refused with the field at fault, and nothing is written."""
    body = {"client_id": str(uuid4()), "result": "passed", "at": datetime.now(UTC).isoformat()} | changes
    status, problem = await call("POST", f"/visits/{await visit_of(conn, 'H-001')}/outcome", json=body)
    assert (status, problem["errors"][0]["field"]) == (422, field)
    assert await conn.fetchval("SELECT count(*) FROM outcome") == 0


@pytest.mark.usefixtures("planned")
async def test_duties_in_pages_by_due_day(call: Call) -> None:
    """Open duties come oldest due first, every one once over the pages."""
    seen: list[int] = []
    after: str | None = ""
    while after is not None:
        _, page = await call("GET", "/duties?limit=5" + (f"&after={after}" if after else ""))
        seen += [item["duty_id"] for item in page["items"]]
        after = page["next"]
    assert len(seen) == len(set(seen)) == 13
    _, page = await call("GET", "/duties?kind=alert")
    assert [item["premises"] for item in page["items"]] == ["H-001"]
    assert (await call("GET", "/duties?after=2026-99-01_1"))[0] == 422


@pytest.mark.usefixtures("planned")
async def test_roster_as_files(call: Call, pool: asyncpg.Pool) -> None:
    """Map, calendar and paper of the version in force; a colleague gets none; planning anew updates the calendar."""
    status, told = await call("GET", f"{ROSTERS}/I-1?format=geojson", as_="ines")
    assert status == 200
    doors = [feature["properties"]["premises"] for feature in told["features"][1:]]
    assert (await call("GET", f"{ROSTERS}/I-1?format=ical", as_="ivan"))[0] == 404
    await plan_day(pool, TOMORROW, PARAMS, NOW + timedelta(minutes=1))
    status, text = await call("GET", f"{ROSTERS}/I-1?format=ical", as_="ines")
    events = Calendar.from_ical(text).walk("VEVENT")
    assert {str(event["sequence"]) for event in events} == {"2"}
    assert {str(event["uid"]).split("/")[2] for event in events} >= {f"{door}@gaswarden" for door in doors}
    status, _ = await call("GET", f"{ROSTERS}/I-1?format=hologram")
    assert status == 422


@pytest.mark.usefixtures("planned")
async def test_notice_of_a_hazard_on_paper(call: Call, conn: asyncpg.Connection) -> None:
    """Its finder prints it, a colleague and another district do not; each print is on the record."""
    visit_id = await visit_of(conn, "H-001")
    body = {"client_id": str(uuid4()), "result": "hazard_found", "at": datetime.now(UTC).isoformat()}
    finder, colleague = "ines", "ivan"
    status, receipt = await call(
        "POST", f"/visits/{visit_id}/outcome", as_=finder, json=body | {"hazards": [{"code": "leak"}]}
    )
    assert status == 200
    path = f"/hazards/{receipt['hazards'][0]['hazard_id']}/notice"
    status, paper = await call("GET", f"{path}?language=en", as_=finder)
    assert (status, paper[:4]) == (200, b"%PDF")
    assert (await call("GET", path, as_=colleague))[0] == 404
    assert (await call("GET", path, as_="otto"))[0] == 404
    assert await conn.fetchval("SELECT count(*) FROM audit_entry WHERE action = 'hazard.notice'") == 1
    assert (await call("POST", "/notice-cards/print", json={"count": 2}))[0] == 409
    assert await conn.fetchval("SELECT count(*) FROM notice_card") == 0
