-- Statements of the package `inspections`. Format: see sql/__init__.py.
--
-- ---------------------------------------------------------------------------------------------- registry

-- district_tree() --
-- Every district with its parent's code.
SELECT d.code, p.code AS parent FROM district d LEFT JOIN district p ON p.district_id = d.parent_id;

-- save_district(code, name, parent) --
-- Add or change one district; returns whether it was added, nothing when it was the same.
INSERT INTO district (code, name, parent_id)
VALUES ($1, $2, (SELECT district_id FROM district WHERE code = $3::text))
ON CONFLICT (code) DO UPDATE SET name = excluded.name, parent_id = excluded.parent_id
WHERE (district.name, district.parent_id) IS DISTINCT FROM (excluded.name, excluded.parent_id)
RETURNING xmax = 0 AS added;

-- known_districts(codes) --
-- Which of these district codes exist.
SELECT code FROM district WHERE code = ANY($1::text[]);

-- known_compounds(codes) --
-- Which of these compound codes exist.
SELECT code FROM compound WHERE code = ANY($1::text[]);

-- known_buildings(codes) --
-- Which of these building codes exist.
SELECT code FROM building WHERE code = ANY($1::text[]);

-- upsert_compounds(rows) --
-- Add or change compounds whose districts exist; one row for each that was added or changed.
INSERT INTO compound (code, name, district_id, latitude, longitude)
SELECT r.code, r.name, d.district_id, r.latitude, r.longitude
FROM jsonb_to_recordset($1) AS r(code text, name text, district text, latitude float8, longitude float8)
JOIN district d ON d.code = r.district
ON CONFLICT (code) DO UPDATE
SET name = excluded.name, district_id = excluded.district_id, latitude = excluded.latitude, longitude = excluded.longitude
WHERE (compound.name, compound.district_id, compound.latitude, compound.longitude)
    IS DISTINCT FROM (excluded.name, excluded.district_id, excluded.latitude, excluded.longitude)
RETURNING xmax = 0 AS added;

-- upsert_buildings(rows) --
-- Add or change buildings whose compounds exist; one row for each that was added or changed.
INSERT INTO building (code, name, compound_id, latitude, longitude, built_year, floors)
SELECT r.code, r.name, c.compound_id, r.latitude, r.longitude, r.built_year, r.floors
FROM jsonb_to_recordset($1)
    AS r(code text, name text, compound text, latitude float8, longitude float8, built_year smallint, floors smallint)
JOIN compound c ON c.code = r.compound
ON CONFLICT (code) DO UPDATE
SET name = excluded.name, compound_id = excluded.compound_id, latitude = excluded.latitude,
    longitude = excluded.longitude, built_year = excluded.built_year, floors = excluded.floors
WHERE (building.name, building.compound_id, building.latitude, building.longitude, building.built_year, building.floors)
    IS DISTINCT FROM (excluded.name, excluded.compound_id, excluded.latitude, excluded.longitude, excluded.built_year,
                      excluded.floors)
RETURNING xmax = 0 AS added;

-- upsert_premises(rows) --
-- Add or change premises whose buildings exist; a later inspection we know of is never overwritten by an older one.
INSERT INTO premises (code, building_id, unit, floor, address, user_class, tenure, elderly, special_care, appliances,
                      hose_installed_on, pipe_installed_on, last_entered_on, contact_name, contact_phone)
SELECT r.code, b.building_id, r.unit, r.floor, r.address, r.user_class, r.tenure, r.elderly, r.special_care,
       r.appliances, r.hose_installed_on, r.pipe_installed_on, r.last_entered_on, r.contact_name, r.contact_phone
FROM jsonb_to_recordset($1)
    AS r(code text, building text, unit text, floor smallint, address text, user_class text, tenure text,
         elderly boolean, special_care boolean, appliances text[], hose_installed_on date, pipe_installed_on date,
         last_entered_on date, contact_name text, contact_phone text)
