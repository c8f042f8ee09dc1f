-- Case file: something that will not settle itself. One case, one plan; who hears of it when it does not move is in
-- inspections/cases.toml.
CREATE TABLE case_file (
    case_id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind         text NOT NULL,                          -- no_access, refused, hazard_overdue, complaint ... (cases.toml)
    premises_id  int REFERENCES premises,
    area         text NOT NULL REFERENCES district (code),
    hazard_id    bigint REFERENCES hazard,
    title        text NOT NULL,
    state        text NOT NULL CHECK (state IN (
                     'open',     -- waits for a plan
                     'planned',  -- open -> planned: a plan stands
                     'closed'    -- planned -> closed: with how it ended
                 )),
    opened_at    timestamptz NOT NULL,
    opened_by    text NOT NULL,
    plan_by      timestamptz NOT NULL,
    close_by     timestamptz NOT NULL,
    owner        text,
    plan         text,
    planned_at   timestamptz,
    supervised   boolean NOT NULL DEFAULT false,         -- under special supervision: not closed before it is released
    level        smallint NOT NULL DEFAULT 0 CHECK (level BETWEEN 0 AND 3),  -- who heard of it: station, company, authority
    result       text,
    closed_at    timestamptz,
    CHECK (state = 'open' OR plan IS NOT NULL),
    CHECK ((state = 'closed') = (closed_at IS NOT NULL))
);
-- rule: one open case of a kind for a door (of a hazard: for each); serves: the tick that escalates
CREATE UNIQUE INDEX case_file_open_key ON case_file (premises_id, kind, coalesce(hazard_id, 0)) WHERE state <> 'closed';
-- serves: the list, newest first
CREATE INDEX case_file_opened_idx ON case_file (opened_at DESC, case_id DESC);

-- Case step: the timeline. Rows are only ever added.
CREATE TABLE case_step (
    step_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    case_id  bigint NOT NULL REFERENCES case_file,
    at       timestamptz NOT NULL,
    step     text NOT NULL,                              -- opened, assign, plan, supervise, release, escalated, close, note
    actor    text NOT NULL,
    note     text
);
CREATE INDEX case_step_case_idx ON case_step (case_id, step_id);

-- Request: what a resident or a patrol asked for or complained about. Text and contact are personal data.
CREATE TABLE request (
    request_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    client_id      uuid NOT NULL CONSTRAINT request_client_key UNIQUE,  -- the caller's own: asking again asks once
    premises_id    int REFERENCES premises,              -- NULL: no door we know
    area           text NOT NULL REFERENCES district (code),
    channel        text NOT NULL CHECK (channel IN ('hotline', 'app', 'counter', 'patrol', 'letter')),
    category       text NOT NULL,                        -- inspections/requests.toml
    body           text NOT NULL,                        -- personal data
    contact_name   text,                                 -- personal data
    contact_phone  text,                                 -- personal data
    state          text NOT NULL CHECK (state IN (
                       'open',      -- nobody answered yet
                       'replied',   -- open -> replied: the resident was told something
                       'closed',    -- replied -> closed: settled
                       'withdrawn'  -- open, replied -> withdrawn: the resident no longer wants it
                   )),
    received_at    timestamptz NOT NULL,                 -- when the resident asked
    recorded_at    timestamptz NOT NULL,                 -- when we heard of it
    recorded_by    text NOT NULL,
    reply_by       timestamptz NOT NULL,
    settle_by      timestamptz NOT NULL,
    owner          text,
    reply          text,
    replied_at     timestamptz,                          -- the first reply
    closed_at      timestamptz,
    rating         smallint CHECK (rating BETWEEN 1 AND 5),
    call_by        timestamptz,                          -- a poor rating wants a human call by then
    reminders      smallint NOT NULL DEFAULT 0,
    reminded_at    timestamptz,
    case_id        bigint REFERENCES case_file
);
-- serves: the tick that reminds, and lists of what is open
CREATE INDEX request_open_idx ON request (reply_by) WHERE state IN ('open', 'replied') OR call_by IS NOT NULL;
-- serves: the list, newest first, and figures by time of arrival
CREATE INDEX request_received_idx ON request (received_at DESC, request_id DESC);
CREATE INDEX request_premises_idx ON request (premises_id);

-- Request step: the timeline. Rows are only ever added.
CREATE TABLE request_step (
    step_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    request_id  bigint NOT NULL REFERENCES request,
    at          timestamptz NOT NULL,
    step        text NOT NULL,                           -- received, assign, reply, close, withdraw, rate, note, reminded, visited
    actor       text NOT NULL,
    note        text                                     -- personal data
);
CREATE INDEX request_step_request_idx ON request_step (request_id, step_id);

ALTER TABLE duty ADD COLUMN request_id bigint REFERENCES request;
-- rule: one open duty per request
CREATE UNIQUE INDEX duty_request_key ON duty (request_id) WHERE state = 'open' AND request_id IS NOT NULL;

-- Enforcement: orders and penalties against a non-household user. Money in fen (1/100 yuan), exact.
CREATE TABLE enforcement (
    enforcement_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    client_id       uuid NOT NULL CONSTRAINT enforcement_client_key UNIQUE,
    premises_id     int NOT NULL REFERENCES premises,
    hazard_id       bigint REFERENCES hazard,
    kind            text NOT NULL CHECK (kind IN ('order', 'penalty')),
    authority       text NOT NULL,
    reference       text NOT NULL,                       -- the authority's number of the document
    issued_on       date NOT NULL,
    due_on          date NOT NULL,
    amount_fen      bigint CHECK (amount_fen > 0),
    text            text NOT NULL,
    state           text NOT NULL CHECK (state IN (
                        'open',      -- issued
                        'complied',  -- open -> complied: done as ordered, or paid
                        'revoked'    -- open -> revoked: by the authority
                    )),
    ended_on        date,
    ended_note      text,
    recorded_at     timestamptz NOT NULL,
    recorded_by     text NOT NULL,
    CHECK ((kind = 'penalty') = (amount_fen IS NOT NULL)),
    CHECK ((state = 'open') = (ended_on IS NULL)),
    CHECK (due_on >= issued_on)
);
CREATE INDEX enforcement_premises_idx ON enforcement (premises_id);
