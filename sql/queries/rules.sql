-- Statements of the package `rules`. Format: see sql/__init__.py.

-- add_cursors(stream) --
-- Give every slot that ever committed a batch its cursor; a new slot starts before its first batch.
WITH RECURSIVE known (slot) AS (
    (SELECT slot FROM batch ORDER BY slot LIMIT 1)
    UNION ALL
    SELECT (SELECT next.slot FROM batch next WHERE next.slot > known.slot ORDER BY next.slot LIMIT 1)
    FROM known WHERE known.slot IS NOT NULL
)
INSERT INTO rule_cursor (stream, slot, batch_id)
SELECT $1, slot, 0 FROM known WHERE slot IS NOT NULL
ON CONFLICT DO NOTHING;

-- waiting_slots(stream) --
-- Slots with batches that a stream has not evaluated.
SELECT c.slot FROM rule_cursor c
WHERE c.stream = $1 AND EXISTS (SELECT FROM batch b WHERE b.slot = c.slot AND b.batch_id > c.batch_id)
ORDER BY c.slot;

-- claim_cursor(stream, slot) --
-- The last evaluated batch of a slot, locked until the results are committed; nothing while another process holds it.
SELECT batch_id FROM rule_cursor WHERE stream = $1 AND slot = $2 FOR UPDATE SKIP LOCKED;

-- advance_cursor(stream, slot, batch_id) --
-- Remember how far a stream has evaluated a slot.
UPDATE rule_cursor SET batch_id = $3 WHERE stream = $1 AND slot = $2;

-- event_batches_after(slot, batch_id, count) --
-- The next batches of a slot in commit order, for the events stream.
SELECT batch_id, event_rows, quarantined FROM batch WHERE slot = $1 AND batch_id > $2 ORDER BY batch_id LIMIT $3;

-- reading_batches_after(slot, batch_id, count) --
-- The next batches of a slot in commit order, with the devices and the device time they touched.
SELECT batch_id, device_ids, first_at, last_at FROM batch WHERE slot = $1 AND batch_id > $2 ORDER BY batch_id LIMIT $3;

-- events_of_batches(batch_ids, kinds) --
-- Events of some kinds in batches, each with its device and the place it was in at that moment.
SELECT e.device_id, d.code, e.kind, e.state, e.at, d.kind AS device_kind, d.meter_class, p.user_class,
       coalesce(x.code, g.area) AS area, p.building_id, e.level, e.lel_pct, e.test, e.late, s.status,
       CASE WHEN s.leak_state = 'cleared' THEN s.leak_at END AS cleared_at, g.code AS gateway,
       i.device_id IS NOT NULL AS installed
FROM event e
JOIN device d ON d.device_id = e.device_id
JOIN gateway g ON g.gateway_id = d.gateway_id
LEFT JOIN device_state s ON s.device_id = e.device_id
LEFT JOIN installation i ON i.device_id = e.device_id AND i.installed_at <= e.at
     AND (i.removed_at IS NULL OR i.removed_at > e.at)
LEFT JOIN premises p ON p.premises_id = i.premises_id
LEFT JOIN building b ON b.building_id = p.building_id
LEFT JOIN compound c ON c.compound_id = b.compound_id
LEFT JOIN district x ON x.district_id = c.district_id
WHERE e.batch_id = ANY($1) AND e.kind = ANY($2);

-- leak_alarms_in_buildings(building_ids, since, until) --
-- Leak alarms raised in some buildings within a time: by an event, or by the first report that tells gas after one that
-- did not (the report before is looked for within two hours; a detector that warms up or is inhibited measures itself).
SELECT e.device_id, d.code, e.kind, e.state, e.at, p.building_id, e.level, e.lel_pct, e.test, e.late
FROM premises p
JOIN installation i ON i.premises_id = p.premises_id
JOIN device d ON d.device_id = i.device_id
JOIN event e ON e.device_id = i.device_id AND e.at >= i.installed_at AND (i.removed_at IS NULL OR i.removed_at > e.at)
WHERE p.building_id = ANY($1) AND e.at >= $2 AND e.at <= $3
  AND e.kind = 'leak_alarm' AND e.state = 'raised' AND NOT e.test
