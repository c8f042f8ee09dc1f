"""What reports of one door say together, whichever came first: cases about a door that did not open, hazards."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

import asyncpg

from inspections.access_cases import Try, WantedCase, wanted_cases
from inspections.cases import deadlines, load_cases
from inspections.duties import NewDuty
from inspections.hazard_episodes import DoorVisit, FoundHazard, Key, KnownHazard, Told, retell
from inspections.hazards import HazardCatalogue
from inspections.outcome_store import PlannedVisit
from inspections.outcomes import Decision, recheck_of
from inspections.params import RosterParams
from inspections.request_store import open_case
from inspections.store import open_duties
from inspections.wallclock import local_day
from sql import queries

_KINDS = ("no_access", "refused")


async def settle_cases(
    conn: asyncpg.Connection,
    visit: PlannedVisit,
    tried: Try | None,
    at: datetime,
    attempts_max: int,
    params: RosterParams,
    received_at: datetime,
) -> list[int]:
    """Open what the door's last run of visits calls for, end what it does not; returns the ids of cases opened.

    `tried`: the visit being reported, which is not recorded yet, or None when it got in at `at`.
    """
    door = visit.premises_id
    if tried is None:
        said = f"somebody got in on {local_day(at, params.zone).isoformat()}"
        ending = queries["end_access_cases"].bind(premises_id=door, entered_at=at, at=received_at, said=said)
        await conn.execute(*ending)
    entered_at = at if tried is None else None
    rows = await conn.fetch(*queries["unentered_run"].bind(premises_id=door, entered_at=entered_at))
    entered_last = await conn.fetchval(*queries["entered_last"].bind(premises_id=door))
    run = [Try(**row) for row in rows]
    if tried is not None and (entered_last is None or tried.at > entered_last):
        run.append(tried)
    wanted = wanted_cases(run, attempts_max)
    gone = sorted(set(_KINDS) - {one.kind for one in wanted})
    if tried is None and gone:
        said = f"somebody got in on {local_day(at, params.zone).isoformat()}: fewer visits in a row did not"
        ending = queries["withdraw_access_cases"].bind(premises_id=door, kinds=gone, at=received_at, said=said)
        await conn.execute(*ending)
    opened = [await _open_first(conn, visit, [one for one in wanted if one.kind == kind], params) for kind in _KINDS]
    return [case_id for case_id in opened if case_id is not None]


async def _open_first(
    conn: asyncpg.Connection, visit: PlannedVisit, wanted: list[WantedCase], params: RosterParams
) -> int | None:
    """Open the case of the first visit that calls for it and that nobody has settled since."""
    if not wanted:
        return None
    settled = queries["case_settled_at"].bind(premises_id=visit.premises_id, kind=wanted[0].kind)
    settled_at = await conn.fetchval(*settled)
    first = next((one for one in wanted if settled_at is None or one.at > settled_at), None)
    if first is None:
        return None
    day = local_day(first.at, params.zone).isoformat()
    title = (
        f"entry refused on {day}"
        if first.kind == "refused"
        else f"{first.attempt} visits in a row did not get in, the last on {day}"
    )
    catalogue = load_cases(params.cases_file)
    case_id = await open_case(
        conn, catalogue, first.kind, visit.premises_id, visit.area, title, "inspections", first.at
    )
    if case_id is None:
        plan_by, close_by = deadlines(catalogue.of(first.kind), first.at)
        correcting = queries["correct_case"].bind(
            premises_id=visit.premises_id,
            kind=first.kind,
            title=title,
            opened_at=first.at,
            plan_by=plan_by,
            close_by=close_by,
        )
        await conn.execute(*correcting)
    return case_id


async def settle_hazards(
    conn: asyncpg.Connection,
    visit: PlannedVisit,
    outcome_id: int,
    decision: Decision,
    at: datetime,
    catalogue: HazardCatalogue,
    params: RosterParams,
    received_at: datetime,
) -> None:
    """Close what the visit's re-checks proved gone, then make the door's hazards what all its visits together tell."""
    closing = queries["close_rechecked"]
    await conn.execute(
        *closing.bind(hazard_ids=list(decision.rechecked), outcome_id=outcome_id, at=at, received_at=received_at)
    )
    door = visit.premises_id
    visits = [_door_visit(row) for row in await conn.fetch(*queries["hazard_visits"].bind(premises_id=door))]
    rows = await conn.fetch(*queries["recorded_hazards"].bind(premises_id=door))
    known = [KnownHazard(key=(row["code"], row["grade"]), **_without(row, "code", "grade")) for row in rows]
    for told in retell(visits, known):
        found_on = local_day(told.found_at, params.zone)
        if told.hazard_id is None:
            await _add(conn, door, told, catalogue, found_on, received_at)
        else:
            await _correct(conn, told.hazard_id, told, catalogue, found_on, received_at)
    await conn.execute(*queries["void_rectifications"].bind(premises_id=door, received_at=received_at))
    await conn.execute(*queries["settle_recheck_days"].bind(premises_id=door))


def _door_visit(row: asyncpg.Record) -> DoorVisit:
    found: dict[Key, FoundHazard] = {
        (one["code"], one["grade"]): FoundHazard(**one | {"due_on": date.fromisoformat(one["due_on"])})
        for one in row["found"]
    }
    return DoorVisit(found=found, **_without(row, "found"))


def _without(row: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in names}


async def _add(
    conn: asyncpg.Connection,
    premises_id: int,
    told: Told,
    catalogue: HazardCatalogue,
    found_on: date,
    received_at: datetime,
) -> None:
    """Record a hazard, and the re-check that its grade asks for while it lasts."""
    adding = queries["add_hazard"].bind(
        premises_id=premises_id,
        outcome_id=told.outcome_id,
        code=told.found.code,
        grade=told.found.grade,
        found_at=told.found_at,
        due_on=told.found.due_on,
        note=told.found.note,
        closed_outcome_id=told.closed_outcome_id,
        closed_at=told.closed_at,
    )
    hazard_id: int = await conn.fetchval(*adding)
    recheck = recheck_of(told.found, catalogue, found_on)
    if recheck is not None and told.closed_at is None:
        duty = NewDuty(
            premises_id, "recheck", recheck.due_on, recheck.mandatory, recheck.reason,
            hazard_id=hazard_id, not_before=recheck.not_before,
        )  # fmt: skip
        await open_duties(conn, [duty], received_at)


async def _correct(
    conn: asyncpg.Connection,
    hazard_id: int,
    told: Told,
    catalogue: HazardCatalogue,
    found_on: date,
    received_at: datetime,
) -> None:
    """Make a recorded hazard as old and as long as told; its open re-check follows."""
    correcting = queries["correct_hazard"].bind(
        hazard_id=hazard_id,
        outcome_id=told.outcome_id,
        found_at=told.found_at,
        due_on=told.found.due_on,
        note=told.found.note,
        closed_outcome_id=told.closed_outcome_id,
        closed_at=told.closed_at,
    )
    await conn.execute(*correcting)
    recheck = recheck_of(told.found, catalogue, found_on)
    if recheck is not None:
        telling = queries["retell_recheck"]
        await conn.execute(*telling.bind(hazard_id=hazard_id, not_before=recheck.not_before, reason=recheck.reason))
    if told.closed_at is not None:
        ending = queries["end_recheck"]
        await conn.execute(
            *ending.bind(hazard_id=hazard_id, outcome_id=told.closed_outcome_id, received_at=received_at)
        )
