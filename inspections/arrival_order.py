"""What reports of one door say together, whichever came first: the cases about a door that did not open."""

from datetime import datetime

import asyncpg

from inspections.access_cases import Try, WantedCase, wanted_cases
from inspections.cases import load_cases
from inspections.outcome_store import PlannedVisit
from inspections.params import RosterParams
from inspections.request_store import open_case
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
    return await open_case(conn, catalogue, first.kind, visit.premises_id, visit.area, title, "inspections", first.at)