JOIN building b ON b.code = r.building
ON CONFLICT (code) DO UPDATE
SET building_id = excluded.building_id, unit = excluded.unit, floor = excluded.floor, address = excluded.address,
    user_class = excluded.user_class, tenure = excluded.tenure, elderly = excluded.elderly,
    special_care = excluded.special_care, appliances = excluded.appliances,
    hose_installed_on = excluded.hose_installed_on, pipe_installed_on = excluded.pipe_installed_on,
    last_entered_on = greatest(premises.last_entered_on, excluded.last_entered_on),
    contact_name = excluded.contact_name, contact_phone = excluded.contact_phone
WHERE (premises.building_id, premises.unit, premises.floor, premises.address, premises.user_class, premises.tenure,
       premises.elderly, premises.special_care, premises.appliances, premises.hose_installed_on,
       premises.pipe_installed_on, premises.last_entered_on, premises.contact_name, premises.contact_phone)
    IS DISTINCT FROM
      (excluded.building_id, excluded.unit, excluded.floor, excluded.address, excluded.user_class, excluded.tenure,
       excluded.elderly, excluded.special_care, excluded.appliances, excluded.hose_installed_on,
       excluded.pipe_installed_on, greatest(premises.last_entered_on, excluded.last_entered_on),
       excluded.contact_name, excluded.contact_phone)
RETURNING xmax = 0 AS added;

-- upsert_inspectors(rows) --
-- Add or change inspectors whose area exists; one row for each that was added or changed.
INSERT INTO inspector (code, name, area, skills, start_latitude, start_longitude, shift_start, shift_end,
                       break_minutes, break_after, break_before, station, end_latitude, end_longitude)
SELECT r.code, r.name, r.area, r.skills, r.start_latitude, r.start_longitude, r.shift_start, r.shift_end,
       r.break_minutes, r.break_after, r.break_before, r.station, r.end_latitude, r.end_longitude
FROM jsonb_to_recordset($1)
    AS r(code text, name text, area text, skills text[], start_latitude float8, start_longitude float8,
         shift_start time, shift_end time, break_minutes smallint, break_after time, break_before time,
         station text, end_latitude float8, end_longitude float8)
JOIN district d ON d.code = r.area
ON CONFLICT (code) DO UPDATE
SET name = excluded.name, area = excluded.area, skills = excluded.skills, start_latitude = excluded.start_latitude,
    start_longitude = excluded.start_longitude, shift_start = excluded.shift_start, shift_end = excluded.shift_end,
    break_minutes = excluded.break_minutes, break_after = excluded.break_after, break_before = excluded.break_before,
    station = excluded.station, end_latitude = excluded.end_latitude, end_longitude = excluded.end_longitude
WHERE (inspector.name, inspector.area, inspector.skills, inspector.start_latitude, inspector.start_longitude,
       inspector.shift_start, inspector.shift_end, inspector.break_minutes, inspector.break_after,
       inspector.break_before, inspector.station, inspector.end_latitude, inspector.end_longitude)
    IS DISTINCT FROM
      (excluded.name, excluded.area, excluded.skills, excluded.start_latitude, excluded.start_longitude,
       excluded.shift_start, excluded.shift_end, excluded.break_minutes, excluded.break_after, excluded.break_before,
       excluded.station, excluded.end_latitude, excluded.end_longitude)
RETURNING xmax = 0 AS added;

-- ---------------------------------------------------------------------------------------------- duties

-- lock_duties() --
-- One process keeps the duties in step at a time, until its transaction ends.
SELECT pg_advisory_xact_lock(hashtext('gaswarden.duties'));

