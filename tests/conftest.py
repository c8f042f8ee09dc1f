"""What tests may ask for. Nothing starts unless a test asks: unit tests need no server at all."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest
from hypothesis import HealthCheck, settings

from app.embedded import EmbeddedServers
from sql.pool import open_pool
from tests.servers import Broker, Database, DatabaseServer, database_server, migrated_template, throwaway_servers

# Wall-clock limits of single examples say how busy the machine is, not whether the code is right.
settings.register_profile("gaswarden", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("gaswarden")


@pytest.fixture(scope="session")
def shared_servers() -> Iterator[EmbeddedServers | None]:
    """One PostgreSQL and one Mosquitto for this test process, as far as the environment names none."""
    postgres, mosquitto = "DATABASE_URL" not in os.environ, "MQTT_URL" not in os.environ
    if not postgres and not mosquitto:
        yield None
        return
    with throwaway_servers(postgres=postgres, mosquitto=mosquitto) as servers:
        yield servers


@pytest.fixture(scope="session")
def shared_database_server(shared_servers: EmbeddedServers | None) -> Iterator[DatabaseServer]:
    with database_server(os.environ, shared_servers) as server:
        yield server


@pytest.fixture(scope="session")
def template(shared_database_server: DatabaseServer) -> Iterator[str]:
    with migrated_template(shared_database_server) as name:
        yield name


@pytest.fixture
def empty_db(shared_database_server: DatabaseServer) -> Iterator[Database]:
    """A database without any schema, for tests of the migrations."""
    name, database = shared_database_server.create()
    yield database
    shared_database_server.drop(name)


@pytest.fixture
def db(shared_database_server: DatabaseServer, template: str) -> Iterator[Database]:
    """A migrated database of this test alone."""
    name, database = shared_database_server.create(template=template)
    yield database
    shared_database_server.drop(name)


@pytest.fixture(scope="module")
def unchanged_db(shared_database_server: DatabaseServer, template: str) -> Iterator[Database]:
    """A migrated database for all tests of a module that only look at it."""
    name, database = shared_database_server.create(template=template)
    yield database
    shared_database_server.drop(name)


@pytest.fixture
async def looking(unchanged_db: Database) -> AsyncIterator[asyncpg.Connection]:
    """A connection of the serving role to the module's database; whatever a test does on it is rolled back."""
    conn = await asyncpg.connect(unchanged_db.url)
    try:
        await conn.execute("BEGIN")
        yield conn
    finally:
        await conn.close()


@pytest.fixture
async def pool(db: Database) -> AsyncIterator[asyncpg.Pool]:
    """The product's pool on this test's database, as the serving role."""
    async with open_pool(db.url, application_name="test") as opened:
        yield opened
        try:
            await asyncio.wait_for(opened.close(), 10)  # a connection that nobody gave back fails the test
        finally:
            opened.terminate()


@pytest.fixture
async def conn(pool: asyncpg.Pool) -> AsyncIterator[asyncpg.Connection]:
    """One connection of the pool."""
    async with pool.acquire() as connection:
        yield connection


@pytest.fixture
def broker(shared_servers: EmbeddedServers | None) -> Iterator[Broker]:
    """A broker that remembers nothing of other tests (with MQTT_URL: the one that is there, as it is)."""
    if url := os.environ.get("MQTT_URL"):
        yield Broker.at(url)
        return
    assert shared_servers is not None
    shared_servers.mosquitto.start()
    yield Broker.of(shared_servers)
    shared_servers.mosquitto.stop()
    shared_servers.mosquitto.forget()


@pytest.fixture
def own_servers() -> Iterator[EmbeddedServers]:
    """Servers of this test alone, to be killed and started again; never those of DATABASE_URL or MQTT_URL."""
    with throwaway_servers() as servers:
        yield servers
