-- Statements of the package `ingest` about gateways above their rate limit. Format: see sql/__init__.py.

-- hold_bundles(lane, keys, gateways, messages, firsts, lasts, contents, limit_per_s) --
-- Keep bundles of messages whose turn comes later (a second attempt keeps none twice), and count them on their gateways'
-- floods.
WITH kept AS (
    INSERT INTO held_bundle (lane, key, gateway, messages, first_received_at, last_received_at, content)
    SELECT $1, b.key, b.gateway, b.messages, b.first_at, b.last_at, b.content
    FROM unnest($2::uuid[], $3::text[], $4::int[], $5::timestamptz[], $6::timestamptz[], $7::bytea[])
        WITH ORDINALITY AS b (key, gateway, messages, first_at, last_at, content, place)
    ORDER BY b.place
    ON CONFLICT (key) DO NOTHING
    RETURNING gateway, messages, first_received_at
)
INSERT INTO gateway_flood AS f (lane, gateway, started_at, held, limit_per_s)
SELECT $1, gateway, min(first_received_at), sum(messages), $8::real FROM kept GROUP BY gateway ORDER BY gateway
ON CONFLICT (lane, gateway) WHERE ended_at IS NULL DO UPDATE SET held = f.held + excluded.held;

-- held_messages(lane) --
-- How many messages of a lane wait, by gateway.
SELECT gateway, sum(messages)::bigint AS messages FROM held_bundle WHERE lane = $1 GROUP BY gateway;

-- open_floods(lane) --
-- Gateways of a lane whose flood was not seen to end.
SELECT gateway FROM gateway_flood WHERE lane = $1 AND ended_at IS NULL;

-- oldest_bundle(lane, gateway) --
-- The bundle of a gateway whose turn it is.
SELECT bundle_id, content FROM held_bundle WHERE lane = $1 AND gateway = $2 ORDER BY bundle_id LIMIT 1;

-- bundles_held_since(gateway, since, bundles_max) --
-- Bundles of a gateway that hold something which arrived after a moment, oldest first.
SELECT content FROM held_bundle WHERE gateway = $1 AND last_received_at >= $2 ORDER BY bundle_id LIMIT $3;

-- free_bundle(bundle_id) --
-- A bundle whose messages are written in this transaction.
DELETE FROM held_bundle WHERE bundle_id = $1;

-- end_flood(lane, gateway) --
-- The flood of a gateway is over.
UPDATE gateway_flood SET ended_at = now() WHERE lane = $1 AND gateway = $2 AND ended_at IS NULL;

-- gateway_floods(areas, since) --
-- Floods since a moment and those that go on, newest first, with what still waits of each; a caller with areas sees
-- registered gateways of those.
SELECT f.lane, f.gateway, g.area, f.started_at, f.ended_at, f.held, f.limit_per_s,
       CASE WHEN f.ended_at IS NULL THEN coalesce(w.messages, 0) ELSE 0 END AS waiting
FROM gateway_flood f
LEFT JOIN gateway g ON g.code = f.gateway
LEFT JOIN LATERAL (SELECT sum(b.messages)::bigint AS messages FROM held_bundle b
                   WHERE b.lane = f.lane AND b.gateway = f.gateway) w ON true
WHERE (f.ended_at IS NULL OR f.started_at >= $2) AND ($1::text[] IS NULL OR g.area = ANY($1))
ORDER BY f.flood_id DESC LIMIT 500;

-- held_back(areas, gateway, slot) --
-- How many messages wait because their gateway is above its limit, of all or of one; a caller with areas sees the gateways of
-- those.
SELECT coalesce(sum(b.messages), 0)::bigint FROM held_bundle b
WHERE ($1::text[] IS NULL OR b.gateway IN (SELECT code FROM gateway WHERE area = ANY($1)))
  AND ($2::text IS NULL OR b.gateway = $2) AND ($3::text IS NULL OR b.lane = $3);
