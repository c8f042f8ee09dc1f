-- Statements of the package `rules` that load a stretch of history to be played again. Format: see sql/__init__.py.

-- replayed_devices(device_ids) --
-- Some devices, and all others that bear on what is said of them: what hangs on their gateways or lies in their districts, and
-- whatever hangs on the gateways of those.
WITH asked AS (
    SELECT d.device_id, d.gateway_id, g.area FROM device d JOIN gateway g USING (gateway_id) WHERE d.device_id = ANY($1)
), districts AS (
    SELECT x.district_id, x.code FROM district x WHERE x.code IN (SELECT area FROM asked)
    UNION
    SELECT x.district_id, x.code
    FROM asked a
    JOIN installation i USING (device_id)
    JOIN premises p USING (premises_id)
    JOIN building b USING (building_id)
    JOIN compound c USING (compound_id)
    JOIN district x USING (district_id)
), near AS (
    SELECT gateway_id FROM gateway WHERE area IN (SELECT code FROM districts)
    UNION
    SELECT d.gateway_id
    FROM compound c
    JOIN building b USING (compound_id)
    JOIN premises p USING (building_id)
    JOIN installation i USING (premises_id)
    JOIN device d USING (device_id)
    WHERE c.district_id IN (SELECT district_id FROM districts)
)
SELECT device_id, code, kind AS device_kind, meter_class, expected_interval_s, gateway_id
FROM device WHERE gateway_id IN (SELECT gateway_id FROM near) ORDER BY device_id;

-- replayed_gateways(gateway_ids) --
-- Some gateways and all others of their districts.
SELECT g.gateway_id, g.code, g.area, g.expected_interval_s, x.district_id, x.name AS district
FROM gateway g JOIN district x ON x.code = g.area
WHERE g.area IN (SELECT area FROM gateway WHERE gateway_id = ANY($1)) ORDER BY g.gateway_id;

-- stays(device_ids) --
-- Where devices were installed, from when to when.
SELECT i.device_id, i.installed_at, i.removed_at, p.user_class, x.code AS area, b.building_id, c.compound_id, x.district_id,
       b.name AS building, c.name AS compound, x.name AS district
FROM installation i
JOIN premises p USING (premises_id)
JOIN building b USING (building_id)
JOIN compound c USING (compound_id)
JOIN district x USING (district_id)
WHERE i.device_id = ANY($1);

-- flood_spans(gateway_ids, until) --
-- Floods of gateways that began before a moment.
SELECT g.gateway_id, f.started_at, f.ended_at, f.held, f.limit_per_s
FROM gateway_flood f JOIN gateway g ON g.code = f.gateway
WHERE g.gateway_id = ANY($1) AND f.started_at < $2;

-- heard_until(device_ids, until) --
-- Up to when devices were known by what had arrived by a moment.
SELECT wanted.device_id, last.heard_at
FROM unnest($1::int[]) AS wanted (device_id)
CROSS JOIN LATERAL (
    SELECT least(CASE WHEN r.status & 256 <> 0 THEN b.last_received_at ELSE r.at END, b.last_received_at) AS heard_at
    FROM reading r JOIN batch b USING (batch_id)
    WHERE r.device_id = wanted.device_id AND r.at <= $2 AND b.last_received_at <= $2
    ORDER BY r.at DESC LIMIT 1
) last;

-- presence_until(device_ids, until) --
-- The newest word of platforms about devices by a moment.
SELECT DISTINCT ON (device_id) device_id, at AS told_at, state AS presence
FROM event WHERE kind = 'presence' AND device_id = ANY($1) AND at <= $2 AND received_at <= $2
ORDER BY device_id, at DESC;

-- gateway_words_until(gateway_ids, until) --
-- The newest birth and the newest will of gateways by a moment, in order of arrival.
SELECT received_at AS arrived_at, gateway_id, at AS told_at, state, session FROM (
    SELECT DISTINCT ON (gateway_id, state) * FROM gateway_event WHERE gateway_id = ANY($1) AND received_at <= $2
    ORDER BY gateway_id, state, received_at DESC
) newest ORDER BY received_at;

