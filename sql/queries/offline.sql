-- Statements of the package `inspections`: an inspector's bundle, outcomes reported offline, conflicts. Format: see sql/__init__.py.

-- hazards_of_doors(premises_codes) --
-- Open hazards of doors.
SELECT p.code AS premises, h.hazard_id, h.code, h.grade, h.found_at, h.due_on, h.note
FROM hazard h JOIN premises p ON p.premises_id = h.premises_id
WHERE p.code = ANY($1::text[]) AND h.state = 'open' ORDER BY p.code, h.hazard_id;

-- duties_of_doors(duty_ids) --
-- What duties are, for the one who does them.
SELECT duty_id, kind, due_on, mandatory, reason, attempts, hazard_id, alert_id, promised_from, promised_to
FROM duty WHERE duty_id = ANY($1::bigint[]) ORDER BY duty_id;

-- visit_for_report(visit_id) --
-- Whose visit it is now, in which version of which day, whether that version is in force, and whose it ever was.
SELECT v.visit_id, i.code AS inspector, di.code AS area, ru.day, ru.version,
       ru.version = (SELECT max(version) FROM roster_run newest WHERE newest.day = ru.day) AS in_force,
       ARRAY(SELECT DISTINCT w.code FROM visit_version vv JOIN inspector w ON w.inspector_id = vv.inspector_id
             WHERE vv.visit_id = v.visit_id) AS was_of
FROM visit v
JOIN roster ro ON ro.roster_id = v.roster_id
JOIN roster_run ru ON ru.run_id = ro.run_id
JOIN inspector i ON i.inspector_id = ro.inspector_id
JOIN premises p ON p.premises_id = v.premises_id
JOIN building b ON b.building_id = p.building_id
JOIN compound c ON c.compound_id = b.compound_id
JOIN district di ON di.district_id = c.district_id
WHERE v.visit_id = $1;

-- keep_conflict(digest, client_id, visit_id, area, kind, field, reason, item, base_version, outcome_id, state, received_at, actor) --
-- Keep a report that could not be taken as it stands; the same report again is the same conflict.
INSERT INTO outcome_conflict (digest, client_id, visit_id, area, kind, field, reason, item, base_version, outcome_id, state,
                              received_at, actor)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
ON CONFLICT (digest) DO UPDATE SET digest = excluded.digest
RETURNING conflict_id, kind, field, reason, state;

-- record_conflict(digest, outcome_id) --
-- What had been kept as a conflict was taken after all.
UPDATE outcome_conflict SET state = 'recorded', outcome_id = $2 WHERE digest = $1 AND state = 'open';

-- lock_conflict(conflict_id, areas) --
-- A conflict of these districts (NULL: all, also those of visits that nobody knows), locked.
SELECT * FROM outcome_conflict WHERE conflict_id = $1 AND ($2::text[] IS NULL OR area = ANY($2)) FOR UPDATE;

-- settle_conflict(conflict_id, state, outcome_id, settled_at, settled_by, note) --
-- A person has decided.
UPDATE outcome_conflict SET state = $2, outcome_id = coalesce($3, outcome_id), settled_at = $4, settled_by = $5, settled_note = $6
WHERE conflict_id = $1;

-- outcome_conflicts_page(state, areas, after, limit_rows) --
-- Conflicts of a state, the oldest first, within areas.
SELECT conflict_id, client_id, visit_id, area, kind, field, reason, item, base_version, outcome_id, state, received_at, actor,
       settled_at, settled_by, settled_note
FROM outcome_conflict
WHERE state = $1 AND ($2::text[] IS NULL OR area = ANY($2)) AND conflict_id > $3
ORDER BY conflict_id LIMIT $4;

-- outcome_conflict(conflict_id, areas) --
-- One conflict, within areas.
SELECT conflict_id, client_id, visit_id, area, kind, field, reason, item, base_version, outcome_id, state, received_at, actor,
       settled_at, settled_by, settled_note
FROM outcome_conflict
WHERE conflict_id = $1 AND ($2::text[] IS NULL OR area = ANY($2));
