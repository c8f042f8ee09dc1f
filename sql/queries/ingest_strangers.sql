-- Statements of the package `ingest` about devices and gateways that are not registered. Format: see sql/__init__.py.

-- count_strangers(gateways, families, codes, areas, reasons, firsts, lasts, messages, rows_max) --
-- Count these on the rows of their devices; a gateway with `rows_max` rows gets no more: the rest share the row ('*', '*').
-- Per input row, by its ordinal from 1: the id of the row that it was counted on.
WITH incoming AS (
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::timestamptz[],
                         $8::bigint[])
        WITH ORDINALITY AS i (gateway, family, code, area, reason, first_at, last_at, messages, ordinal)
), listed AS (
    SELECT gateway, count(*) AS rows FROM unregistered_device WHERE gateway = ANY($1) GROUP BY gateway
), ranked AS (
    SELECT i.*, u.unregistered_id IS NOT NULL AS known, coalesce(l.rows, 0)
           + row_number() OVER (PARTITION BY gateway, u.unregistered_id IS NULL ORDER BY ordinal) <= $9 AS fits
    FROM incoming i LEFT JOIN unregistered_device u USING (gateway, family, code) LEFT JOIN listed l USING (gateway)
), placed AS (
    SELECT ordinal, gateway, area, reason, first_at, last_at, messages,
           CASE WHEN known OR fits THEN family ELSE '*' END AS family,
           CASE WHEN known OR fits THEN code ELSE '*' END AS code
    FROM ranked
), counted AS (
    INSERT INTO unregistered_device AS u (gateway, family, code, area, reason, first_received_at, last_received_at, messages)
    SELECT gateway, family, code, max(area), max(reason), min(first_at), max(last_at), sum(messages)
    FROM placed GROUP BY gateway, family, code ORDER BY gateway, family, code
    ON CONFLICT (gateway, family, code) DO UPDATE SET
        messages = u.messages + excluded.messages, area = excluded.area, reason = excluded.reason,
        last_received_at = greatest(u.last_received_at, excluded.last_received_at)
    RETURNING unregistered_id, gateway, family, code
)
SELECT p.ordinal, c.unregistered_id FROM placed p JOIN counted c USING (gateway, family, code) ORDER BY p.ordinal;

-- count_kept_strangers(digests, lasts, times) --
-- Messages that are kept already, the same bytes on the same topic, are counted on their row and wait again; returns them.
UPDATE quarantine q
SET times = q.times + i.times, last_received_at = greatest(q.last_received_at, i.last_at),
    replayed_at = NULL, replay_batch_id = NULL
FROM unnest($1::bytea[], $2::timestamptz[], $3::int[]) AS i (digest, last_at, times)
WHERE q.digest = i.digest
RETURNING q.digest;

-- place_strangers(unregistered_ids, digests, topics, gateways, payloads, sizes, reasons, details, decoders, firsts, lasts, times, batch_id, places, shared_places) --
-- Keep these messages in the places of their devices; the newest takes the place of the oldest, which is counted as discarded.
-- A device has `places` of them, the shared row of a gateway `shared_places`. No digest may be kept already.
WITH incoming AS (
    SELECT i.*, u.placed, CASE u.family WHEN '*' THEN $15::int ELSE $14::int END AS room,
           row_number() OVER (PARTITION BY unregistered_id ORDER BY ordinal) AS nth,
           count(*) OVER (PARTITION BY unregistered_id) AS fresh
    FROM unnest($1::bigint[], $2::bytea[], $3::text[], $4::text[], $5::bytea[], $6::bigint[], $7::text[], $8::text[],
                $9::text[], $10::timestamptz[], $11::timestamptz[], $12::int[])
        WITH ORDINALITY AS i (unregistered_id, digest, topic, gateway, payload, payload_bytes, reason, detail, decoder,
                              first_at, last_at, times, ordinal)
    JOIN unregistered_device u USING (unregistered_id)
), chosen AS (
    SELECT *, ((placed + nth - 1) % room)::int AS place FROM incoming WHERE nth > fresh - room
), lost AS (
    SELECT unregistered_id, q.times FROM quarantine q JOIN chosen USING (unregistered_id, place) WHERE q.replayed_at IS NULL
    UNION ALL
    SELECT unregistered_id, times FROM incoming WHERE nth <= fresh - room
), moved AS (
    UPDATE unregistered_device u
    SET placed = u.placed + i.fresh,
        discarded = u.discarded + coalesce((SELECT sum(times) FROM lost l WHERE l.unregistered_id = u.unregistered_id), 0)
    FROM (SELECT DISTINCT unregistered_id, fresh FROM incoming) i
    WHERE u.unregistered_id = i.unregistered_id
)
INSERT INTO quarantine (digest, topic, gateway, payload, payload_bytes, reason, detail, decoder, first_received_at,
                        last_received_at, times, batch_id, unregistered_id, place)
SELECT digest, topic, gateway, payload, payload_bytes, reason, detail, decoder, first_at, last_at, times, $13,
       unregistered_id, place
FROM chosen ORDER BY unregistered_id, place
ON CONFLICT (unregistered_id, place) DO UPDATE SET
    quarantine_id = DEFAULT, digest = excluded.digest, topic = excluded.topic, gateway = excluded.gateway,
    payload = excluded.payload, payload_bytes = excluded.payload_bytes, reason = excluded.reason,
    detail = excluded.detail, decoder = excluded.decoder, first_received_at = excluded.first_received_at,
    last_received_at = excluded.last_received_at, times = excluded.times, batch_id = excluded.batch_id,
    replayed_at = NULL, replay_batch_id = NULL;

-- unregistered_page(areas, gateway, after, page_size) --
-- Devices and gateways that publish and are still not registered, oldest first, after a keyset cursor; NULL means any.
SELECT u.unregistered_id, u.gateway, u.family, u.code, u.area, u.reason, u.first_received_at, u.last_received_at, u.messages,
       u.discarded, (SELECT count(*) FROM quarantine q
                     WHERE q.unregistered_id = u.unregistered_id AND q.replayed_at IS NULL) AS waiting
FROM unregistered_device u
WHERE ($1::text[] IS NULL OR u.area = ANY($1))
  AND ($2::text IS NULL OR u.gateway = $2)
  AND ($3::bigint IS NULL OR u.unregistered_id > $3)
  AND CASE
      WHEN u.code = '' THEN NOT EXISTS (SELECT FROM gateway g WHERE g.code = u.gateway AND g.area = u.area)
      WHEN u.family = '*' THEN EXISTS (
          SELECT FROM quarantine q WHERE q.unregistered_id = u.unregistered_id AND q.replayed_at IS NULL)
      ELSE NOT EXISTS (
          SELECT FROM device d JOIN gateway g USING (gateway_id)
          WHERE d.family = u.family AND d.code = u.code AND g.code = u.gateway)
      END
ORDER BY u.unregistered_id LIMIT $4;
