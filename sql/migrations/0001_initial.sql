-- The current schema of Gaswarden, to be read. `sql/migrations/` lands on the same catalogue (a test compares them).
--
-- Conventions
--   * every moment is timestamptz (UTC); `at` is the *device's* time, `received_at` is *our* time of arrival
--   * NULL means unknown, never zero
--   * volumes are millilitres in bigint: exact for every meter resolution, and they delta-compress
--   * each table names the one package that writes it; the others may read
--   * identity of a device is (family, code): text, never a number
--   * connections: each process opens one pool of at most `database_pool_max` connections (default 10) plus one that LISTENs

CREATE EXTENSION IF NOT EXISTS timescaledb;

-- ============================================================================ places (written by: inspections)

-- District: a node of the city's tree. Its code is the `area` of topics, of account scopes and of alerts.
CREATE TABLE district (
    district_id  int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    code         text NOT NULL CONSTRAINT district_code_key UNIQUE CHECK (code ~ '^[A-Za-z0-9_-]{1,64}$'),
    name         text NOT NULL,
    parent_id    int REFERENCES district,
    CHECK (parent_id <> district_id)
);

-- Compound: a residential estate or block of streets, inspected together.
CREATE TABLE compound (
    compound_id  int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    code         text NOT NULL CONSTRAINT compound_code_key UNIQUE,
    name         text NOT NULL,
    district_id  int NOT NULL REFERENCES district,
    latitude     double precision NOT NULL CHECK (latitude BETWEEN -90 AND 90),
    longitude    double precision NOT NULL CHECK (longitude BETWEEN -180 AND 180)
);

CREATE TABLE building (
    building_id  int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    code         text NOT NULL CONSTRAINT building_code_key UNIQUE,
    name         text NOT NULL,
    compound_id  int NOT NULL REFERENCES compound,
    latitude     double precision NOT NULL CHECK (latitude BETWEEN -90 AND 90),
    longitude    double precision NOT NULL CHECK (longitude BETWEEN -180 AND 180),
    built_year   smallint CHECK (built_year BETWEEN 1800 AND 2200),
    floors       smallint CHECK (floors BETWEEN 1 AND 200)
);

-- Premises: one door behind which gas is used. Attributes that raise risk are NULL when unknown.
CREATE TABLE premises (
    premises_id        int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    code               text NOT NULL CONSTRAINT premises_code_key UNIQUE,
    building_id        int NOT NULL REFERENCES building,
    unit               text NOT NULL,
    floor              smallint,
    address            text NOT NULL,                    -- personal data: shown to roles that need it, every look audited
    user_class         text NOT NULL CHECK (user_class IN ('household', 'commercial', 'industrial')),
    tenure             text CHECK (tenure IN ('owner', 'rented', 'vacant')),
    elderly            boolean,                          -- an elderly person lives alone here
    special_care       boolean,                          -- other user in need of special care
    appliances         text[],
    hose_installed_on  date,
    pipe_installed_on  date,
    last_entered_on    date,                             -- last safety inspection that got in
    contact_name       text,                             -- personal data
    contact_phone      text                              -- personal data
);
-- serves: premises of a building (group alerts, rosters)
CREATE INDEX premises_building_idx ON premises (building_id);

-- ============================================================================ devices (written by: ingest)

CREATE TABLE gateway (
    gateway_id          int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    code                text NOT NULL CONSTRAINT gateway_code_key UNIQUE CHECK (code ~ '^[A-Za-z0-9_.:-]{1,64}$'),
    area                text NOT NULL REFERENCES district (code),
    expected_interval_s int NOT NULL DEFAULT 86400 CHECK (expected_interval_s > 0)  -- hears something at least this often
);

