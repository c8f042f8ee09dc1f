"""What people read, in SQL: rosters, omissions, a door's history, lists of duties."""

from datetime import date

import asyncpg

from sql import queries
from sql.actor import Actor
from sql.errors import NotFound


async def rosters_of_run(
    conn: asyncpg.Connection, run_id: int, inspector: str | None, actor: Actor
) -> list[asyncpg.Record]:
    """Rosters of a run within the caller's areas; of one inspector when named."""
    return list(
        await conn.fetch(*queries["rosters_of_run"].bind(run_id=run_id, inspector=inspector, areas=actor.area_list()))
    )


async def visits_of_rosters(
    conn: asyncpg.Connection, roster_ids: list[int], actor: Actor
) -> dict[int, list[dict[str, object]]]:
    """The visits of rosters by roster id, in order, within the caller's areas."""
    visits: dict[int, list[dict[str, object]]] = {roster_id: [] for roster_id in roster_ids}
    for row in await conn.fetch(*queries["visits_of_rosters"].bind(roster_ids=roster_ids, areas=actor.area_list())):
        visit = dict(row)
        visits[visit.pop("roster_id")].append(visit)
    return visits


async def known_inspector(conn: asyncpg.Connection, code: str) -> bool:
    """Tell whether an inspector of this code exists."""
    return await conn.fetchval(*queries["known_inspector"].bind(code=code)) is not None


async def omissions_of_run(
    conn: asyncpg.Connection, run_id: int, actor: Actor, binding: str | None, after: str | None, limit_rows: int
) -> list[asyncpg.Record]:
    """A page of the doors left out of a run, by premises code."""
    return list(
        await conn.fetch(
            *queries["omissions_of_run"].bind(
                run_id=run_id, areas=actor.area_list(), binding=binding, after=after, limit_rows=limit_rows
            )
        )
    )


async def premises_by_code(conn: asyncpg.Connection, code: str, actor: Actor) -> asyncpg.Record:
    """One door within the caller's areas; raises NotFound."""
    row = await conn.fetchrow(*queries["premises_by_code"].bind(code=code, areas=actor.area_list()))
    if row is None:
        raise NotFound(f"premises {code} does not exist")
    return row


async def history(conn: asyncpg.Connection, premises_id: int) -> dict[str, list[asyncpg.Record]]:
    """Duties, visits, hazards and alerts of a door, newest first."""
    parts = {
        "duties": queries["duties_of_premises"],
        "visits": queries["visits_of_premises"],
        "hazards": queries["hazards_of_premises"],
        "alerts": queries["alerts_of_premises"],
    }
    return {part: list(await conn.fetch(*query.bind(premises_id=premises_id))) for part, query in parts.items()}


async def duties_page(
    conn: asyncpg.Connection,
    actor: Actor,
    *,
    state: str,
    kind: str | None,
    due_by: date | None,
    after: tuple[date, int] | None,
    limit_rows: int,
) -> list[asyncpg.Record]:
    """A page of duties by due day, within the caller's areas."""
    after_due_on, after_duty_id = after or (None, None)
    return list(
        await conn.fetch(
            *queries["duties_page"].bind(
                state=state,
                kind=kind,
                due_by=due_by,
                areas=actor.area_list(),
                after_due_on=after_due_on,
                after_duty_id=after_duty_id,
                limit_rows=limit_rows,
            )
        )
    )
