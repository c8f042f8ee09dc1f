-- What the serving role may do: add and update, never delete history, never change the schema. Renewed at each migration.
-- Append-only by privilege: reading, event, gateway_event, conflict, batch, alert_step, audit_entry, rule_version.
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM gaswarden_app;
GRANT USAGE ON SCHEMA public TO gaswarden_app;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO gaswarden_app;
GRANT INSERT ON ALL TABLES IN SCHEMA public TO gaswarden_app;
REVOKE INSERT ON schema_migration FROM gaswarden_app;
GRANT UPDATE ON
    district, compound, building, premises, gateway, device, installation, ledger, quarantine, device_state, gateway_state,
    rule_cursor, alert, inspector, duty, hazard, account
TO gaswarden_app;
-- Ingest takes the id of its batch before it writes the batch's rows.
GRANT USAGE ON SEQUENCE batch_batch_id_seq TO gaswarden_app;
-- The roll-up writes a bucket again when more is known; history imports move their own row. Old data is retired by functions
-- of the owner, which go by `retention`: a table this role cannot write. (Schemas before 0002 have none of this.)
DO $$ BEGIN
    IF to_regclass('retention') IS NOT NULL THEN
        REVOKE INSERT ON retention, retired, storage_edition FROM gaswarden_app;
        GRANT UPDATE ON rollup_cursor, history_file TO gaswarden_app;
        GRANT EXECUTE ON FUNCTION retire_readings(text), retire_batches(int), retire_ledger(int) TO gaswarden_app;
        IF (SELECT edition FROM storage_edition) = 'apache' THEN
            GRANT UPDATE ON reading_hourly, reading_daily TO gaswarden_app;
        END IF;
    END IF;
END $$;
-- Notices move on, contacts are changed and their addresses erased; the queue's rows come and go. (Schemas before 0011 have neither.)
DO $$ BEGIN
    IF to_regclass('notice') IS NOT NULL THEN
        GRANT UPDATE ON contact, page, notice TO gaswarden_app;
        GRANT USAGE ON SCHEMA procrastinate TO gaswarden_app;
        GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA procrastinate TO gaswarden_app;
        GRANT USAGE ON ALL SEQUENCES IN SCHEMA procrastinate TO gaswarden_app;
    END IF;
END $$;
-- A silence is approved and ended; a regime is only ever followed by another. (Schemas before 0015 have neither.)
DO $$ BEGIN
    IF to_regclass('silence') IS NOT NULL THEN
        GRANT UPDATE ON silence TO gaswarden_app;
    END IF;
END $$;
-- Shifts are taken over and relieved, reach tests confirmed; hand-overs are only ever added. (Schemas before 0017 have neither.)
DO $$ BEGIN
    IF to_regclass('rota_shift') IS NOT NULL THEN
        GRANT UPDATE ON rota_shift, reach_test TO gaswarden_app;
    END IF;
END $$;
-- A command moves on; its timeline is only ever added to. (Schemas before 0003 have neither.)
DO $$ BEGIN
    IF to_regclass('command') IS NOT NULL THEN
        GRANT UPDATE ON command TO gaswarden_app;
    END IF;
END $$;
-- One row for each stranger, counted up. (Schemas before 0004 have no such table.)
DO $$ BEGIN
    IF to_regclass('unregistered_device') IS NOT NULL THEN
        GRANT UPDATE ON unregistered_device TO gaswarden_app;
    END IF;
END $$;
-- One row for what of a gateway is refused for one reason, counted up. (Older schemas have no such table.)
DO $$ BEGIN
    IF to_regclass('refusal') IS NOT NULL THEN
        GRANT UPDATE ON refusal TO gaswarden_app;
    END IF;
END $$;
-- One row for what of a device could not be stored and may be an alarm, counted up. (Not before 0033.)
DO $$ BEGIN
    IF to_regclass('unread_alarm') IS NOT NULL THEN
        GRANT UPDATE ON unread_alarm TO gaswarden_app;
    END IF;
END $$;
-- What a worker must know of other formats after a restart. (Older schemas have neither table.)
DO $$ BEGIN
    IF to_regclass('sparkplug_word') IS NOT NULL THEN
        GRANT UPDATE ON sparkplug_word, foreign_arrival TO gaswarden_app;
    END IF;
END $$;
-- Held messages leave when their turn comes, and a flood ends. (Older schemas have neither table.)
DO $$ BEGIN
    IF to_regclass('held_bundle') IS NOT NULL THEN
        GRANT DELETE ON held_bundle TO gaswarden_app;
        GRANT UPDATE ON gateway_flood TO gaswarden_app;
    END IF;
END $$;
-- A backtest moves on; rule sets and their activations are only ever added. (Older schemas have none of these.)
DO $$ BEGIN
    IF to_regclass('backtest') IS NOT NULL THEN
        GRANT UPDATE ON backtest TO gaswarden_app;
    END IF;
END $$;
-- A finding is withdrawn when it does not hold any more. (Schemas before 0006 have neither table.)
DO $$ BEGIN
    IF to_regclass('reading_validation') IS NOT NULL THEN
        GRANT UPDATE ON reading_validation, validation_cursor TO gaswarden_app;
    END IF;
END $$;
-- A visit moves on when its day changes; promises, absences and versions are only ever added. (Not before 0009.)
DO $$ BEGIN
    IF to_regclass('visit_version') IS NOT NULL THEN
        GRANT UPDATE ON visit TO gaswarden_app;
    END IF;
END $$;
-- Rules keep their watches, failures and daily progress. (Schemas before 0011 have none of these.)
DO $$ BEGIN
    IF to_regclass('device_watch') IS NOT NULL THEN
        GRANT UPDATE ON device_watch, rule_failure, rule_daily TO gaswarden_app;
    END IF;
END $$;
-- Requests, cases and enforcement move on; their timelines are only ever added to. (Not before 0014.)
DO $$ BEGIN
    IF to_regclass('case_file') IS NOT NULL THEN
        GRANT UPDATE ON request, case_file, enforcement TO gaswarden_app;
    END IF;
END $$;
-- Somebody says that a notice hangs; campaigns are only ever added. (Not before 0018.)
DO $$ BEGIN
    IF to_regclass('compound_notice') IS NOT NULL THEN
        GRANT UPDATE ON compound_notice TO gaswarden_app;
    END IF;
END $$;
-- A notice card is left, booked and withdrawn. (Not before 0020.)
DO $$ BEGIN
    IF to_regclass('notice_card') IS NOT NULL THEN
        GRANT UPDATE ON notice_card TO gaswarden_app;
    END IF;
END $$;
-- A conflict of reports is settled, never deleted. (Not before 0021.)
DO $$ BEGIN
    IF to_regclass('outcome_conflict') IS NOT NULL THEN
        GRANT UPDATE ON outcome_conflict TO gaswarden_app;
    END IF;
END $$;
-- A day's counts give way when it is counted anew, and marks when that is done. (Not before 0034.)
DO $$ BEGIN
    IF to_regclass('count_mark') IS NOT NULL THEN
        GRANT DELETE ON place_count, inspector_count, count_mark TO gaswarden_app;
        GRANT UPDATE ON counted_day TO gaswarden_app;
    END IF;
END $$;
