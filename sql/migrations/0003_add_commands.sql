-- Commands to valves, and their timeline.

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