-- premises_without_periodic(user_class, areas, risk_group, built_by, entered_before, limit_rows) --
-- Doors of a class, of districts (NULL: all; those below included) and of a risk group (NULL: all), last entered before a
-- day (or never), that have no open periodic duty.
WITH RECURSIVE covered AS (
    SELECT d.district_id FROM district d WHERE $2::text[] IS NULL OR d.code = ANY($2)
    UNION
    SELECT d.district_id FROM covered c JOIN district d ON d.parent_id = c.district_id
)
SELECT p.premises_id, p.last_entered_on
FROM premises p
JOIN building b ON b.building_id = p.building_id
JOIN compound c ON c.compound_id = b.compound_id
WHERE p.user_class = $1 AND c.district_id IN (SELECT district_id FROM covered)
  AND CASE $3::text
          WHEN 'old_building' THEN b.built_year <= $4::int
          WHEN 'rented' THEN p.tenure = 'rented'
          WHEN 'vacant' THEN p.tenure = 'vacant'
          WHEN 'elderly_alone' THEN p.elderly
          WHEN 'special_care' THEN p.special_care
          ELSE $3 IS NULL
      END
  AND (p.last_entered_on IS NULL OR p.last_entered_on <= $5)
  AND NOT EXISTS (SELECT FROM duty d WHERE d.premises_id = p.premises_id AND d.kind = 'periodic' AND d.state = 'open')
ORDER BY p.premises_id
LIMIT $6;

-- alerts_awaiting_duty(limit_rows) --
-- Open alerts that want a visit and wait for none: they never had a duty, or were seen again after the visit that it led
-- to and no re-check is open. An alert of a building is checked at the door of the building's newest open alert, or its
-- first door.
SELECT a.alert_id, a.severity, a.visit, a.late, a.sentence,
       coalesce(a.premises_id,
                (SELECT o.premises_id FROM alert o JOIN premises p ON p.premises_id = o.premises_id
                 WHERE p.building_id = a.building_id AND o.state NOT IN ('verified', 'dismissed')
                 ORDER BY o.raised_at DESC, o.alert_id DESC LIMIT 1),
                (SELECT min(p.premises_id) FROM premises p WHERE p.building_id = a.building_id)) AS premises_id
FROM alert a
WHERE a.state NOT IN ('verified', 'dismissed') AND a.visit <> 'none'
  AND (a.premises_id IS NOT NULL OR a.building_id IS NOT NULL)
  AND (NOT a.late OR a.severity IN ('critical', 'major'))
  AND NOT EXISTS (SELECT FROM duty d WHERE d.alert_id = a.alert_id AND d.state = 'open')
  AND NOT EXISTS (
      SELECT FROM duty d JOIN hazard h ON h.hazard_id = d.hazard_id
      JOIN duty first ON first.outcome_id = h.outcome_id AND first.alert_id = a.alert_id
      WHERE d.kind = 'recheck' AND d.state = 'open')
  AND (NOT EXISTS (SELECT FROM duty d WHERE d.alert_id = a.alert_id)
       OR a.last_at > (SELECT max(o.at) FROM duty d JOIN outcome o ON o.outcome_id = d.outcome_id
                       WHERE d.alert_id = a.alert_id))
ORDER BY a.alert_id
LIMIT $1;

-- open_duties(rows, at) --
-- Open these duties; one that is already there (same alert, hazard, or periodic of the door) is left alone.
INSERT INTO duty (premises_id, kind, state, due_on, not_before, mandatory, reason, alert_id, hazard_id, created_at)
SELECT r.premises_id, r.kind, 'open', r.due_on, r.not_before, r.mandatory, r.reason, r.alert_id, r.hazard_id, $2
FROM jsonb_to_recordset($1)
    AS r(premises_id int, kind text, due_on date, not_before date, mandatory boolean, reason text, alert_id bigint,
         hazard_id bigint)
ON CONFLICT DO NOTHING
RETURNING duty_id;

-- cancel_moot_duties(at) --
-- Duties of alerts that were closed otherwise need no visit any more.
UPDATE duty d SET state = 'cancelled', closed_at = $1
FROM alert a
WHERE a.alert_id = d.alert_id AND d.alert_id IS NOT NULL AND d.state = 'open' AND d.kind = 'alert' AND a.state IN ('verified', 'dismissed')
RETURNING d.duty_id;

-- harden_duties(today) --
-- Duties of alerts that have become mandatory since; what was put off for an absent resident is put off no more.
UPDATE duty d SET mandatory = true, due_on = least(d.due_on, $1), not_before = NULL
FROM alert a
WHERE a.alert_id = d.alert_id AND d.alert_id IS NOT NULL AND d.state = 'open' AND d.kind = 'alert'
  AND NOT d.mandatory AND a.visit = 'mandatory' AND NOT a.late
