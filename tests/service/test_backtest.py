"""Backtests and sets of rules against a real TimescaleDB: drafts are tried, put in force, and taken up."""

import asyncio
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiohttp.test_utils import TestClient, TestServer

from app.accounts import NewAccount, add_account
from app.http_params import HttpParams
from app.web import Web
from rules import passes
from rules.backtest import alerts_of, newly_missed
from rules.backtest_jobs import work_off_one
from rules.backtest_plot import plot_png
from rules.backtesting import Asked, run_backtest
from rules.catalog import default_catalog, packaged_texts, parse_files
from rules.rule_routes import RuleRoutes
from rules.rule_sets import InForce
from sql import queries
from sql.actor import Actor
from tests.servers import Database
from tests.service.rules_rows import NOW, Town, hourly, make_town
from tests.service.test_alert_desk import gaswarden
from tests.service.test_rules_instants import report, work

CATALOG = default_catalog()
EVENTS = packaged_texts()["event.toml"]
CONSOLE = Actor("console", "administrator")
ASKED = Asked(NOW - timedelta(days=20), NOW)


@pytest.fixture
async def town(conn: asyncpg.Connection) -> Town:
    """A home that leaks 8 L/h for the last ten of twenty days, and one that does not; inspectors confirmed the leak."""
    town = await make_town(conn)
    leaking, tight = await town.device("M-1", home=0, pulse_ml=10), await town.device("M-2", home=1, pulse_ml=10)
    quiet = [0.0] * 6 + [60.0] * 18
    leak = [litres + 8 for litres in quiet]
    await town.readings(leaking, hourly(NOW, quiet * 10 + leak * 10))
    await town.readings(tight, hourly(NOW, quiet * 20))
    return town


async def nothing(_done: int, _devices: int) -> None:
    """Nobody listens."""


def draft(**changes: str) -> dict[str, str]:
    """The packaged files with some words replaced."""
    texts = packaged_texts()
    for name, value in changes.items():
        texts["window.toml"] = texts["window.toml"].replace(f"{name} = 5 ", f"{name} = {value} ")
    return texts


async def test_a_backtest_finds_what_the_live_service_found(
    pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town
) -> None:
    """The same alert of the same span; it shows on the fifth day of the leak, and the known leak is caught."""
    await conn.execute(*queries["add_cursors"].bind(stream="readings"))
    await passes.readings_pass(pool, CATALOG, "D01", NOW, 500, 2000)
    await conn.execute("UPDATE alert SET confirmed = true WHERE rule_id = 'micro_leak'")
    live = await conn.fetchrow("SELECT * FROM alert WHERE rule_id = 'micro_leak'")
    report = await run_backtest(conn, CATALOG, None, ASKED, "UTC", nothing)
    (leak,) = [one for one in report.alerts if one.rule_id == "micro_leak"]
    assert (leak.first_at, leak.last_at, leak.severity) == (live["first_at"], live["last_at"], live["severity"])
    assert (leak.raised_at - leak.first_at) == timedelta(days=5)
    (known,) = report.leaks
    assert known.rule_id == "micro_leak"
    assert report.devices == 2
    assert plot_png(report).startswith(b"\x89PNG")
    assert alerts_of(CATALOG.rules, []) == []
    del town


async def test_a_draft_that_misses_a_known_leak_is_told_apart(
    pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town
) -> None:
    """Twelve days instead of five: the alert is gone, and the leak that it caught is missed."""
    await conn.execute(*queries["add_cursors"].bind(stream="readings"))
    await passes.readings_pass(pool, CATALOG, "D01", NOW, 500, 2000)
    await conn.execute("UPDATE alert SET confirmed = true WHERE rule_id = 'micro_leak'")
    slower = parse_files(draft(days="12"))
    report = await run_backtest(conn, slower, CATALOG, ASKED, "UTC", nothing)
    assert report.difference is not None
    assert [one.rule_id for one in report.difference.gone] == ["micro_leak"]
    assert len(newly_missed(report)) == 1
    same = await run_backtest(conn, CATALOG, CATALOG, ASKED, "UTC", nothing)
    assert same.difference is not None
    assert (len(same.difference.new), len(same.difference.gone)) == (0, 0)
    assert newly_missed(same) == []
    del town


