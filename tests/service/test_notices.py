"""Notices end to end on a real database: whom a page reaches, by which contact, and what becomes of it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from tests.servers import Database
from tests.service.notice_desk import (
    MOMENT,
    Hook,
    make_account,
    make_alert,
    make_contact,
    make_shift,
    notices,
    page,
    params,
    running,
    until,
    webhook,
)
from tests.service.rules_rows import insert, make_town


@pytest.fixture
async def hook() -> AsyncIterator[Hook]:
    async with webhook() as opened:
        yield opened


@pytest.fixture(autouse=True)
async def town(conn: asyncpg.Connection) -> None:
    await make_town(conn)


async def ended(conn: asyncpg.Connection, count: int = 1) -> list[dict[str, Any]]:
    """The notices once so many have ended and none waits."""
    done = {"handed_over", "failed", "not_needed"}
    return await until(  # type: ignore[no-any-return]
        lambda: notices(conn), lambda rows: len(rows) >= count and all(row["state"] in done for row in rows)
    )


async def test_reaches_who_is_on_duty(db: Database, pool: asyncpg.Pool, conn: asyncpg.Connection, hook: Hook) -> None:
    """A page reaches those on duty at its level, by their first contact, and the row says so; others hear nothing."""
    for name, level in (("ann", 1), ("bob", 2), ("cat", None)):
        await make_account(conn, name)
        await make_contact(conn, name, hook.address(name))
        if level:
            await make_shift(conn, name, level)
    alert_id = await make_alert(conn)
    async with running(db, pool):
        await page(conn, alert_id)
        [message] = await hook.wait("ann")
        [row] = await ended(conn)
    assert "Leak alarm" in message["title"] or "leak_alarm" in message["title"]
    assert "LD-1 raised a leak alarm" in message["message"]
    assert (row["account"], row["state"], row["attempts"], row["last_error"]) == ("ann", "handed_over", 1, None)
    assert [name for name, _ in hook.got] == ["ann"]
    assert await conn.fetchval("SELECT recipients FROM page") == "on_duty"
    assert await conn.fetchval("SELECT count(*) FROM audit_entry WHERE action = 'notice.handed_over'") == 1
    assert await conn.fetchval("SELECT count(*) FROM alert WHERE notified_at IS NOT NULL") == 1
    assert await conn.fetchval("SELECT count(*) FROM procrastinate.procrastinate_jobs") == 0


async def test_nobody_on_duty_is_everybody(
    db: Database, pool: asyncpg.Pool, conn: asyncpg.Connection, hook: Hook
) -> None:
    """With nobody on duty every officer of the area is told, and the page says why; officers elsewhere are not."""
    for name, areas in (("ann", None), ("bob", ["D01"]), ("far", ["D99"])):
        await make_account(conn, name, areas=areas)
        await make_contact(conn, name, hook.address(name))
    async with running(db, pool):
        await page(conn, await make_alert(conn))
        await ended(conn, 2)
    assert sorted(name for name, _ in hook.got) == ["ann", "bob"]
    said = await conn.fetchrow("SELECT recipients, reason FROM page")
    assert said["recipients"] == "everybody"
    assert "nobody is on duty for D01" in said["reason"]


async def test_closed_meanwhile_is_not_needed(
    db: Database, pool: asyncpg.Pool, conn: asyncpg.Connection, hook: Hook
) -> None:
    """An alert closed, or acknowledged by somebody, between request and sending tells nobody, with the reason."""
    await make_account(conn, "ann")
    await make_contact(conn, "ann", hook.address("ann"))
    closed, taken = await make_alert(conn), await make_alert(conn, subject="device:2")
    await page(conn, closed)
    await page(conn, taken)
    await conn.execute("UPDATE alert SET state = 'dismissed', closed_at = now() WHERE alert_id = $1", closed)
    await conn.execute("UPDATE alert SET state = 'acknowledged', owner = 'bob' WHERE alert_id = $1", taken)
    await conn.execute(
        "INSERT INTO alert_step (alert_id, at, step, from_state, to_state, actor, reason)"
        " VALUES ($1, now(), 'acknowledged', 'open', 'acknowledged', 'bob', 'by_officer')",
        taken,
    )
    async with running(db, pool):
        rows = await ended(conn, 2)
    said = [(row["state"], row["reason"]) for row in sorted(rows, key=lambda row: row["alert_id"])]
    assert said == [
        ("not_needed", "the alert is dismissed"),
        ("not_needed", "bob took the step acknowledged meanwhile"),
    ]
    assert hook.got == []


async def test_silenced_meanwhile_is_held_back(
    db: Database, pool: asyncpg.Pool, conn: asyncpg.Connection, hook: Hook
) -> None:
    """A silence between request and sending keeps the notice back, and the alert is looked at again when it ends."""
    await make_account(conn, "ann")
    await make_contact(conn, "ann", hook.address("ann"))
    alert_id = await make_alert(conn, "major", rule_id="gateway_silent", subject="gateway:1")
    await page(conn, alert_id)
    await conn.execute(
        "INSERT INTO silence (kind, area, from_at, until_at, author, reason, leaks, created_at)"
        " VALUES ('silence', 'D01', now() - interval '1 hour', now() + interval '1 hour', 'bob', 'works', false, now())"
    )
    async with running(db, pool):
        [row] = await ended(conn)
    assert row["state"] == "not_needed"
    assert row["reason"].startswith("silenced by bob until")
    assert await conn.fetchval("SELECT quiet_until > now() FROM alert WHERE alert_id = $1", alert_id)
    assert hook.got == []


async def test_falls_over_to_the_next_contact_and_person(
    db: Database, pool: asyncpg.Pool, conn: asyncpg.Connection, hook: Hook
) -> None:
    """A channel that answers 500 is tried again; meanwhile the person's next contact is asked, then the next level."""
    for name, level in (("ann", 1), ("bob", 2)):
        await make_account(conn, name)
        await make_shift(conn, name, level)
    for name, account in (("ann1", "ann"), ("ann2", "ann"), ("bob1", "bob")):
        await make_contact(conn, account, hook.address(name))
    hook.status = {"ann1": 500, "ann2": 500}
    async with running(db, pool, params(dead_after=100)):
        await page(conn, await make_alert(conn))
        await hook.wait("bob1")
        await hook.wait("ann1", 4)
        hook.status = {}
        rows = await ended(conn, 3)
    assert [(row["account"], row["state"]) for row in rows] == [("ann", "handed_over")] * 2 + [("bob", "handed_over")]
    assert rows[0]["attempts"] > 2
    assert "500" in rows[0]["last_error"]
    assert [row["follows"] for row in rows] == [None, rows[0]["notice_id"], rows[1]["notice_id"]]


