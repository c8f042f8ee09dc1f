-- Statements of the package `inspections` for its figures (docs/reports.md defines each). `part` is what the figures are told apart by:
-- district, compound, class (of users), station, inspector or all. Days and moments: from inclusive, to exclusive. `begins_on` are the first days of the
-- periods, ascending, and `edges` the moments at which these begin.
--
-- Written for millions of rows a year: rows come from covering indexes; doors are joined only when the part or the caller's areas ask for
-- places (`prepare_figures` has each statement planned for what it asks); rows are counted by number, and names are joined to the counts.

-- prepare_figures() --
-- For this transaction: plan each statement for its own parameters, and hash a city's doors in memory.
SELECT set_config('plan_cache_mode', 'force_custom_plan', true), set_config('work_mem', '64MB', true);

-- planned_figures(from_day, to_day, every, part, areas) --
-- Visits planned in the version in force of each day, and what became of them, by day, week, month or year (`every`). The ids of a
-- span's visits bound those of their outcomes.
WITH in_force AS NOT MATERIALIZED (
    SELECT DISTINCT ON (day) run_id, date_trunc($3::text, day::timestamp)::date AS begins_on
    FROM roster_run WHERE day >= $1 AND day < $2 ORDER BY day, version DESC
), span AS MATERIALIZED (
    SELECT min(ids.least) AS least, max(ids.greatest) AS greatest
    FROM in_force n
    CROSS JOIN LATERAL (
        SELECT min(vv.visit_id) AS least, max(vv.visit_id) AS greatest FROM visit_version vv WHERE vv.run_id = n.run_id
    ) ids
), counted AS (
    SELECT n.begins_on,
           CASE WHEN $4::text IN ('district', 'compound') THEN place.compound_id
                WHEN $4 IN ('inspector', 'station') THEN vv.inspector_id
                WHEN $4 = 'class' THEN array_position(ARRAY['household', 'commercial', 'industrial'], p.user_class) END AS number,
           count(*) AS planned, count(o.visit_id) AS planned_visited, count(*) FILTER (WHERE o.entered) AS planned_entered
    FROM in_force n
    JOIN visit_version vv ON vv.run_id = n.run_id
    LEFT JOIN premises p ON p.premises_id = vv.premises_id AND ($4 IN ('district', 'compound', 'class') OR $5::text[] IS NOT NULL)
    LEFT JOIN (
        SELECT b.building_id, b.compound_id
        FROM building b JOIN compound c ON c.compound_id = b.compound_id JOIN district di ON di.district_id = c.district_id
        WHERE $5::text[] IS NULL OR di.code = ANY($5)
    ) place ON place.building_id = p.building_id
    LEFT JOIN outcome o ON o.visit_id = vv.visit_id
     AND o.visit_id >= (SELECT least FROM span) AND o.visit_id <= (SELECT greatest FROM span)
    WHERE $5::text[] IS NULL OR place.building_id IS NOT NULL
    GROUP BY 1, 2
)
SELECT counted.begins_on,
       CASE $4 WHEN 'district' THEN di.code WHEN 'compound' THEN c.code WHEN 'inspector' THEN i.code
           WHEN 'class' THEN (ARRAY['household', 'commercial', 'industrial'])[counted.number]
           WHEN 'station' THEN coalesce(i.station, i.area) ELSE '' END AS part,
       sum(counted.planned)::bigint AS planned, sum(counted.planned_visited)::bigint AS planned_visited,
       sum(counted.planned_entered)::bigint AS planned_entered
FROM counted
LEFT JOIN inspector i ON i.inspector_id = counted.number AND $4 IN ('inspector', 'station')
LEFT JOIN compound c ON c.compound_id = counted.number AND $4 IN ('district', 'compound')
LEFT JOIN district di ON di.district_id = c.district_id
GROUP BY 1, 2;

-- visited_figures(from_at, to_at, begins_on, edges, part, areas) --
-- What happened at doors, by when it happened.
WITH counted AS (
    SELECT width_bucket(o.at, $4::timestamptz[]) AS period,
           CASE WHEN $5::text IN ('district', 'compound') THEN place.compound_id
                WHEN $5 IN ('inspector', 'station') THEN o.inspector_id
                WHEN $5 = 'class' THEN array_position(ARRAY['household', 'commercial', 'industrial'], p.user_class) END AS number,
           count(*) AS visited, count(*) FILTER (WHERE o.entered) AS entered,
           count(*) FILTER (WHERE o.result = 'partial') AS partial,
           count(*) FILTER (WHERE o.result = 'no_access') AS no_access,
           count(*) FILTER (WHERE o.result = 'refused') AS refused
    FROM outcome o
    LEFT JOIN premises p ON p.premises_id = o.premises_id AND ($5 IN ('district', 'compound', 'class') OR $6::text[] IS NOT NULL)
    LEFT JOIN (
        SELECT b.building_id, b.compound_id
        FROM building b JOIN compound c ON c.compound_id = b.compound_id JOIN district di ON di.district_id = c.district_id
        WHERE $6::text[] IS NULL OR di.code = ANY($6)
    ) place ON place.building_id = p.building_id
    WHERE o.at >= $1 AND o.at < $2 AND ($6::text[] IS NULL OR place.building_id IS NOT NULL)
    GROUP BY 1, 2
)
SELECT ($3::date[])[counted.period] AS begins_on,
       CASE $5 WHEN 'district' THEN di.code WHEN 'compound' THEN c.code WHEN 'inspector' THEN i.code
           WHEN 'class' THEN (ARRAY['household', 'commercial', 'industrial'])[counted.number]
           WHEN 'station' THEN coalesce(i.station, i.area) ELSE '' END AS part,
       sum(counted.visited)::bigint AS visited, sum(counted.entered)::bigint AS entered, sum(counted.partial)::bigint AS partial,
       sum(counted.no_access)::bigint AS no_access, sum(counted.refused)::bigint AS refused