UNION ALL
SELECT told.device_id, told.code, 'leak_alarm', 'raised', told.at, told.building_id, NULL, told.lel_pct, false, false
FROM (
    SELECT r.device_id, d.code, r.at, p.building_id, r.lel_pct, gas.told AS gas,
           lag(gas.told, 1, false) OVER (PARTITION BY r.device_id ORDER BY r.at) AS gas_before
    FROM premises p
    JOIN installation i ON i.premises_id = p.premises_id
    JOIN device d ON d.device_id = i.device_id
    JOIN reading r ON r.device_id = i.device_id AND r.at >= i.installed_at AND (i.removed_at IS NULL OR r.at < i.removed_at)
    CROSS JOIN LATERAL (
        SELECT coalesce(r.status, 0) & 3072 = 0
               AND (coalesce(r.status, 0) & 16384 <> 0
                    OR coalesce(r.lel_pct >= coalesce(d.warn_lel_pct, d.alarm_lel_pct), false)
                    OR (r.lel_pct IS NULL AND coalesce(r.reason = 10, false))) AS told
    ) gas
    WHERE p.building_id = ANY($1) AND r.at >= $2::timestamptz - interval '2 hours' AND r.at <= $3 AND r.flags & 32 = 0
      AND (r.lel_pct IS NOT NULL OR r.status IS NOT NULL OR r.reason IS NOT NULL)
) told
WHERE told.at >= $2 AND told.gas AND NOT told.gas_before;

-- readings_window(device_ids, since, until) --
-- Registers, status words and measured flows of devices within a time; -1 and NaN stand for unknown.
SELECT device_id, at, coalesce(index_ml, -1), flags, coalesce(status, -1), coalesce(flow_lh, 'NaN')
FROM reading
WHERE device_id = ANY($1) AND at > $2 AND at <= $3
  AND (index_ml IS NOT NULL OR status IS NOT NULL OR flow_lh IS NOT NULL);

-- beginnings(device_ids, learn) --
-- The first readings of devices where they are installed now, as long as `learn`; columns as in readings_window.
SELECT r.device_id, r.at, coalesce(r.index_ml, -1), r.flags, coalesce(r.status, -1), coalesce(r.flow_lh, 'NaN')
FROM unnest($1::int[]) AS wanted (device_id)
LEFT JOIN installation i ON i.device_id = wanted.device_id AND i.removed_at IS NULL
CROSS JOIN LATERAL (
    SELECT f.at FROM reading f
    WHERE f.device_id = wanted.device_id AND f.at >= coalesce(i.installed_at, '-infinity')
    ORDER BY f.at LIMIT 1
) first
JOIN reading r ON r.device_id = wanted.device_id AND r.at >= first.at AND r.at < first.at + $2::interval + interval '1 day'
WHERE r.index_ml IS NOT NULL;

-- window_reports(device_ids, since, until) --
-- Device time and arrival of reports within a time; reports that were sent again days later say nothing about clocks.
SELECT r.device_id, r.at, b.last_received_at
FROM reading r JOIN batch b USING (batch_id)
WHERE r.device_id = ANY($1) AND r.at > $2 AND r.at <= $3 AND r.seq IS NOT NULL AND r.reason IS DISTINCT FROM 40;

-- window_days(device_ids, since, until, season_from, season_until) --
-- The last known register of UTC days within two times.
SELECT device_id, day, last_index_ml
FROM reading_daily
WHERE device_id = ANY($1) AND last_index_ml IS NOT NULL
  AND ((day >= $2 AND day < $3) OR (day >= $4 AND day < $5));

-- window_devices(device_ids) --
-- What the window rules need to know of devices, with the class and area of where they are now.
SELECT d.device_id, d.code, d.kind, d.meter_class, p.user_class, coalesce(x.code, g.area) AS area,
       d.pulse_ml::bigint AS pulse_ml, d.register_wrap_ml, d.qmax_lh::double precision AS qmax_lh,
       p.tenure, p.appliances, i.installed_at
