-- Statements of the package `inspections` for its figures (docs/reports.md defines each). `part` is what the figures are told apart by:
-- district, compound, station, inspector or all; `every` is day, week, month or year. Days and moments: from inclusive, to exclusive.

-- planned_figures(from_day, to_day, every, part, areas) --
-- Visits planned in the version in force of each day, and what became of them.
WITH in_force AS (
    SELECT DISTINCT ON (day) run_id, day FROM roster_run WHERE day >= $1 AND day < $2 ORDER BY day, version DESC
)
SELECT date_trunc($3::text, n.day::timestamp)::date AS begins_on,
       CASE $4::text WHEN 'district' THEN di.code WHEN 'compound' THEN c.code WHEN 'inspector' THEN i.code
           WHEN 'station' THEN coalesce(i.station, i.area) ELSE '' END AS part,
       count(*) AS planned, count(o.outcome_id) AS planned_visited, count(*) FILTER (WHERE o.entered) AS planned_entered
FROM in_force n
JOIN visit_version vv ON vv.run_id = n.run_id
JOIN inspector i ON i.inspector_id = vv.inspector_id
JOIN premises p ON p.premises_id = vv.premises_id
JOIN building b ON b.building_id = p.building_id
JOIN compound c ON c.compound_id = b.compound_id
JOIN district di ON di.district_id = c.district_id
LEFT JOIN outcome o ON o.visit_id = vv.visit_id
WHERE $5::text[] IS NULL OR di.code = ANY($5)
GROUP BY 1, 2;

-- visited_figures(from_at, to_at, every, part, areas, zone) --
-- What happened at doors, by the local day on which it happened.
SELECT date_trunc($3::text, o.at AT TIME ZONE $6)::date AS begins_on,
       CASE $4::text WHEN 'district' THEN di.code WHEN 'compound' THEN c.code WHEN 'inspector' THEN i.code
           WHEN 'station' THEN coalesce(i.station, i.area) ELSE '' END AS part,
       count(*) AS visited, count(*) FILTER (WHERE o.entered) AS entered,
       count(*) FILTER (WHERE o.result = 'partial') AS partial,
       count(*) FILTER (WHERE o.result = 'no_access') AS no_access,
       count(*) FILTER (WHERE o.result = 'refused') AS refused
FROM outcome o
JOIN inspector i ON i.inspector_id = o.inspector_id
JOIN premises p ON p.premises_id = o.premises_id
JOIN building b ON b.building_id = p.building_id
JOIN compound c ON c.compound_id = b.compound_id
JOIN district di ON di.district_id = c.district_id
WHERE o.at >= $1 AND o.at < $2 AND ($5::text[] IS NULL OR di.code = ANY($5))
GROUP BY 1, 2;

-- due_figures(from_day, to_day, every, part, areas, zone) --
-- Periodic inspections due on days, and those that somebody got in for, by then or later. Nobody's before they are on a roster.
SELECT date_trunc($3::text, d.due_on::timestamp)::date AS begins_on,
       CASE $4::text WHEN 'district' THEN di.code WHEN 'compound' THEN c.code ELSE '' END AS part,
       count(*) AS due, count(o.outcome_id) AS covered,
       count(*) FILTER (WHERE (o.at AT TIME ZONE $6)::date <= d.due_on) AS covered_on_time
FROM duty d
JOIN premises p ON p.premises_id = d.premises_id
JOIN building b ON b.building_id = p.building_id
JOIN compound c ON c.compound_id = b.compound_id
JOIN district di ON di.district_id = c.district_id
LEFT JOIN outcome o ON o.outcome_id = d.outcome_id AND o.entered AND d.state = 'done'
WHERE d.kind = 'periodic' AND d.state <> 'cancelled' AND d.due_on >= $1 AND d.due_on < $2
  AND ($5::text[] IS NULL OR di.code = ANY($5))
GROUP BY 1, 2;

-- hazard_figures(from_at, to_at, every, part, areas, zone, today) --
-- Hazards by the local day on which they were found, by grade and code: notified in writing, mended, mended
-- by the deadline, past it and open.
SELECT date_trunc($3::text, h.found_at AT TIME ZONE $6)::date AS begins_on,
       CASE $4::text WHEN 'district' THEN di.code WHEN 'compound' THEN c.code WHEN 'inspector' THEN i.code
           WHEN 'station' THEN coalesce(i.station, i.area) ELSE '' END AS part,
       h.grade, h.code, count(*) AS found, count(h.notified_at) AS notified, count(h.closed_at) AS rectified,
       count(*) FILTER (WHERE (h.closed_at AT TIME ZONE $6)::date <= h.due_on) AS rectified_on_time,
       count(*) FILTER (WHERE h.closed_at IS NULL AND h.due_on < $7) AS overdue
FROM hazard h
JOIN outcome o ON o.outcome_id = h.outcome_id
JOIN inspector i ON i.inspector_id = o.inspector_id
JOIN premises p ON p.premises_id = h.premises_id
JOIN building b ON b.building_id = p.building_id
JOIN compound c ON c.compound_id = b.compound_id
JOIN district di ON di.district_id = c.district_id
WHERE h.found_at >= $1 AND h.found_at < $2 AND ($5::text[] IS NULL OR di.code = ANY($5))
GROUP BY 1, 2, 3, 4;
