-- The current schema of Gaswarden, to be read. `sql/migrations/` lands on the same catalogue (a test compares them).
--
-- Conventions
--   * every moment is timestamptz (UTC); `at` is the *device's* time, `received_at` is *our* time of arrival
--   * NULL means unknown, never zero
--   * volumes are millilitres in bigint: exact for every meter resolution, and they delta-compress
--   * each table names the one package that writes it; the others may read
--   * identity of a device is (family, code): text, never a number
--   * connections: each process opens one pool of at most `database_pool_max` connections (default 10) plus one that LISTENs;
--     a process that runs `notices` takes `notices.database_connections_max` (default 4) and one that LISTENs beside them

CREATE EXTENSION IF NOT EXISTS timescaledb;
CREATE EXTENSION IF NOT EXISTS pg_trgm;  -- with PostgreSQL's contrib; a trusted extension: who owns the database may create it

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
-- serves: the buildings of a compound (silent places, campaigns, figures)
CREATE INDEX building_compound_idx ON building (compound_id);

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
    -- for formats other than native (docs/formats.md):
    codec               text,                            -- how its bytes are read (LoRaWAN); NULL: by the profile's name
    site_zone           text,                            -- IANA zone of a clock that tells none
    register_name       text,                            -- which of the sender's registers is this meter's
    alarm_level         smallint CHECK (alarm_level IN (1, 2)),  -- of an alarm whose level the device does not tell
    volume_kind         text NOT NULL DEFAULT 'cumulative' CHECK (volume_kind IN ('cumulative', 'interval')),
    check_of            text CHECK (check_of ~ '^(building|compound|district):.{1,128}$'),  -- the place that this check meter feeds
    CONSTRAINT device_identity_key UNIQUE (family, code),
    CHECK (kind <> 'meter' OR (qmin_lh IS NOT NULL AND qmax_lh IS NOT NULL AND pulse_ml IS NOT NULL)),
    CHECK (kind <> 'detector' OR alarm_lel_pct IS NOT NULL)
);
-- serves: whoever asks by the code alone, of whatever family
CREATE INDEX device_code_idx ON device (code);
-- serves: devices of a gateway (absence rules, gateway binding)
CREATE INDEX device_gateway_idx ON device (gateway_id);
-- serves: check meters of zones (zone loss)
CREATE INDEX device_check_idx ON device (check_of) WHERE check_of IS NOT NULL;

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
-- serves: the roll-up finding the rows of a batch, and `gaswarden trace`; a batch's rows lie together, so blocks suffice
CREATE INDEX reading_batch_idx ON reading USING brin (batch_id) WITH (pages_per_range = 32, autosummarize = on);

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

-- Unregistered device: somebody publishes it through a gateway, and it is not registered there. One row for each, however
-- often it reports; its newest messages are kept whole in quarantine, older ones give way to them and are counted.
CREATE TABLE unregistered_device (
    unregistered_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    gateway            text NOT NULL,                    -- as the message says
    family             text NOT NULL,                    -- '' with code '': the gateway itself is not registered
    code               text NOT NULL,                    -- '*' with family '*': all beyond the limit of rows of a gateway
    area               text NOT NULL,                    -- as the message says
    reason             text NOT NULL CHECK (reason IN ('unknown_gateway', 'unknown_device', 'gateway_mismatch')),
    first_received_at  timestamptz NOT NULL,
    last_received_at   timestamptz NOT NULL,
    messages           bigint NOT NULL,                  -- received for it, repeats included
    placed             bigint NOT NULL DEFAULT 0,        -- messages that got a place in quarantine so far
    discarded          bigint NOT NULL DEFAULT 0,        -- messages that gave way to newer ones before they were replayed
    CONSTRAINT unregistered_device_key UNIQUE (gateway, family, code)
) WITH (fillfactor = 80);

-- Refusal: what came through one registered gateway ('?': through none) and was refused for one reason, counted for ever.
-- Its newest messages are kept whole in quarantine, older ones give way to them. Large payloads have places of their own.
CREATE TABLE refusal (
    refusal_id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    gateway            text NOT NULL,
    reason             text NOT NULL,
    large              boolean NOT NULL,                 -- payloads beyond 4 KiB
    first_received_at  timestamptz NOT NULL,
    last_received_at   timestamptz NOT NULL,
    messages           bigint NOT NULL,                  -- refused, repeats included
    placed             bigint NOT NULL DEFAULT 0,        -- messages that got a place in quarantine so far
    discarded          bigint NOT NULL DEFAULT 0,        -- messages that gave way to newer ones before they were replayed
    CONSTRAINT refusal_key UNIQUE (gateway, reason, large)
) WITH (fillfactor = 80);

-- Quarantine: messages we could not store, whole, with the reason. The same bytes on the same topic are one row, counted.
-- waiting -> replayed (after a device is registered or a decoder is mended)
CREATE TABLE quarantine (
    quarantine_id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest             bytea NOT NULL CONSTRAINT quarantine_digest_key UNIQUE,  -- SHA-256 of topic, NUL, whole payload
    topic              text NOT NULL,
    gateway            text NOT NULL,                    -- as the topic says; '?' when it says none
    payload            bytea NOT NULL,                   -- whole, or its first bytes when larger than the limit
    payload_bytes      bigint NOT NULL,
    reason             text NOT NULL CHECK (reason IN ('bad_topic', 'too_large', 'not_json',
                           'invalid_field', 'not_understood', 'unknown_gateway', 'unknown_device', 'gateway_mismatch',
                           'time_out_of_range', 'unstorable')),
    detail             text NOT NULL,                    -- names the field and the rule
    decoder            text NOT NULL,                    -- name and version, e.g. native/1
    first_received_at  timestamptz NOT NULL,
    last_received_at   timestamptz NOT NULL,
    times              int NOT NULL DEFAULT 1,
    batch_id           bigint NOT NULL,
    replayed_at        timestamptz,
    replay_batch_id    bigint,
    unregistered_id    bigint REFERENCES unregistered_device,
    place              int,
    refusal_id         bigint REFERENCES refusal,
    -- rule: an unregistered device has a fixed number of places for its messages; the newest takes the oldest's
    CONSTRAINT quarantine_place_key UNIQUE (unregistered_id, place),
    -- rule: a gateway has a fixed number of places for what is refused for one reason; the newest takes the oldest's
    CONSTRAINT quarantine_refusal_place_key UNIQUE (refusal_id, place)
);
-- serves: the waiting list, newest first, by reason
CREATE INDEX quarantine_waiting_idx ON quarantine (reason, last_received_at DESC) WHERE replayed_at IS NULL;
-- serves: quarantine by time of arrival
CREATE INDEX quarantine_received_idx ON quarantine (last_received_at DESC);

-- Unread alarm: what may be an alarm and could not be stored, on a row for each registered device, else gateway, else
-- district, and kind. Written by `ingest`; the rules page for it.
CREATE TABLE unread_alarm (
    unread_id          int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device_id          int REFERENCES device,            -- registered, whoever passed the message on
    gateway_id         int REFERENCES gateway,           -- when the device is not
    district_id        int REFERENCES district,          -- when neither is: the topic's, or the whole city
    event              text NOT NULL CHECK (event IN ('leak_alarm', 'co_alarm', 'gas_measured', 'unknown')),
    level              smallint NOT NULL CHECK (level IN (1, 2)),  -- the worst so far; 2 where it is not told
    lel_pct            real,
    claimed_gateway    text,                             -- who the newest says it is
    claimed_device     text,
    reason             text NOT NULL,                    -- of the quarantine
    detail             text NOT NULL,
    first_received_at  timestamptz NOT NULL,
    last_received_at   timestamptz NOT NULL,
    times              bigint NOT NULL,
    batch_id           bigint NOT NULL,                  -- the newest that brought one
    claimed_devices    text[] NOT NULL DEFAULT '{}',     -- all that were named within an hour of each other, 20 at most
    CONSTRAINT unread_alarm_key UNIQUE NULLS NOT DISTINCT (device_id, gateway_id, district_id, event)
);
-- serves: rules reading what new batches brought
CREATE INDEX unread_alarm_batch_idx ON unread_alarm (batch_id);