FROM device d
JOIN gateway g ON g.gateway_id = d.gateway_id
LEFT JOIN installation i ON i.device_id = d.device_id AND i.removed_at IS NULL
LEFT JOIN premises p ON p.premises_id = i.premises_id
LEFT JOIN building b ON b.building_id = p.building_id
LEFT JOIN compound c ON c.compound_id = b.compound_id
LEFT JOIN district x ON x.district_id = c.district_id
WHERE d.device_id = ANY($1);

-- valve_facts(device_ids, since) --
-- Valve assertions of devices: events since a moment, and the newest one known, however old.
SELECT device_id, at, state = 'closed' AS closed, true AS exact
FROM event WHERE device_id = ANY($1) AND at > $2 AND kind = 'valve' AND NOT test
UNION ALL
SELECT device_id, valve_at, valve = 'closed', false
FROM device_state WHERE device_id = ANY($1) AND valve_at IS NOT NULL AND valve IS NOT NULL;

-- installation_boundaries(device_ids, since) --
-- Moments at which devices were installed or removed.
SELECT device_id, installed_at AS at FROM installation WHERE device_id = ANY($1) AND installed_at > $2
UNION
SELECT device_id, removed_at FROM installation WHERE device_id = ANY($1) AND removed_at > $2;

-- closings(rule_ids, device_ids) --
-- When closed alerts of some rules and devices were closed, by our clock and in telemetry's own time.
SELECT rule_id, device_id, closed_at, cleared_at
FROM alert
WHERE rule_id = ANY($1) AND subject IN (SELECT 'device:' || id FROM unnest($2::int[]) AS id)
  AND state IN ('verified', 'dismissed');

-- open_alerts(rule_ids, subjects) --
-- Open alerts of pairs of rule and subject, locked.
SELECT * FROM alert
WHERE (rule_id, subject) IN (SELECT * FROM unnest($1::text[], $2::text[]))
  AND state NOT IN ('verified', 'dismissed')
ORDER BY alert_id FOR UPDATE;

-- closed_alerts(rule_ids, subjects) --
-- The newest closed episodes of pairs of rule and subject, at most twenty of each.
SELECT a.* FROM unnest($1::text[], $2::text[]) AS wanted (rule_id, subject)
CROSS JOIN LATERAL (
    SELECT * FROM alert
    WHERE alert.rule_id = wanted.rule_id AND alert.subject = wanted.subject AND state IN ('verified', 'dismissed')
    ORDER BY alert_id DESC LIMIT 20
) a;

-- standing_alerts(rule_ids, subjects) --
-- Open alerts of some rules and subjects, as the evaluator needs them.
SELECT rule_id, subject, device_id, first_at, last_at, firing FROM alert
WHERE rule_id = ANY($1) AND subject = ANY($2) AND state NOT IN ('verified', 'dismissed');

-- device_places(device_ids, ats) --
-- Where each device was at a moment; a device never installed is where its gateway is.
SELECT wanted.device_id, d.gateway_id, p.premises_id, p.building_id, coalesce(x.code, g.area) AS area
FROM unnest($1::int[], $2::timestamptz[]) AS wanted (device_id, at)
JOIN device d ON d.device_id = wanted.device_id
JOIN gateway g ON g.gateway_id = d.gateway_id
LEFT JOIN LATERAL (
    SELECT premises_id FROM installation i
    WHERE i.device_id = wanted.device_id AND i.installed_at <= wanted.at
      AND (i.removed_at IS NULL OR i.removed_at > wanted.at)
    ORDER BY installed_at DESC LIMIT 1
) i ON true
LEFT JOIN premises p ON p.premises_id = i.premises_id
LEFT JOIN building b ON b.building_id = p.building_id
LEFT JOIN compound c ON c.compound_id = b.compound_id
LEFT JOIN district x ON x.district_id = c.district_id;

-- building_places(numbers) --
-- The district of buildings.
SELECT b.building_id AS number, b.building_id, x.code AS area
FROM building b JOIN compound c USING (compound_id) JOIN district x USING (district_id)
WHERE b.building_id = ANY($1);

-- gateway_places(numbers) --
-- The district of gateways.
SELECT gateway_id AS number, gateway_id, area FROM gateway WHERE gateway_id = ANY($1);

