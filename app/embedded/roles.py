"""What a new cluster is asked and told over a connection: whether it answers, its roles, its database."""

from collections.abc import Mapping

import psycopg
from psycopg import sql


def refusal(url: str) -> str:
    """Why a server lets nobody in; empty when it does."""
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError as error:
        return str(error)
    return ""


def ensure_roles(url: str, database: str, passwords: Mapping[str, str]) -> None:
    """Two roles and one database: the owner (named first) migrates, the application serves with its grants."""
    owner, application = passwords
    with psycopg.connect(url, autocommit=True) as conn:
        for role, password in passwords.items():
            known = conn.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone()
            verb = sql.SQL("ALTER" if known else "CREATE")
            statement = sql.SQL("{} ROLE {} LOGIN PASSWORD {}")
            conn.execute(statement.format(verb, sql.Identifier(role), sql.Literal(password)))
        if not conn.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database,)).fetchone():
            _create_database(conn, database, owner, application)


def _create_database(conn: psycopg.Connection, database: str, owner: str, application: str) -> None:
    names = {"database": sql.Identifier(database), "owner": sql.Identifier(owner)}
    conn.execute(sql.SQL("CREATE DATABASE {database} OWNER {owner}").format(**names))
    conn.execute(sql.SQL("REVOKE ALL ON DATABASE {database} FROM PUBLIC").format(**names))
    names["application"] = sql.Identifier(application)
    conn.execute(sql.SQL("GRANT CONNECT, TEMPORARY ON DATABASE {database} TO {application}").format(**names))