-- Held bundle: messages of a gateway above its rate limit, acknowledged, whole and in order; they take their turn at the pace
-- of the limit and count in the ledger then. The row goes in the transaction that writes its messages.
CREATE TABLE held_bundle (
    bundle_id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    lane               text NOT NULL,                    -- session of the slot that received them: 0, 0-events
    key                uuid NOT NULL CONSTRAINT held_bundle_key UNIQUE,  -- a second attempt to keep it keeps it once
    gateway            text NOT NULL,                    -- as the topic says
    messages           int NOT NULL CHECK (messages > 0),
    first_received_at  timestamptz NOT NULL,
    last_received_at   timestamptz NOT NULL,
    content            bytea NOT NULL                    -- arrival, topic and payload of each, compressed (ingest/holding.py)
);
-- serves: the next turn of a gateway
CREATE INDEX held_bundle_turn_idx ON held_bundle (lane, gateway, bundle_id);

-- Gateway flood: a gateway was above its rate limit. goes on (ended_at NULL) -> ended (nothing of it waits, and it is calm)
CREATE TABLE gateway_flood (
    flood_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    lane         text NOT NULL,
    gateway      text NOT NULL,
    started_at   timestamptz NOT NULL,                   -- arrival of the first message held back
    ended_at     timestamptz,
    held         bigint NOT NULL,                        -- messages held back in it
    limit_per_s  real                                    -- the limit then
);
-- rule: one flood of a gateway at a time
CREATE UNIQUE INDEX gateway_flood_open_key ON gateway_flood (lane, gateway) WHERE ended_at IS NULL;

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
    leak_level        smallint,
    battery_pct_at    timestamptz,                       -- newest charge in percent, from devices that tell no voltage
    battery_pct       real,
    presence_at       timestamptz,                       -- newest word about the device itself, from platforms that give it:
    presence          text CHECK (presence IN ('online', 'offline', 'stale'))  -- not online: what it said is not current
) WITH (fillfactor = 60);

-- serves: devices that their platform calls gone (absence rules)
CREATE INDEX device_state_gone_idx ON device_state (presence_at) WHERE presence <> 'online';

CREATE TABLE gateway_state (
    gateway_id        int PRIMARY KEY REFERENCES gateway,
    last_received_at  timestamptz NOT NULL,
    heard_at          timestamptz NOT NULL,              -- as in device_state, over all it published
    state             text CHECK (state IN ('online', 'offline')),  -- offline only by the will of the *current* session
    session           text,
    state_at          timestamptz
) WITH (fillfactor = 60);

-- Sparkplug word: the newest birth or death of a node or device, as it came. Data name their metrics by alias and leave out
-- types: without the birth they cannot be read, and a worker that starts again has not heard it.
CREATE TABLE sparkplug_word (
    topic        text PRIMARY KEY,
    gateway_id   int NOT NULL REFERENCES gateway,
    payload      bytea NOT NULL,
    received_at  timestamptz NOT NULL,
    batch_id     bigint NOT NULL,                        -- with `ordinal`: the order in which they took effect
    ordinal      int NOT NULL
);
-- serves: a worker's start
CREATE INDEX sparkplug_word_order_idx ON sparkplug_word (batch_id, ordinal);

-- Foreign arrival: a stored message whose moment is its arrival, by digest or by its sender's own key of it, so that its repeat
-- is the same reading also after a restart. A ring for each slot: a fixed number of places, the newest takes the oldest's.
CREATE TABLE foreign_arrival (
    slot         text NOT NULL,
    place        int NOT NULL,
    ordinal      bigint NOT NULL,
    key          bytea NOT NULL,
    received_at  timestamptz NOT NULL,
    PRIMARY KEY (slot, place)
) WITH (fillfactor = 80);
-- serves: the next place; a worker's start
CREATE INDEX foreign_arrival_order_idx ON foreign_arrival (slot, ordinal);

-- ============================================================================ rules (written by: rules)

