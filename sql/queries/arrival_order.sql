-- Statements of the package `inspections`: what reports of a door say together, whichever came first. Format: see sql/__init__.py.

-- unentered_run(premises_id, entered_at) --
-- Visits of a door that did not get in after the last that did; `entered_at`: of a report that is not recorded yet, or NULL.
SELECT o.at, o.visit_id, o.result FROM outcome o
WHERE o.premises_id = $1 AND NOT o.entered
  AND o.at > greatest((SELECT max(e.at) FROM outcome e WHERE e.premises_id = $1 AND e.entered), $2, '-infinity'::timestamptz);

-- entered_last(premises_id) --
-- When somebody last got in, as far as reported.
SELECT max(at) FROM outcome WHERE premises_id = $1 AND entered;

-- newest_outcome(premises_id) --
-- The last visit of a door, as far as reported.
SELECT outcome_id, visit_id, at, result, entered FROM outcome WHERE premises_id = $1 ORDER BY at DESC, visit_id DESC LIMIT 1;

-- case_settled_at(premises_id, kind) --
-- When a person last closed a door's case of a kind, not somebody's getting in.
SELECT max(f.closed_at) FROM case_file f
WHERE f.premises_id = $1 AND f.kind = $2 AND f.state = 'closed'
  AND NOT EXISTS (SELECT FROM case_step s WHERE s.case_id = f.case_id AND s.step = 'close' AND s.actor = 'inspections');

-- withdraw_access_cases(premises_id, kinds, at, said) --
-- Cases that opened by themselves and that no run of visits calls for any more; those under supervision are for a person.
WITH ended AS (
    UPDATE case_file SET state = 'closed', plan = coalesce(plan, $4), planned_at = coalesce(planned_at, $3), result = $4,
                         closed_at = $3
    WHERE premises_id = $1 AND kind = ANY($2::text[]) AND state <> 'closed' AND NOT supervised AND opened_by = 'inspections'
    RETURNING case_id
)
INSERT INTO case_step (case_id, at, step, actor, note) SELECT case_id, $3, 'close', 'inspections', $4 FROM ended;

-- correct_case(premises_id, kind, title, opened_at, plan_by, close_by) --
-- A case that opened by itself and that nobody has touched or heard of yet tells the run of visits as it is known now.
UPDATE case_file SET title = $3, opened_at = $4, plan_by = $5, close_by = $6
WHERE premises_id = $1 AND kind = $2 AND state = 'open' AND opened_by = 'inspections' AND NOT supervised AND level = 0
  AND owner IS NULL AND (title, opened_at) IS DISTINCT FROM ($3, $4);

-- hazard_visits(premises_id) --
-- Visits of a door that saw a hazard, or passed and so saw none.
SELECT outcome_id, visit_id, at, result = 'passed' AS passed, found FROM outcome
WHERE premises_id = $1 AND entered AND (result = 'passed' OR found <> '[]');

-- recorded_hazards(premises_id) --
-- Every hazard of a door; fixed: a re-check or a person has closed it.
SELECT h.hazard_id, h.code, h.grade, h.outcome_id, h.found_at, h.due_on, h.note, h.closed_at, h.closed_outcome_id,
       c.visit_id AS closed_visit_id, h.state = 'closed' AND (h.grade < 3 OR c.result IS DISTINCT FROM 'passed') AS fixed
FROM hazard h LEFT JOIN outcome c ON c.outcome_id = h.closed_outcome_id
WHERE h.premises_id = $1;

-- close_rechecked(hazard_ids, outcome_id, at, received_at) --
-- These hazards were found to be gone, at the door; open re-checks of them go with them. The earliest proof counts.
WITH closed AS (
    UPDATE hazard SET state = 'closed', closed_at = $3, closed_outcome_id = $2
    WHERE hazard_id = ANY($1::bigint[]) AND (state = 'open' OR closed_outcome_id IS NOT NULL AND closed_at > $3)
    RETURNING hazard_id
)
UPDATE duty d SET state = 'done', closed_at = $4, outcome_id = $2
FROM closed c WHERE d.hazard_id = c.hazard_id AND d.state = 'open';

