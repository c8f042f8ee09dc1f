-- Statements of the on-duty rota of the package `rules`. Format: see sql/__init__.py.

-- on_duty(area, at) --
-- Who is on duty for a district at a moment, by level; who has not been relieved still is.
WITH RECURSIVE above AS (
    SELECT district_id, parent_id, code FROM district WHERE code = $1
    UNION SELECT d.district_id, d.parent_id, d.code FROM district d JOIN above ON d.district_id = above.parent_id
)
SELECT DISTINCT s.level, s.account FROM rota_shift s JOIN account n ON n.name = s.account AND n.revoked_at IS NULL
WHERE s.cancelled_at IS NULL AND (s.relieved_at IS NULL OR s.relieved_at > $2)
  AND least(s.starts_at, coalesce(s.taken_at, s.starts_at)) <= $2
  AND (s.areas IS NULL OR s.areas && (SELECT array_agg(code) FROM above) OR $1 = ANY (s.areas))
ORDER BY s.level, s.account;

-- shifts_between(since, until) --
-- Shifts that are planned or go on between two moments, those not relieved yet included.
SELECT s.shift_id, s.account, s.level, s.areas, s.starts_at, s.ends_at, s.taken_at, s.relieved_at, s.note
FROM rota_shift s JOIN account n ON n.name = s.account AND n.revoked_at IS NULL
WHERE s.cancelled_at IS NULL AND s.starts_at < $2
  AND (s.ends_at > $1 OR s.relieved_at IS NULL) AND (s.relieved_at IS NULL OR s.relieved_at > $1)
ORDER BY s.level, s.starts_at, s.shift_id;

-- rota_is_used() --
-- Whether there has ever been a shift.
SELECT EXISTS (SELECT 1 FROM rota_shift);

-- districts_above() --
-- Every district with itself and all above it, and whether it has none below.
WITH RECURSIVE up AS (
    SELECT district_id, district_id AS above_id, parent_id FROM district
    UNION SELECT up.district_id, d.district_id, d.parent_id FROM up JOIN district d ON d.district_id = up.parent_id
)
SELECT d.code, array_agg(a.code) AS above, NOT EXISTS (SELECT 1 FROM district c WHERE c.parent_id = d.district_id) AS leaf
FROM up JOIN district d ON d.district_id = up.district_id JOIN district a ON a.district_id = up.above_id
GROUP BY d.district_id, d.code ORDER BY d.code;

-- add_shift(account, level, areas, starts_at, ends_at, note, added_at, added_by) --
-- Plan a shift; returns nothing when there is no such account.
INSERT INTO rota_shift (account, level, areas, starts_at, ends_at, note, added_at, added_by)
SELECT name, $2, $3, $4, $5, $6, $7, $8 FROM account WHERE name = $1 AND revoked_at IS NULL
RETURNING shift_id;

-- overlapping_shift(account, level, starts_at, ends_at) --
-- A shift of the same person at the same level within a time.
SELECT shift_id, starts_at, ends_at FROM rota_shift
WHERE account = $1 AND level = $2 AND cancelled_at IS NULL AND relieved_at IS NULL AND starts_at < $4 AND ends_at > $3
LIMIT 1;

-- lock_shift(shift_id) --
-- One shift that was not called off, locked.
SELECT shift_id, account, level, areas, starts_at, ends_at, taken_at, relieved_at, note
FROM rota_shift WHERE shift_id = $1 AND cancelled_at IS NULL FOR UPDATE;

-- cancel_shift(shift_id, at) --
-- Call a planned shift off.
UPDATE rota_shift SET cancelled_at = $2 WHERE shift_id = $1;

-- take_shift(shift_id, at) --
-- A shift begins by taking over.
UPDATE rota_shift SET taken_at = coalesce(taken_at, $2) WHERE shift_id = $1;

