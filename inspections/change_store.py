"""A running day in SQL: what is in force, what changes it, what it becomes; in the caller's transaction."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

import asyncpg

from inspections import store
from inspections.model import Call, Door, Duty, Inspector, Roster, Visit
from inspections.standing import InForce, NextVersion, Placed, RunningRoster
from inspections.wallclock import DAY_S, WallClock
from sql import queries
from sql.errors import NotFound


async def running_duties(conn: asyncpg.Connection, run_id: int, clock: WallClock, at: datetime) -> list[Duty]:
    """Open duties that a change of this day has to do with."""
    bound = queries["duties_of_running_day"].bind(
        run_id=run_id, day=clock.day, at=at, day_from=clock.moment(0), day_to=clock.moment(DAY_S)
    )
    return [Duty(**row) for row in await conn.fetch(*bound)]


async def in_force(
    conn: asyncpg.Connection, run: Mapping[str, Any], staff: Mapping[int, Inspector], clock: WallClock
) -> InForce:
    """The rosters of a run; `staff` holds everybody by id as the day was planned for."""
    run_id = run["run_id"]
    rows = await conn.fetch(*queries["running_visits"].bind(run_id=run_id))
    doors = await store.doors(conn, sorted({row["premises_id"] for row in rows}))
    visits: dict[int, list[Placed]] = defaultdict(list)
    for row in rows:
        visits[row["inspector_id"]].append(_placed(row, doors[row["premises_id"]], clock))
    rosters = tuple(
        RunningRoster(staff[row["inspector_id"]], _roster(row, staff, clock), tuple(visits[row["inspector_id"]]))
        for row in await conn.fetch(*queries["running_rosters"].bind(run_id=run_id))
    )
    return InForce(run_id, run["version"], rosters, {row["visit_id"]: row for row in rows})


def _placed(row: Mapping[str, Any], door: Door, clock: WallClock) -> Placed:
    arrive_s, leave_s = clock.second(row["arrive_at"]), clock.second(row["leave_at"])
    known = Call(door, (), 0, tuple(row["reasons"]), row["mandatory"], frozenset(), leave_s - arrive_s)
    visit = Visit(known, arrive_s, leave_s, row["travel_s"])
    done_s = None if row["done_at"] is None else clock.second(row["done_at"])
    return Placed(row["visit_id"], row["premises_id"], row["building_id"], None, visit, row["done"], done_s)


def _roster(row: Mapping[str, Any], staff: Mapping[int, Inspector], clock: WallClock) -> Roster:
    rest, rest_end = row["break_start_at"], row["break_end_at"]
    return Roster(
        staff[row["inspector_id"]],
        (),
        clock.second(row["leave_at"]),
        clock.second(row["return_at"]),
        None if rest is None else clock.second(rest),
        None if rest_end is None else clock.second(rest_end),
        row["travel_s"],
    )


async def save_next(
    conn: asyncpg.Connection,
    now: InForce,
    made: NextVersion,
    clock: WallClock,
    at: datetime,
    seed: int,
    solver: str,
    figures: Mapping[str, object],
) -> tuple[int, int]:
    """Save the next version of a day: visits move on to it with their ids; returns run id and version."""
    run = await conn.fetchrow(
        *queries["add_run"].bind(day=clock.day, planned_at=at, seed=seed, solver=solver, figures=dict(figures))
    )
    assert run is not None
    run_id: int = run["run_id"]
    rows = [store.roster_row(roster, clock) for roster, _ in made.rosters]
    saved = await conn.fetch(*queries["add_rosters"].bind(run_id=run_id, rows=rows))
    roster_of = {row["inspector_id"]: row["roster_id"] for row in saved}
    moved, new, pairs = [], [], list(made.joined)
    for roster, visits in made.rosters:
        for position, (visit_id, visit) in enumerate(visits, 1):
            place = {"roster_id": roster_of[roster.inspector.inspector_id], "position": position}
            if visit_id is None:
                new.append((visit, store.visit_row(visit, clock) | place))
            elif visit_id in made.frozen:
                times = {"arrive_at": visit.arrive_s, "leave_at": visit.leave_s}
                told = {name: clock.moment(second).isoformat() for name, second in times.items()}
                moved.append(_as_it_was(now.rows[visit_id]) | told | place)
            else:
                moved.append(store.visit_row(visit, clock) | place | {"visit_id": visit_id})
                pairs += [(visit_id, duty.duty_id) for duty in visit.call.duties]
    await conn.execute(*queries["move_visits"].bind(rows=moved))
    added = await conn.fetch(*queries["add_visits"].bind(rows=[row for _, row in new]))
    id_of = {row["premises_id"]: row["visit_id"] for row in added}
    pairs += [(id_of[visit.call.premises_id], duty.duty_id) for visit, _ in new for duty in visit.call.duties]
    await conn.execute(
        *queries["add_missing_visit_duties"].bind(visit_ids=[v for v, _ in pairs], duty_ids=[d for _, d in pairs])
    )
    await conn.execute(*queries["add_visit_versions"].bind(run_id=run_id))
    await store.add_omissions(conn, run_id, made.omissions)
    await conn.execute(*queries["carry_omissions"].bind(run_id=run_id, from_run_id=now.run_id))
    return run_id, run["version"]


def _as_it_was(row: Mapping[str, Any]) -> dict[str, object]:
    moments = ("arrive_at", "leave_at", "promised_from", "promised_to")
    kept = {name: row[name] for name in ("visit_id", "premises_id", "travel_s", "mandatory", "reasons", "chance")}
    return kept | {name: row[name] and row[name].isoformat() for name in moments}


async def add_change(
    conn: asyncpg.Connection,
    day: date,
    body: Mapping[str, Any],
    from_run_id: int,
    run_id: int,
    effect: Mapping[str, Any],
    actor: str,
    at: datetime,
) -> int:
    """Record what changed a day and what it led to."""
    change_id: int = await conn.fetchval(
        *queries["add_change"].bind(
            day=day,
            kind=body["kind"],
            body=dict(body),
            from_run_id=from_run_id,
            run_id=run_id,
            effect=dict(effect),
            actor=actor,
            at=at,
        )
    )
    return change_id


async def changes_of_day(conn: asyncpg.Connection, day: date) -> list[asyncpg.Record]:
    """What changed a day, oldest first."""
    return list(await conn.fetch(*queries["changes_of_day"].bind(day=day)))


async def mandatory_today(conn: asyncpg.Connection, clock: WallClock, at: datetime) -> int:
    """How many mandatory duties due today no roster in force serves or explains, while somebody still works."""
    return int(await conn.fetchval(*queries["mandatory_today"].bind(day=clock.day, at=at, zone=str(clock.zone))))


async def day_missed(conn: asyncpg.Connection, clock: WallClock, at: datetime) -> bool:
    """Tell whether nobody planned the clock's day although days before it were planned and somebody still works."""
    return bool(await conn.fetchval(*queries["day_missed"].bind(day=clock.day, at=at, zone=str(clock.zone))))


async def add_absence(
    conn: asyncpg.Connection,
    code: str,
    kind: str,
    begins_at: datetime,
    ends_at: datetime,
    note: str | None,
    actor: str,
    recorded_at: datetime,
) -> int:
    """Record that somebody does not work for a while; returns whose id it is. Raises NotFound."""
    inspector_id = await conn.fetchval(*queries["known_inspector"].bind(code=code))
    if inspector_id is None:
        raise NotFound(f"inspector {code} does not exist")
    await conn.execute(
        *queries["add_absence"].bind(
            inspector_id=inspector_id,
            kind=kind,
            begins_at=begins_at,
            ends_at=ends_at,
            note=note,
            actor=actor,
            recorded_at=recorded_at,
        )
    )
    return int(inspector_id)


async def inspector_of_visit(conn: asyncpg.Connection, visit_id: int, run_id: int) -> int:
    """Whose visit it is in this run; raises NotFound when it is not of the run."""
    found = await conn.fetchval(*queries["visit_of_running_day"].bind(visit_id=visit_id, run_id=run_id))
    if found is None:
        raise NotFound(f"visit {visit_id} is not on a roster in force on this day")
    return int(found)
