"""What the serving role cannot do, whatever a bug or an intruder makes it try."""

import asyncpg
import pytest

APPEND_ONLY = (
    "reading",
    "event",
    "gateway_event",
    "conflict",
    "batch",
    "alert_step",
    "command_step",
    "audit_entry",
    "rule_version",
    "regime",
    "hazard_step",
    "evidence",
)


@pytest.fixture(autouse=True)
async def lesser_role(looking: asyncpg.Connection) -> None:
    """With DATABASE_URL alone there is one role for everything, and nothing to test here."""
    if await looking.fetchval("SELECT pg_get_userbyid(relowner) = current_user FROM pg_class WHERE relname = 'alert'"):
        pytest.skip("the database has one role only")


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE mine (a int)",
        "CREATE SCHEMA mine",
        "ALTER TABLE alert ADD COLUMN a int",
        "ALTER TABLE audit_entry DISABLE TRIGGER ALL",
        "DROP TABLE reading",
        "ALTER TABLE reading_hourly RENAME TO mine",
        "UPDATE retention SET keep_days = 90",
        "INSERT INTO retired (subject, slot, before_at, retired_at) VALUES ('batch', '0', now(), now())",
        "UPDATE storage_edition SET edition = 'community'",
        "CREATE INDEX ON reading (flags)",
        "SELECT drop_chunks('reading', older_than => interval '1 day')",
        "INSERT INTO schema_migration (name, checksum) VALUES ('0002_x.sql', 'x')",
        "UPDATE schema_migration SET checksum = 'x'",
        "GRANT gaswarden_owner TO gaswarden_app",
        "COPY (SELECT 1) TO PROGRAM 'true'",
    ],
)
async def test_cannot_change_the_schema(looking: asyncpg.Connection, statement: str) -> None:
    """The serving role adds no object, changes none, drops none, and fakes no migration."""
    with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.UndefinedObjectError)) as caught:
        await looking.execute(statement)
    if isinstance(caught.value, asyncpg.UndefinedObjectError):
        assert "gaswarden_owner" in str(caught.value)


@pytest.mark.parametrize("table", APPEND_ONLY)
@pytest.mark.parametrize("statement", ["DELETE FROM {}", "TRUNCATE {}", "UPDATE {} SET {} = {}"])
async def test_cannot_change_history(looking: asyncpg.Connection, table: str, statement: str) -> None:
    """What is append-only can be added to and read, not updated, deleted or emptied."""
    column = await looking.fetchval(
        "SELECT attname FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 ORDER BY attnum DESC LIMIT 1",
        table,
    )
    await looking.execute(f"SELECT count(*) FROM {table}")  # noqa: S608 - names from the list above
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await looking.execute(statement.format(table, column, column))


async def test_cannot_change_history_in_its_chunks(conn: asyncpg.Connection) -> None:
    """A hypertable's chunks are no back door."""
    await conn.execute("INSERT INTO reading (device_id, at, index_ml, batch_id) VALUES (1, now(), 5, 1)")
    chunk = await conn.fetchval("SELECT show_chunks('reading')::text")
    for statement in (f"DELETE FROM {chunk}", f"UPDATE {chunk} SET index_ml = 0", f"TRUNCATE {chunk}"):  # noqa: S608
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await conn.execute(statement)


async def test_deletes_nowhere(looking: asyncpg.Connection) -> None:
    """The serving role deletes only held messages, once they are stored, and counts, when they are counted anew."""
    rows = await looking.fetch(
        "SELECT relname FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace"
        " WHERE nspname = 'public' AND relkind IN ('r', 'p')"
        " AND (has_table_privilege(pg_class.oid, 'DELETE') OR has_table_privilege(pg_class.oid, 'TRUNCATE'))"
    )
    assert {row["relname"] for row in rows} == {"held_bundle", "place_count", "inspector_count", "count_mark"}


async def test_may_do_its_work(looking: asyncpg.Connection) -> None:
    """The same role may add to every table the product writes: the refusals above are not for want of any grant."""
    refused = [
        table for table in APPEND_ONLY if not await looking.fetchval("SELECT has_table_privilege($1, 'INSERT')", table)
    ]
    assert refused == []
