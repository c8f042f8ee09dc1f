-- Statements of the package `ingest` about validation of readings. Format: see sql/__init__.py.

-- claim_validation() --
-- Whether this process may judge readings; held until the transaction ends.
SELECT pg_try_advisory_xact_lock(hashtext('gaswarden.validation'));

-- add_validation_cursors() --
-- Give every slot that ever committed a batch its cursor; a new slot starts before its first batch.
WITH RECURSIVE known (slot) AS (
    (SELECT slot FROM batch ORDER BY slot LIMIT 1)
    UNION ALL
    SELECT (SELECT next.slot FROM batch next WHERE next.slot > known.slot ORDER BY next.slot LIMIT 1)
    FROM known WHERE known.slot IS NOT NULL
)
INSERT INTO validation_cursor (slot, batch_id) SELECT slot, 0 FROM known WHERE slot IS NOT NULL ON CONFLICT (slot) DO NOTHING;

-- validation_cursors() --
-- How far each slot is judged.
SELECT slot, batch_id FROM validation_cursor ORDER BY slot;

-- validation_cursor_of(slot) --
-- The last batch of a slot that is judged.
SELECT batch_id FROM validation_cursor WHERE slot = $1;

-- batches_to_validate(slot, batch_id, batches_max) --
-- The next batches of a slot, with the rows they brought and the device time they touched; in the Apache edition those only
-- that are rolled up, for days are judged by the roll-up.
SELECT batch_id, reading_rows, first_at, last_at
FROM batch
WHERE slot = $1 AND batch_id > $2
  AND ((SELECT edition FROM storage_edition) <> 'apache'
       OR batch_id <= coalesce((SELECT c.batch_id FROM rollup_cursor c WHERE c.slot = $1), 0))
ORDER BY batch_id LIMIT $3;

-- waiting_validation_batches() --
-- How many batches wait to be judged, those that are not rolled up yet included.
SELECT count(*) FROM batch b WHERE b.batch_id > coalesce((SELECT c.batch_id FROM validation_cursor c WHERE c.slot = b.slot), 0);

-- advance_validation_cursor(slot, batch_id) --
-- Remember how far a slot is judged.
UPDATE validation_cursor SET batch_id = $2 WHERE slot = $1;

-- readings_touched(batch_ids, first_id, last_id, first_at, last_at) --
-- The devices that rows of these batches belong to, and the device time those lie in; `first_at` and `last_at` bound them.
SELECT device_id, min(at) AS first_at, max(at) AS last_at FROM reading
WHERE batch_id BETWEEN $2 AND $3 AND batch_id = ANY($1::bigint[]) AND at BETWEEN $4 AND $5
GROUP BY device_id ORDER BY device_id;

-- devices_to_validate(device_ids) --
-- What the readings of these devices are judged by.
SELECT device_id, kind, qmax_lh, pulse_ml, register_wrap_ml, expected_interval_s FROM device WHERE device_id = ANY($1::int[]);

-- readings_to_validate(device_ids, first_ats, last_ats, rows_around, earliest_at, latest_at, unknown_flags) --
-- Known readings of each device in its span of device time, and as many on either side, between two moments. Known: not
-- marked with any of `unknown_flags`, and with a register when it is a meter's. `side`: before (-1), in (0), after (1) it.
SELECT r.*
FROM unnest($1::int[], $2::timestamptz[], $3::timestamptz[]) AS t (device_id, first_at, last_at)
JOIN device d USING (device_id)
CROSS JOIN LATERAL (
    (SELECT device_id, at, index_ml, flow_lh, lel_pct, -1 AS side FROM reading
     WHERE device_id = t.device_id AND at < t.first_at AND at >= $5 AND flags & $7 = 0
       AND (index_ml IS NOT NULL OR d.kind <> 'meter')
     ORDER BY at DESC LIMIT $4)
    UNION ALL
    (SELECT device_id, at, index_ml, flow_lh, lel_pct, 0 FROM reading
     WHERE device_id = t.device_id AND at BETWEEN t.first_at AND t.last_at AND at BETWEEN $5 AND $6 AND flags & $7 = 0
       AND (index_ml IS NOT NULL OR d.kind <> 'meter'))
    UNION ALL
    (SELECT device_id, at, index_ml, flow_lh, lel_pct, 1 FROM reading
     WHERE device_id = t.device_id AND at > t.last_at AND at <= $6 AND flags & $7 = 0
       AND (index_ml IS NOT NULL OR d.kind <> 'meter')
     ORDER BY at LIMIT $4)
) r;

-- days_to_validate(device_ids, first_days, last_days) --
-- The register where each day ended, of each device between two days.
SELECT r.device_id, r.day, r.last_index_ml
FROM unnest($1::int[], $2::timestamptz[], $3::timestamptz[]) AS t (device_id, first_day, last_day)
JOIN reading_daily r ON r.device_id = t.device_id AND r.day BETWEEN t.first_day AND t.last_day
WHERE r.last_index_ml IS NOT NULL;

-- findings_between(device_ids, from_ats, until_ats, scope) --
-- Findings of a scope about each device between two moments, withdrawn ones included.
SELECT v.finding_id, v.device_id, v.at, v.scope, v.rule, v.detail, v.withdrawn_at
FROM unnest($1::int[], $2::timestamptz[], $3::timestamptz[]) AS t (device_id, from_at, until_at)
JOIN reading_validation v ON v.device_id = t.device_id AND v.at BETWEEN t.from_at AND t.until_at
WHERE v.scope = $4;

-- keep_findings(device_ids, ats, scopes, rules, details, batch_id, found_at) --
-- Keep what was found; a finding that was withdrawn, or whose figures changed, holds as it is found now.
INSERT INTO reading_validation (device_id, at, scope, rule, detail, batch_id, found_at)
SELECT i.*, $6, $7
FROM unnest($1::int[], $2::timestamptz[], $3::text[], $4::text[], $5::jsonb[]) AS i (device_id, at, scope, rule, detail)
ORDER BY 1, 2, 3, 4
ON CONFLICT (device_id, at, scope, rule) DO UPDATE SET
    detail = excluded.detail, batch_id = excluded.batch_id, found_at = excluded.found_at, withdrawn_at = NULL;

-- withdraw_findings(finding_ids, withdrawn_at) --
-- These findings do not hold any more: readings that arrived later explain them.
UPDATE reading_validation SET withdrawn_at = $2 WHERE finding_id = ANY($1::bigint[]) AND withdrawn_at IS NULL;

-- findings_of_readings(device_id, first_at, last_at) --
-- Findings that hold about a device's readings between two moments, and about the days these lie in.
SELECT at, scope, rule, detail FROM reading_validation
WHERE device_id = $1 AND at BETWEEN date_trunc('day', $2::timestamptz, 'UTC') AND $3 AND withdrawn_at IS NULL
ORDER BY at, scope, rule;

-- device_findings(device_id, since, until, rule, withdrawn, after, page_size) --
-- Findings about a device in a range of device time, newest found first, after a keyset cursor; NULL means any.
SELECT finding_id, at, scope, rule, detail, batch_id, found_at, withdrawn_at
FROM reading_validation
WHERE device_id = $1
  AND ($2::timestamptz IS NULL OR at >= $2) AND ($3::timestamptz IS NULL OR at < $3)
  AND ($4::text IS NULL OR rule = $4)
  AND ($5::boolean OR withdrawn_at IS NULL)
  AND ($6::bigint IS NULL OR finding_id < $6)
ORDER BY finding_id DESC LIMIT $7;
