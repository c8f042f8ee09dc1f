-- What a worker must know of other formats after a restart: births and deaths of Sparkplug nodes, and which messages without a
-- time of their own it has stored, with their first arrival.

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