RETURNING d.duty_id;

-- ---------------------------------------------------------------------------------------------- planning

-- lock_planning(day) --
-- One planning of a day at a time over all processes, until the transaction ends.
SELECT pg_advisory_xact_lock(hashtext('gaswarden.planning'), $1::date - date '2000-01-01');

-- newest_run(day) --
-- The roster run in force on a day.
SELECT run_id, version, planned_at, seed, solver, figures FROM roster_run WHERE day = $1 ORDER BY version DESC LIMIT 1;

-- mandatory_unplanned(day, at) --
-- How many open mandatory duties that a visit on a day could satisfy came up after its rosters were planned: no visit of
-- them still to be made is for this duty, no omission of a mandatory door explains it, and it is not on a visit still ahead in the roster
-- of an earlier day.
SELECT count(*)
FROM (SELECT run_id, planned_at FROM roster_run WHERE day = $1 ORDER BY version DESC LIMIT 1) ru
CROSS JOIN duty d
WHERE d.state = 'open' AND d.mandatory AND (d.not_before IS NULL OR d.not_before <= $1)
  AND NOT EXISTS (
      SELECT FROM visit_duty vd
      JOIN visit v ON v.visit_id = vd.visit_id
      JOIN roster ro ON ro.roster_id = v.roster_id
      WHERE vd.duty_id = d.duty_id AND ro.run_id = ru.run_id
        AND NOT EXISTS (SELECT FROM outcome o WHERE o.visit_id = v.visit_id))
  AND NOT EXISTS (
      SELECT FROM omission om
      WHERE om.run_id = ru.run_id AND om.premises_id = d.premises_id AND om.mandatory
        AND d.created_at <= ru.planned_at)
  AND NOT EXISTS (
      SELECT FROM visit_duty vd
      JOIN visit v ON v.visit_id = vd.visit_id
      JOIN roster ro ON ro.roster_id = v.roster_id
      JOIN roster_run earlier ON earlier.run_id = ro.run_id
      WHERE vd.duty_id = d.duty_id AND earlier.day < $1 AND v.leave_at > $2
        AND earlier.version = (SELECT max(version) FROM roster_run newer WHERE newer.day = earlier.day)
        AND NOT EXISTS (SELECT FROM outcome o WHERE o.visit_id = v.visit_id));

-- working_inspectors(everybody) --
-- Active inspectors (or everybody), each with the codes of the districts covered, children included. See absences for who is away.
WITH RECURSIVE covered AS (
    SELECT i.inspector_id, d.district_id, d.code
    FROM inspector i JOIN district d ON d.code = i.area
    WHERE i.active OR $1
    UNION
    SELECT c.inspector_id, d.district_id, d.code
    FROM covered c JOIN district d ON d.parent_id = c.district_id
)
SELECT i.inspector_id, i.code, i.skills, i.start_latitude, i.start_longitude, i.shift_start, i.shift_end,
       i.break_minutes, i.break_after, i.break_before, coalesce(i.station, i.area) AS station, i.end_latitude,
       i.end_longitude, array_agg(c.code ORDER BY c.code) AS areas
FROM inspector i JOIN covered c USING (inspector_id)
GROUP BY i.inspector_id
ORDER BY i.code;

-- plannable_duties(day, due_by, at, limit_rows, day_from, day_to) --
-- Open duties that a visit on this day could satisfy: due by `due_by` or mandatory, not put off (unless somebody goes to that
-- door anyway), not promised for another day still to come (nor is anything else of that door due before it, unless
-- mandatory), and not on a visit still ahead in the roster in force of an earlier day. Those somebody waits for first, then
-- the oldest due.
SELECT d.duty_id, d.premises_id, d.kind, d.due_on, d.not_before, d.mandatory, d.reason, d.attempts, d.last_attempt_at,
       d.alert_id, a.rule_id AS alert_rule, a.severity AS alert_severity, d.hazard_id, h.code AS hazard_code,
       h.grade AS hazard_grade, d.promised_from, d.promised_to