-- Cursor: the last batch of a slot that a stream has evaluated: events, windows of readings, reports as instants, days as
-- far as they are rolled up.
CREATE TABLE rule_cursor (
    stream    text NOT NULL CHECK (stream IN ('events', 'readings', 'instants', 'days')),
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

-- Device watch: when to look after a device again, so that no look has to go over all of them; and how often it is heard.
CREATE TABLE device_watch (
    device_id     int PRIMARY KEY REFERENCES device,
    interval_s    real CHECK (interval_s > 0),           -- learned from its arrivals; NULL: too little is known
    gaps          int,                                   -- from how many gaps
    due_at        timestamptz NOT NULL,                  -- our clock
    silent_since  timestamptz,                           -- heard last when the silence it is in began; NULL: heard in time
    folded_into   text                                   -- subject of the incident that stands for this silence
) WITH (fillfactor = 70);
-- serves: which devices to look at now
CREATE INDEX device_watch_due_idx ON device_watch (due_at);
-- serves: what comes out of an incident that is over
CREATE INDEX device_watch_folded_idx ON device_watch (folded_into) WHERE folded_into IS NOT NULL;

-- Rule failure: rules whose detector breaks off with an error; they stand still, the others go on.
CREATE TABLE rule_failure (
    rule_id    text PRIMARY KEY,
    version    text NOT NULL,
    first_at   timestamptz NOT NULL,                     -- of this version
    last_at    timestamptz NOT NULL,
    failures   bigint NOT NULL,
    error      text NOT NULL,
    mended_at  timestamptz                               -- it came through again; NULL: it is failing
);

-- Rule daily: how far the rules that look once a day have come; `after_id` is the last device or place of that day.
CREATE TABLE rule_daily (
    task      text PRIMARY KEY,
    day       date NOT NULL,                             -- UTC
    after_id  int NOT NULL,
    done      boolean NOT NULL
);

-- Rule set: rules files as they were uploaded, whole; rows are only ever added. The packaged catalogue is not among them.
CREATE TABLE rule_set (
    digest       text PRIMARY KEY,                       -- over all rules of the set, defaults filled in
    files        jsonb NOT NULL,                         -- TOML text by file name
    note         text NOT NULL,
    uploaded_by  text NOT NULL,
    uploaded_at  timestamptz NOT NULL
);

-- Activation: which set is in force from when; the newest row counts, and before the first the packaged catalogue.
CREATE TABLE rule_set_activation (
    activation_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest         text REFERENCES rule_set,             -- NULL: the packaged catalogue
    activated_by   text NOT NULL,
    activated_at   timestamptz NOT NULL,
    note           text NOT NULL
);

-- Backtest: a draft set of rules over stored history, as a job of the rules service.
CREATE TABLE backtest (
    backtest_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    state         text NOT NULL DEFAULT 'queued' CHECK (state IN (
                      'queued',   -- asked for
                      'running',  -- queued -> running; again when its process died and left progress_at behind
                      'done',     -- running -> done: the report is there
                      'failed'    -- running -> failed: `error` says why
                  )),
    asked         jsonb NOT NULL,                        -- rules files, period, areas, devices, hours
    requested_by  text NOT NULL,
    requested_at  timestamptz NOT NULL,
    devices_done  int NOT NULL DEFAULT 0,
    devices       int,
    progress_at   timestamptz,
    report        jsonb,
    error         text,
    finished_at   timestamptz
);
-- serves: the rules service looking for work
CREATE INDEX backtest_waiting_idx ON backtest (backtest_id) WHERE state IN ('queued', 'running');

-- Alert: one open per rule and subject; repeats update it, firing after closing is a new episode linked to the old one.
CREATE TABLE alert (
    alert_id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rule_id            text NOT NULL,
    rule_version       text NOT NULL,
    subject            text NOT NULL,                    -- 'device:12', 'premises:9', 'building:7', 'compound:2', 'district:1', 'gateway:3'
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
    previous_alert_id  bigint REFERENCES alert,
    -- the clock (rules/clocks.py); a row written without it is wound at the next look
    worst_severity     text CHECK (worst_severity IN ('critical', 'major', 'minor', 'info')),  -- NULL: never worse than it is
    leak               boolean NOT NULL DEFAULT false,   -- about gas in a room
    guarded            boolean NOT NULL DEFAULT false,   -- its rule is about leaks: silenced by two persons only
    clock_at           timestamptz,                      -- deadlines count from here; NULL: from raised_at
    needed_at          timestamptz,                      -- an owner is needed since
    owned_at           timestamptz,                      -- the present owner took it: an acknowledgement expires from here
    controlled_at      timestamptz,                      -- the gas supply was shut off
    notified_at        timestamptz,                      -- stages, our clock: first notice handed to a channel,
    acknowledged_at    timestamptz,
    dispatched_at      timestamptz,
    on_site_at         timestamptz,
    made_safe_at       timestamptz,
    due_stage          text CHECK (due_stage IN ('acknowledged', 'dispatched', 'on_site', 'made_safe', 'verified')),
    due_at             timestamptz DEFAULT now(),        -- earliest deadline of what it waits for; NULL: closed
    wake_at            timestamptz DEFAULT now(),        -- its clock is looked at then; NULL: closed or late
    reminded_at        timestamptz,
    quiet_until        timestamptz,                      -- a notice was held back by a silence that ends then
    escalation         int NOT NULL DEFAULT 0,           -- levels told since due_at was missed
    remind_min         double precision,                 -- its rule wants it brought to mind this often
    awaited_visit_id   bigint,                           -- a planned visit (a row of inspections) keeps its acknowledgement;
    awaited_from       timestamptz,                      -- arrives,
    awaited_to         timestamptz,                      -- leaves
    verify_by          timestamptz,                      -- verification is not due before this
    -- rule: no open alert is without a deadline, nor, unless it came late, without somebody who will be told
    CONSTRAINT alert_open_is_due CHECK (state IN ('verified', 'dismissed') OR due_at IS NOT NULL),
    CONSTRAINT alert_open_is_woken CHECK (state IN ('verified', 'dismissed') OR late OR wake_at IS NOT NULL)
);
-- rule: one open alert per rule and subject
CREATE UNIQUE INDEX alert_open_key ON alert (rule_id, subject) WHERE state NOT IN ('verified', 'dismissed');
-- serves: the last closed episode of a subject
CREATE INDEX alert_subject_idx ON alert (rule_id, subject, alert_id DESC);
-- serves: keyset pages of the officers' list
CREATE INDEX alert_open_idx ON alert (raised_at DESC, alert_id DESC) WHERE state NOT IN ('verified', 'dismissed');
CREATE INDEX alert_raised_idx ON alert (raised_at DESC, alert_id DESC);
-- serves: which conditions of a device the event rules must see end
CREATE INDEX alert_firing_idx ON alert (device_id) WHERE state NOT IN ('verified', 'dismissed') AND firing;
-- serves: the clock's next looks
CREATE INDEX alert_wake_idx ON alert (wake_at) WHERE state NOT IN ('verified', 'dismissed') AND wake_at IS NOT NULL;
-- serves: the officers' list by deadline, and what is overdue
CREATE INDEX alert_due_idx ON alert (due_at, alert_id) WHERE state NOT IN ('verified', 'dismissed');
-- serve: the officers' list of one owner, one rule, one district, one severity
CREATE INDEX alert_open_owner_idx ON alert (owner, raised_at DESC, alert_id DESC)
    WHERE state NOT IN ('verified', 'dismissed') AND owner IS NOT NULL;
CREATE INDEX alert_open_rule_idx ON alert (rule_id, raised_at DESC, alert_id DESC) WHERE state NOT IN ('verified', 'dismissed');
CREATE INDEX alert_open_area_idx ON alert (area, raised_at DESC, alert_id DESC) WHERE state NOT IN ('verified', 'dismissed');
CREATE INDEX alert_open_severity_idx ON alert (severity, raised_at DESC, alert_id DESC) WHERE state NOT IN ('verified', 'dismissed');
-- serve: the officers' search by words, by the code of a device, of a door; no fastupdate: no step waits for a full list
CREATE INDEX alert_sentence_idx ON alert USING gin (lower(sentence) gin_trgm_ops) WITH (fastupdate = off);
CREATE INDEX alert_device_idx ON alert (device_id);
CREATE INDEX alert_premises_idx ON alert (premises_id);
-- serve: which acknowledged alerts a planned visit keeps, and whether it still does
CREATE INDEX alert_acknowledged_idx ON alert (premises_id) WHERE state = 'acknowledged';
CREATE INDEX alert_awaited_idx ON alert (awaited_visit_id) WHERE awaited_visit_id IS NOT NULL;

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
    evidence    jsonb,
    transaction_id xid8 NOT NULL DEFAULT pg_current_xact_id()  -- for the live stream: who has seen which commits
);
CREATE INDEX alert_step_alert_idx ON alert_step (alert_id, step_id);
-- serves: the live stream going on from a snapshot
CREATE INDEX alert_step_transaction_idx ON alert_step (transaction_id);
-- rule: each level of a missed deadline is told once, whoever looks and however often
CREATE UNIQUE INDEX alert_step_escalation_key ON alert_step (alert_id, (evidence ->> 'stage'), (evidence ->> 'due_at'), (evidence ->> 'level'))
    WHERE step = 'escalated';

-- Regime: how fast what must happen to an alert (rules/regimes.toml). The newest row is in force; rows are only added.
CREATE TABLE regime (
    regime_id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name             text NOT NULL,
    version          text NOT NULL,                      -- digest of the definition
    definition       jsonb NOT NULL,
    in_force_at      timestamptz NOT NULL
);

-- Silence: keeps notices back, never an alert's state. What it covers is whatever fits all of rule, district (and those
-- below), device and subject that it names.
CREATE TABLE silence (
    silence_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind         text NOT NULL CHECK (kind IN ('silence', 'maintenance')),
    rule_id      text,
    area         text REFERENCES district (code),
    device_id    int REFERENCES device,
    subject      text,                                   -- as in alert
    place        text,                                   -- the district it lies in; NULL: the whole city
    from_at      timestamptz NOT NULL,
    until_at     timestamptz NOT NULL,
    reason       text NOT NULL CHECK (length(trim(reason)) > 0),
    author       text NOT NULL,
    created_at   timestamptz NOT NULL,
    leaks        boolean NOT NULL,                       -- asks to silence leaks, too: has no effect on them until approved
    approved_by  text,
    approved_at  timestamptz,
    ended_by     text,
    ended_at     timestamptz,
    CHECK (until_at > from_at),
    CHECK (num_nonnulls(rule_id, area, device_id, subject) > 0),
    CONSTRAINT silence_two_persons CHECK (approved_by <> author),
    CHECK ((approved_by IS NULL) = (approved_at IS NULL)),
    CHECK (approved_by IS NULL OR leaks),
    CHECK ((ended_by IS NULL) = (ended_at IS NULL))
);
-- serves: the silences that cover an alert now
CREATE INDEX silence_until_idx ON silence (until_at) WHERE ended_at IS NULL;

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
    station        text,                                 -- among whom work is shared fairly; NULL: those of the area
    end_latitude   double precision,                     -- where the day ends; NULL: where it began
    end_longitude  double precision,
    CHECK (shift_end > shift_start),
    CHECK (break_before >= break_after),
    CONSTRAINT inspector_end_check CHECK ((end_latitude IS NULL) = (end_longitude IS NULL))
);

-- Absence: who does not work, from when to when (ill during the day, leave, training).
CREATE TABLE absence (
    absence_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    inspector_id int NOT NULL REFERENCES inspector,
    kind         text NOT NULL CHECK (kind IN ('ill', 'leave', 'training', 'other')),
    begins_at    timestamptz NOT NULL,
    ends_at      timestamptz NOT NULL,
    note         text,
    actor        text NOT NULL,
    recorded_at  timestamptz NOT NULL,
    CONSTRAINT absence_order_check CHECK (ends_at > begins_at)
);
-- serves: who works on a day
CREATE INDEX absence_inspector_idx ON absence (inspector_id, ends_at);

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
    alert_id     bigint REFERENCES alert,
    hazard_id    bigint,
    created_at   timestamptz NOT NULL,
    closed_at    timestamptz,
    outcome_id   bigint,                                 -- the visit's outcome that closed it
    promised_from timestamptz,                           -- the window that somebody was told; work begins in it
    promised_to  timestamptz,
    CONSTRAINT duty_promised_check
        CHECK ((promised_from IS NULL) = (promised_to IS NULL) AND promised_to > promised_from)
);
-- rule: one open periodic duty per door
CREATE UNIQUE INDEX duty_periodic_key ON duty (premises_id) WHERE kind = 'periodic' AND state = 'open';
-- rule: one open re-check per hazard
CREATE UNIQUE INDEX duty_recheck_key ON duty (hazard_id) WHERE kind = 'recheck' AND state = 'open';
-- serves: candidates of a day
CREATE INDEX duty_open_idx ON duty (due_on, duty_id) WHERE state = 'open';
-- rule: one open duty per alert; also serves the upkeep of alerts that were closed, every few seconds
CREATE UNIQUE INDEX duty_alert_key ON duty (alert_id) WHERE state = 'open' AND alert_id IS NOT NULL;
-- serves: what became of an alert's duties
CREATE INDEX duty_alert_idx ON duty (alert_id) WHERE alert_id IS NOT NULL;
CREATE INDEX duty_premises_idx ON duty (premises_id);
-- serves: coverage against what was due, by period
CREATE INDEX duty_due_idx ON duty (due_on) INCLUDE (premises_id, outcome_id, state) WHERE kind = 'periodic' AND state <> 'cancelled';