-- compound_places(numbers) --
-- The district of compounds.
SELECT c.compound_id AS number, x.code AS area
FROM compound c JOIN district x USING (district_id) WHERE c.compound_id = ANY($1);

-- district_places(numbers) --
-- The code of districts.
SELECT district_id AS number, code AS area FROM district WHERE district_id = ANY($1);

-- insert_alerts(rows) --
-- Open new alerts; a pair of rule and subject that already has an open one is left out of the answer.
INSERT INTO alert (rule_id, rule_version, subject, area, device_id, gateway_id, premises_id, building_id, severity, state,
    firing, late, sentence, first_at, last_at, raised_at, unit, first_value, last_value, worst_value, count, evidence,
    visit, owner, cleared_at, closed_at, cause, confirmed, episode, previous_alert_id,
    worst_severity, leak, guarded, clock_at, needed_at, owned_at, controlled_at, acknowledged_at, dispatched_at, on_site_at,
    made_safe_at, due_stage, due_at, wake_at, reminded_at, quiet_until, escalation, remind_min,
    awaited_visit_id, awaited_from, awaited_to, verify_by)
SELECT rule_id, rule_version, subject, area, device_id, gateway_id, premises_id, building_id, severity, state,
    firing, late, sentence, first_at, last_at, raised_at, unit, first_value, last_value, worst_value, count, evidence,
    visit, owner, cleared_at, closed_at, cause, confirmed, episode, previous_alert_id,
    worst_severity, leak, guarded, clock_at, needed_at, owned_at, controlled_at, acknowledged_at, dispatched_at, on_site_at,
    made_safe_at, due_stage, due_at, wake_at, reminded_at, quiet_until, escalation, remind_min,
    awaited_visit_id, awaited_from, awaited_to, verify_by
FROM jsonb_to_recordset($1::jsonb) AS r (
    rule_id text, rule_version text, subject text, area text, device_id int, gateway_id int, premises_id int,
    building_id int, severity text, state text, firing boolean, late boolean, sentence text, first_at timestamptz,
    last_at timestamptz, raised_at timestamptz, unit text, first_value double precision, last_value double precision,
    worst_value double precision, count int, evidence jsonb, visit text, owner text, cleared_at timestamptz,
    closed_at timestamptz, cause text, confirmed boolean, episode int, previous_alert_id bigint,
    worst_severity text, leak boolean, guarded boolean, clock_at timestamptz, needed_at timestamptz, owned_at timestamptz,
    controlled_at timestamptz, acknowledged_at timestamptz, dispatched_at timestamptz, on_site_at timestamptz,
    made_safe_at timestamptz, due_stage text, due_at timestamptz, wake_at timestamptz, reminded_at timestamptz,
    quiet_until timestamptz, escalation int, remind_min double precision,
    awaited_visit_id bigint, awaited_from timestamptz, awaited_to timestamptz, verify_by timestamptz)
ON CONFLICT (rule_id, subject) WHERE state NOT IN ('verified', 'dismissed') DO NOTHING
RETURNING alert_id, rule_id, subject;

-- update_alerts(rows) --
-- Write what changed in alerts; identity, place and rule version stay.
UPDATE alert SET severity = r.severity, state = r.state, firing = r.firing, late = r.late, sentence = r.sentence,
    first_at = r.first_at, last_at = r.last_at, unit = r.unit, first_value = r.first_value, last_value = r.last_value,
    worst_value = r.worst_value, count = r.count, evidence = r.evidence, owner = r.owner, cleared_at = r.cleared_at,
    closed_at = r.closed_at, cause = r.cause, confirmed = r.confirmed,
    worst_severity = r.worst_severity, clock_at = r.clock_at, needed_at = r.needed_at, owned_at = r.owned_at,
    controlled_at = r.controlled_at, acknowledged_at = r.acknowledged_at, dispatched_at = r.dispatched_at,
    on_site_at = r.on_site_at, made_safe_at = r.made_safe_at, due_stage = r.due_stage, due_at = r.due_at,
    wake_at = r.wake_at, reminded_at = r.reminded_at, quiet_until = r.quiet_until, escalation = r.escalation,
    awaited_visit_id = r.awaited_visit_id, awaited_from = r.awaited_from, awaited_to = r.awaited_to, verify_by = r.verify_by
