#!/bin/sh
# First start of the database container: the role that serves, which may only do what sql/grants.sql grants.
set -eu
psql -v ON_ERROR_STOP=1 -v password="$APP_PASSWORD" -U "$POSTGRES_USER" -d "$POSTGRES_DB" <<'SQL'
CREATE ROLE gaswarden_app LOGIN PASSWORD :'password';
SQL