FROM duty d
LEFT JOIN alert a ON a.alert_id = d.alert_id
LEFT JOIN hazard h ON h.hazard_id = d.hazard_id
WHERE d.state = 'open' AND (d.due_on <= $2 OR d.mandatory)
  AND (d.not_before IS NULL OR d.not_before <= $1
       OR d.kind IN ('periodic', 'request') AND EXISTS (
           SELECT FROM duty o
           WHERE o.premises_id = d.premises_id AND o.state = 'open' AND o.duty_id <> d.duty_id
             AND (o.due_on <= $2 OR o.mandatory) AND (o.not_before IS NULL OR o.not_before <= $1)
             AND (o.promised_from IS NULL OR (o.promised_from >= $5 AND o.promised_from < $6))))
  AND (d.promised_from IS NULL OR (d.promised_from >= $5 AND d.promised_from < $6) OR d.promised_to < $3)
  AND (d.mandatory OR NOT EXISTS (
      SELECT FROM duty p
      WHERE p.premises_id = d.premises_id AND p.state = 'open' AND p.promised_from >= $6 AND p.promised_to >= $3))
  AND NOT EXISTS (
      SELECT FROM visit_duty vd
      JOIN visit v ON v.visit_id = vd.visit_id
      JOIN roster ro ON ro.roster_id = v.roster_id
      JOIN roster_run ru ON ru.run_id = ro.run_id
      WHERE vd.duty_id = d.duty_id AND ru.day < $1 AND v.leave_at > $3
        AND ru.version = (SELECT max(version) FROM roster_run newer WHERE newer.day = ru.day)
        AND NOT EXISTS (SELECT FROM outcome o WHERE o.visit_id = v.visit_id))
ORDER BY d.mandatory DESC, d.kind = 'periodic', d.due_on, d.duty_id
LIMIT $4;

-- doors(premises_ids) --
-- These premises as planning sees them.
SELECT p.premises_id, p.code, p.building_id, b.compound_id, di.code AS area, b.latitude, b.longitude, p.user_class,
       p.unit, p.floor, b.built_year, p.tenure, p.elderly, p.special_care, p.hose_installed_on, p.last_entered_on
FROM premises p
JOIN building b ON b.building_id = p.building_id
JOIN compound c ON c.compound_id = b.compound_id
JOIN district di ON di.district_id = c.district_id
WHERE p.premises_id = ANY($1::int[]);

-- add_run(day, planned_at, seed, solver, figures) --
-- The next version of a day's rosters.
INSERT INTO roster_run (day, version, planned_at, seed, solver, figures)
SELECT $1, coalesce(max(version), 0) + 1, $2, $3, $4, $5 FROM roster_run WHERE day = $1
RETURNING run_id, version;

-- add_rosters(run_id, rows) --
-- The rosters of a run; returns the id of each inspector's.
INSERT INTO roster (run_id, inspector_id, leave_at, return_at, break_start_at, break_end_at, travel_s)
SELECT $1, r.inspector_id, r.leave_at, r.return_at, r.break_start_at, r.break_end_at, r.travel_s
FROM jsonb_to_recordset($2)
    AS r(inspector_id int, leave_at timestamptz, return_at timestamptz, break_start_at timestamptz,
         break_end_at timestamptz, travel_s int)
RETURNING roster_id, inspector_id;

-- add_visits(rows) --
-- The visits of rosters; returns the id of each premises' visit.
INSERT INTO visit (roster_id, position, premises_id, arrive_at, leave_at, travel_s, mandatory, reasons, chance,
                   promised_from, promised_to)
SELECT r.roster_id, r.position, r.premises_id, r.arrive_at, r.leave_at, r.travel_s, r.mandatory, r.reasons, r.chance,
       r.promised_from, r.promised_to
FROM jsonb_to_recordset($1)
    AS r(roster_id bigint, position smallint, premises_id int, arrive_at timestamptz, leave_at timestamptz,
         travel_s int, mandatory boolean, reasons jsonb, chance real, promised_from timestamptz,
         promised_to timestamptz)
