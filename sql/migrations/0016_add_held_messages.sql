-- Gateways above their rate limit: messages that wait for their turn, and the floods as facts.
CREATE TABLE held_bundle (
    bundle_id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    lane               text NOT NULL,
    key                uuid NOT NULL CONSTRAINT held_bundle_key UNIQUE,
    gateway            text NOT NULL,
    messages           int NOT NULL CHECK (messages > 0),
    first_received_at  timestamptz NOT NULL,
    last_received_at   timestamptz NOT NULL,
    content            bytea NOT NULL
);
CREATE INDEX held_bundle_turn_idx ON held_bundle (lane, gateway, bundle_id);

CREATE TABLE gateway_flood (
    flood_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    lane         text NOT NULL,
    gateway      text NOT NULL,
    started_at   timestamptz NOT NULL,
    ended_at     timestamptz,
    held         bigint NOT NULL,
    limit_per_s  real
);
CREATE UNIQUE INDEX gateway_flood_open_key ON gateway_flood (lane, gateway) WHERE ended_at IS NULL;
