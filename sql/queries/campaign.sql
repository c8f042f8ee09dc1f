-- Statements of the package `inspections` about the campaign of the year. Format: see sql/__init__.py.
--
-- campaign_doors() --
-- Every door with what decides when it is due and whether it comes first, and its open periodic duty.
SELECT p.premises_id, p.building_id, b.compound_id, di.code AS area, p.user_class, b.built_year, p.tenure, p.elderly, p.special_care,
       p.last_entered_on, d.due_on, d.attempts
FROM premises p
JOIN building b ON b.building_id = p.building_id
JOIN compound c ON c.compound_id = b.compound_id
JOIN district di ON di.district_id = c.district_id
LEFT JOIN duty d ON d.premises_id = p.premises_id AND d.kind = 'periodic' AND d.state = 'open';

-- add_campaign(planned_at, first_day, days, rules, figures, actor) --
-- A new campaign, in force from its commit on.
INSERT INTO campaign (planned_at, first_day, days, rules, figures, actor) VALUES ($1, $2, $3, $4, $5, $6) RETURNING campaign_id;

-- lock_campaign() --
-- One planning of the campaign at a time, until the transaction ends.
SELECT pg_advisory_xact_lock(hashtext('gaswarden.campaign'));

-- newest_campaign() --
-- The campaign in force.
SELECT campaign_id, planned_at, first_day, days, rules, figures, actor FROM campaign ORDER BY campaign_id DESC LIMIT 1;

-- campaign_weeks(campaign_id, areas, asked) --
-- By week and district, within areas and perhaps of one district: compounds, buildings, doors.
SELECT date_trunc('week', b.day)::date AS week, b.area, count(DISTINCT b.compound_id) AS compounds,
       count(DISTINCT b.building_id) AS buildings, sum(b.doors)::int AS doors, sum(b.priority_doors)::int AS priority_doors,
       sum(b.late_doors)::int AS late_doors, (sum(b.work_s) / 3600.0)::float8 AS work_h
FROM campaign_block b
WHERE b.campaign_id = $1 AND ($2::text[] IS NULL OR b.area = ANY($2)) AND ($3::text IS NULL OR b.area = $3)
GROUP BY 1, 2
ORDER BY 1, 2;

-- campaign_days(campaign_id, since, until, areas) --
-- Blocks of days, within areas, with the names of building and compound.
SELECT b.day, c.code AS compound, c.name AS compound_name, bu.code AS building, bu.name AS building_name, b.area, b.doors,
       b.priority_doors, b.late_doors, (b.work_s / 3600.0)::float8 AS work_h
FROM campaign_block b JOIN compound c ON c.compound_id = b.compound_id JOIN building bu ON bu.building_id = b.building_id
WHERE b.campaign_id = $1 AND b.day BETWEEN $2 AND $3 AND ($4::text[] IS NULL OR b.area = ANY($4))
ORDER BY b.day, b.area, c.code, bu.code;

-- campaign_forecast_rows(campaign_id, areas) --
-- The forecast by month and district, within areas.
SELECT area, month, due, on_time, late, unreached, priority_unreached
FROM campaign_forecast WHERE campaign_id = $1 AND ($2::text[] IS NULL OR area = ANY($2))
ORDER BY month, area;

-- issue_compound_notices(by_day, notice_days, at) --
-- Issue the notices of all compounds whose visits lie within `notice_days` of a day and that have none yet.
INSERT INTO compound_notice (compound_id, day, campaign_id, buildings, doors, due_on, issued_at)
SELECT b.compound_id, b.day, b.campaign_id, count(*), sum(b.doors), b.day - $2::int, $3
FROM campaign_block b
WHERE b.campaign_id = (SELECT max(campaign_id) FROM campaign) AND b.day > $1::date AND b.day <= $1::date + $2::int
GROUP BY b.compound_id, b.day, b.campaign_id
ON CONFLICT (compound_id, day) DO NOTHING
RETURNING notice_id;

-- compound_notices(since, until, areas) --
-- Notices by the day of the visits, within areas.
SELECT n.notice_id, n.day, c.code AS compound, c.name AS compound_name, di.code AS area, n.buildings, n.doors, n.due_on, n.issued_at,
       n.posted_at, n.posted_by
FROM compound_notice n
JOIN compound c ON c.compound_id = n.compound_id
JOIN district di ON di.district_id = c.district_id
WHERE n.day BETWEEN $1 AND $2 AND ($3::text[] IS NULL OR di.code = ANY($3))
ORDER BY n.day, c.code;

-- post_compound_notice(notice_id, at, actor, areas) --
-- Somebody says that a notice hangs.
UPDATE compound_notice n SET posted_at = coalesce(n.posted_at, $2), posted_by = coalesce(n.posted_by, $3)
FROM compound c JOIN district di ON di.district_id = c.district_id
WHERE n.notice_id = $1 AND c.compound_id = n.compound_id AND ($4::text[] IS NULL OR di.code = ANY($4))
RETURNING n.notice_id;

-- buildings_in_turn(day, since) --
-- Buildings whose turn by the campaign in force is a day, or was since some day before.
SELECT DISTINCT building_id FROM campaign_block
WHERE campaign_id = (SELECT max(campaign_id) FROM campaign) AND day BETWEEN $2 AND $1;

-- campaign_week(premises, day) --
-- Monday of the week in which the campaign in force next visits a door's building, from a day on.
SELECT date_trunc('week', min(b.day))::date
FROM campaign_block b JOIN premises p ON p.building_id = b.building_id
WHERE b.campaign_id = (SELECT max(campaign_id) FROM campaign) AND p.code = $1 AND b.day >= $2;
