-- Statements of the package `inspections` about requests, cases and enforcement. Format: see sql/__init__.py.
--
-- ---------------------------------------------------------------------------------------------- requests

-- place_of_premises(code) --
-- A door's id and district.
SELECT p.premises_id, di.code AS area, p.user_class
FROM premises p
JOIN building b ON b.building_id = p.building_id
JOIN compound c ON c.compound_id = b.compound_id
JOIN district di ON di.district_id = c.district_id
WHERE p.code = $1;

-- add_request(client_id, premises_id, area, channel, category, body, contact_name, contact_phone, received_at, recorded_at, recorded_by, reply_by, settle_by) --
-- Record a request once; nothing when its client id is there already.
INSERT INTO request (client_id, premises_id, area, channel, category, body, contact_name, contact_phone, state, received_at,
                     recorded_at, recorded_by, reply_by, settle_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'open', $9, $10, $11, $12, $13)
ON CONFLICT (client_id) DO NOTHING
RETURNING request_id;

-- request_of_client(client_id) --
-- The request that carries this client id, with what was said, to tell a repeat from another request.
SELECT request_id, premises_id, area, channel, category, body, received_at,
       EXISTS (SELECT FROM request_step s WHERE s.request_id = r.request_id AND s.step = 'door') AS door_named
FROM request r WHERE client_id = $1;

-- lock_request(request_id) --
-- A request as far as its life goes, locked until the transaction ends.
SELECT request_id, category, state, received_at, reply_by, settle_by, owner, reply, replied_at, closed_at, rating, call_by,
       reminders, reminded_at, area
FROM request WHERE request_id = $1
FOR NO KEY UPDATE;

-- overdue_requests(at, reminded_before, limit_rows) --
-- Requests with a deadline that has passed and that were not reminded of since then or, after that, for a while; oldest deadline
-- first, locked; those that another process holds are left to it.
SELECT request_id, category, state, received_at, reply_by, settle_by, owner, reply, replied_at, closed_at, rating, call_by,
       reminders, reminded_at
FROM request
WHERE (state IN ('open', 'replied') OR call_by IS NOT NULL)
  AND greatest(CASE WHEN state = 'open' AND reply_by < $1 THEN reply_by END,
               CASE WHEN state IN ('open', 'replied') AND settle_by < $1 THEN settle_by END,
               CASE WHEN call_by < $1 THEN call_by END) > coalesce(CASE WHEN reminded_at > $2 THEN reminded_at END, '-infinity')
ORDER BY reply_by, request_id
LIMIT $3
FOR NO KEY UPDATE SKIP LOCKED;

-- update_request(request_id, state, owner, reply, replied_at, closed_at, rating, call_by, reminders, reminded_at) --
-- Write what a step changed.
UPDATE request SET state = $2, owner = $3, reply = $4, replied_at = $5, closed_at = $6, rating = $7, call_by = $8,
                   reminders = $9, reminded_at = $10
WHERE request_id = $1;

-- add_request_step(request_id, at, step, actor, note) --
-- One more line of a request's timeline.
INSERT INTO request_step (request_id, at, step, actor, note) VALUES ($1, $2, $3, $4, $5);

-- open_request_duty(premises_id, request_id, due_on, mandatory, reason, at) --
-- The visit a request asks for.
INSERT INTO duty (premises_id, kind, state, due_on, mandatory, reason, request_id, created_at)
VALUES ($1, 'request', 'open', $3, $4, $5, $2, $6)
ON CONFLICT DO NOTHING
RETURNING duty_id;

-- name_request_door(request_id, premises_id, area) --
-- The door that a request is about, known later or corrected; nothing when it is that one already.
UPDATE request SET premises_id = $2, area = $3 WHERE request_id = $1 AND premises_id IS DISTINCT FROM $2 RETURNING request_id;

-- awaits_mandatory_visit(request_id) --
-- Whether somebody must still go to the door of a request.
SELECT EXISTS (SELECT FROM duty WHERE request_id = $1 AND state = 'open' AND mandatory);

-- cancel_request_duties(request_id, at) --
-- The resident no longer wants it, or it is settled without a visit.
UPDATE duty SET state = 'cancelled', closed_at = $2 WHERE request_id = $1 AND state = 'open' RETURNING duty_id;

