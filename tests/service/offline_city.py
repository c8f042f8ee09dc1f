"""Doors with visits to report, the outcomes of all of them, and what a database holds in the end, in natural keys."""

import random
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

_NAMESPACE = uuid.UUID("6f0c6e0e-5d0c-4f2a-9a55-0d7d6f6f7a11")
_FILL = """
    WITH place AS (
        INSERT INTO district (code, name) VALUES ('D01', 'East') RETURNING district_id
    ), estate AS (
        INSERT INTO compound (code, name, district_id, latitude, longitude)
        SELECT 'K1', 'Garden', district_id, 31.8, 117.2 FROM place RETURNING compound_id
    ), house AS (
        INSERT INTO building (code, name, compound_id, latitude, longitude)
        SELECT 'B1', 'Block', compound_id, 31.8, 117.2 FROM estate RETURNING building_id
    ), staff AS (
        INSERT INTO inspector (code, name, area, skills, start_latitude, start_longitude, shift_start, shift_end,
                               break_minutes, break_after, break_before)
        SELECT 'I-1', 'Ines', 'D01', ARRAY['household'], 31.8, 117.2, '08:30', '17:30', 0, '11:00', '14:00'
    )
    INSERT INTO premises (code, building_id, unit, address, user_class)
    SELECT 'H-' || n, building_id, n, 'Street', 'household' FROM house, generate_series(1, $1::int) n"""
_DAY = """
    WITH run AS (
        INSERT INTO roster_run (day, version, planned_at, seed, solver, figures)
        VALUES (($1::timestamptz AT TIME ZONE 'UTC')::date, 1, $1, 1, 'x', '{}') RETURNING run_id
    ), work AS (
        INSERT INTO roster (run_id, inspector_id, leave_at, return_at, travel_s)
        SELECT run_id, inspector_id, $1, $1, 0 FROM run, inspector RETURNING roster_id, run_id, inspector_id
    ), made AS (
        INSERT INTO visit (roster_id, position, premises_id, arrive_at, leave_at, travel_s, mandatory, reasons)
        SELECT roster_id, row_number() OVER (ORDER BY premises_id), premises_id, $1, $1, 0, false, '[]'
        FROM work, premises WHERE premises_id % $2::int = 0 ORDER BY premises_id
        RETURNING visit_id, premises_id, position
    ), version AS (
        INSERT INTO visit_version (run_id, visit_id, inspector_id, position, premises_id, arrive_at, leave_at,
                                   mandatory)
        SELECT run_id, visit_id, inspector_id, position, premises_id, $1, $1, false FROM made, work
    )
    INSERT INTO visit_duty (visit_id, duty_id)
    SELECT visit_id, duty_id FROM made JOIN duty USING (premises_id) WHERE duty.kind IN ('periodic', 'recheck')"""
_HOSE = """
    WITH run AS (
        INSERT INTO roster_run (day, version, planned_at, seed, solver, figures)
        VALUES (($1::timestamptz AT TIME ZONE 'UTC')::date, 1, $1, 1, 'x', '{}') RETURNING run_id
    ), work AS (
        INSERT INTO roster (run_id, inspector_id, leave_at, return_at, travel_s)
        SELECT run_id, inspector_id, $1, $1, 0 FROM run, inspector RETURNING roster_id, run_id, inspector_id
    ), made AS (
        INSERT INTO visit (roster_id, position, premises_id, arrive_at, leave_at, travel_s, mandatory, reasons)
        SELECT roster_id, row_number() OVER (ORDER BY premises_id), premises_id, $1, $1, 0, false, '[]'
        FROM work, premises WHERE premises_id % 6 = 0 ORDER BY premises_id RETURNING visit_id, premises_id
    ), said AS (
        INSERT INTO outcome (client_id, visit_id, premises_id, inspector_id, result, at, received_at, body, actor,
                             found)
        SELECT gen_random_uuid(), visit_id, premises_id, inspector_id, 'hazard_found', $1, $1, '{}', 'olga',
               jsonb_build_array(jsonb_build_object('code', 'hose_aged', 'grade', 2, 'note', NULL,
                                                    'due_on', ($1::timestamptz)::date + 30))
        FROM made, work RETURNING outcome_id, premises_id
    ), hose AS (
        INSERT INTO hazard (premises_id, outcome_id, code, grade, found_at, due_on, state)
        SELECT premises_id, outcome_id, 'hose_aged', 2, $1, ($1::timestamptz)::date + 30, 'open' FROM said
        RETURNING hazard_id, premises_id
    )
    INSERT INTO duty (premises_id, kind, state, due_on, mandatory, reason, hazard_id, created_at)
    SELECT premises_id, 'recheck', 'open', ($1::timestamptz)::date + 30, false, 're-check', hazard_id, $1 FROM hose"""
