"""Alerts over HTTP: what officers and inspectors see and may do, within their areas, with every look recorded."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from aiohttp.test_utils import TestClient, TestServer

from app.accounts import NewAccount, add_account
from app.http_params import HttpParams
from app.web import Web
from rules import passes
from rules.catalog import default_catalog
from rules.model import Finding
from rules.routes import AlertRoutes
from sql import queries
from sql.actor import Actor
from tests.service.rules_rows import NOW, Town, hourly, make_inspector, make_town

CATALOG = default_catalog()
CONSOLE = Actor("console", "administrator")
PROOF = {"kind": "instrument", "instrument": "GT-44, every joint", "value": 0.0, "unit": "ppm"}


class Desk:
    """An HTTP client with one token per person."""

    def __init__(self, client: TestClient[Any, Any], tokens: dict[str, str]) -> None:
        self._client = client
        self._tokens = tokens

    async def get(self, path: str, who: str = "officer", status: int = 200, **query: object) -> Any:
        params = [
            (name, str(one)) for name, value in query.items() for one in (value if isinstance(value, list) else [value])
        ]
        async with self._client.get(f"/api/v1{path}", params=params, headers=self.headers(who)) as response:
            assert response.status == status, await response.text()
            return await response.json()

    async def step(self, alert_id: int, who: str = "officer", status: int = 200, **body: object) -> Any:
        url = f"/api/v1/alerts/{alert_id}/steps"
        async with self._client.post(url, json=body, headers=self.headers(who)) as response:
            assert response.status == status, await response.text()
            return await response.json()

    def headers(self, who: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._tokens[who]}"}

    def stream(self, who: str, **headers: str) -> Any:
        return self._client.get("/api/v1/alerts/stream", headers=self.headers(who) | headers)


@pytest.fixture
async def town(conn: asyncpg.Connection) -> Town:
    await make_town(conn, "D02")
    return await make_town(conn, "D01")


@pytest.fixture
async def desk(pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town) -> AsyncIterator[Desk]:
    await make_inspector(conn, "I-1")
    accounts = {
        "officer": NewAccount("olga", "officer"),
        "stranger": NewAccount("sam", "officer", ("D02",)),
        "inspector": NewAccount("ines", "inspector", ("D01",), "I-1"),
    }
    tokens = {name: await add_account(conn, account, CONSOLE, NOW) for name, account in accounts.items()}
    web = Web(pool, HttpParams(), AlertRoutes(pool).table(), None)
    async with TestClient(TestServer(web.application)) as client:
        yield Desk(client, tokens)


async def leak(pool: asyncpg.Pool, town: Town, code: str, home: int = 0, **columns: Any) -> int:
    """Raise a leak alarm through the evaluator; return the alert's id."""
    device_id = await town.device(code, "detector", home=home)
    await town.event(device_id, **columns)
    await town.conn.execute(*queries["add_cursors"].bind(stream="events"))
    done = await passes.events_pass(pool, CATALOG, town.slot, NOW, 500)
    return done.alert_ids[0]


async def test_the_list_filters_and_pages_by_key(pool: asyncpg.Pool, desk: Desk, town: Town) -> None:
    """Three alerts in pages of two, newest first; filters by severity, state, rule, late and text."""
    ids = [await leak(pool, town, f"LD-{n}", at=NOW + timedelta(hours=n), level=1 + n % 2) for n in range(3)]
    first = await desk.get("/alerts", limit=2)
    second = await desk.get("/alerts", limit=2, after=first["next"])
    assert [row["alert_id"] for row in first["items"] + second["items"]] == ids[::-1]
    assert second["next"] is None
    assert [row["alert_id"] for row in (await desk.get("/alerts", severity="critical"))["items"]] == [ids[1]]
    assert (await desk.get("/alerts", state="closed"))["items"] == []
    assert len((await desk.get("/alerts", state="open", rule="leak_alarm", late="false"))["items"]) == 3
    assert [row["alert_id"] for row in (await desk.get("/alerts", text="LD-2"))["items"]] == [ids[2]]
    assert "address" not in first["items"][0]


async def test_an_area_stands_for_the_districts_below_it_and_a_mistyped_one_is_an_error(
    pool: asyncpg.Pool, conn: asyncpg.Connection, desk: Desk, town: Town
) -> None:
    """Alerts of a child district are among those of its parent; unknown areas and rules are 404, not an empty list."""
    await conn.execute("INSERT INTO district (code, name) VALUES ('D0', 'Both')")
    await conn.execute(
        "UPDATE district SET parent_id = d.district_id FROM district d WHERE d.code = 'D0' AND district.code = 'D01'"
    )
    alert_id = await leak(pool, town, "LD-1")
    for area in ("D0", "D01"):
        assert [row["alert_id"] for row in (await desk.get("/alerts", area=area))["items"]] == [alert_id]
    assert (await desk.get("/alerts", area="D02"))["items"] == []
    assert "D99" in (await desk.get("/alerts", area="D99", status=404))["detail"]
    assert "leek_alarm" in (await desk.get("/alerts", rule="leek_alarm", status=404))["detail"]


