"""Figures of inspections against a town counted by hand."""

from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import asyncpg
import pytest

from inspections.counting import count_changes
from inspections.planning import plan_day
from inspections.report_figures import InspectionReport, ReportQuery, report_csv
from inspections.report_routes import ReportRoutes
from sql.actor import Actor
from tests.service.inspections_rows import NOW, PARAMS, TOMORROW, settle_town
from tests.service.rules_rows import insert

CONSOLE = Actor("console", "administrator")
NOON = datetime(2026, 11, 21, 4, 0, tzinfo=UTC)  # of the roster's day, in the city
RESULTS = ["passed", "passed", "hazard_found", "partial", "no_access", "no_access", "refused"]


@pytest.fixture
async def counted(pool: asyncpg.Pool, conn: asyncpg.Connection) -> None:
    """Twelve doors planned twice; seven visited, four entered; the last half an hour after the next midnight.

    Two of the twelve duties are done by an entry, the second after its day; a third is wrongly done by a no-access.
    Two hazards, one mended on its last day, one open since long.
    """
    await settle_town(conn)
    await plan_day(pool, TOMORROW, PARAMS, NOW)
    await plan_day(pool, TOMORROW, PARAMS, NOW + timedelta(minutes=1))
    visits = await conn.fetch(
        """SELECT v.visit_id, v.premises_id, ro.inspector_id FROM visit v JOIN roster ro USING (roster_id)
           JOIN roster_run ru USING (run_id) WHERE ru.version = 2 ORDER BY v.premises_id"""
    )
    outcomes = []
    for visit, result in zip(visits, RESULTS, strict=False):
        at = NOON if result != "refused" else datetime(2026, 11, 21, 16, 30, tzinfo=UTC)
        row = {"client_id": uuid4(), "result": result, "at": at, "received_at": at, "body": {}, "actor": "test"}
        outcomes.append(await insert(conn, "outcome", "outcome_id", **(row | dict(visit))))
    due = {0: TOMORROW, 1: TOMORROW - timedelta(days=1), 4: TOMORROW}
    await conn.execute("UPDATE duty SET due_on = $1", TOMORROW)
    for number, due_on in due.items():
        await conn.execute(
            "UPDATE duty SET state = 'done', due_on = $1, outcome_id = $2, closed_at = $3 WHERE premises_id = $4",
            due_on, outcomes[number], NOON, visits[number]["premises_id"],
        )  # fmt: skip
    shared = {"premises_id": visits[2]["premises_id"], "outcome_id": outcomes[2], "found_at": NOON}
    mended = {
        "notified_at": NOON,
        "state": "closed",
        "closed_at": NOON + timedelta(days=7),
        "due_on": TOMORROW + timedelta(days=7),
    }
    await insert(conn, "hazard", "hazard_id", code="leak", grade=1, **(shared | mended))
    await insert(
        conn, "hazard", "hazard_id", code="hose_aged", grade=2, state="open", due_on=date(2026, 1, 1), **shared
    )


async def figures(pool: asyncpg.Pool, query: ReportQuery, actor: Actor = CONSOLE) -> InspectionReport:
    """As counted when asked for, which is the same as what is kept afterwards."""
    asked = await ReportRoutes(pool, PARAMS).report(query, actor)
    await count_changes(pool, PARAMS.zone, NOW + timedelta(days=30))
    assert await ReportRoutes(pool, PARAMS).report(query, actor) == asked
    return asked


@pytest.mark.usefixtures("counted")
async def test_year_as_counted_by_hand(pool: asyncpg.Pool) -> None:
    """Replanning counts no door twice, a no-access is never an inspection, and rates follow from the counts."""
    total = (await figures(pool, ReportQuery(year=2026))).total
    assert (total.planned, total.planned_visited, total.planned_entered) == (12, 7, 4)
    assert (total.visited, total.entered, total.partial, total.no_access, total.refused) == (7, 4, 1, 2, 1)
    assert (total.due, total.covered, total.covered_on_time) == (12, 2, 1)
    assert (total.hazards_found, total.hazards_rectified, total.hazards_rectified_on_time, total.hazards_overdue) == (
        2,
        1,
        1,
        1,
    )
    assert (total.hazards_notified, total.notified_rate) == (1, 0.5)
    assert (total.completion_rate, total.entry_rate, total.coverage_rate) == (0.5833, 0.5714, 0.1667)


