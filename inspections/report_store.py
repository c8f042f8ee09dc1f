"""Reads the figures of inspections, in one snapshot."""

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import asyncpg

from inspections.report_figures import InspectionReport, ReportQuery, period_starts, report_of
from sql import queries
from sql.actor import Actor


async def inspection_report(
    conn: asyncpg.Connection, query: ReportQuery, zone: ZoneInfo, today: date, actor: Actor
) -> InspectionReport:
    """Figures of a span of local days, within the caller's areas; the caller's transaction is the snapshot."""
    first, last = query.days()
    past = last + timedelta(days=1)
    shared = {"part": query.by, "areas": actor.area_list()}
    days = {"from_day": first, "to_day": past, "every": query.every} | shared
    begins_on = period_starts(query)
    edges = [_midnight(day, zone) for day in begins_on]
    moments = {
        "from_at": _midnight(first, zone),
        "to_at": _midnight(past, zone),
        "begins_on": begins_on,
        "edges": edges,
    }
    await conn.execute(*queries["prepare_figures"].bind())
    counted = [
        *await conn.fetch(*queries["planned_figures"].bind(**days)),
        *await conn.fetch(*queries["visited_figures"].bind(**moments, **shared)),
    ]
    if query.by not in {"station", "inspector"}:
        counted += await conn.fetch(*queries["due_figures"].bind(zone=zone.key, **days))
    hazards = await conn.fetch(*queries["hazard_figures"].bind(today=today, zone=zone.key, **moments, **shared))
    return report_of(query, [dict(row) for row in counted], [dict(row) for row in hazards])


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone)
