-- Every hazard that a visit saw, so that how long it lasted can be told from all visits, in whichever order they come.
ALTER TABLE outcome ADD COLUMN found jsonb NOT NULL DEFAULT '[]';

-- Of outcomes so far: the hazards they made, and those they listed that were known already.
UPDATE outcome o SET found = seen.found
FROM (
    SELECT s.outcome_id,
           jsonb_agg(jsonb_build_object('code', s.code, 'grade', s.grade, 'note', s.note, 'due_on', s.due_on)
                     ORDER BY s.code) AS found
    FROM (
        SELECT DISTINCT ON (t.outcome_id, h.code) t.outcome_id, h.code, h.grade, h.note,
               CASE WHEN h.outcome_id = t.outcome_id THEN h.due_on
                    ELSE t.at::date + (h.due_on - h.found_at::date) END AS due_on
        FROM outcome t
        JOIN hazard h ON h.premises_id = t.premises_id
         AND (h.outcome_id = t.outcome_id
              OR jsonb_path_exists(t.body, '$.hazards[*].code ? (@ == $code)', jsonb_build_object('code', h.code)))
        WHERE t.entered
        ORDER BY t.outcome_id, h.code, (h.outcome_id = t.outcome_id) DESC, h.hazard_id DESC
    ) s
    GROUP BY s.outcome_id
) seen
WHERE o.outcome_id = seen.outcome_id;

-- A hazard ends at the door, not when the report arrives.
UPDATE hazard h SET closed_at = o.at FROM outcome o WHERE o.outcome_id = h.closed_outcome_id;