-- Promise: every window that somebody was told, the newest is the duty's; rows are only ever added, with the reason.
CREATE TABLE promise (
    promise_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    duty_id       bigint NOT NULL REFERENCES duty,
    promised_from timestamptz NOT NULL,
    promised_to   timestamptz NOT NULL,
    reason        text NOT NULL,
    actor         text NOT NULL,
    made_at       timestamptz NOT NULL,
    CONSTRAINT promise_window_check CHECK (promised_to > promised_from)
);
-- serves: what was promised for a duty
CREATE INDEX promise_duty_idx ON promise (duty_id);

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

-- Visit: a door on an inspector's day. When the day changes the visit moves on to the rosters of the next version, so that
-- whoever holds its id can report it; what each version said is in visit_version.
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
    chance       real,                                   -- expected chance to get in, 0..1; NULL: planned before it was known
    promised_from timestamptz,                           -- what somebody was told when this was planned
    promised_to  timestamptz,
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
    "constraint" text NOT NULL CONSTRAINT omission_constraint_check CHECK ("constraint" IN (
                     'skill', 'area', 'window', 'shift', 'capacity', 'crowded_out', 'calendar')),
    reason       text NOT NULL,
    price        jsonb NOT NULL,
    mandatory    boolean NOT NULL DEFAULT false,         -- when it was left out; one that becomes so later is planned anew
    PRIMARY KEY (run_id, premises_id)
);

-- Visit version: what one version of a day's rosters said of a visit. Rows are only ever added.
CREATE TABLE visit_version (
    run_id        bigint NOT NULL REFERENCES roster_run,
    visit_id      bigint NOT NULL REFERENCES visit,
    inspector_id  int NOT NULL REFERENCES inspector,
    position      smallint NOT NULL,
    premises_id   int NOT NULL REFERENCES premises,
    arrive_at     timestamptz NOT NULL,
    leave_at      timestamptz NOT NULL,
    mandatory     boolean NOT NULL,
    promised_from timestamptz,
    promised_to   timestamptz,
    PRIMARY KEY (run_id, visit_id)
);
-- serves: the versions in which a visit stood
CREATE INDEX visit_version_visit_idx ON visit_version (visit_id);

-- Roster change: what changed a day that was planned already (`from_run_id`), and the version it led to (`run_id`).
CREATE TABLE roster_change (
    change_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    day         date NOT NULL,
    kind        text NOT NULL CHECK (kind IN ('mandatory', 'ill', 'overrun', 'appointment_made', 'appointment_cancelled', 'replan')),
    body        jsonb NOT NULL,                          -- as it was asked for
    from_run_id bigint NOT NULL REFERENCES roster_run,
    run_id      bigint NOT NULL REFERENCES roster_run,
    effect      jsonb NOT NULL,                          -- inserted, moved, dropped, promised anew; seconds of the search
    actor       text NOT NULL,
    at          timestamptz NOT NULL
);
-- serves: what led to a version
CREATE INDEX roster_change_run_idx ON roster_change (run_id);

-- Outcome: what happened at the door. `client_id` makes a report idempotent. *Visited* and *entered* are different facts.
CREATE TABLE outcome (
    outcome_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    client_id    uuid NOT NULL CONSTRAINT outcome_client_key UNIQUE,
    visit_id     bigint NOT NULL CONSTRAINT outcome_visit_key UNIQUE REFERENCES visit,
    premises_id  int NOT NULL REFERENCES premises,
    inspector_id int NOT NULL REFERENCES inspector,
    result       text NOT NULL CONSTRAINT outcome_result_check CHECK (result IN
                     ('passed', 'hazard_found', 'recheck_passed', 'partial', 'no_access', 'refused')),
    at           timestamptz NOT NULL,                   -- at the door, by the inspector's clock
    received_at  timestamptz NOT NULL,
    note         text,
    body         jsonb NOT NULL,                         -- the report as sent, for a retry with the same client_id
    actor        text NOT NULL,
    entered      boolean NOT NULL
                     GENERATED ALWAYS AS (result IN ('passed', 'hazard_found', 'recheck_passed', 'partial')) STORED,
    checklist_version text,                              -- of checklists.toml, when questions were answered
    answers      jsonb,                                  -- by item code
    unseen       text[] NOT NULL DEFAULT '{}',           -- partial: rooms, appliances or items that were not seen
    follow_up    jsonb NOT NULL DEFAULT '{}',            -- what the receipt says beside: attempt, next attempt, cases, what lacks
    found        jsonb NOT NULL DEFAULT '[]'             -- every hazard seen, new or known: code, grade, due_on, note
);
CREATE INDEX outcome_premises_idx ON outcome (premises_id);
-- serve: figures by period, of the visits of a plan, of the duties that were done; without a look at the wide rows
CREATE INDEX outcome_at_idx ON outcome (at) INCLUDE (inspector_id, premises_id, result, entered);
CREATE INDEX outcome_visit_entered_idx ON outcome (visit_id) INCLUDE (entered);
CREATE INDEX outcome_entered_idx ON outcome (outcome_id) INCLUDE (at, entered, inspector_id);

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
                     'closed'  -- open -> closed: a re-check passed, the next visit of a minor one passed, or a person
                 )),
    note         text,
    closed_at    timestamptz,                            -- at the door
    closed_outcome_id bigint REFERENCES outcome,         -- NULL while open, and when a person closed it
    notified_at  timestamptz,                            -- the written notice: when, to whom, signed or not
    notified_to  text,                                   -- personal data
    notified_how text CONSTRAINT hazard_notified_how_check CHECK (notified_how IN ('signed', 'refused_to_sign', 'posted')),
    cut_wanted_at timestamptz,                           -- the supply must be cut
    cut_at       timestamptz,                            -- it was, by hand or by a valve command (a row of ingest's)
    cut_command_id bigint,
    restored_at  timestamptz,
    rectified_at timestamptz,
    rectified_by text
);
CREATE INDEX hazard_premises_idx ON hazard (premises_id);
-- serves: figures by period
CREATE INDEX hazard_found_idx ON hazard (found_at);
-- serves: rules looking for open hazards of the gravest grade
CREATE INDEX hazard_open_idx ON hazard (grade, premises_id) WHERE state = 'open';
-- serves: what a visit found
CREATE INDEX hazard_outcome_idx ON hazard (outcome_id);
ALTER TABLE duty ADD CONSTRAINT duty_hazard_fkey FOREIGN KEY (hazard_id) REFERENCES hazard;
ALTER TABLE duty ADD CONSTRAINT duty_outcome_fkey FOREIGN KEY (outcome_id) REFERENCES outcome;

-- ============================================================================ requests and cases (written by: inspections)

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
    step        text NOT NULL,                           -- received, assign, door, reply, close, withdraw, rate, note, reminded, visited
    actor       text NOT NULL,
    note        text                                     -- personal data
);
CREATE INDEX request_step_request_idx ON request_step (request_id, step_id);

ALTER TABLE duty ADD COLUMN request_id bigint REFERENCES request;  -- the request that asks for the visit
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

-- ============================================================================ campaign (written by: inspections)

