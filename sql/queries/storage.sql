-- Statements of the package `ingest` about storage: roll-up, retention, sizes, import of history. Format: see sql/__init__.py.

-- claim_rollup() --
-- Whether this process may roll up; held until the transaction ends.
SELECT pg_try_advisory_xact_lock(hashtext('gaswarden.rollup'));

-- storage_facts() --
-- The edition whose shape the roll-ups have.
SELECT edition, own_before FROM storage_edition;

-- add_rollup_cursors() --
-- Give every slot that ever committed a batch its cursor; a new slot starts before its first batch.
WITH RECURSIVE known (slot) AS (
    (SELECT slot FROM batch ORDER BY slot LIMIT 1)
    UNION ALL
    SELECT (SELECT next.slot FROM batch next WHERE next.slot > known.slot ORDER BY next.slot LIMIT 1)
    FROM known WHERE known.slot IS NOT NULL
)
INSERT INTO rollup_cursor (slot, batch_id) SELECT slot, 0 FROM known WHERE slot IS NOT NULL ON CONFLICT (slot) DO NOTHING;

-- rollup_cursors() --
-- How far each slot is rolled up.
SELECT slot, batch_id FROM rollup_cursor ORDER BY slot;

-- rollup_cursor_of(slot) --
-- The last batch of a slot that is rolled up.
SELECT batch_id FROM rollup_cursor WHERE slot = $1;

-- batches_to_roll_up(slot, batch_id, batches_max) --
-- The next batches of a slot, with the rows they brought and the device time they touched.
SELECT batch_id, reading_rows, first_at, last_at
FROM batch WHERE slot = $1 AND batch_id > $2 ORDER BY batch_id LIMIT $3;

-- advance_rollup_cursor(slot, batch_id) --
-- Remember how far a slot is rolled up.
UPDATE rollup_cursor SET batch_id = $2 WHERE slot = $1;

-- newest_batches() --
-- The newest committed batch of each slot with a cursor of the roll-up, and the database's time at which it was seen.
SELECT c.slot, (SELECT b.batch_id FROM batch b WHERE b.slot = c.slot ORDER BY b.batch_id DESC LIMIT 1) AS batch_id,
       clock_timestamp() AS seen_at
FROM rollup_cursor c ORDER BY c.slot;

-- daily_refresh() --
-- When the newest refresh of the daily continuous aggregate began that came to its end; no row without a refresh policy.
SELECT CASE WHEN s.last_run_status = 'Success' THEN s.last_run_started_at END AS began_at
FROM timescaledb_information.jobs j
JOIN timescaledb_information.continuous_aggregates a
    ON j.hypertable_name IN (a.materialization_hypertable_name, a.view_name)
LEFT JOIN timescaledb_information.job_stats s ON s.job_id = j.job_id
WHERE j.proc_name = 'policy_refresh_continuous_aggregate' AND a.view_schema = 'public' AND a.view_name = 'reading_daily_live'
ORDER BY began_at DESC NULLS LAST LIMIT 1;

-- pass_rollup_cursor(slot, batch_id) --
-- Remember that a slot is rolled up to a batch, unless another process was ahead.
UPDATE rollup_cursor SET batch_id = $2 WHERE slot = $1 AND batch_id < $2;

