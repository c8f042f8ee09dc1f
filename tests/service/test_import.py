"""`gaswarden import registry` on a real database: all of it, again, with bad rows, strictly."""

import asyncio
import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest

from app.importer import BadRow, ImportRefused, import_folder
from sql import audit
from sql.actor import Actor
from tests.servers import Database

BY = Actor("console:test", "administrator")
AT = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
REPOSITORY = Path(__file__).parents[2]

FILES = {
    "districts.csv": "code,name,parent\nD01,East,C\nC,City,\n",
    "compounds.csv": "code,name,district,latitude,longitude\nK1,Garden,D01,31.2,121.5\n",
    "buildings.csv": "code,name,compound,latitude,longitude,built_year,floors\nB1,House 1,K1,31.2,121.5,1998,6\n",
    "premises.csv": (
        "code;building;unit;floor;address;user_class;tenure;elderly;appliances\n"
        'P1;B1;101;1;"Garden Road 1; left";household;rented;true;"stove;heater"\n'
        "P2;B1;102;;Garden Road 1;household;;;\n"
    ),
    "gateways.csv": "code,area,expected_interval_s\nGW-1,D01,86400\n",
    "devices.csv": (
        "code,kind,gateway,meter_class,qmin_lh,qmax_lh,pulse_ml,has_valve,expected_interval_s,alarm_lel_pct\n"
        "M-1,meter,GW-1,G2.5,25,4000,10000,true,86400,\n"
        "LD-1,detector,GW-1,,,,,,86400,10\n"
    ),
    "installations.csv": (
        "device,premises,installed_at,removed_at\n"
        "M-1,P1,2020-01-01T00:00:00Z,2024-01-01T00:00:00Z\nM-1,P2,2024-02-01T00:00:00+08:00,\n"
    ),
    "inspectors.csv": (
        "code,name,area,skills,start_latitude,start_longitude,shift_start,shift_end\n"
        "I-1,Ines,D01,household;leak,31.2,121.5,08:30,17:00\n"
    ),
}
TABLES = ("district", "compound", "building", "premises", "gateway", "device", "installation", "inspector")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small registry without a fault; the tree's child comes before its parent."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, "utf-8")
    return tmp_path


async def counts(conn: asyncpg.Connection) -> dict[str, int]:
    return {table: await conn.fetchval(f"SELECT count(*) FROM {table}") for table in TABLES}  # noqa: S608


async def test_imports_everything(conn: asyncpg.Connection, folder: Path) -> None:
    """Every file arrives, references across packages resolved, lists split, empty cells unknown."""
    report = await import_folder(conn, folder, BY, AT)
    assert report.bad == []
    expected = {"district": 2, "compound": 1, "building": 1, "premises": 2, "gateway": 1, "device": 2}
    assert await counts(conn) == expected | {"installation": 2, "inspector": 1}
    first, second = await conn.fetch("SELECT address, tenure, elderly, appliances, floor FROM premises ORDER BY code")
    assert tuple(first) == ("Garden Road 1; left", "rented", True, ["stove", "heater"], 1)
    assert (second["tenure"], second["elderly"], second["floor"]) == (None, None, None)
    assert await conn.fetchval("SELECT skills FROM inspector") == ["household", "leak"]


async def test_again_changes_nothing(conn: asyncpg.Connection, folder: Path) -> None:
    """The second import of the same files adds and changes nothing; a changed cell changes its row only."""
    await import_folder(conn, folder, BY, AT)
    before = await counts(conn)
    again = await import_folder(conn, folder, BY, AT)
    assert [(one.added, one.changed, one.same) for one in again.files] == [(0, 0, one.rows) for one in again.files]
    (folder / "buildings.csv").write_text(FILES["buildings.csv"].replace("1998", "1999"))
    third = await import_folder(conn, folder, BY, AT)
    assert {one.file: one.changed for one in third.files if one.changed} == {"buildings.csv": 1}
    assert await counts(conn) == before


BAD = {
    "buildings.csv": FILES["buildings.csv"]
    + "B2,House 2,NONE,31.2,121.5,,\nB3,House 3,K1,99,121.5,,\nB1,again,K1,1,1,,\n",
    "premises.csv": FILES["premises.csv"] + "P3;B1;1\nP4;B1;104;;x;palace;;;\n;B1;105;;x;household;;;\n",
    "devices.csv": FILES["devices.csv"] + "M-2,meter,GW-9,G2.5,25,4000,10000,,86400,\n",
}
TOLD = [
    ("buildings.csv", 3, ""),
    ("buildings.csv", 4, "latitude"),
    ("buildings.csv", 5, ""),
    ("devices.csv", 4, ""),
    ("premises.csv", 4, ""),
    ("premises.csv", 5, "user_class"),
    ("premises.csv", 6, "code"),
]


@pytest.fixture
def bad_folder(folder: Path) -> Path:
    """The same registry with seven bad rows in three files."""
    for name, text in BAD.items():
        (folder / name).write_text(text, "utf-8")
    return folder


