"""Migrations: the same catalogue by every way, each file once, an edited one refused."""

import re
import shutil
from pathlib import Path

import psycopg
import pytest

from sql.edition import apply_edition
from sql.migrate import migrate, pending
from sql.migration_files import MigrationError, read_migrations
from sql.statements import split_statements
from tests.servers import Database, DatabaseServer

SQL = Path(__file__).parents[2] / "sql"

CATALOGUE = {
    "columns": """
        SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated,
               pg_get_expr(d.adbin, d.adrelid),
               row_number() OVER (PARTITION BY a.attrelid ORDER BY a.attnum)  -- a dropped column leaves a gap in attnum
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'v', 'm', 'p')""",
    "tables": """
        SELECT relname, relkind, reloptions FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v', 'm', 'p', 'S')""",
    "constraints": """
        SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace""",
    "indexes": "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
    "views": "SELECT viewname, definition FROM pg_views WHERE schemaname = 'public'",
    "functions": """
        SELECT p.proname, pg_get_functiondef(p.oid) FROM pg_proc p
        LEFT JOIN pg_depend d ON d.objid = p.oid AND d.deptype = 'e'
        WHERE p.pronamespace = 'public'::regnamespace AND d.objid IS NULL AND p.prokind = 'f'""",
    "triggers": """
        SELECT tgrelid::regclass::text, tgname, pg_get_triggerdef(oid) FROM pg_trigger
        WHERE NOT tgisinternal AND tgrelid::regclass::text !~ '^(_timescaledb|procrastinate[.])'""",
    "hypertables": """
        SELECT hypertable_name, column_name, time_interval FROM timescaledb_information.dimensions
        WHERE hypertable_schema = 'public'""",
}


def catalogue(admin_url: str) -> dict[str, list[tuple[object, ...]]]:
    """Everything a schema consists of, in a form that two databases can be compared by."""
    with psycopg.connect(admin_url) as conn:
        found = {name: sorted(conn.execute(query.encode()).fetchall(), key=str) for name, query in CATALOGUE.items()}
    return {name: [row for row in rows if "schema_migration" not in str(row)] for name, rows in found.items()}


def load_schema(admin_url: str) -> None:
    with psycopg.connect(admin_url, autocommit=True) as conn:
        conn.execute((SQL / "schema.sql").read_bytes())
        apply_edition(conn)


def test_migrations_arrive_at_the_schema(empty_db: Database, shared_database_server: DatabaseServer) -> None:
    """schema.sql and all migrations one after the other give the same catalogue, part by part."""
    migrate(empty_db.admin_url)
    name, from_schema = shared_database_server.create()
    try:
        load_schema(from_schema.admin_url)
        migrated, schema = catalogue(empty_db.admin_url), catalogue(from_schema.admin_url)
    finally:
        shared_database_server.drop(name)
    assert migrated.keys() == schema.keys()
    for part in ("columns", "tables", "constraints", "indexes", "functions", "hypertables"):
        assert migrated[part]
    for part, rows in schema.items():
        assert migrated[part] == rows, part


def test_the_comparison_sees_a_difference(empty_db: Database) -> None:
    """One more index, constraint or default is a difference: the test above can fail."""
    migrate(empty_db.admin_url)
    before = catalogue(empty_db.admin_url)
    for part, statement in (
        ("indexes", "CREATE INDEX ON alert (owner)"),
        ("constraints", "ALTER TABLE alert ADD CHECK (count > 0)"),
        ("columns", "ALTER TABLE alert ALTER count SET DEFAULT 2"),
        ("hypertables", "SELECT set_chunk_time_interval('event', interval '3 days')"),
    ):
        with psycopg.connect(empty_db.admin_url, autocommit=True) as conn:
            conn.execute(statement.encode())
        after = catalogue(empty_db.admin_url)
        assert after[part] != before[part]
        before = after


def test_repeats_harmlessly(empty_db: Database) -> None:
    """What is applied is not applied again, and what is missing is named."""
    names = [migration.name for migration in read_migrations()]
    assert pending(empty_db.admin_url) == names
    assert migrate(empty_db.admin_url) == names
    assert migrate(empty_db.admin_url) == []
    assert pending(empty_db.admin_url) == []


