"""The rota on a real database: planning, handing over, gaps as alerts, the nightly test and its confirmation."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from aiohttp.test_utils import TestClient, TestServer

from app.confirmation import Confirmation
from app.http_params import HttpParams
from app.web import Web
from rules import rule_sets
from rules.catalog import default_catalog, packaged_texts
from rules.notices.seal import Seal
from rules.notices.sending import Sending
from rules.notices.watch import Watch
from rules.rota import desk, reach, store
from rules.rota.pages import ReachQuery
from rules.rota.routes import RotaRoutes
from sql.actor import Actor
from sql.errors import Conflict, NotFound
from tests.servers import Database
from tests.service.notice_desk import (
    CHIEF,
    ZONE,
    Hook,
    make_account,
    make_alert,
    make_contact,
    make_shift,
    params,
    running,
    until,
    webhook,
)
from tests.service.rules_rows import make_town

ANN, BOB = Actor("ann", "officer"), Actor("bob", "officer")


@pytest.fixture
async def hook() -> AsyncIterator[Hook]:
    async with webhook() as opened:
        yield opened


@pytest.fixture(autouse=True)
async def town(conn: asyncpg.Connection) -> None:
    await make_town(conn)
    for name in ("ann", "bob"):
        await make_account(conn, name)


def now() -> datetime:
    return datetime.now(UTC)


async def plan(conn: asyncpg.Connection, account: str, begins_h: float, ends_h: float, **values: Any) -> int:
    """A shift so many hours from now, by the way people plan it."""
    new = desk.NewShift(
        account,
        values.get("level", 1),
        values.get("areas"),
        now() + timedelta(hours=begins_h),
        now() + timedelta(hours=ends_h),
    )
    return await desk.add_shift(conn, new, CHIEF, now())


async def test_who_leaves_stays_until_the_next_takes_over(conn: asyncpg.Connection) -> None:
    """Duty passes by the hand-over, not by the clock, with note and what is open; a third person may not do it."""
    first = await make_shift(conn, "ann", starts_at=now() - timedelta(hours=9), ends_at=now() - timedelta(hours=1))
    second = await plan(conn, "bob", 1, 9)
    assert await store.on_duty_at(conn, "D01", now()) == {1: ("ann",)}
    with pytest.raises(Conflict, match="only ann, bob or an administrator"):
        await desk.hand_over(conn, first, second, "x", Actor("cat", "officer"), now())
    await make_alert(conn)
    async with conn.transaction():
        done = await desk.hand_over(conn, first, second, "keep an eye on block 17", BOB, now())
    assert done.open_alerts == 1
    assert await store.on_duty_at(conn, "D01", now() + timedelta(seconds=1)) == {1: ("bob",)}
    [row] = await store.handovers(conn, 5)
    assert (row["from_account"], row["to_account"], row["actor"]) == ("ann", "bob", "bob")
    assert row["open_alerts"][0]["area"] == "D01"


async def test_what_does_not_fit_is_refused(conn: asyncpg.Connection) -> None:
    """Unknown districts and accounts, overlaps, the past, and a hand-over that would leave a district are refused."""
    with pytest.raises(NotFound, match="D77"):
        await plan(conn, "ann", 1, 2, areas=("D77",))
    with pytest.raises(NotFound, match="no account zoe"):
        await plan(conn, "zoe", 1, 2)
    with pytest.raises(Conflict, match="into the past"):
        await plan(conn, "ann", -3, -2)
    first = await plan(conn, "ann", -1, 5)
    with pytest.raises(Conflict, match=f"has shift {first} at level 1"):
        await plan(conn, "ann", 4, 8)
    with pytest.raises(Conflict, match="hand it over instead"):
        await desk.cancel_shift(conn, first, CHIEF, now())
    other = await plan(conn, "bob", 0.5, 5, level=2)
    with pytest.raises(Conflict, match="is of level 2"):
        await desk.hand_over(conn, first, other, "x", CHIEF, now())


async def test_a_gap_ahead_is_an_alert_until_it_is_filled(pool: asyncpg.Pool, conn: asyncpg.Connection) -> None:
    """A gap within a day is told ahead; once it is planned away the alert ends; without any rota there is none."""
    settings = params()
    sending = Sending(pool, default_catalog(), settings, ZONE, now)
    watch = Watch(pool, default_catalog(), settings, sending, ZONE, now)
    assert await watch.look(now()) == ()
    await plan(conn, "ann", -1, 5)
    [alert_id] = await watch.look(now())
    row = await conn.fetchrow("SELECT subject, severity, sentence FROM alert WHERE alert_id = $1", alert_id)
    assert (row["subject"], row["severity"]) == ("rota:1", "minor")
    assert "nobody is on duty at level 1 for D01" in row["sentence"]
    assert await watch.look(now()) == ()
    await plan(conn, "bob", 4, 30)
    assert await watch.look(now()) == (alert_id,)
    assert await conn.fetchval("SELECT state FROM alert WHERE alert_id = $1", alert_id) == "verified"


async def test_the_watch_goes_by_the_set_in_force(pool: asyncpg.Pool, conn: asyncpg.Connection) -> None:
    """A set that is activated while the service runs decides how severe a gap is, and is what the alert remembers."""
    settings = params()
    sending = Sending(pool, default_catalog(), settings, ZONE, now)
    watch = Watch(pool, default_catalog(), settings, sending, ZONE, now)
    texts = packaged_texts()
    head, found, rest = texts["desk.toml"].partition("[rule.rota_gap]")
    texts["desk.toml"] = head + found + rest.replace('severity = "minor"', 'severity = "info"', 1)
    kept = await rule_sets.upload(conn, texts, "mild gaps", CHIEF, now())
    await rule_sets.activate(conn, kept.digest, "mild gaps", CHIEF, now())
    await plan(conn, "ann", -1, 5)
    [alert_id] = await watch.look(now())
    row = await conn.fetchrow("SELECT severity, rule_version FROM alert WHERE alert_id = $1", alert_id)
    assert (row["severity"], row["rule_version"]) == ("info", kept.rules["rota_gap"].version)
    assert kept.rules["rota_gap"].version != default_catalog().rules["rota_gap"].version


async def test_the_nightly_test(db: Database, pool: asyncpg.Pool, conn: asyncpg.Connection, hook: Hook) -> None:
    """Everyone on duty gets a message; the link's button confirms, opening it does not; no answer is an alert."""
    for name in ("ann", "bob"):
        await make_shift(conn, name)
        await make_contact(conn, name, hook.address(name))
    settings = params(public_url="http://desk.example", reach_confirm_min=0.1)
    routes = RotaRoutes(pool, settings, ZONE)
    served = Web(pool, HttpParams(public_per_minute=4), [], None)
    Confirmation(pool).add_to(served)
    async with running(db, pool, settings), TestClient(TestServer(served.application)) as browser:
        begun = await routes.begin_tests(CHIEF)
        assert begun.people == 2
        [message] = await hook.wait("ann")
        await hook.wait("bob")
        code = message["message"].partition("/confirm/")[2].split()[0]
        assert (await browser.get(f"/confirm/{code}")).status == 200
        assert {row.result for row in await routes.tests(ReachQuery())} == {"waiting"}
        answer = await browser.post(f"/confirm/{code}")
        assert answer.status == 200
        assert "ann" in await answer.text()
        assert (await browser.post("/confirm/AAAAAAAAAAAA")).status == 404
        assert [(await browser.post(f"/confirm/AAAAAAAAAAA{n}")).status for n in range(3)] == [404, 429, 429]
        sentence = await until(
            lambda: conn.fetchval("SELECT sentence FROM alert WHERE rule_id = 'duty_unreachable'"),
            bool,
        )
    assert sentence.startswith("bob is on duty")
    assert {row.account: row.result for row in await routes.tests(ReachQuery())} == {
        "ann": "confirmed",
        "bob": "failed",
    }
    assert await conn.fetchval("SELECT count(*) FROM alert WHERE rule_id = 'duty_unreachable'") == 1


async def test_who_has_no_contact_fails_the_test(pool: asyncpg.Pool, conn: asyncpg.Connection) -> None:
    """A person on duty without any contact is in the list as failed; a code that nobody was sent confirms nothing."""
    await make_shift(conn, "ann")
    await make_shift(conn, "bob")
    await make_contact(conn, "bob", "json://127.0.0.1:1/x")
    async with conn.transaction():
        night = now().date()
        await reach.begin_round(conn, night, Seal(params().contact_key), now(), 60, CHIEF)
    found = {row.account: row for row in await RotaRoutes(pool, params(), ZONE).tests(ReachQuery())}
    assert (found["ann"].result, found["ann"].last_error) == ("failed", "has no contact")
    assert found["bob"].result == "waiting"
    with pytest.raises(NotFound):
        await reach.confirm(conn, "WRONGWRONG22", CHIEF, now())
