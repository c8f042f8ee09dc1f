-- Statements of the package `ingest` about commands to valves (ingest/commanding). Format: see sql/__init__.py.

-- command_target(device_id) --
-- The device a command is for: its gateway's topic, its area, its present home.
SELECT d.device_id, d.family, d.code, d.kind, coalesce(t.code, g.area) AS area, g.code AS gateway, g.area AS gateway_area,
       i.premises_id, d.has_valve, d.qmin_lh, d.pulse_ml, d.expected_interval_s
FROM device d
JOIN gateway g USING (gateway_id)
LEFT JOIN installation i ON i.device_id = d.device_id AND i.removed_at IS NULL
LEFT JOIN premises p USING (premises_id)
LEFT JOIN building b USING (building_id)
LEFT JOIN compound c USING (compound_id)
LEFT JOIN district t USING (district_id)
WHERE d.device_id = $1;

-- lock_device_commands(device_id) --
-- One change to the commands of a device at a time, until the transaction ends.
SELECT pg_advisory_xact_lock(hashtext('gaswarden.command'), $1::int);

-- command_by_client_id(client_id) --
-- The command that a caller asked for under its own id.
SELECT * FROM command WHERE client_id = $1;

-- command_in_flight(device_id) --
-- The unfinished command of a device.
SELECT * FROM command WHERE device_id = $1 AND state IN ('requested', 'approved', 'sent') FOR UPDATE;

-- command_row(command_id) --
-- One command.
SELECT * FROM command WHERE command_id = $1;

-- lock_command(command_id) --
-- One command, locked until the transaction ends; nothing while somebody else works on it.
SELECT * FROM command WHERE command_id = $1 FOR UPDATE SKIP LOCKED;

-- await_command(command_id) --
-- One command, locked until the transaction ends, once nobody else works on it.
SELECT * FROM command WHERE command_id = $1 FOR UPDATE;

-- alert_for_command(alert_id, device_id, premises_id) --
-- Area of an alert, and whether it concerns this device or the home or building it is in.
SELECT a.area, a.device_id = $2 OR a.premises_id = $3
       OR a.building_id = (SELECT p.building_id FROM premises p WHERE p.premises_id = $3) AS concerns
FROM alert a WHERE a.alert_id = $1;

-- add_command(client_id, device_id, area, valve, state, reason, requested_by, requested_at, note, alert_id, approved_by, approved_at, expires_at, next_send_at) --
-- A new command; returns its id.
INSERT INTO command (client_id, device_id, area, valve, state, reason, requested_by, requested_at, note, alert_id, approved_by,
                     approved_at, expires_at, next_send_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
RETURNING command_id;

-- update_command(command_id, state, reason, approved_by, approved_at, sent_at, attempts, next_send_at, answered_at, prove_by, ended_at) --
-- Move a command on.
UPDATE command
SET state = $2, reason = $3, approved_by = $4, approved_at = $5, sent_at = $6, attempts = $7, next_send_at = $8, answered_at = $9,
    prove_by = $10, ended_at = $11
WHERE command_id = $1;

-- add_command_steps(command_id, at, steps, from_states, to_states, actors, reasons, notes, evidences) --
-- Rows of a command's timeline, in order.
INSERT INTO command_step (command_id, at, step, from_state, to_state, actor, reason, note, evidence)
SELECT $1, $2, s.step, s.from_state, s.to_state, s.actor, s.reason, s.note, s.evidence
FROM unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::jsonb[]) WITH ORDINALITY
    AS s (step, from_state, to_state, actor, reason, note, evidence, ordinal)
ORDER BY s.ordinal;

-- notify_command(command_id) --
-- Tell the dispatcher and whoever watches that a command changed.
SELECT pg_notify('gaswarden_command', $1::bigint::text);

-- commands_in_flight(now) --
-- Unfinished commands, oldest first, and whether there is something to do: a moment that has come, or a word of its device
-- since it was sent. Thousands of sleeping devices cost one statement.
SELECT c.command_id,
       c.state = 'approved' OR $1::timestamptz >= c.expires_at OR coalesce(c.next_send_at <= $1, false)
       OR (c.state = 'sent' AND EXISTS (SELECT FROM device_state s
                                        WHERE s.device_id = c.device_id AND s.last_received_at >= c.sent_at)) AS due
FROM command c WHERE c.state IN ('requested', 'approved', 'sent') ORDER BY c.command_id;

-- command_words(device_id, since, sent_at) --
-- What a device said about its valve from a moment of its own clock on, and that arrived after the command was sent.
SELECT e.at, e.state AS valve, 'event' AS source
FROM event e
WHERE e.device_id = $1 AND e.at >= $2 AND e.kind = 'valve' AND NOT e.test AND e.received_at >= $3
UNION ALL
SELECT r.at, CASE WHEN r.status & 2 <> 0 THEN 'fault' WHEN r.status & 1 <> 0 THEN 'closed' ELSE 'open' END, 'status'
FROM reading r JOIN batch b USING (batch_id)
WHERE r.device_id = $1 AND r.at >= $2 AND r.status IS NOT NULL AND b.last_received_at >= $3
ORDER BY 1, 3 DESC;

