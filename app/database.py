"""The database of a process or a command: waited for, and checked that it is migrated."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import asyncpg
import structlog

from app.services import CannotStart
from app.settings import Settings
from sql import queries
from sql.migration_files import read_migrations
from sql.pool import UNREACHABLE, open_pool

_RETRY_S = 0.5
log = structlog.get_logger()


@asynccontextmanager
async def open_database(settings: Settings, purpose: str, *, wait: bool = True) -> AsyncIterator[asyncpg.Pool]:
    """Open a pool once the database answers, and check that it is migrated; raises CannotStart.

    With `wait=False` a database that does not answer at once is an error.
    """
    pool, kept = await _open_when_it_answers(settings, purpose, settings.database.start_wait_s if wait else 0.0)
    async with kept:
        async with pool.acquire() as conn:
            missing = await missing_migrations(conn)
        if missing:
            raise CannotStart(f"the database lacks {', '.join(missing)}; run `gaswarden migrate`")
        yield pool


async def _open_when_it_answers(settings: Settings, purpose: str, wait_s: float) -> tuple[asyncpg.Pool, AsyncExitStack]:
    """A pool and what closes it; a database that goes away again just after it answered is waited for, too."""
    deadline = asyncio.get_running_loop().time() + wait_s
    while True:
        await _await_database(settings, max(0.0, deadline - asyncio.get_running_loop().time()))
        try:
            async with AsyncExitStack() as undo:
                pool = await undo.enter_async_context(
                    open_pool(
                        settings.database.url.get_secret_value(),
                        application_name=f"gaswarden {purpose}",
                        size_max=settings.database.pool_max,
                        command_timeout_s=settings.database.command_timeout_s,
                    )
                )
                return pool, undo.pop_all()
        except UNREACHABLE:
            await asyncio.sleep(_RETRY_S)


async def _await_database(settings: Settings, wait_s: float) -> None:
    """Wait for a database that is still starting; one that refuses our name or password is not waited for."""
    deadline = asyncio.get_running_loop().time() + wait_s
    told = False
    while True:
        try:
            conn = await asyncpg.connect(settings.database.url.get_secret_value(), timeout=5)
        except UNREACHABLE as error:
            if asyncio.get_running_loop().time() >= deadline:
                raise CannotStart(f"the database does not answer: {error or type(error).__name__}") from error
            if not told:
                log.warning("waiting for the database", error=str(error) or type(error).__name__)
            told = True
            await asyncio.sleep(_RETRY_S)
        except (
            OSError,
            asyncpg.PostgresError,
            asyncpg.InterfaceError,
            asyncpg.InternalClientError,
            ValueError,
        ) as error:
            raise CannotStart(f"the database refuses us: {error}") from error
        else:
            await conn.close()
            return


async def missing_migrations(conn: asyncpg.Connection) -> list[str]:
    """The names of the migrations this program has and the database has not."""
    try:
        rows = await conn.fetch(*queries["applied_migrations"].bind())
    except asyncpg.UndefinedTableError:
        rows = []
    applied = {row["name"] for row in rows}
    return [migration.name for migration in read_migrations() if migration.name not in applied]
