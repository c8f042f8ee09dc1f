-- Statements of the package `ingest`. Format: see sql/__init__.py.

-- lock_slot(slot) --
-- One transaction of a slot at a time, until it ends: batch ids then follow commit order within the slot. A worker that
-- the network cut off must not hold it for long: the server ends its transaction when it says nothing for 20 s.
-- Returns the server's clock.
SELECT set_config('idle_in_transaction_session_timeout', '20s', true),
       pg_advisory_xact_lock(hashtext('gaswarden.slot'), hashtext($1::text)), clock_timestamp() AS now;

-- claim_slot(slot) --
-- Whether this session is the slot's worker: a lock that lasts as long as the session.
SELECT pg_try_advisory_lock(hashtext('gaswarden.worker'), hashtext($1::text));

-- next_batch_id() --
-- The id of the batch that this transaction writes; taken after the slot's lock.
SELECT nextval(pg_get_serial_sequence('batch', 'batch_id'));

-- batch_committed(batch_id, slot, first_received_at, last_received_at, received) --
-- Whether a batch whose COMMIT was never answered is there: that very batch, not one that got its id after a crash.
SELECT EXISTS (
    SELECT FROM batch
    WHERE batch_id = $1 AND slot = $2 AND first_received_at = $3 AND last_received_at = $4 AND received = $5);

-- create_staging() --
-- Where rows wait to be compared with what is stored; one per connection, empty again after each transaction.
CREATE TEMPORARY TABLE IF NOT EXISTS staged_reading (
    message int NOT NULL, ordinal int NOT NULL, device_id int NOT NULL, at timestamptz NOT NULL, index_ml bigint,
    flow_lh real, pressure_pa int, temperature_c real, lel_pct real, battery_mv int, rsrp_dbm smallint, seq int,
    reason smallint, status int, flags int NOT NULL
) ON COMMIT DELETE ROWS;

-- clear_staging() --
-- Forget the rows of an earlier part of the same transaction.
DELETE FROM staged_reading;

-- insert_staged_readings(batch_id) --
-- Store the staged rows whose device and moment are new (the first of equals wins) and take them off the staging table;
-- per message, how many. What stays staged says something about a moment that is stored already.
WITH added AS (
    INSERT INTO reading (device_id, at, index_ml, flow_lh, pressure_pa, temperature_c, lel_pct, battery_mv, rsrp_dbm, seq,
                         reason, status, flags, batch_id)
    SELECT device_id, at, index_ml, flow_lh, pressure_pa, temperature_c, lel_pct, battery_mv, rsrp_dbm, seq, reason,
           status, flags, $1
    FROM staged_reading ORDER BY ordinal
    ON CONFLICT (device_id, at) DO NOTHING
    RETURNING device_id, at
), first AS (
    SELECT DISTINCT ON (device_id, at) ordinal, device_id, at FROM staged_reading ORDER BY device_id, at, ordinal
), settled AS (
    DELETE FROM staged_reading s USING first f JOIN added a ON a.device_id = f.device_id AND a.at = f.at
    WHERE s.ordinal = f.ordinal
    RETURNING s.message
)
SELECT message, count(*) AS added FROM settled GROUP BY message;

-- favour_index_lookups() --
-- For this transaction: compare staged rows through the key of `reading`, whatever the planner guesses about tables that
-- nobody has analysed yet.
SELECT set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true),
       set_config('enable_seqscan', 'off', true);

