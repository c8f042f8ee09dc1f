"""MQTT message -> stored readings and events; writes the tables gateway, device, installation, batch, ledger, reading, event, conflict, quarantine and the states."""
