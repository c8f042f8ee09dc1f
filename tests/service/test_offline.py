"""Outcomes from offline: any order, however often, cut off: the same end; conflicts are kept and settled."""

import asyncio
import random
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
from inspections.offline import take_batch
from inspections.offline_routes import OfflineRoutes
from inspections.wallclock import local_day
from sql.actor import Actor
from sql.pool import open_pool
from tests.servers import Database, DatabaseServer
from tests.service.inspections_rows import PARAMS, plan_visit, settle_town
from tests.service.offline_city import end_state, reports, settle_doors

Call = Callable[..., Awaitable[tuple[int, Any]]]
NOW = datetime.now(UTC)
OLGA = Actor("olga", "officer")


@pytest.mark.parametrize("seed", [1, 6])
async def test_any_order_ends_in_the_same_state(
    pool: asyncpg.Pool, shared_database_server: DatabaseServer, template: str, seed: int
) -> None:
    """Some forty outcomes in order, against shuffled, doubled, two senders at once and one cut off: all is equal."""
    first_day = NOW - timedelta(days=6)
    async with pool.acquire() as conn:
        await settle_doors(conn, 24, first_day)
        items = await reports(conn, seed)
        await take_batch(pool, items, PARAMS, OLGA, NOW)
        expected = await end_state(conn)
    assert {row[2] for row in expected["outcomes"]} >= {"passed", "hazard_found", "no_access"}
    name, other = shared_database_server.create(template=template)
    try:
        found = await _shuffled(other, items, first_day, seed)
        assert {name: [row for row in rows if row not in found[name]] for name, rows in expected.items()} == {
            name: [row for row in found[name] if row not in rows] for name, rows in expected.items()
        }
        assert found == expected
    finally:
        shared_database_server.drop(name)


