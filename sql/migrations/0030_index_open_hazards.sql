-- The rules look every few seconds for open hazards of the gravest grade.
CREATE INDEX hazard_open_idx ON hazard (grade, premises_id) WHERE state = 'open';
