-- Statements of the package `inspections` for its figures (docs/reports.md defines each). `part` is what the figures are told apart by:
-- district, compound, class (of users), station, inspector or all.
--
-- Figures of days are kept (sql/queries/counts.sql); those of days that changed since are counted here, in the same statement. Hazards are
-- few and counted whenever they are asked for.

-- prepare_figures() --
-- For this transaction: plan each statement for its own parameters.
SELECT set_config('plan_cache_mode', 'force_custom_plan', true), set_config('work_mem', '64MB', true);

-- place_figures(first_day, last_day, every, part, areas, kinds, days, planned_on, visited_on, due_on, zone) --
-- Figures of a span of days by place or class of users, or of all, by day, week, month or year (`every`). The changed
-- `days`, by `kinds`, are counted now: `planned_on`, `visited_on` and `due_on` are the same days, kind by kind.
WITH figures AS (
    SELECT k.day, k.compound_id, k.user_class, k.planned, k.planned_visited, k.planned_entered, k.visited, k.entered, k.partial,
           k.no_access, k.refused, k.due, k.covered, k.covered_on_time
    FROM place_count k
    WHERE k.day >= $1 AND k.day <= $2
      AND (k.kind, k.day) NOT IN (SELECT a.kind, a.day FROM unnest($6::text[], $7::date[]) AS a(kind, day))
    UNION ALL
    SELECT n.day, n.compound_id, n.user_class, n.planned, n.planned_visited, n.planned_entered, n.visited, n.entered, n.partial,
           n.no_access, n.refused, n.due, n.covered, n.covered_on_time
    FROM count_inspections($8, $9, $10, $11) n
), counted AS (
    SELECT date_trunc($3::text, f.day::timestamp)::date AS begins_on,
           CASE WHEN $4::text IN ('district', 'compound') OR $5::text[] IS NOT NULL THEN f.compound_id END AS compound_id,
           CASE WHEN $4 = 'class' THEN f.user_class END AS user_class,
           sum(f.planned) AS planned, sum(f.planned_visited) AS planned_visited, sum(f.planned_entered) AS planned_entered,
           sum(f.visited) AS visited, sum(f.entered) AS entered, sum(f.partial) AS partial, sum(f.no_access) AS no_access,
           sum(f.refused) AS refused, sum(f.due) AS due, sum(f.covered) AS covered, sum(f.covered_on_time) AS covered_on_time
    FROM figures f
    GROUP BY 1, 2, 3
)
SELECT n.begins_on,
       CASE $4 WHEN 'district' THEN di.code WHEN 'compound' THEN c.code WHEN 'class' THEN n.user_class ELSE '' END AS part,
       sum(n.planned)::bigint AS planned, sum(n.planned_visited)::bigint AS planned_visited,
       sum(n.planned_entered)::bigint AS planned_entered, sum(n.visited)::bigint AS visited, sum(n.entered)::bigint AS entered,
       sum(n.partial)::bigint AS partial, sum(n.no_access)::bigint AS no_access, sum(n.refused)::bigint AS refused,
       sum(n.due)::bigint AS due, sum(n.covered)::bigint AS covered, sum(n.covered_on_time)::bigint AS covered_on_time
FROM counted n
LEFT JOIN compound c ON c.compound_id = n.compound_id
LEFT JOIN district di ON di.district_id = c.district_id
WHERE $5::text[] IS NULL OR di.code = ANY($5)
GROUP BY 1, 2;

-- inspector_figures(first_day, last_day, every, part, areas, kinds, days, planned_on, visited_on, zone) --
-- Figures of a span of days by inspector or station; what is due is nobody's before it is on a roster.
WITH figures AS (
    SELECT k.day, k.district_id, k.inspector_id, k.planned, k.planned_visited, k.planned_entered, k.visited, k.entered, k.partial,
           k.no_access, k.refused
    FROM inspector_count k
    WHERE k.day >= $1 AND k.day <= $2
      AND (k.kind, k.day) NOT IN (SELECT a.kind, a.day FROM unnest($6::text[], $7::date[]) AS a(kind, day))
    UNION ALL
    SELECT n.day, c.district_id, n.inspector_id, n.planned, n.planned_visited, n.planned_entered, n.visited, n.entered, n.partial,
           n.no_access, n.refused
    FROM count_inspections($8, $9, '{}', $10) n JOIN compound c ON c.compound_id = n.compound_id
), counted AS (
    SELECT date_trunc($3::text, f.day::timestamp)::date AS begins_on, f.inspector_id,
           CASE WHEN $5::text[] IS NOT NULL THEN f.district_id END AS district_id,
           sum(f.planned) AS planned, sum(f.planned_visited) AS planned_visited, sum(f.planned_entered) AS planned_entered,
           sum(f.visited) AS visited, sum(f.entered) AS entered, sum(f.partial) AS partial, sum(f.no_access) AS no_access,
           sum(f.refused) AS refused
    FROM figures f
    GROUP BY 1, 2, 3
)
SELECT n.begins_on, CASE $4::text WHEN 'station' THEN coalesce(i.station, i.area) ELSE i.code END AS part,
       sum(n.planned)::bigint AS planned, sum(n.planned_visited)::bigint AS planned_visited,
       sum(n.planned_entered)::bigint AS planned_entered, sum(n.visited)::bigint AS visited, sum(n.entered)::bigint AS entered,
       sum(n.partial)::bigint AS partial, sum(n.no_access)::bigint AS no_access, sum(n.refused)::bigint AS refused
FROM counted n
JOIN inspector i ON i.inspector_id = n.inspector_id
LEFT JOIN district di ON di.district_id = n.district_id
WHERE $5::text[] IS NULL OR di.code = ANY($5)
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
