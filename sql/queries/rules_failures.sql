-- Statements of the package `rules` for rules that break off. Format: see sql/__init__.py.

-- note_rule_failure(rule_id, version, count, error, at) --
-- Count failures of a rule; true when this version of it was not failing before.
WITH known AS (
    SELECT version, mended_at FROM rule_failure WHERE rule_id = $1
), noted AS (
    INSERT INTO rule_failure AS f (rule_id, version, first_at, last_at, failures, error)
    VALUES ($1, $2, $5, $5, $3, $4)
    ON CONFLICT (rule_id) DO UPDATE SET
        first_at = CASE WHEN f.version = excluded.version AND f.mended_at IS NULL THEN f.first_at ELSE excluded.first_at END,
        failures = CASE WHEN f.version = excluded.version AND f.mended_at IS NULL THEN f.failures ELSE 0 END + excluded.failures,
        version = excluded.version, last_at = excluded.last_at, error = excluded.error, mended_at = NULL
    RETURNING 1
)
SELECT NOT EXISTS (SELECT FROM known WHERE version = $2 AND mended_at IS NULL) FROM noted;

-- mend_rule_failures(rule_ids, at) --
-- Rules that failed and came through again.
UPDATE rule_failure SET mended_at = $2 WHERE rule_id = ANY($1) AND mended_at IS NULL RETURNING rule_id;

-- failing_rules() --
-- Rules that stand still, with since when and why.
SELECT rule_id, version, first_at, last_at, failures, error FROM rule_failure WHERE mended_at IS NULL ORDER BY rule_id;