-- Device: a gas meter or a leak detector.
CREATE TABLE device (
    device_id           int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    family              text NOT NULL DEFAULT 'native',  -- source family of the identity: native, wmbus, lorawan ...
    code                text NOT NULL,                   -- identity within the family, as the device sends it
    kind                text NOT NULL CHECK (kind IN ('meter', 'detector')),
    gateway_id          int NOT NULL REFERENCES gateway, -- the only gateway that may publish this device
    model               text,
    meter_class         text,                            -- G1.6, G2.5, G4 ...
    qmin_lh             real CHECK (qmin_lh > 0),
    qmax_lh             real CHECK (qmax_lh > qmin_lh),
    pulse_ml            int CHECK (pulse_ml > 0),        -- volume of one counted step; 10,000 mL for common pulse meters
    register_wrap_ml    bigint CHECK (register_wrap_ml > 0),  -- where the register returns to zero; NULL: unknown
    has_valve           boolean NOT NULL DEFAULT false,
    expected_interval_s int NOT NULL CHECK (expected_interval_s > 0),
    warn_lel_pct        real CHECK (warn_lel_pct > 0 AND warn_lel_pct <= 100),   -- detector set-points
    alarm_lel_pct       real CHECK (alarm_lel_pct > 0 AND alarm_lel_pct <= 100),
    made_on             date,                            -- verification / service life counts from here
    CONSTRAINT device_identity_key UNIQUE (family, code),
    CHECK (kind <> 'meter' OR (qmin_lh IS NOT NULL AND qmax_lh IS NOT NULL AND pulse_ml IS NOT NULL)),
    CHECK (kind <> 'detector' OR alarm_lel_pct IS NOT NULL)
);
-- serves: devices of a gateway (absence rules, gateway binding)
CREATE INDEX device_gateway_idx ON device (gateway_id);

-- Installation: where a device was, from when to when. A meter swap closes one row and opens another; both stay.
CREATE TABLE installation (
    installation_id  int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device_id        int NOT NULL REFERENCES device,
    premises_id      int NOT NULL REFERENCES premises,
    installed_at     timestamptz NOT NULL,
    removed_at       timestamptz,
    index_installed_ml bigint,
    index_removed_ml   bigint,
    CONSTRAINT installation_start_key UNIQUE (device_id, installed_at),
    CHECK (removed_at > installed_at)
);
-- rule: a device is in one place at a time
CREATE UNIQUE INDEX installation_current_key ON installation (device_id) WHERE removed_at IS NULL;
-- serves: devices of a premises
CREATE INDEX installation_premises_idx ON installation (premises_id);

-- ============================================================================ ingest (written by: ingest)

