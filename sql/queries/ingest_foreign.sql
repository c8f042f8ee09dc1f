-- Statements of the package `ingest` about what a worker must know of other formats after a restart. Format: see sql/__init__.py.

-- keep_sparkplug_words(topics, gateway_ids, payloads, received_ats, ordinals, batch_id) --
-- Keep births and deaths, the newest of each topic.
INSERT INTO sparkplug_word AS w (topic, gateway_id, payload, received_at, batch_id, ordinal)
SELECT DISTINCT ON (i.topic) i.topic, i.gateway_id, i.payload, i.received_at, $6, i.ordinal
FROM unnest($1::text[], $2::int[], $3::bytea[], $4::timestamptz[], $5::int[]) AS i (topic, gateway_id, payload, received_at, ordinal)
ORDER BY i.topic, i.ordinal DESC
ON CONFLICT (topic) DO UPDATE SET gateway_id = excluded.gateway_id, payload = excluded.payload,
    received_at = excluded.received_at, batch_id = excluded.batch_id, ordinal = excluded.ordinal;

-- sparkplug_words() --
-- The newest birth and death of every node and device, in the order in which they took effect.
SELECT topic, payload FROM sparkplug_word ORDER BY batch_id, ordinal;

-- keep_arrivals(slot, keys, received_ats, places) --
-- Remember when these messages first arrived, in place of the oldest. At most `places` at once.
WITH newest AS (
    SELECT coalesce(max(ordinal), 0) AS ordinal FROM foreign_arrival WHERE slot = $1
)
INSERT INTO foreign_arrival AS a (slot, place, ordinal, key, received_at)
SELECT $1, ((n.ordinal + i.nth) % $4::int)::int, n.ordinal + i.nth, i.key, i.received_at
FROM unnest($2::bytea[], $3::timestamptz[]) WITH ORDINALITY AS i (key, received_at, nth) CROSS JOIN newest n
ON CONFLICT (slot, place) DO UPDATE SET ordinal = excluded.ordinal, key = excluded.key, received_at = excluded.received_at;

-- arrivals(slot) --
-- When messages without a time of their own first arrived, by key.
SELECT key, received_at FROM foreign_arrival WHERE slot = $1 ORDER BY ordinal DESC;
