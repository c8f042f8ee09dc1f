"""Plans the campaign: load doors, crews and calendar, plan apart from the event loop, save, in one transaction."""

import asyncio
import io
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
import polars as pl
import structlog

from inspections import campaign_doors as doors_of
from inspections import store
from inspections.access_rates import AccessRates
from inspections.access_store import access_rates
from inspections.campaign import plan_campaign
from inspections.campaign_doors import DOORS, Absent, Work
from inspections.campaign_model import Campaign, Crew, Estate
from inspections.cycle import Cycles, load_cycles
from inspections.model import Inspector
from inspections.params import RosterParams
from inspections.wallclock import WallClock, local_day
from sql import audit, queries
from sql.actor import INSPECTIONS, Actor
from sql.pool import DATABASE_LOST

log = structlog.get_logger()
_LOOK_S = 300.0


@dataclass(frozen=True, slots=True)
class Planned:
    """A campaign as saved."""

    campaign_id: int
    first_day: date
    days: int
    figures: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Material:
    """Everything one planning of the year needs."""

    first_day: date
    doors: pl.DataFrame
    inspectors: Sequence[Inspector]
    absent: Sequence[Absent]
    above: Mapping[str, frozenset[str]]
    rates: AccessRates
    cycles: Cycles


async def plan_year(
    pool: asyncpg.Pool, params: RosterParams, first_day: date, at: datetime, actor: Actor = INSPECTIONS
) -> Planned:
    """Plan the campaign from a day on and put it in force; the ones before are kept."""
    begun = time.perf_counter()
    async with pool.acquire() as conn, conn.transaction():
        await conn.execute(*queries["lock_campaign"].bind())
        material = await _load(conn, params, first_day, at)
        campaign, figures = await asyncio.to_thread(make, material, params)
        figures["seconds"] = round(time.perf_counter() - begun, 1)
        campaign_id = await _save(conn, campaign, params, figures, at, actor)
        details = {"first_day": first_day.isoformat(), "days": campaign.days}
        await audit.record(conn, actor, "campaign.plan", f"campaign:{campaign_id}", details, at)
    log.info("campaign planned", campaign_id=campaign_id, first_day=first_day.isoformat(), **figures)
    return Planned(campaign_id, first_day, campaign.days, figures)


async def issue_notices(pool: asyncpg.Pool, params: RosterParams, at: datetime) -> int:
    """Issue the notices of compounds whose visits are near enough; returns how many."""
    async with pool.acquire() as conn:
        issued = await conn.fetch(
            *queries["issue_compound_notices"].bind(
                by_day=local_day(at, params.zone), notice_days=params.campaign.notice_days, at=at
            )
        )
    return len(issued)


async def is_stale(pool: asyncpg.Pool, params: RosterParams, at: datetime) -> bool:
    """Whether the campaign in force is older than it may get; False when none was ever planned."""
    async with pool.acquire() as conn:
        row = await conn.fetchrow(*queries["newest_campaign"].bind())
    return row is not None and at - row["planned_at"] >= timedelta(days=params.campaign.replan_days)


async def run(pool: asyncpg.Pool, params: RosterParams) -> None:
    """Keep the campaign fresh and issue notices until cancelled; survives the loss of the database.

    Nothing is planned before somebody planned a first campaign: a city that wants none is left alone.
    """
    lost = False
    while True:
        try:
            await keep_campaign(pool, params, datetime.now(UTC))
            if lost:
                log.info("database is back", service="campaign")
            lost = False
        except DATABASE_LOST as error:
            if not lost:
                log.warning("database lost", service="campaign", error=repr(error))
            lost = True
        await asyncio.sleep(_LOOK_S)


async def keep_campaign(pool: asyncpg.Pool, params: RosterParams, at: datetime) -> None:
    """Plan the campaign anew when it is stale, from tomorrow on, and issue the notices that are due."""
    if await is_stale(pool, params, at):
        await plan_year(pool, params, local_day(at, params.zone) + timedelta(days=1), at)
    await issue_notices(pool, params, at)


