-- Statements of the package `inspections` that keep the figures of days (docs/reports.md): each counted whole, when something changed.

-- lock_counts() --
-- Whether this transaction may count: one process does at a time.
SELECT pg_try_advisory_xact_lock(hashtext('gaswarden.counts'));

-- changed_days(zone) --
-- The days, by kind of figures, whose kept counts may not be relied on: something changed, or they are another zone's days.
WITH doors AS MATERIALIZED (SELECT DISTINCT premises_id FROM count_mark WHERE premises_id IS NOT NULL)
SELECT m.kind, m.day FROM count_mark m WHERE m.day IS NOT NULL
UNION
SELECT m.kind, (m.at AT TIME ZONE $1)::date FROM count_mark m WHERE m.at IS NOT NULL
UNION
SELECT 'planned', f.day
FROM doors d CROSS JOIN LATERAL (
    SELECT r.day FROM visit v JOIN visit_version vv ON vv.visit_id = v.visit_id JOIN roster_run r ON r.run_id = vv.run_id
    WHERE v.premises_id = d.premises_id OFFSET 0
) f
UNION
SELECT 'visited', (f.at AT TIME ZONE $1)::date
FROM doors d CROSS JOIN LATERAL (SELECT o.at FROM outcome o WHERE o.premises_id = d.premises_id OFFSET 0) f
UNION
SELECT 'due', f.due_on
FROM doors d CROSS JOIN LATERAL (SELECT u.due_on FROM duty u WHERE u.premises_id = d.premises_id AND u.kind = 'periodic' OFFSET 0) f
UNION
SELECT k.kind, k.day + n FROM counted_day k CROSS JOIN generate_series(-1, 1) n WHERE k.zone <> $1;

-- mark_days_of_other_zones(zone) --
-- Have what was counted as days of other zones counted anew, with the days beside them: a visit may belong to those.
WITH taken AS (
    UPDATE counted_day SET zone = $1 WHERE zone <> $1 RETURNING kind, day
)
INSERT INTO count_mark (kind, day)
SELECT DISTINCT t.kind, t.day + n FROM taken t CROSS JOIN generate_series(-1, 1) n;

-- spread_door_marks(limit_rows) --
-- Mark the days of doors that have another place or class, instead of the doors; how many doors.
WITH taken AS (
    DELETE FROM count_mark WHERE mark_id IN (SELECT mark_id FROM count_mark WHERE premises_id IS NOT NULL ORDER BY mark_id LIMIT $1)
    RETURNING premises_id
), spread AS (
    INSERT INTO count_mark (kind, day, at)
    SELECT DISTINCT 'planned', r.day, NULL::timestamptz
    FROM taken t JOIN visit v ON v.premises_id = t.premises_id
    JOIN visit_version vv ON vv.visit_id = v.visit_id JOIN roster_run r ON r.run_id = vv.run_id
    UNION ALL
    SELECT DISTINCT 'visited', NULL::date, o.at FROM taken t JOIN outcome o ON o.premises_id = t.premises_id
    UNION ALL
    SELECT DISTINCT 'due', d.due_on, NULL::timestamptz
    FROM taken t JOIN duty d ON d.premises_id = t.premises_id AND d.kind = 'periodic'
)
SELECT count(*) FROM taken;

-- take_marks(kinds, days, zone) --
-- Take away the marks of these days that can be seen: those that are set meanwhile stay.
DELETE FROM count_mark m
USING unnest($1::text[], $2::date[]) AS a(kind, day)
WHERE m.kind = a.kind AND coalesce(m.day, (m.at AT TIME ZONE $3)::date) = a.day;

-- drop_place_counts(kinds, days) --
-- What was counted of these days by place.
DELETE FROM place_count k USING unnest($1::text[], $2::date[]) AS a(kind, day) WHERE k.day = a.day AND k.kind = a.kind;

