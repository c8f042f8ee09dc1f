"""Registry files of the places and the inspectors: rows as CSV columns, and savers that upsert by code.

A saver refuses rows whose references do not exist, with column and value, and saves the others; saving twice changes
nothing.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import date, time
from typing import Annotated, Any, Literal

import asyncpg
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from inspections.model import UserClass
from sql import queries
from sql.saved import Saved

Code = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")]
_CHUNK_ROWS = 5_000


def _listed(value: object) -> object:
    """A list-valued column is separated by semicolons."""
    return tuple(part.strip() for part in value.split(";") if part.strip()) if isinstance(value, str) else value


Listed = Annotated[tuple[str, ...], BeforeValidator(_listed)]
Latitude = Annotated[float, Field(ge=-90, le=90)]
Longitude = Annotated[float, Field(ge=-180, le=180)]


class Row(BaseModel):
    """A row of a registry file: strings from CSV, an empty string means unknown."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    @model_validator(mode="before")
    @classmethod
    def _drop_empty(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        return {key: value for key, value in values.items() if not (isinstance(value, str) and not value.strip())}


class DistrictRow(Row):
    """districts.csv: a node of the city's tree."""

    code: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    name: str
    parent: str | None = None


class CompoundRow(Row):
    """compounds.csv: an estate or block of streets."""

    code: Code
    name: str
    district: str
    latitude: Latitude
    longitude: Longitude


class BuildingRow(Row):
    """buildings.csv."""

    code: Code
    name: str
    compound: str
    latitude: Latitude
    longitude: Longitude
    built_year: int | None = Field(None, ge=1800, le=2200)
    floors: int | None = Field(None, ge=1, le=200)


class PremisesRow(Row):
    """premises.csv: one door; columns that raise risk may be empty."""

    code: Code
    building: str
    unit: str
    floor: int | None = Field(None, ge=-20, le=200)
    address: str
    user_class: UserClass
    tenure: Literal["owner", "rented", "vacant"] | None = None
    elderly: bool | None = None
    special_care: bool | None = None
    appliances: Listed | None = None
    hose_installed_on: date | None = None
    pipe_installed_on: date | None = None
    last_entered_on: date | None = None
    contact_name: str | None = None
    contact_phone: str | None = None


class InspectorRow(Row):
    """inspectors.csv: times are local to the city."""

    code: Code
    name: str
    area: str
    skills: Listed = ()
    start_latitude: Latitude
    start_longitude: Longitude
    shift_start: time
    shift_end: time
    break_minutes: int = Field(30, ge=0, le=240)
    break_after: time = time(11, 30)
    break_before: time = time(13, 30)
    station: str | None = Field(None, max_length=64)
    end_latitude: Latitude | None = None
    end_longitude: Longitude | None = None

    @model_validator(mode="after")
    def _in_order(self) -> "InspectorRow":
        if self.shift_end <= self.shift_start:
            raise ValueError("shift_end must be after shift_start")
        if self.break_before < self.break_after:
            raise ValueError("break_before must not be earlier than break_after")
        if (self.end_latitude is None) != (self.end_longitude is None):
            raise ValueError("end_latitude and end_longitude are given together or not at all")
        return self


Saver = Callable[[asyncpg.Connection, list[tuple[int, Any]]], Awaitable[Saved]]
Refused = tuple[int, str]


async def save_districts(conn: asyncpg.Connection, rows: list[tuple[int, DistrictRow]]) -> Saved:
    """Save the tree, parents before children whatever the order of the file; refuses unknown parents and circles."""
    parent_of = {row["code"]: row["parent"] for row in await conn.fetch(*queries["district_tree"].bind())}
    waiting, refused = _once(rows)
    added = changed = same = 0
    progress = True
    while waiting and progress:
        ready = [(line, row) for line, row in waiting if row.parent is None or row.parent in parent_of]
        waiting = [pair for pair in waiting if pair not in ready]
        progress = bool(ready)
        for line, row in ready:
            if _makes_circle(parent_of, row):
                refused.append((line, f"parent: {row.parent!r} lies below {row.code!r}"))
                continue
            parent_of[row.code] = row.parent
            was_added = await save_district(conn, row)
            added, changed, same = (
                added + (was_added is True),
                changed + (was_added is False),
                same + (was_added is None),
            )
    refused += [(line, f"parent: {row.parent!r} is not a known district") for line, row in waiting]
    return Saved(added, changed, same, tuple(sorted(refused)))


async def save_district(conn: asyncpg.Connection, row: DistrictRow) -> bool | None:
    """Add or change one district; True when added, False when changed, None when it was the same."""
    added: bool | None = await conn.fetchval(*queries["save_district"].bind(**row.model_dump()))
    return added


def _makes_circle(parent_of: Mapping[str, str | None], row: DistrictRow) -> bool:
    above = row.parent
    while above is not None:
        if above == row.code:
            return True
        above = parent_of.get(above)
    return False


async def save_compounds(conn: asyncpg.Connection, rows: list[tuple[int, CompoundRow]]) -> Saved:
    """Save compounds of known districts."""
    return await _save(conn, rows, "district", "known_districts", "upsert_compounds")


async def save_buildings(conn: asyncpg.Connection, rows: list[tuple[int, BuildingRow]]) -> Saved:
    """Save buildings of known compounds."""
    return await _save(conn, rows, "compound", "known_compounds", "upsert_buildings")


async def save_premises(conn: asyncpg.Connection, rows: list[tuple[int, PremisesRow]]) -> Saved:
    """Save doors of known buildings; never sets `last_entered_on` back."""
    return await _save(conn, rows, "building", "known_buildings", "upsert_premises")


async def save_inspectors(conn: asyncpg.Connection, rows: list[tuple[int, InspectorRow]]) -> Saved:
    """Save inspectors of known districts."""
    return await _save(conn, rows, "area", "known_districts", "upsert_inspectors")


async def _save(
    conn: asyncpg.Connection, rows: Sequence[tuple[int, Row]], column: str, known: str, upsert: str
) -> Saved:
    """Refuse rows whose reference in `column` is unknown, upsert the others in chunks, count what changed."""
    unique, refused = _once(rows)
    wanted = sorted({getattr(row, column) for _, row in unique})
    codes = {row["code"] for row in await conn.fetch(*queries[known].bind(codes=wanted))}
    kept = [row for _, row in unique if getattr(row, column) in codes]
    refused += [
        (line, f"{column}: {getattr(row, column)!r} is not known")
        for line, row in unique
        if getattr(row, column) not in codes
    ]
    added = changed = 0
    for chunk in _chunks([row.model_dump(mode="json") for row in kept]):
        saved = await conn.fetch(*queries[upsert].bind(rows=chunk))
        added += sum(row["added"] for row in saved)
        changed += sum(not row["added"] for row in saved)
    return Saved(added, changed, len(kept) - added - changed, tuple(sorted(refused)))


def _chunks(rows: Sequence[dict[str, Any]]) -> Iterable[list[dict[str, Any]]]:
    return (list(rows[at : at + _CHUNK_ROWS]) for at in range(0, len(rows), _CHUNK_ROWS))


def _once(rows: Sequence[tuple[int, Any]]) -> tuple[list[tuple[int, Any]], list[Refused]]:
    """Of rows with the same code the first counts; the others are refused."""
    first: dict[str, int] = {}
    kept, refused = [], []
    for line, row in rows:
        if row.code in first:
            refused.append((line, f"code: {row.code!r} is already on line {first[row.code]}"))
        else:
            first[row.code] = line
            kept.append((line, row))
    return kept, refused


REGISTRY: tuple[tuple[str, type[BaseModel], Saver], ...] = (
    ("districts.csv", DistrictRow, save_districts),
    ("compounds.csv", CompoundRow, save_compounds),
    ("buildings.csv", BuildingRow, save_buildings),
    ("premises.csv", PremisesRow, save_premises),
    ("inspectors.csv", InspectorRow, save_inspectors),
)
