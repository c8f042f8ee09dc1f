"""A simulated city's registry files, imported by the product."""

from datetime import UTC, datetime
from pathlib import Path

import asyncpg

from app.importer import import_folder
from simulator.city import CityParams, build_city
from simulator.registry import write_registry
from sql.actor import Actor

NOW = datetime(2026, 11, 20, 6, 30, tzinfo=UTC)


async def test_a_simulated_city_is_imported_without_a_bad_row(conn: asyncpg.Connection, tmp_path: Path) -> None:
    """Every row of every file is saved; a second import finds all the same."""
    city = build_city(CityParams(now=NOW, homes=150))
    write_registry(city, tmp_path)
    actor = Actor("importer", "administrator", None)
    report = await import_folder(conn, tmp_path, actor, NOW, strict=True)
    assert report.bad == []
    assert {one.file: one.added for one in report.files}["devices.csv"] == len(city.devices)
    again = await import_folder(conn, tmp_path, actor, NOW, strict=True)
    assert all(one.same == one.rows for one in again.files)
