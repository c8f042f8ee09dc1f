"""The audit chain: rows hold on to one another, and every change shows."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from sql import audit
from sql.actor import Actor
from tests.servers import Database

OLGA = Actor("olga", "officer")
AT = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)


async def write_rows(conn: asyncpg.Connection, count: int) -> None:
    for number in range(count):
        async with conn.transaction():
            details = {"note": "阀门 – checked", "n": number, "none": None, "share": 0.1}
            await audit.record(conn, OLGA, "alert.close", f"alert:{number}", details, AT + timedelta(seconds=number))


@pytest.fixture
async def owner(db: Database) -> AsyncIterator[asyncpg.Connection]:
    """The role that owns the tables: the only one that could tamper at all."""
    conn = await asyncpg.connect(db.admin_url)
    yield conn
    await conn.close()


async def test_whole_chain(conn: asyncpg.Connection) -> None:
    """An empty chain and an untouched one are whole, whatever signs and numbers the details hold."""
    assert await audit.first_broken_entry(conn) is None
    await write_rows(conn, 4)
    assert await audit.first_broken_entry(conn) is None


TAMPERINGS = [
    ("UPDATE audit_entry SET actor = 'nobody' WHERE audit_id = 2", 2),
    ("UPDATE audit_entry SET details = details || '{\"n\": 9}' WHERE audit_id = 2", 2),
    ("UPDATE audit_entry SET at = at + interval '1 microsecond' WHERE audit_id = 2", 2),
    ("UPDATE audit_entry SET digest = sha256('x') WHERE audit_id = 2", 2),
    ("DELETE FROM audit_entry WHERE audit_id = 2", 3),
    ("DELETE FROM audit_entry WHERE audit_id = 1", 2),
    (
        """INSERT INTO audit_entry (at, actor, role, action, subject, details, digest)
           SELECT at, actor, role, action, subject, details, digest FROM audit_entry WHERE audit_id = 2""",
        5,
    ),
]


@pytest.mark.parametrize(("tampering", "broken"), TAMPERINGS)
async def test_tampering_shows(
    conn: asyncpg.Connection, owner: asyncpg.Connection, tampering: str, broken: int
) -> None:
    """A row changed, taken out or put in by the owner himself breaks the chain at that row or the next."""
    await write_rows(conn, 4)
    await owner.execute(tampering)
    assert await audit.first_broken_entry(conn) == broken


async def test_writers_at_once_keep_one_chain(pool: asyncpg.Pool) -> None:
    """Many people at once: their rows queue, and the chain is whole."""

    async def write() -> None:
        async with pool.acquire() as conn:
            await write_rows(conn, 5)

    await asyncio.gather(*(write() for _ in range(6)))
    async with pool.acquire() as conn:
        assert await conn.fetchval("SELECT count(*) FROM audit_entry") == 30
        assert await audit.first_broken_entry(conn) is None


async def test_record_goes_with_its_deed(conn: asyncpg.Connection) -> None:
    """A deed that is rolled back leaves no record of itself, and no hole in the chain."""
    await write_rows(conn, 1)
    transaction = conn.transaction()
    await transaction.start()
    await audit.record(conn, OLGA, "alert.close", "alert:9", {}, AT)
    await transaction.rollback()
    await write_rows(conn, 1)
    assert await conn.fetchval("SELECT count(*) FROM audit_entry") == 2
    assert await audit.first_broken_entry(conn) is None
