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