-- roll_up_batches(batch_ids, first_id, last_id, first_at, last_at) --
-- Compute every hour and day anew that rows of these batches lie in; `first_at` and `last_at` bound those rows. A bucket is
-- written when it is new or says something else, and never from fewer readings than before: the rest was retired.
WITH touched AS MATERIALIZED (
    SELECT DISTINCT device_id, time_bucket('1 day', at) AS day FROM reading
    WHERE batch_id BETWEEN $2 AND $3 AND batch_id = ANY($1::bigint[]) AND at BETWEEN $4 AND $5
), known AS MATERIALIZED (
    SELECT r.* FROM touched t
    CROSS JOIN LATERAL (
        SELECT device_id, at, index_ml, flow_lh, pressure_pa, lel_pct, flags FROM reading
        WHERE device_id = t.device_id AND at >= t.day AND at < t.day + interval '1 day'
          AND at >= time_bucket('1 day', $4) AND at < time_bucket('1 day', $5) + interval '1 day' OFFSET 0
    ) r
), hours AS (
    INSERT INTO reading_hourly AS h (device_id, hour, index_ml, flow_lh, pressure_pa, lel_pct, samples)
    SELECT device_id, time_bucket('1 hour', at), last(index_ml, at) FILTER (WHERE flags = 0 AND index_ml IS NOT NULL),
           avg(flow_lh)::real, avg(pressure_pa)::real, max(lel_pct), count(*)::int
    FROM known GROUP BY 1, 2 ORDER BY 1, 2
    ON CONFLICT (device_id, hour) DO UPDATE SET
        index_ml = excluded.index_ml, flow_lh = excluded.flow_lh, pressure_pa = excluded.pressure_pa,
        lel_pct = excluded.lel_pct, samples = excluded.samples
    WHERE excluded.samples >= h.samples
      AND (h.index_ml, h.flow_lh, h.pressure_pa, h.lel_pct, h.samples) IS DISTINCT FROM
          (excluded.index_ml, excluded.flow_lh, excluded.pressure_pa, excluded.lel_pct, excluded.samples)
    RETURNING 1
), days AS (
    INSERT INTO reading_daily AS d (device_id, day, first_index_ml, last_index_ml, pressure_pa, lel_pct, samples)
    SELECT device_id, time_bucket('1 day', at), first(index_ml, at) FILTER (WHERE flags = 0 AND index_ml IS NOT NULL),
           last(index_ml, at) FILTER (WHERE flags = 0 AND index_ml IS NOT NULL), avg(pressure_pa)::real, max(lel_pct),
           count(*)::int
    FROM known GROUP BY 1, 2 ORDER BY 1, 2
    ON CONFLICT (device_id, day) DO UPDATE SET
        first_index_ml = excluded.first_index_ml, last_index_ml = excluded.last_index_ml,
        pressure_pa = excluded.pressure_pa, lel_pct = excluded.lel_pct, samples = excluded.samples
    WHERE excluded.samples >= d.samples
      AND (d.first_index_ml, d.last_index_ml, d.pressure_pa, d.lel_pct, d.samples) IS DISTINCT FROM
          (excluded.first_index_ml, excluded.last_index_ml, excluded.pressure_pa, excluded.lel_pct, excluded.samples)
    RETURNING 1
)
SELECT (SELECT count(*) FROM hours) AS hours, (SELECT count(*) FROM days) AS days;

-- retire_readings(table_name) --
-- Drop chunks older than their retention; returns how many.
SELECT retire_readings($1);

-- retire_batches(rows_max) --
-- Retire old batches that every reader is past, with their counts; returns how many.
SELECT retire_batches($1);

-- retire_ledger(rows_max) --
-- Retire old days of the ledger, with their counts; returns how many rows.
SELECT retire_ledger($1);

-- waiting_rollup_batches() --
-- Batches that are not rolled up yet.
SELECT count(*) FROM batch b LEFT JOIN rollup_cursor c USING (slot) WHERE b.batch_id > coalesce(c.batch_id, 0);

-- retention_rules() --
-- What is kept for how many days; NULL is for ever.
SELECT subject, keep_days FROM retention ORDER BY subject;

-- retired_counts() --
-- What was retired up to when.
SELECT subject, slot, before_at, retired_at FROM retired ORDER BY subject, slot;

-- hypertable_sizes() --
-- Size of each hypertable on disk, in bytes, with the number of its chunks and the rows the statistics know. A continuous
-- aggregate goes by the name that queries know it by.
WITH known AS (
    SELECT hypertable_name AS name, format('%I.%I', hypertable_schema, hypertable_name)::regclass AS id
    FROM timescaledb_information.hypertables WHERE hypertable_schema = 'public'
    UNION ALL
    SELECT regexp_replace(view_name, '_live$', ''),
           format('%I.%I', materialization_hypertable_schema, materialization_hypertable_name)::regclass
    FROM timescaledb_information.continuous_aggregates WHERE view_schema = 'public'
)
SELECT k.name, coalesce(s.table_bytes, 0)::bigint AS table_bytes, coalesce(s.index_bytes, 0)::bigint AS index_bytes,
       coalesce(s.toast_bytes, 0)::bigint AS toast_bytes, coalesce(s.total_bytes, 0)::bigint AS total_bytes,
       (SELECT count(*) FROM show_chunks(k.id)) AS chunks, approximate_row_count(k.id) AS rows
FROM known k CROSS JOIN LATERAL hypertable_detailed_size(k.id) s
ORDER BY total_bytes DESC;

