-- Figures of inspections are counted once a day changed, not once they are asked for. Triggers lock their tables for the moment of
-- this migration; nothing is counted in it: every day that holds anything is marked, and the service counts them one after the other.
CREATE TABLE place_count (
    day             date NOT NULL,
    kind            text NOT NULL CHECK (kind IN ('planned', 'visited', 'due')),
    compound_id     int NOT NULL,
    user_class      text NOT NULL,
    planned         int NOT NULL,
    planned_visited int NOT NULL,
    planned_entered int NOT NULL,
    visited         int NOT NULL,
    entered         int NOT NULL,
    partial         int NOT NULL,
    no_access       int NOT NULL,
    refused         int NOT NULL,
    due             int NOT NULL,
    covered         int NOT NULL,
    covered_on_time int NOT NULL,
    PRIMARY KEY (day, kind, compound_id, user_class)
);

CREATE TABLE inspector_count (
    day             date NOT NULL,
    kind            text NOT NULL CHECK (kind IN ('planned', 'visited')),
    district_id     int NOT NULL,
    inspector_id    int NOT NULL,
    planned         int NOT NULL,
    planned_visited int NOT NULL,
    planned_entered int NOT NULL,
    visited         int NOT NULL,
    entered         int NOT NULL,
    partial         int NOT NULL,
    no_access       int NOT NULL,
    refused         int NOT NULL,
    PRIMARY KEY (day, kind, district_id, inspector_id)
);

CREATE TABLE counted_day (
    kind       text NOT NULL CHECK (kind IN ('planned', 'visited', 'due')),
    day        date NOT NULL,
    zone       text NOT NULL,
    counted_at timestamptz NOT NULL,
    PRIMARY KEY (kind, day)
);

CREATE TABLE count_mark (
    mark_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind        text CHECK (kind IN ('planned', 'visited', 'due')),
    day         date,
    at          timestamptz,
    premises_id int,
    CONSTRAINT count_mark_one_check CHECK (num_nonnulls(day, at, premises_id) = 1 AND (kind IS NULL) = (premises_id IS NOT NULL))
);
CREATE INDEX count_mark_premises_idx ON count_mark (premises_id) WHERE premises_id IS NOT NULL;

CREATE FUNCTION count_inspections(planned_on date[], visited_on date[], due_on date[], zone text)
RETURNS TABLE (day date, kind text, compound_id int, user_class text, inspector_id int, planned int, planned_visited int,
               planned_entered int, visited int, entered int, partial int, no_access int, refused int, due int,
               covered int, covered_on_time int)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT a.day, 'planned', b.compound_id, p.user_class, vv.inspector_id, count(*)::int, count(o.visit_id)::int,
           (count(*) FILTER (WHERE o.entered))::int, 0, 0, 0, 0, 0, 0, 0, 0
    FROM unnest(planned_on) AS a(day)
    CROSS JOIN LATERAL (SELECT r.run_id FROM roster_run r WHERE r.day = a.day ORDER BY r.version DESC LIMIT 1) n
    JOIN visit_version vv ON vv.run_id = n.run_id
    JOIN premises p ON p.premises_id = vv.premises_id
    JOIN building b ON b.building_id = p.building_id
    LEFT JOIN outcome o ON o.visit_id = vv.visit_id
    GROUP BY a.day, b.compound_id, p.user_class, vv.inspector_id
    UNION ALL
    SELECT a.day, 'visited', b.compound_id, p.user_class, o.inspector_id, 0, 0, 0, count(*)::int, (count(*) FILTER (WHERE o.entered))::int,
           (count(*) FILTER (WHERE o.result = 'partial'))::int, (count(*) FILTER (WHERE o.result = 'no_access'))::int,
           (count(*) FILTER (WHERE o.result = 'refused'))::int, 0, 0, 0
    FROM unnest(visited_on) AS a(day)
    JOIN outcome o ON o.at >= (a.day::timestamp AT TIME ZONE zone) - interval '3 hours'
                  AND o.at < ((a.day + 1)::timestamp AT TIME ZONE zone) + interval '3 hours'
                  AND (o.at AT TIME ZONE zone)::date = a.day
    JOIN premises p ON p.premises_id = o.premises_id
    JOIN building b ON b.building_id = p.building_id
    GROUP BY a.day, b.compound_id, p.user_class, o.inspector_id
    UNION ALL
    SELECT a.day, 'due', b.compound_id, p.user_class, NULL, 0, 0, 0, 0, 0, 0, 0, 0, count(*)::int, count(o.outcome_id)::int,
           (count(*) FILTER (WHERE (o.at AT TIME ZONE zone)::date <= a.day))::int
    FROM unnest(due_on) AS a(day)
    JOIN duty d ON d.due_on = a.day AND d.kind = 'periodic' AND d.state <> 'cancelled'
    JOIN premises p ON p.premises_id = d.premises_id
    JOIN building b ON b.building_id = p.building_id
    LEFT JOIN outcome o ON o.outcome_id = d.outcome_id AND o.entered AND d.state = 'done'
    GROUP BY a.day, b.compound_id, p.user_class