-- visited_requests() --
-- Requests whose visit was made and whose timeline does not say so yet.
SELECT r.request_id, o.at, o.result, i.code AS inspector
FROM request r
JOIN duty d ON d.request_id = r.request_id AND d.state = 'done'
JOIN outcome o ON o.outcome_id = d.outcome_id
JOIN inspector i ON i.inspector_id = o.inspector_id
WHERE r.state IN ('open', 'replied')
  AND NOT EXISTS (SELECT FROM request_step s WHERE s.request_id = r.request_id AND s.step = 'visited');

-- requests_page(states, category, channel, overdue_at, areas, received_before, request_before, limit_rows, premises, owner) --
-- A page of requests, newest first, within areas; `overdue_at`: only those with a deadline that had passed by then.
SELECT r.request_id, p.code AS premises, r.area, r.channel, r.category, r.state, r.received_at, r.reply_by, r.settle_by, r.owner,
       r.replied_at, r.closed_at, r.rating, r.call_by, r.reminders, r.case_id
FROM request r LEFT JOIN premises p ON p.premises_id = r.premises_id
WHERE ($1::text[] IS NULL OR r.state = ANY($1)) AND ($2::text IS NULL OR r.category = $2) AND ($3::text IS NULL OR r.channel = $3)
  AND ($4::timestamptz IS NULL OR r.state = 'open' AND r.reply_by < $4 OR r.state IN ('open', 'replied') AND r.settle_by < $4
       OR r.call_by < $4)
  AND ($5::text[] IS NULL OR r.area = ANY($5))
  AND ($6::timestamptz IS NULL OR (r.received_at, r.request_id) < ($6, $7::bigint))
  AND ($9::text IS NULL OR p.code = $9) AND ($10::text IS NULL OR r.owner = $10)
ORDER BY r.received_at DESC, r.request_id DESC
LIMIT $8;

-- request_whole(request_id) --
-- One request with everything said.
SELECT r.request_id, p.code AS premises, r.area, r.channel, r.category, r.state, r.received_at, r.reply_by, r.settle_by, r.owner,
       r.replied_at, r.closed_at, r.rating, r.call_by, r.reminders, r.case_id, r.body, r.contact_name, r.contact_phone, r.reply,
       r.recorded_at, r.recorded_by,
       ARRAY(SELECT d.duty_id FROM duty d WHERE d.request_id = r.request_id ORDER BY 1) AS duty_ids
FROM request r LEFT JOIN premises p ON p.premises_id = r.premises_id
WHERE r.request_id = $1;

-- request_steps(request_id) --
-- A request's timeline.
SELECT at, step, actor, note FROM request_step WHERE request_id = $1 ORDER BY step_id;

-- request_figures(since, until, areas, at) --
-- By channel and category: received, replied, closed, each also in time; the mean rating. A deadline that has not come yet
-- counts neither as met nor as missed.
SELECT channel, category, count(*) AS received,
       count(*) FILTER (WHERE state = 'withdrawn') AS withdrawn,
       count(replied_at) AS replied,
       count(*) FILTER (WHERE replied_at <= reply_by) AS replied_in_time,
       count(*) FILTER (WHERE state <> 'withdrawn' AND (replied_at IS NOT NULL OR reply_by < $4)) AS reply_due,
       count(*) FILTER (WHERE state = 'closed') AS closed,
       count(*) FILTER (WHERE state = 'closed' AND closed_at <= settle_by) AS closed_in_time,
       count(*) FILTER (WHERE state = 'closed' OR state <> 'withdrawn' AND settle_by < $4) AS settlement_due,
       avg(rating)::float8 AS mean_rating
FROM request
WHERE received_at >= $1 AND received_at < $2 AND ($3::text[] IS NULL OR area = ANY($3))
GROUP BY channel, category
ORDER BY channel, category;

-- ---------------------------------------------------------------------------------------------- cases

-- open_case(kind, premises_id, area, hazard_id, title, opened_at, opened_by, plan_by, close_by) --
-- Open a case; nothing when one of its kind is open for the door (and hazard) already.
INSERT INTO case_file (kind, premises_id, area, hazard_id, title, state, opened_at, opened_by, plan_by, close_by)
VALUES ($1, $2, $3, $4, $5, 'open', $6, $7, $8, $9)
ON CONFLICT DO NOTHING
RETURNING case_id;

-- add_case_step(case_id, at, step, actor, note) --
-- One more line of a case's timeline.
INSERT INTO case_step (case_id, at, step, actor, note) VALUES ($1, $2, $3, $4, $5);

-- link_request_to_case(request_id, case_id) --
-- A request that became a case.
UPDATE request SET case_id = $2 WHERE request_id = $1;

