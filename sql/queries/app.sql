-- Statements of the package `app`. Format: see sql/__init__.py.

-- account_by_token(token_hash) --
-- Who holds a token that is not revoked, with areas opened out over their child districts; NULL is the whole city.
SELECT account.name, account.role, account.inspector_code,
       CASE WHEN account.areas IS NOT NULL THEN ARRAY(
           WITH RECURSIVE covered AS (
               SELECT district.district_id, district.code FROM district WHERE district.code = ANY(account.areas)
               UNION
               SELECT child.district_id, child.code FROM district child JOIN covered ON child.parent_id = covered.district_id
           )
           SELECT covered.code FROM covered
       ) END AS areas
FROM account
WHERE account.token_hash = $1 AND account.revoked_at IS NULL;

-- add_account(name, role, areas, inspector_code, token_hash, created_at) --
-- A new account; a name once used stays taken, also after it is revoked.
INSERT INTO account (name, role, areas, inspector_code, token_hash, created_at) VALUES ($1, $2, $3, $4, $5, $6);

-- accounts() --
-- Every account without its token, oldest first.
SELECT name, role, areas, inspector_code, created_at, revoked_at FROM account ORDER BY account_id;

-- revoke_account(name, at) --
-- Ends an account once; no row when there is no such account or it is revoked already.
UPDATE account SET revoked_at = $2 WHERE name = $1 AND revoked_at IS NULL RETURNING name;

-- account_revoked_at(name) --
-- When an account was revoked; no row when there is none of that name.
SELECT revoked_at FROM account WHERE name = $1;

-- unknown_areas(areas) --
-- Those of the given district codes that do not exist.
SELECT code FROM unnest($1::text[]) AS wanted (code)
WHERE NOT EXISTS (SELECT FROM district WHERE district.code = wanted.code) ORDER BY code;

-- inspector_exists(code) --
-- Whether an inspector of this code is registered.
SELECT EXISTS (SELECT FROM inspector WHERE inspector.code = $1);

-- applied_migrations() --
-- The names of the migrations this database has; fails on a database that was never migrated.
SELECT name FROM schema_migration ORDER BY name;

-- announce_registry() --
-- Tells running workers, at commit, that devices or gateways may have changed.
SELECT pg_notify('gaswarden_registry', '');

-- rules_backlog() --
-- How many committed batches the rules have not evaluated yet, over all streams.
SELECT count(*)
FROM batch
CROSS JOIN (VALUES ('events'), ('readings'), ('instants'), ('days')) AS stream (name)
LEFT JOIN rule_cursor ON rule_cursor.slot = batch.slot AND rule_cursor.stream = stream.name
WHERE batch.batch_id > coalesce(rule_cursor.batch_id, 0)
  AND (stream.name <> 'events' AND cardinality(batch.device_ids) > 0 OR stream.name <> 'readings' AND batch.event_rows > 0);

-- gateway_list() --
-- Registered gateways with when each was last heard.
SELECT g.code, g.area, g.expected_interval_s, s.last_received_at,
       (SELECT count(*) FROM device d WHERE d.gateway_id = g.gateway_id) AS devices
FROM gateway g LEFT JOIN gateway_state s USING (gateway_id) ORDER BY g.code;