RETURNING visit_id, premises_id;

-- add_visit_duties(visit_ids, duty_ids) --
-- Which duties each visit would satisfy.
INSERT INTO visit_duty (visit_id, duty_id) SELECT * FROM unnest($1::bigint[], $2::bigint[]);

-- add_omissions(run_id, rows) --
-- The doors left out of a run, with constraint, reason and price.
INSERT INTO omission (run_id, premises_id, "constraint", reason, price, mandatory)
SELECT $1, r.premises_id, r.binding, r.reason, r.price, r.mandatory
FROM jsonb_to_recordset($2) AS r(premises_id int, binding text, reason text, price jsonb, mandatory boolean);

-- ---------------------------------------------------------------------------------------------- outcomes

-- lock_visit(visit_id) --
-- A visit with what its outcome needs to know, planned when its first version was; its door is locked until the transaction ends.
SELECT v.visit_id, v.premises_id, p.code AS premises, p.user_class, di.code AS area, i.inspector_id,
       i.code AS inspector, ru.day,
       (SELECT min(first.planned_at) FROM visit_version vv JOIN roster_run first ON first.run_id = vv.run_id
        WHERE vv.visit_id = v.visit_id) AS planned_at, b.built_year, p.tenure, p.elderly, p.special_care,
       ARRAY(WITH RECURSIVE above AS (
                 SELECT di.code, di.parent_id
                 UNION
                 SELECT up.code, up.parent_id FROM above a JOIN district up ON up.district_id = a.parent_id)
             SELECT code FROM above) AS areas_above
FROM visit v
JOIN roster ro ON ro.roster_id = v.roster_id
JOIN roster_run ru ON ru.run_id = ro.run_id
JOIN inspector i ON i.inspector_id = ro.inspector_id
JOIN premises p ON p.premises_id = v.premises_id
JOIN building b ON b.building_id = p.building_id
JOIN compound c ON c.compound_id = b.compound_id
JOIN district di ON di.district_id = c.district_id
WHERE v.visit_id = $1
FOR NO KEY UPDATE OF p;

-- outcome_of_client(client_id) --
-- The outcome that carries this client id.
SELECT outcome_id, visit_id, body FROM outcome WHERE client_id = $1;

-- outcome_of_visit(visit_id) --
-- The outcome of a visit, if it was reported.
SELECT outcome_id FROM outcome WHERE visit_id = $1;

-- duties_of_visit(visit_id, entered_at) --
-- The duties of a visit that are still open, and those done by a later visit only; `entered_at`: NULL when nobody got in.
SELECT d.duty_id, d.premises_id, d.kind, d.due_on, d.not_before, d.mandatory, d.reason, d.attempts, d.last_attempt_at,
       d.alert_id, a.rule_id AS alert_rule, a.severity AS alert_severity, d.hazard_id, h.code AS hazard_code,
       h.grade AS hazard_grade
FROM visit_duty vd
JOIN duty d ON d.duty_id = vd.duty_id
LEFT JOIN alert a ON a.alert_id = d.alert_id
LEFT JOIN hazard h ON h.hazard_id = d.hazard_id
WHERE vd.visit_id = $1
  AND (d.state = 'open'
       OR d.state = 'done' AND (SELECT (o.at, o.visit_id) > ($2, $1) FROM outcome o WHERE o.outcome_id = d.outcome_id))
ORDER BY d.duty_id
FOR UPDATE OF d;

-- finish_duties(duty_ids, outcome_id, at) --
-- These duties are done by this outcome, also those that a later visit, reported before, had done.
UPDATE duty SET state = 'done', closed_at = $3, outcome_id = $2 WHERE duty_id = ANY($1::bigint[]) AND state <> 'cancelled';

-- mark_entered(premises_id, entered_on) --
-- The last safety inspection that got in.
UPDATE premises SET last_entered_on = greatest(last_entered_on, $2::date) WHERE premises_id = $1;

