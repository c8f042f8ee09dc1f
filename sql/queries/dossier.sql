-- Statements of the package `app` for dossiers: reads over the tables of all features, one jsonb object a row. Secrets (token digests, sealed
-- addresses) stay out. Names: dossier_<kind>_<part>, the parts in app/dossier/collect.py.

-- dossier_audit(subjects) --
-- Audit rows about these subjects, oldest first.
SELECT to_jsonb(a) - 'digest' || jsonb_build_object('digest', encode(a.digest, 'hex')) AS known
FROM audit_entry a WHERE a.subject = ANY($1::text[]) ORDER BY a.audit_id;

-- dossier_premises_premises(premises_id) --
-- The door with its building, compound and district.
SELECT to_jsonb(p) || jsonb_build_object('building', to_jsonb(b), 'compound', to_jsonb(c), 'district', di.code) AS known
FROM premises p JOIN building b USING (building_id) JOIN compound c USING (compound_id)
JOIN district di ON di.district_id = c.district_id WHERE p.premises_id = $1;

-- dossier_premises_devices(premises_id) --
-- Every device that ever was there, from when to when.
SELECT to_jsonb(i) || jsonb_build_object('device', to_jsonb(d)) AS known
FROM installation i JOIN device d USING (device_id) WHERE i.premises_id = $1 ORDER BY i.installed_at;

-- dossier_premises_readings_by_day(premises_id) --
-- What its devices measured while they were there, by UTC day.
SELECT to_jsonb(r) AS known
FROM installation i
JOIN reading_daily r ON r.device_id = i.device_id AND r.day >= date_trunc('day', i.installed_at, 'UTC')
 AND (i.removed_at IS NULL OR r.day < i.removed_at)
WHERE i.premises_id = $1 ORDER BY r.day, r.device_id;

-- dossier_premises_reading_findings(premises_id) --
-- What validation found about readings of its devices while they were there.
SELECT to_jsonb(v) AS known
FROM installation i
JOIN reading_validation v ON v.device_id = i.device_id AND v.at >= i.installed_at AND (i.removed_at IS NULL OR v.at < i.removed_at)
WHERE i.premises_id = $1 ORDER BY v.finding_id;

-- dossier_premises_events(premises_id) --
-- What its devices asserted while they were there.
SELECT to_jsonb(e) AS known
FROM installation i
JOIN event e ON e.device_id = i.device_id AND e.at >= i.installed_at AND (i.removed_at IS NULL OR e.at < i.removed_at)
WHERE i.premises_id = $1 ORDER BY e.at;

-- dossier_premises_alerts(premises_id) --
-- Alerts of the door, with their evidence.
SELECT to_jsonb(a) AS known FROM alert a WHERE a.premises_id = $1 ORDER BY a.alert_id;

-- dossier_premises_alert_steps(premises_id) --
-- The timelines of those alerts.
SELECT to_jsonb(s) - 'transaction_id' AS known FROM alert_step s JOIN alert a USING (alert_id) WHERE a.premises_id = $1 ORDER BY s.step_id;

-- dossier_premises_duties(premises_id) --
-- Why the door was to be visited.
SELECT to_jsonb(d) AS known FROM duty d WHERE d.premises_id = $1 ORDER BY d.duty_id;

-- dossier_premises_promises(premises_id) --
-- Every window that somebody was told.
SELECT to_jsonb(m) AS known FROM promise m JOIN duty d USING (duty_id) WHERE d.premises_id = $1 ORDER BY m.promise_id;

-- dossier_premises_visits(premises_id) --
-- What each version of the rosters said of its visits.
SELECT to_jsonb(vv) || jsonb_build_object('day', ru.day, 'version', ru.version, 'inspector', i.code, 'reasons', v.reasons) AS known
FROM visit v JOIN visit_version vv USING (visit_id) JOIN roster_run ru ON ru.run_id = vv.run_id
JOIN inspector i ON i.inspector_id = vv.inspector_id WHERE v.premises_id = $1 ORDER BY ru.day, ru.version;

