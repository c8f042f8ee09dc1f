-- Rule set: rules files as they were uploaded, whole; only ever added.
CREATE TABLE rule_set (
    digest       text PRIMARY KEY,
    files        jsonb NOT NULL,
    note         text NOT NULL,
    uploaded_by  text NOT NULL,
    uploaded_at  timestamptz NOT NULL
);

-- Activation: which set is in force from when; the newest row counts.
CREATE TABLE rule_set_activation (
    activation_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest         text REFERENCES rule_set,
    activated_by   text NOT NULL,
    activated_at   timestamptz NOT NULL,
    note           text NOT NULL
);

-- Backtest: a draft set of rules over stored history, as a job.
CREATE TABLE backtest (
    backtest_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    state         text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'running', 'done', 'failed')),
    asked         jsonb NOT NULL,
    requested_by  text NOT NULL,
    requested_at  timestamptz NOT NULL,
    devices_done  int NOT NULL DEFAULT 0,
    devices       int,
    progress_at   timestamptz,
    report        jsonb,
    error         text,
    finished_at   timestamptz
);
CREATE INDEX backtest_waiting_idx ON backtest (backtest_id) WHERE state IN ('queued', 'running');
