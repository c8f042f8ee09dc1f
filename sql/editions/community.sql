-- no transaction
-- Community edition of TimescaleDB (timescaledb.license = timescale), 2.19 or newer: continuous aggregates take the place of our
-- roll-up tables, under the same names; old chunks go into the columnstore. Applied once by sql/edition.py as the owner,
-- every statement repeats harmlessly. What our own roll-up made of readings that are dropped by now stays: its
-- tables become *_own and the views show them for the time before `own_before`.

-- Readings by device, in order of time: a device's window is one segment. Late rows may go into a converted chunk: they lie
-- beside the compressed rows, the unique key is checked against both, and the policy merges them at its next run.
ALTER TABLE reading SET (
    timescaledb.enable_columnstore = true, timescaledb.segmentby = 'device_id', timescaledb.orderby = 'at'
);

ALTER TABLE event SET (
    timescaledb.enable_columnstore = true, timescaledb.segmentby = 'device_id', timescaledb.orderby = 'at, kind, state'
);

-- Devices that were silent report up to two weeks back as a matter of course: what is younger stays in rows.
CALL add_columnstore_policy('reading', after => INTERVAL '14 days', if_not_exists => true);

CALL add_columnstore_policy('event', after => INTERVAL '90 days', if_not_exists => true);

CREATE MATERIALIZED VIEW IF NOT EXISTS reading_hourly_live
WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
SELECT device_id,
       time_bucket('1 hour', at) AS hour,
       last(index_ml, at) FILTER (WHERE flags = 0 AND index_ml IS NOT NULL) AS index_ml,
       avg(flow_lh)::real AS flow_lh,
       avg(pressure_pa)::real AS pressure_pa,
       max(lel_pct) AS lel_pct,
       count(*)::int AS samples
FROM reading
GROUP BY device_id, time_bucket('1 hour', at)
WITH NO DATA;

CREATE MATERIALIZED VIEW IF NOT EXISTS reading_daily_live
WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
SELECT device_id,
       time_bucket('1 day', at) AS day,
       first(index_ml, at) FILTER (WHERE flags = 0 AND index_ml IS NOT NULL) AS first_index_ml,
       last(index_ml, at) FILTER (WHERE flags = 0 AND index_ml IS NOT NULL) AS last_index_ml,
       avg(pressure_pa)::real AS pressure_pa,
       max(lel_pct) AS lel_pct,
       count(*)::int AS samples
FROM reading
GROUP BY device_id, time_bucket('1 day', at)
WITH NO DATA;

-- New chunks hold a week: with 168 hourly readings a segment takes a fraction of what seven segments of 24 take. After the
-- aggregates, whose chunks are made ten times as long as those they read.
SELECT set_chunk_time_interval('reading', INTERVAL '7 days');

-- The tables of our own roll-up step aside; in a repeated run they have done so already.
DO $$ BEGIN IF (SELECT relkind FROM pg_class WHERE oid = to_regclass('public.reading_hourly')) = 'r'
    THEN ALTER TABLE reading_hourly RENAME TO reading_hourly_own; END IF; END $$;

DO $$ BEGIN IF (SELECT relkind FROM pg_class WHERE oid = to_regclass('public.reading_daily')) = 'r'
    THEN ALTER TABLE reading_daily RENAME TO reading_daily_own; END IF; END $$;

-- Continuous aggregates know what readings there are; before the first of them, and of days that were retired, only our own
-- roll-up knows: a stray late row in a retired day does not stand for that day.
UPDATE storage_edition SET
    own_before = coalesce(greatest(
        (SELECT min(range_start) FROM timescaledb_information.chunks
         WHERE hypertable_schema = 'public' AND hypertable_name = 'reading'),
        (SELECT before_at FROM retired WHERE subject = 'reading')), '-infinity')
WHERE edition <> 'community';

CREATE OR REPLACE VIEW reading_hourly AS
SELECT device_id, hour, index_ml, flow_lh, pressure_pa, lel_pct, samples FROM reading_hourly_live
WHERE hour >= (SELECT own_before FROM storage_edition)
UNION ALL
SELECT device_id, hour, index_ml, flow_lh, pressure_pa, lel_pct, samples FROM reading_hourly_own
WHERE hour < (SELECT own_before FROM storage_edition);

CREATE OR REPLACE VIEW reading_daily AS
SELECT device_id, day, first_index_ml, last_index_ml, pressure_pa, lel_pct, samples FROM reading_daily_live
WHERE day >= (SELECT own_before FROM storage_edition)
UNION ALL
SELECT device_id, day, first_index_ml, last_index_ml, pressure_pa, lel_pct, samples FROM reading_daily_own
WHERE day < (SELECT own_before FROM storage_edition);

-- The first fill; later runs compute what changed. It ends in the past: up to the present the views compute by themselves.
CALL refresh_continuous_aggregate('reading_hourly_live', NULL, now() - INTERVAL '1 hour');

CALL refresh_continuous_aggregate('reading_daily_live', NULL, now() - INTERVAL '1 day');

ALTER MATERIALIZED VIEW reading_hourly_live SET (timescaledb.compress = true);

ALTER MATERIALIZED VIEW reading_daily_live SET (timescaledb.compress = true);

-- Only now: a run that was interrupted begins again.
UPDATE storage_edition SET edition = 'community', applied_at = now() WHERE edition <> 'community';

-- The continuous aggregates hold these from now on.
SELECT drop_chunks('reading_hourly_own', newer_than => own_before) FROM storage_edition WHERE own_before > '-infinity';

SELECT drop_chunks('reading_daily_own', newer_than => own_before) FROM storage_edition WHERE own_before > '-infinity';