-- dossier_premises_outcomes(premises_id) --
-- What happened at the door, as reported.
SELECT to_jsonb(o) || jsonb_build_object('inspector', i.code) AS known
FROM outcome o JOIN inspector i USING (inspector_id) WHERE o.premises_id = $1 ORDER BY o.outcome_id;

-- dossier_premises_reports_in_conflict(premises_id) --
-- Reports from offline about its visits that could not be taken as they stood, and what was decided.
SELECT to_jsonb(k) - 'digest' AS known
FROM outcome_conflict k JOIN visit v USING (visit_id) WHERE v.premises_id = $1 ORDER BY k.conflict_id;

-- dossier_premises_evidence(premises_id) --
-- Files of its visits: photos, signatures, documents.
SELECT to_jsonb(e) || jsonb_build_object('sha256', encode(e.sha256, 'hex')) AS known
FROM visit v JOIN evidence e USING (visit_id) WHERE v.premises_id = $1 ORDER BY e.evidence_id;

-- dossier_premises_notice_cards(premises_id) --
-- Cards that were left at the door; not their tokens.
SELECT to_jsonb(n) - 'token_hash' AS known FROM notice_card n WHERE n.premises_id = $1 ORDER BY n.expires_at, n.card_no;

-- dossier_premises_hazards(premises_id) --
-- What was found.
SELECT to_jsonb(h) AS known FROM hazard h WHERE h.premises_id = $1 ORDER BY h.hazard_id;

-- dossier_premises_hazard_steps(premises_id) --
-- What was done about it.
SELECT to_jsonb(s) AS known FROM hazard_step s JOIN hazard h USING (hazard_id) WHERE h.premises_id = $1 ORDER BY s.step_id;

-- dossier_premises_requests(premises_id) --
-- What residents asked for.
SELECT to_jsonb(r) AS known FROM request r WHERE r.premises_id = $1 ORDER BY r.request_id;

-- dossier_premises_request_steps(premises_id) --
-- The timelines of those requests.
SELECT to_jsonb(s) AS known FROM request_step s JOIN request r USING (request_id) WHERE r.premises_id = $1 ORDER BY s.step_id;

-- dossier_premises_cases(premises_id) --
-- Cases of the door.
SELECT to_jsonb(f) AS known FROM case_file f WHERE f.premises_id = $1 ORDER BY f.case_id;

-- dossier_premises_case_steps(premises_id) --
-- The timelines of those cases.
SELECT to_jsonb(s) AS known FROM case_step s JOIN case_file f USING (case_id) WHERE f.premises_id = $1 ORDER BY s.step_id;

-- dossier_premises_enforcement(premises_id) --
-- Orders and penalties.
SELECT to_jsonb(e) AS known FROM enforcement e WHERE e.premises_id = $1 ORDER BY e.enforcement_id;

-- dossier_premises_commands(premises_id) --
-- Valve commands to its devices while they were there.
SELECT to_jsonb(m) AS known
FROM installation i
JOIN command m ON m.device_id = i.device_id AND m.requested_at >= i.installed_at AND (i.removed_at IS NULL OR m.requested_at < i.removed_at)
WHERE i.premises_id = $1 ORDER BY m.command_id;

-- dossier_premises_command_steps(premises_id) --
-- The timelines of those commands.
SELECT to_jsonb(s) AS known
FROM installation i
JOIN command m ON m.device_id = i.device_id AND m.requested_at >= i.installed_at AND (i.removed_at IS NULL OR m.requested_at < i.removed_at)
JOIN command_step s ON s.command_id = m.command_id
WHERE i.premises_id = $1 ORDER BY s.step_id;

-- dossier_alert_area(alert_id) --
-- In which district an alert is.
SELECT area FROM alert WHERE alert_id = $1;

-- dossier_alert_alert(alert_id) --
-- The alert, with its evidence.
SELECT to_jsonb(a) AS known FROM alert a WHERE a.alert_id = $1;

-- dossier_alert_alert_steps(alert_id) --
-- Its timeline.
SELECT to_jsonb(s) - 'transaction_id' AS known FROM alert_step s WHERE s.alert_id = $1 ORDER BY s.step_id;

