"""Outcomes in the database: everything that follows in one transaction, and a repeat that changes nothing."""

import asyncio
import json
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from inspections.model import Result
from inspections.outcomes import Finding
from inspections.planning import plan_day
from inspections.reporting import report_outcome
from inspections.upkeep import keep_alert_duties
from sql.actor import Actor
from sql.errors import Conflict, NotFound
from tests.service.inspections_rows import NOW, PARAMS, TOMORROW, raise_alert, settle_town, visit_of

OFFICER = Actor("olga", "officer")
AT = NOW + timedelta(hours=15)  # 10:00 in the city, on the day of the roster


@pytest.fixture
async def visit_id(pool: asyncpg.Pool, conn: asyncpg.Connection) -> int:
    """The visit to H-001, which has a leak alert and a periodic duty."""
    await settle_town(conn, homes=3)
    await raise_alert(conn, "H-001")
    await plan_day(pool, TOMORROW, PARAMS, NOW)
    found = await visit_of(conn, "H-001")
    assert found is not None
    return found


async def report(
    pool: asyncpg.Pool,
    visit_id: int,
    result: Result,
    *codes: str,
    client_id: UUID | None = None,
    actor: Actor = OFFICER,
    at: datetime = AT,
    note: str | None = None,
) -> dict[str, Any]:
    client_id = client_id or uuid4()
    body = {"client_id": str(client_id), "result": result, "hazards": list(codes), "note": note}
    findings = [Finding(code) for code in codes]
    async with pool.acquire() as conn, conn.transaction():
        receipt = await report_outcome(
            conn, visit_id, client_id, result, at, findings, note, body, PARAMS, actor, at + timedelta(minutes=1)
        )
    return dict(receipt)


async def duties(conn: asyncpg.Connection, code: str = "H-001") -> list[tuple[Any, ...]]:
    rows = await conn.fetch(
        """SELECT kind, d.state, due_on, not_before, attempts FROM duty d JOIN premises p USING (premises_id)
           WHERE p.code = $1 ORDER BY duty_id""",
        code,
    )
    return [tuple(row) for row in rows]


async def test_passed_closes_duties_and_opens_the_next_cycle(
    pool: asyncpg.Pool, conn: asyncpg.Connection, visit_id: int
) -> None:
    """A passed visit does all duties of the door, marks it entered, and opens the next periodic duty in two years."""
    receipt = await report(pool, visit_id, "passed")
    assert (receipt["entered"], len(receipt["duties_done"]), receipt["hazards"]) == (True, 2, [])
    assert sorted(row[:3] for row in await duties(conn)) == [
        ("alert", "done", date(2026, 11, 20)),
        ("periodic", "done", date(2026, 11, 20)),
        ("periodic", "open", date(2028, 11, 21)),
    ]
    assert await conn.fetchval("SELECT last_entered_on FROM premises WHERE code = 'H-001'") == TOMORROW


async def test_hazard_opens_a_recheck_and_its_pass_closes_it(
    pool: asyncpg.Pool, conn: asyncpg.Connection, visit_id: int
) -> None:
    """Hazard found -> re-check at the deadline -> passed -> hazard closed with the outcome that proves it."""
    receipt = await report(pool, visit_id, "hazard_found", "hose_aged", "light_rust")
    assert [(h["code"], h["grade"]) for h in receipt["hazards"]] == [("hose_aged", 2), ("light_rust", 3)]
    deadline = TOMORROW + timedelta(days=30)
    assert ("recheck", "open", deadline, deadline, 0) in await duties(conn)
    await plan_day(pool, deadline, PARAMS, AT)
    again = await visit_of(conn, "H-001", deadline)
    assert again is not None
    done = await report(pool, again, "passed", at=AT + timedelta(days=30))
    assert len(done["hazards_closed"]) == 2  # the minor one is looked at again at the next visit
    assert {row["state"] for row in await conn.fetch("SELECT state FROM hazard")} == {"closed"}


async def test_recheck_that_finds_the_hazard_again_keeps_it(
    pool: asyncpg.Pool, conn: asyncpg.Connection, visit_id: int
) -> None:
    """The same hazard found again is the same hazard with a new deadline, not a second one."""
    await report(pool, visit_id, "hazard_found", "hose_aged")
    deadline = TOMORROW + timedelta(days=30)
    await plan_day(pool, deadline, PARAMS, AT)
    again = await visit_of(conn, "H-001", deadline)
    assert again is not None
    await report(pool, again, "hazard_found", "hose_aged", at=AT + timedelta(days=30))
    assert await conn.fetchval("SELECT count(*) FROM hazard") == 1
    later = deadline + timedelta(days=30)
    assert ("recheck", "open", later, deadline + timedelta(days=1), 0) in await duties(conn)