-- relieve_shift(shift_id, at) --
-- A shift ends: somebody took over.
UPDATE rota_shift SET relieved_at = $2 WHERE shift_id = $1;

-- open_alerts_of_areas(areas, count) --
-- What is open in some districts and all below them (null: the whole city), the gravest first.
WITH RECURSIVE below AS (
    SELECT district_id, code FROM district WHERE $1::text[] IS NULL OR code = ANY($1)
    UNION SELECT d.district_id, d.code FROM district d JOIN below ON d.parent_id = below.district_id
)
SELECT a.alert_id, a.severity, a.state, a.owner, a.area, a.sentence
FROM alert a
WHERE a.state NOT IN ('verified', 'dismissed') AND ($1::text[] IS NULL OR a.area IN (SELECT code FROM below))
ORDER BY array_position(ARRAY['critical', 'major', 'minor', 'info'], a.severity), a.alert_id
LIMIT $2;

-- add_handover(from_shift, to_shift, at, actor, note, open_alerts) --
-- Record that duty passed on.
INSERT INTO rota_handover (from_shift, to_shift, at, actor, note, open_alerts) VALUES ($1, $2, $3, $4, $5, $6)
RETURNING handover_id;

-- list_handovers(count) --
-- The newest hand-overs.
SELECT h.handover_id, f.account AS from_account, t.account AS to_account, f.level, f.areas, h.at, h.actor, h.note, h.open_alerts
FROM rota_handover h JOIN rota_shift f ON f.shift_id = h.from_shift LEFT JOIN rota_shift t ON t.shift_id = h.to_shift
ORDER BY h.handover_id DESC LIMIT $1;

-- last_reach_round(night) --
-- The newest round of tests of a night; null when there was none.
SELECT max(round) FROM reach_test WHERE night = $1;

-- people_to_reach(until) --
-- Everybody on duty from now to a moment with their enabled contacts (NULL: none), from when.
SELECT s.account, min(least(s.starts_at, coalesce(s.taken_at, s.starts_at))) AS duty_from, c.contact_id, c.channel
FROM rota_shift s JOIN account n ON n.name = s.account AND n.revoked_at IS NULL
LEFT JOIN contact c ON c.account = s.account AND c.enabled AND c.removed_at IS NULL
WHERE s.cancelled_at IS NULL AND s.starts_at < $1 AND s.relieved_at IS NULL
GROUP BY s.account, c.contact_id, c.channel ORDER BY s.account, c.contact_id;

-- add_reach_tests(rows) --
-- Ask people to confirm that they can be reached; returns the tests with a contact.
WITH added AS (
    INSERT INTO reach_test (night, round, account, contact_id, channel, code_hash, sealed_code, duty_from, requested_at, deadline_at,
        last_error)
    SELECT night, round, account, contact_id, channel, decode(code_hash, 'hex'), decode(sealed_code, 'hex'), duty_from, requested_at,
        deadline_at, last_error
    FROM jsonb_to_recordset($1::jsonb) AS r (
        night date, round smallint, account text, contact_id int, channel text, code_hash text, sealed_code text,
        duty_from timestamptz, requested_at timestamptz, deadline_at timestamptz, last_error text)
    ON CONFLICT DO NOTHING
    RETURNING test_id, contact_id
)
SELECT test_id FROM added WHERE contact_id IS NOT NULL ORDER BY test_id;

-- queue_reach_tests(test_ids) --
-- A job for each test.
SELECT procrastinate.procrastinate_defer_jobs_v1(array_agg(ROW(
    'notices', 'reach', -10, NULL, NULL, jsonb_build_object('test_id', id), NULL
    )::procrastinate.procrastinate_job_to_defer_v1 ORDER BY id))
FROM unnest($1::bigint[]) AS id
HAVING count(*) > 0;

