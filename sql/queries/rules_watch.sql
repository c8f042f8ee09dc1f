-- Statements of the package `rules` for who has not been heard. Format: see sql/__init__.py.

-- watch_new_devices(now, count) --
-- Watch devices registered since the last look, in the order of their ids; they are looked at once at once.
WITH added AS (
    INSERT INTO device_watch (device_id, due_at)
    SELECT device_id, $1 FROM device
    WHERE device_id > coalesce((SELECT max(device_id) FROM device_watch), 0)
    ORDER BY device_id LIMIT $2
    ON CONFLICT DO NOTHING
    RETURNING 1
)
SELECT count(*) FROM added;

-- watch_missed_devices(now) --
-- Watch devices that a registration committed out of the order of its ids.
INSERT INTO device_watch (device_id, due_at)
SELECT d.device_id, $1 FROM device d LEFT JOIN device_watch w USING (device_id)
WHERE w.device_id IS NULL
ON CONFLICT DO NOTHING;

-- due_devices(now, count) --
-- Watched devices that are due, locked, the longest due first, with what is known of them and where they are; `placed` is
-- false for a device that was taken out, or was never heard and never installed; its gateway must have been heard once.
SELECT w.device_id, w.interval_s, w.silent_since, w.folded_into, d.code, d.kind AS device_kind, d.meter_class, p.user_class,
       coalesce(x.code, g.area) AS area, d.expected_interval_s, d.gateway_id, s.heard_at, i.installed_at,
       p.building_id, b.compound_id, c.district_id, gs.state_at AS gateway_state_at, gs.state AS gateway_state,
       gs.heard_at AS gateway_known_at, w.gaps,
       gs.gateway_id IS NOT NULL
           AND (i.device_id IS NOT NULL
                OR (s.device_id IS NOT NULL AND NOT EXISTS (SELECT FROM installation r WHERE r.device_id = w.device_id)))
           AS placed
FROM (SELECT * FROM device_watch WHERE due_at <= $1 ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED) w
JOIN device d ON d.device_id = w.device_id
JOIN gateway g ON g.gateway_id = d.gateway_id
LEFT JOIN gateway_state gs ON gs.gateway_id = d.gateway_id
LEFT JOIN device_state s ON s.device_id = w.device_id
LEFT JOIN installation i ON i.device_id = w.device_id AND i.removed_at IS NULL
LEFT JOIN premises p ON p.premises_id = i.premises_id
LEFT JOIN building b ON b.building_id = p.building_id
LEFT JOIN compound c ON c.compound_id = b.compound_id
LEFT JOIN district x ON x.district_id = c.district_id;

-- gateways_passed_on(gateway_ids, count) --
-- Up to when each gateway passed on what any device told; of a gateway with more than so many devices, of some of them.
SELECT g.gateway_id, (
    SELECT max(heard_at) FROM (
        SELECT s.heard_at FROM device d JOIN device_state s USING (device_id) WHERE d.gateway_id = g.gateway_id LIMIT $2
    ) AS passed_on) AS heard_at
FROM unnest($1::int[]) AS g (gateway_id);

-- device_arrivals(device_ids, since) --
-- When messages with readings of devices arrived, by our clock.
SELECT m.device_id, b.last_received_at AS at
FROM (SELECT DISTINCT device_id, batch_id FROM reading WHERE device_id = ANY($1) AND at > $2) m
JOIN batch b ON b.batch_id = m.batch_id;

-- save_watches(device_ids, intervals, gaps, dues, silents, folded) --
-- Write what was learned of devices, when to look next, and whether they are silent.
UPDATE device_watch w
SET interval_s = n.interval_s, gaps = n.gaps, due_at = n.due_at, silent_since = n.silent_since, folded_into = n.folded_into
FROM unnest($1::int[], $2::real[], $3::int[], $4::timestamptz[], $5::timestamptz[], $6::text[])
    AS n (device_id, interval_s, gaps, due_at, silent_since, folded_into)
WHERE w.device_id = n.device_id;

