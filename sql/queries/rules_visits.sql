-- Statements of the package `rules` about visits that acknowledged alerts wait for. Format: see sql/__init__.py.

-- awaited_visits(alert_ids, now) --
-- Visits to the doors of alerts that are on a roster in force, not reported, and ended no longer than a day ago.
SELECT a.alert_id, v.visit_id, i.code AS inspector, v.arrive_at, v.leave_at
FROM alert a
JOIN visit v ON v.premises_id = a.premises_id
JOIN roster ro ON ro.roster_id = v.roster_id
JOIN roster_run ru ON ru.run_id = ro.run_id
JOIN inspector i ON i.inspector_id = ro.inspector_id
WHERE a.alert_id = ANY($1) AND v.leave_at > $2::timestamptz - interval '1 day'
  AND ru.version = (SELECT max(version) FROM roster_run newer WHERE newer.day = ru.day)
  AND NOT EXISTS (SELECT FROM outcome o WHERE o.visit_id = v.visit_id);

-- results_of_visits(visit_ids) --
-- What was reported of visits.
SELECT visit_id, result FROM outcome WHERE visit_id = ANY($1);

-- alerts_whose_visit_changed(now, count) --
-- Acknowledged alerts, locked, whose awaited visit was moved, dropped or reported, and those that do not know yet of a visit in
-- the next days which comes before what they wait for; later ones are seen by the clock. Those somebody works on are left.
SELECT a.* FROM alert a
WHERE a.alert_id IN (
    SELECT w.alert_id FROM alert w
    WHERE w.awaited_visit_id IS NOT NULL
      AND NOT EXISTS (
          SELECT FROM visit v
          JOIN roster ro ON ro.roster_id = v.roster_id
          JOIN roster_run ru ON ru.run_id = ro.run_id
          WHERE v.visit_id = w.awaited_visit_id AND v.arrive_at = w.awaited_from AND v.leave_at = w.awaited_to
            AND ru.version = (SELECT max(version) FROM roster_run newer WHERE newer.day = ru.day)
            AND NOT EXISTS (SELECT FROM outcome o WHERE o.visit_id = v.visit_id))
    UNION
    SELECT w.alert_id
    FROM roster_run ru
    JOIN roster ro ON ro.run_id = ru.run_id
    JOIN visit v ON v.roster_id = ro.roster_id
    JOIN alert w ON w.premises_id = v.premises_id AND w.state = 'acknowledged'
    WHERE ru.day BETWEEN ($1::timestamptz AT TIME ZONE 'UTC')::date - 2 AND ($1::timestamptz AT TIME ZONE 'UTC')::date + 3
      AND ru.version = (SELECT max(version) FROM roster_run newer WHERE newer.day = ru.day)
      AND v.leave_at > $1
      AND (w.awaited_visit_id IS NULL OR v.arrive_at < w.awaited_from)
      AND NOT EXISTS (SELECT FROM outcome o WHERE o.visit_id = v.visit_id))
  AND a.state = 'acknowledged'
ORDER BY a.alert_id LIMIT $2 FOR UPDATE SKIP LOCKED;
