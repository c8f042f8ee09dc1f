-- Evidence: a file of a visit; its bytes are an object, named by their digest (settings: evidence). Rows are only ever added.
CREATE TABLE evidence (
    evidence_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    client_id    uuid NOT NULL CONSTRAINT evidence_client_key UNIQUE,
    visit_id     bigint NOT NULL REFERENCES visit,
    kind         text NOT NULL CHECK (kind IN ('photo', 'signature', 'document')),
    media_type   text NOT NULL,                          -- by its content, not by its sender
    size_bytes   int NOT NULL,
    width_px     int,
    height_px    int,
    sha256       bytea NOT NULL,
    object_key   text NOT NULL,
    taken_at     timestamptz NOT NULL,                   -- by the clock of the sender's device
    received_at  timestamptz NOT NULL,
    actor        text NOT NULL
);
CREATE INDEX evidence_visit_idx ON evidence (visit_id);