-- judge_staged_readings(batch_id, first_at, last_at) --
-- Messages of which a row still staged says something that the stored row of that moment does not say; the row is kept
-- as a conflict. `first_at` and `last_at` bound the staged moments, so that only their chunks are opened.
WITH judged AS (
    SELECT n.*, to_jsonb(r) - 'batch_id' AS kept
    FROM staged_reading n
    CROSS JOIN LATERAL (
        SELECT * FROM reading r WHERE r.device_id = n.device_id AND r.at = n.at AND r.at BETWEEN $2 AND $3 OFFSET 0
    ) r
    WHERE (n.index_ml IS NOT NULL AND n.index_ml IS DISTINCT FROM r.index_ml)
       OR (n.flow_lh IS NOT NULL AND n.flow_lh IS DISTINCT FROM r.flow_lh)
       OR (n.pressure_pa IS NOT NULL AND n.pressure_pa IS DISTINCT FROM r.pressure_pa)
       OR (n.temperature_c IS NOT NULL AND n.temperature_c IS DISTINCT FROM r.temperature_c)
       OR (n.lel_pct IS NOT NULL AND n.lel_pct IS DISTINCT FROM r.lel_pct)
       OR (n.battery_mv IS NOT NULL AND n.battery_mv IS DISTINCT FROM r.battery_mv)
       OR (n.rsrp_dbm IS NOT NULL AND n.rsrp_dbm IS DISTINCT FROM r.rsrp_dbm)
       OR (n.seq IS NOT NULL AND n.seq IS DISTINCT FROM r.seq)
       OR (n.reason IS NOT NULL AND n.reason IS DISTINCT FROM r.reason)
       OR (n.status IS NOT NULL AND n.status IS DISTINCT FROM r.status)
), refused AS (
    INSERT INTO conflict (source, device_id, at, kept, refused, batch_id)
    SELECT DISTINCT 'reading', j.device_id, j.at, j.kept, new.row, $1::bigint
    FROM judged j
    CROSS JOIN LATERAL (SELECT jsonb_strip_nulls(to_jsonb(s)) AS row FROM (
        SELECT j.device_id, j.at, j.index_ml, j.flow_lh, j.pressure_pa, j.temperature_c, j.lel_pct, j.battery_mv,
               j.rsrp_dbm, j.seq, j.reason, j.status, j.flags) s) new
    WHERE NOT EXISTS (
        SELECT FROM conflict c
        WHERE c.device_id = j.device_id AND c.at = j.at AND c.source = 'reading' AND c.refused = new.row)
)
SELECT DISTINCT message FROM judged;

-- insert_events(device_ids, ats, kinds, states, levels, lels, causes, tests, seqs, lates, received_ats, batch_id) --
-- Store the events whose device, moment, kind and state are new; the first of equals wins.
INSERT INTO event (device_id, at, kind, state, level, lel_pct, cause, test, seq, late, received_at, batch_id)
SELECT e.*, $12
FROM unnest($1::int[], $2::timestamptz[], $3::text[], $4::text[], $5::smallint[], $6::real[], $7::text[], $8::boolean[],
            $9::int[], $10::boolean[], $11::timestamptz[]) AS e
ON CONFLICT (device_id, at, kind, state) DO NOTHING;

-- judge_events(device_ids, ats, kinds, states, levels, lels, causes, tests, seqs, batch_id) --
-- Per event, in order: whether it was added, and whether it says something that the stored one does not say (conflict,
-- kept beside it).
WITH numbered AS (
    SELECT *, row_number() OVER (PARTITION BY device_id, at, kind, state ORDER BY ordinal) = 1 AS is_first
    FROM unnest($1::int[], $2::timestamptz[], $3::text[], $4::text[], $5::smallint[], $6::real[], $7::text[],
                $8::boolean[], $9::int[])
        WITH ORDINALITY AS e (device_id, at, kind, state, level, lel_pct, cause, test, seq, ordinal)
), judged AS (
    SELECT n.*, to_jsonb(r) - 'batch_id' AS kept, n.is_first AND r.batch_id = $10 AS added,
           (n.level IS NOT NULL AND n.level IS DISTINCT FROM r.level)
           OR (n.lel_pct IS NOT NULL AND n.lel_pct IS DISTINCT FROM r.lel_pct)
           OR (n.cause IS NOT NULL AND n.cause IS DISTINCT FROM r.cause)
           OR n.test IS DISTINCT FROM r.test
           OR (n.seq IS NOT NULL AND n.seq IS DISTINCT FROM r.seq) AS differs
    FROM numbered n
    CROSS JOIN LATERAL (
        SELECT * FROM event r
        WHERE r.device_id = n.device_id AND r.at = n.at AND r.kind = n.kind AND r.state = n.state OFFSET 0
    ) r
), refused AS (
    INSERT INTO conflict (source, device_id, at, kept, refused, batch_id)
    SELECT DISTINCT 'event', j.device_id, j.at, j.kept, new.row, $10::bigint
    FROM judged j
    CROSS JOIN LATERAL (SELECT jsonb_strip_nulls(to_jsonb(s)) AS row FROM (
        SELECT j.device_id, j.at, j.kind, j.state, j.level, j.lel_pct, j.cause, j.test, j.seq) s) new
    WHERE j.differs AND NOT j.added AND NOT EXISTS (
        SELECT FROM conflict c
        WHERE c.device_id = j.device_id AND c.at = j.at AND c.source = 'event' AND c.refused = new.row)
)
SELECT ordinal, added, differs AND NOT added AS conflict FROM judged ORDER BY ordinal;

