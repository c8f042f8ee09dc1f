"""Plays stored arrivals again, so that the rules about absence can be tried on history; writes nothing."""