-- announce_outcome(outcome_id) --
-- Tell whoever listens, when the transaction commits.
SELECT pg_notify('gaswarden_outcome', $1::bigint::text);

-- outcome_receipt(outcome_id) --
-- What an outcome did, in facts that do not change afterwards.
SELECT o.outcome_id, o.client_id, o.visit_id, p.code AS premises, o.result, o.entered, o.at, o.received_at,
       ARRAY(SELECT d.duty_id FROM duty d WHERE d.outcome_id = o.outcome_id ORDER BY 1) AS duties_done,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('hazard_id', h.hazard_id, 'code', h.code, 'grade', h.grade,
                                                     'due_on', h.due_on) ORDER BY h.hazard_id), '[]')
        FROM hazard h WHERE h.outcome_id = o.outcome_id) AS hazards,
       ARRAY(SELECT h.hazard_id FROM hazard h WHERE h.closed_outcome_id = o.outcome_id ORDER BY 1) AS hazards_closed,
       o.checklist_version, o.unseen, o.follow_up
FROM outcome o JOIN premises p ON p.premises_id = o.premises_id
WHERE o.outcome_id = $1;

-- ---------------------------------------------------------------------------------------------- views for people

-- rosters_of_run(run_id, inspector, areas) --
-- Rosters of a run: of one inspector (by code) or all, within areas (NULL: the whole city).
SELECT ro.roster_id, i.code AS inspector, i.name, i.area, ro.leave_at, ro.return_at, ro.break_start_at,
       ro.break_end_at, ro.travel_s
FROM roster ro JOIN inspector i ON i.inspector_id = ro.inspector_id
WHERE ro.run_id = $1 AND ($2::text IS NULL OR i.code = $2)
  AND ($3::text[] IS NULL OR i.area = ANY($3)
       OR EXISTS (SELECT FROM visit v
                  JOIN premises p ON p.premises_id = v.premises_id
                  JOIN building b ON b.building_id = p.building_id
                  JOIN compound c ON c.compound_id = b.compound_id
                  JOIN district di ON di.district_id = c.district_id
                  WHERE v.roster_id = ro.roster_id AND di.code = ANY($3)))
ORDER BY i.code;

-- visits_of_rosters(roster_ids, areas) --
-- The visits of rosters in order, with the door, its duties and its outcome so far, within areas.
SELECT v.visit_id, v.roster_id, v.position, v.arrive_at, v.leave_at, v.travel_s, v.mandatory, v.reasons,
       v.chance, v.promised_from, v.promised_to, p.code AS premises, p.address, p.unit, p.floor, p.user_class, p.contact_name, p.contact_phone,
       b.name AS building, c.name AS compound, di.code AS area, b.latitude, b.longitude, o.result,
       ARRAY(SELECT vd.duty_id FROM visit_duty vd WHERE vd.visit_id = v.visit_id ORDER BY 1) AS duty_ids,
       ARRAY(SELECT DISTINCT d.alert_id FROM visit_duty vd JOIN duty d ON d.duty_id = vd.duty_id
             WHERE vd.visit_id = v.visit_id AND d.alert_id IS NOT NULL ORDER BY 1) AS alert_ids
FROM visit v
JOIN premises p ON p.premises_id = v.premises_id
JOIN building b ON b.building_id = p.building_id
JOIN compound c ON c.compound_id = b.compound_id
JOIN district di ON di.district_id = c.district_id
LEFT JOIN outcome o ON o.visit_id = v.visit_id
WHERE v.roster_id = ANY($1::bigint[]) AND ($2::text[] IS NULL OR di.code = ANY($2))
ORDER BY v.roster_id, v.position;

-- known_inspector(code) --
-- Whether an inspector of this code exists.
SELECT inspector_id FROM inspector WHERE code = $1;

