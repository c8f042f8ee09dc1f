-- Outcome conflict: a report from offline that could not be taken as it stands, kept until a person has decided. Never dropped.
CREATE TABLE outcome_conflict (
    conflict_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest       bytea NOT NULL CONSTRAINT outcome_conflict_digest_key UNIQUE,  -- SHA-256 of sender and item: sent again it is the same
    client_id    uuid,                                   -- as sent, when it is one
    visit_id     bigint,                                 -- as sent: there may be no such visit
    area         text,                                   -- the door's district; NULL: no such visit, for the whole city's desk
    kind         text NOT NULL CHECK (kind IN (
                     'unknown_visit',     -- there is no such visit, or it never was the sender's
                     'moved',             -- the visit is on somebody else's roster by now
                     'already_reported',  -- under another client id
                     'client_id_reused',  -- for a different report
                     'roster_changed',    -- the visit is in no roster in force; recorded all the same
                     'invalid'            -- against the catalogue or itself: `field` and `reason` say where
                 )),
    field        text,
    reason       text NOT NULL,
    item         jsonb NOT NULL,                         -- as sent
    base_version int,                                    -- the roster version that the sender worked by
    outcome_id   bigint REFERENCES outcome,              -- what it became
    state        text NOT NULL CHECK (state IN (
                     'open',      -- waits for a person, or for being sent again
                     'recorded',  -- open -> recorded: it became an outcome
                     'rejected'   -- open -> rejected: by a person, who says why
                 )),
    received_at  timestamptz NOT NULL,
    actor        text NOT NULL,
    settled_at   timestamptz,
    settled_by   text,
    settled_note text
);
-- serves: the list of a state, oldest first
CREATE INDEX outcome_conflict_state_idx ON outcome_conflict (state, conflict_id);