-- insert_gateway_events(gateway_ids, ats, states, sessions, received_ats, batch_id) --
-- Store births and wills whose session and state are new; returns the ordinals (from 1) of those added.
WITH incoming AS (
    SELECT DISTINCT ON (gateway_id, session, state) *
    FROM unnest($1::int[], $2::timestamptz[], $3::text[], $4::text[], $5::timestamptz[])
        WITH ORDINALITY AS g (gateway_id, at, state, session, received_at, ordinal)
    ORDER BY gateway_id, session, state, ordinal
), added AS (
    INSERT INTO gateway_event (gateway_id, at, state, session, received_at, batch_id)
    SELECT gateway_id, at, state, session, received_at, $6 FROM incoming
    ON CONFLICT (gateway_id, session, state) DO NOTHING
    RETURNING gateway_id, session, state
)
SELECT ordinal FROM incoming JOIN added USING (gateway_id, session, state) ORDER BY ordinal;

-- apply_gateway_birth(gateway_id, session, at, received_at) --
-- A birth makes its session the current one, unless a younger one is.
INSERT INTO gateway_state AS g (gateway_id, last_received_at, heard_at, state, session, state_at)
VALUES ($1, $4::timestamptz, least($3::timestamptz, $4::timestamptz), 'online', $2, $3::timestamptz)
ON CONFLICT (gateway_id) DO UPDATE SET state = 'online', session = $2, state_at = $3
WHERE g.state_at IS NULL OR g.state_at <= $3;

-- apply_gateway_will(gateway_id, session) --
-- A will counts only for the current session; an older session's changes nothing.
UPDATE gateway_state SET state = 'offline' WHERE gateway_id = $1 AND session = $2;

-- apply_scoped_will(gateway_id, scope, received_at) --
-- The end of the current session, when that is its name: the gateway is offline, and so is every device it had online.
WITH ended AS (
    UPDATE gateway_state SET state = 'offline'
    WHERE gateway_id = $1 AND state = 'online' AND starts_with(session, $2::text || '@')
    RETURNING gateway_id
)
UPDATE device_state s SET presence = 'offline', presence_at = greatest(s.presence_at, $3::timestamptz)
FROM device d JOIN ended USING (gateway_id)
WHERE d.device_id = s.device_id AND s.presence = 'online';

-- merge_device_words(device_ids, battery_ats, batteries, presence_ats, presences) --
-- Move charge and presence of devices forward, each in its own event time; their rows are there already.
UPDATE device_state d SET
    battery_pct = CASE WHEN i.battery_at >= d.battery_pct_at OR d.battery_pct_at IS NULL THEN coalesce(i.battery, d.battery_pct) ELSE d.battery_pct END,
    battery_pct_at = greatest(d.battery_pct_at, i.battery_at),
    presence = CASE WHEN i.presence_at >= d.presence_at OR d.presence_at IS NULL THEN coalesce(i.presence, d.presence) ELSE d.presence END,
    presence_at = greatest(d.presence_at, i.presence_at)