async def test_no_access_counts_the_attempt_and_waits(
    pool: asyncpg.Pool, conn: asyncpg.Connection, visit_id: int
) -> None:
    """Nobody home: visited, not entered; the alert's duty is tried the next day, the periodic one after a notice.

    It was a Saturday: the Tuesday after the three days' notice is another weekday.
    """
    receipt = await report(pool, visit_id, "no_access")
    assert (receipt["entered"], receipt["duties_done"]) == (False, [])
    assert sorted(await duties(conn)) == [
        ("alert", "open", date(2026, 11, 20), TOMORROW + timedelta(days=1), 1),
        ("periodic", "open", date(2026, 11, 20), TOMORROW + timedelta(days=3), 1),
    ]
    assert await conn.fetchval("SELECT last_entered_on FROM premises WHERE code = 'H-001'") is None


async def test_repeat_gives_the_same_receipt(pool: asyncpg.Pool, conn: asyncpg.Connection, visit_id: int) -> None:
    """A report sent again unchanged changes nothing and gets the same receipt, also much later."""
    client_id = uuid4()
    first = await report(pool, visit_id, "hazard_found", "hose_aged", client_id=client_id)
    await conn.execute("UPDATE duty SET state = 'cancelled' WHERE kind = 'recheck'")
    assert await report(pool, visit_id, "hazard_found", "hose_aged", client_id=client_id) == first
    assert await conn.fetchval("SELECT count(*) FROM outcome") == 1


async def test_same_client_id_with_another_report_is_refused(pool: asyncpg.Pool, visit_id: int) -> None:
    """A client id stands for one report only, and a visit has one outcome only."""
    client_id = uuid4()
    await report(pool, visit_id, "passed", client_id=client_id)
    with pytest.raises(Conflict, match="used before for a different report"):
        await report(pool, visit_id, "no_access", client_id=client_id)
    with pytest.raises(Conflict, match="already has an outcome"):
        await report(pool, visit_id, "passed")


async def test_ten_deliveries_at_once_are_one_outcome(
    pool: asyncpg.Pool, conn: asyncpg.Connection, visit_id: int
) -> None:
    """A client that retries in a hurry gets the same receipt on every line."""
    client_id = uuid4()
    receipts = await asyncio.gather(*(report(pool, visit_id, "passed", client_id=client_id) for _ in range(10)))
    assert all(receipt == receipts[0] for receipt in receipts)
    assert await conn.fetchval("SELECT count(*) FROM duty WHERE kind = 'periodic' AND state = 'open'") == 3


@pytest.mark.parametrize(
    "actor",
    [Actor("ines", "inspector", None, "I-2"), Actor("otto", "officer", frozenset({"D02"}))],
    ids=["another inspector", "another district"],
)
async def test_visit_of_somebody_else_does_not_exist(pool: asyncpg.Pool, visit_id: int, actor: Actor) -> None:
    """Whose visit it is not cannot even learn that it exists."""
    with pytest.raises(NotFound, match="does not exist"):
        await report(pool, visit_id, "passed", actor=actor)


async def test_outcome_is_announced_and_audited(pool: asyncpg.Pool, conn: asyncpg.Connection, visit_id: int) -> None:
    """Rules hear of the outcome when it commits, and the audit names who reported it."""
    heard: asyncio.Queue[str] = asyncio.Queue()
    await conn.add_listener("gaswarden_outcome", lambda *message: heard.put_nowait(str(message[3])))
    receipt = await report(pool, visit_id, "passed")
    async with asyncio.timeout(10):
        assert await heard.get() == str(receipt["outcome_id"])
    await conn.reset()
    details = await conn.fetchval("SELECT details FROM audit_entry WHERE action = 'outcome.report' AND actor = 'olga'")
    assert (details if isinstance(details, dict) else json.loads(details))["result"] == "passed"


async def test_an_alarm_after_the_visit_is_another_duty(
    pool: asyncpg.Pool, conn: asyncpg.Connection, visit_id: int
) -> None:
    """A passed visit ends the alert's duty; the alert seen again after it gets one more, and no more than one."""
    await report(pool, visit_id, "passed")
    assert await keep_alert_duties(pool, PARAMS, AT) == (0, 0)
    await conn.execute("UPDATE alert SET last_at = $1", AT + timedelta(hours=1))
    assert await keep_alert_duties(pool, PARAMS, AT + timedelta(hours=1)) == (1, 0)
    assert await keep_alert_duties(pool, PARAMS, AT + timedelta(hours=2)) == (0, 0)
    alert_duties = await conn.fetch("SELECT state, mandatory FROM duty WHERE kind = 'alert' ORDER BY duty_id")
    assert [tuple(row) for row in alert_duties] == [("done", True), ("open", True)]


async def test_an_alarm_while_its_hazard_waits_for_the_recheck_is_no_other_duty(
    pool: asyncpg.Pool, conn: asyncpg.Connection, visit_id: int
) -> None:
    """As long as the re-check of the hazard that the alert's visit found is open, that is the next visit."""
    await report(pool, visit_id, "hazard_found", "leak")
    await conn.execute("UPDATE alert SET last_at = $1", AT + timedelta(hours=1))
    assert await keep_alert_duties(pool, PARAMS, AT + timedelta(hours=1)) == (0, 0)
