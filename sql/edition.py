"""Gives the roll-ups the shape that this server's edition of TimescaleDB can keep up: after migrations, as the owner.

The migrations make the Apache edition's shape: tables that our own roll-up fills. The community edition puts continuous
aggregates in their place and adds the columnstore; names and columns that queries use stay the same. A database that
moved from an Apache server to a community one is changed at its next `gaswarden migrate`. The way back does not exist:
without the licence TimescaleDB does not read what the columnstore holds.
"""

import re
from enum import StrEnum
from pathlib import Path

import psycopg

from sql.statements import split_statements

_FOLDER = Path(__file__).parent / "editions"
_OLDEST = (2, 19)  # first whose columnstore checks unique keys at insertion without decompressing whole segments


class Edition(StrEnum):
    """What the server's TimescaleDB may do; the value is what storage_edition holds."""

    APACHE = "apache"
    COMMUNITY = "community"


class EditionError(Exception):
    """The database's shape does not fit the server's edition; the message says what to do."""


def edition_of(licence: str) -> Edition:
    """The edition that a value of `timescaledb.license` stands for; raises EditionError."""
    known = {"apache": Edition.APACHE, "timescale": Edition.COMMUNITY}
    if licence not in known:
        raise EditionError(f"timescaledb.license is {licence!r}; it must be apache or timescale")
    return known[licence]


def statements_to_apply(server: Edition, version: str, database: Edition) -> tuple[str, ...]:
    """The files of `editions/` that bring a database of one shape onto a server of an edition; raises EditionError."""
    if server is database is Edition.APACHE:
        return ()
    if server is Edition.APACHE:
        raise EditionError(
            "this database was made for TimescaleDB's community edition; set timescaledb.license = 'timescale' again"
        )
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    if numbers < _OLDEST:
        raise EditionError(f"TimescaleDB {version} is too old for the columnstore; 2.19 is the oldest")
    return ("policies.sql",) if database is Edition.COMMUNITY else ("community.sql", "policies.sql")


def apply_edition(conn: psycopg.Connection) -> tuple[str, ...]:
    """Change the roll-ups to what the server's edition can do and return the files applied; repeats harmlessly.

    `conn` is the owner's, in autocommit mode: continuous aggregates cannot be filled within a transaction. Raises
    EditionError, and what the database says.
    """
    row = conn.execute(
        "SELECT current_setting('timescaledb.license'),"
        " (SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'), (SELECT edition FROM storage_edition)"
    ).fetchone()
    assert row is not None
    names = statements_to_apply(edition_of(row[0]), row[1], Edition(row[2]))
    for name in names:
        _execute_file(conn, name)
    return names


def _execute_file(conn: psycopg.Connection, name: str) -> None:
    for statement in edition_statements(name):
        conn.execute(statement.encode())


def edition_statements(name: str) -> list[str]:
    """The statements of a file of `editions/`, in order."""
    return split_statements((_FOLDER / name).read_text("utf-8"))


def keep(conn: psycopg.Connection, subject: str, days: int | None) -> None:
    """Set how many days of a subject are kept (None: for ever) and renew the policies that depend on it; as the owner.

    Raises ValueError for an unknown subject or less than 90 days.
    """
    if days is not None and days < 90:
        raise ValueError("at least 90 days are kept: rules and inspectors look back that far")
    with conn.transaction():  # readings must not be dropped by the new figure while policies go by the old one
        changed = conn.execute("UPDATE retention SET keep_days = %s WHERE subject = %s", (days, subject))
        if changed.rowcount != 1:
            raise ValueError(f"there is no retention of {subject}")
        if subject == "reading":
            _renew_policies(conn)


def _renew_policies(conn: psycopg.Connection) -> None:
    """Let the policies go by today's retention; a database of the Apache shape has none."""
    row = conn.execute("SELECT edition FROM storage_edition").fetchone()
    assert row is not None
    if Edition(row[0]) is Edition.COMMUNITY:
        _execute_file(conn, "policies.sql")