-- arrival_bounds(since, until) --
-- Which batches arrived within a time, and which device time they touched.
SELECT min(batch_id) AS first_id, max(batch_id) AS last_id, min(first_at) AS first_at, max(last_at) AS last_at
FROM batch WHERE last_received_at > $1 AND last_received_at <= $2;

-- readings_told(since, until, first_id, last_id, first_at, last_at, device_ids) --
-- Devices of which readings arrived within a time, by batch: up to when each was known by it, and its newest reading.
SELECT b.last_received_at AS arrived_at, r.device_id,
       max(least(CASE WHEN r.status & 256 <> 0 THEN b.last_received_at ELSE r.at END, b.last_received_at)) AS heard_at,
       max(r.at) AS read_at
FROM reading r JOIN batch b USING (batch_id)
WHERE r.batch_id BETWEEN $3 AND $4 AND r.at >= $5 AND r.at <= $6 AND r.device_id = ANY($7)
  AND b.last_received_at > $1 AND b.last_received_at <= $2
GROUP BY r.device_id, b.batch_id;

-- events_told(since, until, first_id, last_id, device_ids) --
-- What devices asserted, and readings and events that were refused because others of that moment were there, by arrival.
SELECT received_at AS arrived_at, device_id, at AS told_at, kind, state
FROM event WHERE batch_id BETWEEN $3 AND $4 AND received_at > $1 AND received_at <= $2 AND device_id = ANY($5)
UNION ALL
SELECT b.last_received_at, c.device_id, c.at, 'conflict', ''
FROM conflict c JOIN batch b USING (batch_id)
WHERE c.batch_id BETWEEN $3 AND $4 AND b.last_received_at > $1 AND b.last_received_at <= $2 AND c.device_id = ANY($5);

-- gateway_words_told(since, until, gateway_ids) --
-- Births and wills of gateways that arrived within a time.
SELECT received_at AS arrived_at, gateway_id, at AS told_at, state, session
FROM gateway_event WHERE gateway_id = ANY($3) AND received_at > $1 AND received_at <= $2;

-- refused_told(since, until, gateway_ids) --
-- When something that is kept in quarantine came through a gateway, the first and the last time.
SELECT g.gateway_id, t.arrived_at
FROM quarantine q
JOIN gateway g ON g.code = q.gateway
CROSS JOIN LATERAL (VALUES (q.first_received_at), (q.last_received_at)) AS t (arrived_at)
WHERE g.gateway_id = ANY($3) AND q.last_received_at > $1 AND t.arrived_at > $1 AND t.arrived_at <= $2;

-- aged_in_period(kind, device_ids, began_until) --
-- Devices of a kind that began their life by a day, with every time and place in which they were in use.
SELECT d.device_id, d.code, d.kind AS device_kind, d.meter_class, p.user_class, x.code AS area, d.made_on, f.installed_on,
       i.installed_at, i.removed_at
FROM device d
JOIN installation i ON i.device_id = d.device_id
JOIN premises p USING (premises_id)
JOIN building b USING (building_id)
JOIN compound c USING (compound_id)
JOIN district x USING (district_id)
CROSS JOIN LATERAL (
    SELECT (min(o.installed_at) AT TIME ZONE 'UTC')::date AS installed_on FROM installation o WHERE o.device_id = d.device_id
) f
WHERE d.kind = $1 AND d.device_id = ANY($2) AND coalesce(d.made_on, f.installed_on) <= $3::date
ORDER BY d.device_id, i.installed_at;

-- zones_around(device_ids) --
-- Places with check meters around some devices, those that they check among them.
WITH around AS (
    SELECT DISTINCT b.code AS building, c.code AS compound, x.code AS district
    FROM installation i
    JOIN premises p USING (premises_id)
    JOIN building b USING (building_id)
    JOIN compound c USING (compound_id)
    JOIN district x USING (district_id)
    WHERE i.device_id = ANY($1)
)
SELECT DISTINCT check_of FROM device WHERE check_of IS NOT NULL AND (
    device_id = ANY($1)
    OR check_of IN (
        SELECT 'building:' || building FROM around
        UNION SELECT 'compound:' || compound FROM around
        UNION SELECT 'district:' || district FROM around));