async def test_event_rules_are_tried_with_the_live_judgement(
    pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town
) -> None:
    """Readings and events of every shape, live one batch after another: the same alerts, rule by rule, span by span."""
    await tell(town, await town.device("LD-1", "detector"), await town.device("M-3"), pool)
    rows = await conn.fetch("SELECT * FROM alert")
    live = {(r["rule_id"], r["subject"], r["first_at"], r["last_at"], r["severity"], r["firing"]) for r in rows}
    tried_on = await run_backtest(conn, CATALOG, None, replace(ASKED, answered_after=None), "UTC", nothing)
    family = [one for one in tried_on.alerts if CATALOG.rules[one.rule_id].family == "event"]
    tried = {(a.rule_id, a.subject, a.first_at, a.last_at, a.severity, a.firing) for a in family}
    assert tried == live
    assert {"leak_alarm", "co_alarm", "detector_fault", "valve_self_closed", "pressure_low"} <= {key[0] for key in live}
    assert len([one for one in family if one.rule_id == "detector_fault"]) == 2
    (low,) = [one for one in family if one.rule_id == "pressure_low"]
    assert low.raised_at == low.first_at + timedelta(minutes=30)


async def test_leaks_of_a_building_are_tried_with_the_live_rule(
    pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town
) -> None:
    """Twice two detectors within half an hour, once quiet again, once not; one that is not asked for counts as well."""
    first, second = await town.device("LD-1", "detector"), await town.device("LD-2", "detector", home=1)
    begun = NOW - timedelta(days=3)
    story = (
        (first, "raised", 0), (second, "raised", 10), (first, "raised", 25), (first, "cleared", 30),
        (second, "cleared", 40), (second, "raised", 4000), (first, "raised", 4020), (second, "cleared", 4030),
    )  # fmt: skip
    for device_id, state, minute in story:
        at = begun + timedelta(minutes=minute)
        await town.event(device_id, "leak_alarm", state, at)
        await town.heard(device_id, at, leak_state=state, leak_at=at)
        await work(pool, at)
        await passes.tick(pool, CATALOG, passes.Listening([]), at)
    asked = replace(ASKED, devices=("LD-1",), answered_after=None)
    tried = await run_backtest(conn, CATALOG, None, asked, "UTC", nothing)
    (mine,) = [one for one in tried.alerts if one.rule_id == "building_leaks"]
    row = await conn.fetchrow("SELECT * FROM alert WHERE rule_id = 'building_leaks'")
    facts = ("subject", "first_at", "last_at", "severity", "firing", "sentence", "raised_at", "count")
    assert {name: getattr(mine, name) for name in facts} == {name: row[name] for name in facts}
    assert mine.firing
    answered = await run_backtest(conn, CATALOG, None, replace(asked, answered_after=timedelta(0)), "UTC", nothing)
    episodes = [one for one in answered.alerts if one.rule_id == "building_leaks"]
    assert [(one.raised_at - begun) / timedelta(minutes=1) for one in episodes] == [10, 4020]
    assert [one.firing for one in episodes] == [False, True]


async def tell(town: Town, detector: int, meter: int, pool: asyncpg.Pool) -> None:
    """Commit a story one message at a time, the live service looking after each."""
    begun = NOW - timedelta(days=3)

    async def reading(device_id: int, minute: int, **values: Any) -> None:
        await report(town, device_id, begun + timedelta(minutes=minute), **values)
        await work(pool, begun + timedelta(minutes=minute))

    async def event(device_id: int, kind: str, state: str, minute: int, **values: object) -> None:
        at = begun + timedelta(minutes=minute)
        await town.event(device_id, kind, state, at, **values)
        if kind == "leak_alarm":  # as ingest keeps it
            await town.heard(device_id, at, leak_state=state, leak_at=at)
        await work(pool, begun + timedelta(minutes=minute))

    await reading(detector, 0, lel_pct=8.0, status=0)
    await event(detector, "leak_alarm", "raised", 2, lel_pct=30.0)
    await event(detector, "co_alarm", "raised", 3, level=2)
    for minute, status in ((10, 4096), (20, 0), (600, 4096), (610, 4096), (620, 0)):
        await reading(detector, minute, lel_pct=0.0, status=status)
    await event(detector, "leak_alarm", "cleared", 650)
    await event(detector, "leak_alarm", "raised", 660, level=1, lel_pct=6.0)
    for minute, pressure_pa in ((5, 2100), (700, 1400), (730, 1400), (760, 1350)):
        await reading(meter, minute, pressure_pa=pressure_pa)
    await event(meter, "valve", "closed", 800, cause="large_flow")
    await event(meter, "valve", "open", 900)