FROM jsonb_to_recordset($1::jsonb) AS r (
    alert_id bigint, severity text, state text, firing boolean, late boolean, sentence text, first_at timestamptz,
    last_at timestamptz, unit text, first_value double precision, last_value double precision,
    worst_value double precision, count int, evidence jsonb, owner text, cleared_at timestamptz, closed_at timestamptz,
    cause text, confirmed boolean, worst_severity text, clock_at timestamptz, needed_at timestamptz,
    owned_at timestamptz, controlled_at timestamptz, acknowledged_at timestamptz, dispatched_at timestamptz,
     on_site_at timestamptz, made_safe_at timestamptz, due_stage text, due_at timestamptz,
    wake_at timestamptz, reminded_at timestamptz, quiet_until timestamptz, escalation int, awaited_visit_id bigint,
    awaited_from timestamptz, awaited_to timestamptz, verify_by timestamptz)
WHERE alert.alert_id = r.alert_id;

-- add_alert_steps(rows) --
-- Add rows to timelines, in the order given.
INSERT INTO alert_step (alert_id, at, step, from_state, to_state, actor, reason, note, evidence)
SELECT alert_id, at, step, from_state, to_state, actor, reason, note, evidence
FROM ROWS FROM (jsonb_to_recordset($1::jsonb) AS (
    alert_id bigint, at timestamptz, step text, from_state text, to_state text, actor text, reason text, note text,
    evidence jsonb)) WITH ORDINALITY AS r
ORDER BY ordinality;

-- notify_alerts(alert_ids) --
-- Tell listeners which alerts changed, when the transaction commits.
SELECT pg_notify('gaswarden_alert', id::text) FROM unnest($1::bigint[]) AS id;

-- remember_rule_versions(rows) --
-- Keep what a rule says, word for word, the first time this version is used.
INSERT INTO rule_version (rule_id, version, definition, first_used_at)
SELECT rule_id, version, definition, first_used_at
FROM jsonb_to_recordset($1::jsonb) AS r (rule_id text, version text, definition jsonb, first_used_at timestamptz)
ON CONFLICT DO NOTHING;

-- listening_since() --
-- Our first and newest batch by our clock.
SELECT (SELECT first_received_at FROM batch ORDER BY batch_id LIMIT 1) AS first_at,
       (SELECT max(last_received_at) FROM batch) AS newest_at;

-- batch_gaps(since, gap_s) --
-- Times longer than `gap_s` seconds in which no batch arrived.
SELECT previous_at, at FROM (
    SELECT last_received_at AS at, lag(last_received_at) OVER (ORDER BY last_received_at) AS previous_at
    FROM batch WHERE last_received_at >= $1
) arrivals
WHERE at - previous_at > make_interval(secs => $2);

-- claim_tick() --
-- Whether this process may do the tick; held until the transaction ends.
SELECT pg_try_advisory_xact_lock(hashtext('gaswarden.rules.tick'));

-- silent_gateways(rule_id, now, intervals_missed, offline_min_s, observed_from, count, cell_rule_ids) --
-- Gateways that may be silent and have no open alert for it, nor one closed by a person for the very same silence;
-- `alone_since`: when the incident of its district ended that stood for it.
SELECT subject_id, code, area, expected_interval_s, heard_at, offline_at, alone_since FROM (
    SELECT g.gateway_id AS subject_id, g.code, g.area, g.expected_interval_s,
           coalesce(s.heard_at, $5::timestamptz) AS heard_at,
           CASE WHEN s.state = 'offline' THEN s.last_received_at END AS offline_at, c.alone_since
    FROM gateway g
    JOIN district x ON x.code = g.area
    LEFT JOIN gateway_state s ON s.gateway_id = g.gateway_id
    LEFT JOIN LATERAL (
        SELECT max(a.closed_at) AS alone_since FROM alert a
        WHERE a.rule_id = ANY($7) AND a.subject = 'district:' || x.district_id AND a.state IN ('verified', 'dismissed')
    ) c ON true
) q
WHERE (heard_at < $2::timestamptz - make_interval(secs => $3::double precision * expected_interval_s)
       OR offline_at < $2::timestamptz - make_interval(secs => $4::double precision))
  AND NOT EXISTS (
      SELECT FROM alert a WHERE a.rule_id = $1 AND a.subject = 'gateway:' || subject_id
      AND (a.state NOT IN ('verified', 'dismissed') OR a.first_at >= greatest(heard_at, alone_since)))
