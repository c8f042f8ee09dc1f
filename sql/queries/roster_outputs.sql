-- Statements of the package `inspections` for rosters as files: where a day begins and ends, what earlier versions said.

-- ends_of_day(inspector) --
-- Where an inspector's days begin and end.
SELECT start_latitude, start_longitude, coalesce(end_latitude, start_latitude) AS end_latitude,
       coalesce(end_longitude, start_longitude) AS end_longitude
FROM inspector WHERE code = $1;

-- doors_dropped(day, run_id, inspector, areas) --
-- Doors that an earlier version of the day had on an inspector's roster and this run has not, with the time they had last.
SELECT DISTINCT ON (p.code) p.code AS premises, vv.arrive_at, vv.leave_at
FROM roster_run ru
JOIN visit_version vv ON vv.run_id = ru.run_id
JOIN inspector i ON i.inspector_id = vv.inspector_id
JOIN premises p ON p.premises_id = vv.premises_id
JOIN building b ON b.building_id = p.building_id
JOIN compound c ON c.compound_id = b.compound_id
JOIN district di ON di.district_id = c.district_id
WHERE ru.day = $1 AND ru.run_id < $2 AND i.code = $3 AND ($4::text[] IS NULL OR di.code = ANY($4))
  AND NOT EXISTS (SELECT FROM visit_version now
                  WHERE now.run_id = $2 AND now.premises_id = vv.premises_id AND now.inspector_id = vv.inspector_id)
ORDER BY p.code, ru.version DESC;

-- hazard_notice(hazard_id, areas) --
-- What the written notice of a hazard says, within areas.
SELECT h.code, h.grade, h.found_at, h.due_on, h.note, p.code AS premises, p.address, p.unit, i.name AS inspector,
       i.code AS inspector_code
FROM hazard h
JOIN outcome o ON o.outcome_id = h.outcome_id
JOIN inspector i ON i.inspector_id = o.inspector_id
JOIN premises p ON p.premises_id = h.premises_id
JOIN building b ON b.building_id = p.building_id
JOIN compound c ON c.compound_id = b.compound_id
JOIN district di ON di.district_id = c.district_id
WHERE h.hazard_id = $1 AND ($2::text[] IS NULL OR di.code = ANY($2));
