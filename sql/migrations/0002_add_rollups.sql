-- The views reading_hourly and reading_daily become tables that the roll-up fills: same names, same columns. The community
-- edition of TimescaleDB puts continuous aggregates in their place afterwards (sql/editions/community.sql).
-- Beside them: how long what is kept, what was retired, and how far a history file was imported.

DROP VIEW reading_hourly;
DROP VIEW reading_daily;

-- serves: the roll-up finding the rows of a batch, and `gaswarden trace`; a batch's rows lie together, so blocks suffice
CREATE INDEX reading_batch_idx ON reading USING brin (batch_id) WITH (pages_per_range = 32, autosummarize = on);

CREATE TABLE reading_hourly (
    device_id    int NOT NULL,
    hour         timestamptz NOT NULL,
    index_ml     bigint,
    flow_lh      real,
    pressure_pa  real,
    lel_pct      real,
    samples      int NOT NULL,
    CONSTRAINT reading_hourly_key UNIQUE (device_id, hour)
);
SELECT create_hypertable('reading_hourly', 'hour', chunk_time_interval => interval '1 day', create_default_indexes => false);

CREATE TABLE reading_daily (
    device_id       int NOT NULL,
    day             timestamptz NOT NULL,
    first_index_ml  bigint,
    last_index_ml   bigint,
    pressure_pa     real,
    lel_pct         real,
    samples         int NOT NULL,
    CONSTRAINT reading_daily_key UNIQUE (device_id, day)
);
SELECT create_hypertable('reading_daily', 'day', chunk_time_interval => interval '30 days', create_default_indexes => false);

CREATE TABLE rollup_cursor (
    slot      text PRIMARY KEY,
    batch_id  bigint NOT NULL
);

CREATE TABLE retention (
    subject    text PRIMARY KEY CHECK (subject IN ('reading', 'reading_hourly', 'batch', 'ledger')),
    keep_days  int CHECK (keep_days >= 90)
);
INSERT INTO retention (subject, keep_days) VALUES ('reading', 400), ('reading_hourly', 800), ('batch', 400), ('ledger', NULL);

CREATE TABLE retired (
    subject     text NOT NULL CHECK (subject IN ('reading', 'reading_hourly', 'batch', 'ledger')),
    slot        text NOT NULL,
    before_at   timestamptz NOT NULL,
    retired_at  timestamptz NOT NULL,
    received    bigint NOT NULL DEFAULT 0,
    stored      bigint NOT NULL DEFAULT 0,
    duplicate   bigint NOT NULL DEFAULT 0,
    late        bigint NOT NULL DEFAULT 0,
    conflict    bigint NOT NULL DEFAULT 0,
    quarantined bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (subject, slot)
);

CREATE TABLE storage_edition (
    only_row    boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    edition     text NOT NULL CHECK (edition IN ('apache', 'community')),
    own_before  timestamptz NOT NULL,
    applied_at  timestamptz NOT NULL DEFAULT now()
);
INSERT INTO storage_edition (edition, own_before) VALUES ('apache', 'infinity');

CREATE TABLE history_file (
    digest       bytea NOT NULL,
    options      jsonb NOT NULL,
    name         text NOT NULL,
    rows_done    bigint NOT NULL DEFAULT 0,
    stored       bigint NOT NULL DEFAULT 0,
    duplicate    bigint NOT NULL DEFAULT 0,
    late         bigint NOT NULL DEFAULT 0,
    conflict     bigint NOT NULL DEFAULT 0,
    refused      bigint NOT NULL DEFAULT 0,
    started_at   timestamptz NOT NULL,
    finished_at  timestamptz,
    PRIMARY KEY (digest)
);

CREATE FUNCTION batches_read(OUT slot text, OUT batch_id bigint) RETURNS SETOF record
LANGUAGE sql STABLE SET search_path = pg_catalog, public AS $$
    SELECT s.slot, least(
        (SELECT CASE count(*) WHEN 2 THEN min(r.batch_id) ELSE 0 END FROM public.rule_cursor r WHERE r.slot = s.slot),
        CASE WHEN (SELECT e.edition FROM public.storage_edition e) = 'community' THEN 9223372036854775807
             ELSE coalesce((SELECT c.batch_id FROM public.rollup_cursor c WHERE c.slot = s.slot), 0) END)
    FROM (SELECT DISTINCT b.slot FROM public.batch b) s
$$;

CREATE FUNCTION retire_readings(table_name text) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    before_at timestamptz;
    part regclass;
    dropped int := 0;
