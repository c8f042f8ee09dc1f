"""The hotline clerk at the terminal: a call from its recording to its figures, a case, a penalty."""

import asyncio
import json
import os
import subprocess
import sys
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from inspections.offline import take_batch
from inspections.outcomes import Finding
from inspections.reporting import report_outcome
from sql.actor import Actor
from tests.servers import Database
from tests.service.inspections_rows import NOW, PARAMS, plan_visit, settle_town

OFFICER = Actor("olga", "officer")


class Terminal:
    """Runs commands on a database; what it answers is JSON, or words for a person."""

    def __init__(self, url: str) -> None:
        self._environment = {"PATH": os.environ["PATH"], "DATABASE_URL": url, "COLUMNS": "300"}

    async def __call__(self, *words: str, code: int = 0) -> Any:
        """The JSON of a command that ends well; the words of one that is refused with this exit code."""
        shown = () if code else ("--json",)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "app",
            *words,
            *shown,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        out, err = await process.communicate()
        assert process.returncode == code, err.decode()
        return err.decode() if code else json.loads(out)


@pytest.fixture
async def gaswarden(conn: asyncpg.Connection, db: Database) -> Terminal:
    await settle_town(conn, homes=3)
    await conn.execute("UPDATE premises SET user_class = 'commercial' WHERE code = 'H-003'")
    return Terminal(db.url)


@pytest.mark.timeout(180)
async def test_a_call_from_its_record_to_the_figures(gaswarden: Terminal) -> None:
    """Recorded with its deadlines and visit, refused by the name of the field, answered, and counted in time."""
    call = ("request", "record", "gas_smell", "it smells", "--premises", "H-001", "--phone", "555")
    unknown = ("request", "record", "noise", "x", "--premises", "H-001")
    made, refused = await asyncio.gather(gaswarden(*call), gaswarden(*unknown, code=1))
    assert (made["state"], len(made["duty_ids"]), made["channel"]) == ("open", 1, "hotline")
    assert "category: noise is not in the catalogue" in refused
    answered = await gaswarden("request", "step", str(made["request_id"]), "reply", "--note", "crew on the way")
    assert answered["state"] == "replied"
    listed, (figures,) = await asyncio.gather(
        gaswarden("request", "list", "--premises", "H-001", "--state", "replied"), gaswarden("request", "figures")
    )
    assert [one["request_id"] for one in listed] == [made["request_id"]]
    assert (figures["reply_on_time_rate"], figures["closure_rate"]) == (1, 0)


@pytest.mark.timeout(180)
async def test_a_case_and_a_penalty(gaswarden: Terminal) -> None:
    """A case without a plan is not closed; a penalty's amount is given in yuan and kept in fen; its end is counted."""
    penalty = ("enforcement", "record", "penalty", "H-003", "no detector", "--authority", "Bureau", "--reference", "8")
    days = ("--issued", "2026-11-01", "--due", "2026-11-15", "--amount-yuan", "5000.50")
    opened, (fined,) = await asyncio.gather(
        gaswarden("case", "open", "complaint", "third complaint", "--premises", "H-001"), gaswarden(*penalty, *days)
    )
    number = str(fined["enforcement_id"])
    refused, _ = await asyncio.gather(
        gaswarden("case", "step", str(opened["case_id"]), "close", "--note", "settled", code=1),
        gaswarden("enforcement", "end", number, "complied", "paid", "--on", "2026-11-14"),
    )
    assert "one case, one plan" in refused
    (row,) = await gaswarden("enforcement", "figures", "--since", "2026-11-01", "--until", "2026-11-30")
    assert (row["user_class"], row["paid_fen"], row["complied_on_time_rate"]) == ("commercial", 500_050, 1)


@pytest.mark.timeout(180)
async def test_a_hazard_is_followed_at_the_terminal(gaswarden: Terminal, conn: asyncpg.Connection) -> None:
    """Listed as overdue, refused by the name of what lacks, notified; shown with its timeline."""
    visit_id, _ = await plan_visit(conn, "H-001", NOW)
    async with conn.transaction():
        await report_outcome(
            conn, visit_id, uuid4(), "hazard_found", NOW, [Finding("leak")], None, {}, PARAMS, OFFICER, NOW
        )
    (listed,), refused = await asyncio.gather(
        gaswarden("hazard", "list", "--overdue", "--grade", "1"), gaswarden("hazard", "step", "1", "notify", code=1)
    )
    assert (listed["code"], listed["premises"], "notice" in listed["overdue"]) == ("leak", "H-001", True)
    assert "to: a written notice says who received it" in refused
    step = ("hazard", "step", str(listed["hazard_id"]), "notify", "--to", "Mr Li", "--how", "signed")
    told = await gaswarden(*step)
    assert (told["notified_to"], [one["step"] for one in told["timeline"]]) == ("Mr Li", ["notify"])


@pytest.mark.timeout(180)
async def test_a_conflict_is_settled_at_the_terminal(
    gaswarden: Terminal, pool: asyncpg.Pool, conn: asyncpg.Connection
) -> None:
    """A second report of a visit is listed, shown as it was sent, rejected with a reason; decided twice is refused."""
    visit_id, _ = await plan_visit(conn, "H-001", NOW)
    sent = {"visit_id": visit_id, "base_version": 1, "at": NOW.isoformat(), "result": "passed"}
    items = [sent | {"client_id": str(uuid4())}, sent | {"client_id": str(uuid4()), "note": "again"}]
    _, second = await take_batch(pool, items, PARAMS, OFFICER, NOW)
    number = str(second.conflict_id)
    (listed,), shown, unknown = await asyncio.gather(
        gaswarden("conflict", "list"),
        gaswarden("conflict", "show", number),
        gaswarden("conflict", "show", "99", code=1),
    )
    assert listed == shown
    assert (shown["kind"], shown["state"], shown["item"]["note"]) == ("already_reported", "open", "again")
    assert "conflict 99 does not exist" in unknown
    settled = await gaswarden("conflict", "reject", number, "sent twice")
    assert (settled["state"], settled["settled_note"]) == ("rejected", "sent twice")
    assert await gaswarden("conflict", "list") == []
    assert "rejected" in await gaswarden("conflict", "record", number, "no, take it", code=1)
