-- no transaction
-- Refresh policies of the community edition, renewed whenever the retention changes. The window of a refresh must end short of
-- readings that are dropped: a refresh over dropped readings would empty their buckets. Only what changed is computed
-- again, so a long window costs little. What lies behind the window is never refreshed and goes into the columnstore.
SELECT remove_compression_policy('reading_hourly_live', if_exists => true);

SELECT remove_compression_policy('reading_daily_live', if_exists => true);

SELECT remove_continuous_aggregate_policy('reading_hourly_live', if_exists => true);

SELECT remove_continuous_aggregate_policy('reading_daily_live', if_exists => true);

SELECT add_continuous_aggregate_policy('reading_hourly_live',
    start_offset => (SELECT make_interval(days => keep_days - 10) FROM retention WHERE subject = 'reading'),
    end_offset => INTERVAL '1 hour', schedule_interval => INTERVAL '30 minutes');

SELECT add_continuous_aggregate_policy('reading_daily_live',
    start_offset => (SELECT make_interval(days => keep_days - 10) FROM retention WHERE subject = 'reading'),
    end_offset => INTERVAL '1 day', schedule_interval => INTERVAL '1 hour');

SELECT add_compression_policy('reading_hourly_live', compress_after => make_interval(days => keep_days))
FROM retention WHERE subject = 'reading' AND keep_days IS NOT NULL;

SELECT add_compression_policy('reading_daily_live', compress_after => make_interval(days => keep_days))
FROM retention WHERE subject = 'reading' AND keep_days IS NOT NULL;