BEGIN
    IF table_name NOT IN ('reading', 'reading_hourly') THEN
        RAISE EXCEPTION 'there is no retention of %', table_name USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT date_trunc('day', now(), 'UTC') - make_interval(days => r.keep_days) INTO before_at
    FROM public.retention r WHERE r.subject = table_name;
    IF before_at IS NULL THEN
        RETURN 0;
    END IF;
    IF table_name = 'reading' THEN
        SELECT least(before_at, date_trunc('day', min(b.first_at), 'UTC')) INTO before_at
        FROM public.batch b JOIN public.batches_read() d ON d.slot = b.slot AND b.batch_id > d.batch_id;
    END IF;
    FOR part IN
        SELECT c.oid::regclass FROM pg_class c
        WHERE c.relnamespace = 'public'::regnamespace
          AND (c.relname IN (table_name, table_name || '_own') AND c.relkind = 'r' OR c.relname = table_name || '_live')
    LOOP
        dropped := dropped + (SELECT count(*) FROM public.drop_chunks(part, older_than => before_at));
    END LOOP;
    IF dropped > 0 THEN
        INSERT INTO public.retired AS k (subject, slot, before_at, retired_at)
        VALUES (table_name, '', before_at, clock_timestamp())
        ON CONFLICT (subject, slot) DO UPDATE
        SET before_at = greatest(k.before_at, excluded.before_at), retired_at = excluded.retired_at;
    END IF;
    RETURN dropped;
END
$$;

CREATE FUNCTION retire_batches(rows_max int) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    limit_at timestamptz;
    gone int;
BEGIN
    SELECT date_trunc('day', now(), 'UTC') - make_interval(days => r.keep_days) INTO limit_at
    FROM public.retention r WHERE r.subject = 'batch';
    WITH old AS (
        SELECT b.batch_id FROM public.batch b JOIN public.batches_read() d ON d.slot = b.slot AND b.batch_id <= d.batch_id
        WHERE b.last_received_at < limit_at ORDER BY b.last_received_at LIMIT rows_max
    ), dropped AS (
        DELETE FROM public.batch b USING old WHERE b.batch_id = old.batch_id RETURNING b.*
    ), summed AS (
        INSERT INTO public.retired AS k (subject, slot, before_at, retired_at, received, stored, duplicate, late, conflict, quarantined)
        SELECT 'batch', d.slot, max(d.last_received_at), clock_timestamp(), sum(d.received), sum(d.stored), sum(d.duplicate),
               sum(d.late), sum(d.conflict), sum(d.quarantined)
        FROM dropped d GROUP BY d.slot
        ON CONFLICT (subject, slot) DO UPDATE SET
            before_at = greatest(k.before_at, excluded.before_at), retired_at = excluded.retired_at,
            received = k.received + excluded.received, stored = k.stored + excluded.stored,
            duplicate = k.duplicate + excluded.duplicate, late = k.late + excluded.late,
            conflict = k.conflict + excluded.conflict, quarantined = k.quarantined + excluded.quarantined
    )
    SELECT count(*) INTO gone FROM dropped;
    RETURN gone;
END
$$;

CREATE FUNCTION retire_ledger(rows_max int) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    limit_on date;
    gone int;
BEGIN
    SELECT (now() AT TIME ZONE 'UTC')::date - r.keep_days INTO limit_on FROM public.retention r WHERE r.subject = 'ledger';
    WITH old AS (
        SELECT l.day, l.slot, l.gateway FROM public.ledger l WHERE l.day < limit_on ORDER BY l.day LIMIT rows_max
    ), dropped AS (
        DELETE FROM public.ledger l USING old o
        WHERE l.day = o.day AND l.slot = o.slot AND l.gateway = o.gateway RETURNING l.*
    ), summed AS (
        INSERT INTO public.retired AS k (subject, slot, before_at, retired_at, received, stored, duplicate, late, conflict, quarantined)
        SELECT 'ledger', d.slot, (max(d.day) + 1)::timestamp AT TIME ZONE 'UTC', clock_timestamp(), sum(d.received), sum(d.stored),
               sum(d.duplicate), sum(d.late), sum(d.conflict), sum(d.quarantined)
        FROM dropped d GROUP BY d.slot
        ON CONFLICT (subject, slot) DO UPDATE SET
            before_at = greatest(k.before_at, excluded.before_at), retired_at = excluded.retired_at,
            received = k.received + excluded.received, stored = k.stored + excluded.stored,
            duplicate = k.duplicate + excluded.duplicate, late = k.late + excluded.late,
            conflict = k.conflict + excluded.conflict, quarantined = k.quarantined + excluded.quarantined
    )
    SELECT count(*) INTO gone FROM dropped;
    RETURN gone;
END
$$;

REVOKE ALL ON FUNCTION retire_readings(text), retire_batches(int), retire_ledger(int) FROM PUBLIC;