FROM unnest($1::int[], $2::timestamptz[], $3::real[], $4::timestamptz[], $5::text[])
    AS i (device_id, battery_at, battery, presence_at, presence)
WHERE d.device_id = i.device_id;

-- touch_gateways(gateway_ids, received_ats, heard_ats) --
-- Remember when something of each gateway last arrived, and up to when we know of it; neither moves back.
INSERT INTO gateway_state AS g (gateway_id, last_received_at, heard_at)
SELECT * FROM unnest($1::int[], $2::timestamptz[], $3::timestamptz[]) AS i (gateway_id, received_at, heard_at) ORDER BY 1
ON CONFLICT (gateway_id) DO UPDATE SET last_received_at = greatest(g.last_received_at, excluded.last_received_at),
    heard_at = greatest(g.heard_at, excluded.heard_at);

-- merge_device_states(device_ids, received_ats, heard_ats, reported_ats, seqs, statuses, batteries, rsrps, lels, index_ats, indexes, valve_ats, valves, leak_ats, leak_states, leak_levels) --
-- Move each group of facts of a device forward in its own event time; an older fact changes nothing that is known, and a
-- report that does not speak of a fact leaves it as it was.
INSERT INTO device_state AS d (device_id, last_received_at, heard_at, reported_at, seq, status, battery_mv, rsrp_dbm, lel_pct,
                               index_at, index_ml, valve_at, valve, leak_at, leak_state, leak_level)
SELECT * FROM unnest($1::int[], $2::timestamptz[], $3::timestamptz[], $4::timestamptz[], $5::int[], $6::int[],
                     $7::int[], $8::smallint[], $9::real[], $10::timestamptz[], $11::bigint[], $12::timestamptz[],
                     $13::text[], $14::timestamptz[], $15::text[], $16::smallint[]) AS i (device_id)
ORDER BY i.device_id
ON CONFLICT (device_id) DO UPDATE SET
    last_received_at = greatest(d.last_received_at, excluded.last_received_at),
    heard_at = greatest(d.heard_at, excluded.heard_at),
    seq = CASE WHEN excluded.reported_at > d.reported_at OR d.reported_at IS NULL THEN excluded.seq ELSE d.seq END,
    status = CASE WHEN excluded.reported_at > d.reported_at OR d.reported_at IS NULL THEN coalesce(excluded.status, d.status)
        ELSE coalesce(d.status, excluded.status) END,
    battery_mv = CASE WHEN excluded.reported_at > d.reported_at OR d.reported_at IS NULL THEN coalesce(excluded.battery_mv, d.battery_mv)
        ELSE coalesce(d.battery_mv, excluded.battery_mv) END,
    rsrp_dbm = CASE WHEN excluded.reported_at > d.reported_at OR d.reported_at IS NULL THEN coalesce(excluded.rsrp_dbm, d.rsrp_dbm)
        ELSE coalesce(d.rsrp_dbm, excluded.rsrp_dbm) END,
    lel_pct = CASE WHEN excluded.reported_at > d.reported_at OR d.reported_at IS NULL THEN coalesce(excluded.lel_pct, d.lel_pct)
        ELSE coalesce(d.lel_pct, excluded.lel_pct) END,
    reported_at = greatest(d.reported_at, excluded.reported_at),
    index_ml = CASE WHEN excluded.index_at > d.index_at OR d.index_at IS NULL THEN excluded.index_ml ELSE d.index_ml END,
    index_at = greatest(d.index_at, excluded.index_at),
    valve = CASE WHEN excluded.valve_at > d.valve_at OR d.valve_at IS NULL THEN excluded.valve ELSE d.valve END,
    valve_at = greatest(d.valve_at, excluded.valve_at),
    leak_state = CASE WHEN excluded.leak_at > d.leak_at OR d.leak_at IS NULL THEN excluded.leak_state ELSE d.leak_state END,
    leak_level = CASE WHEN excluded.leak_at > d.leak_at OR d.leak_at IS NULL THEN excluded.leak_level ELSE d.leak_level END,
    leak_at = greatest(d.leak_at, excluded.leak_at);

