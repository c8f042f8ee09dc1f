-- Statements of the package `ingest` about alarms that could not be stored. Format: see sql/__init__.py.

-- note_unread_alarms(areas, gateways, families, devices, events, levels, lel_pcts, reasons, details, received, batch_id) --
-- Note what may be an alarm among refused messages: on the row of the device where that is registered, by whatever gateway it
-- came; else of its gateway; else of the district that the topic names, or of the whole city. The worst and all names (20 at
-- most) stay for an hour after the last one: what was measured then is not what is measured now.
WITH incoming AS (
    SELECT i.*, d.device_id, CASE WHEN d.device_id IS NULL THEN g.gateway_id END AS gateway_id,
           CASE WHEN d.device_id IS NULL AND g.gateway_id IS NULL THEN coalesce(x.district_id, (
               SELECT district_id FROM district WHERE parent_id IS NULL ORDER BY district_id LIMIT 1)) END AS district_id
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::smallint[], $7::real[], $8::text[],
                $9::text[], $10::timestamptz[])
        AS i (area, gateway, family, device, event, level, lel_pct, reason, detail, received_at)
    LEFT JOIN device d ON d.family = i.family AND d.code = i.device
    LEFT JOIN gateway g ON g.code = i.gateway
    LEFT JOIN district x ON x.code = i.area
), noted AS (
    SELECT DISTINCT ON (device_id, gateway_id, district_id, event)
           device_id, gateway_id, district_id, event, gateway, device, reason, detail,
           max(level) OVER same AS level, max(lel_pct) OVER same AS lel_pct, min(received_at) OVER same AS first_at,
           max(received_at) OVER same AS last_at, count(*) OVER same AS times
    FROM incoming
    WINDOW same AS (PARTITION BY device_id, gateway_id, district_id, event)
    ORDER BY device_id, gateway_id, district_id, event, level DESC, lel_pct DESC NULLS LAST, received_at
), named AS (
    SELECT device_id, gateway_id, district_id, event,
           coalesce((array_agg(DISTINCT device) FILTER (WHERE device IS NOT NULL))[1:20], '{}') AS devices
    FROM incoming GROUP BY device_id, gateway_id, district_id, event
)
INSERT INTO unread_alarm AS u (device_id, gateway_id, district_id, event, level, lel_pct, claimed_gateway, claimed_device,
                               reason, detail, first_received_at, last_received_at, times, batch_id, claimed_devices)
SELECT o.device_id, o.gateway_id, o.district_id, o.event, o.level, o.lel_pct, o.gateway, o.device, o.reason, o.detail, o.first_at,
       o.last_at, o.times, $11, n.devices
FROM noted o
JOIN named n ON (n.device_id, n.gateway_id, n.district_id, n.event) IS NOT DISTINCT FROM (o.device_id, o.gateway_id, o.district_id, o.event)
ORDER BY o.device_id, o.gateway_id, o.district_id, o.event
ON CONFLICT (device_id, gateway_id, district_id, event) DO UPDATE SET
    level = CASE WHEN excluded.first_received_at > u.last_received_at + interval '1 hour' THEN excluded.level
                 ELSE greatest(u.level, excluded.level) END,
    lel_pct = CASE WHEN excluded.first_received_at > u.last_received_at + interval '1 hour' THEN excluded.lel_pct
                   ELSE greatest(u.lel_pct, excluded.lel_pct) END,
    times = CASE WHEN excluded.first_received_at > u.last_received_at + interval '1 hour' THEN excluded.times
                 ELSE u.times + excluded.times END,
    claimed_devices = CASE WHEN excluded.first_received_at > u.last_received_at + interval '1 hour' THEN excluded.claimed_devices
                           ELSE (u.claimed_devices || ARRAY(SELECT unnest(excluded.claimed_devices)
                                                            EXCEPT SELECT unnest(u.claimed_devices)))[1:20] END,
    claimed_gateway = excluded.claimed_gateway, claimed_device = excluded.claimed_device, reason = excluded.reason,
    detail = excluded.detail, last_received_at = greatest(u.last_received_at, excluded.last_received_at),
    batch_id = excluded.batch_id;