-- command_samples(device_id, since) --
-- What a meter counted from a moment of its own clock on, without what is marked unknown; the newest of very many.
SELECT at, index_ml, flow_lh FROM (
    SELECT at, index_ml, flow_lh FROM reading
    WHERE device_id = $1 AND at >= $2 AND flags & 19 = 0 AND (index_ml IS NOT NULL OR flow_lh IS NOT NULL)
    ORDER BY at DESC LIMIT 5000
) newest ORDER BY at;

-- command_hindrances(device_id, premises_id) --
-- Alerts that may keep a valve closed: those because of which it was closed since it was last proved open, and those of its
-- home that ask for a mandatory visit and are not over. `passed`: the latest visit inside since the closing found nothing.
WITH closing AS (
    SELECT c.alert_id, max(c.sent_at) AS sent_at
    FROM command c
    WHERE c.device_id = $1 AND c.valve = 'close' AND c.alert_id IS NOT NULL AND c.sent_at IS NOT NULL
      AND c.command_id > coalesce((SELECT max(o.command_id) FROM command o
                                   WHERE o.device_id = $1 AND o.valve = 'open' AND o.state = 'proved'), 0)
    GROUP BY c.alert_id
)
SELECT a.alert_id, a.rule_id, a.state, k.alert_id IS NOT NULL AS closed_it, a.visit = 'mandatory' AND NOT a.late AS urgent,
       coalesce((SELECT o.result = 'passed' FROM outcome o
                 WHERE o.premises_id = $2 AND o.entered AND o.at > k.sent_at ORDER BY o.at DESC LIMIT 1), false) AS passed
FROM alert a LEFT JOIN closing k USING (alert_id)
WHERE k.alert_id IS NOT NULL
   OR (a.state NOT IN ('verified', 'dismissed') AND (a.premises_id = $2 OR a.device_id = $1) AND a.visit = 'mandatory' AND NOT a.late)
ORDER BY a.alert_id;

-- leaks_to_close(since) --
-- High-level leak alerts of homes with valves that no automatic command has acted on, and what speaks for each: whether the
-- detector is still high, whether an inspector confirmed it, how many detectors of the home are high.
SELECT a.alert_id, d.device_id AS target_id,
       coalesce((SELECT min(h.at) FROM alert_step h WHERE h.alert_id = a.alert_id AND h.evidence ->> 'severity' = 'critical'),
                a.raised_at) AS high_since, coalesce(a.confirmed, false) AS confirmed,
       a.firing AND EXISTS (SELECT FROM device_state s
                            WHERE s.device_id = a.device_id AND s.leak_state = 'raised' AND s.leak_level = 2) AS still_high,
       (SELECT count(*) FROM installation n JOIN device_state s USING (device_id)
        WHERE n.premises_id = a.premises_id AND n.removed_at IS NULL AND s.leak_state = 'raised' AND s.leak_level = 2
          AND s.leak_at >= $1)::int AS detectors_high
FROM alert a
JOIN installation i ON i.premises_id = a.premises_id AND i.removed_at IS NULL
JOIN device d ON d.device_id = i.device_id AND d.kind = 'meter' AND d.has_valve
LEFT JOIN device_state v ON v.device_id = d.device_id
WHERE a.rule_id = 'leak_alarm' AND a.severity = 'critical' AND NOT a.late AND a.raised_at >= $1
  AND a.state NOT IN ('made_safe', 'verified', 'dismissed')
  AND v.valve IS DISTINCT FROM 'closed'
  AND NOT EXISTS (SELECT FROM command c WHERE c.alert_id = a.alert_id AND c.device_id = d.device_id AND c.requested_by = 'policy')
  AND NOT EXISTS (SELECT FROM command c WHERE c.device_id = d.device_id AND c.valve = 'close'
                    AND c.state IN ('requested', 'approved', 'sent'))
ORDER BY a.alert_id, d.device_id;

-- command_page(device_id, states, valve, since, until, areas, after, page_size) --
-- Commands with their devices, newest first, after a keyset cursor (the id of the last one seen).
SELECT c.*, d.family, d.code AS device, g.code AS gateway, p.code AS premises
FROM command c
JOIN device d USING (device_id)
JOIN gateway g USING (gateway_id)
LEFT JOIN installation i ON i.device_id = d.device_id AND i.removed_at IS NULL
LEFT JOIN premises p USING (premises_id)
WHERE ($1::int IS NULL OR c.device_id = $1) AND ($2::text[] IS NULL OR c.state = ANY($2)) AND ($3::text IS NULL OR c.valve = $3)
  AND ($4::timestamptz IS NULL OR c.requested_at >= $4) AND ($5::timestamptz IS NULL OR c.requested_at < $5)
  AND ($6::text[] IS NULL OR c.area = ANY($6)) AND ($7::bigint IS NULL OR c.command_id < $7)
ORDER BY c.command_id DESC LIMIT $8;

-- command_whole(command_id, areas) --
-- One command with its device; nothing when it is outside the caller's areas.
SELECT c.*, d.family, d.code AS device, g.code AS gateway, p.code AS premises
FROM command c
JOIN device d USING (device_id)
JOIN gateway g USING (gateway_id)
LEFT JOIN installation i ON i.device_id = d.device_id AND i.removed_at IS NULL
LEFT JOIN premises p USING (premises_id)
WHERE c.command_id = $1 AND ($2::text[] IS NULL OR c.area = ANY($2));

-- command_timeline(command_id) --
-- The steps of a command, oldest first.
SELECT at, step, from_state, to_state, actor, reason, note, evidence
FROM command_step WHERE command_id = $1 ORDER BY step_id;
