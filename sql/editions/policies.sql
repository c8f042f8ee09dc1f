-- no transaction
-- Policies of the community edition, renewed whenever the retention changes. The window of a refresh must end short of readings
-- that are dropped, also of those that a shorter retention dropped before: a refresh over dropped readings would empty
-- their buckets. Only what changed is computed again.
SELECT remove_compression_policy('reading_hourly_live', if_exists => true);

SELECT remove_compression_policy('reading_daily_live', if_exists => true);

SELECT remove_continuous_aggregate_policy('reading_hourly_live', if_exists => true);

SELECT remove_continuous_aggregate_policy('reading_daily_live', if_exists => true);

-- A refresh of old days replaces rows in the columnstore; the server's limit on that is for statements typed by hand. The jobs
-- run as their owner.
DO $$ BEGIN EXECUTE format('ALTER ROLE CURRENT_USER IN DATABASE %I'
    ' SET timescaledb.max_tuples_decompressed_per_dml_transaction = 0', current_database()); END $$;

SELECT add_continuous_aggregate_policy('reading_hourly_live',
    start_offset => (SELECT make_interval(days => least(
        (SELECT keep_days - 10 FROM retention WHERE subject = 'reading'),
        (SELECT floor(extract(epoch FROM now() - before_at) / 86400)::int - 10 FROM retired WHERE subject = 'reading')))),
    end_offset => INTERVAL '1 hour', schedule_interval => INTERVAL '30 minutes');

SELECT add_continuous_aggregate_policy('reading_daily_live',
    start_offset => (SELECT make_interval(days => least(
        (SELECT keep_days - 10 FROM retention WHERE subject = 'reading'),
        (SELECT floor(extract(epoch FROM now() - before_at) / 86400)::int - 10 FROM retired WHERE subject = 'reading')))),
    end_offset => INTERVAL '1 day', schedule_interval => INTERVAL '1 hour');

-- Older than any device reports of itself: the few rows that an import changes there are replaced.
SELECT add_compression_policy('reading_hourly_live', compress_after => INTERVAL '30 days');

SELECT add_compression_policy('reading_daily_live', compress_after => INTERVAL '60 days');
