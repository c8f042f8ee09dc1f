"""How ingest meets a database that fails: which errors it waits out, and for how long between attempts."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

DATABASE_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
ACQUIRE_TIMEOUT_S = 10.0


@contextmanager
def ended_when_silent(conn: asyncpg.Connection) -> Iterator[None]:
    """End a connection on which a statement was not answered in time: a rollback there would wait as long again."""
    try:
        yield
    except TimeoutError:
        conn.terminate()
        raise


def pause_s(attempt: int, first_s: float, longest_s: float) -> float:
    """Growing pause with jitter, so that workers that lost the same server do not return together."""
    return random.uniform(0.5, 1.0) * min(longest_s, first_s * 2.0 ** min(attempt, 20))
