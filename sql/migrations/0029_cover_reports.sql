-- Figures of a year over millions of rows come from the indexes alone.
DROP INDEX outcome_at_idx;
CREATE INDEX outcome_at_idx ON outcome (at) INCLUDE (inspector_id, premises_id, result, entered);
CREATE INDEX outcome_visit_entered_idx ON outcome (visit_id) INCLUDE (entered);
CREATE INDEX outcome_entered_idx ON outcome (outcome_id) INCLUDE (at, entered, inspector_id);
DROP INDEX duty_due_idx;
CREATE INDEX duty_due_idx ON duty (due_on) INCLUDE (premises_id, outcome_id, state) WHERE kind = 'periodic' AND state <> 'cancelled';
