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

-- ---------------------------------------------------------------------------------------------- the day changes

-- running_rosters(run_id) --
-- The rosters of a run as a change needs them.
SELECT roster_id, inspector_id, leave_at, return_at, break_start_at, break_end_at, travel_s
FROM roster WHERE run_id = $1 ORDER BY inspector_id;

-- running_visits(run_id) --
-- The visits of a run in order, whether their outcome is known, and when that was at the door.
SELECT v.visit_id, ro.inspector_id, v.position, v.premises_id, p.building_id, v.arrive_at, v.leave_at, v.travel_s,
       v.mandatory, v.reasons, v.chance, v.promised_from, v.promised_to,
       o.outcome_id IS NOT NULL AS done, o.at AS done_at
FROM visit v
JOIN roster ro ON ro.roster_id = v.roster_id
JOIN premises p ON p.premises_id = v.premises_id
LEFT JOIN outcome o ON o.visit_id = v.visit_id
WHERE ro.run_id = $1
ORDER BY ro.inspector_id, v.position;

-- duties_of_running_day(run_id, day, at, day_from, day_to) --
-- Open duties that a change of a running day has to do with: of its visits, of the doors it left out, mandatory ones that
-- are due, those promised for the day, and what else is due where somebody must go; none that is put off, also by a visit of
-- this day (unless somebody must go to that door), or promised for another day still to come.
SELECT d.duty_id, d.premises_id, d.kind, d.due_on, d.not_before, d.mandatory, d.reason, d.attempts, d.last_attempt_at,
       d.alert_id, a.rule_id AS alert_rule, a.severity AS alert_severity, d.hazard_id, h.code AS hazard_code,
       h.grade AS hazard_grade, d.promised_from, d.promised_to
FROM duty d
LEFT JOIN alert a ON a.alert_id = d.alert_id
LEFT JOIN hazard h ON h.hazard_id = d.hazard_id
CROSS JOIN LATERAL (
    SELECT d.kind IN ('periodic', 'request') AND d.due_on <= $2 AND EXISTS (
        SELECT FROM duty o WHERE o.premises_id = d.premises_id AND o.state = 'open' AND o.mandatory AND o.due_on <= $2
                             AND o.duty_id <> d.duty_id AND (o.not_before IS NULL OR o.not_before <= $2)) AS anyway
) merged
WHERE d.state = 'open'
  AND (EXISTS (SELECT FROM visit_duty vd JOIN visit v ON v.visit_id = vd.visit_id JOIN roster ro ON ro.roster_id = v.roster_id
               WHERE vd.duty_id = d.duty_id AND ro.run_id = $1
                 AND (d.not_before IS NULL OR d.not_before <= $2
                      OR NOT EXISTS (SELECT FROM outcome o WHERE o.visit_id = v.visit_id)))
       OR ((d.not_before IS NULL OR d.not_before <= $2 OR merged.anyway)
           AND (d.promised_from IS NULL OR (d.promised_from >= $4 AND d.promised_from < $5) OR d.promised_to < $3)
           AND (EXISTS (SELECT FROM omission om WHERE om.run_id = $1 AND om.premises_id = d.premises_id)
                OR (d.mandatory AND d.due_on <= $2) OR merged.anyway
                OR (d.promised_from >= $4 AND d.promised_from < $5))
           AND NOT EXISTS (
               SELECT FROM visit_duty vd
               JOIN visit v ON v.visit_id = vd.visit_id
               JOIN roster ro ON ro.roster_id = v.roster_id
               JOIN roster_run ru ON ru.run_id = ro.run_id
               WHERE vd.duty_id = d.duty_id AND ru.day < $2 AND v.leave_at > $3
                 AND ru.version = (SELECT max(version) FROM roster_run newer WHERE newer.day = ru.day)
                 AND NOT EXISTS (SELECT FROM outcome o WHERE o.visit_id = v.visit_id))))
ORDER BY d.duty_id;

