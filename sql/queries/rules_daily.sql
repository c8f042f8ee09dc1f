-- Statements of the package `rules` for what is looked at once a day. Format: see sql/__init__.py.

-- begin_daily(task, day) --
-- The row of a task, there from now on.
INSERT INTO rule_daily (task, day, after_id, done) VALUES ($1, $2, 0, false) ON CONFLICT DO NOTHING;

-- claim_daily(task) --
-- How far a task has come, locked; nothing while another process works at it.
SELECT day, after_id, done FROM rule_daily WHERE task = $1 FOR UPDATE SKIP LOCKED;

-- advance_daily(task, day, after_id, done) --
-- Remember how far a task has come.
UPDATE rule_daily SET day = $2, after_id = $3, done = $4 WHERE task = $1;

-- aged_devices(rule_id, kind, began_until, grace_until, severity_high, after_id, count) --
-- Devices in use that began their life by a day, in the order of their ids; without those whose open alert already says so
-- on the rung that holds. Of each page also the last id looked at.
WITH page AS (
    SELECT device_id FROM device WHERE device_id > $6 ORDER BY device_id LIMIT $7
)
SELECT d.device_id, d.code, d.kind AS device_kind, d.meter_class, p.user_class, coalesce(x.code, g.area) AS area, d.made_on,
       f.installed_on
FROM page
JOIN device d ON d.device_id = page.device_id
JOIN gateway g ON g.gateway_id = d.gateway_id
JOIN installation i ON i.device_id = d.device_id AND i.removed_at IS NULL
JOIN premises p ON p.premises_id = i.premises_id
JOIN building b ON b.building_id = p.building_id
JOIN compound c ON c.compound_id = b.compound_id
JOIN district x ON x.district_id = c.district_id
CROSS JOIN LATERAL (
    SELECT (min(o.installed_at) AT TIME ZONE 'UTC')::date AS installed_on FROM installation o WHERE o.device_id = d.device_id
) f
WHERE d.kind = $2 AND coalesce(d.made_on, f.installed_on) <= $3::date
  AND NOT EXISTS (
      SELECT FROM alert a WHERE a.rule_id = $1 AND a.subject = 'device:' || d.device_id
      AND a.state NOT IN ('verified', 'dismissed')
      AND (a.severity = $5 OR coalesce(d.made_on, f.installed_on) > $4::date));

-- device_page_end(after_id, count) --
-- The last id of a page of devices; null when there is none.
SELECT max(device_id) FROM (SELECT device_id FROM device WHERE device_id > $1 ORDER BY device_id LIMIT $2) page;

-- assets_over(rule_id, began_until) --
-- Open alerts about the age of devices that are not in use any more, or are younger than was thought.
SELECT a.subject
FROM alert a
JOIN device d ON d.device_id = a.device_id
WHERE a.rule_id = $1 AND a.state NOT IN ('verified', 'dismissed')
  AND (NOT EXISTS (SELECT FROM installation i WHERE i.device_id = d.device_id AND i.removed_at IS NULL)
       OR d.made_on > $2::date);

-- checked_zones(after_id, count) --
-- Places that check meters feed, in the order of their first check meter.
SELECT z.number, z.level, z.place_id, z.name, z.check_of
FROM (
    SELECT min(d.device_id) AS number, split_part(d.check_of, ':', 1) AS level,
           coalesce(b.building_id, c.compound_id, x.district_id) AS place_id, coalesce(b.name, c.name, x.name) AS name, d.check_of
    FROM device d
    LEFT JOIN building b ON d.check_of = 'building:' || b.code
    LEFT JOIN compound c ON d.check_of = 'compound:' || c.code
    LEFT JOIN district x ON d.check_of = 'district:' || x.code
    WHERE d.check_of IS NOT NULL
    GROUP BY 2, 3, 4, 5
) z
WHERE z.number > $1 AND z.place_id IS NOT NULL
ORDER BY z.number LIMIT $2;

-- zone_meters(level, place_id, check_of, from_at, to_at, known_at) --
-- The meters of a zone over a period: check meters, and homes' meters with what each used between its first readings within an
-- hour after both ends that had arrived at a moment; null where it was not read there, was not there all the time, or went
-- backwards.
WITH homes AS (
    SELECT i.premises_id, i.device_id, i.installed_at <= $4 AND (i.removed_at IS NULL OR i.removed_at >= $5) AS stayed
    FROM compound c
    JOIN building b ON b.compound_id = c.compound_id
    JOIN premises p ON p.building_id = b.building_id
    JOIN installation i ON i.premises_id = p.premises_id AND i.installed_at < $5 AND (i.removed_at IS NULL OR i.removed_at > $4)
    JOIN device d ON d.device_id = i.device_id AND d.kind = 'meter' AND d.check_of IS NULL
    WHERE CASE $1::text WHEN 'building' THEN b.building_id = $2 WHEN 'compound' THEN c.compound_id = $2
          ELSE c.district_id = $2 END
), meters AS (
    SELECT device_id, false AS is_check, stayed FROM homes h
    WHERE stayed OR NOT EXISTS (SELECT FROM homes o WHERE o.premises_id = h.premises_id AND o.stayed)
    UNION ALL
    SELECT device_id, true, true FROM device WHERE check_of = $3
)
SELECT d.code, m.is_check, d.pulse_ml,
       CASE WHEN m.stayed AND t.index_ml >= f.index_ml THEN t.index_ml - f.index_ml END AS used_ml
FROM meters m
JOIN device d ON d.device_id = m.device_id
LEFT JOIN LATERAL (
    SELECT r.index_ml FROM reading r LEFT JOIN batch a ON a.batch_id = r.batch_id
    WHERE r.device_id = m.device_id AND r.at >= $4 AND r.at <= $4::timestamptz + interval '1 hour' AND r.index_ml IS NOT NULL AND r.flags = 0
      AND coalesce(a.last_received_at <= $6, true)
    ORDER BY r.at LIMIT 1) f ON true
LEFT JOIN LATERAL (
    SELECT r.index_ml FROM reading r LEFT JOIN batch a ON a.batch_id = r.batch_id
    WHERE r.device_id = m.device_id AND r.at >= $5 AND r.at <= $5::timestamptz + interval '1 hour' AND r.index_ml IS NOT NULL AND r.flags = 0
      AND coalesce(a.last_received_at <= $6, true)
    ORDER BY r.at LIMIT 1) t ON true;

-- firing_zones(rule_id) --
-- Zones with an open loss that is still shown.
SELECT subject FROM alert WHERE rule_id = $1 AND state NOT IN ('verified', 'dismissed');
