-- Statements of the package `inspections`: outcomes and what follows from them, notice cards, booking. Format: see sql/__init__.py.

-- add_outcome(client_id, visit_id, premises_id, inspector_id, result, at, received_at, note, body, actor, checklist_version, answers, unseen, follow_up, found) --
-- Record what happened at a door.
INSERT INTO outcome (client_id, visit_id, premises_id, inspector_id, result, at, received_at, note, body, actor,
                     checklist_version, answers, unseen, follow_up, found)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
RETURNING outcome_id;

-- planned_periodic(visit_id) --
-- Whether a visit was planned as a full inspection, whatever became of that duty since.
SELECT EXISTS (SELECT FROM visit_duty vd JOIN duty d USING (duty_id) WHERE vd.visit_id = $1 AND d.kind = 'periodic');

-- planned_rechecks(visit_id) --
-- The hazards that a visit was to re-check, whatever became of the duties since.
SELECT d.hazard_id, h.code FROM visit_duty vd JOIN duty d USING (duty_id) JOIN hazard h USING (hazard_id)
WHERE vd.visit_id = $1 AND d.kind = 'recheck' ORDER BY d.hazard_id;

-- join_rechecks(visit_id, at) --
-- Who got in looks at what was put right by then, too, however early the re-check: unless a visit before has done it.
INSERT INTO visit_duty (visit_id, duty_id)
SELECT v.visit_id, d.duty_id
FROM visit v
JOIN duty d ON d.premises_id = v.premises_id AND d.kind = 'recheck'
JOIN hazard h ON h.hazard_id = d.hazard_id
LEFT JOIN outcome done ON done.outcome_id = d.outcome_id
WHERE v.visit_id = $1 AND h.found_at < $2 AND h.rectified_at <= $2
  AND (d.state = 'open' OR d.state = 'done' AND (done.at, done.visit_id) > ($2, $1))
ON CONFLICT DO NOTHING;

-- put_off_duties(rows, at) --
-- These duties stay open and are tried again from a later day; the newest visit that we know of decides.
UPDATE duty d SET not_before = r.not_before, due_on = r.due_on
FROM jsonb_to_recordset($1) AS r(duty_id bigint, not_before date, due_on date)
WHERE d.duty_id = r.duty_id
  AND NOT EXISTS (SELECT FROM visit_duty vd JOIN outcome o ON o.visit_id = vd.visit_id
                  WHERE vd.duty_id = d.duty_id AND o.at > $2);

-- recount_attempts(visit_id) --
-- Attempts of a visit's duties, counted from every visit that did not get in: reports may arrive in any order.
UPDATE duty d SET attempts = n.attempts, last_attempt_at = n.last_at
FROM (SELECT vd.duty_id, count(*) FILTER (WHERE NOT o.entered) AS attempts, max(o.at) FILTER (WHERE NOT o.entered) AS last_at
      FROM visit_duty mine
      JOIN visit_duty vd ON vd.duty_id = mine.duty_id
      JOIN outcome o ON o.visit_id = vd.visit_id
      WHERE mine.visit_id = $1
      GROUP BY vd.duty_id) n
WHERE d.duty_id = n.duty_id AND (d.attempts, d.last_attempt_at) IS DISTINCT FROM (n.attempts, n.last_at);

-- move_next_periodic(premises_id, visit_id, due_on, reason) --
-- The next cycle counts from the newest full inspection, in whichever order they are reported.
UPDATE duty d SET due_on = $3, reason = $4
WHERE d.premises_id = $1 AND d.kind = 'periodic' AND d.state = 'open' AND d.due_on < $3
  AND NOT EXISTS (SELECT FROM visit_duty vd WHERE vd.visit_id = $2 AND vd.duty_id = d.duty_id);

-- tried_in_a_row(premises_id, at) --
-- When visits before a moment did not get in, since the last that did, oldest first.
SELECT o.at FROM outcome o
WHERE o.premises_id = $1 AND NOT o.entered AND o.at < $2
  AND o.at > coalesce((SELECT max(e.at) FROM outcome e WHERE e.premises_id = $1 AND e.entered AND e.at < $2), '-infinity')
ORDER BY o.at;

-- tried_since(premises_id, at) --
-- When visits after a moment did not get in, until the next that did, oldest first.
SELECT o.at FROM outcome o
WHERE o.premises_id = $1 AND NOT o.entered AND o.at > $2
  AND o.at < coalesce((SELECT min(e.at) FROM outcome e WHERE e.premises_id = $1 AND e.entered AND e.at > $2), 'infinity')
ORDER BY o.at;