-- mandatory_today(day, at, zone) --
-- How many open mandatory duties that are due today came up after its rosters were planned, and no version since explains.
SELECT count(*)
FROM (SELECT run_id, planned_at FROM roster_run WHERE day = $1 ORDER BY version DESC LIMIT 1) ru
CROSS JOIN duty d
WHERE d.state = 'open' AND d.mandatory AND d.due_on <= $1 AND (d.not_before IS NULL OR d.not_before <= $1)
  AND NOT EXISTS (
      SELECT FROM visit v JOIN roster ro ON ro.roster_id = v.roster_id
      JOIN visit_duty vd ON vd.visit_id = v.visit_id
      WHERE vd.duty_id = d.duty_id AND ro.run_id = ru.run_id
        AND NOT EXISTS (SELECT FROM outcome o WHERE o.visit_id = v.visit_id))
  AND NOT EXISTS (
      SELECT FROM omission om
      WHERE om.run_id = ru.run_id AND om.premises_id = d.premises_id AND om.mandatory AND d.created_at <= ru.planned_at)
  AND EXISTS (
      SELECT FROM inspector i
      WHERE i.active AND ($2 AT TIME ZONE $3)::time < i.shift_end);

-- day_under_way(day, at) --
-- Whether somebody has set out on the rosters of a day in force, or reported one of their visits.
SELECT EXISTS (
    SELECT FROM roster ro JOIN visit v ON v.roster_id = ro.roster_id
    WHERE ro.run_id = (SELECT run_id FROM roster_run WHERE day = $1 ORDER BY version DESC LIMIT 1)
      AND (ro.leave_at <= $2 OR EXISTS (SELECT FROM outcome o WHERE o.visit_id = v.visit_id)));

-- day_missed(day, at, zone) --
-- Whether a day has no roster although days before it had, and somebody still works on it.
SELECT NOT EXISTS (SELECT FROM roster_run WHERE day = $1) AND EXISTS (SELECT FROM roster_run WHERE day < $1)
   AND EXISTS (SELECT FROM inspector i WHERE i.active AND ($2 AT TIME ZONE $3)::time < i.shift_end);

-- move_visits(rows) --
-- Visits move on to the rosters of the next version.
UPDATE visit v
SET roster_id = r.roster_id, position = r.position, arrive_at = r.arrive_at, leave_at = r.leave_at, travel_s = r.travel_s,
    mandatory = r.mandatory, reasons = r.reasons, chance = r.chance, promised_from = r.promised_from,
    promised_to = r.promised_to
FROM jsonb_to_recordset($1)
    AS r(visit_id bigint, roster_id bigint, position smallint, premises_id int, arrive_at timestamptz, leave_at timestamptz,
         travel_s int, mandatory boolean, reasons jsonb, chance real, promised_from timestamptz, promised_to timestamptz)
WHERE v.visit_id = r.visit_id;

-- add_missing_visit_duties(visit_ids, duty_ids) --
-- Which duties each visit would satisfy, those that it did not hold yet.
INSERT INTO visit_duty (visit_id, duty_id) SELECT * FROM unnest($1::bigint[], $2::bigint[]) ON CONFLICT DO NOTHING;

-- carry_omissions(run_id, from_run_id) --
-- What an earlier version left out and the new one neither visits nor explains stays left out as it was.
INSERT INTO omission (run_id, premises_id, "constraint", reason, price, mandatory)
SELECT $1, om.premises_id, om."constraint", om.reason, om.price, om.mandatory
FROM omission om
WHERE om.run_id = $2
  AND NOT EXISTS (SELECT FROM omission n WHERE n.run_id = $1 AND n.premises_id = om.premises_id)
  AND NOT EXISTS (SELECT FROM visit v JOIN roster ro ON ro.roster_id = v.roster_id
                  WHERE ro.run_id = $1 AND v.premises_id = om.premises_id);