-- add_hazard(premises_id, outcome_id, code, grade, found_at, due_on, note, closed_outcome_id, closed_at) --
-- Record a hazard that an outcome found, and that a later one may have seen no more.
INSERT INTO hazard (premises_id, outcome_id, code, grade, found_at, due_on, note, closed_outcome_id, closed_at, state)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, CASE WHEN $9::timestamptz IS NULL THEN 'open' ELSE 'closed' END)
RETURNING hazard_id;

-- correct_hazard(hazard_id, outcome_id, found_at, due_on, note, closed_outcome_id, closed_at) --
-- A hazard is the find of the first visit that saw it, as old as that, and as long.
UPDATE hazard SET outcome_id = $2, found_at = $3, due_on = $4, note = $5, closed_outcome_id = $6, closed_at = $7,
                  state = CASE WHEN $7::timestamptz IS NULL THEN 'open' ELSE 'closed' END
WHERE hazard_id = $1;

-- void_rectifications(premises_id, received_at) --
-- What a visit saw after it was said to be put right is not put right; the timeline says so. The door's hazards are locked.
WITH seen AS (
    SELECT h.hazard_id, max(o.at) AS at
    FROM hazard h
    JOIN outcome o ON o.premises_id = h.premises_id AND o.at > h.rectified_at
    CROSS JOIN jsonb_to_recordset(o.found) AS f(code text, grade int)
    WHERE h.premises_id = $1 AND h.state = 'open' AND f.code = h.code AND f.grade = h.grade
    GROUP BY h.hazard_id
), void AS (
    UPDATE hazard h SET rectified_at = NULL, rectified_by = NULL FROM seen s WHERE h.hazard_id = s.hazard_id
    RETURNING h.hazard_id, s.at
)
INSERT INTO hazard_step (hazard_id, at, recorded_at, step, actor, note, details)
SELECT hazard_id, at, $2, 'note', 'inspections', 'seen again at the door: it is not put right', '{}' FROM void;

-- end_recheck(hazard_id, outcome_id, received_at) --
-- What is gone is not re-checked.
UPDATE duty SET state = 'done', closed_at = $3, outcome_id = $2 WHERE hazard_id = $1 AND kind = 'recheck' AND state = 'open';

-- retell_recheck(hazard_id, not_before, reason) --
-- An older hazard is re-checked earlier, unless somebody has tried since and so said when next.
UPDATE duty d SET reason = $3,
                  not_before = CASE WHEN EXISTS (SELECT FROM visit_duty vd JOIN outcome o USING (visit_id)
                                                 WHERE vd.duty_id = d.duty_id)
                                    THEN d.not_before ELSE least(d.not_before, $2) END
WHERE d.hazard_id = $1 AND d.kind = 'recheck' AND d.state <> 'cancelled';

-- settle_recheck_days(premises_id) --
-- A re-check is due when its hazard is; one that found the hazard still there, as the last before it passed, sets the day anew.
UPDATE duty d SET due_on = w.due_on
FROM (
    SELECT r.duty_id, coalesce(again.due_on, h.due_on) AS due_on
    FROM duty r
    JOIN hazard h ON h.hazard_id = r.hazard_id
    LEFT JOIN outcome done ON done.outcome_id = r.outcome_id
    LEFT JOIN LATERAL (
        SELECT f.due_on
        FROM visit_duty vd
        JOIN outcome o ON o.visit_id = vd.visit_id
        CROSS JOIN jsonb_to_recordset(o.found) AS f(code text, due_on date)
        WHERE vd.duty_id = r.duty_id AND f.code = h.code
          AND (done.outcome_id IS NULL OR (o.at, o.visit_id) < (done.at, done.visit_id))
        ORDER BY o.at DESC, o.visit_id DESC
        LIMIT 1
    ) again ON true
    WHERE r.premises_id = $1 AND r.kind = 'recheck' AND r.state <> 'cancelled' AND r.promised_from IS NULL
) w
WHERE d.duty_id = w.duty_id AND d.due_on <> w.due_on;
