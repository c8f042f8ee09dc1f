-- The on-duty rota, its hand-overs, and the nightly test that everyone on duty can be reached.
CREATE TABLE rota_shift (
    shift_id     int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account      text NOT NULL REFERENCES account (name),
    level        smallint NOT NULL CHECK (level BETWEEN 1 AND 9),  -- 1 is told first
    areas        text[],                                 -- district codes, children included; NULL: the whole city
    starts_at    timestamptz NOT NULL,
    ends_at      timestamptz NOT NULL,
    taken_at     timestamptz,                            -- took over from the one before
    relieved_at  timestamptz,                            -- somebody took over: off duty. Until then on duty, whatever ends_at says
    cancelled_at timestamptz,                            -- planned and called off before it began
    note         text,
    added_at     timestamptz NOT NULL,
    added_by     text NOT NULL,
    CHECK (ends_at > starts_at),
    CHECK (cardinality(areas) > 0)
);
-- serves: who is on duty now, and the plan ahead
CREATE INDEX rota_shift_open_idx ON rota_shift (starts_at) WHERE cancelled_at IS NULL AND relieved_at IS NULL;
CREATE INDEX rota_shift_ends_idx ON rota_shift (ends_at);

-- Hand-over: duty passes from one shift to another, with what was open. NULL to_shift: released without a successor.
CREATE TABLE rota_handover (
    handover_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    from_shift   int NOT NULL REFERENCES rota_shift,
    to_shift     int REFERENCES rota_shift,
    at           timestamptz NOT NULL,
    actor        text NOT NULL,
    note         text NOT NULL,                          -- what the next one must know
    open_alerts  jsonb NOT NULL                          -- the open alerts of its districts at that moment
);
CREATE INDEX rota_handover_at_idx ON rota_handover (at DESC);

-- Reach test: one contact of one person on duty was asked to confirm. NULL contact_id: the person has none.
CREATE TABLE reach_test (
    test_id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    night          date NOT NULL,                        -- local day of the test
    round          smallint NOT NULL,                    -- 1 is the nightly one, others were asked for by hand
    account        text NOT NULL REFERENCES account (name),
    contact_id     int REFERENCES contact,
    channel        text,
    code_hash      bytea,                                -- SHA-256 of the code in the message; the code itself is in the sealed column
    sealed_code    bytea,                                -- until it was handed over
    duty_from      timestamptz NOT NULL,
    requested_at   timestamptz NOT NULL,
    deadline_at    timestamptz NOT NULL,                 -- confirmed by then, or failed
    attempts       int NOT NULL DEFAULT 0,
    handed_over_at timestamptz,
    confirmed_at   timestamptz,
    confirmed_by   text,                                 -- link, or the account that gave the code
    judged_at      timestamptz,                          -- the deadline has passed and the result is told
    last_error     text,
    CONSTRAINT reach_test_key UNIQUE NULLS NOT DISTINCT (night, round, account, contact_id)
);
CREATE UNIQUE INDEX reach_test_code_key ON reach_test (code_hash) WHERE code_hash IS NOT NULL;
-- serves: tests that wait for their confirmation
CREATE INDEX reach_test_waiting_idx ON reach_test (deadline_at) WHERE judged_at IS NULL;