-- gone_devices(rule_id, until, count) --
-- Devices that their platform calls gone since before a moment and that were not heard since, while their gateway is not
-- gone itself; without those that have an open alert of this silence, or a closed one, or are folded into an incident.
SELECT d.device_id, d.code, d.kind AS device_kind, d.meter_class, p.user_class, coalesce(x.code, g.area) AS area,
       d.expected_interval_s, d.gateway_id, s.heard_at, s.presence_at, s.presence, p.building_id, b.compound_id, c.district_id,
       w.silent_since
FROM device_state s
JOIN device d ON d.device_id = s.device_id
JOIN gateway g ON g.gateway_id = d.gateway_id
LEFT JOIN gateway_state gs ON gs.gateway_id = d.gateway_id
LEFT JOIN device_watch w ON w.device_id = d.device_id
LEFT JOIN installation i ON i.device_id = d.device_id AND i.removed_at IS NULL
LEFT JOIN premises p ON p.premises_id = i.premises_id
LEFT JOIN building b ON b.building_id = p.building_id
LEFT JOIN compound c ON c.compound_id = b.compound_id
LEFT JOIN district x ON x.district_id = c.district_id
WHERE s.presence <> 'online' AND s.presence_at <= $2 AND s.heard_at <= s.presence_at
  AND gs.state IS DISTINCT FROM 'offline' AND w.folded_into IS NULL
  AND NOT EXISTS (
      SELECT FROM alert a WHERE a.rule_id = $1 AND a.subject = 'device:' || d.device_id
      AND (a.state NOT IN ('verified', 'dismissed') OR a.first_at >= greatest(s.heard_at, w.silent_since)))
ORDER BY s.presence_at, d.device_id LIMIT $3;

-- watched_places(level, place_ids, overdue_intervals, now, gateway_rule_ids) --
-- How much is watched in buildings or compounds, how much of it is overdue, and when anything there was heard last; what
-- hangs on a gateway that is silent itself counts for nothing.
SELECT CASE $1::text WHEN 'building' THEN b.building_id ELSE b.compound_id END AS place_id,
       min(CASE $1 WHEN 'building' THEN b.name ELSE c.name END) AS name, count(*)::int AS watched,
       (count(*) FILTER (WHERE s.heard_at < $4::timestamptz - make_interval(
           secs => $3::double precision * coalesce(w.interval_s, d.expected_interval_s))))::int AS overdue,
       max(s.heard_at) AS newest_at
FROM (
    SELECT building_id, compound_id, name FROM building WHERE $1 = 'building' AND building_id = ANY($2)
    UNION ALL
    SELECT building_id, compound_id, name FROM building WHERE $1 = 'compound' AND compound_id = ANY($2)
) b
JOIN compound c ON c.compound_id = b.compound_id
JOIN premises p ON p.building_id = b.building_id
JOIN installation i ON i.premises_id = p.premises_id AND i.removed_at IS NULL
JOIN device d ON d.device_id = i.device_id
JOIN device_state s ON s.device_id = d.device_id
LEFT JOIN device_watch w ON w.device_id = d.device_id
WHERE NOT EXISTS (
      SELECT FROM alert a WHERE a.rule_id = ANY($5) AND a.subject = 'gateway:' || d.gateway_id
      AND a.state NOT IN ('verified', 'dismissed'))
GROUP BY 1;

-- compounds_of_districts(district_ids) --
-- The compounds of districts in which anything is installed, with the district's name. Each compound is asked for one device:
-- a plain EXISTS was joined with every home of the city first.
SELECT c.district_id, c.compound_id, x.name
FROM compound c JOIN district x USING (district_id)
CROSS JOIN LATERAL (
    SELECT FROM building b
    JOIN premises p ON p.building_id = b.building_id
    JOIN installation i ON i.premises_id = p.premises_id AND i.removed_at IS NULL
    WHERE b.compound_id = c.compound_id LIMIT 1) inhabited
WHERE c.district_id = ANY($1);

-- open_cells(rule_ids) --
-- Incidents of silent places that are open: rule, subject and, for a compound or building, what it lies in.
SELECT a.rule_id, a.subject, split_part(a.subject, ':', 1) AS level, split_part(a.subject, ':', 2)::int AS place_id,
       coalesce(c.district_id, CASE WHEN a.subject LIKE 'district:%' THEN split_part(a.subject, ':', 2)::int END) AS district_id,
       c.compound_id