async def test_a_hanging_channel_holds_up_nobody(
    db: Database, pool: asyncpg.Pool, conn: asyncpg.Connection, hook: Hook
) -> None:
    """A channel that never answers costs its own notice the time allowed; another person's goes at once."""
    for name in ("ann", "bob"):
        await make_account(conn, name)
        await make_contact(conn, name, hook.address(name))
    hook.hanging = {"ann"}
    async with running(db, pool, params(timeout_s=0.5)):
        await page(conn, await make_alert(conn))
        await hook.wait("bob")
        rows = await until(lambda: notices(conn), lambda found: any(row["last_error"] for row in found))
    said = {row["account"]: row for row in rows}
    assert said["bob"]["state"] == "handed_over"
    assert said["ann"]["state"] != "handed_over"
    assert "no answer within 0.5 s" in said["ann"]["last_error"]


async def test_a_dead_channel_is_an_alert_until_it_works(
    db: Database, pool: asyncpg.Pool, conn: asyncpg.Connection, hook: Hook
) -> None:
    """Three failures in a row raise an alert that tells the administrators; a message taken again ends it."""
    await make_account(conn, "ann")
    await make_account(conn, "chief", "administrator")
    contact_id = await make_contact(conn, "ann", hook.address("ann"))
    await make_contact(conn, "chief", hook.address("chief"))
    hook.status = {"ann": 503}
    async with running(db, pool):
        await page(conn, await make_alert(conn))
        told = await until(
            lambda: asyncio.sleep(0, hook.of("chief")),
            lambda found: any("Dead channel" in one["title"] for one in found),
        )
        hook.status = {}
        await until(
            lambda: conn.fetchval("SELECT state FROM alert WHERE rule_id = 'channel_dead'"),
            lambda state: state == "verified",
        )
    assert any("ann cannot be reached by json" in one["message"] for one in told)
    row = await conn.fetchrow("SELECT subject, severity FROM alert WHERE rule_id = 'channel_dead'")
    assert tuple(row) == (f"channel:{contact_id}", "major")


