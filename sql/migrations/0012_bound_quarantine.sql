-- What of one gateway cannot be stored is kept within bounds, whatever the reason: the newest messages, the older ones counted.

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

ALTER TABLE quarantine ADD COLUMN refusal_id bigint REFERENCES refusal;
-- rule: a gateway has a fixed number of places for what is refused for one reason; the newest takes the oldest's
ALTER TABLE quarantine ADD CONSTRAINT quarantine_refusal_place_key UNIQUE (refusal_id, place);
