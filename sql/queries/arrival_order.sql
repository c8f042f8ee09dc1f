-- Statements of the package `inspections`: what reports of a door say together, whichever came first. Format: see sql/__init__.py.

-- unentered_run(premises_id, entered_at) --
-- Visits of a door that did not get in after the last that did; `entered_at`: of a report that is not recorded yet, or NULL.
SELECT o.at, o.visit_id, o.result FROM outcome o
WHERE o.premises_id = $1 AND NOT o.entered
  AND o.at > greatest((SELECT max(e.at) FROM outcome e WHERE e.premises_id = $1 AND e.entered), $2, '-infinity'::timestamptz);

-- entered_last(premises_id) --
-- When somebody last got in, as far as reported.
SELECT max(at) FROM outcome WHERE premises_id = $1 AND entered;

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
