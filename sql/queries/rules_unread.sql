-- Statements of the package `rules` about alarms that could not be stored. Format: see sql/__init__.py.

-- unread_alarms_of_batches(batch_ids) --
-- What batches brought that may be an alarm and is in quarantine, each with its subject and where that is now.
SELECT CASE WHEN u.device_id IS NOT NULL THEN 'device:' || u.device_id
            WHEN u.gateway_id IS NOT NULL THEN 'gateway:' || u.gateway_id
            ELSE 'district:' || u.district_id END AS subject,
       coalesce(d.code, g.code, x.code) AS place, coalesce(d.kind, CASE WHEN g.gateway_id IS NULL THEN 'district' ELSE 'gateway' END) AS kind,
       coalesce(home.code, dg.area, g.area, x.code) AS area, u.event, u.level, u.lel_pct, u.claimed_gateway, u.claimed_device,
       u.claimed_devices,
       u.reason, u.detail, u.last_received_at, u.times, d.meter_class, p.user_class
FROM unread_alarm u
LEFT JOIN device d ON d.device_id = u.device_id
LEFT JOIN gateway dg ON dg.gateway_id = d.gateway_id
LEFT JOIN gateway g ON g.gateway_id = u.gateway_id
LEFT JOIN district x ON x.district_id = u.district_id
LEFT JOIN installation i ON i.device_id = u.device_id AND i.installed_at <= u.last_received_at
     AND (i.removed_at IS NULL OR i.removed_at > u.last_received_at)
LEFT JOIN premises p ON p.premises_id = i.premises_id
LEFT JOIN building b ON b.building_id = p.building_id
LEFT JOIN compound c ON c.compound_id = b.compound_id
LEFT JOIN district home ON home.district_id = c.district_id
WHERE u.batch_id = ANY($1) AND coalesce(u.device_id, u.gateway_id, u.district_id) IS NOT NULL;
