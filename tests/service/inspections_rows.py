"""A small district in the database for tests of inspections, put there through the registry's own savers."""

from datetime import UTC, date, datetime
from typing import Any

import asyncpg

from inspections.campaign_params import CampaignParams
from inspections.params import RosterParams
from inspections.registry import (
    BuildingRow,
    CompoundRow,
    DistrictRow,
    InspectorRow,
    PremisesRow,
    save_buildings,
    save_compounds,
    save_districts,
    save_inspectors,
    save_premises,
)
from tests.service.rules_rows import insert

NOW = datetime(2026, 11, 20, 11, 0, tzinfo=UTC)  # 19:00 in the city
TOMORROW = date(2026, 11, 21)
EVERY_DAY = CampaignParams(weekdays=(0, 1, 2, 3, 4, 5, 6), holidays_of="")
PARAMS = RosterParams(iterations_min=20, iterations_per_call=1, campaign=EVERY_DAY)


async def settle_town(conn: asyncpg.Connection, *, homes: int = 12, last_entered_on: date | None = None) -> None:
    """City C, district D01 with a compound of three buildings, homes H-001.., and two inspectors."""
    districts = [DistrictRow(code="C", name="City"), DistrictRow(code="D01", name="East", parent="C")]
    await save_districts(conn, list(enumerate([*districts, DistrictRow(code="D02", name="West", parent="C")], 2)))
    compounds = [CompoundRow(code="K1", name="Garden", district="D01", latitude=31.8, longitude=117.2)]
    await save_compounds(conn, list(enumerate(compounds, 2)))
    buildings = [
        BuildingRow(code=f"B{n}", name=f"Block {n}", compound="K1", latitude=31.8 + n / 1000, longitude=117.2)
        for n in (1, 2, 3)
    ]
    await save_buildings(conn, list(enumerate(buildings, 2)))
    await save_premises(conn, list(enumerate([home(n, last_entered_on) for n in range(1, homes + 1)], 2)))
    inspectors = [worker("I-1", "D01", ("household", "leak")), worker("I-2", "C", ("household",))]
    await save_inspectors(conn, list(enumerate(inspectors, 2)))


def home(number: int, last_entered_on: date | None = None) -> PremisesRow:
    return PremisesRow(
        code=f"H-{number:03d}",
        building=f"B{1 + number % 3}",
        unit=f"{number}",
        address=f"1 Garden Road, flat {number}",
        user_class="household",
        contact_name=f"Resident {number}",
        contact_phone="+86 555 0100",
        last_entered_on=last_entered_on,
    )


def worker(code: str, area: str, skills: tuple[str, ...]) -> InspectorRow:
    return InspectorRow.model_validate(
        {
            "code": code, "name": f"Inspector {code}", "area": area, "skills": skills, "start_latitude": 31.8,
            "start_longitude": 117.2, "shift_start": "08:30", "shift_end": "16:30",
        }
    )  # fmt: skip


async def premises_id(conn: asyncpg.Connection, code: str) -> int:
    found: int = await conn.fetchval("SELECT premises_id FROM premises WHERE code = $1", code)
    return found


async def raise_alert(conn: asyncpg.Connection, code: str, **changes: Any) -> int:
    """An open leak alert at a home."""
    columns: dict[str, Any] = {
        "rule_id": "leak_alarm", "rule_version": "1", "subject": f"device:{code}", "area": "D01",
        "premises_id": await premises_id(conn, code), "severity": "critical", "state": "open", "firing": True,
        "late": False, "sentence": "gas at 25 % of the lower explosive limit", "first_at": NOW, "last_at": NOW,
        "raised_at": NOW, "evidence": {}, "visit": "mandatory",
    }  # fmt: skip
    return await insert(conn, "alert", "alert_id", **(columns | changes))


async def visit_of(conn: asyncpg.Connection, code: str, day: date = TOMORROW) -> int | None:
    """The visit to a home in the rosters in force on a day."""
    visit_id: int | None = await conn.fetchval(
        """SELECT v.visit_id FROM visit v JOIN roster r USING (roster_id) JOIN roster_run u USING (run_id)
           JOIN premises p ON p.premises_id = v.premises_id WHERE p.code = $1 AND u.day = $2
           ORDER BY u.version DESC LIMIT 1""",
        code,
        day,
    )
    return visit_id


async def plan_visit(
    conn: asyncpg.Connection,
    code: str,
    planned_at: datetime,
    duty_id: int | None = None,
    inspector: str = "I-1",
    day: date | None = None,
) -> tuple[int, int]:
    """A visit to a home on a roster of its own, for its periodic duty (a new one unless named); returns both ids."""
    door = await premises_id(conn, code)
    if duty_id is None:
        duty_id = await insert(
            conn, "duty", "duty_id", premises_id=door, kind="periodic", state="open", due_on=planned_at.date(),
            mandatory=False, reason="periodic", created_at=planned_at,
        )  # fmt: skip
    day = day or planned_at.date()
    version = 1 + await conn.fetchval("SELECT count(*) FROM roster_run WHERE day = $1", day)
    run = await insert(
        conn, "roster_run", "run_id", day=day, version=version, planned_at=planned_at, seed=1, solver="x",
        figures={},
    )  # fmt: skip
    worker_id = await conn.fetchval("SELECT inspector_id FROM inspector WHERE code = $1", inspector)
    roster = await insert(
        conn, "roster", "roster_id", run_id=run, inspector_id=worker_id, leave_at=planned_at, return_at=planned_at,
        travel_s=0,
    )  # fmt: skip
    visit = await insert(
        conn, "visit", "visit_id", roster_id=roster, position=1, premises_id=door, arrive_at=planned_at,
        leave_at=planned_at, travel_s=0, mandatory=False, reasons=[],
    )  # fmt: skip
    await insert(
        conn, "visit_version", "visit_id", run_id=run, visit_id=visit, inspector_id=worker_id, position=1,
        premises_id=door, arrive_at=planned_at, leave_at=planned_at, mandatory=False,
    )  # fmt: skip
    await conn.execute("INSERT INTO visit_duty (visit_id, duty_id) VALUES ($1, $2)", visit, duty_id)
    return visit, duty_id