-- add_to_ledger(days, slot, gateways, received, stored, duplicate, late, conflict, quarantined) --
-- Add a batch's counts to its days and gateways.
INSERT INTO ledger AS l (day, slot, gateway, received, stored, duplicate, late, conflict, quarantined)
SELECT day, $2, gateway, received, stored, duplicate, late, conflict, quarantined
FROM unnest($1::date[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[])
    AS i (day, gateway, received, stored, duplicate, late, conflict, quarantined)
ORDER BY day, gateway
ON CONFLICT (day, slot, gateway) DO UPDATE SET
    received = l.received + excluded.received, stored = l.stored + excluded.stored,
    duplicate = l.duplicate + excluded.duplicate, late = l.late + excluded.late,
    conflict = l.conflict + excluded.conflict, quarantined = l.quarantined + excluded.quarantined;

-- insert_batch(batch_id, slot, first_received_at, last_received_at, received, stored, duplicate, late, conflict, quarantined, reading_rows, event_rows, gateway_rows, device_ids, first_at, last_at) --
-- The batch's own row, last in its transaction.
INSERT INTO batch (batch_id, slot, first_received_at, last_received_at, received, stored, duplicate, late, conflict,
                   quarantined, reading_rows, event_rows, gateway_rows, device_ids, first_at, last_at)
OVERRIDING SYSTEM VALUE
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16);

-- notify_batch(slot) --
-- Tell the rules, at commit, that a slot has a new batch.
SELECT pg_notify('gaswarden_batch', $1);

-- gateways_by_code(codes) --
-- Registered gateways among these codes.
SELECT gateway_id, code, area FROM gateway WHERE code = ANY($1::text[]);

-- devices_by_identity(families, codes) --
-- Registered devices among these identities, with what their messages are judged by.
SELECT d.device_id, d.family, d.code, d.gateway_id, d.qmax_lh, d.register_wrap_ml, d.has_valve, d.pulse_ml, d.codec,
       d.site_zone, d.register_name, d.alarm_level, d.volume_kind
FROM device d JOIN unnest($1::text[], $2::text[]) AS i (family, code) USING (family, code);

-- waiting_quarantine(ids, reason, after, page_size) --
-- Messages that wait in quarantine, oldest first, whole ones only; NULL means any.
SELECT quarantine_id, topic, payload, first_received_at, reason
FROM quarantine
WHERE replayed_at IS NULL AND octet_length(payload) = payload_bytes
  AND ($1::bigint[] IS NULL OR quarantine_id = ANY($1))
  AND ($2::text IS NULL OR reason = $2)
  AND quarantine_id > $3
ORDER BY quarantine_id LIMIT $4;

-- lock_replay() --
-- One replay at a time; the lock ends when the connection goes back to the pool.
SELECT pg_advisory_lock(hashtext('gaswarden.replay'));

-- mark_replayed(ids, replayed_at, batch_id) --
-- These messages left quarantine in this batch.
UPDATE quarantine SET replayed_at = $2, replay_batch_id = $3 WHERE quarantine_id = ANY($1::bigint[]);

-- ledger_days(first_day, last_day, areas, gateway, slot) --
-- The ledger by day, slot and gateway, of all or of one; a caller with areas sees the gateways of those.
SELECT l.day, l.slot, l.gateway, l.received, l.stored, l.duplicate, l.late, l.conflict, l.quarantined
FROM ledger l
WHERE l.day BETWEEN $1 AND $2
  AND ($3::text[] IS NULL OR l.gateway IN (SELECT code FROM gateway WHERE area = ANY($3)))
  AND ($4::text IS NULL OR l.gateway = $4) AND ($5::text IS NULL OR l.slot = $5)