@pytest.mark.usefixtures("counted")
async def test_days_are_the_citys(pool: asyncpg.Pool) -> None:
    """The visit at half past midnight belongs to the next local day; the span ends with its last day."""
    report = await figures(pool, ReportQuery(since=TOMORROW, until=TOMORROW + timedelta(days=1), every="day"))
    assert [(line.begins_on, line.visited) for line in report.lines] == [
        (TOMORROW, 6),
        (TOMORROW + timedelta(days=1), 1),
    ]
    assert (await figures(pool, ReportQuery(since=TOMORROW, until=TOMORROW))).total.visited == 6


@pytest.mark.usefixtures("counted")
async def test_every_part_sums_to_the_whole(pool: asyncpg.Pool) -> None:
    """By district, compound, class, station and inspector: the same totals; what is due is unknown by inspector."""
    whole = (await figures(pool, ReportQuery(year=2026))).total
    for by in ("district", "compound", "class", "station", "inspector"):
        report = await figures(pool, ReportQuery(year=2026, by=by))
        assert (report.total.planned, report.total.visited, report.total.entered) == (12, 7, 4)
        assert {line.part for line in report.lines} <= {"D01", "K1", "household", "C", "I-1", "I-2"}
        assert report.total.due == (whole.due if by in {"district", "compound", "class"} else None)
        assert sum(hazard.found for hazard in report.hazards) == 2


@pytest.mark.usefixtures("counted")
async def test_other_districts_count_nothing(pool: asyncpg.Pool) -> None:
    """Whoever covers another district gets figures of that one alone; a rate over nothing is unknown."""
    total = (await figures(pool, ReportQuery(year=2026), Actor("otto", "officer", frozenset({"D02"})))).total
    assert (total.planned, total.visited, total.due, total.entry_rate) == (0, 0, 0, None)


@pytest.mark.usefixtures("counted")
async def test_csv_holds_every_line_and_the_total(pool: asyncpg.Pool) -> None:
    """One line for each part, then the total without a period."""
    lines = report_csv(await figures(pool, ReportQuery(year=2026, by="district"))).splitlines()
    assert len(lines) == 3
    assert lines[1].startswith("2026-01-01,D01,12,7,4,7,4,")
    assert lines[2].startswith(",,12,7,4,7,4,")


@pytest.mark.usefixtures("counted")
async def test_weeks_and_months_hold_the_same_counts(pool: asyncpg.Pool) -> None:
    """Whatever the length of the periods, what happened is counted once, in periods that begin where they should."""
    for every, begins_on in (("week", date(2026, 11, 16)), ("month", date(2026, 11, 1)), ("year", date(2026, 1, 1))):
        report = await figures(pool, ReportQuery.model_validate({"year": 2026, "every": every}))
        assert [(line.begins_on, line.visited) for line in report.lines if line.visited] == [(begins_on, 7)]
        assert (report.total.planned, report.total.due, report.total.hazards_found) == (12, 12, 2)


@pytest.mark.usefixtures("counted")
async def test_businesses_have_figures_of_their_own(pool: asyncpg.Pool, conn: asyncpg.Connection) -> None:
    """By class of users each is counted with its own, within the caller's districts, and the hazards with them."""
    await conn.execute(
        """UPDATE premises SET user_class = 'commercial' WHERE premises_id = (SELECT min(premises_id) FROM hazard)"""
    )
    for areas in (None, frozenset({"D01"})):
        report = await figures(pool, ReportQuery(year=2026, by="class"), Actor("olga", "officer", areas))
        by_class = {line.part: (line.planned, line.visited, line.entered, line.due) for line in report.lines}
        assert by_class == {"household": (11, 6, 3, 11), "commercial": (1, 1, 1, 1)}
        assert {(hazard.part, hazard.code) for hazard in report.hazards} == {
            ("commercial", "leak"),
            ("commercial", "hose_aged"),
        }
