-- Statements of the package `inspections`: the life of hazards. Format: see sql/__init__.py.

-- lock_hazard(hazard_id, inspector, today) --
-- A hazard with its district, locked; `at_door`: this inspector was sent to its door, today or before.
SELECT h.hazard_id, h.grade, h.state, h.found_at, h.due_on, h.notified_at, h.notified_to, h.notified_how, h.cut_wanted_at,
       h.cut_at, h.cut_command_id, h.restored_at, h.rectified_at, h.rectified_by, h.closed_at, di.code AS area,
       EXISTS (SELECT FROM visit v
               JOIN visit_version vv ON vv.visit_id = v.visit_id
               JOIN roster_run ru ON ru.run_id = vv.run_id
               JOIN inspector i ON i.inspector_id = vv.inspector_id
               WHERE v.premises_id = h.premises_id AND i.code = $2 AND ru.day <= $3) AS at_door
FROM hazard h
JOIN premises p ON p.premises_id = h.premises_id
JOIN building b ON b.building_id = p.building_id
JOIN compound c ON c.compound_id = b.compound_id
JOIN district di ON di.district_id = c.district_id
WHERE h.hazard_id = $1
FOR UPDATE OF h;

-- update_hazard(hazard_id, state, notified_at, notified_to, notified_how, cut_wanted_at, cut_at, cut_command_id, restored_at, rectified_at, rectified_by, closed_at) --
-- Write a hazard after a step.
UPDATE hazard SET state = $2, notified_at = $3, notified_to = $4, notified_how = $5, cut_wanted_at = $6, cut_at = $7,
                  cut_command_id = $8, restored_at = $9, rectified_at = $10, rectified_by = $11, closed_at = $12
WHERE hazard_id = $1;

-- add_hazard_step(hazard_id, at, recorded_at, step, actor, note, details) --
-- One more line of a hazard's timeline.
INSERT INTO hazard_step (hazard_id, at, recorded_at, step, actor, note, details) VALUES ($1, $2, $3, $4, $5, $6, $7);

-- hazard_step_known(hazard_id, at, step, actor, note, details) --
-- Whether the timeline of a hazard has this very step already.
SELECT EXISTS (
    SELECT FROM hazard_step
    WHERE hazard_id = $1 AND at = $2 AND step = $3 AND actor = $4 AND note IS NOT DISTINCT FROM $5 AND details = $6::jsonb);

-- closing_command(command_id, hazard_id) --
-- The state of a valve command that closes a device at a hazard's door.
SELECT k.state FROM command k
JOIN installation n ON n.device_id = k.device_id AND n.removed_at IS NULL
JOIN hazard h ON h.premises_id = n.premises_id
WHERE k.command_id = $1 AND k.valve = 'close' AND h.hazard_id = $2
LIMIT 1;

-- recheck_from(hazard_id, day) --
-- What was put right may be re-checked from now on, not only at its deadline.
UPDATE duty SET not_before = least(not_before, $2) WHERE hazard_id = $1 AND kind = 'recheck' AND state = 'open';

-- hazards_page(state, grade, areas, after, limit_rows) --
-- Hazards of a state and grade (NULL: all), within areas, by id, with the time of their last step.
SELECT h.hazard_id, p.code AS premises, di.code AS area, h.code, h.grade, h.state, h.found_at, h.due_on, h.note,
       h.notified_at, h.notified_to, h.notified_how, h.cut_wanted_at, h.cut_at, h.cut_command_id, h.restored_at,
       h.rectified_at, h.rectified_by, h.closed_at, h.outcome_id, h.closed_outcome_id,
       (SELECT max(s.at) FROM hazard_step s WHERE s.hazard_id = h.hazard_id) AS last_step_at
FROM hazard h
JOIN premises p ON p.premises_id = h.premises_id
JOIN building b ON b.building_id = p.building_id
JOIN compound c ON c.compound_id = b.compound_id
JOIN district di ON di.district_id = c.district_id
WHERE ($1::text IS NULL OR h.state = $1) AND ($2::int IS NULL OR h.grade = $2) AND ($3::text[] IS NULL OR di.code = ANY($3))
  AND h.hazard_id > $4
ORDER BY h.hazard_id LIMIT $5;

-- hazard_timeline(hazard_id) --
-- What was done about a hazard, oldest first.
SELECT at, recorded_at, step, actor, note, details FROM hazard_step WHERE hazard_id = $1 ORDER BY step_id;