async def test_a_report_names_every_rule_of_the_draft(conn: asyncpg.Connection, town: Town) -> None:
    """What stored history cannot say is named with the reason, what is switched off as well; nothing is left out."""
    texts = packaged_texts()
    texts["event.toml"] = texts["event.toml"].replace("[rule.magnet]\n", "[rule.magnet]\nenabled = false\n", 1)
    drafted = parse_files(texts)
    made = await run_backtest(conn, drafted, None, ASKED, "UTC", nothing)
    reasons = {one.rule_id: one.not_evaluated for one in made.rules}
    assert set(reasons) == {*drafted.rules, *drafted.disabled}
    evaluated = {rule_id for rule_id, reason in reasons.items() if reason is None}
    families = {"event", "window", "group", "absence", "asset"}
    assert {drafted.rules[rule_id].family for rule_id in evaluated} == families
    left_out = {"zone_pressure_fall", "alarm_unread"}
    assert {one.rule_id for one in drafted.of_family(*families)} - evaluated == left_out
    assert "which batches those were" in str(reasons["zone_pressure_fall"])
    assert "what inspectors found" in str(reasons["hazard_open"])
    assert reasons["magnet"] == "is not enabled"
    assert reasons["leak_alarm"] is None
    del town


class Office:
    """An HTTP client with a token for each role."""

    def __init__(self, client: TestClient[Any, Any], tokens: dict[str, str]) -> None:
        self._client = client
        self._tokens = tokens

    async def call(self, method: str, path: str, who: str = "officer", status: int = 200, body: object = None) -> Any:
        headers = {"Authorization": f"Bearer {self._tokens[who]}"}
        async with self._client.request(method, f"/api/v1{path}", json=body, headers=headers) as response:
            assert response.status == status, await response.text()
            return await response.json() if response.content_length else None


@pytest.fixture
async def office(pool: asyncpg.Pool, conn: asyncpg.Connection) -> Any:
    tokens = {}
    for role in ("officer", "administrator"):
        tokens[role] = await add_account(conn, NewAccount(name=role, role=role), CONSOLE, NOW)
    server = TestServer(Web(pool, HttpParams(), RuleRoutes(pool, CATALOG).table(), None).application())
    async with TestClient(server) as client:
        yield Office(client, tokens)


async def test_a_set_is_uploaded_checked_and_put_in_force_by_an_administrator(
    pool: asyncpg.Pool, office: Office
) -> None:
    """A mistake names rule and key; an officer may upload but not activate; the services take the set up."""
    book = InForce(CATALOG)
    assert (await book.current(pool)).digest == CATALOG.digest
    wrong = {"files": draft(days="400"), "note": "n"}
    refused = await office.call("POST", "/rule-sets", status=422, body=wrong)
    assert refused["detail"] == "rule micro_leak: parameters.days = 400 is outside 1 to 30"
    kept = await office.call("POST", "/rule-sets", body={"files": draft(days="7"), "note": "fewer visits"})
    path, why = f"/rule-sets/{kept['digest']}/activation", {"note": "agreed"}
    await office.call("POST", path, status=403, body=why)
    await office.call("POST", path, who="administrator", status=204, body=why)
    assert (await book.current(pool)).rules["micro_leak"]["days"] == 7
    assert [row["in_force"] for row in await office.call("GET", "/rule-sets")] == [True]
    await office.call("POST", "/rule-sets/packaged/activation", who="administrator", status=204, body=why)
    assert (await book.current(pool)).digest == CATALOG.digest
    await office.call("POST", "/rule-sets/0123/activation", who="administrator", status=404, body=why)


