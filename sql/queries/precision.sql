-- Statements of the package `rules` about how right its rules are. Format: see sql/__init__.py.

-- measured_alerts(by, rule_id, since, until, scope, false_causes, other_causes) --
-- Alerts raised within a time, by rule and by what `by` names, with how many turned out to be what.
SELECT m.rule_id, m.key, count(*)::int AS alerts,
       (count(*) FILTER (WHERE m.label = 'true'))::int AS true_alerts,
       (count(*) FILTER (WHERE m.label = 'false'))::int AS false_alerts,
       (count(*) FILTER (WHERE m.label = 'other'))::int AS other_alerts,
       (count(*) FILTER (WHERE m.label = 'open'))::int AS open_alerts,
       (count(*) FILTER (WHERE m.label = 'unknown'))::int AS unknown_alerts,
       coalesce(jsonb_object_agg(m.cause, m.causes) FILTER (WHERE m.cause IS NOT NULL), '{}') AS causes
FROM (
    SELECT l.*, count(*) OVER (PARTITION BY l.rule_id, l.key, l.cause) AS causes
    FROM (
        SELECT a.rule_id, a.cause,
               CASE $1::text WHEN 'rule' THEN '' WHEN 'version' THEN a.rule_version WHEN 'model' THEN coalesce(d.model, '?')
                    WHEN 'area' THEN a.area WHEN 'month' THEN to_char(a.raised_at AT TIME ZONE 'UTC', 'YYYY-MM')
                    WHEN 'week' THEN to_char(a.raised_at AT TIME ZONE 'UTC', 'IYYY-"W"IW') END AS key,
               CASE WHEN a.confirmed THEN 'true' WHEN a.cause = ANY($7) THEN 'other'
                    WHEN NOT a.confirmed OR a.cause = ANY($6) THEN 'false'
                    WHEN a.state NOT IN ('verified', 'dismissed') THEN 'open' ELSE 'unknown' END AS label
        FROM alert a LEFT JOIN device d ON d.device_id = a.device_id
        WHERE ($2::text IS NULL OR a.rule_id = $2) AND a.raised_at >= $3 AND a.raised_at < $4
          AND ($5::text[] IS NULL OR a.area = ANY($5))
    ) l
) m
GROUP BY m.rule_id, m.key
ORDER BY m.rule_id, m.key;
