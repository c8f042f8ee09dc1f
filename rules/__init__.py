"""Readings and events -> findings -> alerts; writes the tables of the section `rules` of sql/schema.sql."""