-- lock_case(case_id) --
-- A case as far as its life goes, locked until the transaction ends.
SELECT case_id, kind, state, opened_at, plan_by, close_by, owner, plan, planned_at, supervised, level, result, closed_at, area
FROM case_file WHERE case_id = $1
FOR NO KEY UPDATE;

-- escalating_cases(kinds, levels, after_days, at, limit_rows) --
-- Open cases that a level above theirs should have heard of, oldest first, locked; those that another process holds are left to
-- it. The arrays say after how many days which level hears of which kind.
SELECT case_id, kind, state, opened_at, plan_by, close_by, owner, plan, planned_at, supervised, level, result, closed_at
FROM case_file f
WHERE state <> 'closed'
  AND EXISTS (SELECT FROM unnest($1::text[], $2::int[], $3::int[]) AS k(kind, level, days)
              WHERE k.kind = f.kind AND k.level > f.level AND f.opened_at + make_interval(days => k.days) <= $4)
ORDER BY opened_at, case_id
LIMIT $5
FOR NO KEY UPDATE SKIP LOCKED;

-- update_case(case_id, state, owner, plan, planned_at, supervised, level, result, closed_at) --
-- Write what a step changed.
UPDATE case_file SET state = $2, owner = $3, plan = $4, planned_at = $5, supervised = $6, level = $7, result = $8, closed_at = $9
WHERE case_id = $1;

-- hazards_without_case(today, limit_rows) --
-- Open hazards past their deadline that no case was ever opened for.
SELECT h.hazard_id, h.premises_id, h.code, h.grade, h.due_on, di.code AS area
FROM hazard h
JOIN premises p ON p.premises_id = h.premises_id
JOIN building b ON b.building_id = p.building_id
JOIN compound c ON c.compound_id = b.compound_id
JOIN district di ON di.district_id = c.district_id
WHERE h.state <> 'closed' AND h.grade < 3 AND h.due_on < $1
  AND NOT EXISTS (SELECT FROM case_file f WHERE f.hazard_id = h.hazard_id)
ORDER BY h.hazard_id
LIMIT $2;

-- cases_page(states, kind, supervised, overdue_at, areas, opened_before, case_before, limit_rows, premises, owner) --
-- A page of cases, newest first, within areas; `overdue_at`: only those with a deadline that had passed by then.
SELECT f.case_id, f.kind, p.code AS premises, f.area, f.hazard_id, f.title, f.state, f.opened_at, f.plan_by, f.close_by, f.owner,
       f.supervised, f.level, f.planned_at, f.closed_at
FROM case_file f LEFT JOIN premises p ON p.premises_id = f.premises_id
WHERE ($1::text[] IS NULL OR f.state = ANY($1)) AND ($2::text IS NULL OR f.kind = $2) AND ($3::boolean IS NULL OR f.supervised = $3)
  AND ($4::timestamptz IS NULL OR f.state = 'open' AND f.plan_by < $4 OR f.state <> 'closed' AND f.close_by < $4)
  AND ($5::text[] IS NULL OR f.area = ANY($5))
  AND ($6::timestamptz IS NULL OR (f.opened_at, f.case_id) < ($6, $7::bigint))
  AND ($9::text IS NULL OR p.code = $9) AND ($10::text IS NULL OR f.owner = $10)
ORDER BY f.opened_at DESC, f.case_id DESC
LIMIT $8;

-- case_whole(case_id) --
-- One case with its plan and how it ended.
SELECT f.case_id, f.kind, p.code AS premises, f.area, f.hazard_id, f.title, f.state, f.opened_at, f.opened_by, f.plan_by,
       f.close_by, f.owner, f.supervised, f.level, f.plan, f.planned_at, f.result, f.closed_at,
       ARRAY(SELECT r.request_id FROM request r WHERE r.case_id = f.case_id ORDER BY 1) AS request_ids
FROM case_file f LEFT JOIN premises p ON p.premises_id = f.premises_id
WHERE f.case_id = $1;

-- case_steps(case_id) --
-- A case's timeline.
SELECT at, step, actor, note FROM case_step WHERE case_id = $1 ORDER BY step_id;

-- case_figures(since, until, areas, at) --
-- By kind: opened, planned in time, closed, closed in time, escalated; a deadline that has not come yet counts as neither.
SELECT kind, count(*) AS opened, count(*) FILTER (WHERE planned_at <= plan_by) AS planned_in_time,
       count(*) FILTER (WHERE planned_at IS NOT NULL OR plan_by < $4) AS plan_due,
       count(closed_at) AS closed, count(*) FILTER (WHERE closed_at <= close_by) AS closed_in_time,
       count(*) FILTER (WHERE closed_at IS NOT NULL OR close_by < $4) AS closing_due,
       count(*) FILTER (WHERE level > 0) AS escalated, count(*) FILTER (WHERE supervised) AS supervised
