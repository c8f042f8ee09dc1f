"""The outbox: pages and jobs live and die with the alert's transaction; the queue's schema is the package's own."""

from datetime import UTC, datetime
from importlib import resources

import asyncpg
import psycopg
import pytest

from rules.outbox import request_notices
from rules.paging import Page
from tests.servers import Database
from tests.service.rules_rows import NOW, insert

_OBJECTS = """
    SELECT 'column', c.relname || '.' || a.attname, format_type(a.atttypid, NULL), pg_get_expr(d.adbin, d.adrelid)
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE c.relnamespace = 'procrastinate'::regnamespace AND c.relkind IN ('r', 'c')
    UNION ALL SELECT 'constraint', conname, pg_get_constraintdef(oid), NULL FROM pg_constraint
    WHERE connamespace = 'procrastinate'::regnamespace
    UNION ALL SELECT 'index', indexname, indexdef, NULL FROM pg_indexes WHERE schemaname = 'procrastinate'
    UNION ALL SELECT 'function', p.oid::regprocedure::text, p.prosrc, NULL FROM pg_proc p
    WHERE p.pronamespace = 'procrastinate'::regnamespace
    UNION ALL SELECT 'trigger', t.tgname, pg_get_triggerdef(t.oid), NULL FROM pg_trigger t
    JOIN pg_class c ON c.oid = t.tgrelid WHERE c.relnamespace = 'procrastinate'::regnamespace AND NOT t.tgisinternal
    UNION ALL SELECT 'enum', t.typname || '.' || e.enumlabel, NULL, NULL
    FROM pg_enum e JOIN pg_type t ON t.oid = e.enumtypid
    WHERE t.typnamespace = 'procrastinate'::regnamespace
    ORDER BY 1, 2, 3"""


async def make_alert(conn: asyncpg.Connection, severity: str = "critical", **columns: object) -> int:
    values: dict[str, object] = {
        "rule_id": "leak_alarm", "rule_version": "v", "subject": "device:1", "area": "D01", "severity": severity,
        "state": "open", "firing": True, "late": False, "sentence": "LD-1 raised a leak alarm", "first_at": NOW,
        "last_at": NOW, "raised_at": NOW, "evidence": {}, "visit": "none",
    }  # fmt: skip
    return await insert(conn, "alert", "alert_id", **(values | columns))


async def jobs(conn: asyncpg.Connection) -> list[tuple[str, int, dict[str, object]]]:
    rows = await conn.fetch("SELECT task_name, priority, args FROM procrastinate.procrastinate_jobs ORDER BY id")
    return [(row["task_name"], row["priority"], row["args"]) for row in rows]


async def test_pages_and_jobs_commit_with_the_alert(conn: asyncpg.Connection) -> None:
    """Each page has its row and its job, critical ones before others."""
    async with conn.transaction():
        first, second = await make_alert(conn), await make_alert(conn, "major", subject="device:2")
        await request_notices(conn, [Page(second, "raised"), Page(first, "escalated", 2)], NOW)
    pages = await conn.fetch("SELECT page_id, alert_id, purpose, level FROM page ORDER BY page_id")
    assert [tuple(row)[1:] for row in pages] == [(second, "raised", 1), (first, "escalated", 2)]
    wanted = [("page", 0, {"page_id": pages[0]["page_id"]}), ("page", 10, {"page_id": pages[1]["page_id"]})]
    assert await jobs(conn) == wanted


async def test_nothing_is_asked_for_when_the_transaction_fails(conn: asyncpg.Connection) -> None:
    """An alert that was rolled back pages nobody."""
    with pytest.raises(asyncpg.DivisionByZeroError):  # noqa: PT012
        async with conn.transaction():
            await request_notices(conn, [Page(await make_alert(conn), "raised")], datetime.now(UTC))
            await conn.execute("SELECT 1 / 0")
    assert await jobs(conn) == []
    assert await conn.fetchval("SELECT count(*) FROM page") == 0


def test_the_queue_is_that_of_the_installed_package(empty_db: Database, db: Database) -> None:
    """Our migrations give the queue the schema that the installed procrastinate ships; upgrades bring a migration."""
    shipped = resources.files("procrastinate").joinpath("sql/schema.sql").read_text("utf-8")
    with psycopg.connect(empty_db.admin_url, autocommit=True) as fresh:
        fresh.execute("CREATE SCHEMA procrastinate")
        fresh.execute("SET search_path = procrastinate")
        fresh.execute(shipped.encode())
        wanted = fresh.execute(_OBJECTS.encode()).fetchall()
    with psycopg.connect(db.admin_url, autocommit=True) as migrated:
        migrated.execute("SET search_path = procrastinate")
        assert migrated.execute(_OBJECTS.encode()).fetchall() == wanted
    assert len(wanted) > 80
