"""Registry of places and inspectors: saved once, changed when it changes, refused with a reason."""

from datetime import date

import asyncpg
import pytest
from pydantic import ValidationError

from inspections.registry import (
    CompoundRow,
    DistrictRow,
    InspectorRow,
    PremisesRow,
    save_compounds,
    save_districts,
    save_inspectors,
    save_premises,
)
from sql.saved import Saved
from tests.service.inspections_rows import home, settle_town, worker


async def test_saving_twice_changes_nothing(conn: asyncpg.Connection) -> None:
    """The same file again is the same district; a changed row is one change."""
    await settle_town(conn, homes=2)
    assert await save_premises(conn, [(2, home(1)), (3, home(2))]) == Saved(same=2)
    moved = home(2).model_copy(update={"tenure": "rented"})
    assert await save_premises(conn, [(2, home(1)), (3, moved)]) == Saved(changed=1, same=1)
    assert await save_inspectors(conn, [(2, worker("I-1", "D01", ("household", "leak")))]) == Saved(same=1)


async def test_districts_in_any_order(conn: asyncpg.Connection) -> None:
    """A child may stand before its parent; an unknown parent and a circle are refused with the column."""
    rows = [
        DistrictRow(code="leaf", name="Leaf", parent="root"),
        DistrictRow(code="root", name="Root"),
        DistrictRow(code="lost", name="Lost", parent="nowhere"),
    ]
    saved = await save_districts(conn, list(enumerate(rows, 2)))
    assert saved == Saved(added=2, refused=((4, "parent: 'nowhere' is not a known district"),))
    circle = await save_districts(conn, [(2, DistrictRow(code="root", name="Root", parent="leaf"))])
    assert circle.refused == ((2, "parent: 'leaf' lies below 'root'"),)


async def test_unknown_reference_and_double_code_are_refused(conn: asyncpg.Connection) -> None:
    """Rows with a wrong reference are named with column and value; the others are saved."""
    await save_districts(conn, [(2, DistrictRow(code="D01", name="East"))])
    good = CompoundRow(code="K1", name="Garden", district="D01", latitude=31.0, longitude=117.0)
    rows = [(2, good), (3, good.model_copy(update={"code": "K2", "district": "D9"})), (4, good)]
    saved = await save_compounds(conn, rows)
    assert saved == Saved(added=1, refused=((3, "district: 'D9' is not known"), (4, "code: 'K1' is already on line 2")))


async def test_import_never_sets_the_last_inspection_back(conn: asyncpg.Connection) -> None:
    """A file older than an outcome does not undo the outcome's date."""
    await settle_town(conn, homes=1)
    await conn.execute("UPDATE premises SET last_entered_on = '2026-11-01'")
    await save_premises(conn, [(2, home(1, date(2024, 1, 1)))])
    assert await conn.fetchval("SELECT last_entered_on FROM premises") == date(2026, 11, 1)


def test_row_reads_csv_strings() -> None:
    """Empty strings are unknown, lists are separated by semicolons, defaults stand where nothing is written."""
    row = PremisesRow.model_validate(
        {"code": "H", "building": "B", "unit": "1", "address": "a", "user_class": "household", "elderly": "true",
         "floor": "", "appliances": "hob; heater", "last_entered_on": "2025-02-28"}
    )  # fmt: skip
    assert (row.elderly, row.floor, row.appliances, row.special_care) == (True, None, ("hob", "heater"), None)
    strings = {"code": "I", "name": "n", "area": "D", "skills": "household;leak", "start_latitude": "31",
               "start_longitude": "117", "shift_start": "08:30", "shift_end": "16:30", "break_minutes": ""}  # fmt: skip
    assert InspectorRow.model_validate(strings).break_minutes == 30
    with pytest.raises(ValidationError, match="shift_end must be after shift_start"):
        InspectorRow.model_validate(strings | {"shift_end": "08:00"})