FROM case_file
WHERE opened_at >= $1 AND opened_at < $2 AND ($3::text[] IS NULL OR area = ANY($3))
GROUP BY kind
ORDER BY kind;

-- ---------------------------------------------------------------------------------------------- enforcement

-- add_enforcement(client_id, premises_id, hazard_id, kind, authority, reference, issued_on, due_on, amount_fen, text, recorded_at, recorded_by) --
-- Record an order or a penalty once; nothing when its client id is there already.
INSERT INTO enforcement (client_id, premises_id, hazard_id, kind, authority, reference, issued_on, due_on, amount_fen, text, state,
                         recorded_at, recorded_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'open', $11, $12)
ON CONFLICT (client_id) DO NOTHING
RETURNING enforcement_id;

-- enforcement_of_client(client_id) --
-- The record that carries this client id.
SELECT enforcement_id, premises_id, kind, reference, amount_fen FROM enforcement WHERE client_id = $1;

-- hazard_of_premises(hazard_id, premises_id) --
-- Whether a hazard is this door's.
SELECT hazard_id FROM hazard WHERE hazard_id = $1 AND premises_id = $2;

-- lock_enforcement(enforcement_id) --
-- A record with its district, locked until the transaction ends.
SELECT e.enforcement_id, e.state, e.issued_on, di.code AS area
FROM enforcement e
JOIN premises p ON p.premises_id = e.premises_id
JOIN building b ON b.building_id = p.building_id
JOIN compound c ON c.compound_id = b.compound_id
JOIN district di ON di.district_id = c.district_id
WHERE e.enforcement_id = $1
FOR NO KEY UPDATE OF e;

-- end_enforcement(enforcement_id, state, ended_on, note) --
-- Complied with, or revoked.
UPDATE enforcement SET state = $2, ended_on = $3, ended_note = $4 WHERE enforcement_id = $1;

-- enforcements_page(premises, state, overdue_on, areas, after, limit_rows) --
-- A page of records, newest first, within areas; `overdue_on`: only open ones that were due before that day.
SELECT e.enforcement_id, p.code AS premises, di.code AS area, e.hazard_id, e.kind, e.authority, e.reference, e.issued_on, e.due_on,
       e.amount_fen, e.text, e.state, e.ended_on, e.ended_note
FROM enforcement e
JOIN premises p ON p.premises_id = e.premises_id
JOIN building b ON b.building_id = p.building_id
JOIN compound c ON c.compound_id = b.compound_id
JOIN district di ON di.district_id = c.district_id
WHERE ($1::text IS NULL OR p.code = $1) AND ($2::text IS NULL OR e.state = $2)
  AND ($3::date IS NULL OR e.state = 'open' AND e.due_on < $3) AND ($4::text[] IS NULL OR di.code = ANY($4))
  AND ($5::bigint IS NULL OR e.enforcement_id < $5)
ORDER BY e.enforcement_id DESC
LIMIT $6;

-- enforcement_figures(from_day, to_day, areas, today) --
-- By user class and kind: issued on days, complied with (in time), revoked, past their day and open; amounts of penalties, in fen.
SELECT p.user_class, e.kind, count(*) AS issued, count(*) FILTER (WHERE e.state = 'complied') AS complied,
       count(*) FILTER (WHERE e.state = 'complied' AND e.ended_on <= e.due_on) AS complied_in_time,
       count(*) FILTER (WHERE e.state = 'revoked') AS revoked,
       count(*) FILTER (WHERE e.state = 'open' AND e.due_on < $4) AS overdue,
       coalesce(sum(e.amount_fen), 0)::bigint AS amount_fen,
       coalesce(sum(e.amount_fen) FILTER (WHERE e.state = 'complied'), 0)::bigint AS paid_fen
FROM enforcement e
JOIN premises p ON p.premises_id = e.premises_id
JOIN building b ON b.building_id = p.building_id
JOIN compound c ON c.compound_id = b.compound_id
JOIN district di ON di.district_id = c.district_id
WHERE e.issued_on >= $1 AND e.issued_on < $2 AND ($3::text[] IS NULL OR di.code = ANY($3))
GROUP BY 1, 2
ORDER BY 1, 2;
