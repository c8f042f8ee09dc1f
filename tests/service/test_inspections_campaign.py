"""The campaign in the database: planned, in force, shown by district, notices issued once, the roster follows it."""

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from aiohttp.test_utils import TestClient, TestServer

from app.accounts import NewAccount, add_account
from app.http_params import HttpParams
from app.web import Web
from inspections.campaign_routes import CampaignRoutes
from inspections.campaigning import issue_notices, keep_campaign, plan_year
from inspections.day_views import known_of_door
from inspections.planning import plan_day
from sql.actor import Actor
from tests.service.inspections_rows import NOW, PARAMS, TOMORROW, settle_town
from tests.service.rules_rows import insert

FIRST = date(2026, 11, 23)  # a Monday


@pytest.fixture
async def call(pool: asyncpg.Pool, conn: asyncpg.Connection) -> AsyncIterator[Any]:
    await settle_town(conn, last_entered_on=date(2024, 12, 20))
    accounts = [NewAccount("ada", "administrator"), NewAccount("otto", "officer", areas=("D02",))]
    tokens = {one.name: await add_account(conn, one, Actor("console", "administrator"), NOW) for one in accounts}
    served = Web(pool, HttpParams(), CampaignRoutes(pool, PARAMS).table(), None)
    async with TestClient(TestServer(served.application)) as client:

        async def send(method: str, path: str, *, as_: str = "ada", **options: Any) -> tuple[int, Any]:
            headers = {"Authorization": f"Bearer {tokens[as_]}"}
            async with client.request(method, f"/api/v1{path}", headers=headers, **options) as response:
                return response.status, await response.json(content_type=None) if response.status != 204 else None

        yield send


async def test_a_campaign_is_planned_and_shown(call: Any, pool: asyncpg.Pool) -> None:
    """Every door due within the year is planned once; an officer of another district sees none of it."""
    assert (await call("GET", "/campaign"))[0] == 404
    made = await plan_year(pool, PARAMS, FIRST, NOW)
    assert (made.figures["doors_due"], made.figures["unreached"]) == (12, 0)
    status, answer = await call("GET", "/campaign")
    assert (status, sum(week["doors"] for week in answer["weeks"])) == (200, 12)
    assert sum(line["on_time"] for line in answer["forecast"]) == 12
    _, days = await call("GET", "/campaign/days", params={"since": "2026-11-23", "until": "2026-12-20"})
    assert sum(day["doors"] for day in days) == 12
    assert (await call("GET", "/campaign", as_="otto"))[1]["weeks"] == []
    assert (await call("POST", "/campaign/plan", as_="otto", json={}))[0] == 403
    assert (await call("POST", "/campaign/plan", json={"first_day": "2026-01-01"}))[0] == 409


async def test_notices_go_out_once_and_hang(call: Any, pool: asyncpg.Pool, conn: asyncpg.Connection) -> None:
    """Three days before the visits a compound's notice is issued, once; the first who posts it stays on record."""
    await plan_year(pool, PARAMS, FIRST, NOW)
    first = await conn.fetchval("SELECT min(day) FROM campaign_block")
    eve = datetime.combine(first - timedelta(days=3), NOW.time(), UTC)
    assert await issue_notices(pool, PARAMS, eve - timedelta(days=1)) == 0
    issued = await issue_notices(pool, PARAMS, eve)
    assert issued >= 1
    assert await issue_notices(pool, PARAMS, eve) == 0
    span = {"since": first.isoformat(), "until": (first + timedelta(days=3)).isoformat()}
    _, notices = await call("GET", "/campaign/notices", params=span)
    assert notices[0]["due_on"] == (first - timedelta(days=3)).isoformat()
    for until in ("2026-11-01", "2027-11-01"):
        status, fault = await call("GET", "/campaign/notices", params=span | {"until": until})
        assert (status, fault["errors"][0]["field"]) == (422, "query.until")
    path = f"/campaign/notices/{notices[0]['notice_id']}/posted"
    assert (await call("POST", path, as_="otto"))[0] == 404
    assert (await call("POST", path))[0] == 204
    assert (await call("GET", "/campaign/notices", params=span))[1][0]["posted_by"] == "ada"


async def test_the_campaign_follows_the_year(call: Any, pool: asyncpg.Pool, conn: asyncpg.Connection) -> None:
    """After a week it is planned anew: what was entered since is not due any more; earlier campaigns are kept."""
    del call
    await keep_campaign(pool, PARAMS, NOW)
    assert await conn.fetchval("SELECT count(*) FROM campaign") == 0
    await plan_year(pool, PARAMS, FIRST, NOW)
    await conn.execute("UPDATE premises SET last_entered_on = $1 WHERE code <= 'H-004'", TOMORROW)
    await keep_campaign(pool, PARAMS, NOW + timedelta(days=6))
    assert await conn.fetchval("SELECT count(*) FROM campaign") == 1
    await keep_campaign(pool, PARAMS, NOW + timedelta(days=7))
    figures = await conn.fetch("SELECT (figures ->> 'doors_due')::int AS due FROM campaign ORDER BY campaign_id")
    assert [row["due"] for row in figures] == [12, 8]


async def test_the_roster_follows_the_campaign(call: Any, pool: asyncpg.Pool, conn: asyncpg.Connection) -> None:
    """On a day that holds fewer doors than are due, the building in turn comes first; its visits and `why` say so."""
    del call
    await conn.execute("UPDATE inspector SET active = code = 'I-1', shift_end = '09:10'")
    params = PARAMS.model_copy(update={"capacity_factor": 1.0, "spread_share": 0.0})
    building_id, compound_id = await conn.fetchrow("SELECT building_id, compound_id FROM building WHERE code = 'B2'")
    campaign_id = await insert(
        conn, "campaign", "campaign_id", planned_at=NOW, first_day=TOMORROW, days=7, rules={}, figures={}, actor="x"
    )
    await insert(
        conn, "campaign_block", "day", campaign_id=campaign_id, day=TOMORROW, building_id=building_id,
        compound_id=compound_id, area="D01", doors=4, priority_doors=0, late_doors=0, work_s=1,
    )  # fmt: skip
    await plan_day(pool, TOMORROW, params, NOW)
    rows = await conn.fetch(
        "SELECT b.code, v.reasons FROM visit v JOIN premises p USING (premises_id) JOIN building b USING (building_id)"
    )
    assert {row["code"] for row in rows} == {"B2"}
    assert all("turn in the campaign" in str(row["reasons"]) for row in rows)
    answer = await known_of_door(conn, "H-001", TOMORROW, params, NOW, Actor("ada", "administrator"))
    assert answer.campaign_week == TOMORROW - timedelta(days=TOMORROW.weekday())