async def test_rules_that_an_older_set_lacks_are_named_and_taken_in(
    pool: asyncpg.Pool, office: Office, db: Database
) -> None:
    """A set kept before `hazard_open` was there: officers see it, one command keeps a draft that has it."""
    files = {name: text for name, text in packaged_texts().items() if name != "inspection.toml"}
    kept = await office.call("POST", "/rule-sets", body={"files": files, "note": "of last year"})
    path, why = f"/rule-sets/{kept['digest']}/activation", {"note": "agreed"}
    assert await office.call("GET", "/rules/lacking") == []
    await office.call("POST", path, who="administrator", status=204, body=why)
    (lacking,) = await office.call("GET", "/rules/lacking")
    assert (lacking["rule_id"], lacking["text"].splitlines()[0]) == ("hazard_open", "[rule.hazard_open]")
    adopted = await gaswarden(db, "rules", "adopt", "--note", "hazards, too")
    assert adopted[0] == 0, adopted[2]
    newest = (await office.call("GET", "/rule-sets"))[0]
    assert (newest["digest"], newest["in_force"]) == (CATALOG.digest, False)


async def test_an_area_is_widened_by_the_districts_of_the_database(
    pool: asyncpg.Pool, conn: asyncpg.Connection, office: Office
) -> None:
    """A rule for a city is taken up with its districts, also those registered later; overlap is refused by name."""
    await make_town(conn)
    parent = "(SELECT district_id FROM district WHERE code = $2)"
    add = f"INSERT INTO district (code, name, parent_id) SELECT $1, $1, {parent}"
    await conn.execute(add, "CITY", None)
    await conn.execute("UPDATE district SET parent_id = (SELECT district_id FROM district WHERE code = 'CITY') "
                       "WHERE code = 'D01'")  # fmt: skip
    back = packaged_texts()["window.toml"].partition("[rule.index_backwards]")[2].partition("\n[")[0]
    entry = '[rule.{0}]{1}\n[rule.{0}.scope]\nareas = ["{2}"]\n'
    city = entry.format("city", back, "CITY")
    both = {"files": {"a.toml": city + entry.format("old_town", back, "D01")}, "note": "n"}
    checked = await office.call("POST", "/rules/check", body=both)
    refused = await office.call("POST", "/rule-sets", status=422, body=both)
    for mistake in (checked["mistake"], refused["detail"]):
        assert "rules city and old_town" in mistake
        assert "scope.areas = D01" in mistake
    kept = await office.call("POST", "/rule-sets", body={"files": {"a.toml": city, "event.toml": EVENTS}, "note": "n"})
    path, why = f"/rule-sets/{kept['digest']}/activation", {"note": "agreed"}
    await office.call("POST", path, who="administrator", status=204, body=why)
    book = InForce(CATALOG)
    taken = await book.current(pool)
    assert taken.rules["city"].scope.areas == {"CITY", "D01"}
    assert taken.digest == kept["digest"]
    assert await book.current(pool) is taken
    await conn.execute(add, "D02", "D01")
    assert (await book.current(pool)).rules["city"].scope.areas == {"CITY", "D01", "D02"}


async def test_a_set_whose_districts_moved_since_is_not_activated(
    pool: asyncpg.Pool, conn: asyncpg.Connection, office: Office
) -> None:
    """Kept while its areas lay apart; refused once one lies below the other; in force by then, it is as written."""
    await make_town(conn)
    await conn.execute("INSERT INTO district (code, name) VALUES ('CITY', 'City')")
    back = packaged_texts()["window.toml"].partition("[rule.index_backwards]")[2].partition("\n[")[0]
    entry = '[rule.{0}]{1}\n[rule.{0}.scope]\nareas = ["{2}"]\n'
    text = entry.format("city", back, "CITY") + entry.format("old_town", back, "D01")
    kept = await office.call("POST", "/rule-sets", body={"files": {"a.toml": text, "event.toml": EVENTS}, "note": "n"})
    path, why = f"/rule-sets/{kept['digest']}/activation", {"note": "agreed"}
    await office.call("POST", path, who="administrator", status=204, body=why)
    await conn.execute("UPDATE district SET parent_id = (SELECT district_id FROM district WHERE code = 'CITY') "
                       "WHERE code = 'D01'")  # fmt: skip
    await office.call("POST", path, who="administrator", status=409, body=why)
    assert (await InForce(CATALOG).current(pool)).rules["city"].scope.areas == {"CITY"}


