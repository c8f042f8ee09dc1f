"""Opens the asyncpg pool that every service shares: codecs, time-outs, application name."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

UNREACHABLE = (
    ConnectionError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
)
"""What is raised when the database is away, going away or coming back: the same call may succeed later."""

DATABASE_LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a connection lost between two of its states
    OSError,
)
"""What a restarting or crowded database says to a service that goes on by itself: it tries its pass again.

Anything else is a mistake of ours and stops the service.
"""


async def prepare_connection(conn: asyncpg.Connection) -> None:
    """Give a connection the product's codecs: jsonb as Python values."""
    await conn.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")


@asynccontextmanager
async def open_pool(
    database_url: str, *, application_name: str, size_max: int = 10, command_timeout_s: float = 60.0
) -> AsyncIterator[asyncpg.Pool]:
    """Open a pool of at most `size_max` connections and close it at the end.

    Sessions are in UTC and without JIT: our statements are short, and compiling them cost more than it saved.
    """
    async with asyncpg.create_pool(
        database_url,
        min_size=1,
        max_size=size_max,
        command_timeout=command_timeout_s,
        init=prepare_connection,
        server_settings={"application_name": application_name, "timezone": "UTC", "jit": "off"},
    ) as pool:
        yield pool
