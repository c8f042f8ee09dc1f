-- What may be an alarm and could not be stored: one row for each registered device, else gateway, else district, and kind.
CREATE TABLE unread_alarm (
    unread_id          int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device_id          int REFERENCES device,
    gateway_id         int REFERENCES gateway,
    district_id        int REFERENCES district,
    event              text NOT NULL CHECK (event IN ('leak_alarm', 'co_alarm', 'gas_measured', 'unknown')),
    level              smallint NOT NULL CHECK (level IN (1, 2)),
    lel_pct            real,
    claimed_gateway    text,
    claimed_device     text,
    reason             text NOT NULL,
    detail             text NOT NULL,
    first_received_at  timestamptz NOT NULL,
    last_received_at   timestamptz NOT NULL,
    times              bigint NOT NULL,
    batch_id           bigint NOT NULL,
    CONSTRAINT unread_alarm_key UNIQUE NULLS NOT DISTINCT (device_id, gateway_id, district_id, event)
);
-- serves: rules reading what new batches brought
CREATE INDEX unread_alarm_batch_idx ON unread_alarm (batch_id);