def make(material: Material, params: RosterParams) -> tuple[Campaign, dict[str, Any]]:
    """The campaign of what was loaded, and its figures; takes a minute for a city, so not on the event loop."""
    rules, days = params.campaign, params.campaign.days
    due = doors_of.due_doors(material.doors, material.cycles, material.above, material.first_day, days)
    work = Work(params.service_s, params.between_flats_s, material.cycles.no_access.attempts_max)
    due = doors_of.with_work(due, material.rates, work, material.first_day)
    worked = [rules.calendar.is_worked(material.first_day + timedelta(days=ahead)) for ahead in range(days)]
    crews = doors_of.crews(material.inspectors, material.absent, worked, material.first_day, rules.reserve_share)
    pairs, nobody = _pairs(doors_of.estates(due), crews)
    campaign = plan_campaign(material.first_day, days, pairs, rules.rules)
    return campaign, _figures(campaign, due, sum(worked), nobody)


def _pairs(estates: Sequence[Estate], crews: Mapping[str, Crew]) -> tuple[list[tuple[Crew, list[Estate]]], int]:
    """Each crew with its compounds, and how many doors lie where nobody works."""
    by_crew: dict[str, tuple[Crew, list[Estate]]] = {}
    nobody = 0
    for estate in estates:
        crew = crews.get(estate.area)
        if crew is None:
            nobody += len(estate)
        else:
            by_crew.setdefault(crew.name, (crew, []))[1].append(estate)
    return list(by_crew.values()), nobody


def _figures(campaign: Campaign, due: pl.DataFrame, worked: int, nobody: int) -> dict[str, Any]:
    reached = sum(line.on_time + line.late for line in campaign.forecast)
    return {
        "doors_due": due.height,
        "priority_doors_due": int(due["priority"].sum()),
        "doors_planned": reached,
        "planned_on_time": sum(line.on_time for line in campaign.forecast),
        "unreached": sum(line.unreached for line in campaign.forecast) + nobody,
        "priority_unreached": sum(line.priority_unreached for line in campaign.forecast),
        "where_nobody_works": nobody,
        "working_days": worked,
        "blocks": len(campaign.blocks),
    }


async def _load(conn: asyncpg.Connection, params: RosterParams, first_day: date, at: datetime) -> Material:
    output = io.BytesIO()
    text = str(queries["campaign_doors"].bind()[0]).rstrip(";")
    await conn.copy_from_query(text, output=output, format="csv", timeout=600)
    output.seek(0)
    frame = (
        pl.read_csv(output, has_header=False, schema=_AS_TEXT)
        if output.getbuffer().nbytes
        else pl.DataFrame(schema=_AS_TEXT)
    )
    return Material(
        first_day=first_day,
        doors=_typed(frame),
        inspectors=await store.working_inspectors(conn),
        absent=await _absences(conn, params, first_day),
        above={row["code"]: frozenset(row["above"]) for row in await conn.fetch(*queries["districts_above"].bind())},
        rates=await access_rates(conn, params.zone, at),
        cycles=load_cycles(params.cycles_file),
    )


_AS_TEXT = pl.Schema({name: pl.String() if kind == pl.Boolean() else kind for name, kind in DOORS.items()})


def _typed(frame: pl.DataFrame) -> pl.DataFrame:
    """PostgreSQL writes t and f where polars reads true and false."""
    flags = [name for name, kind in DOORS.items() if kind == pl.Boolean()]
    return frame.with_columns((pl.col(name) == "t").alias(name) for name in flags)


async def _absences(conn: asyncpg.Connection, params: RosterParams, first_day: date) -> list[Absent]:
    since = WallClock(first_day, params.zone).moment(0)
    until = WallClock(first_day + timedelta(days=params.campaign.days), params.zone).moment(0)
    return [
        Absent(one.inspector_id, local_day(one.begins_at, params.zone), local_day(one.ends_at, params.zone))
        for one in await store.absences(conn, since, until)
    ]


async def _save(
    conn: asyncpg.Connection,
    campaign: Campaign,
    params: RosterParams,
    figures: dict[str, Any],
    at: datetime,
    actor: Actor,
) -> int:
    campaign_id: int = await conn.fetchval(
        *queries["add_campaign"].bind(
            planned_at=at,
            first_day=campaign.first_day,
            days=campaign.days,
            rules=params.campaign.model_dump(mode="json"),
            figures=figures,
            actor=actor.name,
        )
    )
    blocks = [
        (campaign_id, campaign.day_of(one), one.building_id, one.compound_id, one.area, one.doors, one.priority_doors,
         one.late_doors, round(one.work_s))
        for one in campaign.blocks
    ]  # fmt: skip
    await conn.copy_records_to_table("campaign_block", records=blocks)
    forecast = [(campaign_id, *asdict(line).values()) for line in campaign.forecast]
    await conn.copy_records_to_table("campaign_forecast", records=forecast)
    return campaign_id
