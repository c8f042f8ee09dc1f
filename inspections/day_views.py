"""What people ask about a planned day, in SQL: versions, and all that is known of one door."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta

import asyncpg

from inspections import store, views
from inspections.campaign_store import campaign_week
from inspections.cycle import DoorFacts, load_cycles, next_due
from inspections.params import RosterParams
from inspections.wallclock import local_day
from inspections.why import Known
from sql import queries
from sql.actor import Actor
from sql.errors import NotFound


async def version_lines(conn: asyncpg.Connection, day: date, version: int, actor: Actor) -> list[asyncpg.Record]:
    """What a version said of its visits, within the caller's areas; raises NotFound."""
    run = await conn.fetchrow(*queries["run_of_version"].bind(day=day, version=version))
    if run is None:
        raise NotFound(f"{day.isoformat()} has no version {version}")
    return list(await conn.fetch(*queries["lines_of_run"].bind(run_id=run["run_id"], areas=actor.area_list())))


async def omission_reasons(
    conn: asyncpg.Connection, day: date, version: int, premises: Sequence[str]
) -> dict[str, str]:
    """Why a version left these doors out."""
    run = await conn.fetchrow(*queries["run_of_version"].bind(day=day, version=version))
    if run is None:
        return {}
    rows = await conn.fetch(*queries["omission_reasons"].bind(run_id=run["run_id"], premises=list(premises)))
    return {row["premises"]: f"{row['constraint']}: {row['reason']}" for row in rows}


async def visit_holder(conn: asyncpg.Connection, visit_id: int) -> asyncpg.Record | None:
    """Whose visit it is and in which district its door lies."""
    return await conn.fetchrow(*queries["visit_holder"].bind(visit_id=visit_id))


async def duty_within(conn: asyncpg.Connection, duty_id: int, actor: Actor) -> bool:
    """Tell whether a duty lies within the caller's areas."""
    found = await conn.fetchval(*queries["duty_within"].bind(duty_id=duty_id, areas=actor.area_list()))
    return found is not None


async def area_of_inspector(conn: asyncpg.Connection, code: str) -> str | None:
    """The area of an inspector, None when there is none of this code."""
    area: str | None = await conn.fetchval(*queries["area_of_inspector"].bind(code=code))
    return area


async def known_of_door(
    conn: asyncpg.Connection, code: str, day: date | None, params: RosterParams, at: datetime, actor: Actor
) -> Known:
    """All that is known of a door on a day; without a day, on the next one with rosters, else tomorrow."""
    door = await views.premises_by_code(conn, code, actor)
    today = local_day(at, params.zone)
    chosen = day or await conn.fetchval(*queries["next_planned_day"].bind(from_day=today)) or today + timedelta(days=1)
    run = await store.newest_run(conn, chosen)
    visits = await conn.fetch(
        *queries["visits_in_force"].bind(premises_id=door["premises_id"], from_day=min(today, chosen))
    )
    on_day = sorted(
        (visit for visit in visits if visit["day"] == chosen), key=lambda visit: visit["result"] is not None
    )
    earlier = [
        visit for visit in visits if visit["day"] < chosen and visit["result"] is None and visit["leave_at"] > at
    ]
    omission = None
    if run is not None:
        omission = await conn.fetchrow(
            *queries["omission_of_door"].bind(run_id=run["run_id"], premises_id=door["premises_id"])
        )
    duties = await conn.fetch(*queries["open_duties_of_door"].bind(premises_id=door["premises_id"]))
    cycles = load_cycles(params.cycles_file)
    above = await conn.fetchval(*queries["areas_above"].bind(code=door["area"]))
    cycle = cycles.of(DoorFacts(areas_above=frozenset(above), **{name: door[name] for name in _FACTS}), today)
    return Known(
        premises=code,
        day=chosen,
        run=run,
        visit=on_day[0] if on_day else None,
        earlier_visit=earlier[0] if earlier else None,
        omission=omission,
        duties=duties,
        next_due=next_due(cycle, door["last_entered_on"], today),
        horizon_days=params.horizon_days,
        campaign_week=await campaign_week(conn, code, chosen),
    )


_FACTS = ("user_class", "built_year", "tenure", "elderly", "special_care")
