"""The dossier of a household or of an incident: everything known, in one signed archive."""
