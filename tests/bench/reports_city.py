"""A city's inspections of a year and the quarter before it, put into a database by SQL.

Every working day is planned three times, so each visit stands in three versions; nine of ten visits have an outcome.
Inspectors visit doors of their own district, in every compound of it each day.
"""

from dataclasses import dataclass

import asyncpg

VERSIONS = 3
# Working days of 2026, and of the last quarter of 2025 before them: 250 and a quarter as many.
_PLACES = """
    INSERT INTO district (code, name) SELECT 'S' || n, 'District ' || n FROM generate_series(1, 40) n;
    INSERT INTO compound (code, name, district_id, latitude, longitude)
    SELECT 'C' || district_id || '-' || n, 'Compound', district_id, 31.8, 117.2 FROM district, generate_series(1, 10) n;
    INSERT INTO building (code, name, compound_id, latitude, longitude)
    SELECT 'B' || compound_id || '-' || n, 'Block', compound_id, 31.8, 117.2 FROM compound, generate_series(1, 60) n;
    INSERT INTO inspector (code, name, area, start_latitude, start_longitude, shift_start, shift_end)
    SELECT 'I-' || n, 'Inspector', 'S' || 1 + n % 40, 31.8, 117.2, '08:30', '16:30' FROM generate_series(0, 199) n;
    CREATE TEMP TABLE working_day AS
    SELECT row_number() OVER (ORDER BY d) - 1 AS number, d::date AS day
    FROM generate_series(date '2025-10-09', date '2026-12-31', interval '1 day') d WHERE extract(isodow FROM d) < 6
    ORDER BY d DESC LIMIT 312;
    CREATE TEMP TABLE planned_visit (n bigint, day date, premises_id int, inspector_id int, position int)"""
_DOORS = """
    INSERT INTO premises (code, building_id, unit, address, user_class)
    SELECT 'P' || n, 1 + (n / 80) % 24000, n::text, 'Garden Road ' || n,
           CASE WHEN n % 33 = 0 THEN 'commercial' ELSE 'household' END
    FROM generate_series(1, $1::int) n"""
_PLANNED = """
    INSERT INTO planned_visit
    SELECT n, w.day, p.premises_id, c.district_id + 40 * (n / 40 % 5)::int, 1 + n % 40
    FROM generate_series(0, $1::bigint * 5 / 4 - 1) n
    JOIN working_day w ON w.number = (SELECT min(number) FROM working_day) + n * 312 / ($1::bigint * 5 / 4)
    JOIN premises p ON p.premises_id = 1 + (n * 7919) % $1::bigint
    JOIN building b ON b.building_id = p.building_id
    JOIN compound c ON c.compound_id = b.compound_id"""
_RUNS = f"""
    INSERT INTO roster_run (day, version, planned_at, seed, solver, figures)
    SELECT day, v, day - interval '5 hours', 1, 'bench', '{{}}' FROM working_day, generate_series(1, {VERSIONS}) v;
    INSERT INTO roster (run_id, inspector_id, leave_at, return_at, travel_s)
    SELECT run_id, inspector_id, day + interval '1 hour', day + interval '8 hours', 3600 FROM roster_run, inspector
    WHERE version = {VERSIONS};
    INSERT INTO visit (visit_id, roster_id, position, premises_id, arrive_at, leave_at, travel_s, mandatory, reasons)
    OVERRIDING SYSTEM VALUE
    SELECT 1 + p.n, ro.roster_id, row_number() OVER (PARTITION BY ro.roster_id), p.premises_id,
           p.day + make_interval(mins => 60 + 10 * p.position), p.day + make_interval(mins => 68 + 10 * p.position), 60,
           false, '["periodic inspection"]'
    FROM planned_visit p JOIN roster_run ru ON ru.day = p.day AND ru.version = {VERSIONS}
    JOIN roster ro ON ro.run_id = ru.run_id AND ro.inspector_id = p.inspector_id;
    INSERT INTO visit_version (run_id, visit_id, inspector_id, position, premises_id, arrive_at, leave_at, mandatory)
    SELECT ru.run_id, v.visit_id, p.inspector_id, v.position, v.premises_id, v.arrive_at, v.leave_at, false
    FROM planned_visit p JOIN visit v ON v.visit_id = 1 + p.n JOIN roster_run ru ON ru.day = p.day"""  # noqa: S608 - a number of ours
