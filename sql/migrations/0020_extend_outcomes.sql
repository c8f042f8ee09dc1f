-- More results, and what the answer to a report says beside. A generated column's expression can only be renewed with it.
ALTER TABLE outcome DROP COLUMN entered;
ALTER TABLE outcome DROP CONSTRAINT outcome_result_check;
ALTER TABLE outcome
    ADD CONSTRAINT outcome_result_check
        CHECK (result IN ('passed', 'hazard_found', 'recheck_passed', 'partial', 'no_access', 'refused')),
    ADD COLUMN entered boolean NOT NULL
        GENERATED ALWAYS AS (result IN ('passed', 'hazard_found', 'recheck_passed', 'partial')) STORED,
    ADD COLUMN checklist_version text,
    ADD COLUMN answers jsonb,
    ADD COLUMN unseen text[] NOT NULL DEFAULT '{}',
    ADD COLUMN follow_up jsonb NOT NULL DEFAULT '{}';

-- Notice card: left where nobody opened; its token lets the resident of that one door book a window without an account.
-- Issued in the office before anybody knows for which door, so that it can be left offline.
CREATE TABLE notice_card (
    card_no      text PRIMARY KEY,                       -- printed, read aloud, typed: no secret
    token_hash   bytea NOT NULL CONSTRAINT notice_card_token_key UNIQUE,  -- SHA-256 of 160 random bits; the token is shown once
    issued_at    timestamptz NOT NULL,
    issued_by    text NOT NULL,
    premises_id  int REFERENCES premises,                -- the door where it was left
    outcome_id   bigint REFERENCES outcome,              -- the visit that left it
    expires_at   timestamptz,                            -- from when on its token opens nothing
    duty_id      bigint REFERENCES duty,                 -- the appointment booked with it
    CHECK ((premises_id IS NULL) = (expires_at IS NULL))
);
-- serves: the cards of a door
CREATE INDEX notice_card_premises_idx ON notice_card (premises_id) WHERE premises_id IS NOT NULL;