-- dossier_alert_episodes(alert_id) --
-- Every episode of the same rule and subject.
SELECT to_jsonb(e) AS known
FROM alert a JOIN alert e ON e.rule_id = a.rule_id AND e.subject = a.subject WHERE a.alert_id = $1 ORDER BY e.alert_id;

-- dossier_alert_premises(alert_id) --
-- The door that it is about, if it is about one.
SELECT to_jsonb(p) AS known FROM alert a JOIN premises p ON p.premises_id = a.premises_id WHERE a.alert_id = $1;

-- dossier_alert_readings(alert_id) --
-- What its device measured from a day before it began to a day after its end, or the last finding.
SELECT to_jsonb(r) AS known
FROM alert a
JOIN reading r ON r.device_id = a.device_id AND r.at >= a.first_at - interval '1 day'
 AND r.at <= greatest(a.last_at, a.cleared_at, a.closed_at) + interval '1 day'
WHERE a.alert_id = $1 ORDER BY r.at;

-- dossier_alert_events(alert_id) --
-- What its device asserted in that time.
SELECT to_jsonb(e) AS known
FROM alert a
JOIN event e ON e.device_id = a.device_id AND e.at >= a.first_at - interval '1 day'
 AND e.at <= greatest(a.last_at, a.cleared_at, a.closed_at) + interval '1 day'
WHERE a.alert_id = $1 ORDER BY e.at;

-- dossier_alert_notices(alert_id) --
-- Who was told, by which channel, and what came of it.
SELECT to_jsonb(n) AS known FROM notice n WHERE n.alert_id = $1 ORDER BY n.notice_id;

-- dossier_alert_duties(alert_id) --
-- The duties that it led to.
SELECT to_jsonb(d) AS known FROM duty d WHERE d.alert_id = $1 ORDER BY d.duty_id;

-- dossier_alert_visits(alert_id) --
-- The visits planned for those duties.
SELECT DISTINCT to_jsonb(v) || jsonb_build_object('inspector', i.code) AS known
FROM duty d JOIN visit_duty vd USING (duty_id) JOIN visit v ON v.visit_id = vd.visit_id
JOIN roster ro ON ro.roster_id = v.roster_id JOIN inspector i ON i.inspector_id = ro.inspector_id WHERE d.alert_id = $1;

-- dossier_alert_outcomes(alert_id) --
-- What those visits came to.
SELECT DISTINCT to_jsonb(o) AS known
FROM duty d JOIN visit_duty vd USING (duty_id) JOIN outcome o ON o.visit_id = vd.visit_id WHERE d.alert_id = $1;

-- dossier_alert_evidence(alert_id) --
-- Files of those visits.
SELECT to_jsonb(e) || jsonb_build_object('sha256', encode(e.sha256, 'hex')) AS known
FROM evidence e
WHERE e.visit_id IN (SELECT vd.visit_id FROM duty d JOIN visit_duty vd USING (duty_id) WHERE d.alert_id = $1)
ORDER BY e.evidence_id;

-- dossier_alert_hazards(alert_id) --
-- What those visits found.
SELECT DISTINCT to_jsonb(h) AS known
FROM duty d JOIN visit_duty vd USING (duty_id) JOIN outcome o ON o.visit_id = vd.visit_id
JOIN hazard h ON h.outcome_id = o.outcome_id WHERE d.alert_id = $1;

-- dossier_alert_hazard_steps(alert_id) --
-- What was done about those.
SELECT to_jsonb(s) AS known
FROM hazard_step s
WHERE s.hazard_id IN (
    SELECT h.hazard_id FROM duty d JOIN visit_duty vd USING (duty_id) JOIN outcome o ON o.visit_id = vd.visit_id
    JOIN hazard h ON h.outcome_id = o.outcome_id WHERE d.alert_id = $1)
ORDER BY s.step_id;

-- dossier_alert_commands(alert_id) --
-- Valve commands because of it.
SELECT to_jsonb(m) AS known FROM command m WHERE m.alert_id = $1 ORDER BY m.command_id;

-- dossier_alert_command_steps(alert_id) --
-- The timelines of those commands.
SELECT to_jsonb(s) AS known FROM command_step s JOIN command m USING (command_id) WHERE m.alert_id = $1 ORDER BY s.step_id;
