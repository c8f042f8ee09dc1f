"""Every statement against the real schema, and each table against the package that may write it."""

import re
from pathlib import Path

import asyncpg
import pytest

from sql import Query, load_queries, parse_queries, queries

FOLDER = Path(__file__).parents[2] / "sql"
# Statements that make or use a temporary table live and die with their session: the table comes first.
PREPARED_FIRST = {name: query for name, query in queries.items() if "CREATE TEMP" in query.text.upper()}
APACHE_ONLY = {"roll_up_batches"}

_WRITES = re.compile(
    r"\b(?:INSERT\s+INTO|(?<!FOR )(?<!NO KEY )(?<!DO )UPDATE(?:\s+ONLY)?|DELETE\s+FROM|MERGE\s+INTO|"
    r'TRUNCATE(?:\s+TABLE)?|COPY)\s+"?(\w+)',
    re.IGNORECASE,
)
_NOT_TABLES = {"skip", "of", "nowait", "set"}  # FOR UPDATE SKIP LOCKED, FOR UPDATE OF, DO UPDATE SET


def owners() -> dict[str, str]:
    """The package that writes each table, as the section heads of schema.sql say."""
    found, owner = {}, ""
    for line in (FOLDER / "schema.sql").read_text().splitlines():
        if line.startswith("-- ===="):
            said = re.search(r"written by: (\w+)", line)
            owner = said.group(1) if said else ""
        elif table := re.match(r"CREATE TABLE (\w+)", line):
            found[table.group(1)] = owner
    return found


def written_tables(query: Query) -> set[str]:
    """The tables a statement inserts into, updates or deletes from, without comments and row locks."""
    text = re.sub(r"--[^\n]*|'[^']*'", " ", query.text)
    return {table.lower() for table in _WRITES.findall(text)} - _NOT_TABLES


def files() -> list[Path]:
    return sorted((FOLDER / "queries").glob("*.sql"))


@pytest.mark.parametrize("name", sorted(queries))
async def test_prepares(looking: asyncpg.Connection, name: str) -> None:
    """The statement fits the schema: every table, column, function and type it names is there."""
    query = queries[name]
    if name in APACHE_ONLY and await looking.fetchval("SELECT edition FROM storage_edition") != "apache":
        pytest.skip("the community edition has views where this statement has tables")
    if name not in PREPARED_FIRST:
        for first in PREPARED_FIRST.values():
            await looking.execute(first.text)
    statement = await looking.prepare(query.text)
    assert len(statement.get_parameters()) == len(query.parameters)


def test_every_table_has_its_writer() -> None:
    """Each table of schema.sql stands in a section that names the one package writing it."""
    assert {table: owner for table, owner in owners().items() if not owner} == {}
    assert set(owners().values()) == {"ingest", "rules", "inspections", "app", "sql"}


@pytest.mark.parametrize("path", files(), ids=lambda path: path.stem)
def test_writes_its_own_tables_only(path: Path) -> None:
    """A package's statements write the tables that are its own, and temporary ones."""
    owner_of = owners()
    named = re.search(r"package `(\w+)`", path.read_text().splitlines()[0])
    assert named, f"the first line of {path.name} must name its package: -- Statements of ... (package `...`)"
    package = named.group(1)
    foreign = {
        f"{query.name} writes {table}, which belongs to {owner_of[table]}"
        for query in parse_queries(path.read_text(), path.name).values()
        for table in written_tables(query)
        if table in owner_of and owner_of[table] != package
    }
    assert foreign == set()


@pytest.mark.parametrize(
    ("text", "tables"),
    [
        ("SELECT 1 FROM alert FOR UPDATE SKIP LOCKED", set()),
        ("SELECT 1 FROM alert FOR NO KEY UPDATE OF alert", set()),
        ("SELECT 1 FROM alert FOR\n UPDATE SKIP LOCKED", set()),
        ("INSERT INTO ledger VALUES (1) ON CONFLICT (day) DO UPDATE SET stored = 1", {"ledger"}),
        (
            "WITH x AS (UPDATE duty SET state = 'done' RETURNING *) INSERT INTO outcome SELECT * FROM x",
            {"duty", "outcome"},
        ),
        ("WITH x AS (DELETE FROM event RETURNING 1) SELECT * FROM x -- INSERT INTO alert", {"event"}),
        ("SELECT 'UPDATE alert'", set()),
        ('update "device_state" set seq = 1', {"device_state"}),
    ],
)
def test_the_check_sees_writes(text: str, tables: set[str]) -> None:
    """Row locks, comments and texts are no writes; writes inside WITH are."""
    assert written_tables(Query("q", (), text)) == tables


def test_every_query_is_called() -> None:
    """No statement is left over: each is named in the code of the packages."""
    folder = FOLDER.parent
    packages = ("app", "ingest", "rules", "inspections", "sql")
    code = "\n".join(path.read_text() for package in packages for path in (folder / package).rglob("*.py"))
    assert [name for name in sorted(queries) if f'"{name}"' not in code] == []


def test_a_query_name_is_there_once() -> None:
    """Names are unique over all files."""
    assert len(load_queries(FOLDER / "queries")) == sum(
        len(parse_queries(path.read_text(), path.name)) for path in files()
    )
