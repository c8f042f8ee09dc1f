-- Statements of the package `rules` about the life of alerts. Format: see sql/__init__.py.

-- list_alerts(states, severities, areas, rule_id, since, until, late, text, after_at, after_id, count, scope, owner, unowned, due_before, due_from, severity, area_code) --
-- A page of alerts, newest first; null filters restrict nothing; `after_at` and `after_id` are those of the last alert of the
-- page before. Planned for the filters given (plan_cache_mode): each of the partial indexes of alert serves one of them;
-- one severity or district is given by itself, so that its index has the order, too. A text of three letters and more is
-- looked up by its trigrams where it is rare, and met on the way from the newest alert where it is common.
SELECT a.*, d.code AS device, p.code AS premises, b.code AS building, g.code AS gateway, b.latitude, b.longitude,
       CASE WHEN a.subject LIKE 'compound:%' THEN
           (SELECT c.code FROM compound c WHERE c.compound_id = split_part(a.subject, ':', 2)::int) END AS compound,
       CASE WHEN a.subject LIKE 'district:%' THEN a.area END AS district
FROM (
    SELECT alert_id, rule_id, subject, area, severity, worst_severity, state, firing, late, leak, guarded, sentence, first_at, last_at,
           raised_at, unit, last_value, worst_value, count, visit, owner, confirmed, episode, cause, closed_at, device_id,
           premises_id, building_id, gateway_id, clock_at, needed_at, owned_at, controlled_at, notified_at, acknowledged_at,
           dispatched_at, on_site_at, made_safe_at, due_stage, due_at, escalation, awaited_visit_id, awaited_from, awaited_to,
           verify_by
    FROM alert
    WHERE ($1::text[] IS NULL OR state = ANY($1))
      AND ($2::text[] IS NULL OR severity = ANY($2))
      AND ($3::text[] IS NULL OR area = ANY($3))
      AND ($4::text IS NULL OR rule_id = $4)
      AND ($5::timestamptz IS NULL OR raised_at >= $5)
      AND ($6::timestamptz IS NULL OR raised_at < $6)
      AND ($7::boolean IS NULL OR late = $7)
      AND ($8::text IS NULL
           OR lower(sentence) LIKE '%' || replace(replace(replace(lower($8), '\', '\\'), '%', '\%'), '_', '\_') || '%'
           OR device_id = ANY(ARRAY(SELECT x.device_id FROM device x WHERE x.code = $8))
           OR premises_id = ANY(ARRAY(SELECT x.premises_id FROM premises x WHERE x.code = $8)))
      AND ($9::timestamptz IS NULL OR (raised_at, alert_id) < ($9, $10::bigint))
      AND ($12::text[] IS NULL OR area = ANY($12))
      AND ($13::text IS NULL OR owner = $13)
      AND ($14::boolean IS NULL OR (owner IS NULL) = $14)
      AND ($15::timestamptz IS NULL OR due_at < $15)
      AND ($16::timestamptz IS NULL OR due_at >= $16)
      AND ($17::text IS NULL OR severity = $17)
      AND ($18::text IS NULL OR area = $18)
    ORDER BY raised_at DESC, alert_id DESC
    LIMIT $11
) a
LEFT JOIN device d ON d.device_id = a.device_id
LEFT JOIN premises p ON p.premises_id = a.premises_id
LEFT JOIN building b ON b.building_id = a.building_id
LEFT JOIN gateway g ON g.gateway_id = a.gateway_id
ORDER BY a.raised_at DESC, a.alert_id DESC;

-- alert_raised_at(alert_id) --
-- When an alert was raised: where a page goes on.
SELECT raised_at FROM alert WHERE alert_id = $1;

-- plan_for_values() --
-- Plan the next statements of this transaction for the values they are given.
SET LOCAL plan_cache_mode = force_custom_plan;

-- alert_whole(alert_id) --
-- One alert with the names of its device and place, and what its rule said when it fired.
SELECT a.*, v.definition, d.code AS device, d.model, d.meter_class, p.code AS premises, p.unit AS premises_unit,
       p.address, p.contact_name, p.contact_phone, p.user_class, b.code AS building, b.name AS building_name,
       b.latitude, b.longitude, g.code AS gateway,
       CASE WHEN a.subject LIKE 'compound:%' THEN
           (SELECT c.code FROM compound c WHERE c.compound_id = split_part(a.subject, ':', 2)::int) END AS compound,
       CASE WHEN a.subject LIKE 'district:%' THEN a.area END AS district
FROM alert a
LEFT JOIN rule_version v ON v.rule_id = a.rule_id AND v.version = a.rule_version
LEFT JOIN device d ON d.device_id = a.device_id
LEFT JOIN premises p ON p.premises_id = a.premises_id
LEFT JOIN building b ON b.building_id = a.building_id
LEFT JOIN gateway g ON g.gateway_id = a.gateway_id
WHERE a.alert_id = $1;

-- lock_alerts(alert_ids) --
-- Several alerts, locked in one order whoever asks.
SELECT * FROM alert WHERE alert_id = ANY($1) ORDER BY alert_id FOR UPDATE;

-- kind_that_fired(rule_id, version) --
-- The kind of a rule as it stood when it fired.
SELECT definition->>'kind' FROM rule_version WHERE rule_version.rule_id = $1 AND version = $2;

-- move_alerts(rows) --
-- Write what a step of a person or of the clock changes in alerts; what telemetry knows stays as it is.
UPDATE alert SET state = r.state, owner = r.owner, closed_at = r.closed_at, cause = r.cause, confirmed = r.confirmed,
    clock_at = r.clock_at, needed_at = r.needed_at, owned_at = r.owned_at, controlled_at = r.controlled_at,
    acknowledged_at = r.acknowledged_at, dispatched_at = r.dispatched_at, on_site_at = r.on_site_at,
    made_safe_at = r.made_safe_at, due_stage = r.due_stage, due_at = r.due_at, wake_at = r.wake_at,
    reminded_at = r.reminded_at, quiet_until = r.quiet_until, escalation = r.escalation,
    awaited_visit_id = r.awaited_visit_id, awaited_from = r.awaited_from, awaited_to = r.awaited_to, verify_by = r.verify_by
FROM jsonb_to_recordset($1::jsonb) AS r (
    alert_id bigint, state text, owner text, closed_at timestamptz, cause text, confirmed boolean, clock_at timestamptz,
    needed_at timestamptz, owned_at timestamptz, controlled_at timestamptz, acknowledged_at timestamptz,
    dispatched_at timestamptz, on_site_at timestamptz, made_safe_at timestamptz, due_stage text, due_at timestamptz,
    wake_at timestamptz, reminded_at timestamptz, quiet_until timestamptz, escalation int, awaited_visit_id bigint,
    awaited_from timestamptz, awaited_to timestamptz, verify_by timestamptz)
WHERE alert.alert_id = r.alert_id;

-- note_first_notices(alert_ids, at) --
-- A channel took a notice of these alerts: the first time is a stage of their clocks.
UPDATE alert SET notified_at = $2
WHERE alert_id IN (SELECT a.alert_id FROM alert a WHERE a.alert_id = ANY($1::bigint[]) AND a.notified_at IS NULL
                   ORDER BY a.alert_id FOR NO KEY UPDATE);

-- regime_in_force() --
-- The newest regime.
SELECT name, version, definition FROM regime ORDER BY regime_id DESC LIMIT 1;

-- put_regime_in_force(name, version, definition, in_force_at) --
-- From now on this regime holds; nothing when it does already.
INSERT INTO regime (name, version, definition, in_force_at)
SELECT $1, $2, $3, $4
WHERE NOT EXISTS (
    SELECT FROM (SELECT name, version FROM regime ORDER BY regime_id DESC LIMIT 1) newest
    WHERE newest.name = $1 AND newest.version = $2)
RETURNING regime_id;

-- lock_regime() --
-- One change of the regime at a time, until the transaction ends.
SELECT pg_advisory_xact_lock(hashtext('gaswarden.rules.regime'));

-- wake_open_alerts(now) --
-- Have the clock of every open alert looked at again: the regime is another.
UPDATE alert SET wake_at = $1 WHERE state NOT IN ('verified', 'dismissed');

-- alerts_to_wake(now, count) --
-- Open alerts whose clock must be looked at, the longest waiting first, locked; those that somebody works on are left.
SELECT * FROM alert
WHERE state NOT IN ('verified', 'dismissed') AND wake_at IS NOT NULL AND wake_at <= $1
ORDER BY wake_at LIMIT $2 FOR UPDATE SKIP LOCKED;

-- escalations_told(alert_ids) --
-- Which levels of which missed deadlines the timelines of alerts tell.
SELECT alert_id, evidence ->> 'stage' AS stage, evidence ->> 'due_at' AS due_at, (evidence ->> 'level')::int AS level
FROM alert_step WHERE alert_id = ANY($1) AND step = 'escalated';

-- alerts_shut_off(count) --
-- Open alerts, locked, whose home's gas supply a command has proved to be off since the alarm, and that do not know it yet.
SELECT a.*, c.command_id, c.ended_at AS proved_at
FROM command c
JOIN alert a ON a.alert_id = c.alert_id
WHERE c.valve = 'close' AND c.state = 'proved' AND a.controlled_at IS NULL
  AND a.state IN ('open', 'acknowledged', 'dispatched', 'on_site') AND c.ended_at >= coalesce(a.clock_at, a.raised_at)
ORDER BY a.alert_id LIMIT $1 FOR UPDATE OF a SKIP LOCKED;

-- alerts_to_prove(count) --
-- Alerts about one device, locked, that were made safe and do not fire, whose device has been heard since. No leaks.
SELECT a.* FROM alert a JOIN device_state s USING (device_id)
WHERE a.state = 'made_safe' AND NOT a.leak AND NOT a.firing AND s.heard_at > a.made_safe_at
ORDER BY a.alert_id LIMIT $1 FOR UPDATE OF a SKIP LOCKED;

-- hold_notices(alert_ids, untils) --
-- Note that a notice of alerts was held back by a silence: they are looked at again when it ends.
UPDATE alert SET quiet_until = r.until, wake_at = least(wake_at, r.until)
FROM unnest($1::bigint[], $2::timestamptz[]) AS r (alert_id, until)
WHERE alert.alert_id = r.alert_id;

-- wake_quiet_alerts(now) --
-- A silence has ended before its time: look again at alerts whose notices were held back.
UPDATE alert SET quiet_until = $1, wake_at = least(wake_at, $1)
WHERE state NOT IN ('verified', 'dismissed') AND quiet_until > $1;

-- silences_covering(alert_ids, now) --
-- Silences not ended yet whose scope covers each of these alerts, also those that have not begun or wait for approval.
WITH RECURSIVE below AS (
    SELECT s.silence_id, d.district_id, d.code FROM silence s JOIN district d ON d.code = s.area
    WHERE s.ended_at IS NULL AND s.until_at > $2
    UNION
    SELECT below.silence_id, child.district_id, child.code FROM below JOIN district child ON child.parent_id = below.district_id
)
SELECT a.alert_id, s.silence_id, s.kind, s.from_at, s.until_at, s.author, s.reason, s.leaks, s.approved_by, s.ended_at
FROM silence s
JOIN alert a ON a.alert_id = ANY($1)
 AND (s.rule_id IS NULL OR s.rule_id = a.rule_id)
 AND (s.device_id IS NULL OR s.device_id = a.device_id)
 AND (s.subject IS NULL OR s.subject = a.subject)
 AND (s.area IS NULL OR EXISTS (SELECT FROM below WHERE below.silence_id = s.silence_id AND below.code = a.area))
WHERE s.ended_at IS NULL AND s.until_at > $2
ORDER BY s.silence_id;

-- add_silence(kind, rule_id, area, device_id, subject, place, from_at, until_at, reason, author, created_at, leaks) --
-- A new silence; returns its id.
INSERT INTO silence (kind, rule_id, area, device_id, subject, place, from_at, until_at, reason, author, created_at, leaks)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) RETURNING silence_id;

-- lock_silence(silence_id) --
-- One silence with the code of its device, locked.
SELECT s.*, d.code AS device FROM silence s LEFT JOIN device d USING (device_id)
WHERE s.silence_id = $1 FOR UPDATE OF s;

-- approve_silence(silence_id, approved_by, approved_at) --
-- A second person lets a silence cover leaks.
UPDATE silence SET approved_by = $2, approved_at = $3 WHERE silence_id = $1;

-- end_silence(silence_id, ended_by, ended_at) --
-- End a silence before its time.
UPDATE silence SET ended_by = $2, ended_at = $3 WHERE silence_id = $1;

-- silence_list(active_at, scope, after, count) --
-- Silences of some districts and of the whole city, newest first; `active_at`: only those not over then.
SELECT s.*, d.code AS device FROM silence s LEFT JOIN device d USING (device_id)
WHERE ($1::timestamptz IS NULL OR (s.until_at > $1 AND (s.ended_at IS NULL OR s.ended_at > $1)))
  AND ($2::text[] IS NULL OR s.place IS NULL OR s.place = ANY($2))
  AND ($3::bigint IS NULL OR s.silence_id < $3)
ORDER BY s.silence_id DESC LIMIT $4;

-- subject_area(device_id, building_id, gateway_id, premises_id) --
-- The district of a device, a building, a gateway or a door; nothing when there is none such.
SELECT coalesce(t.code, g.area) AS area
FROM device d
JOIN gateway g ON g.gateway_id = d.gateway_id
LEFT JOIN installation i ON i.device_id = d.device_id AND i.removed_at IS NULL
LEFT JOIN premises p ON p.premises_id = i.premises_id
LEFT JOIN building b ON b.building_id = p.building_id
LEFT JOIN compound c ON c.compound_id = b.compound_id
LEFT JOIN district t ON t.district_id = c.district_id
WHERE d.device_id = $1
UNION ALL
SELECT t.code FROM building b JOIN compound c USING (compound_id) JOIN district t USING (district_id) WHERE b.building_id = $2
UNION ALL
SELECT g.area FROM gateway g WHERE g.gateway_id = $3
UNION ALL
SELECT t.code FROM premises p JOIN building b USING (building_id) JOIN compound c USING (compound_id) JOIN district t USING (district_id)
WHERE p.premises_id = $4;

-- may_own_alerts(name, area) --
-- Whether an account may own alerts of a district: an officer or administrator whose areas hold it; nothing: no such account.
WITH RECURSIVE above AS (
    SELECT code, parent_id FROM district WHERE code = $2
    UNION
    SELECT d.code, d.parent_id FROM district d JOIN above ON d.district_id = above.parent_id
)
SELECT role IN ('officer', 'administrator') AND (areas IS NULL OR areas && ARRAY(SELECT code FROM above)) AS may
FROM account WHERE name = $1 AND revoked_at IS NULL;

-- proof_samples(device_id, since) --
-- Readings of a device after a moment that could prove that all is normal, newest first, at most ten thousand.
SELECT at, index_ml, lel_pct, flags, status FROM reading
WHERE device_id = $1 AND at > $2 ORDER BY at DESC LIMIT 10000;

-- proof_device(device_id) --
-- What judging a device's readings needs to know of it.
SELECT kind, warn_lel_pct, made_on FROM device WHERE device_id = $1;

-- proof_inspection(outcome_id) --
-- What an inspection found and where; whether a hazard of it is still open.
SELECT o.outcome_id, o.result, o.at, o.premises_id, p.building_id,
       EXISTS (SELECT FROM hazard h WHERE h.outcome_id = o.outcome_id AND h.state = 'open') AS hazard_open
FROM outcome o JOIN premises p USING (premises_id) WHERE o.outcome_id = $1;

-- current_snapshot() --
-- Which transactions have committed by now, as text.
SELECT pg_current_snapshot()::text;

-- steps_between(base, seen, step_id, scope, count) --
-- Timeline rows that were committed after the snapshot `base` and up to `seen`, in order of their ids, after one of them.
SELECT s.step_id, s.alert_id, s.at, s.step, s.from_state, s.to_state, s.actor, s.reason,
       a.rule_id, a.subject, a.area, a.severity, a.state, a.late, a.owner, a.sentence
FROM alert_step s JOIN alert a USING (alert_id)
WHERE s.transaction_id >= pg_snapshot_xmin($1::text::pg_snapshot)
  AND NOT pg_visible_in_snapshot(s.transaction_id, $1::text::pg_snapshot)
  AND pg_visible_in_snapshot(s.transaction_id, $2::text::pg_snapshot)
  AND s.step_id > $3 AND ($4::text[] IS NULL OR a.area = ANY($4))
ORDER BY s.step_id LIMIT $5;
