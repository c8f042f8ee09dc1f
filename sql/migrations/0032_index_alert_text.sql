-- Officers search alerts by words of the sentence and by codes of devices and doors. pg_trgm comes with PostgreSQL's contrib.
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE INDEX alert_sentence_idx ON alert USING gin (lower(sentence) gin_trgm_ops) WITH (fastupdate = off);
CREATE INDEX alert_device_idx ON alert (device_id);
CREATE INDEX alert_premises_idx ON alert (premises_id);
CREATE INDEX device_code_idx ON device (code);
