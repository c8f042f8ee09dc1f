"""The demonstration behind `scripts/up`: a district with known faults, played against the real services from outside.

It uses what any user has: the importer, accounts, `gaswarden run`, MQTT and HTTP. Nothing in the services knows of it.
"""