-- Campaign: one planning of the coming months: which buildings on which days. The newest one is in force.
CREATE TABLE campaign (
    campaign_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    planned_at   timestamptz NOT NULL,
    first_day    date NOT NULL,
    days         int NOT NULL CHECK (days BETWEEN 1 AND 800),
    rules        jsonb NOT NULL,                         -- the settings it was planned by
    figures      jsonb NOT NULL,                         -- doors due, planned, late, unreached, seconds ...
    actor        text NOT NULL
);

-- Campaign block: doors of one building on one day.
CREATE TABLE campaign_block (
    campaign_id     bigint NOT NULL REFERENCES campaign,
    day             date NOT NULL,
    building_id     int NOT NULL REFERENCES building,
    compound_id     int NOT NULL REFERENCES compound,
    area            text NOT NULL,
    doors           int NOT NULL,
    priority_doors  int NOT NULL,
    late_doors      int NOT NULL,                        -- due before that day
    work_s          int NOT NULL,
    PRIMARY KEY (campaign_id, day, building_id)
);
-- serves: when is this building's turn
CREATE INDEX campaign_block_building_idx ON campaign_block (building_id, campaign_id, day);

-- Campaign forecast: what becomes of the doors of an area that come due in a month.
CREATE TABLE campaign_forecast (
    campaign_id         bigint NOT NULL REFERENCES campaign,
    area                text NOT NULL,
    month               date NOT NULL,
    due                 int NOT NULL,
    on_time             int NOT NULL,
    late                int NOT NULL,
    unreached           int NOT NULL,
    priority_unreached  int NOT NULL,
    PRIMARY KEY (campaign_id, area, month)
);

-- Compound notice: the residents of a compound were told of a day on which inspectors come. One for each compound and day.
CREATE TABLE compound_notice (
    notice_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    compound_id  int NOT NULL REFERENCES compound,
    day          date NOT NULL,                          -- the day of the visits
    campaign_id  bigint NOT NULL REFERENCES campaign,
    buildings    int NOT NULL,
    doors        int NOT NULL,
    due_on       date NOT NULL,                          -- to be out by then
    issued_at    timestamptz NOT NULL,
    posted_at    timestamptz,                            -- somebody confirmed that it hangs
    posted_by    text,
    CONSTRAINT compound_notice_key UNIQUE (compound_id, day)
);
-- serves: notices that are out, by the day of the visits
CREATE INDEX compound_notice_day_idx ON compound_notice (day);

-- ============================================================================ at the door (written by: inspections)

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
-- serves: what conflicts there were about a visit, in dossiers
CREATE INDEX outcome_conflict_visit_idx ON outcome_conflict (visit_id) WHERE visit_id IS NOT NULL;

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

-- ============================================================================ commands (written by: ingest)

-- Command: close or open the valve of one device. Nothing is believed to have happened because a message was taken over
-- by a broker: only what the device reports afterwards ends a command well.
CREATE TABLE command (
    command_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,  -- also in the message: a device obeys a number once
    client_id     uuid NOT NULL CONSTRAINT command_client_key UNIQUE,  -- the caller's own: asking again asks once
    device_id     int NOT NULL REFERENCES device,
    area          text NOT NULL,
    valve         text NOT NULL CHECK (valve IN ('close', 'open')),
    state         text NOT NULL CHECK (state IN (
                      'requested',  -- somebody asked; to open takes a second person
                      'approved',   -- requested -> approved: may be sent (to close, the one who asks approves)
                      'sent',       -- approved -> sent: on its way, sent again until the device answers
                      'proved',     -- sent -> proved: telemetry shows the valve there, and no flow past a closed one
                      'failed',     -- sent -> failed: telemetry shows the opposite, or never the proof
                      'expired',    -- requested, approved, sent -> expired: nobody approved, no device answered in time
                      'refused',    -- approved -> refused: the place was not safe when it was about to be sent
                      'withdrawn'   -- requested, approved -> withdrawn: by a person, or by a command to close
                  )),
    reason        text NOT NULL,                         -- the lifecycle's own word for the last change
    requested_by  text NOT NULL,                         -- account name, or 'policy' (automatic close)
    requested_at  timestamptz NOT NULL,
    note          text NOT NULL,                         -- why, for whoever approves and for the record
    alert_id      bigint REFERENCES alert,               -- closed because of this alert: opening waits for its end
    approved_by   text,
    approved_at   timestamptz,
    expires_at    timestamptz NOT NULL,                  -- not sent after this, and a device must not obey it any more
    sent_at       timestamptz,                           -- first sending
    attempts      int NOT NULL DEFAULT 0,                -- times it was sent
    next_send_at  timestamptz,
    answered_at   timestamptz,                           -- device time at which it said to be where it was told
    prove_by      timestamptz,                           -- our clock: proved by then, or failed
    ended_at      timestamptz,
    CHECK (valve = 'close' OR approved_by <> requested_by),
    CHECK ((state IN ('requested', 'approved', 'sent')) = (ended_at IS NULL)),
    CHECK (state NOT IN ('approved', 'sent', 'proved', 'failed', 'refused') OR approved_by IS NOT NULL),
    CHECK ((sent_at IS NOT NULL) = (attempts > 0))
);
-- rule: one command in flight per device; serves: the dispatcher
CREATE UNIQUE INDEX command_in_flight_key ON command (device_id) WHERE state IN ('requested', 'approved', 'sent');
-- rule: the automatic close acts once per alert and device
CREATE UNIQUE INDEX command_policy_key ON command (alert_id, device_id) WHERE requested_by = 'policy';
-- serves: the commands of a device, newest first (may it be opened again)
CREATE INDEX command_device_idx ON command (device_id, command_id DESC);

-- Command step: the timeline. Rows are only ever added.
CREATE TABLE command_step (
    step_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    command_id  bigint NOT NULL REFERENCES command,
    at          timestamptz NOT NULL,                    -- our clock
    step        text NOT NULL,                           -- requested, approved, sent, taken, answered, proved ...
    from_state  text,
    to_state    text NOT NULL,
    actor       text NOT NULL,                           -- account name, 'policy' or 'commands'
    reason      text NOT NULL,
    note        text,
    evidence    jsonb                                    -- what the device said
);
CREATE INDEX command_step_command_idx ON command_step (command_id, step_id);

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

-- ============================================================================ notices (written by: rules)
-- The queue itself is procrastinate's, in the schema `procrastinate` (sql/migrations/0010_add_notices.sql): jobs `page` (choose who
-- is told) and `send` (one notice), written in the transaction of what they tell of, gone when they are done.

-- Contact: one way to reach a person, in the order in which it is tried. Its address is kept sealed (rules/notices/seal.py).
CREATE TABLE contact (
    contact_id    int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account       text NOT NULL REFERENCES account (name),
    channel       text NOT NULL,                         -- scheme of the address: mailto, wecom, dingtalk, feishu, jsons ...
    sealed        bytea NOT NULL,                        -- the address, encrypted; empty once the contact is removed
    shown         text NOT NULL,                         -- the address with its secrets masked
    language      text NOT NULL CHECK (language IN ('en', 'zh')),
    position      smallint NOT NULL CHECK (position >= 1),  -- 1 is tried first
    severity_min  text NOT NULL DEFAULT 'minor' CHECK (severity_min IN ('critical', 'major', 'minor', 'info')),
    enabled       boolean NOT NULL DEFAULT true,
    added_at      timestamptz NOT NULL,
    added_by      text NOT NULL,
    removed_at    timestamptz,
    failures      int NOT NULL DEFAULT 0,                -- attempts that failed since one last succeeded
    failing_since timestamptz,
    last_error    text,
    last_handed_over_at timestamptz,
    CHECK ((failures > 0) = (failing_since IS NOT NULL))
) WITH (fillfactor = 80);
-- serves: the contacts of a person, in order
CREATE INDEX contact_account_idx ON contact (account, position) WHERE removed_at IS NULL;

-- Page: people shall be told of an alert. Written, with its job, in the transaction of what it tells of.
CREATE TABLE page (
    page_id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    alert_id      bigint NOT NULL REFERENCES alert,
    purpose       text NOT NULL CHECK (purpose IN ('raised', 'worse', 'reminder', 'escalated', 'ack_expired', 'handed_over',
                      'closed', 'channel_dead')),
    level         smallint NOT NULL CHECK (level BETWEEN 1 AND 9),  -- of the on-duty rota
    requested_at  timestamptz NOT NULL,
    resolved_at   timestamptz,                           -- recipients were chosen
    recipients    text,                                  -- how: on_duty, everybody, owner, told_before, administrators, nobody
    reason        text                                   -- in words
);
-- serves: the pages of an alert
CREATE INDEX page_alert_idx ON page (alert_id, page_id);
-- serves: pages that nobody has worked on
CREATE INDEX page_unresolved_idx ON page (requested_at) WHERE resolved_at IS NULL;