ORDER BY heard_at, subject_id LIMIT $6;

-- gateway_outages(gateway_ids, since, rule_ids, now) --
-- Times in which gateways were away: from a will to the next birth, and incidents of their own or their district's silence.
SELECT gateway_id, received_at AS from_at,
       coalesce(lead(received_at) OVER (PARTITION BY gateway_id ORDER BY received_at), $4::timestamptz) AS to_at, state = 'offline' AS away
FROM gateway_event WHERE gateway_id = ANY($1) AND received_at >= $2
UNION ALL
SELECT gateway_id, first_at, coalesce(closed_at, $4::timestamptz), true
FROM alert WHERE rule_id = ANY($3) AND gateway_id = ANY($1) AND subject = 'gateway:' || gateway_id
UNION ALL
SELECT g.gateway_id, a.first_at, coalesce(a.closed_at, $4::timestamptz), true
FROM gateway g
JOIN district x ON x.code = g.area
JOIN alert a ON a.subject = 'district:' || x.district_id AND a.rule_id = ANY($3)
WHERE g.gateway_id = ANY($1);

-- heard_again(rule_ids) --
-- Open silences whose device or gateway has been heard since, or whose device was taken out since: nobody waits for its word.
SELECT a.rule_id, a.subject FROM alert a
LEFT JOIN device_state s ON a.subject LIKE 'device:%' AND s.device_id = a.device_id
LEFT JOIN gateway_state g ON a.subject LIKE 'gateway:%' AND g.gateway_id = a.gateway_id
WHERE a.rule_id = ANY($1) AND a.state NOT IN ('verified', 'dismissed')
  AND (s.heard_at > a.first_at
       OR (g.heard_at > a.first_at AND g.state IS DISTINCT FROM 'offline')
       OR (a.subject LIKE 'device:%' AND (
           SELECT bool_and(i.removed_at IS NOT NULL) AND max(i.removed_at) > a.first_at
           FROM installation i WHERE i.device_id = a.device_id)));

-- quiet_buildings(rule_ids, leak_rule_ids) --
-- Open building alerts still firing, of which no detector's leak alarm is firing any more.
SELECT a.rule_id, a.subject FROM alert a
WHERE a.rule_id = ANY($1) AND a.state NOT IN ('verified', 'dismissed') AND a.firing
  AND NOT EXISTS (
      SELECT FROM alert l WHERE l.rule_id = ANY($2) AND l.building_id = a.building_id
      AND l.state NOT IN ('verified', 'dismissed') AND l.firing);

-- not_recurred(rule_ids, minutes, now) --
-- Open alerts still firing whose condition has not recurred for as many minutes as their rule says, and when it was over.
SELECT a.rule_id, a.subject, a.last_at + make_interval(mins => r.minutes) AS over_at
FROM unnest($1::text[], $2::int[]) AS r (rule_id, minutes)
JOIN alert a ON a.rule_id = r.rule_id
WHERE a.state NOT IN ('verified', 'dismissed') AND a.firing AND a.last_at + make_interval(mins => r.minutes) <= $3::timestamptz;