ORDER BY l.day, l.slot, l.gateway;

-- ledger_against_batches() --
-- Slots whose whole ledger and the sum of whose batches disagree; what retention took away counts with its sums.
WITH booked AS (
    SELECT slot, sum(received) AS received, sum(stored) AS stored, sum(duplicate) AS duplicate, sum(late) AS late,
           sum(conflict) AS conflict, sum(quarantined) AS quarantined
    FROM (SELECT slot, received, stored, duplicate, late, conflict, quarantined FROM ledger
          UNION ALL
          SELECT slot, received, stored, duplicate, late, conflict, quarantined FROM retired WHERE subject = 'ledger') k
    GROUP BY slot
), batched AS (
    SELECT slot, sum(received) AS received, sum(stored) AS stored, sum(duplicate) AS duplicate, sum(late) AS late,
           sum(conflict) AS conflict, sum(quarantined) AS quarantined
    FROM (SELECT slot, received, stored, duplicate, late, conflict, quarantined FROM batch
          UNION ALL
          SELECT slot, received, stored, duplicate, late, conflict, quarantined FROM retired WHERE subject = 'batch') k
    GROUP BY slot
)
SELECT slot, l.received AS ledger_received, b.received AS batch_received
FROM booked l FULL JOIN batched b USING (slot)
WHERE (l.received, l.stored, l.duplicate, l.late, l.conflict, l.quarantined)
    IS DISTINCT FROM (b.received, b.stored, b.duplicate, b.late, b.conflict, b.quarantined);

-- rows_against_batches(first_received_at, last_received_at, first_at, last_at) --
-- Batches of a time of arrival whose rows are no longer the number they wrote; `first_at` and `last_at` bound the rows' moments.
-- Batches with readings from a time whose chunks retention dropped are left out.
WITH span AS MATERIALIZED (
    SELECT batch_id, slot, reading_rows, event_rows FROM batch
    WHERE last_received_at BETWEEN $1 AND $2
      AND (first_at IS NULL OR first_at >= coalesce((SELECT before_at FROM retired WHERE subject = 'reading'), '-infinity'))
), readings AS (
    SELECT batch_id, count(*) AS rows FROM reading
    WHERE at BETWEEN $3 AND $4 AND batch_id BETWEEN (SELECT min(batch_id) FROM span) AND (SELECT max(batch_id) FROM span)
    GROUP BY batch_id
), events AS (
    SELECT batch_id, count(*) AS rows FROM event
    WHERE at BETWEEN $3 AND $4 AND batch_id BETWEEN (SELECT min(batch_id) FROM span) AND (SELECT max(batch_id) FROM span)
    GROUP BY batch_id
)
SELECT s.batch_id, s.slot, s.reading_rows, coalesce(r.rows, 0) AS reading_count, s.event_rows,
       coalesce(e.rows, 0) AS event_count
FROM span s LEFT JOIN readings r USING (batch_id) LEFT JOIN events e USING (batch_id)
WHERE s.reading_rows <> coalesce(r.rows, 0) OR s.event_rows <> coalesce(e.rows, 0)
ORDER BY s.batch_id;

-- span_of_rows(first_received_at, last_received_at) --
-- The device time that the batches of a time of arrival touched.
SELECT min(first_at) AS first_at, max(last_at) AS last_at FROM batch WHERE last_received_at BETWEEN $1 AND $2;