-- Notice: one page to one contact of one person, and what became of it.
CREATE TABLE notice (
    notice_id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    page_id        bigint NOT NULL REFERENCES page,
    alert_id       bigint NOT NULL REFERENCES alert,
    account        text NOT NULL,
    contact_id     int REFERENCES contact,               -- NULL: the person has no contact that would do
    channel        text,
    purpose        text NOT NULL,
    level          smallint NOT NULL,
    state          text NOT NULL CHECK (state IN (
                       'requested',    -- waits for its turn, or for the next attempt
                       'sending',      -- requested -> sending: an attempt is under way (or its worker died in it)
                       'handed_over',  -- sending -> handed_over: the channel took it
                       'failed',       -- requested, sending -> failed: nothing took it before its deadline
                       'not_needed'    -- requested, sending -> not_needed: the alert moved on before it was sent
                   )),
    reason         text,                                 -- why failed or not needed; why this contact, when another failed before
    requested_at   timestamptz NOT NULL,
    deadline_at    timestamptz NOT NULL,                 -- no attempt begins after this
    sending_at     timestamptz,                          -- newest attempt
    handed_over_at timestamptz,
    failed_at      timestamptz,
    not_needed_at  timestamptz,
    attempts       int NOT NULL DEFAULT 0,
    last_error     text,
    follows        bigint REFERENCES notice,             -- the notice whose failure led to this one
    fell_over      boolean NOT NULL DEFAULT false,       -- its failure has led to another one
    CHECK ((state = 'handed_over') = (handed_over_at IS NOT NULL)),
    CHECK ((state = 'failed') = (failed_at IS NOT NULL)),
    CHECK ((state = 'not_needed') = (not_needed_at IS NOT NULL))
) WITH (fillfactor = 80);
-- rule: one page reaches a contact once, however often its job runs
CREATE UNIQUE INDEX notice_contact_key ON notice (page_id, contact_id) WHERE contact_id IS NOT NULL;
CREATE UNIQUE INDEX notice_nobody_key ON notice (page_id, account) WHERE contact_id IS NULL;
-- serves: the notices of an alert
CREATE INDEX notice_alert_idx ON notice (alert_id, notice_id);
-- serves: notices under way
CREATE INDEX notice_waiting_idx ON notice (requested_at) WHERE state IN ('requested', 'sending');

-- ============================================================================ on-duty rota (written by: rules)

-- Shift: one person's duty at a level for some districts.
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
-- serves: what the audit says of a thing, in dossiers
CREATE INDEX audit_entry_subject_idx ON audit_entry (subject, audit_id);

-- ============================================================================ storage for years (written by: ingest)

-- Reading by hour and by day (UTC): the register where the bucket ends (and, by day, begins) and what is known in it;
-- flagged index values do not count. The same names and columns in both editions of TimescaleDB: in the Apache edition
-- these tables, filled by ingest/rollup.py from the batches; in the community edition views of continuous aggregates
-- (sql/editions/community.sql). A bucket is written again when more of its readings are known, never when fewer are.
CREATE TABLE reading_hourly (
    device_id    int NOT NULL,
    hour         timestamptz NOT NULL,
    index_ml     bigint,
    flow_lh      real,
    pressure_pa  real,
    lel_pct      real,
    samples      int NOT NULL,
    CONSTRAINT reading_hourly_key UNIQUE (device_id, hour)
);
SELECT create_hypertable('reading_hourly', 'hour', chunk_time_interval => interval '1 day', create_default_indexes => false);

CREATE TABLE reading_daily (
    device_id       int NOT NULL,
    day             timestamptz NOT NULL,
    first_index_ml  bigint,
    last_index_ml   bigint,
    pressure_pa     real,
    lel_pct         real,
    samples         int NOT NULL,
    CONSTRAINT reading_daily_key UNIQUE (device_id, day)
);
SELECT create_hypertable('reading_daily', 'day', chunk_time_interval => interval '30 days', create_default_indexes => false);

-- Roll-up cursor: the last batch of a slot whose readings are in reading_hourly and reading_daily, in both editions.
CREATE TABLE rollup_cursor (
    slot      text PRIMARY KEY,
    batch_id  bigint NOT NULL
);

-- Retention: how many whole days of what are kept; NULL is for ever. reading_daily and event are kept for ever. Written by
-- the owner alone (`gaswarden storage keep`), so that the serving role can retire what is old and nothing else. The
-- figures are ours: no public source says how long; raw values of a whole year can be compared with the year before.
CREATE TABLE retention (
    subject    text PRIMARY KEY CHECK (subject IN ('reading', 'reading_hourly', 'batch', 'ledger')),
    keep_days  int CHECK (keep_days >= 90)
);
INSERT INTO retention (subject, keep_days) VALUES ('reading', 400), ('reading_hourly', 800), ('batch', 400), ('ledger', NULL);

-- Retired: up to which moment what was dropped, and what dropped rows of batch and ledger had counted, so that the proof
-- received = accounted for still holds over all time. `slot` is empty for readings.
CREATE TABLE retired (
    subject     text NOT NULL CHECK (subject IN ('reading', 'reading_hourly', 'batch', 'ledger')),
    slot        text NOT NULL,
    before_at   timestamptz NOT NULL,
    retired_at  timestamptz NOT NULL,
    received    bigint NOT NULL DEFAULT 0,
    stored      bigint NOT NULL DEFAULT 0,
    duplicate   bigint NOT NULL DEFAULT 0,
    late        bigint NOT NULL DEFAULT 0,
    conflict    bigint NOT NULL DEFAULT 0,
    quarantined bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (subject, slot)
);

-- The edition whose shape the roll-ups have; rows of our own roll-up count before `own_before`. Written by sql/edition.py.
CREATE TABLE storage_edition (
    only_row    boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    edition     text NOT NULL CHECK (edition IN ('apache', 'community')),
    own_before  timestamptz NOT NULL,
    applied_at  timestamptz NOT NULL DEFAULT now()
);
INSERT INTO storage_edition (edition, own_before) VALUES ('apache', 'infinity');

-- History file: an import of old readings, known by the file's content: how far it got, with which options.
CREATE TABLE history_file (
    digest       bytea NOT NULL,
    options      jsonb NOT NULL,
    name         text NOT NULL,
    rows_done    bigint NOT NULL DEFAULT 0,
    stored       bigint NOT NULL DEFAULT 0,
    duplicate    bigint NOT NULL DEFAULT 0,
    late         bigint NOT NULL DEFAULT 0,
    conflict     bigint NOT NULL DEFAULT 0,
    refused      bigint NOT NULL DEFAULT 0,
    started_at   timestamptz NOT NULL,
    finished_at  timestamptz,
    PRIMARY KEY (digest)
);

-- Per slot, the last batch that every reader (the four streams of rules; roll-up) is past; 0 while one never read it.
CREATE FUNCTION batches_read(OUT slot text, OUT batch_id bigint) RETURNS SETOF record
LANGUAGE sql STABLE SET search_path = pg_catalog, public AS $$
    SELECT s.slot, least(
        (SELECT CASE count(*) WHEN 4 THEN min(r.batch_id) ELSE 0 END FROM public.rule_cursor r WHERE r.slot = s.slot),
        CASE WHEN (SELECT e.edition FROM public.storage_edition e) = 'community' THEN 9223372036854775807
             ELSE coalesce((SELECT c.batch_id FROM public.rollup_cursor c WHERE c.slot = s.slot), 0) END)
    FROM (SELECT DISTINCT b.slot FROM public.batch b) s
$$;

-- Drop the chunks of a table that are older than its retention, none with readings of a batch that somebody has yet to
-- read; returns how many. These three run as the owner and act on the table `retention` alone.
CREATE FUNCTION retire_readings(table_name text) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    before_at timestamptz;
    part regclass;
    dropped int := 0;
