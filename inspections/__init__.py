"""Households, duties, hazards -> rosters -> outcomes; writes the place, inspector, duty, roster and outcome tables."""