-- missing_messages(since, until, restart_gap, areas) --
-- Per device: sequence numbers that lie between stored ones and are not there. Readings, events and refused conflicts count
-- together; 65535 is followed by 0; a jump of more than `restart_gap` is a restarted counter, not lost messages.
WITH sent AS (
    SELECT device_id, at, seq FROM reading WHERE at >= $1 AND at < $2 AND seq IS NOT NULL
    UNION ALL
    SELECT device_id, at, seq FROM event WHERE at >= $1 AND at < $2 AND seq IS NOT NULL
    UNION ALL
    SELECT device_id, at, (refused ->> 'seq')::int FROM conflict WHERE at >= $1 AND at < $2 AND refused ? 'seq'
), steps AS (
    SELECT device_id, at, seq, lag(seq) OVER known AS before, lag(at) OVER known AS before_at
    FROM sent WINDOW known AS (PARTITION BY device_id ORDER BY at, seq)
), gaps AS (
    SELECT device_id, at, before_at, (seq - before + 65536) % 65536 AS step FROM steps WHERE before IS NOT NULL
)
SELECT g.code AS gateway, d.family, d.code AS device, sum(step - 1)::bigint AS missing, count(*) AS gaps,
       min(before_at) AS first_at, max(gaps.at) AS last_at
FROM gaps JOIN device d USING (device_id) JOIN gateway g USING (gateway_id)
WHERE step > 1 AND step <= $3 AND ($4::text[] IS NULL OR g.area = ANY($4))
GROUP BY g.code, d.family, d.code
ORDER BY missing DESC, g.code, d.code;

-- device_by_id(device_id, areas) --
-- One device with its gateway, present premises and state; nothing when it is outside the caller's areas.
SELECT d.device_id, d.family, d.code, d.kind, g.code AS gateway, g.area, d.model, d.meter_class, d.qmin_lh, d.qmax_lh,
       d.pulse_ml, d.register_wrap_ml, d.has_valve, d.expected_interval_s, d.warn_lel_pct, d.alarm_lel_pct, d.made_on,
       d.codec, d.site_zone, d.register_name, d.alarm_level, d.volume_kind, d.check_of, s.battery_pct, s.presence_at, s.presence,
       p.code AS premises, s.last_received_at, s.heard_at, s.reported_at, s.status, s.battery_mv, s.rsrp_dbm, s.lel_pct, s.index_at,
       s.index_ml, s.valve_at, s.valve, s.leak_at, s.leak_state, s.leak_level
FROM device d
JOIN gateway g USING (gateway_id)
LEFT JOIN device_state s USING (device_id)
LEFT JOIN installation i ON i.device_id = d.device_id AND i.removed_at IS NULL
LEFT JOIN premises p USING (premises_id)
LEFT JOIN building b USING (building_id)
LEFT JOIN compound c USING (compound_id)
LEFT JOIN district t USING (district_id)
WHERE d.device_id = $1 AND ($2::text[] IS NULL OR coalesce(t.code, g.area) = ANY($2));

-- device_id_by_code(family, code) --
-- The id of a device.
SELECT device_id FROM device WHERE family = $1 AND code = $2;

-- device_readings(device_id, since, until, after, page_size) --
-- Readings of a device in a time range, newest first, after a keyset cursor (the moment of the last row seen).
SELECT at, index_ml, flow_lh, pressure_pa, temperature_c, lel_pct, battery_mv, rsrp_dbm, seq, reason, status, flags, batch_id
FROM reading
WHERE device_id = $1 AND at >= $2 AND at < $3 AND ($4::timestamptz IS NULL OR at < $4)
ORDER BY at DESC LIMIT $5;

-- known_areas(codes) --
-- District codes that exist, among these.
SELECT code FROM district WHERE code = ANY($1::text[]);

-- known_premises(codes) --
-- Premises that exist, among these codes.
SELECT premises_id, code FROM premises WHERE code = ANY($1::text[]);

-- registered_gateways(codes) --
-- The registered rows of these gateways, to tell added from changed from same.
SELECT gateway_id, code, area, expected_interval_s FROM gateway WHERE code = ANY($1::text[]);

