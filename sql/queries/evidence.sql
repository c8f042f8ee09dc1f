-- Statements of the package `inspections`: files of visits. Format: see sql/__init__.py.

-- lock_evidence(visit_id) --
-- One file of a visit is added at a time, until its transaction ends.
SELECT pg_advisory_xact_lock(hashtext('gaswarden.evidence'), ($1::bigint % 2147483647)::int);

-- evidence_of_client(client_id) --
-- The file that carries this client id.
SELECT * FROM evidence WHERE client_id = $1;

-- count_evidence(visit_id) --
-- How many files a visit has.
SELECT count(*) FROM evidence WHERE visit_id = $1;

-- add_evidence(client_id, visit_id, kind, media_type, size_bytes, width_px, height_px, sha256, object_key, taken_at, received_at, actor) --
-- Add a file of a visit.
INSERT INTO evidence (client_id, visit_id, kind, media_type, size_bytes, width_px, height_px, sha256, object_key, taken_at,
                      received_at, actor)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
RETURNING *;

-- evidence_of_visit(visit_id) --
-- The files of a visit.
SELECT * FROM evidence WHERE visit_id = $1 ORDER BY evidence_id;

-- evidence_by_id(evidence_id) --
-- One file.
SELECT * FROM evidence WHERE evidence_id = $1;
