-- An alert that is seen again after its visit gets another duty: one *open* duty per alert, not one for ever.
ALTER TABLE duty DROP CONSTRAINT duty_alert_key;
DROP INDEX duty_open_alert_idx;
CREATE UNIQUE INDEX duty_alert_key ON duty (alert_id) WHERE state = 'open' AND alert_id IS NOT NULL;
-- serves: what became of an alert's duties
CREATE INDEX duty_alert_idx ON duty (alert_id) WHERE alert_id IS NOT NULL;
