-- Statements of the notices of the package `rules`. Format: see sql/__init__.py.

-- request_pages(alert_ids, purposes, levels, requested_at) --
-- Write pages, and a job for each; those of critical alerts and of leaks are worked on first.
WITH added AS (
    INSERT INTO page (alert_id, purpose, level, requested_at)
    SELECT alert_id, purpose, level, $4
    FROM unnest($1::bigint[], $2::text[], $3::smallint[]) AS p (alert_id, purpose, level)
    RETURNING page_id, alert_id
)
SELECT procrastinate.procrastinate_defer_jobs_v1(array_agg(ROW(
    'notices', 'page', CASE WHEN a.severity = 'critical' OR a.leak THEN 10 ELSE 0 END, NULL, NULL,
    jsonb_build_object('page_id', n.page_id), NULL)::procrastinate.procrastinate_job_to_defer_v1 ORDER BY n.page_id))
FROM added n JOIN alert a ON a.alert_id = n.alert_id
HAVING count(*) > 0;

-- lock_page(page_id) --
-- A page that is not resolved yet, with what choosing its recipients needs, locked; NULL owner: nobody owns the alert;
-- `urgency`: its severity, critical for a leak whatever its level.
SELECT p.page_id, p.alert_id, p.purpose, p.level, p.requested_at, a.area, a.owner, a.rule_id, a.subject,
       CASE WHEN a.leak THEN 'critical' ELSE a.severity END AS urgency
FROM page p JOIN alert a ON a.alert_id = p.alert_id
WHERE p.page_id = $1 AND p.resolved_at IS NULL
FOR UPDATE OF p;

-- page_of_notice(page_id) --
-- A page as `lock_page` gives it, resolved or not, locked: choosing who follows those that could not be reached.
SELECT p.page_id, p.alert_id, p.purpose, p.level, p.requested_at, a.area, a.owner, a.rule_id, a.subject,
       CASE WHEN a.leak THEN 'critical' ELSE a.severity END AS urgency
FROM page p JOIN alert a ON a.alert_id = p.alert_id
WHERE p.page_id = $1
FOR UPDATE OF p;

-- people_of_area(area, dead_after, owner, alert_id, on_duty) --
-- Accounts that could be told of something in an area: those on duty, officers and administrators that cover it, its owner,
-- those told of the alert before; one row for each account and contact, NULL contact: the account has none.
WITH RECURSIVE above AS (
    SELECT district_id, parent_id, code FROM district WHERE code = $1
    UNION SELECT d.district_id, d.parent_id, d.code FROM district d JOIN above ON d.district_id = above.parent_id
)
SELECT n.name AS account, n.role,
       n.areas IS NULL OR n.areas && (SELECT array_agg(code) FROM above) AS covers,
       n.name = ANY($5::text[]) AS on_duty,
       EXISTS (SELECT 1 FROM notice o WHERE o.alert_id = $4 AND o.account = n.name AND o.state = 'handed_over') AS told_before,
       c.contact_id, c.channel, c.language, c.position, c.severity_min, c.failures >= $2::int AS dead
FROM account n
LEFT JOIN contact c ON c.account = n.name AND c.enabled AND c.removed_at IS NULL
WHERE n.revoked_at IS NULL
  AND (n.name = $3 OR n.name = ANY($5::text[]) OR n.role IN ('officer', 'administrator')
       OR EXISTS (SELECT 1 FROM notice o WHERE o.alert_id = $4 AND o.account = n.name AND o.state = 'handed_over'))
ORDER BY n.name, c.position, c.contact_id;

-- resolve_page(page_id, resolved_at, recipients, reason) --
-- Remember how a page's recipients were chosen.
UPDATE page SET resolved_at = $2, recipients = $3, reason = $4 WHERE page_id = $1;

-- asked_on_page(page_id) --
-- Whom a page asked already, and by which contacts.
SELECT account, contact_id FROM notice WHERE page_id = $1;

-- add_notices(rows) --
-- Write notices; returns those that were not there yet.
INSERT INTO notice (page_id, alert_id, account, contact_id, channel, purpose, level, state, reason, requested_at, deadline_at,
    failed_at, not_needed_at, follows)
SELECT page_id, alert_id, account, contact_id, channel, purpose, level, state, reason, requested_at, deadline_at,
    failed_at, not_needed_at, follows
FROM jsonb_to_recordset($1::jsonb) AS r (
    page_id bigint, alert_id bigint, account text, contact_id int, channel text, purpose text, level smallint, state text,
    reason text, requested_at timestamptz, deadline_at timestamptz, failed_at timestamptz, not_needed_at timestamptz,
    follows bigint)
ON CONFLICT DO NOTHING
RETURNING notice_id, account, state, contact_id;

-- queue_sends(notice_ids, priority) --
-- A job for each notice.
SELECT procrastinate.procrastinate_defer_jobs_v1(array_agg(ROW(
    'notices', 'send', $2::int, NULL, NULL, jsonb_build_object('notice_id', id), NULL
    )::procrastinate.procrastinate_job_to_defer_v1 ORDER BY id))