async def _shuffled(
    other: Database, items: list[dict[str, Any]], first_day: datetime, seed: int
) -> dict[str, list[tuple[Any, ...]]]:
    chance = random.Random(seed)
    async with open_pool(other.url, application_name="test") as pool, pool.acquire() as conn:
        await settle_doors(conn, 24, first_day)
        twice = items * 2
        chance.shuffle(twice)
        ones = [take_batch(pool, [item], PARAMS, OLGA, NOW) for item in twice[: len(items) // 2]]
        for one in ones:
            await one
        cut_off = asyncio.create_task(take_batch(pool, twice, PARAMS, OLGA, NOW))
        while await conn.fetchval("SELECT count(*) FROM outcome") < len(items) * 0.6:  # noqa: ASYNC110 - rows, not an event
            await asyncio.sleep(0)  # a look lets the other task go on
        cut_off.cancel()
        await asyncio.gather(cut_off, return_exceptions=True)
        both = (twice[::2], twice[1::2])
        await asyncio.gather(*(take_batch(pool, half, PARAMS, OLGA, NOW) for half in both))
        await take_batch(pool, twice, PARAMS, OLGA, NOW)
        return await end_state(conn)


@pytest.fixture
async def call(pool: asyncpg.Pool, conn: asyncpg.Connection) -> AsyncIterator[Call]:
    """Send a request as somebody: olga of the whole city, ines on the roster I-1, ida on I-2."""
    await settle_town(conn, homes=3)
    accounts = [
        NewAccount("olga", "officer"),
        NewAccount("ines", "inspector", inspector_code="I-1"),
        NewAccount("ida", "inspector", inspector_code="I-2"),
    ]
    tokens = {one.name: await add_account(conn, one, Actor("console", "administrator"), NOW) for one in accounts}
    web = Web(pool, HttpParams(), OfflineRoutes(pool, PARAMS).table(), None)
    async with TestClient(TestServer(web.application)) as client:

        async def send(method: str, path: str, *, as_: str = "ines", **options: Any) -> tuple[int, Any]:
            headers = {"Authorization": f"Bearer {tokens[as_]}"}
            async with client.request(method, f"/api/v1{path}", headers=headers, **options) as response:
                return response.status, await response.json(content_type=None)

        yield send


def item(visit_id: int, result: str = "passed", **more: Any) -> dict[str, Any]:
    said = {"client_id": str(uuid4()), "visit_id": visit_id, "base_version": 1, "result": result, "at": NOW.isoformat()}
    return said | more


async def test_each_item_has_a_receipt_of_its_own(call: Call, conn: asyncpg.Connection) -> None:
    """One recorded, one invalid, one unknown, one that says too little: four receipts in order."""
    visit_id, _ = await plan_visit(conn, "H-001", NOW - timedelta(hours=2))
    good = item(visit_id)
    items = [item(visit_id, "hazard_found"), item(99), good, {"visit_id": "x", "note": "\x00"}]
    status, receipts = await call("POST", "/outcomes/batch", json={"items": items})
    assert (status, [one["index"] for one in receipts]) == (200, [0, 1, 2, 3])
    assert [(one["status"], one["kind"], one["field"]) for one in receipts] == [
        ("conflict", "invalid", "hazards"),
        ("conflict", "unknown_visit", None),
        ("recorded", None, None),
        ("conflict", "invalid", None),
    ]
    assert receipts[2]["receipt"]["visit_id"] == visit_id
    assert (await call("POST", "/outcomes/batch", json={"items": items}))[1] == receipts
    assert await conn.fetchval("SELECT count(*) FROM outcome_conflict") == 3


async def test_conflicts_are_kept_and_settled(call: Call, conn: asyncpg.Connection) -> None:
    """Moved to somebody else, reported already, client id used twice: kept, listed, and settled with a reason."""
    visit_id, duty_id = await plan_visit(conn, "H-001", NOW - timedelta(hours=3))
    other, _ = await plan_visit(conn, "H-002", NOW - timedelta(hours=3), inspector="I-2")
    await conn.execute(
        """UPDATE visit SET roster_id = (SELECT roster_id FROM visit WHERE visit_id = $2), position = 2
           WHERE visit_id = $1""",
        visit_id,
        other,
    )
    mine = item(visit_id)
    _, (moved,) = await call("POST", "/outcomes/batch", json={"items": [mine]})
    assert moved["kind"] == "moved"
    assert (await call("POST", "/outcomes/batch", json={"items": [item(other)]}))[1][0]["kind"] == "unknown_visit"
    path = f"/outcome-conflicts/{moved['conflict_id']}/settle"
    assert (await call("POST", path, as_="olga", json={"decision": "record", "note": "she was there"}))[0] == 204
    assert (await call("POST", path, as_="olga", json={"decision": "reject", "note": "x"}))[0] == 409
    assert await conn.fetchval("SELECT state FROM duty WHERE duty_id = $1", duty_id) == "done"
    again = [item(visit_id, "no_access"), mine | {"note": "more"}]
    _, receipts = await call("POST", "/outcomes/batch", as_="ida", json={"items": again})
    assert [one["kind"] for one in receipts] == ["already_reported", "client_id_reused"]
    _, page = await call("GET", "/outcome-conflicts", as_="olga")
    assert [one["kind"] for one in page["items"]] == ["unknown_visit", "already_reported", "client_id_reused"]
    assert (await call("GET", "/outcome-conflicts", as_="ines"))[0] == 403


async def test_a_visit_that_the_roster_lost_is_recorded_and_shown(call: Call, conn: asyncpg.Connection) -> None:
    """A newer version without the visit: what happened at the door is a fact all the same."""
    visit_id, _ = await plan_visit(conn, "H-001", NOW - timedelta(hours=2))
    await plan_visit(conn, "H-002", NOW - timedelta(hours=2))
    _, (receipt,) = await call("POST", "/outcomes/batch", json={"items": [item(visit_id)]})
    assert receipt["status"] == "recorded"
    _, page = await call("GET", "/outcome-conflicts", as_="olga", params={"state": "recorded"})
    assert [one["kind"] for one in page["items"]] == ["roster_changed"]


async def test_the_bundle_is_for_today_and_for_oneself(call: Call, conn: asyncpg.Connection) -> None:
    """Today's doors with duties, checklist, hazards and version; nobody else's, no other day's."""
    today = local_day(datetime.now(UTC), PARAMS.zone)
    visit_id, duty_id = await plan_visit(conn, "H-001", NOW - timedelta(hours=2), day=today)
    status, bundle = await call("GET", f"/inspectors/I-1/bundle/{today}")
    assert (status, bundle["base_version"]) == (200, 1)
    assert [visit["visit_id"] for visit in bundle["roster"]["visits"]] == [visit_id]
    assert [duty["duty_id"] for duty in bundle["duties"]] == [duty_id]
    assert [one["user_class"] for one in bundle["checklists"]] == ["household"]
    assert next(one for one in bundle["hazard_kinds"] if one["code"] == "hose_aged")["title_zh"].startswith("软管")
    assert (await call("GET", f"/inspectors/I-1/bundle/{today}", as_="ida"))[0] == 404
    assert (await call("GET", f"/inspectors/I-1/bundle/{today - timedelta(days=1)}"))[0] == 409


async def test_a_late_report_withdraws_the_case_of_a_run_it_cuts_short(call: Call, conn: asyncpg.Connection) -> None:
    """Three closed doors are a case; that somebody got in between, told late, ends it; a third since is one again."""
    duty_id = None
    visits: dict[int, int] = {}
    for days_ago in (6, 5, 4, 3, 2):
        visits[days_ago], duty_id = await plan_visit(conn, "H-001", NOW - timedelta(days=days_ago), duty_id)

    def at_door(days_ago: int, result: str) -> dict[str, Any]:
        return item(visits[days_ago], result, at=(NOW - timedelta(days=days_ago) + timedelta(hours=1)).isoformat())

    closed = [at_door(days_ago, "no_access") for days_ago in (6, 4, 3)]
    await call("POST", "/outcomes/batch", json={"items": closed})
    assert await _cases(conn) == [("no_access", "open", "3 visits in a row did not get in, the last on", "opened")]
    await call("POST", "/outcomes/batch", json={"items": [at_door(5, "partial") | {"unseen": ["kitchen"]}]})
    assert await _cases(conn) == [("no_access", "closed", "3 visits in a row did not get in, the last on", "close")]
    steps = await conn.fetchval("SELECT note FROM case_step WHERE step = 'close'")
    assert steps.endswith("fewer visits in a row did not")
    await call("POST", "/outcomes/batch", json={"items": [at_door(2, "no_access")]})
    assert [case[1] for case in await _cases(conn)] == ["closed", "open"]


async def test_a_case_tells_the_run_as_it_is_known(call: Call, conn: asyncpg.Connection) -> None:
    """The fourth, third and second closed door come first, the first last: the case is that of the third."""
    duty_id = None
    reported = []
    for days_ago in (6, 5, 4, 3):
        visit_id, duty_id = await plan_visit(conn, "H-001", NOW - timedelta(days=days_ago), duty_id)
        reported.append(item(visit_id, "no_access", at=(NOW - timedelta(days=days_ago)).isoformat()))
    for one in reversed(reported):
        await call("POST", "/outcomes/batch", json={"items": [one]})
    opened = await conn.fetchval("SELECT opened_at FROM case_file WHERE kind = 'no_access' AND state = 'open'")
    assert opened == NOW - timedelta(days=4)


async def _cases(conn: asyncpg.Connection) -> list[tuple[str, ...]]:
    rows = await conn.fetch(
        """SELECT f.kind, f.state, left(f.title, 45) AS title, s.step FROM case_file f
           CROSS JOIN LATERAL (SELECT step FROM case_step WHERE case_id = f.case_id ORDER BY step_id DESC LIMIT 1) s
           ORDER BY f.case_id"""
    )
    return [tuple(row) for row in rows]


async def test_a_recheck_is_proved_by_the_first_visit_that_passed(call: Call, conn: asyncpg.Connection) -> None:
    """A leak and two re-checks of it, the later told first: the earlier moves the proof; seen between, it is new."""
    found, _ = await plan_visit(conn, "H-001", NOW - timedelta(days=6))
    leak = item(found, "hazard_found", at=(NOW - timedelta(days=6)).isoformat(), hazards=[{"code": "leak"}])
    await call("POST", "/outcomes/batch", json={"items": [leak]})
    duty_id = await conn.fetchval("SELECT duty_id FROM duty WHERE kind = 'recheck'")
    early, _ = await plan_visit(conn, "H-001", NOW - timedelta(days=4), duty_id)
    whole = await conn.fetchval("SELECT duty_id FROM duty WHERE kind = 'periodic' AND state = 'open'")
    seen, _ = await plan_visit(conn, "H-001", NOW - timedelta(days=3), whole)
    late, _ = await plan_visit(conn, "H-001", NOW - timedelta(days=2), duty_id)
    told = [
        item(late, "recheck_passed", at=(NOW - timedelta(days=2)).isoformat()),
        item(seen, "partial", at=(NOW - timedelta(days=3)).isoformat(), hazards=[{"code": "leak"}], unseen=["attic"]),
        item(early, "recheck_passed", at=(NOW - timedelta(days=4)).isoformat()),
    ]
    for one in told:
        _, (receipt,) = await call("POST", "/outcomes/batch", json={"items": [one]})
        assert receipt["status"] == "recorded"
    hazards = await conn.fetch("SELECT found_at, closed_at FROM hazard ORDER BY found_at")
    days = [tuple(moment and (NOW - moment).days for moment in row) for row in hazards]
    assert days == [(6, 4), (3, None)]
    assert await conn.fetchval("SELECT count(*) FROM duty WHERE kind = 'recheck' AND state = 'open'") == 1


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 0, 1), (1, 3, 0, 2)])
async def test_the_newest_visit_puts_off_by_all_that_is_known(
    call: Call, conn: asyncpg.Connection, order: tuple[int, ...]
) -> None:
    """Shut, shut, partly seen, shut: the third shut door makes the pause, also when the first report comes last."""
    results = ("no_access", "no_access", "partial", "no_access")
    duty_id, told = None, []
    for days_ago, result in zip((9, 8, 7, 6), results, strict=True):
        visit_id, duty_id = await plan_visit(conn, "H-001", NOW - timedelta(days=days_ago), duty_id)
        more: dict[str, Any] = {"unseen": ["attic"]} if result == "partial" else {}
        told.append(item(visit_id, result, at=(NOW - timedelta(days=days_ago)).isoformat(), **more))
    for number in order:
        await call("POST", "/outcomes/batch", json={"items": [told[number]]})
    pause = local_day(NOW, PARAMS.zone) - timedelta(days=6) + timedelta(days=21)
    not_before = await conn.fetchval("SELECT not_before FROM duty WHERE duty_id = $1", duty_id)
    assert pause <= not_before <= pause + timedelta(days=1)  # another weekday