async def test_areas_limit_every_view_and_every_step(pool: asyncpg.Pool, desk: Desk, town: Town) -> None:
    """An officer of another district sees no trace of the alert, and cannot touch it."""
    alert_id = await leak(pool, town, "LD-1")
    assert (await desk.get("/alerts", "stranger"))["items"] == []
    await desk.get(f"/alerts/{alert_id}", "stranger", status=404)
    await desk.step(alert_id, "stranger", status=404, step="acknowledge")


async def test_one_alert_whole(pool: asyncpg.Pool, conn: asyncpg.Connection, desk: Desk, town: Town) -> None:
    """Timeline, evidence, readings around it, the door with its address, and the look recorded in the audit."""
    await conn.execute("UPDATE premises SET appliances = '{hob}'")
    meter = await town.device("M-1")
    rows = hourly(NOW, [0, 10] * 72)
    await town.readings(meter, rows)
    await conn.execute(*queries["add_cursors"].bind(stream="readings"))
    (alert_id,) = (await passes.readings_pass(pool, CATALOG, "D01", NOW, 500, 2000)).alert_ids
    whole = await desk.get(f"/alerts/{alert_id}")
    assert whole["rule_title"] == "Small flow that never stops"
    assert [step["step"] for step in whole["timeline"]] == ["raised"]
    assert len(whole["readings"]) == len(rows) == len(whole["evidence"]["samples"])
    assert whole["door"]["address"] == "Willow Court 1-101"
    assert whole["allowed"].startswith("allowed from here: acknowledge, control, dismiss")
    audited = await conn.fetchrow("SELECT * FROM audit_entry ORDER BY audit_id DESC LIMIT 1")
    assert (audited["actor"], audited["action"], audited["subject"]) == ("olga", "alert.read", f"alert:{alert_id}")


async def test_an_inspector_sees_no_personal_data_and_takes_no_step(pool: asyncpg.Pool, desk: Desk, town: Town) -> None:
    """The alert without address, name and telephone; steps are for officers."""
    alert_id = await leak(pool, town, "LD-1")
    door = (await desk.get(f"/alerts/{alert_id}", "inspector"))["door"]
    assert (door["premises"], door["address"], door["contact_name"], door["contact_phone"]) == (
        "D01-P1",
        None,
        None,
        None,
    )
    await desk.step(alert_id, "inspector", status=403, step="acknowledge")


async def test_the_whole_life_in_order_with_evidence(
    pool: asyncpg.Pool, conn: asyncpg.Connection, desk: Desk, town: Town
) -> None:
    """Each step in its order; a step out of order and a closing without evidence are refused with what is allowed."""
    alert_id = await leak(pool, town, "LD-1")
    refused = await desk.step(alert_id, status=409, step="verify", evidence=[PROOF])
    assert "allowed from here: acknowledge, control, dismiss" in refused["detail"]
    for step in ("acknowledge", "dispatch", "on_site", "made_safe"):
        await desk.step(alert_id, step=step, note=f"did {step}")
    assert "needs evidence" in (await desk.step(alert_id, status=409, step="verify"))["detail"]
    done = await desk.step(alert_id, step="verify", evidence=[PROOF])
    assert (done["state"], done["owner"]) == ("verified", "olga")
    whole = await desk.get(f"/alerts/{alert_id}")
    assert [step["to_state"] for step in whole["timeline"]] == [
        "open",
        "acknowledged",
        "dispatched",
        "on_site",
        "made_safe",
        "verified",
    ]
    assert whole["timeline"][-1]["evidence"] == {"proof": [PROOF]}
    actions = [row["action"] for row in await conn.fetch("SELECT action FROM audit_entry ORDER BY audit_id")]
    assert [action for action in actions if action.startswith("alert.")][:5] == [
        "alert.acknowledge",
        "alert.dispatch",
        "alert.on_site",
        "alert.made_safe",
        "alert.verify",
    ]


async def test_carbon_monoxide_is_closed_on_a_measurement_of_itself(
    pool: asyncpg.Pool, conn: asyncpg.Connection, desk: Desk, town: Town
) -> None:
    """Told by the rule as it fired; ppm that nobody said are of CO are those of methane."""
    await town.event(await town.device("LD-1", "detector"), "co_alarm")
    await conn.execute(*queries["add_cursors"].bind(stream="events"))
    (alert_id,) = (await passes.events_pass(pool, CATALOG, "D01", NOW, 500)).alert_ids
    for step in ("acknowledge", "dispatch", "on_site", "made_safe"):
        await desk.step(alert_id, step=step)
    refused = await desk.step(alert_id, status=409, step="verify", evidence=[PROOF])
    assert "carbon monoxide" in refused["detail"]
    await desk.step(alert_id, status=422, step="verify", evidence=[{**PROOF, "gas": "co", "unit": "%LEL"}])
    assert (await desk.step(alert_id, step="verify", evidence=[{**PROOF, "gas": "co"}]))["state"] == "verified"


