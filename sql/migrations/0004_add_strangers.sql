-- Devices and gateways that publish and are not registered: one row each, and a bounded number of their messages kept whole.

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

ALTER TABLE quarantine ADD COLUMN unregistered_id bigint REFERENCES unregistered_device;
ALTER TABLE quarantine ADD COLUMN place int;
-- rule: an unregistered device has a fixed number of places for its messages; the newest takes the oldest's
ALTER TABLE quarantine ADD CONSTRAINT quarantine_place_key UNIQUE (unregistered_id, place);