BEGIN
    IF table_name NOT IN ('reading', 'reading_hourly') THEN
        RAISE EXCEPTION 'there is no retention of %', table_name USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT date_trunc('day', now(), 'UTC') - make_interval(days => r.keep_days) INTO before_at
    FROM public.retention r WHERE r.subject = table_name;
    IF before_at IS NULL THEN
        RETURN 0;
    END IF;
    IF table_name = 'reading' THEN
        SELECT least(before_at, date_trunc('day', min(b.first_at), 'UTC')) INTO before_at
        FROM public.batch b JOIN public.batches_read() d ON d.slot = b.slot AND b.batch_id > d.batch_id;
    END IF;
    FOR part IN
        SELECT c.oid::regclass FROM pg_class c
        WHERE c.relnamespace = 'public'::regnamespace
          AND (c.relname IN (table_name, table_name || '_own') AND c.relkind = 'r' OR c.relname = table_name || '_live')
    LOOP
        dropped := dropped + (SELECT count(*) FROM public.drop_chunks(part, older_than => before_at));
    END LOOP;
    IF dropped > 0 THEN
        INSERT INTO public.retired AS k (subject, slot, before_at, retired_at)
        VALUES (table_name, '', before_at, clock_timestamp())
        ON CONFLICT (subject, slot) DO UPDATE
        SET before_at = greatest(k.before_at, excluded.before_at), retired_at = excluded.retired_at;
    END IF;
    RETURN dropped;
END
$$;

-- Retire old batches that every reader is past, at most `rows_max`; their counts go to `retired`.
CREATE FUNCTION retire_batches(rows_max int) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    limit_at timestamptz;
    gone int;
BEGIN
    SELECT date_trunc('day', now(), 'UTC') - make_interval(days => r.keep_days) INTO limit_at
    FROM public.retention r WHERE r.subject = 'batch';
    WITH old AS (
        SELECT b.batch_id FROM public.batch b JOIN public.batches_read() d ON d.slot = b.slot AND b.batch_id <= d.batch_id
        WHERE b.last_received_at < limit_at ORDER BY b.last_received_at LIMIT rows_max
    ), dropped AS (
        DELETE FROM public.batch b USING old WHERE b.batch_id = old.batch_id RETURNING b.*
    ), summed AS (
        INSERT INTO public.retired AS k (subject, slot, before_at, retired_at, received, stored, duplicate, late, conflict, quarantined)
        SELECT 'batch', d.slot, max(d.last_received_at), clock_timestamp(), sum(d.received), sum(d.stored), sum(d.duplicate),
               sum(d.late), sum(d.conflict), sum(d.quarantined)
        FROM dropped d GROUP BY d.slot
        ON CONFLICT (subject, slot) DO UPDATE SET
            before_at = greatest(k.before_at, excluded.before_at), retired_at = excluded.retired_at,
            received = k.received + excluded.received, stored = k.stored + excluded.stored,
            duplicate = k.duplicate + excluded.duplicate, late = k.late + excluded.late,
            conflict = k.conflict + excluded.conflict, quarantined = k.quarantined + excluded.quarantined
    )
    SELECT count(*) INTO gone FROM dropped;
    RETURN gone;
END
$$;

-- Retire old days of the ledger, at most `rows_max` rows; their counts go to `retired`.
CREATE FUNCTION retire_ledger(rows_max int) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    limit_on date;
    gone int;
BEGIN
    SELECT (now() AT TIME ZONE 'UTC')::date - r.keep_days INTO limit_on FROM public.retention r WHERE r.subject = 'ledger';
    WITH old AS (
        SELECT l.day, l.slot, l.gateway FROM public.ledger l WHERE l.day < limit_on ORDER BY l.day LIMIT rows_max
    ), dropped AS (
        DELETE FROM public.ledger l USING old o
        WHERE l.day = o.day AND l.slot = o.slot AND l.gateway = o.gateway RETURNING l.*
    ), summed AS (
        INSERT INTO public.retired AS k (subject, slot, before_at, retired_at, received, stored, duplicate, late, conflict, quarantined)
        SELECT 'ledger', d.slot, (max(d.day) + 1)::timestamp AT TIME ZONE 'UTC', clock_timestamp(), sum(d.received), sum(d.stored),
               sum(d.duplicate), sum(d.late), sum(d.conflict), sum(d.quarantined)
        FROM dropped d GROUP BY d.slot
        ON CONFLICT (subject, slot) DO UPDATE SET
            before_at = greatest(k.before_at, excluded.before_at), retired_at = excluded.retired_at,
            received = k.received + excluded.received, stored = k.stored + excluded.stored,
            duplicate = k.duplicate + excluded.duplicate, late = k.late + excluded.late,
            conflict = k.conflict + excluded.conflict, quarantined = k.quarantined + excluded.quarantined
    )
    SELECT count(*) INTO gone FROM dropped;
    RETURN gone;
END
$$;
REVOKE ALL ON FUNCTION retire_readings(text), retire_batches(int), retire_ledger(int) FROM PUBLIC;

-- ============================================================================ validation of readings (written by: ingest)

-- Reading validation: what a rule finds about a reading (`at` is its moment) or about the use of a UTC day (`at` is its
-- start). The reading itself is never touched. Judged anew when readings around it arrive: a finding that no longer holds
-- is withdrawn, not deleted.
CREATE TABLE reading_validation (
    finding_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device_id     int NOT NULL,
    at            timestamptz NOT NULL,
    scope         text NOT NULL CHECK (scope IN ('reading', 'day')),
    rule          text NOT NULL CHECK (rule IN ('high', 'low', 'spike', 'negative', 'zero', 'backwards', 'missing', 'wrap',
                      'implausible_step', 'power_loss_backfill', 'past_memory_zero')),
    detail        jsonb NOT NULL,                        -- figures the rule went by, units in their names
    batch_id      bigint NOT NULL,                       -- newest batch that was judged when it was found or changed
    found_at      timestamptz NOT NULL,                  -- our clock
    withdrawn_at  timestamptz,                           -- our clock: does not hold any more; NULL: holds
    CONSTRAINT reading_validation_key UNIQUE (device_id, at, scope, rule)
);
-- serves: the newest findings of a rule
CREATE INDEX reading_validation_rule_idx ON reading_validation (rule, finding_id DESC);

-- Validation cursor: the last batch of a slot whose readings are judged.
CREATE TABLE validation_cursor (
    slot      text PRIMARY KEY,
    batch_id  bigint NOT NULL
);

-- ============================================================================ figures of inspections (written by: inspections)

-- Figures of inspections, kept by local day of the city (docs/reports.md). A day is always counted whole, by `count_inspections`, and what it
-- held before goes; nothing is ever added to or taken from a count. What may change a day's figures leaves a mark in the same transaction, by
-- trigger, so that no statement can forget it; a day with a mark is counted when it is asked for, until the pass (inspections/counting.py) has
-- counted it anew and taken the mark away. A day that never had a mark holds nothing.

-- Place count: a day's figures by compound and class of users.
CREATE TABLE place_count (
    day             date NOT NULL,
    kind            text NOT NULL CHECK (kind IN (
                        'planned',  -- by the roster's day: visits of the version in force, with an outcome, with one that got in
                        'visited',  -- by the day of the visit: outcomes, and what they were
                        'due'       -- by the due day: periodic duties, those done by an outcome that got in, by then
                    )),
    compound_id     int NOT NULL,
    user_class      text NOT NULL,
    planned         int NOT NULL,
    planned_visited int NOT NULL,
    planned_entered int NOT NULL,
    visited         int NOT NULL,
    entered         int NOT NULL,
    partial         int NOT NULL,
    no_access       int NOT NULL,
    refused         int NOT NULL,
    due             int NOT NULL,
    covered         int NOT NULL,
    covered_on_time int NOT NULL,
    PRIMARY KEY (day, kind, compound_id, user_class)
);

-- Inspector count: a day's figures by inspector and district of the doors.
CREATE TABLE inspector_count (
    day             date NOT NULL,
    kind            text NOT NULL CHECK (kind IN ('planned', 'visited')),
    district_id     int NOT NULL,
    inspector_id    int NOT NULL,
    planned         int NOT NULL,
    planned_visited int NOT NULL,
    planned_entered int NOT NULL,
    visited         int NOT NULL,
    entered         int NOT NULL,
    partial         int NOT NULL,
    no_access       int NOT NULL,
    refused         int NOT NULL,
    PRIMARY KEY (day, kind, district_id, inspector_id)
);