FROM counted
LEFT JOIN inspector i ON i.inspector_id = counted.number AND $5 IN ('inspector', 'station')
LEFT JOIN compound c ON c.compound_id = counted.number AND $5 IN ('district', 'compound')
LEFT JOIN district di ON di.district_id = c.district_id
GROUP BY 1, 2;

-- due_figures(from_day, to_day, every, part, areas, zone) --
-- Periodic inspections due on days, and those that somebody got in for, by then or later. Nobody's before they are on a roster.
WITH counted AS (
    SELECT d.due_on, CASE WHEN $4::text IN ('district', 'compound') THEN place.compound_id
                WHEN $4 = 'class' THEN array_position(ARRAY['household', 'commercial', 'industrial'], p.user_class) END AS number,
           count(*) AS due, count(o.outcome_id) AS covered,
           count(*) FILTER (WHERE o.at < (d.due_on + 1)::timestamp AT TIME ZONE $6) AS covered_on_time
    FROM duty d
    LEFT JOIN premises p ON p.premises_id = d.premises_id AND ($4 IN ('district', 'compound', 'class') OR $5::text[] IS NOT NULL)
    LEFT JOIN (
        SELECT b.building_id, b.compound_id
        FROM building b JOIN compound c ON c.compound_id = b.compound_id JOIN district di ON di.district_id = c.district_id
        WHERE $5::text[] IS NULL OR di.code = ANY($5)
    ) place ON place.building_id = p.building_id
    LEFT JOIN outcome o ON o.outcome_id = d.outcome_id AND o.entered AND d.state = 'done'
    WHERE d.kind = 'periodic' AND d.state <> 'cancelled' AND d.due_on >= $1 AND d.due_on < $2
      AND ($5::text[] IS NULL OR place.building_id IS NOT NULL)
    GROUP BY 1, 2
)
SELECT date_trunc($3::text, counted.due_on::timestamp)::date AS begins_on,
       CASE $4 WHEN 'district' THEN di.code WHEN 'compound' THEN c.code
           WHEN 'class' THEN (ARRAY['household', 'commercial', 'industrial'])[counted.number] ELSE '' END AS part,
       sum(counted.due)::bigint AS due, sum(counted.covered)::bigint AS covered,
       sum(counted.covered_on_time)::bigint AS covered_on_time
FROM counted
LEFT JOIN compound c ON c.compound_id = counted.number AND $4 IN ('district', 'compound')
LEFT JOIN district di ON di.district_id = c.district_id
GROUP BY 1, 2;

-- hazard_figures(from_at, to_at, begins_on, edges, part, areas, zone, today) --
-- Hazards by when they were found, by grade and code: notified in writing, mended, mended by the deadline, past it and open.
SELECT ($3::date[])[width_bucket(h.found_at, $4::timestamptz[])] AS begins_on,
       CASE $5::text WHEN 'district' THEN di.code WHEN 'compound' THEN c.code WHEN 'inspector' THEN i.code
           WHEN 'class' THEN p.user_class WHEN 'station' THEN coalesce(i.station, i.area) ELSE '' END AS part,
       h.grade, h.code, count(*) AS found, count(h.notified_at) AS notified, count(h.closed_at) AS rectified,
       count(*) FILTER (WHERE h.closed_at < (h.due_on + 1)::timestamp AT TIME ZONE $7) AS rectified_on_time,
       count(*) FILTER (WHERE h.closed_at IS NULL AND h.due_on < $8) AS overdue
FROM hazard h
JOIN outcome o ON o.outcome_id = h.outcome_id
JOIN inspector i ON i.inspector_id = o.inspector_id
LEFT JOIN premises p ON p.premises_id = h.premises_id AND ($5 IN ('district', 'compound', 'class') OR $6::text[] IS NOT NULL)
LEFT JOIN building b ON b.building_id = p.building_id
LEFT JOIN compound c ON c.compound_id = b.compound_id
LEFT JOIN district di ON di.district_id = c.district_id
WHERE h.found_at >= $1 AND h.found_at < $2 AND ($6::text[] IS NULL OR di.code = ANY($6))
GROUP BY 1, 2, 3, 4;
