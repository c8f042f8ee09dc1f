-- Own end and station of an inspector's day; NULL: the day ends where it began, the station is the area.
ALTER TABLE inspector
    ADD COLUMN station text,
    ADD COLUMN end_latitude double precision,
    ADD COLUMN end_longitude double precision,
    ADD CONSTRAINT inspector_end_check CHECK ((end_latitude IS NULL) = (end_longitude IS NULL));

-- The window somebody was told, of an appointment; a duty without one is an appointment for a day only.
ALTER TABLE duty
    ADD COLUMN promised_from timestamptz,
    ADD COLUMN promised_to timestamptz,
    ADD CONSTRAINT duty_promised_check
        CHECK ((promised_from IS NULL) = (promised_to IS NULL) AND promised_to > promised_from);

-- Every promise made, kept for ever.
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
CREATE INDEX promise_duty_idx ON promise (duty_id);

-- Who does not work, from when to when.
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
CREATE INDEX absence_inspector_idx ON absence (inspector_id, ends_at);

ALTER TABLE visit
    ADD COLUMN chance real,
    ADD COLUMN promised_from timestamptz,
    ADD COLUMN promised_to timestamptz;

-- Whether the door was mandatory when it was left out: one that became so since is planned anew.
ALTER TABLE omission ADD COLUMN mandatory boolean NOT NULL DEFAULT false;
UPDATE omission om SET mandatory = true
WHERE EXISTS (SELECT FROM duty d JOIN roster_run ru ON ru.run_id = om.run_id
              WHERE d.premises_id = om.premises_id AND d.mandatory AND d.created_at <= ru.planned_at);

-- What each version of a day said; a visit itself moves on with the day.
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
CREATE INDEX visit_version_visit_idx ON visit_version (visit_id);
INSERT INTO visit_version (run_id, visit_id, inspector_id, position, premises_id, arrive_at, leave_at, mandatory)
SELECT ro.run_id, v.visit_id, ro.inspector_id, v.position, v.premises_id, v.arrive_at, v.leave_at, v.mandatory
FROM visit v JOIN roster ro ON ro.roster_id = v.roster_id;

-- What changed a day that was planned already, and what it led to.
CREATE TABLE roster_change (
    change_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    day         date NOT NULL,
    kind        text NOT NULL CHECK (kind IN ('mandatory', 'ill', 'overrun', 'appointment_made', 'appointment_cancelled', 'replan')),
    body        jsonb NOT NULL,
    from_run_id bigint NOT NULL REFERENCES roster_run,
    run_id      bigint NOT NULL REFERENCES roster_run,
    effect      jsonb NOT NULL,
    actor       text NOT NULL,
    at          timestamptz NOT NULL
);
CREATE INDEX roster_change_run_idx ON roster_change (run_id);