async def test_a_backtest_over_http_is_a_job_with_a_report(pool: asyncpg.Pool, office: Office, town: Town) -> None:
    """Asked for, worked off by the service, read; a wrong draft, district or device is refused at once by name."""
    period = {"since": ASKED.since.isoformat(), "until": ASKED.until.isoformat()}
    asked = await office.call("POST", "/backtests", body={**period, "files": draft(days="7")})
    for wrong, status, why in (
        ({"files": draft(days="400")}, 422, "rule micro_leak: parameters.days = 400 is outside 1 to 30"),
        ({"files": {"a.toml": "[rule"}}, 422, "a.toml: not TOML: "),
        ({"areas": ["D01", "D99"]}, 404, "areas: no district D99"),
        ({"devices": ["M-404"]}, 404, "devices: no device M-404"),
    ):
        refused = await office.call("POST", "/backtests", status=status, body={**period, **wrong})
        assert refused["detail"].startswith(why)
    assert asked["state"] == "queued"
    assert await work_off_one(pool, CATALOG, "UTC")
    assert not await work_off_one(pool, CATALOG, "UTC")
    done = await office.call("GET", f"/backtests/{asked['backtest_id']}")
    assert (done["state"], done["devices_done"], done["devices"]) == ("done", 2, 2)
    assert done["report"]["difference"]["same"] == 1
    kinds = {one["kind"]: one for one in await office.call("GET", "/rules/kinds")}
    assert kinds["micro_leak"]["parameters"]["days"]["unit"] == "days"
    del town


async def test_changes_are_tried_at_the_terminal(db: Database, town: Town, tmp_path: Path) -> None:
    """`--set` and `--changes` lie over the rules in force; a mistake names rule and key; a draft beside is wrong."""
    (tmp_path / "days.toml").write_text("rule.night_flow.enabled = false", "utf-8")
    period = ("--since", f"{ASKED.since:%Y-%m-%d}", "--until", f"{ASKED.until:%Y-%m-%dT%H:%M:%SZ}", "--json")
    changes, days = ("--changes", str(tmp_path / "days.toml")), ("--set", "micro_leak.parameters.days=12")
    done, wrong, both = await asyncio.gather(
        gaswarden(db, "backtest", *changes, *days, *period),
        gaswarden(db, "backtest", "--set", "micro_leak.parameters.dais=12", *period),
        gaswarden(db, "backtest", str(tmp_path / "days.toml"), *days, *period),
    )
    report = json.loads(done[1])
    assert (done[0], report["difference"]["gone"]) == (0, 1)
    assert {one["rule_id"]: one["not_evaluated"] for one in report["rules"]}["night_flow"] == "is not enabled"
    assert (wrong[0], wrong[2].strip()) == (1, "rule micro_leak: unknown key parameters.dais")
    assert (both[0], "nothing to change" in both[2]) == (2, True)
    del town


async def test_a_backtest_of_changes_alone_is_laid_over_the_rules_in_force(
    pool: asyncpg.Pool, office: Office, town: Town
) -> None:
    """One line says what changes; a key nobody knows and both kinds of draft at once are refused."""
    period = {"since": ASKED.since.isoformat(), "until": ASKED.until.isoformat()}
    line = "rule.micro_leak.parameters.days = 12"
    asked = await office.call("POST", "/backtests", body={**period, "changes": {"a": line}})
    mistyped = {**period, "changes": {"a": line.replace("days", "dais")}}
    refused = await office.call("POST", "/backtests", status=422, body=mistyped)
    assert refused["detail"] == "rule micro_leak: unknown key parameters.dais"
    await office.call("POST", "/backtests", status=422, body={**period, "changes": {"a": ""}, "files": {"a": ""}})
    while await work_off_one(pool, CATALOG, "UTC"):
        pass
    done = await office.call("GET", f"/backtests/{asked['backtest_id']}")
    assert (done["report"]["difference"]["gone"], done["report"]["difference"]["new"]) == (1, 0)
    del town