-- save_gateways(codes, areas, intervals) --
-- Add or change gateways by code.
INSERT INTO gateway (code, area, expected_interval_s)
SELECT * FROM unnest($1::text[], $2::text[], $3::int[])
ON CONFLICT (code) DO UPDATE SET area = excluded.area, expected_interval_s = excluded.expected_interval_s;

-- registered_devices(families, codes) --
-- The registered rows of these devices, to tell added from changed from same.
SELECT d.device_id, d.family, d.code, d.kind, g.code AS gateway, d.model, d.meter_class, d.qmin_lh, d.qmax_lh, d.pulse_ml,
       d.register_wrap_ml, d.has_valve, d.expected_interval_s, d.warn_lel_pct, d.alarm_lel_pct, d.made_on,
       d.codec, d.site_zone, d.register_name, d.alarm_level, d.volume_kind, d.check_of
FROM device d JOIN gateway g USING (gateway_id) JOIN unnest($1::text[], $2::text[]) AS i (family, code)
    ON i.family = d.family AND i.code = d.code;

-- save_devices(codes, families, kinds, gateway_ids, models, meter_classes, qmins, qmaxes, pulses, wraps, valves, intervals, warns, alarms, made_ons, codecs, site_zones, registers, alarm_levels, volume_kinds, checks) --
-- Add or change devices by identity.
INSERT INTO device (code, family, kind, gateway_id, model, meter_class, qmin_lh, qmax_lh, pulse_ml, register_wrap_ml,
                    has_valve, expected_interval_s, warn_lel_pct, alarm_lel_pct, made_on, codec, site_zone, register_name,
                    alarm_level, volume_kind, check_of)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::text[], $6::text[], $7::real[], $8::real[],
                     $9::int[], $10::bigint[], $11::boolean[], $12::int[], $13::real[], $14::real[], $15::date[], $16::text[],
                     $17::text[], $18::text[], $19::smallint[], $20::text[], $21::text[])
ON CONFLICT (family, code) DO UPDATE SET
    kind = excluded.kind, gateway_id = excluded.gateway_id, model = excluded.model, meter_class = excluded.meter_class,
    qmin_lh = excluded.qmin_lh, qmax_lh = excluded.qmax_lh, pulse_ml = excluded.pulse_ml,
    register_wrap_ml = excluded.register_wrap_ml, has_valve = excluded.has_valve,
    expected_interval_s = excluded.expected_interval_s, warn_lel_pct = excluded.warn_lel_pct,
    alarm_lel_pct = excluded.alarm_lel_pct, made_on = excluded.made_on, codec = excluded.codec,
    site_zone = excluded.site_zone, register_name = excluded.register_name, alarm_level = excluded.alarm_level,
    volume_kind = excluded.volume_kind, check_of = excluded.check_of;

-- known_zones(words) --
-- Those of some words `level:code` that name a building, compound or district.
SELECT word FROM unnest($1::text[]) AS word
WHERE CASE split_part(word, ':', 1)
      WHEN 'building' THEN EXISTS (SELECT FROM building WHERE code = substr(word, 10))
      WHEN 'compound' THEN EXISTS (SELECT FROM compound WHERE code = substr(word, 10))
      WHEN 'district' THEN EXISTS (SELECT FROM district WHERE code = substr(word, 10)) END;

-- registered_installations(device_ids) --
-- Every installation of these devices, to tell added from changed from same.
SELECT device_id, premises_id, installed_at, removed_at, index_installed_ml, index_removed_ml
FROM installation WHERE device_id = ANY($1::int[]);

-- save_installation(device_id, premises_id, installed_at, removed_at, index_installed_ml, index_removed_ml) --
-- Add or change one installation by device and start; history stays.
INSERT INTO installation (device_id, premises_id, installed_at, removed_at, index_installed_ml, index_removed_ml)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (device_id, installed_at) DO UPDATE SET
    premises_id = excluded.premises_id, removed_at = excluded.removed_at,
    index_installed_ml = excluded.index_installed_ml, index_removed_ml = excluded.index_removed_ml;