FROM alert a
LEFT JOIN building b ON a.subject LIKE 'building:%' AND b.building_id = split_part(a.subject, ':', 2)::int
LEFT JOIN compound c ON c.compound_id = coalesce(b.compound_id, CASE WHEN a.subject LIKE 'compound:%'
                                                                THEN split_part(a.subject, ':', 2)::int END)
WHERE a.rule_id = ANY($1) AND a.state NOT IN ('verified', 'dismissed');

-- silences_within(rule_ids, level, place_id) --
-- Open alerts of single silent devices in a place.
SELECT a.rule_id, a.subject, a.device_id
FROM alert a
JOIN premises p ON p.premises_id = a.premises_id
JOIN building b ON b.building_id = p.building_id
JOIN compound c ON c.compound_id = b.compound_id
WHERE a.rule_id = ANY($1) AND a.state NOT IN ('verified', 'dismissed')
  AND CASE $2::text WHEN 'building' THEN b.building_id = $3 WHEN 'compound' THEN c.compound_id = $3
      ELSE c.district_id = $3 END;

-- fold_watches(device_ids, subject) --
-- Note into which incident silent devices are folded.
UPDATE device_watch SET folded_into = $2 WHERE device_id = ANY($1);

-- refold_watches(from_subject, to_subject) --
-- What was folded into a small incident is folded into the larger one that took it up.
UPDATE device_watch SET folded_into = $2 WHERE folded_into = $1;

-- unfold_watches(subject, at) --
-- An incident is over: what was folded into it is looked at now, each for itself, and is silent from now on if at all.
UPDATE device_watch SET folded_into = NULL, due_at = $2, silent_since = $2 WHERE folded_into = $1;

-- shortest_interval() --
-- The shortest interval at which anything should be heard, in seconds.
SELECT least((SELECT min(expected_interval_s) FROM device), (SELECT min(expected_interval_s) FROM gateway));

-- gateways_of_areas(areas, rule_ids) --
-- Districts by code with how many gateways they have that were ever heard, which of them have an open alert of silence, when
-- any of the others was heard last, and the district's name.
SELECT x.district_id, x.code AS area, x.name, count(*)::int AS gateways, max(s.heard_at) AS newest_at,
       coalesce(array_agg(g.gateway_id) FILTER (WHERE a.alert_id IS NOT NULL), '{}') AS silent_ids
FROM district x
JOIN gateway g ON g.area = x.code
JOIN gateway_state s ON s.gateway_id = g.gateway_id
LEFT JOIN alert a ON a.rule_id = ANY($2) AND a.subject = 'gateway:' || g.gateway_id AND a.state NOT IN ('verified', 'dismissed')
WHERE x.code = ANY($1)
GROUP BY x.district_id, x.code, x.name;

-- flooding_gateways(rule_id) --
-- Registered gateways whose flood goes on, over all lanes, without those that have an open alert for it.
SELECT g.gateway_id, g.code, g.area, min(f.started_at) AS started_at, sum(f.held)::bigint AS held, max(f.limit_per_s) AS limit_per_s
FROM gateway_flood f
JOIN gateway g ON g.code = f.gateway
JOIN district x ON x.code = g.area
WHERE f.ended_at IS NULL AND NOT EXISTS (
    SELECT FROM alert a
    WHERE a.rule_id = $1 AND a.subject = 'gateway:' || g.gateway_id AND a.state NOT IN ('verified', 'dismissed'))
GROUP BY g.gateway_id ORDER BY g.gateway_id;

-- floods_over(rule_ids) --
-- Open alerts about floods of gateways of which none goes on.
SELECT a.rule_id, a.subject FROM alert a
WHERE a.rule_id = ANY($1) AND a.state NOT IN ('verified', 'dismissed')
  AND NOT EXISTS (
      SELECT FROM gateway g JOIN gateway_flood f ON f.gateway = g.code AND f.ended_at IS NULL
      WHERE a.subject = 'gateway:' || g.gateway_id);