-- drop_inspector_counts(kinds, days) --
-- What was counted of these days by inspector.
DELETE FROM inspector_count k USING unnest($1::text[], $2::date[]) AS a(kind, day) WHERE k.day = a.day AND k.kind = a.kind;

-- add_counts(planned_on, visited_on, due_on, zone) --
-- Count these days from scratch and keep it.
WITH counted AS MATERIALIZED (
    SELECT * FROM count_inspections($1, $2, $3, $4)
), places AS (
    INSERT INTO place_count (day, kind, compound_id, user_class, planned, planned_visited, planned_entered, visited, entered, partial,
                             no_access, refused, due, covered, covered_on_time)
    SELECT day, kind, compound_id, user_class, sum(planned), sum(planned_visited), sum(planned_entered), sum(visited), sum(entered),
           sum(partial), sum(no_access), sum(refused), sum(due), sum(covered), sum(covered_on_time)
    FROM counted GROUP BY 1, 2, 3, 4
)
INSERT INTO inspector_count (day, kind, district_id, inspector_id, planned, planned_visited, planned_entered, visited, entered, partial,
                             no_access, refused)
SELECT k.day, k.kind, c.district_id, k.inspector_id, sum(planned), sum(planned_visited), sum(planned_entered), sum(visited),
       sum(entered), sum(partial), sum(no_access), sum(refused)
FROM counted k JOIN compound c ON c.compound_id = k.compound_id
WHERE k.inspector_id IS NOT NULL
GROUP BY 1, 2, 3, 4;

-- add_counted_days(kinds, days, zone, at) --
-- These days were counted, as days of this zone.
INSERT INTO counted_day (kind, day, zone, counted_at)
SELECT a.kind, a.day, $3, $4 FROM unnest($1::text[], $2::date[]) AS a(kind, day)
ON CONFLICT (kind, day) DO UPDATE SET zone = excluded.zone, counted_at = excluded.counted_at;

-- differing_days(days, zone) --
-- Of these days those, by kind of figures, whose kept counts are not what counting from scratch gives.
WITH counted AS MATERIALIZED (
    SELECT * FROM count_inspections($1::date[], $1::date[], $1::date[], $2)
), by_place AS (
    SELECT day, kind, compound_id, user_class, sum(planned)::int, sum(planned_visited)::int, sum(planned_entered)::int,
           sum(visited)::int, sum(entered)::int, sum(partial)::int, sum(no_access)::int, sum(refused)::int, sum(due)::int,
           sum(covered)::int, sum(covered_on_time)::int
    FROM counted GROUP BY 1, 2, 3, 4
), by_inspector AS (
    SELECT k.day, k.kind, c.district_id, k.inspector_id, sum(planned)::int, sum(planned_visited)::int, sum(planned_entered)::int,
           sum(visited)::int, sum(entered)::int, sum(partial)::int, sum(no_access)::int, sum(refused)::int
    FROM counted k JOIN compound c ON c.compound_id = k.compound_id WHERE k.inspector_id IS NOT NULL GROUP BY 1, 2, 3, 4
), kept_by_place AS (
    SELECT * FROM place_count WHERE day = ANY($1)
), kept_by_inspector AS (
    SELECT * FROM inspector_count WHERE day = ANY($1)
)
SELECT kind, day FROM (TABLE by_place EXCEPT TABLE kept_by_place) f(day, kind)
UNION
SELECT kind, day FROM (TABLE kept_by_place EXCEPT TABLE by_place) f(day, kind)
UNION
SELECT kind, day FROM (TABLE by_inspector EXCEPT TABLE kept_by_inspector) f(day, kind)
UNION
SELECT kind, day FROM (TABLE kept_by_inspector EXCEPT TABLE by_inspector) f(day, kind);

-- mark_days(kinds, days) --
-- Have these days counted anew.
INSERT INTO count_mark (kind, day) SELECT a.kind, a.day FROM unnest($1::text[], $2::date[]) AS a(kind, day);
