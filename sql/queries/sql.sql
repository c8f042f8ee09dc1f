-- Statements of the package `sql`. Format: see sql/__init__.py.
--
-- lock_audit_chain() --
-- One writer of the audit chain at a time, until its transaction ends.
SELECT pg_advisory_xact_lock(hashtext('gaswarden.audit'));

-- last_audit_digest() --
-- The digest that the next audit row continues from.
SELECT digest FROM audit_entry ORDER BY audit_id DESC LIMIT 1;

-- add_audit_entry(at, actor, role, action, subject, details, digest) --
-- Append one row to the audit chain.
INSERT INTO audit_entry (at, actor, role, action, subject, details, digest) VALUES ($1, $2, $3, $4, $5, $6, $7);

-- audit_entries() --
-- The whole chain in order.
SELECT audit_id, at, actor, role, action, subject, details, digest FROM audit_entry ORDER BY audit_id;

-- timescale_edition() --
-- 'timescale' is the community edition, 'apache' what distributions package.
SELECT current_setting('timescaledb.license') AS license, extversion AS version
FROM pg_extension WHERE extname = 'timescaledb';
