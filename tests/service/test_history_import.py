"""Import of old readings into a real database: every row has one fate, and an interruption changes nothing."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from ingest import ledger
from ingest.history import HistoryReport, import_file
from ingest.history_file import HistoryRefused, sniff
from ingest.history_rows import HistoryOptions
from ingest.params import RollupParams
from ingest.rollup import roll_up
from tests.ingest_city import register
from tests.servers import Database

NOW = datetime.now(UTC)
METER = "M-GW-1-0"
OTHER = "M-GW-2-0"


@pytest.fixture(autouse=True)
def city(db: Database) -> None:
    register(db.admin_url)


def write(path: Path, rows: list[tuple[str, str, str]], value: str = "index_m3") -> Path:
    path.write_text("\n".join([f"device,time,{value}", *(",".join(row) for row in rows)]) + "\n")
    return path


def hourly(count: int, device: str = METER, start: float = 100.0) -> list[tuple[str, str, str]]:
    first = datetime(2025, 3, 1, tzinfo=UTC)
    return [
        (device, (first + timedelta(hours=n)).strftime("%Y-%m-%d %H:%M"), f"{start + n * 0.1:.3f}")
        for n in range(count)
    ]


async def load(conn: asyncpg.Connection, path: Path, **options: Any) -> tuple[HistoryReport, list[tuple[int, str]]]:
    bad: list[tuple[int, str]] = []
    run = {name: options.pop(name) for name in ("rows_at_once", "on_progress") if name in options}
    chosen: dict[str, Any] = {"unit": "m3", "kind": "cumulative", "timezone": "UTC"} | options
    report = await import_file(
        conn, path, sniff(path, (None, None, None)), HistoryOptions(**chosen), on_bad=bad.append, **run
    )
    return report, bad


async def registers(conn: asyncpg.Connection, device: str = METER) -> list[int]:
    query = "SELECT index_ml FROM reading JOIN device USING (device_id) WHERE code = $1 ORDER BY at"
    return [row["index_ml"] for row in await conn.fetch(query, device)]


async def proven(conn: asyncpg.Connection) -> bool:
    """Ledger, batches and rows agree."""
    today = datetime.now(UTC).date()
    faults = await ledger.ledger_against_batches(conn)
    return [*faults, *await ledger.rows_against_batches(conn, today - timedelta(days=1), today)] == []


async def test_old_readings_are_stored_late_and_accounted_for(conn: asyncpg.Connection, tmp_path: Path) -> None:
    """Rows land as readings of slot `import`, booked late by the gateway of their device; bad rows are told by line."""
    rows = [*hourly(30), *hourly(5, OTHER), ("nobody", "2025-03-01 00:00", "1"), (METER, "2025-13-01", "1")]
    report, bad = await load(conn, write(tmp_path / "a.csv", rows))
    assert (report.rows, report.refused, dict(report.counts)) == (37, 2, {"late": 35})
    assert bad == [
        (37, "device nobody is not registered in family native"),
        (38, "the time 2025-13-01 is not understood"),
    ]
    assert (await registers(conn))[:2] == [100_000_000, 100_100_000]
    booked = await conn.fetch("SELECT slot, gateway, received, late FROM ledger ORDER BY gateway")
    assert [tuple(row) for row in booked] == [("import", "GW-1", 30, 30), ("import", "GW-2", 5, 5)]
    batch = await conn.fetchrow("SELECT slot, reading_rows, device_ids, first_at FROM batch")
    assert (batch["slot"], batch["reading_rows"], len(batch["device_ids"])) == ("import", 35, 2)
    assert await proven(conn)


async def test_recent_rows_are_stored(conn: asyncpg.Connection, tmp_path: Path) -> None:
    """Rows of the last 48 hours are no late data."""
    rows = [(METER, (NOW - timedelta(hours=age)).isoformat(), "5") for age in (50, 1)]
    report, _ = await load(conn, write(tmp_path / "a.csv", rows))
    assert report.counts == {"late": 1, "stored": 1}


async def test_repeats_and_contradictions(conn: asyncpg.Connection, tmp_path: Path) -> None:
    """What is there already is a duplicate; another register of the same moment is a conflict, kept beside it, once."""
    await load(conn, write(tmp_path / "a.csv", hourly(5)))
    again = [*hourly(7), hourly(7)[6], (METER, "2025-03-01 00:00", "777")]
    report, _ = await load(conn, write(tmp_path / "b.csv", again))
    assert report.counts == {"late": 2, "duplicate": 6, "conflict": 1}
    assert await registers(conn) == [100_000_000 + n * 100_000 for n in range(7)]
    kept = await conn.fetch("SELECT kept ->> 'index_ml' AS kept, refused ->> 'index_ml' AS refused FROM conflict")
    assert [tuple(row) for row in kept] == [("100000000", "777000000")]
    await load(conn, write(tmp_path / "c.csv", [(METER, "2025-03-01 00:00", "777.000")]))
    assert await conn.fetchval("SELECT count(*) FROM conflict") == 1
    assert await proven(conn)


async def test_the_same_file_is_not_read_twice(conn: asyncpg.Connection, tmp_path: Path) -> None:
    """A finished file is known by its content, under any name."""
    await load(conn, write(tmp_path / "a.csv", hourly(5)))
    report, _ = await load(conn, write(tmp_path / "renamed.csv", hourly(5)))
    assert (report.state, report.rows) == ("already", 5)
    assert await conn.fetchval("SELECT count(*) FROM batch") == 1


class Interrupted(Exception):
    """Stands for a killed process, after a commit."""


@pytest.mark.parametrize("kind", ["cumulative", "interval"])
@pytest.mark.parametrize("blocks_done", [1, 2, 3])
async def test_an_interrupted_import_goes_on(
    conn: asyncpg.Connection, tmp_path: Path, blocks_done: int, kind: str
) -> None:
    """Wherever it stops, the next run ends with the rows, marks and counts of an import that was never interrupted."""
    rows = hourly(25)
    rows[12] = (METER, rows[12][1], "0.000")
    path = write(tmp_path / "a.csv", [*rows, ("nobody", "2025-03-01 00:00", "1")])
    seen = 0

    def stop(_progress: object) -> None:
        nonlocal seen
        seen += 1
        if seen == blocks_done:
            raise Interrupted

    with pytest.raises(Interrupted):
        await load(conn, path, rows_at_once=7, on_progress=stop, kind=kind)
    report, bad = await load(conn, path, rows_at_once=7, kind=kind)
    assert (report.resumed_at, report.rows, len(bad)) == (7 * blocks_done, 26, 1)
    found = await conn.fetch("SELECT index_ml, flags FROM reading ORDER BY at")
    values = [round(float(value) * 1_000_000) for _, _, value in rows]
    if kind == "interval":
        assert [row["index_ml"] for row in found] == [sum(values[: n + 1]) for n in range(25)]
    else:
        assert [tuple(row) for row in found] == [(value, 0 if value else 2) for value in values]
    total = await conn.fetchrow("SELECT rows_done, late, duplicate, refused, finished_at FROM history_file")
    assert (total["rows_done"], total["late"], total["duplicate"], total["refused"]) == (26, 25, 0, 1)
    assert total["finished_at"] is not None
    assert await proven(conn)


async def test_going_on_with_other_options_is_refused(conn: asyncpg.Connection, tmp_path: Path) -> None:
    """Half a file in cubic metres and half in litres is no import."""
    path = write(tmp_path / "a.csv", hourly(10))

    def stop(_progress: object) -> None:
        raise Interrupted

    with pytest.raises(Interrupted):
        await load(conn, path, rows_at_once=4, on_progress=stop)
    with pytest.raises(HistoryRefused, match=r"was imported to row 4 with other options .*unit m3"):
        await load(conn, path, rows_at_once=4, unit="l")


async def test_an_import_is_no_sign_of_life(conn: asyncpg.Connection, tmp_path: Path) -> None:
    """A device nobody has heard stays unheard, and what is known of one that was heard moves only forward."""
    device_id = await conn.fetchval("SELECT device_id FROM device WHERE code = $1", OTHER)
    columns = await conn.fetch("SELECT column_name FROM information_schema.columns WHERE table_name = 'device_state'")
    heard = ", heard_at" if "heard_at" in {row["column_name"] for row in columns} else ""
    await conn.execute(
        f"INSERT INTO device_state (device_id, last_received_at{heard}, index_at, index_ml)"  # noqa: S608
        f" VALUES ($1, $2{', $2' if heard else ''}, '2025-03-01 02:00Z', 5)",
        device_id,
        NOW,
    )
    await load(conn, write(tmp_path / "a.csv", [*hourly(2), *hourly(2, OTHER)]))
    query = "SELECT device_id, last_received_at, index_ml FROM device_state"
    assert [tuple(row) for row in await conn.fetch(query)] == [(device_id, NOW, 5)]
    await load(conn, write(tmp_path / "b.csv", hourly(24, OTHER)))
    assert [tuple(row) for row in await conn.fetch(query)] == [(device_id, NOW, 102_300_000)]


async def test_intervals_attach_to_the_register(conn: asyncpg.Connection, tmp_path: Path) -> None:
    """Volumes of intervals go on from the register stored before them, or arrive at the one stored after them."""
    await load(conn, write(tmp_path / "a.csv", [(METER, "2025-03-01 00:00", "50"), (OTHER, "2025-03-05 00:00", "50")]))
    rows = [(device, f"2025-03-02 {hour:02}:00", "1.5") for device in (METER, OTHER) for hour in (1, 2)]
    report, bad = await load(conn, write(tmp_path / "b.csv", rows, "consumption_m3"), kind="interval")
    assert (report.counts, bad) == ({"late": 4}, [])
    assert await registers(conn) == [50_000_000, 51_500_000, 53_000_000]
    assert await registers(conn, OTHER) == [48_500_000, 50_000_000, 50_000_000]


async def test_intervals_that_contradict_the_register_are_refused(conn: asyncpg.Connection, tmp_path: Path) -> None:
    """More volume than the register ever counted cannot be attached: the rows are refused, by line."""
    await load(conn, write(tmp_path / "a.csv", [(OTHER, "2025-03-05 00:00", "1")]))
    rows = [(OTHER, "2025-03-02 01:00", "2"), (METER, "2025-03-02 01:00", "2")]
    report, bad = await load(conn, write(tmp_path / "b.csv", rows, "consumption_m3"), kind="interval")
    assert bad == [(2, f"device {OTHER}: its volumes sum to more than the register stored after them")]
    assert report.counts == {"late": 1}


async def test_imported_readings_are_rolled_up(pool: asyncpg.Pool, conn: asyncpg.Connection, tmp_path: Path) -> None:
    """What is imported shows in the daily values as live data does."""
    if await conn.fetchval("SELECT edition FROM storage_edition") != "apache":
        pytest.skip("our own roll-up works in the Apache edition")
    await load(conn, write(tmp_path / "a.csv", hourly(48)), rows_at_once=20)
    await roll_up(pool, RollupParams())
    found = await conn.fetch("SELECT first_index_ml, last_index_ml, samples FROM reading_daily ORDER BY day")
    assert [tuple(row) for row in found] == [(100_000_000, 102_300_000, 24), (102_400_000, 104_700_000, 24)]


async def test_a_first_try_that_stored_nothing_begins_again(conn: asyncpg.Connection, tmp_path: Path) -> None:
    """All rows refused for want of a form of the time: with it, the same file is read from its start."""
    path = write(tmp_path / "a.csv", [(METER, "22/10/2023 06:00:00", "1.0"), (METER, "22/10/2023 07:00:00", "1.1")])
    report, bad = await load(conn, path)
    assert (report.refused, len(bad)) == (2, 2)
    report, bad = await load(conn, path, time_format="%d/%m/%Y %H:%M:%S")
    assert (report.state, report.resumed_at, dict(report.counts), bad) == ("imported", 0, {"late": 2}, [])
    assert (await load(conn, path, time_format="%d/%m/%Y %H:%M:%S"))[0].state == "already"
    assert await proven(conn)
