"""Kept figures are those that counting from scratch gives, whatever changed, in whatever order it became visible."""

import json
import random
from collections import defaultdict
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, date, datetime, timedelta
from functools import partial
from uuid import uuid4

import asyncpg
import pytest

from inspections import counting
from inspections.counting import count_changes, recount
from inspections.report_figures import COUNTS, Changed, InspectionReport, Part, ReportQuery
from inspections.report_routes import ReportRoutes
from sql import queries
from sql.actor import Actor
from tests.service.inspections_rows import NOW, PARAMS, TOMORROW, settle_town
from tests.service.rules_rows import insert

ZONE = PARAMS.zone
CONSOLE = Actor("console", "administrator")
WEST = Actor("otto", "officer", frozenset({"D02"}))
DAYS = [TOMORROW + timedelta(days=n) for n in range(-3, 3)]
SPAN = ReportQuery(since=DAYS[0] - timedelta(days=5), until=DAYS[-1] + timedelta(days=5), every="day")
RESULTS = ("passed", "hazard_found", "recheck_passed", "partial", "no_access", "refused")
GOT_IN = frozenset(RESULTS[:4])
Counts = dict[tuple[date, str], dict[str, int]]


class City:
    """Does at random what changes figures, through statements like the product's."""

    def __init__(self, seed: int, pool: asyncpg.Pool) -> None:
        self.chance = random.Random(seed)
        self.pool = pool

    async def do(self, conn: asyncpg.Connection, share: int | None = None) -> None:
        """One change; with a `share`, one that waits for no transaction of another share."""
        changes = [partial(self.report, share=share)] * 3 + [self.open_duty]
        if share is None:
            changes += [
                self.replan,
                self.replan,
                self.close_duty,
                self.close_duty,
                self.move_duty,
                self.correct_registry,
            ]
        await self.chance.choice(changes)(conn)

    async def replan(self, conn: asyncpg.Connection) -> None:
        """A new version of a day: some of its visits stay, some go, some are new; perhaps none is left."""
        day = self.chance.choice(DAYS)
        version = 1 + await conn.fetchval("SELECT count(*) FROM roster_run WHERE day = $1", day)
        held = await conn.fetch(
            "SELECT DISTINCT visit_id, premises_id FROM visit_version JOIN roster_run USING (run_id) WHERE day = $1",
            day,
        )
        run_id = await insert(
            conn, "roster_run", "run_id", day=day, version=version, planned_at=NOW, seed=1, solver="x", figures={}
        )
        if self.chance.random() < 0.3:  # a version stands empty, for a moment or for good
            await count_changes(self.pool, ZONE, NOW + timedelta(days=4))
            if self.chance.random() < 0.5:
                return
        visits = [(row["visit_id"], row["premises_id"]) for row in held if self.chance.random() < 0.6]
        inspectors = [row[0] for row in await conn.fetch("SELECT inspector_id FROM inspector ORDER BY 1")]
        roster_id = await insert(
            conn, "roster", "roster_id", run_id=run_id, inspector_id=inspectors[0], leave_at=NOW, return_at=NOW,
            travel_s=0,
        )  # fmt: skip
        for position in range(self.chance.choice((0, 2, 4))):
            door = self.chance.randint(1, 12)
            visit_id = await insert(
                conn, "visit", "visit_id", roster_id=roster_id, position=position, premises_id=door, arrive_at=NOW,
                leave_at=NOW, travel_s=0, mandatory=False, reasons=[],
            )  # fmt: skip
            visits.append((visit_id, door))
        for position, (visit_id, door) in enumerate(visits):
            await conn.execute(
                """INSERT INTO visit_version (run_id, visit_id, inspector_id, position, premises_id, arrive_at,
                                              leave_at, mandatory) VALUES ($1, $2, $3, $4, $5, $6, $6, false)""",
                run_id, visit_id, self.chance.choice(inspectors), position, door, NOW,
            )  # fmt: skip

    async def report(self, conn: asyncpg.Connection, share: int | None = None) -> None:
        """An outcome, perhaps of a visit of days ago, at any hour of any of the days."""
        free = await conn.fetch(
            """SELECT visit_id, premises_id FROM visit v
               WHERE visit_id % 2 = coalesce($1, visit_id % 2)
                 AND NOT EXISTS (SELECT FROM outcome o WHERE o.visit_id = v.visit_id)""",
            share,
        )
        if not free:
            return
        visit = self.chance.choice(free)
        at = datetime.combine(DAYS[0], datetime.min.time(), UTC) + timedelta(minutes=self.chance.randrange(6 * 24 * 60))
        await insert(
            conn, "outcome", "outcome_id", client_id=uuid4(), inspector_id=self.chance.randint(1, 2), at=at,
            received_at=NOW, result=self.chance.choice(RESULTS), body={}, actor="test", **dict(visit),
        )  # fmt: skip

    async def open_duty(self, conn: asyncpg.Connection) -> None:
        await conn.execute(
            """INSERT INTO duty (premises_id, kind, state, due_on, mandatory, reason, created_at)
               VALUES ($1, $2, $3, $4, false, 'x', $5)""",
            self.chance.randint(1, 12), self.chance.choice(("periodic", "periodic", "request")),
            self.chance.choice(("done", "cancelled")), self.chance.choice(DAYS), NOW,
        )  # fmt: skip

    async def close_duty(self, conn: asyncpg.Connection) -> None:
        """By any outcome of the door's, rightly or wrongly."""
        await conn.execute(
            """UPDATE duty d SET state = 'done', closed_at = $1, outcome_id = o.outcome_id FROM outcome o
               WHERE o.premises_id = d.premises_id AND d.duty_id % 3 = $2""",
            NOW, self.chance.randrange(3),
        )  # fmt: skip

    async def move_duty(self, conn: asyncpg.Connection) -> None:
        moved = self.chance.choice(("due_on = $1", "state = 'cancelled', due_on = $1", "attempts = attempts + 1"))
        given = [self.chance.choice(DAYS)] if "$1" in moved else []
        await conn.execute(f"UPDATE duty SET {moved} WHERE duty_id % 4 = {self.chance.randrange(4)}", *given)  # noqa: S608

    async def correct_registry(self, conn: asyncpg.Connection) -> None:
        """A door has another building or class, a building another compound, a compound another district."""
        await conn.execute(
            self.chance.choice(
                (
                    "UPDATE premises SET building_id = 1 + (building_id % 4) WHERE premises_id % 5 = 0",
                    "UPDATE premises SET user_class = 'commercial' WHERE premises_id % 7 = 3",
                    "UPDATE premises SET last_entered_on = '2026-11-01', user_class = user_class",
                    "UPDATE building SET compound_id = 3 - compound_id WHERE building_id = 2",
                    "UPDATE compound SET district_id = 5 - district_id WHERE compound_id = 2",
                )
            )
        )


