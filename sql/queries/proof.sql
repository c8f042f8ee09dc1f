-- Statements of the package `ingest` that prove what became of messages: trace, conflicts, quarantine. Format: see sql/__init__.py.

-- conflicts_page(device_id, code, source, since, until, areas, after, page_size) --
-- Conflicts, newest first, after a keyset cursor; NULL means any. A caller with areas sees the devices of those.
SELECT c.conflict_id, c.source, c.device_id, d.family, d.code, g.code AS gateway, g.area, c.at, c.kept, c.refused, c.batch_id,
       b.slot, b.last_received_at AS refused_at
FROM conflict c JOIN device d USING (device_id) JOIN gateway g USING (gateway_id) LEFT JOIN batch b USING (batch_id)
WHERE ($1::int IS NULL OR c.device_id = $1)
  AND ($2::text IS NULL OR d.code = $2)
  AND ($3::text IS NULL OR c.source = $3)
  AND ($4::timestamptz IS NULL OR c.at >= $4)
  AND ($5::timestamptz IS NULL OR c.at < $5)
  AND ($6::text[] IS NULL OR g.area = ANY($6))
  AND ($7::bigint IS NULL OR c.conflict_id < $7)
ORDER BY c.conflict_id DESC LIMIT $8;

-- quarantine_search(quarantine_id, reason, gateway, device, words, since, until, replayed, areas, after, page_size) --
-- Quarantined messages, newest first, after a keyset cursor; NULL means any. `device` and `words` are looked for as they
-- are written: the one in the payload, the other in payload, topic and detail. A caller with areas sees the topics of those.
SELECT quarantine_id, topic, gateway, payload, payload_bytes, reason, detail, decoder, first_received_at,
       last_received_at, times, replayed_at, replay_batch_id
FROM quarantine
WHERE ($1::bigint IS NULL OR quarantine_id = $1)
  AND ($2::text IS NULL OR reason = $2)
  AND ($3::text IS NULL OR gateway = $3)
  AND ($4::text IS NULL OR position(convert_to($4, 'UTF8') IN payload) > 0)
  AND ($5::text IS NULL OR position(convert_to($5, 'UTF8') IN payload) > 0 OR position($5 IN topic) > 0
       OR position($5 IN detail) > 0)
  AND ($6::timestamptz IS NULL OR last_received_at >= $6)
  AND ($7::timestamptz IS NULL OR first_received_at < $7)
  AND ($8::boolean IS NULL OR (replayed_at IS NOT NULL) = $8)
  AND ($9::text[] IS NULL OR split_part(topic, '/', 3) = ANY($9) AND starts_with(topic, 'gas/v1/')
       OR NOT starts_with(topic, 'gas/v1/') AND gateway IN (SELECT code FROM gateway WHERE area = ANY($9)))
  AND ($10::bigint IS NULL OR quarantine_id < $10)
ORDER BY quarantine_id DESC LIMIT $11;

-- devices_of_code(code, family, areas) --
-- Registered devices with a code, of any family or of one.
SELECT d.device_id, d.family, d.code, g.code AS gateway, g.area
FROM device d JOIN gateway g USING (gateway_id)
WHERE d.code = $1 AND ($2::text IS NULL OR d.family = $2) AND ($3::text[] IS NULL OR g.area = ANY($3))
ORDER BY d.family;

-- traced_readings(device_id, at) --
-- The reading of a moment, and the nearest before and after it, with the batch that brought each. A row that belongs to a
-- frozen day names the report that told it.
SELECT r.at, r.index_ml, r.flow_lh, r.lel_pct, coalesce(r.seq, own.seq) AS seq, own.at AS told_at, r.flags, r.batch_id, b.slot,
       b.first_received_at, b.last_received_at, b.committed_at
FROM (
    (SELECT * FROM reading WHERE device_id = $1 AND at < $2 AND at > $2::timestamptz - interval '40 days' ORDER BY at DESC LIMIT 1)
    UNION ALL
    (SELECT * FROM reading WHERE device_id = $1 AND at = $2)
    UNION ALL
    (SELECT * FROM reading WHERE device_id = $1 AND at > $2 AND at < $2::timestamptz + interval '40 days' ORDER BY at LIMIT 1)
) r
LEFT JOIN batch b USING (batch_id)
LEFT JOIN LATERAL (
    SELECT o.at, o.seq FROM reading o
    WHERE r.seq IS NULL AND o.device_id = $1 AND o.batch_id = r.batch_id AND o.seq IS NOT NULL
      AND o.at >= r.at AND o.at < $2::timestamptz + interval '45 days' AND o.at > $2::timestamptz - interval '45 days'
    ORDER BY o.at LIMIT 1
) own ON true
ORDER BY r.at;

-- traced_events(device_id, at) --
-- What a device asserted at a moment, with the batch that brought it.
SELECT e.at, e.kind, e.state, e.level, e.seq, e.late, e.received_at, e.batch_id, b.slot, b.committed_at
FROM event e LEFT JOIN batch b USING (batch_id)
WHERE e.device_id = $1 AND e.at = $2 ORDER BY e.kind, e.state;

-- traced_numbers(device_id, at) --
-- The numbered messages of a device around a moment: the last before it, those at it, the first after it.
WITH sent AS (
    SELECT at, seq FROM reading WHERE device_id = $1 AND seq IS NOT NULL AND at BETWEEN $2::timestamptz - interval '40 days' AND $2::timestamptz + interval '40 days'
    UNION
    SELECT at, seq FROM event WHERE device_id = $1 AND seq IS NOT NULL AND at BETWEEN $2::timestamptz - interval '40 days' AND $2::timestamptz + interval '40 days'
    UNION
    SELECT at, (refused ->> 'seq')::int FROM conflict
    WHERE device_id = $1 AND refused ? 'seq' AND at BETWEEN $2::timestamptz - interval '40 days' AND $2::timestamptz + interval '40 days'
)
SELECT at, seq FROM (
    (SELECT at, seq FROM sent WHERE at < $2 ORDER BY at DESC, seq DESC LIMIT 1)
    UNION ALL
    (SELECT at, seq FROM sent WHERE at = $2)
    UNION ALL
    (SELECT at, seq FROM sent WHERE at > $2 ORDER BY at, seq LIMIT 1)
) around ORDER BY at, seq;

-- traced_ledger(day, slot, gateway) --
-- The ledger's line of a day of arrival and a gateway, of one slot or of all.
SELECT day, slot, gateway, received, stored, duplicate, late, conflict, quarantined
FROM ledger WHERE day = $1 AND ($2::text IS NULL OR slot = $2) AND gateway = $3 ORDER BY slot;

-- ledger_knows(gateway, slot) --
-- Whether a gateway is registered or in the ledger, and whether a slot ever wrote a batch; NULL is anyone.
SELECT ($1::text IS NULL OR EXISTS (SELECT FROM gateway WHERE code = $1) OR EXISTS (SELECT FROM ledger WHERE gateway = $1))
   AND ($2::text IS NULL OR EXISTS (SELECT FROM batch WHERE slot = $2) OR EXISTS (SELECT FROM ledger WHERE slot = $2));
