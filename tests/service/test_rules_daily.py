"""What is looked at once a day, in a real database: devices past their life, zones that lose gas."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from app.importer import import_folder
from rules.catalog import default_catalog
from rules.daily import daily_pass
from sql.actor import Actor
from tests.service.rules_rows import NOW, Town, insert, make_town

CATALOG = default_catalog()
END = datetime(2026, 11, 19, tzinfo=UTC)


@pytest.fixture
async def town(conn: asyncpg.Connection) -> Town:
    return await make_town(conn)


async def day(pool: asyncpg.Pool, now: datetime = NOW) -> None:
    """Everything that a day asks for."""
    while (await daily_pass(pool, CATALOG, now)).batches:
        pass


async def found(conn: asyncpg.Connection) -> list[tuple[str, str, str, str]]:
    rows = await conn.fetch("SELECT rule_id, subject, severity, state FROM alert ORDER BY rule_id, alert_id")
    return [tuple(row) for row in rows]


async def test_devices_past_their_life_are_told_once_and_end_when_taken_out(
    pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town
) -> None:
    """A meter of 2016, a detector of 2020, each once; one whose life is not over, and one not in use, never."""
    meter = await town.device("M-1", made_on=date(2016, 11, 1))
    detector = await town.device("LD-1", "detector", made_on=date(2020, 11, 1))
    await town.device("M-2", home=1)
    await town.device("M-3", home=None, made_on=date(2001, 1, 1))
    await day(pool)
    old = [
        ("detector_past_life", f"device:{detector}", "major", "open"),
        ("meter_past_life", f"device:{meter}", "info", "open"),
    ]
    assert await found(conn) == old
    await day(pool, NOW + timedelta(days=1))
    assert await conn.fetchval("SELECT max(count) FROM alert") == 1
    await conn.execute("UPDATE installation SET removed_at = $1 WHERE device_id = $2", NOW, detector)
    await day(pool, NOW + timedelta(days=2))
    assert [row[3] for row in await found(conn)] == ["verified", "open"]


async def used(town: Town, device_id: int, litres: float, *, ends: int = 2) -> None:
    """A meter that used so much in the week before END, read at the start and, with two ends, at the end."""
    rows = [(END - timedelta(days=7), 1_000_000), (END + timedelta(minutes=30), 1_000_000 + round(litres * 1000))]
    await town.readings(device_id, rows[:ends])


async def test_a_zone_that_loses_gas_is_an_alert_with_its_bounds_until_it_balances(
    pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town
) -> None:
    """Twelve homes of 5 m3 a week, one unread, behind a check meter that counted 80: lost; balanced a week later."""
    homes = [await town.device(f"M-{number}", home=number % 2) for number in range(12)]
    check = await town.device("CHECK-1", home=None, check_of="building:D01-B1")
    for number, home in enumerate(homes):
        await used(town, home, 5000, ends=1 if number == 3 else 2)
    await used(town, check, 80_000)
    await day(pool)
    (alert,) = await conn.fetch("SELECT * FROM alert")
    assert (alert["rule_id"], alert["subject"]) == ("zone_loss", f"building:{town.building_id}")
    assert "80.0 m³ in, 55.0 m³ at 11 homes, 1 unread" in alert["sentence"]
    assert alert["evidence"]["unread"] == ["M-3"]
    for home in [*homes, check]:
        after = 80_000 if home == check else 5000
        start = 1_000_000 + after * 1000
        rows = [
            (END + timedelta(days=1), start),
            (END + timedelta(days=8), start + (62_000 if home == check else 5000) * 1000),
        ]
        await town.readings(home, rows)
    await day(pool, NOW + timedelta(days=8))
    assert [row[3] for row in await found(conn)] == ["verified"]


async def test_a_check_meter_comes_by_the_registry(
    pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town, tmp_path: Path
) -> None:
    """devices.csv names the place it feeds; an unknown place, or a detector that checks, is refused with its reason."""
    header = "code,kind,gateway,qmin_lh,qmax_lh,pulse_ml,alarm_lel_pct,expected_interval_s,check_of\n"
    rows = [
        "CM-1,meter,GW-D01,100,40000,1000,,86400,compound:D01-C1",
        "CM-2,meter,GW-D01,100,40000,1000,,86400,compound:NOWHERE",
        "LD-9,detector,GW-D01,,,,10,86400,compound:D01-C1",
    ]
    (tmp_path / "devices.csv").write_text(header + "\n".join(rows), "utf-8")
    report = await import_folder(conn, tmp_path, Actor("console:test", "administrator"), NOW)
    assert await conn.fetchval("SELECT check_of FROM device WHERE code = 'CM-1'") == "compound:D01-C1"
    assert [bad.line for bad in sorted(report.bad, key=lambda bad: bad.line)] == [3, 4]
    assert all("check_of" in bad.reason for bad in report.bad)


async def test_a_late_registration_is_watched_within_a_day(
    pool: asyncpg.Pool, conn: asyncpg.Connection, town: Town
) -> None:
    """A device whose id came before others but which committed after them is watched from the next day on."""
    await town.device("M-1")
    later = await town.device("M-2", home=1)
    await insert(conn, "device_watch", "device_id", device_id=later, due_at=NOW)
    await day(pool)
    assert await conn.fetchval("SELECT count(*) FROM device_watch") == 2