-- alert_inspections() --
-- What inspectors found on duties of open alerts and the timeline does not say yet, oldest first: each outcome once, and
-- again when a hazard it saw, found by it or known before, was closed since.
SELECT * FROM (
    SELECT DISTINCT a.alert_id, o.outcome_id, o.result, o.at, o.note, seen.hazards, seen.hazards_open, seen.rechecked_at
    FROM alert a
    JOIN duty d ON d.alert_id = a.alert_id
    JOIN visit_duty v ON v.duty_id = d.duty_id
    JOIN outcome o ON o.visit_id = v.visit_id
    CROSS JOIN LATERAL (
        SELECT count(*)::int AS hazards, (count(*) FILTER (WHERE h.state = 'open'))::int AS hazards_open, max(c.at) AS rechecked_at
        FROM hazard h LEFT JOIN outcome c ON c.outcome_id = h.closed_outcome_id
        WHERE h.premises_id = o.premises_id
          AND (h.outcome_id = o.outcome_id OR h.found_at <= o.at AND (h.closed_at IS NULL OR h.closed_at > o.at) AND EXISTS (
              SELECT FROM jsonb_to_recordset(o.found) AS f(code text, grade int) WHERE f.code = h.code AND f.grade = h.grade))
    ) seen
    WHERE a.state NOT IN ('verified', 'dismissed')
) found
WHERE NOT EXISTS (
    SELECT FROM alert_step s
    WHERE s.alert_id = found.alert_id AND s.actor = 'inspections'
      AND (s.evidence ->> 'outcome_id')::bigint = found.outcome_id
      AND (s.evidence ->> 'hazards_open')::int = found.hazards_open)
ORDER BY found.at, found.outcome_id;

-- late_findings(since) --
-- Visits for alerts that found a hazard, and were heard of only after the alert was closed and taken for false or not judged; of
-- hazards found since a moment, oldest first.
SELECT DISTINCT a.alert_id, o.outcome_id, o.result, o.at, o.note, jsonb_array_length(o.found) AS hazards,
       (SELECT count(*) FROM hazard s WHERE s.outcome_id = o.outcome_id AND s.state = 'open')::int AS hazards_open
FROM hazard h
JOIN outcome o ON o.premises_id = h.premises_id AND o.at >= h.found_at AND o.result IN ('hazard_found', 'partial') AND o.found <> '[]'
JOIN visit_duty v ON v.visit_id = o.visit_id
JOIN duty d ON d.duty_id = v.duty_id
JOIN alert a ON a.alert_id = d.alert_id
WHERE h.found_at >= $1 AND a.state IN ('verified', 'dismissed') AND a.confirmed IS NOT TRUE AND o.received_at > a.closed_at
ORDER BY o.at, o.outcome_id;

-- lock_alert(alert_id) --
-- One alert, locked.
SELECT * FROM alert WHERE alert_id = $1 FOR UPDATE;

-- rule_was_used(rule_id) --
-- Whether a rule of this id ever raised an alert, also one that is no longer in the catalogue.
SELECT EXISTS (SELECT FROM rule_version WHERE rule_version.rule_id = $1);

-- districts_within(codes) --
-- The districts of these codes with all districts below them; `asked` names the code that led there.
WITH RECURSIVE within AS (
    SELECT district_id, code, code AS asked FROM district WHERE code = ANY($1)
    UNION
    SELECT child.district_id, child.code, within.asked FROM district child JOIN within ON child.parent_id = within.district_id
)
SELECT code, asked FROM within;

-- alert_timeline(alert_id) --
-- Every step of an alert, oldest first.
SELECT step_id, at, step, from_state, to_state, actor, reason, note, evidence
FROM alert_step WHERE alert_id = $1 ORDER BY step_id;

-- alert_readings(device_id, since, until, count) --
-- Readings of a device around an alert, oldest first.
SELECT at, index_ml, flow_lh, pressure_pa, lel_pct, status, flags
FROM reading WHERE device_id = $1 AND at >= $2 AND at <= $3 ORDER BY at LIMIT $4;

-- alert_episodes(rule_id, subject, alert_id) --
-- Other episodes of the same rule and subject, newest first.
SELECT alert_id, episode, state, severity, raised_at, closed_at, cause, confirmed
FROM alert WHERE rule_id = $1 AND subject = $2 AND alert_id <> $3 ORDER BY alert_id DESC LIMIT 50;

-- rule_versions() --
-- Every version of every rule that was ever used, newest first.
SELECT rule_id, version, first_used_at FROM rule_version ORDER BY rule_id, first_used_at DESC;
