"""MQTT message -> stored readings and events.

Writes the tables gateway, device, installation, batch, ledger, reading, event, gateway_event, conflict, quarantine,
device_state and gateway_state.
"""