async def counted_by_hand(conn: asyncpg.Connection, part: Part, actor: Actor) -> Counts:
    """The same figures, row by row."""
    doors = {
        row["premises_id"]: row
        for row in await conn.fetch(
            """SELECT premises_id, user_class AS class, c.code AS compound, di.code AS district FROM premises
               JOIN building USING (building_id) JOIN compound c USING (compound_id)
               JOIN district di USING (district_id)"""
        )
    }
    inspectors = {
        row["inspector_id"]: row for row in await conn.fetch("SELECT inspector_id, code, area FROM inspector")
    }
    outcomes = await conn.fetch("SELECT outcome_id, visit_id, premises_id, inspector_id, result, at FROM outcome")
    of_visit, by_id = {row["visit_id"]: row for row in outcomes}, {row["outcome_id"]: row for row in outcomes}
    runs = await conn.fetch("SELECT day, run_id FROM roster_run ORDER BY day, version")
    in_force = {row["day"]: row["run_id"] for row in runs}
    counts: Counts = defaultdict(lambda: dict.fromkeys(COUNTS, 0))

    def add(day: date, door: int, inspector: int | None, **counted: bool) -> None:
        if actor.areas is not None and doors[door]["district"] not in actor.areas:
            return
        if part in {"inspector", "station"}:
            if inspector is None:
                return
            name = inspectors[inspector]["code" if part == "inspector" else "area"]
        else:
            name = "" if part == "all" else doors[door][part]
        for figure, counts_here in counted.items():
            counts[day, name][figure] += counts_here

    for day, run_id in in_force.items():
        for visit in await conn.fetch(
            "SELECT visit_id, premises_id, inspector_id FROM visit_version WHERE run_id = $1", run_id
        ):
            outcome = of_visit.get(visit["visit_id"])
            add(
                day, visit["premises_id"], visit["inspector_id"], planned=True, planned_visited=outcome is not None,
                planned_entered=outcome is not None and outcome["result"] in GOT_IN,
            )  # fmt: skip
    for row in outcomes:
        result = row["result"]
        add(
            row["at"].astimezone(ZONE).date(), row["premises_id"], row["inspector_id"], visited=True,
            entered=result in GOT_IN, partial=result == "partial", no_access=result == "no_access",
            refused=result == "refused",
        )  # fmt: skip
    for duty in await conn.fetch("SELECT * FROM duty WHERE kind = 'periodic' AND state <> 'cancelled'"):
        done = by_id.get(duty["outcome_id"]) if duty["state"] == "done" else None
        covered = done is not None and done["result"] in GOT_IN
        in_time = covered and done is not None and done["at"].astimezone(ZONE).date() <= duty["due_on"]
        add(duty["due_on"], duty["premises_id"], None, due=True, covered=covered, covered_on_time=in_time)
    return dict(counts)


