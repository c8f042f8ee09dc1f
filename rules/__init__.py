"""Readings and events -> findings -> alerts; writes the tables rule_cursor, rule_version, alert and alert_step."""
