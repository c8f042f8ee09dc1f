-- Statements of the package `ingest` about messages that could not be stored, other than those of strangers. Format: see
-- sql/__init__.py.

-- count_repeats(digests, reasons, details, decoders, lasts, times) --
-- Messages that are kept already, the same bytes on the same topic, are counted on their row and wait again; returns them.
UPDATE quarantine q
SET times = q.times + i.times, reason = i.reason, detail = i.detail, decoder = i.decoder,
    last_received_at = greatest(q.last_received_at, i.last_at), replayed_at = NULL, replay_batch_id = NULL
FROM unnest($1::bytea[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::int[])
    AS i (digest, reason, detail, decoder, last_at, times)
WHERE q.digest = i.digest
RETURNING q.digest;

-- count_refusals(gateways, reasons, larges, firsts, lasts, messages) --
-- Count refused messages; per input row, by its ordinal from 1, the id of the row that it was counted on.
WITH incoming AS (
    SELECT * FROM unnest($1::text[], $2::text[], $3::boolean[], $4::timestamptz[], $5::timestamptz[], $6::bigint[])
        WITH ORDINALITY AS i (gateway, reason, large, first_at, last_at, messages, ordinal)
), counted AS (
    INSERT INTO refusal AS r (gateway, reason, large, first_received_at, last_received_at, messages)
    SELECT gateway, reason, large, min(first_at), max(last_at), sum(messages)
    FROM incoming GROUP BY gateway, reason, large ORDER BY gateway, reason, large
    ON CONFLICT (gateway, reason, large) DO UPDATE SET
        messages = r.messages + excluded.messages, last_received_at = greatest(r.last_received_at, excluded.last_received_at)
    RETURNING refusal_id, gateway, reason, large
)
SELECT i.ordinal, c.refusal_id FROM incoming i JOIN counted c USING (gateway, reason, large) ORDER BY i.ordinal;

-- place_refusals(refusal_ids, digests, topics, gateways, payloads, sizes, reasons, details, decoders, firsts, lasts, times, batch_id, small_places, large_places) --
-- Keep these messages in the places of their refusals; the newest takes the place of the oldest, which is counted as discarded.
-- No digest may be kept already.
WITH incoming AS (
    SELECT i.*, r.placed, CASE WHEN r.large THEN $15::int ELSE $14::int END AS room,
           row_number() OVER (PARTITION BY refusal_id ORDER BY ordinal) AS nth,
           count(*) OVER (PARTITION BY refusal_id) AS fresh
    FROM unnest($1::bigint[], $2::bytea[], $3::text[], $4::text[], $5::bytea[], $6::bigint[], $7::text[], $8::text[],
                $9::text[], $10::timestamptz[], $11::timestamptz[], $12::int[])
        WITH ORDINALITY AS i (refusal_id, digest, topic, gateway, payload, payload_bytes, reason, detail, decoder,
                              first_at, last_at, times, ordinal)
    JOIN refusal r USING (refusal_id)
), chosen AS (
    SELECT *, ((placed + nth - 1) % room)::int AS place FROM incoming WHERE nth > fresh - room
), lost AS (
    SELECT q.refusal_id, q.times FROM quarantine q JOIN chosen c USING (refusal_id, place) WHERE q.replayed_at IS NULL
    UNION ALL
    SELECT refusal_id, times FROM incoming WHERE nth <= fresh - room
), moved AS (
    UPDATE refusal r
    SET placed = r.placed + i.fresh,
        discarded = r.discarded + coalesce((SELECT sum(times) FROM lost l WHERE l.refusal_id = r.refusal_id), 0)
    FROM (SELECT DISTINCT refusal_id, fresh FROM incoming) i
    WHERE r.refusal_id = i.refusal_id
)
INSERT INTO quarantine (digest, topic, gateway, payload, payload_bytes, reason, detail, decoder, first_received_at,
                        last_received_at, times, batch_id, refusal_id, place)
SELECT digest, topic, gateway, payload, payload_bytes, reason, detail, decoder, first_at, last_at, times, $13,
       refusal_id, place
FROM chosen ORDER BY refusal_id, place
ON CONFLICT (refusal_id, place) DO UPDATE SET
    quarantine_id = DEFAULT, digest = excluded.digest, topic = excluded.topic, gateway = excluded.gateway,
    payload = excluded.payload, payload_bytes = excluded.payload_bytes, reason = excluded.reason,
    detail = excluded.detail, decoder = excluded.decoder, first_received_at = excluded.first_received_at,
    last_received_at = excluded.last_received_at, times = excluded.times, batch_id = excluded.batch_id,
    replayed_at = NULL, replay_batch_id = NULL;

-- refusals_that_gave_way(gateway, areas) --
-- What is no longer kept of refused messages, by gateway and reason, most first; NULL means any. A caller with areas sees the
-- gateways of those.
SELECT gateway, reason, sum(messages)::bigint AS messages, sum(discarded)::bigint AS discarded,
       max(last_received_at) AS last_received_at
FROM refusal
WHERE ($1::text IS NULL OR gateway = $1)
  AND ($2::text[] IS NULL OR gateway IN (SELECT code FROM gateway WHERE area = ANY($2)))
GROUP BY gateway, reason HAVING sum(discarded) > 0
ORDER BY discarded DESC, gateway, reason LIMIT 1000;