$$;

CREATE FUNCTION mark_runs() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO count_mark (kind, day) SELECT DISTINCT 'planned', a.day FROM added a;
    RETURN NULL;
END
$$;
CREATE TRIGGER mark_runs AFTER INSERT ON roster_run
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION mark_runs();

CREATE FUNCTION mark_versions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO count_mark (kind, day)
    SELECT DISTINCT 'planned', r.day FROM roster_run r WHERE r.run_id IN (SELECT a.run_id FROM added a);
    RETURN NULL;
END
$$;
CREATE TRIGGER mark_versions AFTER INSERT ON visit_version
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION mark_versions();

CREATE FUNCTION mark_outcomes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO count_mark (kind, day, at)
    SELECT DISTINCT 'planned', r.day, NULL::timestamptz
    FROM added a JOIN visit_version vv ON vv.visit_id = a.visit_id JOIN roster_run r ON r.run_id = vv.run_id
    UNION ALL
    SELECT DISTINCT 'visited', NULL::date, a.at FROM added a;
    RETURN NULL;
END
$$;
CREATE TRIGGER mark_outcomes AFTER INSERT ON outcome
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION mark_outcomes();

CREATE FUNCTION mark_new_duties() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO count_mark (kind, day) SELECT DISTINCT 'due', a.due_on FROM added a WHERE a.kind = 'periodic';
    RETURN NULL;
END
$$;
CREATE TRIGGER mark_new_duties AFTER INSERT ON duty
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION mark_new_duties();

CREATE FUNCTION mark_changed_duties() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO count_mark (kind, day)
    SELECT DISTINCT 'due', changed.due_on
    FROM (
        SELECT t.due_on
        FROM (
            SELECT b.duty_id, b.premises_id, b.kind, b.state, b.due_on, b.outcome_id FROM before b
            UNION ALL
            SELECT a.duty_id, a.premises_id, a.kind, a.state, a.due_on, a.outcome_id FROM after a
        ) t
        WHERE t.kind = 'periodic'
        GROUP BY t.duty_id, t.premises_id, t.kind, t.state, t.due_on, t.outcome_id
        HAVING count(*) = 1
    ) changed;
    RETURN NULL;
END
$$;
CREATE TRIGGER mark_changed_duties AFTER UPDATE ON duty
    REFERENCING OLD TABLE AS before NEW TABLE AS after FOR EACH STATEMENT EXECUTE FUNCTION mark_changed_duties();

CREATE FUNCTION mark_premises() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO count_mark (premises_id) VALUES (NEW.premises_id);
    RETURN NULL;
END
$$;
CREATE TRIGGER mark_premises AFTER UPDATE OF building_id, user_class ON premises FOR EACH ROW
    WHEN ((OLD.building_id, OLD.user_class) IS DISTINCT FROM (NEW.building_id, NEW.user_class)) EXECUTE FUNCTION mark_premises();

CREATE FUNCTION mark_building() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO count_mark (premises_id) SELECT p.premises_id FROM premises p WHERE p.building_id = NEW.building_id;
    RETURN NULL;
END
$$;
CREATE TRIGGER mark_building AFTER UPDATE OF compound_id ON building FOR EACH ROW
    WHEN (OLD.compound_id IS DISTINCT FROM NEW.compound_id) EXECUTE FUNCTION mark_building();

CREATE FUNCTION mark_compound() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO count_mark (premises_id)
    SELECT p.premises_id FROM building b JOIN premises p ON p.building_id = b.building_id WHERE b.compound_id = NEW.compound_id;
    RETURN NULL;
END
$$;
CREATE TRIGGER mark_compound AFTER UPDATE OF district_id ON compound FOR EACH ROW
    WHEN (OLD.district_id IS DISTINCT FROM NEW.district_id) EXECUTE FUNCTION mark_compound();

-- What was there before the triggers: every day from the first to the last that holds anything.
INSERT INTO count_mark (kind, day) SELECT DISTINCT 'planned', day FROM roster_run;
INSERT INTO count_mark (kind, day)
SELECT 'visited', generate_series(min(at)::date - 1, max(at)::date + 1, interval '1 day')::date FROM outcome;
INSERT INTO count_mark (kind, day)
SELECT 'due', generate_series(min(due_on), max(due_on), interval '1 day')::date FROM duty WHERE kind = 'periodic' AND state <> 'cancelled';
