-- Statements of the package `rules` for sets of rules and backtests. Format: see sql/__init__.py.

-- rule_set_in_force() --
-- The newest activation: its set's digest and files; both null for the packaged catalogue, no row before the first.
SELECT a.digest, s.files FROM rule_set_activation a LEFT JOIN rule_set s USING (digest)
ORDER BY a.activation_id DESC LIMIT 1;

-- add_rule_set(digest, files, note, actor, at) --
-- Keep a set of rules; the same set again changes nothing.
INSERT INTO rule_set (digest, files, note, uploaded_by, uploaded_at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING;

-- activate_rule_set(digest, actor, at, note) --
-- Put a set in force (null: the packaged catalogue).
INSERT INTO rule_set_activation (digest, activated_by, activated_at, note) VALUES ($1, $2, $3, $4);

-- notify_rules() --
-- Tell the rules service that another set is in force, or that a backtest waits, when the transaction commits.
SELECT pg_notify('gaswarden_rules', '');

-- rule_sets() --
-- Every uploaded set, newest first, with the time of its newest activation.
SELECT s.digest, s.note, s.uploaded_by, s.uploaded_at, max(a.activated_at) AS activated_at
FROM rule_set s LEFT JOIN rule_set_activation a USING (digest)
GROUP BY s.digest ORDER BY s.uploaded_at DESC;

-- rule_set(digest) --
-- One uploaded set, whole.
SELECT digest, files, note, uploaded_by, uploaded_at FROM rule_set WHERE rule_set.digest = $1;

-- unregistered_words(areas, devices, meter_classes) --
-- Those of some codes of districts, codes of devices and classes of meters that the registry does not know.
SELECT 'areas' AS key, word FROM unnest($1::text[]) AS word
WHERE NOT EXISTS (SELECT FROM district WHERE district.code = word)
UNION ALL
SELECT 'devices', word FROM unnest($2::text[]) AS word WHERE NOT EXISTS (SELECT FROM device WHERE device.code = word)
UNION ALL
SELECT 'meter_classes', word FROM unnest($3::text[]) AS word
WHERE NOT EXISTS (SELECT FROM device WHERE device.meter_class = word)
ORDER BY key, word;

-- backtest_devices(areas, codes) --
-- Devices of some areas (districts below them included) and codes; null restricts nothing.
WITH RECURSIVE within AS (
    SELECT district_id, code FROM district WHERE code = ANY($1)
    UNION
    SELECT child.district_id, child.code FROM district child JOIN within ON child.parent_id = within.district_id
)
SELECT d.device_id
FROM device d
JOIN gateway g ON g.gateway_id = d.gateway_id
LEFT JOIN installation i ON i.device_id = d.device_id AND i.removed_at IS NULL
LEFT JOIN premises p ON p.premises_id = i.premises_id
LEFT JOIN building b ON b.building_id = p.building_id
LEFT JOIN compound c ON c.compound_id = b.compound_id
LEFT JOIN district x ON x.district_id = c.district_id
WHERE ($2::text[] IS NULL OR d.code = ANY($2))
  AND ($1::text[] IS NULL OR coalesce(x.code, g.area) IN (SELECT code FROM within))
ORDER BY d.device_id;

-- known_leaks(since, until) --
-- Leaks known to have been one: alerts of meters that an inspection confirmed, and leak hazards without such an alert. Of a
-- hazard nobody knows since when gas escaped: a month is looked at.
SELECT 'alert ' || a.alert_id AS name, coalesce(others.device_ids, ARRAY[a.device_id]) AS device_ids, a.first_at AS from_at,
       coalesce(a.closed_at, a.last_at) AS to_at
FROM alert a
LEFT JOIN LATERAL (
    SELECT array_agg(i.device_id) AS device_ids FROM installation i
    WHERE i.premises_id = a.premises_id AND i.installed_at <= a.last_at AND (i.removed_at IS NULL OR i.removed_at > a.first_at)
) others ON true
WHERE a.confirmed AND a.device_id IS NOT NULL AND a.last_at >= $1 AND a.first_at < $2
UNION ALL
SELECT 'hazard ' || h.hazard_id, array_agg(i.device_id), h.found_at - interval '30 days', h.found_at
FROM hazard h
JOIN installation i ON i.premises_id = h.premises_id AND i.installed_at <= h.found_at
     AND (i.removed_at IS NULL OR i.removed_at > h.found_at)
WHERE h.code = 'leak' AND h.found_at >= $1 AND h.found_at < $2
  AND NOT EXISTS (
      SELECT FROM alert a WHERE a.premises_id = h.premises_id AND a.confirmed
      AND a.first_at <= h.found_at AND coalesce(a.closed_at, a.last_at) >= h.found_at - interval '30 days')
GROUP BY h.hazard_id
ORDER BY name;

-- request_backtest(asked, actor, at) --
-- Ask for a backtest.
INSERT INTO backtest (asked, requested_by, requested_at) VALUES ($1, $2, $3) RETURNING backtest_id;

-- claim_backtest(now, stale_s) --
-- Take the next backtest that waits, or whose process died; nothing while there is none.
UPDATE backtest SET state = 'running', progress_at = $1, devices_done = 0
WHERE backtest_id = (
    SELECT backtest_id FROM backtest
    WHERE state = 'queued' OR (state = 'running' AND progress_at < $1::timestamptz - make_interval(secs => $2))
    ORDER BY backtest_id LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING backtest_id, asked;

-- note_backtest(backtest_id, devices_done, devices, now) --
-- How far a backtest got.
UPDATE backtest SET devices_done = $2, devices = $3, progress_at = $4 WHERE backtest.backtest_id = $1;

-- finish_backtest(backtest_id, state, report, error, now) --
-- The end of a backtest.
UPDATE backtest SET state = $2, report = $3, error = $4, finished_at = $5 WHERE backtest.backtest_id = $1;

-- backtest(backtest_id) --
-- One backtest, with its report when it is done.
SELECT backtest_id, state, requested_by, requested_at, devices_done, devices, report, error, finished_at
FROM backtest WHERE backtest.backtest_id = $1;

-- backtests(count) --
-- The newest backtests.
SELECT backtest_id, state, requested_by, requested_at, devices_done, devices, error, finished_at
FROM backtest ORDER BY backtest_id DESC LIMIT $1;
