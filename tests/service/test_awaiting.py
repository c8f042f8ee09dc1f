"""Acknowledgements kept by rosters, on a real database: what is planned, dropped and reported reaches every clock."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import uuid4

import asyncpg
import pytest

from rules.awaiting_store import follow_visits
from tests.service.alert_desk import AlertDesk, alert_desk
from tests.service.inspections_rows import plan_visit
from tests.service.rules_rows import NOW, insert


@pytest.fixture
async def desk(pool: asyncpg.Pool, conn: asyncpg.Connection) -> AsyncIterator[AlertDesk]:
    async with alert_desk(pool, conn) as opened:
        yield opened


def at(minute: float) -> object:
    return NOW + timedelta(minutes=minute)


async def reasons(desk: AlertDesk, alert_id: int) -> list[str]:
    rows = await desk.conn.fetch("SELECT reason FROM alert_step WHERE alert_id = $1 ORDER BY step_id", alert_id)
    return [row["reason"] for row in rows]


async def test_a_roster_in_force_keeps_an_acknowledgement_until_it_drops_the_visit(desk: AlertDesk) -> None:
    """Told to officers with its times; the next version without the door lets the expiry run again, and it pages."""
    alert_id = await desk.raise_leak()
    await desk.at(2).step(alert_id, "acknowledge")
    visit_id, _ = await plan_visit(desk.conn, "D01-P1", NOW + timedelta(minutes=25))
    assert await follow_visits(desk.conn, NOW + timedelta(minutes=3)) == (alert_id,)
    assert await follow_visits(desk.conn, NOW + timedelta(minutes=4)) == ()
    (row,) = (await desk.ask("GET", "/alerts"))["items"]
    assert (row["awaited_visit_id"], row["due_stage"]) == (visit_id, "on_site")
    assert row["clock"][2]["due_at"] == "2026-11-20T13:25:00Z"
    await desk.tick(29)
    assert await reasons(desk, alert_id) == ["raised", "by_officer", "visit_planned"]
    await plan_visit(desk.conn, "D01-P2", NOW + timedelta(minutes=40))
    await desk.tick(29.5)
    assert await reasons(desk, alert_id) == ["raised", "by_officer", "visit_planned"]  # its next look is at 30
    await follow_visits(desk.conn, NOW + timedelta(minutes=29.6))
    await desk.tick(29.7)
    assert (await reasons(desk, alert_id))[3:] == ["visit_dropped", "acknowledgement_expired"]
    assert (await desk.pages(alert_id))[-1] == ("ack_expired", 1)


async def test_the_clock_asks_the_rosters_before_it_voids_an_acknowledgement(desk: AlertDesk) -> None:
    """A visit planned a moment ago is seen by whichever of four clocks looks, once, though nobody told them."""
    alert_id = await desk.raise_leak()
    await desk.at(2).step(alert_id, "acknowledge")
    await plan_visit(desk.conn, "D01-P1", NOW + timedelta(minutes=25))
    await asyncio.gather(*(desk.tick(20) for _ in range(4)))
    assert await reasons(desk, alert_id) == ["raised", "by_officer", "visit_planned"]
    assert await desk.conn.fetchval("SELECT state FROM alert") == "acknowledged"


async def test_a_visit_that_was_reported_keeps_nothing(desk: AlertDesk) -> None:
    """Nobody opened: the outcome is reason enough to look for an owner again."""
    alert_id = await desk.raise_leak()
    await desk.at(2).step(alert_id, "acknowledge")
    visit_id, _ = await plan_visit(desk.conn, "D01-P1", NOW + timedelta(minutes=15))
    await follow_visits(desk.conn, NOW + timedelta(minutes=3))
    door, inspector = await desk.conn.fetchrow(
        "SELECT premises_id, inspector_id FROM visit JOIN roster USING (roster_id) WHERE visit_id = $1", visit_id
    )
    await insert(
        desk.conn, "outcome", "outcome_id", client_id=uuid4(), visit_id=visit_id, premises_id=door,
        inspector_id=inspector, result="no_access", at=at(16), received_at=at(16), body={}, actor="ines",
    )  # fmt: skip
    await follow_visits(desk.conn, NOW + timedelta(minutes=18))
    await desk.tick(18)
    assert (await reasons(desk, alert_id))[3:] == ["visit_reported", "acknowledgement_expired"]
