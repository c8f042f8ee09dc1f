"""Fault drills that need programs which a test run does not bring along."""