_STATE = {
    "outcomes": """
        SELECT p.code, o.visit_id, o.result, o.at, o.entered, o.unseen
        FROM outcome o JOIN premises p USING (premises_id)""",
    "duties": """
        SELECT p.code, d.kind, d.state, d.due_on, d.reason, d.attempts, d.last_attempt_at, h.code AS hazard,
               CASE WHEN d.state = 'open' THEN d.not_before END AS not_before, o.visit_id AS done_by
        FROM duty d JOIN premises p USING (premises_id) LEFT JOIN hazard h USING (hazard_id)
        LEFT JOIN outcome o ON o.outcome_id = d.outcome_id""",
    "hazards": """
        SELECT p.code, h.code AS hazard, h.grade, h.found_at, h.due_on, h.state, h.note, h.closed_at,
               o.visit_id AS closed_by, f.visit_id AS found_by
        FROM hazard h JOIN premises p USING (premises_id) LEFT JOIN outcome o ON o.outcome_id = h.closed_outcome_id
        JOIN outcome f ON f.outcome_id = h.outcome_id""",
    "doors": "SELECT code, last_entered_on FROM premises",
    "cases": """
        SELECT p.code, c.kind, c.title, c.opened_at, c.close_by
        FROM case_file c JOIN premises p USING (premises_id) WHERE c.state <> 'closed'""",
    "conflicts": "SELECT kind, visit_id, state FROM outcome_conflict",
}


async def settle_doors(conn: asyncpg.Connection, doors: int, first_day: datetime) -> None:
    """Doors with a periodic duty each, on the roster of one day; every third planned again for the next four days.

    Every sixth has a hose found aged before, and its re-check on each of those rosters.
    """
    await conn.execute(_FILL, doors)
    await conn.execute(
        """INSERT INTO duty (premises_id, kind, state, due_on, mandatory, reason, created_at)
           SELECT premises_id, 'periodic', 'open', $1::timestamptz::date, false, 'periodic', $1 FROM premises
           ORDER BY premises_id""",
        first_day,
    )
    await conn.execute(_HOSE, first_day - timedelta(days=1))
    for number, share in enumerate((1, 3, 3, 3, 3)):
        await conn.execute(_DAY, first_day + timedelta(days=number), share)


async def reports(conn: asyncpg.Connection, seed: int) -> list[dict[str, Any]]:
    """One outcome for each visit, in the order of the visits, and some for visits that nobody knows."""
    chance = random.Random(seed)
    rows = await conn.fetch(
        """SELECT visit_id, arrive_at,
                  EXISTS (SELECT FROM visit_duty vd JOIN duty d USING (duty_id)
                          WHERE vd.visit_id = v.visit_id AND d.kind = 'recheck') AS rechecks
           FROM visit v WHERE NOT EXISTS (SELECT FROM outcome o WHERE o.visit_id = v.visit_id)
           ORDER BY arrive_at, visit_id"""
    )
    known = [_report(chance, row["visit_id"], row["arrive_at"], row["rechecks"]) for row in rows]
    strangers = [_report(chance, 10_000_000 + number, rows[0]["arrive_at"], False) for number in range(len(rows) // 50)]
    return [*known, *strangers]


def _report(chance: random.Random, visit_id: int, arrive_at: datetime, rechecks: bool) -> dict[str, Any]:
    weights = {"passed": 34, "hazard_found": 20, "partial": 8, "no_access": 34, "refused": 4}
    if rechecks:
        weights["recheck_passed"] = 20
    result = chance.choices([*weights], weights=[*weights.values()])[0]
    at = arrive_at.astimezone(UTC) + timedelta(seconds=chance.randrange(60, 12 * 3600))
    item: dict[str, Any] = {
        "client_id": str(uuid.uuid5(_NAMESPACE, str(visit_id))),
        "visit_id": visit_id,
        "base_version": 1,
        "result": result,
        "at": at.isoformat(),
    }
    if result in {"hazard_found", "partial"}:
        codes = chance.sample(["leak", "hose_aged", "light_rust", "poor_flame"], k=chance.randint(1, 2))
        item["hazards"] = [{"code": code, "note": f"seen at visit {visit_id}"} for code in codes]
    if result == "partial":
        item["unseen"] = ["bedroom"]
    return item


async def end_state(conn: asyncpg.Connection) -> dict[str, list[tuple[Any, ...]]]:
    """Everything that reports change, without ids and moments of arrival, sorted."""
    found = {name: await conn.fetch(query) for name, query in _STATE.items()}
    return {name: sorted((tuple(row) for row in rows), key=repr) for name, rows in found.items()}
