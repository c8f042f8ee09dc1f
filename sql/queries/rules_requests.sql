-- Statements of the package `rules` about residents' requests and cases, which it reads and never writes.
--
-- overdue_by_district(now) --
-- Districts in which something waits past its time: requests for a first answer (`unanswered`), or to be settled or called about after
-- a poor rating (`unsettled`), cases for their plan or their end (`case`); each with how many have nobody who takes care of them, the
-- oldest, and since when.
SELECT di.district_id, w.area, w.what, count(*) AS waiting, count(*) FILTER (WHERE w.owner IS NULL) AS unowned,
       min(w.since) AS since, (array_agg(w.number ORDER BY w.since, w.number))[1] AS oldest
FROM (
    SELECT request_id AS number, area, owner,
           CASE WHEN state = 'open' AND reply_by < $1 THEN 'unanswered' ELSE 'unsettled' END AS what,
           CASE WHEN state = 'open' AND reply_by < $1 THEN reply_by
                ELSE least(CASE WHEN state IN ('open', 'replied') THEN settle_by END, call_by) END AS since
    FROM request
    WHERE (state IN ('open', 'replied') OR call_by IS NOT NULL)
      AND (state = 'open' AND reply_by < $1 OR state IN ('open', 'replied') AND settle_by < $1 OR call_by < $1)
    UNION ALL
    SELECT case_id, area, owner, 'case', least(CASE WHEN state = 'open' THEN plan_by END, close_by)
    FROM case_file
    WHERE state <> 'closed' AND (state = 'open' AND plan_by < $1 OR close_by < $1)
) w
JOIN district di ON di.code = w.area
GROUP BY 1, 2, 3
ORDER BY 1, 3;
