"""Real servers for tests: throwaway ones from local programs, or those that DATABASE_URL and MQTT_URL name."""

import hashlib
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import sql as pg

from app.embedded import EmbeddedError, EmbeddedServers, default_directory
from sql.migrate import migrate

_MEMORY = Path("/dev/shm")  # what is there is gone with the test run, or cleared by the next
_MEMORY_BYTES_MIN = 4 * 1024**3
_BEING_MADE_S = 60.0  # an empty directory younger than this may be somebody's who is just starting


@dataclass(frozen=True, slots=True)
class Database:
    """One database: `url` for the role that serves, `admin_url` for the role that owns it."""

    url: str
    admin_url: str


@dataclass(frozen=True, slots=True)
class DatabaseServer:
    """A server on which databases may be made: three roles, which are one and the same with DATABASE_URL."""

    maker_url: str
    owner_url: str
    application_url: str

    @classmethod
    def of(cls, servers: EmbeddedServers) -> "DatabaseServer":
        return cls(servers.superuser_database_url, servers.admin_database_url, servers.database_url)

    def database(self, name: str) -> Database:
        return Database(_with_database(self.application_url, name), _with_database(self.owner_url, name))

    def create(self, *, template: str | None = None) -> tuple[str, Database]:
        """Make a database, empty or as a copy, that belongs to the owner role."""
        name = f"gaswarden_test_{uuid.uuid4().hex[:12]}"
        owner = unquote(urlsplit(self.owner_url).username or "")
        statement = pg.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {}")
        self._execute(
            statement.format(pg.Identifier(name), pg.Identifier(owner), pg.Identifier(template or "template0"))
        )
        return name, self.database(name)

    def drop(self, name: str) -> None:
        self._execute(pg.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(pg.Identifier(name)))

    def _execute(self, statement: pg.Composed) -> None:
        with psycopg.connect(self.maker_url, autocommit=True) as conn:
            conn.execute(statement)


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker: where it is, and how the ingest workers and the gateways sign in."""

    host: str
    port: int
    ingest: tuple[str, str]
    servers: EmbeddedServers | None

    @classmethod
    def of(cls, servers: EmbeddedServers) -> "Broker":
        return cls(servers.mqtt_host, servers.mqtt_port, servers.credentials("ingest"), servers)

    @classmethod
    def at(cls, url: str) -> "Broker":
        parts = urlsplit(url)
        account = unquote(parts.username or ""), unquote(parts.password or "")
        return cls(parts.hostname or "127.0.0.1", parts.port or 1883, account, None)

    @property
    def url(self) -> str:
        """As MQTT_URL: the address with the ingest account."""
        user, password = self.ingest
        return f"mqtt://{user}:{password}@{self.host}:{self.port}"

    def gateway(self, name: str) -> tuple[str, str]:
        """(user name, password) of a gateway, made when it has none; with MQTT_URL its one account."""
        if self.servers is None:
            return self.ingest
        return name, self.servers.add_gateways([name])[name]


def throwaway_folder(environ: Mapping[str, str]) -> Path:
    """Where throwaway servers live: in memory where the machine has enough of it, unless GASWARDEN_VAR names a place.

    Making a database for a test is mostly making a thousand small files: in memory that takes a third of the time.
    """
    clone = default_directory()
    if "GASWARDEN_VAR" in environ or not _MEMORY.is_mount() or shutil.disk_usage(_MEMORY).free < _MEMORY_BYTES_MIN:
        return clone / "test"
    return _MEMORY / f"gaswarden-test-{hashlib.sha256(str(clone).encode()).hexdigest()[:12]}"


@contextmanager
def throwaway_servers(*, postgres: bool = True, mosquitto: bool = True) -> Iterator[EmbeddedServers]:
    """Servers of their own that are gone afterwards; what a killed test run left behind is cleared first."""
    folder = throwaway_folder(os.environ)
    _clear_left_behind(folder)
    directory = folder / uuid.uuid4().hex[:12]
    servers = EmbeddedServers.open(directory, durable=False, postgres=postgres, mosquitto=mosquitto)
    try:
        servers.start()
        yield servers
    finally:
        servers.destroy()


def _clear_left_behind(folder: Path) -> None:
    for directory in folder.glob("*/servers.lock"):
        try:
            left = EmbeddedServers.open(directory.parent, durable=False)
            left.hold()
        except (EmbeddedError, FileNotFoundError):
            continue  # its test run is alive, or has cleared up this moment
        left.destroy()
    for directory in folder.glob("*"):
        with suppress(FileNotFoundError):  # another test run clears as well
            if time.time() - directory.stat().st_mtime > _BEING_MADE_S and not any(directory.iterdir()):
                shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def database_server(environ: Mapping[str, str], servers: EmbeddedServers | None) -> Iterator[DatabaseServer]:
    """The server of DATABASE_URL (its role must be allowed to make databases), else the throwaway one.

    Ends the run with one sentence when that server has jobs of its own: they hold the database that tests are copied
    from, and run behind a test's back.
    """
    if url := environ.get("DATABASE_URL"):
        if (workers := background_workers(url)) > 0:
            pytest.exit(
                f"DATABASE_URL: this server runs TimescaleDB's background jobs ({workers} workers); tests need one "
                "with timescaledb.max_background_workers = 0",
                returncode=4,
            )
        yield DatabaseServer(url, url, url)
    else:
        assert servers is not None
        yield DatabaseServer.of(servers)


def background_workers(url: str) -> int:
    """How many background workers TimescaleDB may start on a server; 0 where it is not loaded."""
    with psycopg.connect(url, autocommit=True) as conn:
        row = conn.execute("SELECT current_setting('timescaledb.max_background_workers', true)").fetchone()
        return int(row[0]) if row and row[0] else 0


@contextmanager
def migrated_template(server: DatabaseServer) -> Iterator[str]:
    """The name of a database with today's schema and no data, to copy from."""
    name, database = server.create()
    migrate(database.admin_url)
    yield name
    server.drop(name)


def _with_database(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