FROM unnest($1::bigint[]) AS id
HAVING count(*) > 0;

-- lock_notice(notice_id) --
-- A notice that waits or whose attempt did not come back, with its contact and how its alert stands, locked.
SELECT n.notice_id, n.page_id, n.alert_id, n.account, n.contact_id, n.purpose, n.level, n.state, n.requested_at, n.deadline_at,
       n.attempts, n.fell_over, n.sending_at, a.state AS alert_state, a.owner, a.severity, a.area,
       CASE WHEN a.leak THEN 'critical' ELSE a.severity END AS urgency,
       c.channel, c.sealed, c.language, c.enabled AND c.removed_at IS NULL AS usable, k.role,
       (SELECT s.step FROM alert_step s WHERE s.alert_id = n.alert_id AND s.at > n.requested_at
           AND s.to_state <> coalesce(s.from_state, s.to_state) AND s.actor NOT IN ('rules', 'inspections', 'notices')
        ORDER BY s.step_id DESC LIMIT 1) AS moved_step,
       (SELECT s.actor FROM alert_step s WHERE s.alert_id = n.alert_id AND s.at > n.requested_at
           AND s.to_state <> coalesce(s.from_state, s.to_state) AND s.actor NOT IN ('rules', 'inspections', 'notices')
        ORDER BY s.step_id DESC LIMIT 1) AS moved_by
FROM notice n
JOIN alert a ON a.alert_id = n.alert_id
JOIN contact c ON c.contact_id = n.contact_id
JOIN account k ON k.name = n.account
WHERE n.notice_id = $1 AND n.state IN ('requested', 'sending')
FOR UPDATE OF n;

-- notice_facts(alert_ids, purposes, levels) --
-- What notices tell of: the alerts with the names of their devices and places and what their rules said.
SELECT a.alert_id, a.rule_id, a.subject, coalesce(v.definition ->> 'title', a.rule_id) AS rule_title,
       coalesce(v.definition ->> 'what_to_do', '') AS what_to_do, q.purpose, q.level, a.severity, a.state, a.owner, a.sentence,
       a.raised_at, a.first_at, a.last_at, a.closed_at, a.unit, a.first_value, a.last_value, a.worst_value, a.count, a.area,
       t.name AS area_name, d.code AS device, g.code AS gateway, b.name AS building, p.code AS premises, p.address, a.evidence,
       CASE WHEN a.state NOT IN ('verified', 'dismissed') THEN a.due_at END AS due_at
FROM unnest($1::bigint[], $2::text[], $3::int[]) WITH ORDINALITY AS q (alert_id, purpose, level, place)
JOIN alert a ON a.alert_id = q.alert_id
LEFT JOIN rule_version v ON v.rule_id = a.rule_id AND v.version = a.rule_version
LEFT JOIN district t ON t.code = a.area
LEFT JOIN device d ON d.device_id = a.device_id
LEFT JOIN gateway g ON g.gateway_id = a.gateway_id
LEFT JOIN premises p ON p.premises_id = a.premises_id
LEFT JOIN building b ON b.building_id = coalesce(a.building_id, p.building_id)
ORDER BY q.place;

-- begin_attempt(notice_ids, at) --
-- An attempt is about to be made.
UPDATE notice SET state = 'sending', sending_at = $2, attempts = attempts + 1 WHERE notice_id = ANY($1::bigint[]);

-- end_notices(notice_ids, state, at, reason) --
-- Notices end: handed over, failed or not needed; returns those that had not ended before.
UPDATE notice SET state = $2, reason = coalesce($4, reason),
    handed_over_at = CASE WHEN $2 = 'handed_over' THEN $3::timestamptz END,
    failed_at = CASE WHEN $2 = 'failed' THEN $3::timestamptz END,
    not_needed_at = CASE WHEN $2 = 'not_needed' THEN $3::timestamptz END
WHERE notice_id = ANY($1::bigint[]) AND state IN ('requested', 'sending')
RETURNING notice_id, alert_id, page_id, account, channel, purpose, requested_at;

-- attempt_failed(notice_ids, error) --
-- An attempt failed, another one follows.
UPDATE notice SET state = 'requested', last_error = $2 WHERE notice_id = ANY($1::bigint[]) AND state = 'sending';

-- attempt_not_made(notice_ids) --
-- An attempt was not made after all: its channel was busy.
UPDATE notice SET state = 'requested', attempts = attempts - 1 WHERE notice_id = ANY($1::bigint[]) AND state = 'sending';

-- mark_error(notice_ids, error) --
-- What the newest attempt said.
UPDATE notice SET last_error = $2 WHERE notice_id = ANY($1::bigint[]);

-- fell_over(notice_id) --
-- A notice's failure leads to another one, once; returns nothing when it had before.
UPDATE notice SET fell_over = true WHERE notice_id = $1 AND NOT fell_over RETURNING notice_id;

-- contact_worked(contact_id, at) --
-- A contact took a notice.
UPDATE contact SET failures = 0, failing_since = NULL, last_error = NULL, last_handed_over_at = $2 WHERE contact_id = $1;

