-- Statements of the notices of the package `rules`. Format: see sql/__init__.py.

-- request_pages(alert_ids, purposes, levels, requested_at) --
-- Write pages, and a job for each; those of critical alerts are worked on first.
WITH added AS (
    INSERT INTO page (alert_id, purpose, level, requested_at)
    SELECT alert_id, purpose, level, $4
    FROM unnest($1::bigint[], $2::text[], $3::smallint[]) AS p (alert_id, purpose, level)
    RETURNING page_id, alert_id
)
SELECT procrastinate.procrastinate_defer_jobs_v1(array_agg(ROW(
    'notices', 'page', CASE WHEN a.severity = 'critical' THEN 10 ELSE 0 END, NULL, NULL,
    jsonb_build_object('page_id', n.page_id), NULL)::procrastinate.procrastinate_job_to_defer_v1 ORDER BY n.page_id))
FROM added n JOIN alert a ON a.alert_id = n.alert_id
HAVING count(*) > 0;
