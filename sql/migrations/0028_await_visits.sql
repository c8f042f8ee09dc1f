-- An acknowledgement is kept while a visit is planned at its door; verification waits for a deadline in writing. By: rules.
ALTER TABLE alert
    ADD COLUMN awaited_visit_id bigint,
    ADD COLUMN awaited_from timestamptz,
    ADD COLUMN awaited_to timestamptz,
    ADD COLUMN verify_by timestamptz;
CREATE INDEX alert_acknowledged_idx ON alert (premises_id) WHERE state = 'acknowledged';
CREATE INDEX alert_awaited_idx ON alert (awaited_visit_id) WHERE awaited_visit_id IS NOT NULL;