-- omissions_of_run(run_id, areas, binding, after, limit_rows) --
-- Doors left out of a run, by premises code, within areas.
SELECT p.code AS premises, di.code AS area, om."constraint", om.reason, om.price
FROM omission om
JOIN premises p ON p.premises_id = om.premises_id
JOIN building b ON b.building_id = p.building_id
JOIN compound c ON c.compound_id = b.compound_id
JOIN district di ON di.district_id = c.district_id
WHERE om.run_id = $1 AND ($2::text[] IS NULL OR di.code = ANY($2)) AND ($3::text IS NULL OR om."constraint" = $3)
  AND ($4::text IS NULL OR p.code > $4)
ORDER BY p.code
LIMIT $5;

-- premises_by_code(code, areas) --
-- One door with everything known about it, within areas.
SELECT p.premises_id, p.code, p.unit, p.floor, p.address, p.user_class, p.tenure, p.elderly, p.special_care,
       p.appliances, p.hose_installed_on, p.pipe_installed_on, p.last_entered_on, p.contact_name, p.contact_phone,
       b.code AS building, b.built_year, c.code AS compound, di.code AS area, b.latitude, b.longitude
FROM premises p
JOIN building b ON b.building_id = p.building_id
JOIN compound c ON c.compound_id = b.compound_id
JOIN district di ON di.district_id = c.district_id
WHERE p.code = $1 AND ($2::text[] IS NULL OR di.code = ANY($2));

-- duties_of_premises(premises_id) --
-- Every duty of a door, newest first.
SELECT duty_id, kind, state, due_on, not_before, mandatory, reason, attempts, last_attempt_at, alert_id, hazard_id,
       promised_from, promised_to, created_at, closed_at, outcome_id
FROM duty WHERE premises_id = $1 ORDER BY duty_id DESC LIMIT 200;

-- visits_of_premises(premises_id) --
-- Visits to a door that are in force or were made, newest first, with their outcomes.
SELECT v.visit_id, ru.day, ru.version, i.code AS inspector, v.arrive_at, v.leave_at, v.reasons, o.outcome_id,
       o.result, o.entered, o.at, o.note
FROM visit v
JOIN roster ro ON ro.roster_id = v.roster_id
JOIN roster_run ru ON ru.run_id = ro.run_id
JOIN inspector i ON i.inspector_id = ro.inspector_id
LEFT JOIN outcome o ON o.visit_id = v.visit_id
WHERE v.premises_id = $1
  AND (o.outcome_id IS NOT NULL
       OR ru.version = (SELECT max(version) FROM roster_run newer WHERE newer.day = ru.day))
ORDER BY v.visit_id DESC LIMIT 200;

-- hazards_of_premises(premises_id) --
-- Every hazard of a door, newest first.
SELECT hazard_id, code, grade, found_at, due_on, state, note, closed_at, outcome_id
FROM hazard WHERE premises_id = $1 ORDER BY hazard_id DESC LIMIT 200;

-- alerts_of_premises(premises_id) --
-- Alerts of a door, newest first.
SELECT alert_id, rule_id, severity, state, late, sentence, first_at, last_at, raised_at, closed_at, confirmed
FROM alert WHERE premises_id = $1 ORDER BY alert_id DESC LIMIT 200;

-- duties_page(state, kind, due_by, areas, after_due_on, after_duty_id, limit_rows) --
-- Duties of a state by due day, within areas; keyset pages.
SELECT d.duty_id, p.code AS premises, di.code AS area, d.kind, d.state, d.due_on, d.not_before, d.mandatory, d.reason,
       d.attempts, d.last_attempt_at, d.alert_id, d.hazard_id, d.promised_from, d.promised_to, d.created_at,
       d.closed_at, d.outcome_id
FROM duty d
JOIN premises p ON p.premises_id = d.premises_id
JOIN building b ON b.building_id = p.building_id
JOIN compound c ON c.compound_id = b.compound_id
JOIN district di ON di.district_id = c.district_id
WHERE d.state = $1 AND ($2::text IS NULL OR d.kind = $2) AND ($3::date IS NULL OR d.due_on <= $3)
  AND ($4::text[] IS NULL OR di.code = ANY($4))
  AND ($5::date IS NULL OR (d.due_on, d.duty_id) > ($5, $6::bigint))
ORDER BY d.due_on, d.duty_id
LIMIT $7;