-- plain_table_sizes() --
-- Size of each ordinary table on disk, in bytes, with the rows the statistics know.
SELECT c.relname AS name, pg_table_size(c.oid) AS table_bytes, pg_indexes_size(c.oid) AS index_bytes,
       pg_total_relation_size(c.oid) AS total_bytes, greatest(c.reltuples, 0)::bigint AS rows
FROM pg_class c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
  AND NOT EXISTS (SELECT FROM timescaledb_information.hypertables h
                  WHERE h.hypertable_schema = 'public' AND h.hypertable_name = c.relname)
ORDER BY total_bytes DESC;

-- index_sizes() --
-- Size of each index on disk, in bytes, over all chunks of a hypertable.
SELECT p.relname AS table_name, i.relname AS name, CASE
           WHEN EXISTS (SELECT FROM timescaledb_information.hypertables h
                        WHERE h.hypertable_schema = 'public' AND h.hypertable_name = p.relname)
           THEN hypertable_index_size(i.oid::regclass) ELSE pg_relation_size(i.oid) END::bigint AS bytes
FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class p ON p.oid = x.indrelid
WHERE p.relnamespace = 'public'::regnamespace AND p.relkind = 'r'
ORDER BY bytes DESC;

-- arrivals_by_day(since) --
-- Reading rows and batches that arrived on each whole UTC day, imports of history aside.
SELECT (last_received_at AT TIME ZONE 'UTC')::date AS day, sum(reading_rows)::bigint AS rows, count(*) AS batches
FROM batch WHERE last_received_at >= $1 AND slot <> 'import' GROUP BY 1 ORDER BY 1;

-- database_facts() --
-- Size of the database and of its write-ahead log's limit, and where the server keeps its data.
SELECT pg_database_size(current_database()) AS bytes, current_setting('timescaledb.license') AS licence,
       (SELECT extversion FROM pg_extension WHERE extname = 'timescaledb') AS timescaledb,
       current_setting('server_version') AS postgresql, now() AS at;

-- columnstore_sizes(table_name) --
-- What converted chunks of a hypertable, or of the continuous aggregate of that name, took before and take now, in bytes.
SELECT before_compression_total_bytes AS before_bytes, after_compression_total_bytes AS after_bytes,
       number_compressed_chunks AS chunks
FROM hypertable_compression_stats(coalesce(
    (SELECT format('%I.%I', materialization_hypertable_schema, materialization_hypertable_name)::regclass
     FROM timescaledb_information.continuous_aggregates
     WHERE view_schema = 'public' AND view_name = $1::text || '_live'),
    to_regclass($1::text)));

-- history_file(digest) --
-- What is known of an import, by the file's content.
SELECT digest, options, name, rows_done, stored, duplicate, late, conflict, refused, started_at, finished_at
FROM history_file WHERE digest = $1;

-- restart_empty_history(digest, options, started_at) --
-- An import of which no row was stored begins again.
UPDATE history_file SET options = $2, rows_done = 0, refused = 0, started_at = $3, finished_at = NULL
WHERE digest = $1 AND rows_done > 0 AND stored + duplicate + late + conflict = 0;

-- begin_history(digest, options, name, started_at) --
-- Remember that a file's import began.
INSERT INTO history_file (digest, options, name, started_at) VALUES ($1, $2, $3, $4) ON CONFLICT (digest) DO NOTHING;

-- advance_history(digest, rows_before, rows_done, stored, duplicate, late, conflict, refused) --
-- Move an import on, in the transaction of its rows; no row when another process moved it meanwhile.
UPDATE history_file SET
    rows_done = $3, stored = stored + $4, duplicate = duplicate + $5, late = late + $6, conflict = conflict + $7,
    refused = refused + $8
WHERE digest = $1 AND rows_done = $2 RETURNING rows_done;

-- finish_history(digest, finished_at) --
-- The file is done.
UPDATE history_file SET finished_at = $2 WHERE digest = $1;

-- create_history_staging() --
-- Where imported rows wait to be compared with what is stored; empty again after each transaction.
CREATE TEMPORARY TABLE IF NOT EXISTS staged_history (
    ordinal int NOT NULL, device_id int NOT NULL, at timestamptz NOT NULL, index_ml bigint NOT NULL, flags int NOT NULL
) ON COMMIT DELETE ROWS;