-- end_access_cases(premises_id, entered_at, at, said) --
-- Cases about a door that did not open end when somebody has got in since; those under supervision are for a person.
WITH ended AS (
    UPDATE case_file SET state = 'closed', plan = coalesce(plan, $4), planned_at = coalesce(planned_at, $3), result = $4,
                         closed_at = $3
    WHERE premises_id = $1 AND kind IN ('no_access', 'refused') AND state <> 'closed' AND NOT supervised AND opened_at < $2
    RETURNING case_id
)
INSERT INTO case_step (case_id, at, step, actor, note) SELECT case_id, $3, 'close', 'inspections', $4 FROM ended;

-- shift_hours() --
-- The hours between which anybody works, local.
SELECT extract(hour FROM min(shift_start))::int AS from_hour, ceil(extract(epoch FROM max(shift_end)) / 3600)::int AS to_hour
FROM inspector WHERE active;

-- ---------------------------------------------------------------------------------------------- notice cards and booking

-- issue_cards(card_nos, token_hashes, issued_at, issued_by) --
-- Cards to be printed and taken along.
INSERT INTO notice_card (card_no, token_hash, issued_at, issued_by)
SELECT card_no, token_hash, $3, $4 FROM unnest($1::text[], $2::bytea[]) AS c(card_no, token_hash);

-- leave_card(card_no, premises_id, outcome_id, expires_at) --
-- A card is left at a door; nothing when it is unknown or was left at another.
UPDATE notice_card SET premises_id = $2, outcome_id = coalesce(outcome_id, $3), expires_at = coalesce(expires_at, $4)
WHERE card_no = $1 AND (premises_id IS NULL OR premises_id = $2)
RETURNING card_no;

-- card_by_token(token_hash, at) --
-- The card of a token that opens a door now, with what offering windows needs of the door.
SELECT k.card_no, k.premises_id, p.user_class, di.code AS area, k.expires_at, k.duty_id, d.state AS duty_state,
       d.promised_from, d.promised_to,
       ARRAY(WITH RECURSIVE above AS (
                 SELECT di.code, di.parent_id
                 UNION
                 SELECT up.code, up.parent_id FROM above a JOIN district up ON up.district_id = a.parent_id)
             SELECT code FROM above) AS areas_above
FROM notice_card k
JOIN premises p ON p.premises_id = k.premises_id
JOIN building b ON b.building_id = p.building_id
JOIN compound c ON c.compound_id = b.compound_id
JOIN district di ON di.district_id = c.district_id
LEFT JOIN duty d ON d.duty_id = k.duty_id
WHERE k.token_hash = $1 AND k.expires_at > $2;

-- lock_booking() --
-- One booking at a time, until its transaction ends.
SELECT pg_advisory_xact_lock(hashtext('gaswarden.booking'));

-- bookable_inspectors(areas_above, user_class) --
-- Shifts of those who may visit a door of these districts and this class.
SELECT inspector_id, shift_start, shift_end FROM inspector
WHERE active AND area = ANY($1::text[]) AND $2::text = ANY(skills);

-- absences_between(inspector_ids, since, until) --
-- When these inspectors do not work.
SELECT inspector_id, begins_at, ends_at FROM absence
WHERE inspector_id = ANY($1::int[]) AND begins_at < $3 AND ends_at > $2;

-- promised_between(area, since, until) --
-- Windows that were promised in a district.
SELECT d.promised_from, d.promised_to FROM duty d
JOIN premises p ON p.premises_id = d.premises_id
JOIN building b ON b.building_id = p.building_id
JOIN compound c ON c.compound_id = b.compound_id
JOIN district di ON di.district_id = c.district_id
WHERE di.code = $1 AND d.state = 'open' AND d.promised_from < $3 AND d.promised_to > $2;

-- book_appointment(card_no, premises_id, day, promised_from, promised_to, at) --
-- An appointment that a resident booked, and its promise; the door's other duties may be done on that day too.
WITH made AS (
    INSERT INTO duty (premises_id, kind, state, due_on, not_before, mandatory, reason, created_at, promised_from, promised_to)
    VALUES ($2, 'appointment', 'open', $3, $3, false, 'booked by the resident with notice card ' || $1::text, $6, $4, $5)
    RETURNING duty_id
), promised AS (
    INSERT INTO promise (duty_id, promised_from, promised_to, reason, actor, made_at)
    SELECT duty_id, $4, $5, 'booked by the resident with notice card ' || $1::text, 'resident', $6 FROM made
), earlier AS (
    UPDATE duty SET not_before = $3 WHERE premises_id = $2 AND state = 'open' AND not_before > $3
), card AS (
    UPDATE notice_card SET duty_id = made.duty_id FROM made WHERE card_no = $1
)
SELECT duty_id FROM made;