-- contact_failed(contact_id, at, error) --
-- A contact failed once more.
UPDATE contact SET failures = failures + 1, failing_since = coalesce(failing_since, $2), last_error = $3 WHERE contact_id = $1;

-- overdue_notices(now, count) --
-- Notices whose deadline has passed a minute ago and that nobody has ended: their job was lost.
SELECT notice_id FROM notice
WHERE state IN ('requested', 'sending') AND deadline_at < $1::timestamptz - interval '1 minute' ORDER BY notice_id LIMIT $2;

-- alert_notices(alert_id) --
-- The notices of an alert, oldest first.
SELECT n.notice_id, n.purpose, n.level, n.account, n.channel, c.shown AS contact, n.state, n.reason, n.requested_at,
       n.deadline_at, n.handed_over_at, n.failed_at, n.not_needed_at, n.attempts, n.last_error, n.follows
FROM notice n LEFT JOIN contact c ON c.contact_id = n.contact_id
WHERE n.alert_id = $1 ORDER BY n.notice_id;

-- alert_pages(alert_id) --
-- The pages of an alert, oldest first: how their recipients were chosen.
SELECT page_id, purpose, level, requested_at, resolved_at, recipients, reason FROM page WHERE alert_id = $1 ORDER BY page_id;

-- recent_notices(contact_id, since) --
-- How many notices of alerts that are neither critical nor a leak a contact was handed since a moment or is being handed now.
SELECT count(*) FROM notice n JOIN alert a ON a.alert_id = n.alert_id
WHERE n.contact_id = $1 AND (n.handed_over_at >= $2 OR n.state = 'sending') AND a.severity <> 'critical' AND NOT a.leak;

-- waiting_for_contact(contact_id, count) --
-- Notices of alerts that are neither critical nor a leak and wait for a contact, the gravest first, locked, without those another worker has.
SELECT n.notice_id, n.alert_id, n.purpose, n.level
FROM notice n JOIN alert a ON a.alert_id = n.alert_id
WHERE n.contact_id = $1 AND n.state = 'requested' AND a.severity <> 'critical' AND NOT a.leak
ORDER BY array_position(ARRAY['major', 'minor', 'info'], a.severity), n.notice_id
LIMIT $2
FOR UPDATE OF n SKIP LOCKED;

-- notices_waiting() --
-- How many notices wait, and since when the oldest does.
SELECT count(*) AS waiting, min(requested_at) AS oldest_at FROM notice WHERE state IN ('requested', 'sending');

-- add_contact(account, channel, sealed, shown, language, severity_min, position, added_at, added_by) --
-- A new contact of an account, last in order when `position` is null; returns nothing when there is no such account.
INSERT INTO contact (account, channel, sealed, shown, language, severity_min, position, added_at, added_by)
SELECT n.name, $2, $3, $4, $5, $6,
       coalesce($7::smallint, (SELECT coalesce(max(position), 0) + 1 FROM contact c WHERE c.account = n.name AND c.removed_at IS NULL)),
       $8, $9
FROM account n WHERE n.name = $1 AND n.revoked_at IS NULL
RETURNING contact_id;

-- list_contacts(account) --
-- The contacts there are, of one account or (null) all, without addresses.
SELECT contact_id, account, channel, shown, language, position, severity_min, enabled, added_at, added_by, failures,
       failing_since, last_error, last_handed_over_at
FROM contact WHERE removed_at IS NULL AND ($1::text IS NULL OR account = $1) ORDER BY account, position, contact_id;

-- lock_contact(contact_id) --
-- One contact with its sealed address, locked.
SELECT contact_id, account, channel, sealed, shown, language, position, severity_min, enabled
FROM contact WHERE contact_id = $1 AND removed_at IS NULL FOR UPDATE;

-- change_contact(contact_id, language, position, severity_min, enabled) --
-- Change what is given of a contact.
UPDATE contact SET language = coalesce($2, language), position = coalesce($3, position),
    severity_min = coalesce($4, severity_min), enabled = coalesce($5, enabled)
WHERE contact_id = $1;

-- remove_contact(contact_id, at) --
-- A contact ends; its address is erased.
UPDATE contact SET removed_at = $2, enabled = false, sealed = '', shown = channel || '://' WHERE contact_id = $1;

-- sealed_contacts() --
-- Every sealed address, for a change of keys, locked.
SELECT contact_id, sealed FROM contact WHERE removed_at IS NULL FOR UPDATE;

-- reseal_contact(contact_id, sealed) --
-- The same address under another key.
UPDATE contact SET sealed = $2 WHERE contact_id = $1;

-- dead_contacts(dead_after) --
-- Contacts that failed too often in a row, with their person.
SELECT c.contact_id, c.account, c.channel, c.failures, c.failing_since, c.last_error
FROM contact c JOIN account n ON n.name = c.account
WHERE c.enabled AND c.removed_at IS NULL AND n.revoked_at IS NULL AND c.failures >= $1::int;

-- area_of_alert(alert_id) --
-- The district of an alert.
SELECT area FROM alert WHERE alert_id = $1;
