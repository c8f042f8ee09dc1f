"""Writes a city as the registry CSV files that `gaswarden import registry` reads."""

import csv
from collections.abc import Iterable
from dataclasses import fields
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

from simulator.model import (
    Building,
    City,
    Compound,
    Device,
    District,
    Gateway,
    Inspector,
    Installation,
    Premises,
)

FILES: dict[str, type[Any]] = {
    "districts": District,
    "compounds": Compound,
    "buildings": Building,
    "premises": Premises,
    "gateways": Gateway,
    "devices": Device,
    "installations": Installation,
    "inspectors": Inspector,
}


def write_registry(city: City, directory: Path) -> tuple[Path, ...]:
    """Write one CSV file per kind of record, in the order they are imported; an empty cell is unknown."""
    directory.mkdir(parents=True, exist_ok=True)
    return tuple(_write(directory / f"{name}.csv", kind, getattr(city, name)) for name, kind in FILES.items())


def _write(path: Path, kind: type[Any], records: Iterable[Any]) -> Path:
    columns = [column.name for column in fields(kind)]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([_cell(getattr(record, column)) for column in columns] for record in records)
    return path


def _cell(value: object) -> str:
    """A value as the importer reads it: RFC 3339 moments in UTC, `;` between list items, empty for unknown."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case time():
            return value.strftime("%H:%M")
        case date():
            return value.isoformat()
        case tuple():
            return ";".join(value)
        case float():
            return f"{value:g}" if abs(value) >= 1000 else repr(value)
        case _:
            return str(value)