-- Batch: one committed transaction of an ingest slot. Within a slot ids follow commit order (the transaction holds the
-- slot's advisory lock before it takes the id), so readers may keep one cursor per slot.
CREATE TABLE batch (
    batch_id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    slot               text NOT NULL,
    first_received_at  timestamptz NOT NULL,
    last_received_at   timestamptz NOT NULL,
    committed_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    received           int NOT NULL,
    stored             int NOT NULL,
    duplicate          int NOT NULL,
    late               int NOT NULL,
    conflict           int NOT NULL,
    quarantined        int NOT NULL,
    reading_rows       int NOT NULL,                     -- rows this batch really added to reading, event, gateway_event
    event_rows         int NOT NULL,
    gateway_rows       int NOT NULL,
    device_ids         int[] NOT NULL,                   -- devices whose readings changed, for the window rules
    first_at           timestamptz,                      -- earliest and latest device time among them
    last_at            timestamptz,
    CONSTRAINT batch_balances CHECK (received = stored + duplicate + late + conflict + quarantined)
);
-- serves: the rules' cursor of one slot
CREATE INDEX batch_slot_idx ON batch (slot, batch_id);
-- serves: retention and `gaswarden ledger` by day
CREATE INDEX batch_received_idx ON batch (last_received_at);

-- Ledger: the same counts by UTC day of arrival, slot and gateway ('?' when the topic names none we know).
CREATE TABLE ledger (
    day          date NOT NULL,
    slot         text NOT NULL,
    gateway      text NOT NULL,
    received     bigint NOT NULL,
    stored       bigint NOT NULL,
    duplicate    bigint NOT NULL,
    late         bigint NOT NULL,
    conflict     bigint NOT NULL,
    quarantined  bigint NOT NULL,
    PRIMARY KEY (day, slot, gateway),
    CONSTRAINT ledger_balances CHECK (received = stored + duplicate + late + conflict + quarantined)
);

-- Reading: what a device measured at a moment. A daily report becomes one row of its own moment (with seq, reason, status,
-- battery, signal) and up to 24 rows of frozen hourly index values (index_ml and flags only).
CREATE TABLE reading (
    device_id      int NOT NULL,
    at             timestamptz NOT NULL,
    index_ml       bigint,                               -- cumulative register
    flow_lh        real,
    pressure_pa    int,
    temperature_c  real,
    lel_pct        real,                                 -- gas concentration of a detector, percent of LEL
    battery_mv     int,
    rsrp_dbm       smallint,
    seq            int,                                  -- message sequence of the device, 0..65535; NULL in frozen rows
    reason         smallint,                             -- why the device sent (docs/payloads.md); NULL in frozen rows
    status         int,                                  -- the device's status word; NULL in frozen rows
    flags          int NOT NULL DEFAULT 0,               -- our marks on quality (ingest/model.py Flag): a mark, never a change
    batch_id       bigint NOT NULL,                      -- arrival is on the batch
    CONSTRAINT reading_key UNIQUE (device_id, at)        -- duplicate rule, and serves a device's window
);
SELECT create_hypertable('reading', 'at', chunk_time_interval => interval '1 day', create_default_indexes => false);

-- Event: something a device asserts at a moment (leak alarm raised, valve closed, tamper ...).
CREATE TABLE event (
    device_id    int NOT NULL,
    at           timestamptz NOT NULL,
    kind         text NOT NULL,                          -- leak_alarm, valve, tamper, fault ... (docs/payloads.md)
    state        text NOT NULL,                          -- raised | cleared, for valves open | closed
    level        smallint,                               -- 1 low, 2 high for alarms
    lel_pct      real,
    cause        text,                                   -- e.g. why a valve closed
    test         boolean NOT NULL DEFAULT false,         -- self-test or simulation: audited, never dispatched
    seq          int,
    late         boolean NOT NULL,                       -- arrived long after it happened: recorded, pages no one
    received_at  timestamptz NOT NULL,
    batch_id     bigint NOT NULL,
    CONSTRAINT event_key UNIQUE (device_id, at, kind, state)
);
SELECT create_hypertable('event', 'at', chunk_time_interval => interval '7 days', create_default_indexes => false);
-- serves: rules reading the events of new batches
CREATE INDEX event_batch_idx ON event (batch_id);
-- serves: recent alarms of a building, an area, the city
CREATE INDEX event_kind_idx ON event (kind, at DESC);

-- Gateway event: birth and last will, by session.
CREATE TABLE gateway_event (
    gateway_id   int NOT NULL REFERENCES gateway,
    at           timestamptz NOT NULL,
    state        text NOT NULL CHECK (state IN ('online', 'offline')),
    session      text NOT NULL,
    received_at  timestamptz NOT NULL,
    batch_id     bigint NOT NULL,
    CONSTRAINT gateway_event_key UNIQUE (gateway_id, session, state)
);

-- Conflict: same device and moment as a stored row, other value. The first wins, the second is kept here.
CREATE TABLE conflict (
    conflict_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source       text NOT NULL CHECK (source IN ('reading', 'event')),
    device_id    int NOT NULL,
    at           timestamptz NOT NULL,
    kept         jsonb NOT NULL,
    refused      jsonb NOT NULL,
    batch_id     bigint NOT NULL
);
CREATE INDEX conflict_device_idx ON conflict (device_id, at);

-- Quarantine: messages we could not store, whole, with the reason. The same bytes on the same topic are one row, counted.
-- waiting -> replayed (after a device is registered or a decoder is mended)
CREATE TABLE quarantine (
    quarantine_id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest             bytea NOT NULL CONSTRAINT quarantine_digest_key UNIQUE,  -- SHA-256 of topic, NUL, whole payload
    topic              text NOT NULL,
    gateway            text NOT NULL,                    -- as the topic says; '?' when it says none
    payload            bytea NOT NULL,                   -- whole, or its first bytes when larger than the limit
    payload_bytes      bigint NOT NULL,
    reason             text NOT NULL CHECK (reason IN ('bad_topic', 'too_large', 'not_json', 'invalid_field',
                           'unknown_gateway', 'unknown_device', 'gateway_mismatch', 'time_out_of_range', 'unstorable')),
    detail             text NOT NULL,                    -- names the field and the rule
    decoder            text NOT NULL,                    -- name and version, e.g. native/1
    first_received_at  timestamptz NOT NULL,
    last_received_at   timestamptz NOT NULL,
    times              int NOT NULL DEFAULT 1,
    batch_id           bigint NOT NULL,
    replayed_at        timestamptz,
    replay_batch_id    bigint
);
-- serves: the waiting list, newest first, by reason
CREATE INDEX quarantine_waiting_idx ON quarantine (reason, last_received_at DESC) WHERE replayed_at IS NULL;

-- Device state: the newest known facts of a device. Each group moves forward in its own event time only.
CREATE TABLE device_state (
    device_id         int PRIMARY KEY REFERENCES device,
    last_received_at  timestamptz NOT NULL,              -- our clock: any message at all
    heard_at          timestamptz NOT NULL,              -- up to when we know of it: the newest moment it spoke of by its own
                                                         -- clock, never later than the arrival; old news does not move it
    reported_at       timestamptz,                       -- device clock of the newest report, with its facts:
    seq               int,
    status            int,
    battery_mv        int,
    rsrp_dbm          smallint,
    lel_pct           real,
    index_at          timestamptz,                       -- newest register value
    index_ml          bigint,
    valve_at          timestamptz,                       -- newest valve assertion
    valve             text CHECK (valve IN ('open', 'closed')),
    leak_at           timestamptz,                       -- newest leak alarm assertion
    leak_state        text CHECK (leak_state IN ('raised', 'cleared')),
    leak_level        smallint
) WITH (fillfactor = 60);

CREATE TABLE gateway_state (
    gateway_id        int PRIMARY KEY REFERENCES gateway,
    last_received_at  timestamptz NOT NULL,
    heard_at          timestamptz NOT NULL,              -- as in device_state, over all it published
    state             text CHECK (state IN ('online', 'offline')),  -- offline only by the will of the *current* session
    session           text,
    state_at          timestamptz
) WITH (fillfactor = 60);

-- ============================================================================ rules (written by: rules)

-- Cursor: the last batch of a slot that a stream (events, readings) has evaluated.
CREATE TABLE rule_cursor (
    stream    text NOT NULL CHECK (stream IN ('events', 'readings')),
    slot      text NOT NULL,
    batch_id  bigint NOT NULL,
    PRIMARY KEY (stream, slot)
);

-- Rule version: what a rule said, word for word, when it fired.
CREATE TABLE rule_version (
    rule_id       text NOT NULL,
    version       text NOT NULL,                         -- digest of the definition
    definition    jsonb NOT NULL,
    first_used_at timestamptz NOT NULL,
    PRIMARY KEY (rule_id, version)
);

-- Alert: one open per rule and subject; repeats update it, firing after closing is a new episode linked to the old one.
CREATE TABLE alert (
    alert_id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rule_id            text NOT NULL,
    rule_version       text NOT NULL,
    subject            text NOT NULL,                    -- 'device:12', 'building:7', 'gateway:3'
    area               text NOT NULL,
    device_id          int REFERENCES device,
    gateway_id         int REFERENCES gateway,
    premises_id        int REFERENCES premises,
    building_id        int REFERENCES building,
    severity           text NOT NULL CHECK (severity IN ('critical', 'major', 'minor', 'info')),
    state              text NOT NULL CHECK (state IN (
                           'open',          -- a finding
                           'acknowledged',  -- open -> acknowledged: an officer owns it
                           'dispatched',    -- acknowledged -> dispatched: someone is on the way
                           'on_site',       -- dispatched -> on_site
                           'made_safe',     -- on_site -> made_safe
                           'verified',      -- made_safe -> verified: closed on evidence (or by telemetry where the rule allows)
                           'dismissed'      -- any open state -> dismissed: closed with a cause
                       )),
    firing             boolean NOT NULL,                 -- the condition still holds, as far as telemetry says
    late               boolean NOT NULL,                 -- found in late data: recorded, pages no one
    sentence           text NOT NULL,                    -- what was found, for a person
    first_at           timestamptz NOT NULL,             -- event time of the first and the latest finding
    last_at            timestamptz NOT NULL,
    raised_at          timestamptz NOT NULL,             -- our clock
    unit               text,
    first_value        double precision,
    last_value         double precision,
    worst_value        double precision,
    count              int NOT NULL DEFAULT 1,           -- findings folded into this alert
    evidence           jsonb NOT NULL,                   -- the exact samples that fired it
    visit              text NOT NULL CHECK (visit IN ('none', 'normal', 'mandatory')),  -- what inspections must plan
    owner              text,
    cleared_at         timestamptz,                      -- event time at which telemetry stopped showing the condition
    closed_at          timestamptz,
    cause              text,                             -- why dismissed
    confirmed          boolean,                          -- what an inspector found: true hazard, or nothing; NULL unknown
    episode            int NOT NULL DEFAULT 1,
    previous_alert_id  bigint REFERENCES alert
);
-- rule: one open alert per rule and subject
CREATE UNIQUE INDEX alert_open_key ON alert (rule_id, subject) WHERE state NOT IN ('verified', 'dismissed');
-- serves: the last closed episode of a subject
CREATE INDEX alert_subject_idx ON alert (rule_id, subject, alert_id DESC);
-- serves: keyset pages of the officers' list
CREATE INDEX alert_open_idx ON alert (raised_at DESC, alert_id DESC) WHERE state NOT IN ('verified', 'dismissed');
CREATE INDEX alert_raised_idx ON alert (raised_at DESC, alert_id DESC);

-- Alert step: the timeline. Rows are only ever added.
CREATE TABLE alert_step (
    step_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    alert_id    bigint NOT NULL REFERENCES alert,
    at          timestamptz NOT NULL,                    -- our clock
    step        text NOT NULL,                           -- raised, repeated, cleared, acknowledged, dispatched, ...
    from_state  text,
    to_state    text NOT NULL,
    actor       text NOT NULL,                           -- account name, or 'rules', 'inspections'
    reason      text NOT NULL,                           -- the lifecycle's own reason word
    note        text,
    evidence    jsonb
);
CREATE INDEX alert_step_alert_idx ON alert_step (alert_id, step_id);

-- ============================================================================ inspections (written by: inspections)

CREATE TABLE inspector (
    inspector_id   int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    code           text NOT NULL CONSTRAINT inspector_code_key UNIQUE,
    name           text NOT NULL,
    area           text NOT NULL REFERENCES district (code),
    skills         text[] NOT NULL DEFAULT '{}',         -- household, commercial, industrial, leak
    start_latitude double precision NOT NULL,
    start_longitude double precision NOT NULL,
    shift_start    time NOT NULL,                        -- local time of the city
    shift_end      time NOT NULL,
    break_minutes  smallint NOT NULL DEFAULT 30,
    break_after    time NOT NULL DEFAULT '11:30',        -- the break starts no earlier and no later than these
    break_before   time NOT NULL DEFAULT '13:30',
    active         boolean NOT NULL DEFAULT true,
    CHECK (shift_end > shift_start),
    CHECK (break_before >= break_after)
);

-- Duty: why a door must be visited, and by when.
CREATE TABLE duty (
    duty_id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    premises_id  int NOT NULL REFERENCES premises,
    kind         text NOT NULL CHECK (kind IN ('periodic', 'alert', 'recheck', 'appointment', 'request')),
    state        text NOT NULL CHECK (state IN (
                     'open',      -- waits for a visit
                     'done',      -- open -> done: a visit satisfied it
                     'cancelled'  -- open -> cancelled: its alert was dismissed
                 )),
    due_on       date NOT NULL,
    not_before   date,                                   -- e.g. after a no-access: another day
    mandatory    boolean NOT NULL,                       -- must be in the next roster, before any prize is weighed
    reason       text NOT NULL,                          -- for the inspector: why this door
    attempts     smallint NOT NULL DEFAULT 0,            -- visits that did not get in
    last_attempt_at timestamptz,
    alert_id     bigint CONSTRAINT duty_alert_key UNIQUE REFERENCES alert,
    hazard_id    bigint,
    created_at   timestamptz NOT NULL,
    closed_at    timestamptz,
    outcome_id   bigint                                  -- the visit's outcome that closed it
);
-- rule: one open periodic duty per door
CREATE UNIQUE INDEX duty_periodic_key ON duty (premises_id) WHERE kind = 'periodic' AND state = 'open';
-- rule: one open re-check per hazard
CREATE UNIQUE INDEX duty_recheck_key ON duty (hazard_id) WHERE kind = 'recheck' AND state = 'open';
-- serves: candidates of a day
CREATE INDEX duty_open_idx ON duty (due_on, duty_id) WHERE state = 'open';
CREATE INDEX duty_premises_idx ON duty (premises_id);

-- Roster run: one planning of one day. The newest version of a day is the one in force.
CREATE TABLE roster_run (
    run_id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    day         date NOT NULL,
    version     int NOT NULL,
    planned_at  timestamptz NOT NULL,
    seed        int NOT NULL,
    solver      text NOT NULL,
    figures     jsonb NOT NULL,                          -- candidates, served, travel, seconds, priority ...
    CONSTRAINT roster_run_version_key UNIQUE (day, version)
);

-- Roster: the day of one inspector.
CREATE TABLE roster (
    roster_id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id         bigint NOT NULL REFERENCES roster_run,
    inspector_id   int NOT NULL REFERENCES inspector,
    leave_at       timestamptz NOT NULL,
    return_at      timestamptz NOT NULL,
    break_start_at timestamptz,
    break_end_at   timestamptz,
    travel_s       int NOT NULL,
    CONSTRAINT roster_inspector_key UNIQUE (run_id, inspector_id)
);

CREATE TABLE visit (
    visit_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    roster_id    bigint NOT NULL REFERENCES roster,
    position     smallint NOT NULL,
    premises_id  int NOT NULL REFERENCES premises,
    arrive_at    timestamptz NOT NULL,
    leave_at     timestamptz NOT NULL,
    travel_s     int NOT NULL,                           -- travel to this door from the one before
    mandatory    boolean NOT NULL,
    reasons      jsonb NOT NULL,                         -- list of sentences: why this door, why today
    CONSTRAINT visit_position_key UNIQUE (roster_id, position)
);
CREATE INDEX visit_premises_idx ON visit (premises_id);

CREATE TABLE visit_duty (
    visit_id  bigint NOT NULL REFERENCES visit,
    duty_id   bigint NOT NULL REFERENCES duty,
    PRIMARY KEY (visit_id, duty_id)
);
CREATE INDEX visit_duty_duty_idx ON visit_duty (duty_id);

-- Omission: a door that was due and is not on any roster of the run: the binding constraint and the price of forcing it in.
CREATE TABLE omission (
    run_id       bigint NOT NULL REFERENCES roster_run,
    premises_id  int NOT NULL REFERENCES premises,
    "constraint" text NOT NULL CHECK ("constraint" IN ('skill', 'area', 'window', 'shift', 'capacity', 'crowded_out')),
    reason       text NOT NULL,
    price        jsonb NOT NULL,
    PRIMARY KEY (run_id, premises_id)
);

-- Outcome: what happened at the door. `client_id` makes a report idempotent. *Visited* and *entered* are different facts.
CREATE TABLE outcome (
    outcome_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    client_id    uuid NOT NULL CONSTRAINT outcome_client_key UNIQUE,
    visit_id     bigint NOT NULL CONSTRAINT outcome_visit_key UNIQUE REFERENCES visit,
    premises_id  int NOT NULL REFERENCES premises,
    inspector_id int NOT NULL REFERENCES inspector,
    result       text NOT NULL CHECK (result IN ('passed', 'hazard_found', 'no_access', 'refused')),
    entered      boolean NOT NULL GENERATED ALWAYS AS (result IN ('passed', 'hazard_found')) STORED,
    at           timestamptz NOT NULL,                   -- at the door, by the inspector's clock
    received_at  timestamptz NOT NULL,
    note         text,
    body         jsonb NOT NULL,                         -- the report as sent, for a retry with the same client_id
    actor        text NOT NULL
);
CREATE INDEX outcome_premises_idx ON outcome (premises_id);

-- Hazard: found by an outcome, in the same transaction.
CREATE TABLE hazard (
    hazard_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    premises_id  int NOT NULL REFERENCES premises,
    outcome_id   bigint NOT NULL REFERENCES outcome,
    code         text NOT NULL,                          -- inspections/hazards.toml
    grade        smallint NOT NULL CHECK (grade BETWEEN 1 AND 3),
    found_at     timestamptz NOT NULL,
    due_on       date NOT NULL,
    state        text NOT NULL CHECK (state IN (
                     'open',   -- found, notified
                     'closed'  -- open -> closed: a re-check passed
                 )),
    note         text,
    closed_at    timestamptz,
    closed_outcome_id bigint REFERENCES outcome
);
CREATE INDEX hazard_premises_idx ON hazard (premises_id);
ALTER TABLE duty ADD CONSTRAINT duty_hazard_fkey FOREIGN KEY (hazard_id) REFERENCES hazard;
ALTER TABLE duty ADD CONSTRAINT duty_outcome_fkey FOREIGN KEY (outcome_id) REFERENCES outcome;

-- ============================================================================ accounts (written by: app)

CREATE TABLE account (
    account_id      int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name            text NOT NULL CONSTRAINT account_name_key UNIQUE,
    role            text NOT NULL CHECK (role IN ('officer', 'inspector', 'administrator')),
    areas           text[],                              -- district codes, children included; NULL: the whole city
    inspector_code  text,                                -- whose roster an inspector's account is
    token_hash      bytea NOT NULL CONSTRAINT account_token_key UNIQUE,  -- SHA-256 of a 256-bit random token
    created_at      timestamptz NOT NULL,
    revoked_at      timestamptz,
    CHECK (role <> 'inspector' OR inspector_code IS NOT NULL)
);

-- ============================================================================ audit (written by: sql)

-- Audit: who did or saw what, when. Rows are only ever added, each carries the digest of the one before.
CREATE TABLE audit_entry (
    audit_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at        timestamptz NOT NULL,
    actor     text NOT NULL,
    role      text NOT NULL,
    action    text NOT NULL,                             -- e.g. alert.acknowledge, roster.read
    subject   text NOT NULL,                             -- e.g. alert:17, roster:2026-11-22/I-003
    details   jsonb NOT NULL,
    digest    bytea NOT NULL                             -- SHA-256 of the previous digest and this row's content
);

-- ============================================================================ views of readings, same names in both editions

-- Reading by hour: the register at the end of the hour and what is known in it; flagged index values do not count.
CREATE VIEW reading_hourly AS
SELECT device_id,
       time_bucket('1 hour', at) AS hour,
       max(index_ml) FILTER (WHERE flags = 0) AS index_ml,
       avg(flow_lh) AS flow_lh,
       avg(pressure_pa) AS pressure_pa,
       max(lel_pct) AS lel_pct,
       count(*) AS samples
FROM reading
GROUP BY 1, 2;

CREATE VIEW reading_daily AS
SELECT device_id,
       time_bucket('1 day', at) AS day,
       min(index_ml) FILTER (WHERE flags = 0) AS first_index_ml,
       max(index_ml) FILTER (WHERE flags = 0) AS last_index_ml,
       avg(pressure_pa) AS pressure_pa,
       max(lel_pct) AS lel_pct,
       count(*) AS samples
FROM reading
GROUP BY 1, 2;
