-- serves: upkeep finding the open duties of alerts that were closed, every few seconds
CREATE INDEX duty_open_alert_idx ON duty (alert_id) WHERE state = 'open' AND alert_id IS NOT NULL;
