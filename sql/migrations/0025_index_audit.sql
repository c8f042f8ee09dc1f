-- Dossiers read what the audit says of a door, a visit, a hazard: by subject, over years of entries.
CREATE INDEX audit_entry_subject_idx ON audit_entry (subject, audit_id);
-- The hazards of a visit's outcome, and conflicts about a visit.
CREATE INDEX hazard_outcome_idx ON hazard (outcome_id);
CREATE INDEX outcome_conflict_visit_idx ON outcome_conflict (visit_id) WHERE visit_id IS NOT NULL;
