-- The clock of alerts: stages, deadlines, escalation; silences; regimes. Written by: rules.
CREATE TABLE regime (
    regime_id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name             text NOT NULL,
    version          text NOT NULL,
    definition       jsonb NOT NULL,
    in_force_at      timestamptz NOT NULL
);

CREATE TABLE silence (
    silence_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind         text NOT NULL CHECK (kind IN ('silence', 'maintenance')),
    rule_id      text,
    area         text REFERENCES district (code),
    device_id    int REFERENCES device,
    subject      text,
    place        text,
    from_at      timestamptz NOT NULL,
    until_at     timestamptz NOT NULL,
    reason       text NOT NULL CHECK (length(trim(reason)) > 0),
    author       text NOT NULL,
    created_at   timestamptz NOT NULL,
    leaks        boolean NOT NULL,
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
CREATE INDEX silence_until_idx ON silence (until_at) WHERE ended_at IS NULL;

ALTER TABLE alert
    ADD COLUMN worst_severity text,
    ADD COLUMN leak boolean NOT NULL DEFAULT false,
    ADD COLUMN guarded boolean NOT NULL DEFAULT false,
    ADD COLUMN clock_at timestamptz,
    ADD COLUMN needed_at timestamptz,
    ADD COLUMN owned_at timestamptz,
    ADD COLUMN controlled_at timestamptz,
    ADD COLUMN notified_at timestamptz,
    ADD COLUMN acknowledged_at timestamptz,
    ADD COLUMN dispatched_at timestamptz,
    ADD COLUMN on_site_at timestamptz,
    ADD COLUMN made_safe_at timestamptz,
    ADD COLUMN due_stage text,
    ADD COLUMN due_at timestamptz DEFAULT now(),
    ADD COLUMN wake_at timestamptz DEFAULT now(),
    ADD COLUMN reminded_at timestamptz,
    ADD COLUMN quiet_until timestamptz,
    ADD COLUMN escalation int NOT NULL DEFAULT 0,
    ADD COLUMN remind_min double precision;

UPDATE alert a SET
    worst_severity = a.severity,
    leak = coalesce((SELECT v.definition ->> 'kind' IN ('leak_alarm', 'building_leaks') FROM rule_version v
                     WHERE v.rule_id = a.rule_id AND v.version = a.rule_version), false),
    acknowledged_at = (SELECT min(s.at) FROM alert_step s WHERE s.alert_id = a.alert_id AND s.to_state = 'acknowledged'),
    dispatched_at = (SELECT min(s.at) FROM alert_step s WHERE s.alert_id = a.alert_id AND s.to_state = 'dispatched'),
    on_site_at = (SELECT min(s.at) FROM alert_step s WHERE s.alert_id = a.alert_id AND s.to_state = 'on_site'),
    made_safe_at = (SELECT min(s.at) FROM alert_step s WHERE s.alert_id = a.alert_id AND s.to_state = 'made_safe');
-- From now on, not from when they were raised: an upgrade must not escalate every alert at once.
UPDATE alert SET clock_at = now(), owned_at = CASE WHEN state = 'acknowledged' THEN now() END
WHERE state NOT IN ('verified', 'dismissed');
UPDATE alert a SET guarded = true
FROM rule_version v
WHERE v.rule_id = a.rule_id AND v.version = a.rule_version
  AND v.definition ->> 'kind' IN ('leak_alarm', 'building_leaks', 'flow_valve_closed', 'micro_leak');
UPDATE alert SET due_at = NULL, wake_at = NULL WHERE state IN ('verified', 'dismissed');
ALTER TABLE alert
    ADD CHECK (worst_severity IN ('critical', 'major', 'minor', 'info')),
    ADD CHECK (due_stage IN ('acknowledged', 'dispatched', 'on_site', 'made_safe', 'verified')),
    ADD CONSTRAINT alert_open_is_due CHECK (state IN ('verified', 'dismissed') OR due_at IS NOT NULL),
    ADD CONSTRAINT alert_open_is_woken CHECK (state IN ('verified', 'dismissed') OR late OR wake_at IS NOT NULL);

CREATE INDEX alert_wake_idx ON alert (wake_at) WHERE state NOT IN ('verified', 'dismissed') AND wake_at IS NOT NULL;
CREATE INDEX alert_due_idx ON alert (due_at, alert_id) WHERE state NOT IN ('verified', 'dismissed');
CREATE INDEX alert_open_owner_idx ON alert (owner, raised_at DESC, alert_id DESC)
    WHERE state NOT IN ('verified', 'dismissed') AND owner IS NOT NULL;
CREATE INDEX alert_open_rule_idx ON alert (rule_id, raised_at DESC, alert_id DESC) WHERE state NOT IN ('verified', 'dismissed');
CREATE INDEX alert_open_area_idx ON alert (area, raised_at DESC, alert_id DESC) WHERE state NOT IN ('verified', 'dismissed');
CREATE INDEX alert_open_severity_idx ON alert (severity, raised_at DESC, alert_id DESC) WHERE state NOT IN ('verified', 'dismissed');

ALTER TABLE alert_step ADD COLUMN transaction_id xid8 NOT NULL DEFAULT pg_current_xact_id();
CREATE INDEX alert_step_transaction_idx ON alert_step (transaction_id);
CREATE UNIQUE INDEX alert_step_escalation_key ON alert_step (alert_id, (evidence ->> 'stage'), (evidence ->> 'due_at'), (evidence ->> 'level'))
    WHERE step = 'escalated';
