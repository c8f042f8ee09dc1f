"""Measurements, each a program of its own (`scripts/bench NAME`); their figures are published, never asserted."""

import signal

signal.signal(signal.SIGTERM, signal.default_int_handler)  # a time limit ends the servers and services, too
