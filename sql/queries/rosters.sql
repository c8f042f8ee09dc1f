-- Statements of the package `inspections` about rosters: chances to get in, promises, absences, the changing day, versions.

-- access_counts(since, known_at, zone) --
-- Visits since a moment, as known at another, and how many got in, by user class, area, kind of day, local hour, and attempts in a row that
-- failed before.
WITH ordered AS (
    SELECT o.premises_id, o.at, o.entered,
           count(*) FILTER (WHERE o.entered) OVER (
               PARTITION BY o.premises_id ORDER BY o.at, o.outcome_id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
           ) AS entries_before, o.outcome_id
    FROM outcome o
    WHERE o.at >= $1 AND o.received_at <= $2
), attempted AS (
    SELECT premises_id, entered, at AT TIME ZONE $3 AS local_at,
           row_number() OVER (PARTITION BY premises_id, entries_before ORDER BY at, outcome_id) - 1 AS attempts
    FROM ordered
)
SELECT p.user_class, di.code AS area, extract(isodow FROM t.local_at) >= 6 AS weekend,
       extract(hour FROM t.local_at)::int AS hour, least(t.attempts, 3)::int AS attempts, count(*)::int AS tried,
       (count(*) FILTER (WHERE t.entered))::int AS entered
FROM attempted t
JOIN premises p ON p.premises_id = t.premises_id
JOIN building b ON b.building_id = p.building_id
JOIN compound c ON c.compound_id = b.compound_id
JOIN district di ON di.district_id = c.district_id
GROUP BY 1, 2, 3, 4, 5;

-- absences(from_at, to_at) --
-- Who is away at some time between two moments.
SELECT inspector_id, begins_at, ends_at FROM absence WHERE begins_at < $2 AND ends_at > $1 ORDER BY inspector_id, begins_at;

-- add_visit_versions(run_id) --
-- Keep what this run says of its visits.
INSERT INTO visit_version (run_id, visit_id, inspector_id, position, premises_id, arrive_at, leave_at, mandatory,
                           promised_from, promised_to)
SELECT ro.run_id, v.visit_id, ro.inspector_id, v.position, v.premises_id, v.arrive_at, v.leave_at, v.mandatory,
       v.promised_from, v.promised_to
FROM visit v JOIN roster ro ON ro.roster_id = v.roster_id
WHERE ro.run_id = $1;