-- Counted day: by which zone's days, and when last.
CREATE TABLE counted_day (
    kind       text NOT NULL CHECK (kind IN ('planned', 'visited', 'due')),
    day        date NOT NULL,
    zone       text NOT NULL,
    counted_at timestamptz NOT NULL,
    PRIMARY KEY (kind, day)
);

-- Count mark: something changed that a day's figures follow from. Written by triggers alone; rows come and go.
CREATE TABLE count_mark (
    mark_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind        text CHECK (kind IN ('planned', 'visited', 'due')),
    day         date,                                    -- that day's figures
    at          timestamptz,                             -- those of the day that this moment belongs to
    premises_id int,                                     -- those of every day on which this door counts: it has another place or class
    CONSTRAINT count_mark_one_check CHECK (num_nonnulls(day, at, premises_id) = 1 AND (kind IS NULL) = (premises_id IS NOT NULL))
);
-- serves: the doors whose days are still to be looked for
CREATE INDEX count_mark_premises_idx ON count_mark (premises_id) WHERE premises_id IS NOT NULL;

-- The figures of days, counted from scratch: the only place that says what is counted.
CREATE FUNCTION count_inspections(planned_on date[], visited_on date[], due_on date[], zone text)
RETURNS TABLE (day date, kind text, compound_id int, user_class text, inspector_id int, planned int, planned_visited int,
               planned_entered int, visited int, entered int, partial int, no_access int, refused int, due int,
               covered int, covered_on_time int)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT a.day, 'planned', b.compound_id, p.user_class, vv.inspector_id, count(*)::int, count(o.visit_id)::int,
           (count(*) FILTER (WHERE o.entered))::int, 0, 0, 0, 0, 0, 0, 0, 0
    FROM unnest(planned_on) AS a(day)
    CROSS JOIN LATERAL (SELECT r.run_id FROM roster_run r WHERE r.day = a.day ORDER BY r.version DESC LIMIT 1) n
    JOIN visit_version vv ON vv.run_id = n.run_id
    JOIN premises p ON p.premises_id = vv.premises_id
    JOIN building b ON b.building_id = p.building_id
    LEFT JOIN outcome o ON o.visit_id = vv.visit_id
    GROUP BY a.day, b.compound_id, p.user_class, vv.inspector_id
    UNION ALL
    SELECT a.day, 'visited', b.compound_id, p.user_class, o.inspector_id, 0, 0, 0, count(*)::int, (count(*) FILTER (WHERE o.entered))::int,
           (count(*) FILTER (WHERE o.result = 'partial'))::int, (count(*) FILTER (WHERE o.result = 'no_access'))::int,
           (count(*) FILTER (WHERE o.result = 'refused'))::int, 0, 0, 0
    FROM unnest(visited_on) AS a(day)
    JOIN outcome o ON o.at >= (a.day::timestamp AT TIME ZONE zone) - interval '3 hours'
                  AND o.at < ((a.day + 1)::timestamp AT TIME ZONE zone) + interval '3 hours'
                  AND (o.at AT TIME ZONE zone)::date = a.day
    JOIN premises p ON p.premises_id = o.premises_id
    JOIN building b ON b.building_id = p.building_id
    GROUP BY a.day, b.compound_id, p.user_class, o.inspector_id
    UNION ALL
    SELECT a.day, 'due', b.compound_id, p.user_class, NULL, 0, 0, 0, 0, 0, 0, 0, 0, count(*)::int, count(o.outcome_id)::int,
           (count(*) FILTER (WHERE (o.at AT TIME ZONE zone)::date <= a.day))::int
    FROM unnest(due_on) AS a(day)
    JOIN duty d ON d.due_on = a.day AND d.kind = 'periodic' AND d.state <> 'cancelled'
    JOIN premises p ON p.premises_id = d.premises_id
    JOIN building b ON b.building_id = p.building_id
    LEFT JOIN outcome o ON o.outcome_id = d.outcome_id AND o.entered AND d.state = 'done'
    GROUP BY a.day, b.compound_id, p.user_class
$$;

-- A new version of a day's rosters is the one in force, even when nobody is visited.
CREATE FUNCTION mark_runs() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO count_mark (kind, day) SELECT DISTINCT 'planned', a.day FROM added a;
    RETURN NULL;
END
$$;
CREATE TRIGGER mark_runs AFTER INSERT ON roster_run
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION mark_runs();

CREATE FUNCTION mark_versions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO count_mark (kind, day)
    SELECT DISTINCT 'planned', r.day FROM roster_run r WHERE r.run_id IN (SELECT a.run_id FROM added a);
    RETURN NULL;
END
$$;
CREATE TRIGGER mark_versions AFTER INSERT ON visit_version
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION mark_versions();

-- An outcome counts on its own day, and on those of the rosters its visit stood in.
CREATE FUNCTION mark_outcomes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO count_mark (kind, day, at)
    SELECT DISTINCT 'planned', r.day, NULL::timestamptz
    FROM added a JOIN visit_version vv ON vv.visit_id = a.visit_id JOIN roster_run r ON r.run_id = vv.run_id
    UNION ALL
    SELECT DISTINCT 'visited', NULL::date, a.at FROM added a;
    RETURN NULL;
END
$$;
CREATE TRIGGER mark_outcomes AFTER INSERT ON outcome
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION mark_outcomes();

CREATE FUNCTION mark_new_duties() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO count_mark (kind, day) SELECT DISTINCT 'due', a.due_on FROM added a WHERE a.kind = 'periodic';
    RETURN NULL;
END
$$;
CREATE TRIGGER mark_new_duties AFTER INSERT ON duty
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION mark_new_duties();

-- Of a duty that is moved, both days.
CREATE FUNCTION mark_changed_duties() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO count_mark (kind, day)
    SELECT DISTINCT 'due', changed.due_on
    FROM (
        SELECT t.due_on
        FROM (
            SELECT b.duty_id, b.premises_id, b.kind, b.state, b.due_on, b.outcome_id FROM before b
            UNION ALL
            SELECT a.duty_id, a.premises_id, a.kind, a.state, a.due_on, a.outcome_id FROM after a
        ) t
        WHERE t.kind = 'periodic'
        GROUP BY t.duty_id, t.premises_id, t.kind, t.state, t.due_on, t.outcome_id
        HAVING count(*) = 1
    ) changed;
    RETURN NULL;
END
$$;
CREATE TRIGGER mark_changed_duties AFTER UPDATE ON duty
    REFERENCING OLD TABLE AS before NEW TABLE AS after FOR EACH STATEMENT EXECUTE FUNCTION mark_changed_duties();

-- A door's place or class is corrected: the days on which it counts are looked for later, when every visit of it is there to be seen.
CREATE FUNCTION mark_premises() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO count_mark (premises_id) VALUES (NEW.premises_id);
    RETURN NULL;
END
$$;
CREATE TRIGGER mark_premises AFTER UPDATE OF building_id, user_class ON premises FOR EACH ROW
    WHEN ((OLD.building_id, OLD.user_class) IS DISTINCT FROM (NEW.building_id, NEW.user_class)) EXECUTE FUNCTION mark_premises();

CREATE FUNCTION mark_building() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO count_mark (premises_id) SELECT p.premises_id FROM premises p WHERE p.building_id = NEW.building_id;
    RETURN NULL;
END
$$;
CREATE TRIGGER mark_building AFTER UPDATE OF compound_id ON building FOR EACH ROW
    WHEN (OLD.compound_id IS DISTINCT FROM NEW.compound_id) EXECUTE FUNCTION mark_building();

CREATE FUNCTION mark_compound() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO count_mark (premises_id)
    SELECT p.premises_id FROM building b JOIN premises p ON p.building_id = b.building_id WHERE b.compound_id = NEW.compound_id;
    RETURN NULL;
END
$$;
CREATE TRIGGER mark_compound AFTER UPDATE OF district_id ON compound FOR EACH ROW
    WHEN (OLD.district_id IS DISTINCT FROM NEW.district_id) EXECUTE FUNCTION mark_compound();
