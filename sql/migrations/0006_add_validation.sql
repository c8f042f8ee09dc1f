-- Findings of validation: what the rules of meter data management say of stored readings, kept beside them.

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

-- serves: quarantine by time of arrival
CREATE INDEX quarantine_received_idx ON quarantine (last_received_at DESC);
