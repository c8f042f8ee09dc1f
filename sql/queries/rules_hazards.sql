-- Statements of the package `rules` about hazards that inspections found. Format: see sql/__init__.py.

-- doors_with_new_hazards(rule_id, grade_max) --
-- Doors with an open hazard up to a grade that no open alert of the rule tells of, that nobody dismissed, and that was not
-- seen on the visit for an alert about a leak which is still open: that one has the same clock and waits for the hazard.
SELECT DISTINCT h.premises_id FROM hazard h
WHERE h.state = 'open' AND h.grade <= $2
  AND NOT EXISTS (
      SELECT FROM alert a
      WHERE a.rule_id = $1 AND a.subject = 'premises:' || h.premises_id AND a.state <> 'verified'
        AND a.evidence -> 'samples' @> jsonb_build_array(jsonb_build_array('hazard ' || h.hazard_id)))
  AND NOT EXISTS (
      SELECT FROM outcome o
      JOIN visit_duty vd ON vd.visit_id = o.visit_id
      JOIN duty d ON d.duty_id = vd.duty_id
      JOIN alert l ON l.alert_id = d.alert_id
      WHERE o.premises_id = h.premises_id AND o.at >= h.found_at AND (o.outcome_id = h.outcome_id OR EXISTS (
                SELECT FROM jsonb_to_recordset(o.found) AS f(code text, grade int) WHERE f.code = h.code AND f.grade = h.grade))
        AND l.leak AND l.state NOT IN ('verified', 'dismissed'));

-- door_hazards(premises_ids) --
-- Hazards of doors, open and closed, with who found them and when a visit last saw them.
SELECT h.hazard_id, h.premises_id, p.code AS premises, di.code AS area, p.user_class, i.code AS inspector, h.code, h.grade,
       h.found_at, h.due_on, CASE WHEN h.restored_at IS NULL THEN h.cut_at END AS cut_at, h.rectified_at, h.closed_at,
       h.closed_outcome_id,
       (SELECT max(seen.at) FROM outcome seen CROSS JOIN jsonb_to_recordset(seen.found) AS f(code text, grade int)
        WHERE seen.premises_id = h.premises_id AND f.code = h.code AND f.grade = h.grade) AS seen_at
FROM hazard h
JOIN premises p ON p.premises_id = h.premises_id
JOIN building b ON b.building_id = p.building_id
JOIN compound c ON c.compound_id = b.compound_id
JOIN district di ON di.district_id = c.district_id
JOIN outcome o ON o.outcome_id = h.outcome_id
JOIN inspector i ON i.inspector_id = o.inspector_id
WHERE h.premises_id = ANY($1)
ORDER BY h.hazard_id;

-- hazard_alerts(rule_ids) --
-- Open alerts about hazards of doors.
SELECT * FROM alert
WHERE rule_id = ANY($1) AND state NOT IN ('verified', 'dismissed') AND subject LIKE 'premises:%' ORDER BY alert_id;

-- premises_places(numbers) --
-- Building and district of doors.
SELECT p.premises_id AS number, p.premises_id, p.building_id, di.code AS area
FROM premises p
JOIN building b ON b.building_id = p.building_id
JOIN compound c ON c.compound_id = b.compound_id
JOIN district di ON di.district_id = c.district_id
WHERE p.premises_id = ANY($1);
