"""Households, duties and hazards -> rosters -> outcomes; writes the places, inspector, duty, roster and outcome tables."""
