"""Reads and writes the rota; every function takes a connection and joins the caller's transaction."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import asyncpg

from rules.rota import coverage
from rules.rota.model import Gap, Shift
from sql import queries
from sql.errors import NotFound


@dataclass(frozen=True, slots=True)
class Districts:
    """The city's districts: each with itself and all above it, and those that have none below."""

    above: Mapping[str, frozenset[str]]
    leaves: tuple[str, ...]


async def on_duty_at(conn: asyncpg.Connection, area: str, at: datetime) -> dict[int, tuple[str, ...]]:
    """Accounts on duty for a district at a moment, by level."""
    found: dict[int, list[str]] = defaultdict(list)
    for row in await conn.fetch(*queries["on_duty"].bind(area=area, at=at)):
        found[row["level"]].append(row["account"])
    return {level: tuple(accounts) for level, accounts in found.items()}


async def shifts_between(conn: asyncpg.Connection, since: datetime, until: datetime) -> list[Shift]:
    """Shifts planned or going on between two moments."""
    return [shift_of(row) for row in await conn.fetch(*queries["shifts_between"].bind(since=since, until=until))]


async def gaps_between(conn: asyncpg.Connection, since: datetime, until: datetime, levels: int) -> list[Gap]:
    """Gaps of the levels that must be covered, by district."""
    city = await districts(conn)
    shifts = await shifts_between(conn, since, until)
    return [
        gap
        for level in range(1, levels + 1)
        for gap in coverage.gaps(shifts, city.leaves, city.above, level, since, until)
    ]


def shift_of(row: Mapping[str, Any]) -> Shift:
    """A shift from its row."""
    return Shift(
        row["shift_id"],
        row["account"],
        row["level"],
        None if row["areas"] is None else frozenset(row["areas"]),
        row["starts_at"],
        row["ends_at"],
        row["taken_at"],
        row["relieved_at"],
    )


async def districts(conn: asyncpg.Connection) -> Districts:
    """The tree of districts."""
    rows = await conn.fetch(*queries["districts_above"].bind())
    above = {row["code"]: frozenset(row["above"]) for row in rows}
    return Districts(above, tuple(row["code"] for row in rows if row["leaf"]))


async def rota_is_used(conn: asyncpg.Connection) -> bool:
    """Whether there has ever been a shift: without any, nobody keeps a rota and there are no gaps in it."""
    return bool(await conn.fetchval(*queries["rota_is_used"].bind()))


async def lock_shift(conn: asyncpg.Connection, shift_id: int) -> Shift:
    """A shift that was not called off, locked; raises NotFound."""
    row = await conn.fetchrow(*queries["lock_shift"].bind(shift_id=shift_id))
    if row is None:
        raise NotFound(f"no shift {shift_id}")
    return shift_of(row)


async def open_alerts_of(
    conn: asyncpg.Connection, areas: Sequence[str] | None, count: int = 200
) -> list[dict[str, Any]]:
    """What is open in some districts and all below them, the gravest first."""
    rows = await conn.fetch(*queries["open_alerts_of_areas"].bind(areas=areas, count=count))
    return [dict(row) for row in rows]


async def last_reach_round(conn: asyncpg.Connection, night: date) -> int:
    """The newest round of reach tests of a night; 0 when there was none."""
    return int(await conn.fetchval(*queries["last_reach_round"].bind(night=night)) or 0)


async def reach_results(conn: asyncpg.Connection, nights: int) -> list[asyncpg.Record]:
    """The reach tests of the newest nights, newest first."""
    return await conn.fetch(*queries["reach_results"].bind(nights=nights))  # type: ignore[no-any-return]


async def handovers(conn: asyncpg.Connection, count: int) -> list[asyncpg.Record]:
    """The newest hand-overs."""
    return await conn.fetch(*queries["list_handovers"].bind(count=count))  # type: ignore[no-any-return]