_HAPPENED = """
    INSERT INTO outcome (outcome_id, client_id, visit_id, premises_id, inspector_id, result, at, received_at, body,
        actor)
    OVERRIDING SYSTEM VALUE
    SELECT v.visit_id, gen_random_uuid(), v.visit_id, v.premises_id, p.inspector_id,
           CASE WHEN n % 20 < 10 THEN 'passed' WHEN n % 20 = 10 THEN 'hazard_found' WHEN n % 20 = 11 THEN 'partial'
                WHEN n % 20 = 12 THEN 'refused' ELSE 'no_access' END,
           v.arrive_at, v.leave_at, jsonb_build_object('answers', repeat('x', 600)), 'bench'
    FROM planned_visit p JOIN visit v ON v.visit_id = 1 + p.n WHERE n % 10 <> 9;
    INSERT INTO duty (premises_id, kind, state, due_on, mandatory, reason, created_at, outcome_id, closed_at)
    SELECT DISTINCT ON (p.premises_id, p.day >= '2026-01-01') p.premises_id, 'periodic',
           CASE WHEN o.entered THEN 'done' ELSE 'open' END, p.day + (p.n % 60)::int - 30, false,
           'periodic inspection', p.day - interval '1 year', CASE WHEN o.entered THEN o.outcome_id END,
           CASE WHEN o.entered THEN o.at END
    FROM planned_visit p LEFT JOIN outcome o ON o.visit_id = 1 + p.n
    WHERE o.entered OR p.day >= '2026-01-01'
    ORDER BY p.premises_id, p.day >= '2026-01-01', o.entered DESC NULLS LAST;
    INSERT INTO hazard (premises_id, outcome_id, code, grade, found_at, due_on, state, notified_at, closed_at)
    SELECT premises_id, outcome_id, CASE WHEN outcome_id % 3 = 0 THEN 'leak' ELSE 'hose_aged' END,
           CASE WHEN outcome_id % 3 = 0 THEN 1 ELSE 2 END, at, at::date + 7,
           CASE WHEN outcome_id % 4 = 0 THEN 'open' ELSE 'closed' END, at,
           CASE WHEN outcome_id % 4 <> 0 THEN at + interval '5 days' END
    FROM outcome WHERE result = 'hazard_found'"""

# Rows were put in with triggers off: what these would have marked.
_MARKED = """
    INSERT INTO count_mark (kind, day) SELECT DISTINCT 'planned', day FROM roster_run;
    INSERT INTO count_mark (kind, day) SELECT DISTINCT 'visited', at::date + n FROM outcome, generate_series(-1, 1) n;
    INSERT INTO count_mark (kind, day) SELECT DISTINCT 'due', due_on FROM duty"""


@dataclass(frozen=True)
class Filled:
    """What is in the database."""

    doors: int
    visits: int
    versions: int
    outcomes: int


async def fill(superuser_url: str, visits_a_year: int) -> Filled:
    """Fill an empty migrated database; foreign keys hold by the way it is made, so they are not checked one by one."""
    conn = await asyncpg.connect(superuser_url, command_timeout=3600)
    try:
        await conn.execute("SET session_replication_role = replica; SET work_mem = '256MB'; SET timezone = 'UTC'")
        await conn.execute(_PLACES)
        await conn.execute(_DOORS, visits_a_year)
        await conn.execute(_PLANNED, visits_a_year)
        await conn.execute("ANALYZE planned_visit")
        await conn.execute(_RUNS)
        await conn.execute(_HAPPENED)
        await conn.execute(_MARKED)
        await conn.execute("DROP TABLE planned_visit, working_day")
        await conn.execute("VACUUM ANALYZE")
        counts = [await conn.fetchval(f"SELECT count(*) FROM {table}") for table in _COUNTED]  # noqa: S608 - our names
        return Filled(*counts)
    finally:
        await conn.close()


_COUNTED = ("premises", "visit", "visit_version", "outcome")
