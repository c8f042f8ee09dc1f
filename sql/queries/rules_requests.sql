-- Statements of the package `rules` about residents' requests, which it reads and never writes.
--
-- overdue_requests_by_district(now) --
-- Districts in which requests wait past their time: for a first answer (`unanswered`), or to be settled or called about after a poor
-- rating (`unsettled`); each with how many have nobody who takes care of them, the oldest, and since when.
SELECT di.district_id, w.area, w.what, count(*) AS waiting, count(*) FILTER (WHERE w.owner IS NULL) AS unowned,
       min(w.since) AS since, (array_agg(w.request_id ORDER BY w.since, w.request_id))[1] AS oldest
FROM (
    SELECT request_id, area, owner,
           CASE WHEN state = 'open' AND reply_by < $1 THEN 'unanswered' ELSE 'unsettled' END AS what,
           CASE WHEN state = 'open' AND reply_by < $1 THEN reply_by
                ELSE least(CASE WHEN state IN ('open', 'replied') THEN settle_by END, call_by) END AS since
    FROM request
    WHERE (state IN ('open', 'replied') OR call_by IS NOT NULL)
      AND (state = 'open' AND reply_by < $1 OR state IN ('open', 'replied') AND settle_by < $1 OR call_by < $1)
) w
JOIN district di ON di.code = w.area
GROUP BY 1, 2, 3
ORDER BY 1, 3;
