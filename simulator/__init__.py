"""A city that publishes like a real one, with known faults; speaks MQTT and HTTP only, like any outsider."""