def test_names_are_ordered_without_gaps() -> None:
    """Migrations are numbered 0001, 0002 ... without a gap or a number used twice."""
    numbers = [int(migration.name[:4]) for migration in read_migrations()]
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("name", ["1_a.sql", "0002.sql", "0002_Add.sql", "0002-add.sql", "0002_add__x.sql", "x.sql"])
def test_other_names_are_refused(tmp_path: Path, name: str) -> None:
    """A file name outside the rule is an error that tells the rule."""
    (tmp_path / name).write_text("SELECT 1;")
    with pytest.raises(MigrationError, match=re.escape(f"{name}: a migration is named NNNN_verb_object.sql")):
        read_migrations(tmp_path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Today's migrations and two small ones after them."""
    copied = tmp_path / "migrations"
    shutil.copytree(SQL / "migrations", copied)
    (copied / "8001_create_thing.sql").write_text("CREATE TABLE thing (a int);")
    (copied / "8002_add_column.sql").write_text("ALTER TABLE thing ADD b int;")
    return copied


def test_edited_migration_is_refused(empty_db: Database, folder: Path) -> None:
    """A file changed after it was applied stops everything and is named; nothing else is applied."""
    migrate(empty_db.admin_url, folder)
    (folder / "8001_create_thing.sql").write_text("CREATE TABLE thing (a bigint);")
    (folder / "8003_drop_thing.sql").write_text("DROP TABLE thing;")
    with pytest.raises(MigrationError, match=r"8001_create_thing\.sql was edited after it was applied"):
        migrate(empty_db.admin_url, folder)
    with psycopg.connect(empty_db.admin_url) as conn:
        assert conn.execute("SELECT count(*) FROM thing").fetchone() == (0,)


def test_failed_migration_leaves_nothing(empty_db: Database, folder: Path) -> None:
    """A migration that fails is undone as a whole, those before it stay, and the next run goes on from there."""
    broken = folder / "8003_break_thing.sql"
    broken.write_text("CREATE TABLE half (a int);\nSELECT no_such_function();")
    with pytest.raises(MigrationError, match=r"8003_break_thing\.sql: function no_such_function"):
        migrate(empty_db.admin_url, folder)
    assert pending(empty_db.admin_url, folder) == ["8003_break_thing.sql"]
    broken.write_text("CREATE TABLE half (a int);")
    assert migrate(empty_db.admin_url, folder) == ["8003_break_thing.sql"]


def test_upgraded_equals_fresh(empty_db: Database, folder: Path, shared_database_server: DatabaseServer) -> None:
    """A database brought forward one release at a time has the catalogue of one migrated at once."""
    for path in sorted(folder.iterdir()):
        path.rename(path.with_suffix(".later"))
    for path in sorted(folder.iterdir()):
        path.rename(path.with_suffix(".sql"))
        assert len(migrate(empty_db.admin_url, folder)) == 1
    name, fresh = shared_database_server.create()
    try:
        migrate(fresh.admin_url, folder)
        assert catalogue(empty_db.admin_url) == catalogue(fresh.admin_url)
    finally:
        shared_database_server.drop(name)


def test_no_transaction_migration_runs_statement_by_statement(empty_db: Database, folder: Path) -> None:
    """What cannot run in a transaction can be migrated, e.g. an index built concurrently."""
    text = "-- no transaction\nCREATE INDEX CONCURRENTLY thing_a_idx ON thing (a);\nVACUUM thing;\n"
    (folder / "8003_index_thing.sql").write_text(text)
    assert migrate(empty_db.admin_url, folder)[-1] == "8003_index_thing.sql"
    assert migrate(empty_db.admin_url, folder) == []


def test_splits_statements() -> None:
    """Statements end at a semicolon that ends a line; comments alone are no statement."""
    text = "-- no transaction\nSELECT 1;\n-- only words;\nSELECT\n  ';' AS a; -- why\n\nSELECT 3"
    assert [part.splitlines()[-1] for part in split_statements(text)] == ["SELECT 1", "  ';' AS a", "SELECT 3"]