-- lock_reach_test(test_id) --
-- A test that has not been handed over, with its contact, locked.
SELECT t.test_id, t.account, t.contact_id, t.sealed_code, t.duty_from, t.deadline_at, t.attempts, c.channel, c.sealed, c.language
FROM reach_test t JOIN contact c ON c.contact_id = t.contact_id AND c.removed_at IS NULL AND c.enabled
WHERE t.test_id = $1 AND t.handed_over_at IS NULL AND t.judged_at IS NULL
FOR UPDATE OF t;

-- begin_reach_attempt(test_id) --
-- An attempt is about to be made.
UPDATE reach_test SET attempts = attempts + 1 WHERE test_id = $1;

-- reach_handed_over(test_id, at) --
-- The channel took a test; its code is only known as a digest from now on.
UPDATE reach_test SET handed_over_at = $2, sealed_code = NULL, last_error = NULL WHERE test_id = $1;

-- reach_failed(test_id, error) --
-- An attempt failed.
UPDATE reach_test SET last_error = $2 WHERE test_id = $1;

-- confirm_reach(code_hash, at, confirmed_by) --
-- Somebody gave the code: the test is confirmed, once.
UPDATE reach_test SET confirmed_at = coalesce(confirmed_at, $2), confirmed_by = coalesce(confirmed_by, $3)
WHERE code_hash = $1 RETURNING test_id, account, channel, confirmed_at, deadline_at;

-- judge_reach_tests(now) --
-- Tests whose time is over are judged from now on.
UPDATE reach_test SET judged_at = $1, sealed_code = NULL WHERE judged_at IS NULL AND deadline_at <= $1
RETURNING test_id;

-- unreached_people(now) --
-- Accounts on duty now or soon of whom no contact was confirmed in their newest judged test.
WITH newest AS (
    SELECT DISTINCT ON (account) account, night, round, deadline_at FROM reach_test WHERE judged_at IS NOT NULL
    ORDER BY account, night DESC, round DESC
)
SELECT n.account_id, w.account, w.deadline_at, count(t.test_id) FILTER (WHERE t.contact_id IS NOT NULL) AS contacts,
       count(t.handed_over_at) AS handed_over,
       (SELECT s.areas[1] FROM rota_shift s WHERE s.account = w.account ORDER BY s.shift_id DESC LIMIT 1) AS area
FROM newest w
JOIN account n ON n.name = w.account AND n.revoked_at IS NULL
JOIN reach_test t ON t.account = w.account AND t.night = w.night AND t.round = w.round
WHERE EXISTS (SELECT 1 FROM rota_shift s WHERE s.account = w.account AND s.cancelled_at IS NULL AND s.relieved_at IS NULL
              AND s.starts_at < $1::timestamptz + interval '1 day')
GROUP BY n.account_id, w.account, w.deadline_at
HAVING count(t.confirmed_at) = 0;

-- reach_results(nights) --
-- The tests of the newest nights, newest first.
SELECT t.test_id, t.night, t.round, t.account, t.channel, c.shown AS contact, t.requested_at, t.deadline_at, t.attempts,
       t.handed_over_at, t.confirmed_at, t.confirmed_by, t.judged_at, t.last_error
FROM reach_test t LEFT JOIN contact c ON c.contact_id = t.contact_id
WHERE t.night > (SELECT max(night) FROM reach_test) - $1::int
ORDER BY t.night DESC, t.round DESC, t.account, t.test_id;

-- open_desk_alerts(rule_ids) --
-- Open alerts about the desk's own working.
SELECT rule_id, subject FROM alert WHERE rule_id = ANY($1::text[]) AND state NOT IN ('verified', 'dismissed') AND firing;

-- claim_watch() --
-- Whether this process may watch now; held until the transaction ends.
SELECT pg_try_advisory_xact_lock(hashtext('gaswarden.notices.watch'));

-- desk_area() --
-- The district that stands for the whole city.
SELECT coalesce((SELECT code FROM district WHERE parent_id IS NULL ORDER BY district_id LIMIT 1), '-');
