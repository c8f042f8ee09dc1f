-- Statements of the package `rules` for what devices assert and measure at a moment. Format: see sql/__init__.py.

-- instant_batches_after(slot, batch_id, count) --
-- The next batches of a slot in commit order, with how many events they brought and which devices and time they touched.
SELECT batch_id, event_rows, device_ids, first_at, last_at FROM batch
WHERE slot = $1 AND batch_id > $2 ORDER BY batch_id LIMIT $3;

-- telling_devices(batch_ids, device_ids, since, until, status_mask, reasons, lel_pct, low_pa, high_pa, absolute_from_pa, low_absolute_pa, high_absolute_pa, flow_factor, battery_mv) --
-- Devices whose reports in some batches may begin a condition of the event rules; what is simulated counts for nothing.
SELECT DISTINCT r.device_id
FROM reading r JOIN device d USING (device_id)
WHERE r.device_id = ANY($2) AND r.at >= $3 AND r.at <= $4 AND r.batch_id = ANY($1) AND r.flags & 32 = 0
  AND (r.status & $5 <> 0 OR r.reason = ANY($6::smallint[]) OR r.lel_pct >= $7::real
       OR (r.pressure_pa < $10 AND (r.pressure_pa < $8 OR r.pressure_pa > $9))
       OR (r.pressure_pa >= $10 AND (r.pressure_pa < $11 OR r.pressure_pa > $12))
       OR r.flow_lh > $13::real * d.qmax_lh OR r.battery_mv < $14);

-- telling_in_period(device_ids, since, until, status_mask, reasons, lel_pct, low_pa, high_pa, absolute_from_pa, low_absolute_pa, high_absolute_pa, flow_factor, battery_mv, kinds) --
-- Devices that in a period told what may begin a condition of the event rules, by a report (as telling_devices) or an event.
SELECT r.device_id
FROM reading r JOIN device d USING (device_id)
WHERE r.device_id = ANY($1) AND r.at > $2 AND r.at <= $3 AND r.flags & 32 = 0
  AND (r.status & $4 <> 0 OR r.reason = ANY($5::smallint[]) OR r.lel_pct >= $6::real
       OR (r.pressure_pa < $9 AND (r.pressure_pa < $7 OR r.pressure_pa > $8))
       OR (r.pressure_pa >= $9 AND (r.pressure_pa < $10 OR r.pressure_pa > $11))
       OR r.flow_lh > $12::real * d.qmax_lh OR r.battery_mv < $13)
UNION
SELECT device_id FROM event
WHERE device_id = ANY($1) AND at > $2 AND at <= $3 AND kind = ANY($14) AND NOT test;

-- told_leak_alarms(device_ids, since, until) --
-- Leak alarms that devices raised and cleared, with the place each was in at that moment; self-tests are left out.
SELECT e.device_id, d.code, e.kind, e.state, e.at, d.kind AS device_kind, d.meter_class, p.user_class,
       coalesce(x.code, g.area) AS area, p.building_id, e.level, e.lel_pct::double precision AS lel_pct, e.test, e.late,
       g.code AS gateway, i.device_id IS NOT NULL AS installed
FROM event e
JOIN device d ON d.device_id = e.device_id
JOIN gateway g ON g.gateway_id = d.gateway_id
LEFT JOIN installation i ON i.device_id = e.device_id AND i.installed_at <= e.at
     AND (i.removed_at IS NULL OR i.removed_at > e.at)
LEFT JOIN premises p ON p.premises_id = i.premises_id
LEFT JOIN building b ON b.building_id = p.building_id
LEFT JOIN compound c ON c.compound_id = b.compound_id
LEFT JOIN district x ON x.district_id = c.district_id
WHERE e.device_id = ANY($1) AND e.at > $2 AND e.at <= $3 AND e.kind = 'leak_alarm' AND NOT e.test;

-- leaking_buildings(device_ids, since, until) --
-- Buildings in which some devices raised leak alarms, or reported gas, within a time; self-tests are left out.
SELECT p.building_id
FROM event e
JOIN installation i ON i.device_id = e.device_id AND i.installed_at <= e.at AND (i.removed_at IS NULL OR i.removed_at > e.at)
JOIN premises p ON p.premises_id = i.premises_id
WHERE e.device_id = ANY($1) AND e.at > $2 AND e.at <= $3
  AND e.kind = 'leak_alarm' AND e.state = 'raised' AND NOT e.test
UNION
SELECT p.building_id
FROM reading r
JOIN device d USING (device_id)
JOIN installation i ON i.device_id = r.device_id AND i.installed_at <= r.at AND (i.removed_at IS NULL OR i.removed_at > r.at)
JOIN premises p ON p.premises_id = i.premises_id
WHERE r.device_id = ANY($1) AND r.at > $2 AND r.at <= $3 AND r.flags & 32 = 0
  AND (r.lel_pct >= coalesce(d.warn_lel_pct, d.alarm_lel_pct) OR r.status & 16384 <> 0 OR r.reason = 10)