-- insert_staged_history(batch_id) --
-- Store the staged rows whose device and moment are new; the first of equals wins.
INSERT INTO reading (device_id, at, index_ml, flags, batch_id)
SELECT device_id, at, index_ml, flags, $1 FROM staged_history ORDER BY device_id, at, ordinal
ON CONFLICT (device_id, at) DO NOTHING;

-- judge_staged_history(batch_id, first_at, last_at, device_ids) --
-- The staged rows that were not stored, by ordinal: whether the stored row of that moment has another register (conflict,
-- kept beside it) or the same, or none of its own (duplicate). `first_at`, `last_at` and `device_ids` bound the rows.
WITH stored AS MATERIALIZED (
    SELECT device_id, at, index_ml, batch_id FROM reading WHERE device_id = ANY($4::int[]) AND at BETWEEN $2 AND $3
), judged AS MATERIALIZED (
    SELECT n.ordinal, n.device_id, n.at, n.index_ml, n.flags, r.index_ml IS NOT NULL AND r.index_ml <> n.index_ml AS conflict
    FROM (SELECT *, row_number() OVER (PARTITION BY device_id, at ORDER BY ordinal) AS place FROM staged_history) n
    JOIN stored r USING (device_id, at)
    WHERE n.place > 1 OR r.batch_id <> $1
), refused AS (
    INSERT INTO conflict (source, device_id, at, kept, refused, batch_id)
    SELECT DISTINCT 'reading', j.device_id, j.at, k.row, new.row, $1::bigint
    FROM judged j
    CROSS JOIN LATERAL (SELECT to_jsonb(o) - 'batch_id' AS row FROM reading o
                        WHERE o.device_id = j.device_id AND o.at = j.at AND o.at BETWEEN $2 AND $3) k
    CROSS JOIN LATERAL (SELECT to_jsonb(s) AS row FROM (SELECT j.device_id, j.at, j.index_ml, j.flags) s) new
    WHERE j.conflict AND NOT EXISTS (
        SELECT FROM conflict c
        WHERE c.device_id = j.device_id AND c.at = j.at AND c.source = 'reading'
          AND c.refused - 'flags' = new.row - 'flags')
)
SELECT ordinal, conflict FROM judged ORDER BY ordinal;

-- add_history_to_ledger(day, slot, gateway_ids, received, stored, duplicate, late, conflict) --
-- Add an import's counts to the ledger, by gateway of the devices.
INSERT INTO ledger AS l (day, slot, gateway, received, stored, duplicate, late, conflict, quarantined)
SELECT $1::date, $2::text, g.code, i.received, i.stored, i.duplicate, i.late, i.conflict, 0
FROM unnest($3::int[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[])
    AS i (gateway_id, received, stored, duplicate, late, conflict)
JOIN gateway g USING (gateway_id)
ORDER BY g.code
ON CONFLICT (day, slot, gateway) DO UPDATE SET
    received = l.received + excluded.received, stored = l.stored + excluded.stored,
    duplicate = l.duplicate + excluded.duplicate, late = l.late + excluded.late, conflict = l.conflict + excluded.conflict;

-- advance_imported_index(device_ids, ats, indexes) --
-- Newer register values for devices that we have heard of; an import is no sign of life of a device.
UPDATE device_state d SET index_at = i.at, index_ml = i.index_ml
FROM unnest($1::int[], $2::timestamptz[], $3::bigint[]) AS i (device_id, at, index_ml)
WHERE d.device_id = i.device_id AND (d.index_at IS NULL OR d.index_at < i.at);

-- interval_anchors(device_ids, firsts, lasts) --
-- Registers that interval volumes can be attached to, by device: the last stored before the file's first row, and the first
-- stored after its last.
SELECT i.device_id, b.index_ml AS before_ml, a.index_ml AS after_ml
FROM unnest($1::int[], $2::timestamptz[], $3::timestamptz[]) AS i (device_id, first_at, last_at)
LEFT JOIN LATERAL (
    SELECT r.index_ml FROM reading r
    WHERE r.device_id = i.device_id AND r.at < i.first_at AND r.flags = 0 AND r.index_ml IS NOT NULL
    ORDER BY r.at DESC LIMIT 1) b ON true
LEFT JOIN LATERAL (
    SELECT r.index_ml FROM reading r
    WHERE r.device_id = i.device_id AND r.at > i.last_at AND r.flags = 0 AND r.index_ml IS NOT NULL
    ORDER BY r.at LIMIT 1) a ON true;