async def test_a_dismissal_needs_a_cause_and_the_next_alarm_is_a_new_episode(
    pool: asyncpg.Pool, desk: Desk, town: Town
) -> None:
    """No cause, no dismissal; `other` needs a note; firing again opens a new alert linked to the old one."""
    alert_id = await leak(pool, town, "LD-1")
    await desk.step(alert_id, status=409, step="dismiss")
    await desk.step(alert_id, status=409, step="dismiss", cause="other")
    await desk.step(alert_id, step="dismiss", cause="cooking")
    device_id = await town.conn.fetchval("SELECT device_id FROM device WHERE code = 'LD-1'")
    await town.event(device_id, at=NOW + timedelta(hours=1))
    (again,) = (await passes.events_pass(pool, CATALOG, "D01", NOW + timedelta(hours=1), 500)).alert_ids
    whole = await desk.get(f"/alerts/{again}")
    assert (whole["episode"], whole["state"]) == (2, "open")
    assert [(one["alert_id"], one["cause"]) for one in whole["episodes"]] == [(alert_id, "cooking")]


async def test_the_catalogue_shows_versions_that_fired(pool: asyncpg.Pool, desk: Desk, town: Town) -> None:
    """Every rule word for word; the one that fired with its version."""
    await leak(pool, town, "LD-1")
    rules = {rule["rule_id"]: rule for rule in await desk.get("/rules", "inspector")}
    assert set(rules) == set(CATALOG.rules)
    assert [one["version"] for one in rules["leak_alarm"]["versions"]] == [rules["leak_alarm"]["version"]]
    assert rules["micro_leak"]["versions"] == []


async def test_the_stream_resumes_after_the_last_event(pool: asyncpg.Pool, desk: Desk, town: Town) -> None:
    """Two steps live; after a reconnect with Last-Event-ID only the second comes again."""
    alert_id = await leak(pool, town, "LD-1")
    await desk.step(alert_id, step="acknowledge")
    first, second = await read_events(desk, 2, "officer", **{"Last-Event-ID": "0"})
    assert (first["event"], second["event"]) == ("raised", "acknowledged")
    assert json.loads(second["data"])["alert_id"] == alert_id
    (resumed,) = await read_events(desk, 1, "officer", **{"Last-Event-ID": first["id"]})
    assert resumed == second


async def test_the_stream_keeps_to_the_callers_areas(pool: asyncpg.Pool, desk: Desk, town: Town) -> None:
    """An officer of D02 gets the step of D02 and not the earlier one of D01."""
    await leak(pool, town, "LD-1")
    other = Town(town.conn, 1, [1, 2], 1, slot="D02")
    alert_id = await leak(pool, other, "LD-2")
    (event,) = await read_events(desk, 1, "stranger", **{"Last-Event-ID": "0"})
    assert json.loads(event["data"])["alert_id"] == alert_id


async def read_events(desk: Desk, count: int, who: str, **headers: str) -> list[dict[str, str]]:
    """The first events of a stream, as fields."""
    found: list[dict[str, str]] = []
    async with asyncio.timeout(5), desk.stream(who, **headers) as response:
        fields: dict[str, str] = {}
        async for line in response.content:
            text = line.decode().rstrip("\n")
            if text:
                name, _, value = text.partition(": ")
                fields[name] = value
                continue
            if "id" in fields:
                found.append(fields)
            fields = {}
            if len(found) == count:
                return found
    return found


async def test_an_alert_about_a_whole_place_names_it(
    desk: Desk, pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town
) -> None:
    """A silent compound and a silent district stand in the list, and alone, with their codes and area."""
    compound_id = await conn.fetchval("SELECT compound_id FROM compound WHERE code = 'D01-C1'")
    district_id = await conn.fetchval("SELECT district_id FROM district WHERE code = 'D01'")
    subjects = (f"compound:{compound_id}", f"district:{district_id}")
    found = [Finding("cell_silent", one, NOW, NOW, "major", "silent", {}, 6.0, "devices") for one in subjects]
    async with conn.transaction():
        ids = await passes.save_found(conn, CATALOG, found, NOW)
    page = await desk.get("/alerts", area="D01")
    assert {(one["compound"], one["district"]) for one in page["items"]} == {("D01-C1", None), (None, "D01")}
    whole = await desk.get(f"/alerts/{min(ids)}")
    assert "D01" in (whole["compound"] or whole["district"])