ORDER BY building_id;

-- firing_of_devices(rule_ids, device_ids) --
-- Open alerts of some rules and devices that telemetry still shows: newest event time.
SELECT rule_id, device_id, last_at FROM alert
WHERE device_id = ANY($2) AND rule_id = ANY($1) AND state NOT IN ('verified', 'dismissed') AND firing
  AND subject LIKE 'device:%';

-- tellers(device_ids) --
-- What the event rules need to know of devices, with the class and area of where they are now; a device installed nowhere
-- has its gateway's area.
SELECT d.device_id, d.code, d.kind AS device_kind, d.meter_class, p.user_class, coalesce(x.code, g.area) AS area,
       d.qmax_lh::double precision AS qmax_lh, d.warn_lel_pct::double precision AS warn_lel_pct,
       d.alarm_lel_pct::double precision AS alarm_lel_pct, s.leak_state, g.code AS gateway,
       i.device_id IS NOT NULL AS installed
FROM device d
JOIN gateway g ON g.gateway_id = d.gateway_id
LEFT JOIN device_state s ON s.device_id = d.device_id
LEFT JOIN installation i ON i.device_id = d.device_id AND i.removed_at IS NULL
LEFT JOIN premises p ON p.premises_id = i.premises_id
LEFT JOIN building b ON b.building_id = p.building_id
LEFT JOIN compound c ON c.compound_id = b.compound_id
LEFT JOIN district x ON x.district_id = c.district_id
WHERE d.device_id = ANY($1);

-- told_reports(device_ids, since, until) --
-- What devices reported of themselves, beyond their registers; a report of an unset clock counts at its arrival.
SELECT r.device_id, CASE WHEN r.flags & 16 <> 0 THEN coalesce(b.last_received_at, r.at) ELSE r.at END AS at,
       r.lel_pct::double precision AS lel_pct, r.status, r.reason, r.pressure_pa, r.flow_lh::double precision AS flow_lh,
       r.battery_mv
FROM reading r
LEFT JOIN batch b ON r.flags & 16 <> 0 AND b.batch_id = r.batch_id
WHERE r.device_id = ANY($1) AND r.at > $2 AND r.at <= $3 AND r.flags & 32 = 0
  AND (r.lel_pct IS NOT NULL OR r.status IS NOT NULL OR r.reason IS NOT NULL OR r.pressure_pa IS NOT NULL
       OR r.flow_lh IS NOT NULL OR r.battery_mv IS NOT NULL);

-- told_events(device_ids, since, until, kinds) --
-- What devices asserted; self-tests are left out.
SELECT device_id, at, kind, state, level, cause, late, lel_pct::double precision AS lel_pct
FROM event WHERE device_id = ANY($1) AND at > $2 AND at <= $3 AND kind = ANY($4) AND NOT test;

-- pressure_zones(device_ids, level) --
-- The zone of each device at a level: its gateway, compound or district; null where it is in none.
SELECT d.device_id,
       CASE $2::text WHEN 'gateway' THEN g.gateway_id WHEN 'compound' THEN c.compound_id ELSE c.district_id END AS zone_id,
       CASE $2::text WHEN 'gateway' THEN g.code WHEN 'compound' THEN c.name ELSE x.name END AS name
FROM device d
JOIN gateway g ON g.gateway_id = d.gateway_id
LEFT JOIN installation i ON i.device_id = d.device_id AND i.removed_at IS NULL
LEFT JOIN premises p ON p.premises_id = i.premises_id
LEFT JOIN building b ON b.building_id = p.building_id
LEFT JOIN compound c ON c.compound_id = b.compound_id
LEFT JOIN district x ON x.district_id = c.district_id
WHERE d.device_id = ANY($1);

-- zone_devices(level, zone_id, count) --
-- Meters of a zone, at most so many: the same ones each time.
SELECT device_id, code FROM (
    SELECT d.device_id, d.code FROM device d WHERE $1::text = 'gateway' AND d.gateway_id = $2 AND d.kind = 'meter'
    UNION ALL
    SELECT d.device_id, d.code
    FROM compound c
    JOIN building b ON b.compound_id = c.compound_id
    JOIN premises p ON p.building_id = b.building_id
    JOIN installation i ON i.premises_id = p.premises_id AND i.removed_at IS NULL
    JOIN device d ON d.device_id = i.device_id AND d.kind = 'meter'
    WHERE ($1 = 'compound' AND c.compound_id = $2) OR ($1 = 'district' AND c.district_id = $2)
) meters
ORDER BY device_id LIMIT $3;

-- zone_pressures(device_ids, since, until) --
-- Pressures of devices as they sent them, from clocks that were set.
SELECT device_id, at, pressure_pa::double precision AS pressure_pa
FROM reading
WHERE device_id = ANY($1) AND at > $2 AND at <= $3 AND pressure_pa IS NOT NULL AND flags & 48 = 0;