-- add_change(day, kind, body, from_run_id, run_id, effect, actor, at) --
-- Record what changed a day and what it led to.
INSERT INTO roster_change (day, kind, body, from_run_id, run_id, effect, actor, at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
RETURNING change_id;

-- changes_of_day(day) --
-- What changed a day, oldest first.
SELECT c.change_id, c.kind, c.body, f.version AS from_version, t.version, c.effect, c.actor, c.at
FROM roster_change c
JOIN roster_run f ON f.run_id = c.from_run_id
JOIN roster_run t ON t.run_id = c.run_id
WHERE c.day = $1
ORDER BY c.change_id;

-- add_absence(inspector_id, kind, begins_at, ends_at, note, actor, recorded_at) --
-- Record that somebody does not work for a while.
INSERT INTO absence (inspector_id, kind, begins_at, ends_at, note, actor, recorded_at)
VALUES ($1, $2, $3, $4, $5, $6, $7);

-- ---------------------------------------------------------------------------------------------- promises

-- add_promised_duty(premises_id, due_on, reason, promised_from, promised_to, at) --
-- Open an appointment with its window.
INSERT INTO duty (premises_id, kind, state, due_on, not_before, mandatory, reason, promised_from, promised_to, created_at)
VALUES ($1, 'appointment', 'open', $2, $2, false, $3, $4, $5, $6)
RETURNING duty_id;

-- set_promise(duty_id, promised_from, promised_to, due_on) --
-- The window of an open duty that somebody was told now.
UPDATE duty SET promised_from = $2, promised_to = $3, due_on = $4, not_before = $4
WHERE duty_id = $1 AND state = 'open'
RETURNING duty_id;

-- add_promise(duty_id, promised_from, promised_to, reason, actor, made_at) --
-- Keep what was promised, and why.
INSERT INTO promise (duty_id, promised_from, promised_to, reason, actor, made_at) VALUES ($1, $2, $3, $4, $5, $6);

-- cancel_appointment(duty_id, at) --
-- An appointment that is not wanted any more; returns its door and its window.
UPDATE duty SET state = 'cancelled', closed_at = $2
WHERE duty_id = $1 AND kind = 'appointment' AND state = 'open'
RETURNING premises_id, promised_from, promised_to;

-- promises_of_duty(duty_id) --
-- Every window that somebody was told for a duty, oldest first.
SELECT promised_from, promised_to, reason, actor, made_at FROM promise WHERE duty_id = $1 ORDER BY promise_id;

-- visit_of_running_day(visit_id, run_id) --
-- The inspector of a visit in this run, or nothing.
SELECT ro.inspector_id FROM visit v JOIN roster ro ON ro.roster_id = v.roster_id WHERE v.visit_id = $1 AND ro.run_id = $2;

-- ---------------------------------------------------------------------------------------------- versions

-- run_of_version(day, version) --
-- One version of a day.
SELECT run_id, version, planned_at, solver FROM roster_run WHERE day = $1 AND version = $2;

-- lines_of_run(run_id, areas) --
-- What a version said of its visits, within areas.
SELECT vv.visit_id, p.code AS premises, di.code AS area, i.code AS inspector, vv.position, vv.arrive_at, vv.leave_at,
       vv.mandatory, vv.promised_from, vv.promised_to
FROM visit_version vv
JOIN inspector i ON i.inspector_id = vv.inspector_id
JOIN premises p ON p.premises_id = vv.premises_id
JOIN building b ON b.building_id = p.building_id
JOIN compound c ON c.compound_id = b.compound_id
JOIN district di ON di.district_id = c.district_id
WHERE vv.run_id = $1 AND ($2::text[] IS NULL OR di.code = ANY($2))
ORDER BY p.code;

-- omission_reasons(run_id, premises) --
-- Why a version left these doors out.
SELECT p.code AS premises, om."constraint", om.reason
FROM omission om JOIN premises p ON p.premises_id = om.premises_id
WHERE om.run_id = $1 AND p.code = ANY($2::text[]);

-- visit_holder(visit_id) --
-- Whose visit it is and in which district its door lies.
SELECT i.code AS inspector, di.code AS area
FROM visit v
JOIN roster ro ON ro.roster_id = v.roster_id
JOIN inspector i ON i.inspector_id = ro.inspector_id
JOIN premises p ON p.premises_id = v.premises_id
JOIN building b ON b.building_id = p.building_id
JOIN compound c ON c.compound_id = b.compound_id
JOIN district di ON di.district_id = c.district_id
WHERE v.visit_id = $1;

-- duty_within(duty_id, areas) --
-- Whether a duty's door lies within areas.
SELECT d.duty_id
FROM duty d
JOIN premises p ON p.premises_id = d.premises_id
JOIN building b ON b.building_id = p.building_id
JOIN compound c ON c.compound_id = b.compound_id
JOIN district di ON di.district_id = c.district_id
WHERE d.duty_id = $1 AND ($2::text[] IS NULL OR di.code = ANY($2));

-- area_of_inspector(code) --
-- The area of an inspector.
SELECT area FROM inspector WHERE code = $1;

-- ---------------------------------------------------------------------------------------------- why a door

-- next_planned_day(from_day) --
-- The first day from a day on that has rosters and is not over.
SELECT min(day) FROM roster_run WHERE day >= $1;

-- visits_in_force(premises_id, from_day) --
-- Visits to a door that are in force from a day on, with their outcomes.
SELECT v.visit_id, ru.day, i.code AS inspector, v.arrive_at, v.leave_at, v.chance, v.reasons, o.result
FROM visit v
JOIN roster ro ON ro.roster_id = v.roster_id
JOIN roster_run ru ON ru.run_id = ro.run_id
JOIN inspector i ON i.inspector_id = ro.inspector_id
LEFT JOIN outcome o ON o.visit_id = v.visit_id
WHERE v.premises_id = $1 AND ru.day >= $2
  AND ru.version = (SELECT max(version) FROM roster_run newer WHERE newer.day = ru.day)
ORDER BY ru.day, v.arrive_at;

-- omission_of_door(run_id, premises_id) --
-- Why a run left a door out.
SELECT "constraint", reason, price FROM omission WHERE run_id = $1 AND premises_id = $2;

-- open_duties_of_door(premises_id) --
-- What is open for a door, soonest due first.
SELECT duty_id, kind, state, due_on, not_before, mandatory, reason, attempts, last_attempt_at, alert_id, hazard_id,
       promised_from, promised_to, created_at, closed_at, outcome_id
FROM duty WHERE premises_id = $1 AND state = 'open' ORDER BY mandatory DESC, due_on, duty_id;

-- areas_above(code) --
-- The code of a district and of every district above it.
WITH RECURSIVE above AS (
    SELECT district_id, code, parent_id FROM district WHERE code = $1
    UNION
    SELECT d.district_id, d.code, d.parent_id FROM district d JOIN above a ON d.district_id = a.parent_id
)
SELECT array_agg(code ORDER BY code) FROM above;

-- able_for_door(premises_id) --
-- The district and class of a door, and the shifts of those who may visit it.
WITH RECURSIVE door AS (
    SELECT p.premises_id, p.user_class, di.code AS area, di.district_id
    FROM premises p
    JOIN building b ON b.building_id = p.building_id
    JOIN compound c ON c.compound_id = b.compound_id
    JOIN district di ON di.district_id = c.district_id
    WHERE p.premises_id = $1
), above AS (
    SELECT di.code, di.parent_id FROM door d JOIN district di ON di.district_id = d.district_id
    UNION
    SELECT up.code, up.parent_id FROM above a JOIN district up ON up.district_id = a.parent_id
)
SELECT i.inspector_id, i.shift_start, i.shift_end, d.area
FROM door d
JOIN inspector i ON i.active AND i.area IN (SELECT code FROM above) AND d.user_class = ANY(i.skills);