def lines(report: InspectionReport) -> Counts:
    return {
        (line.begins_on, line.part): {name: getattr(line, name) or 0 for name in COUNTS}
        for line in report.lines
        if line.begins_on is not None
    }


async def asked(pool: asyncpg.Pool, part: Part, actor: Actor = CONSOLE) -> Counts:
    return lines(await ReportRoutes(pool, PARAMS).report(SPAN.model_copy(update={"by": part}), actor))


async def agrees(pool: asyncpg.Pool, conn: asyncpg.Connection, parts: Sequence[Part]) -> None:
    for actor in (CONSOLE, WEST):
        for part in parts:
            assert await asked(pool, part, actor) == await counted_by_hand(conn, part, actor), (part, actor.name)


async def settle(conn: asyncpg.Connection) -> None:
    """The town, and a compound with a building in district D02."""
    await settle_town(conn)
    west = await conn.fetchval("SELECT district_id FROM district WHERE code = 'D02'")
    compound = await insert(
        conn, "compound", "compound_id", code="K2", name="Hill", district_id=west, latitude=31.8, longitude=117.2
    )
    await insert(
        conn, "building", "building_id", code="B4", name="Block 4", compound_id=compound, latitude=31.8, longitude=117.2
    )


@pytest.mark.parametrize("seed", range(5))
async def test_kept_is_counted(
    pool: asyncpg.Pool, conn: asyncpg.Connection, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Versions, outcomes, duties, a corrected registry, in any order, some visible late, passes between."""
    monkeypatch.setattr(counting, "_DAYS_AT_ONCE", 3)
    await settle(conn)
    city = City(seed, pool)
    async with AsyncExitStack() as stack:
        late = await stack.enter_async_context(pool.acquire())
        pending = None
        for step in range(60):
            if pending is None and step % 6 == 2:
                pending = late.transaction()
                await pending.start()
            if pending is not None and city.chance.random() < 0.4:
                await city.do(late, share=1)
            if pending is not None and (city.chance.random() < 0.15 or step == 59):
                await pending.commit()
                pending = None
            if pending is None or city.chance.random() < 0.3:
                await city.do(conn, share=None if pending is None else 0)
            if city.chance.random() < 0.3:
                await count_changes(pool, ZONE, NOW + timedelta(days=city.chance.randrange(-2, 4)))
            if step % 10 == 9:
                await agrees(
                    pool, conn, city.chance.sample(("all", "district", "compound", "class", "station", "inspector"), 2)
                )
    await agrees(pool, conn, ("compound", "inspector"))
    await count_changes(pool, ZONE, NOW + timedelta(days=30))
    assert await conn.fetchval("SELECT count(*) FROM count_mark") == 0
    await agrees(pool, conn, ("all", "district", "compound", "class", "station", "inspector"))
    assert (await recount(pool, ZONE, SPAN.days()[0], SPAN.days()[1])).differing == ()


async def test_a_change_that_commits_after_the_pass_is_not_lost(pool: asyncpg.Pool, conn: asyncpg.Connection) -> None:
    """An outcome written before a pass and visible after it is in the figures, before and after the next."""
    await settle(conn)
    city = City(1, pool)
    while not await conn.fetchval("SELECT count(*) FROM visit"):
        await city.replan(conn)
    async with pool.acquire() as late:
        transaction = late.transaction()
        await transaction.start()
        await city.report(late)
        await count_changes(pool, ZONE, NOW + timedelta(days=30))
        assert sum(line["visited"] for line in (await asked(pool, "all")).values()) == 0
        await transaction.commit()
    for _ in range(2):
        await agrees(pool, conn, ("district", "inspector"))
        assert sum(line["visited"] for line in (await asked(pool, "all")).values()) == 1
        await count_changes(pool, ZONE, NOW + timedelta(days=30))


async def test_another_zone_has_other_days(pool: asyncpg.Pool, conn: asyncpg.Connection) -> None:
    """What was kept as days of one time zone is not taken for those of another; the pass counts them anew."""
    await settle(conn)
    city = City(2, pool)
    for _ in range(20):
        await city.do(conn)
    elsewhere = PARAMS.model_copy(update={"city_timezone": "America/New_York"})
    query = SPAN.model_copy(update={"by": "compound"})
    before = lines(await ReportRoutes(pool, elsewhere).report(query, CONSOLE))
    await count_changes(pool, ZONE, NOW + timedelta(days=30))
    assert lines(await ReportRoutes(pool, elsewhere).report(query, CONSOLE)) == before
    await count_changes(pool, elsewhere.zone, NOW + timedelta(days=30))
    assert lines(await ReportRoutes(pool, elsewhere).report(query, CONSOLE)) == before
    assert before != await asked(pool, "compound")


async def test_recount_finds_what_is_wrong_and_mends_it(pool: asyncpg.Pool, conn: asyncpg.Connection) -> None:
    """A kept figure that is wrong is named by its day and kind, and right again from the next question on."""
    await settle(conn)
    city = City(3, pool)
    for _ in range(30):
        await city.do(conn)
    await count_changes(pool, ZONE, NOW + timedelta(days=30))
    first, last = SPAN.days()
    assert (await recount(pool, ZONE, first, last)).differing == ()
    wrong = await conn.fetchrow("SELECT day, kind FROM place_count WHERE visited > 0 LIMIT 1")
    lost = await conn.fetchrow("SELECT day, kind FROM inspector_count WHERE planned > 0 LIMIT 1")
    async with conn.transaction():
        for table, row in (("place_count", wrong), ("inspector_count", lost)):
            await conn.execute(f"DELETE FROM {table} WHERE day = $1 AND kind = $2", *row)  # noqa: S608 - names above
    assert set((await recount(pool, ZONE, first, last)).differing) == {
        Changed(row["kind"], row["day"]) for row in (wrong, lost)
    }
    await agrees(pool, conn, ("compound", "inspector"))
    await count_changes(pool, ZONE, NOW + timedelta(days=30))
    assert (await recount(pool, ZONE, first, last)).differing == ()


async def test_counted_days_are_read_without_their_visits(pool: asyncpg.Pool, conn: asyncpg.Connection) -> None:
    """No visit, duty or outcome is looked at for days that did not change; for changed ones they are."""
    await settle(conn)
    await count_changes(pool, ZONE, NOW)
    span = {"first_day": DAYS[0], "last_day": DAYS[-1], "every": "month", "part": "district", "areas": None}
    for changed, reads in (([], False), ([DAYS[0]], True)):
        now = {"planned_on": changed, "visited_on": changed, "due_on": changed, "zone": ZONE.key}
        kinds, days = ["planned", "visited", "due"] * len(changed), changed * 3
        text, *given = queries["place_figures"].bind(**span, **now, kinds=kinds, days=days)
        async with conn.transaction(readonly=True):
            await conn.execute(*queries["prepare_figures"].bind())
            plan = await conn.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {text}", *given)
        assert _touches(json.loads(plan)[0]["Plan"], {"outcome", "duty", "roster_run"}) == reads


def _touches(node: dict[str, object], tables: set[str]) -> bool:
    """Whether a plan's scan of one of these tables was run."""
    ran = node.get("Relation Name") in tables and node["Actual Loops"] != 0
    below = node.get("Plans", [])
    assert isinstance(below, list)
    return bool(ran) or any(_touches(one, tables) for one in below)
