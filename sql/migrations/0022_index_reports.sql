-- Figures of inspections by period, over millions of outcomes.
CREATE INDEX outcome_at_idx ON outcome (at);
CREATE INDEX hazard_found_idx ON hazard (found_at);
CREATE INDEX duty_due_idx ON duty (due_on) WHERE kind = 'periodic' AND state <> 'cancelled';