async def test_a_leak_of_the_lower_level_never_waits_in_a_flood(
    db: Database, pool: asyncpg.Pool, conn: asyncpg.Connection, hook: Hook
) -> None:
    """Its severity is major; it leaves at once, by itself, also by contacts that want critical notices only."""
    for name, least in (("ann", "minor"), ("ben", "critical")):
        await make_account(conn, name)
        await make_contact(conn, name, hook.address(name), severity_min=least)
    async with running(db, pool, params(burst_max=1, together_after_s=300)):
        for number in range(2):
            await page(conn, await make_alert(conn, "minor", subject=f"device:{number}", rule_id="device_silent"))
            await hook.wait("ann", 1)
        leak = await make_alert(conn, "major", subject="device:99", leak=True)
        await page(conn, leak)
        await asyncio.gather(hook.wait("ann", 2), hook.wait("ben", 1))
        titles = [one["title"] for one in [*hook.of("ann")[1:], *hook.of("ben")]]
        assert [title.startswith("MAJOR leak_alarm") for title in titles] == [True, True]


async def test_requests_that_wait_tell_those_on_duty_until_they_are_answered(
    db: Database, pool: asyncpg.Pool, conn: asyncpg.Connection, hook: Hook
) -> None:
    """One alert for a district, however many wait there, one of cases; other districts' desks are not told; it ends."""
    await insert(conn, "district", "district_id", code="D02", name="D02")
    for code in ("D01", "D02"):
        await make_account(conn, f"of-{code}", areas=[code])
        await make_contact(conn, f"of-{code}", hook.address(f"of-{code}"))
    late = {"reply_by": MOMENT, "settle_by": datetime(2999, 1, 1, tzinfo=UTC), "received_at": MOMENT}
    said = {"channel": "hotline", "category": "gas_smell", "body": "secret words", "state": "open", "area": "D01"}
    kept = {"recorded_at": MOMENT, "recorded_by": "olga"}
    for _ in range(2):
        await insert(conn, "request", "request_id", client_id=uuid4(), **late, **said, **kept)
    kind = {"kind": "complaint", "area": "D01", "title": "secret words", "state": "open", "plan_by": MOMENT}
    await insert(conn, "case_file", "case_id", opened_at=MOMENT, opened_by="olga", close_by=late["settle_by"], **kind)
    async with running(db, pool):
        [told] = await hook.wait("of-D01")
        case_sentence = await until(
            lambda: conn.fetchval("SELECT sentence FROM alert WHERE rule_id = 'case_overdue'"), bool
        )
        await conn.execute("UPDATE request SET state = 'replied', replied_at = now()")
        await until(
            lambda: conn.fetchval("SELECT state FROM alert WHERE rule_id = 'request_unanswered'"),
            lambda state: state == "verified",
        )
    assert "requests in D01 wait for a first answer past their time: 2" in told["message"]
    assert case_sentence.startswith("cases in D01 lack a plan or an end past their time: 1")
    assert "secret words" not in told["message"] + case_sentence
    assert hook.of("of-D02") == []
    assert await conn.fetchval("SELECT array_agg(DISTINCT area) FROM alert") == ["D01"]


async def test_a_flood_below_critical_comes_together(
    db: Database, pool: asyncpg.Pool, conn: asyncpg.Connection, hook: Hook
) -> None:
    """Beyond the burst, alerts below critical wait and come in one message; a critical one never waits."""
    await make_account(conn, "ann")
    await make_contact(conn, "ann", hook.address("ann"))
    async with running(db, pool, params(burst_max=3, together_after_s=1.0)):
        for number in range(30):
            await page(conn, await make_alert(conn, "minor", subject=f"device:{number}", rule_id="device_silent"))
        await hook.wait("ann", 3)
        await page(conn, await make_alert(conn, subject="device:99"))
        rows = await ended(conn, 31)
    assert {row["state"] for row in rows} == {"handed_over"}
    titles = [one["title"] for one in hook.of("ann")]
    assert sum("more alerts" in title for title in titles) >= 1
    assert any(title.startswith("CRITICAL") for title in titles)
    assert len(titles) < 20
