"""A roster in the format that was asked for."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any, Literal
from zoneinfo import ZoneInfo

import asyncpg

from inspections.answers import OneRosterAnswer
from inspections.model import Point
from inspections.printing.calendar import roster_calendar
from inspections.printing.geojson import roster_geojson
from inspections.printing.paper import FontMissing
from inspections.printing.roster_sheet import roster_pdf
from inspections.printing.words import LANGUAGES
from inspections.sheet import roster_csv
from sql import queries
from sql.actor import Actor
from sql.errors import Conflict

RosterFormat = Literal["json", "csv", "geojson", "ical", "pdf"]
SheetLanguage = Literal["en", "zh", "both"]
_MEDIA: Mapping[str, tuple[str, str]] = {
    "json": ("application/json", "json"),
    "csv": ("text/csv", "csv"),
    "geojson": ("application/geo+json", "geojson"),
    "ical": ("text/calendar", "ics"),
    "pdf": ("application/pdf", "pdf"),
}


@dataclass(frozen=True, slots=True)
class RosterSurroundings:
    """What a roster as a file needs beside the roster: where the day begins and ends, doors no longer on it."""

    start: Point
    end: Point
    dropped: tuple[asyncpg.Record, ...]


@dataclass(frozen=True, slots=True)
class RosterFile:
    """A file with its media type and a name to keep it under."""

    content: bytes
    media_type: str
    name: str


async def roster_surroundings(
    conn: asyncpg.Connection, day: date, run_id: int, inspector: str, actor: Actor
) -> RosterSurroundings:
    """Read what a file of a roster needs beside it, within the caller's areas."""
    ends: Mapping[str, Any] = await conn.fetchrow(*queries["ends_of_day"].bind(inspector=inspector))
    dropped = await conn.fetch(
        *queries["doors_dropped"].bind(day=day, run_id=run_id, inspector=inspector, areas=actor.area_list())
    )
    start = Point(ends["start_latitude"], ends["start_longitude"])
    return RosterSurroundings(start, Point(ends["end_latitude"], ends["end_longitude"]), tuple(dropped))


async def roster_file(
    roster: OneRosterAnswer,
    around: RosterSurroundings,
    wanted: RosterFormat,
    zone: ZoneInfo,
    language: SheetLanguage = "both",
) -> RosterFile:
    """The roster as a file; made beside the event loop. `language` is that of paper and calendar.

    Raises Conflict when it needs a font that is not installed.
    """
    media_type, ending = _MEDIA[wanted]
    try:
        content = await asyncio.to_thread(partial(_content, roster, around, wanted, zone, language))
    except FontMissing as missing:
        raise Conflict(str(missing)) from missing
    return RosterFile(content, media_type, f"roster-{roster.day.isoformat()}-{roster.inspector}.{ending}")


def _content(
    roster: OneRosterAnswer, around: RosterSurroundings, wanted: RosterFormat, zone: ZoneInfo, language: SheetLanguage
) -> bytes:
    if wanted == "csv":
        return roster_csv(roster, zone).encode()
    if wanted == "geojson":
        return roster_geojson(roster, around.start, around.end).encode()
    if wanted == "ical":
        dropped = [(row["premises"], row["arrive_at"], row["leave_at"]) for row in around.dropped]
        return roster_calendar(roster, dropped, zone, LANGUAGES[language])
    if wanted == "pdf":
        return roster_pdf(roster, around.start, around.end, zone, LANGUAGES[language])
    return roster.model_dump_json(indent=2).encode()
