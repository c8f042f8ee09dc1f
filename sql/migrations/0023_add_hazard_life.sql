-- What happens to a hazard after it was found.
ALTER TABLE hazard
    ADD COLUMN notified_at timestamptz,
    ADD COLUMN notified_to text,
    ADD COLUMN notified_how text
        CONSTRAINT hazard_notified_how_check CHECK (notified_how IN ('signed', 'refused_to_sign', 'posted')),
    ADD COLUMN cut_wanted_at timestamptz,
    ADD COLUMN cut_at timestamptz,
    ADD COLUMN cut_command_id bigint,
    ADD COLUMN restored_at timestamptz,
    ADD COLUMN rectified_at timestamptz,
    ADD COLUMN rectified_by text;

-- Hazard step: the timeline of a hazard after it was found. Rows are only ever added.
CREATE TABLE hazard_step (
    step_id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hazard_id    bigint NOT NULL REFERENCES hazard,
    at           timestamptz NOT NULL,                   -- when it was done, by the reporter's clock
    recorded_at  timestamptz NOT NULL,
    step         text NOT NULL,                          -- notify, want_cut, cut, restore, rectify, close, note
    actor        text NOT NULL,
    note         text,
    details      jsonb NOT NULL                          -- to and how, by, command_id; `to` and `by` are personal data
);
CREATE INDEX hazard_step_hazard_idx ON hazard_step (hazard_id, step_id);