async def test_bad_rows_are_told_and_the_rest_imported(conn: asyncpg.Connection, bad_folder: Path) -> None:
    """Every bad row is told with file, line, column and reason; all good rows are there."""
    report = await import_folder(conn, bad_folder, BY, AT)
    assert sorted((one.file, one.line, one.column) for one in report.bad) == TOLD
    assert all(one.reason for one in report.bad)
    by_place = {(one.file, one.line): one.reason for one in report.bad}
    assert "NONE" in by_place["buildings.csv", 3]
    assert "99" in by_place["buildings.csv", 4]
    assert "GW-9" in by_place["devices.csv", 4]
    assert (report.saved, (await counts(conn))["premises"], (await counts(conn))["building"]) == (True, 2, 1)


async def test_strict_imports_all_or_nothing(conn: asyncpg.Connection, bad_folder: Path) -> None:
    """With one bad row anywhere a strict import leaves the database as it was, and tells the same rows."""
    report = await import_folder(conn, bad_folder, BY, AT, strict=True)
    assert report.saved is False
    assert sorted((one.file, one.line, one.column) for one in report.bad) == TOLD
    assert set((await counts(conn)).values()) == {0}
    assert await conn.fetchval("SELECT count(*) FROM audit_entry") == 0


async def test_workers_are_told_and_the_deed_recorded(
    conn: asyncpg.Connection, pool: asyncpg.Pool, folder: Path
) -> None:
    """At commit running workers hear of the new registry, and the audit has one row with the figures."""
    heard = asyncio.Event()

    def hear(*_: object) -> None:
        heard.set()

    async with pool.acquire() as listener:
        await listener.add_listener("gaswarden_registry", hear)
        await import_folder(conn, folder, BY, AT)
        await asyncio.wait_for(heard.wait(), 10)
        await listener.remove_listener("gaswarden_registry", hear)
    row = await conn.fetchrow("SELECT actor, action, details FROM audit_entry")
    assert (row["actor"], row["action"], row["details"]["refused"]) == ("console:test", "registry.import", 0)
    assert row["details"]["files"]["premises.csv"] == {"added": 2, "changed": 0, "same": 0}
    assert await audit.first_broken_entry(conn) is None


async def test_a_stranger_among_the_files_is_told(conn: asyncpg.Connection, folder: Path) -> None:
    """A mistyped file name is noticed, not passed over."""
    (folder / "building.csv").write_text("code\n")
    report = await import_folder(conn, folder, BY, AT)
    assert report.bad[0].file == "building.csv"
    assert report.bad[0].reason.startswith("is not a registry file; those are districts.csv, ")
    assert isinstance(report.bad[0], BadRow)


async def test_nothing_to_import(conn: asyncpg.Connection, tmp_path: Path) -> None:
    """A folder that is not there or holds no registry file is refused in a sentence."""
    with pytest.raises(ImportRefused, match="is not a folder"):
        await import_folder(conn, tmp_path / "none", BY, AT)
    with pytest.raises(ImportRefused, match="has none of districts"):
        await import_folder(conn, tmp_path, BY, AT)


async def gaswarden(db: Database, *arguments: str) -> tuple[int | None, str, str]:
    """Run the command line on a test's database; returns exit code, standard output and standard error."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("GASWARDEN_", "MQTT_URL"))}
    environment |= {"DATABASE_URL": db.url, "ADMIN_DATABASE_URL": db.admin_url, "COLUMNS": "300"}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "app",
        *arguments,
        cwd=REPOSITORY,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 40)
    return process.returncode, out.decode(), err.decode()


async def test_command_line(db: Database, bad_folder: Path) -> None:
    """The command exits 1 when rows were refused, 0 when none were, and tells each as file:line: column: reason."""
    code, out, _ = await gaswarden(db, "import", str(bad_folder), "--json")
    assert (code, len(json.loads(out)["refused"])) == (1, 7)
    code, _, err = await gaswarden(db, "import", str(bad_folder), "--strict")
    assert code == 1
    assert "buildings.csv:4: latitude: must be less than or equal to 90 (it is '99')" in err
    assert "7 refused; nothing is imported (--strict)" in err
    for name, text in FILES.items():
        (bad_folder / name).write_text(text, "utf-8")
    assert (await gaswarden(db, "import", str(bad_folder)))[0] == 0


async def test_accounts_on_the_command_line(db: Database) -> None:
    """An account is made, its token shown once, listed without it, revoked once; the audit chain stays whole."""
    code, token, _ = await gaswarden(db, "account", "add", "olga", "--role", "officer")
    assert (code, token[:4], len(token.strip())) == (0, "gsw_", 47)
    assert (await gaswarden(db, "account", "add", "olga", "--role", "officer"))[0] == 1
    assert (await gaswarden(db, "account", "add", "omar", "--role", "king"))[0] == 2
    code, listed, _ = await gaswarden(db, "account", "list", "--json")
    assert (code, [one["name"] for one in json.loads(listed)]) == (0, ["olga"])
    assert token.strip() not in listed
    assert (await gaswarden(db, "account", "revoke", "olga"))[0] == 0
    code, _, err = await gaswarden(db, "account", "revoke", "olga")
    assert (code, err.strip()) == (1, "account olga is revoked already")
    assert (await gaswarden(db, "audit", "verify"))[0] == 0
    assert (await gaswarden(db, "ledger"))[0] == 0
