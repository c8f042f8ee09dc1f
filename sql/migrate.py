"""Brings a database to the current schema: forward only, in name order, each file once, remembered by checksum."""

from pathlib import Path

import psycopg
from psycopg import sql as pg

from sql.edition import EditionError, apply_edition
from sql.migration_files import MIGRATIONS, Migration, MigrationError, read_migrations
from sql.statements import split_statements

_GRANTS = Path(__file__).parent / "grants.sql"
_LOCK_KEY = 7_406_113  # any constant: only this program uses it
_APPLICATION_ROLE = "gaswarden_app"

_REMEMBER = """
CREATE TABLE IF NOT EXISTS schema_migration (
    name text PRIMARY KEY, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now()
)
"""


def migrate(admin_database_url: str, folder: Path = MIGRATIONS) -> list[str]:
    """Apply what is missing, give the roll-ups the shape of the server's edition, renew the grants.

    Returns the names applied. Safe to run from several processes. Raises MigrationError.
    """
    with psycopg.connect(admin_database_url, autocommit=True) as conn:
        conn.execute("SELECT pg_advisory_lock(%s)", (_LOCK_KEY,))
        applied = _apply_missing(conn, read_migrations(folder))
        if folder == MIGRATIONS:
            _apply_edition(conn)
        _renew_grants(conn)
        return applied


def pending(admin_database_url: str, folder: Path = MIGRATIONS) -> list[str]:
    """The names of the migrations that a database still lacks."""
    with psycopg.connect(admin_database_url, autocommit=True) as conn:
        known = _known(conn)
        return [migration.name for migration in read_migrations(folder) if migration.name not in known]


def _known(conn: psycopg.Connection) -> dict[str, str]:
    if conn.execute("SELECT to_regclass('schema_migration')").fetchone() == (None,):
        return {}
    return dict(conn.execute("SELECT name, checksum FROM schema_migration").fetchall())


def _apply_missing(conn: psycopg.Connection, migrations: list[Migration]) -> list[str]:
    conn.execute(_REMEMBER)
    known = _known(conn)
    missing = []
    for migration in migrations:
        if migration.name not in known:
            missing.append(migration)
        elif known[migration.name] != migration.checksum:
            raise MigrationError(f"{migration.name} was edited after it was applied; add a new migration instead")
    for migration in missing:
        _apply(conn, migration)
    return [migration.name for migration in missing]


def _apply(conn: psycopg.Connection, migration: Migration) -> None:
    try:
        if migration.transactional:
            with conn.transaction():
                conn.execute(migration.text.encode())
                _remember(conn, migration)
        else:
            for statement in split_statements(migration.text):
                conn.execute(statement.encode())
            _remember(conn, migration)
    except psycopg.Error as error:
        raise MigrationError(f"{migration.name}: {error}") from error


def _apply_edition(conn: psycopg.Connection) -> None:
    try:
        apply_edition(conn)
    except (EditionError, psycopg.Error) as error:
        raise MigrationError(f"edition of TimescaleDB: {error}") from error


def _remember(conn: psycopg.Connection, migration: Migration) -> None:
    conn.execute("INSERT INTO schema_migration (name, checksum) VALUES (%s, %s)", (migration.name, migration.checksum))


def _renew_grants(conn: psycopg.Connection) -> None:
    exists = conn.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (_APPLICATION_ROLE,)).fetchone()
    same = conn.execute("SELECT current_user = %s", (_APPLICATION_ROLE,)).fetchone() == (True,)
    if exists and not same:
        with conn.transaction():
            database = conn.info.dbname
            grant = pg.SQL("GRANT CONNECT, TEMPORARY ON DATABASE {} TO {}")
            conn.execute(grant.format(pg.Identifier(database), pg.Identifier(_APPLICATION_ROLE)))
            conn.execute(_GRANTS.read_bytes())
