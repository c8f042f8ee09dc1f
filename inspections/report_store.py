"""Reads the figures of inspections, in one snapshot: what is kept of days, and days that changed since counted now."""

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import asyncpg

from inspections.report_figures import Changed, InspectionReport, ReportQuery, period_starts, report_of, split_kinds
from sql import queries
from sql.actor import Actor


async def inspection_report(
    conn: asyncpg.Connection, query: ReportQuery, zone: ZoneInfo, today: date, actor: Actor
) -> InspectionReport:
    """Figures of a span of local days, within the caller's areas; the caller's transaction is the snapshot."""
    await conn.execute(*queries["prepare_figures"].bind())
    counted = await _figures(conn, query, zone, actor)
    hazards = await _hazards(conn, query, zone, today, actor)
    return report_of(query, [dict(row) for row in counted], [dict(row) for row in hazards])


async def _figures(conn: asyncpg.Connection, query: ReportQuery, zone: ZoneInfo, actor: Actor) -> list[asyncpg.Record]:
    first, last = query.days()
    rows = await conn.fetch(*queries["changed_days"].bind(zone=zone.key))
    changed = [Changed(row["kind"], row["day"]) for row in rows if first <= row["day"] <= last]
    asked = {
        "first_day": first,
        "last_day": last,
        "every": query.every,
        "part": query.by,
        "areas": actor.area_list(),
        "kinds": [one.kind for one in changed],
        "days": [one.day for one in changed],
        "zone": zone.key,
    }
    now = split_kinds(changed)
    if query.by in {"station", "inspector"}:
        del now["due_on"]
        return list(await conn.fetch(*queries["inspector_figures"].bind(**asked, **now)))
    return list(await conn.fetch(*queries["place_figures"].bind(**asked, **now)))


async def _hazards(
    conn: asyncpg.Connection, query: ReportQuery, zone: ZoneInfo, today: date, actor: Actor
) -> list[asyncpg.Record]:
    first, last = query.days()
    begins_on = period_starts(query)
    asked = {
        "from_at": _midnight(first, zone),
        "to_at": _midnight(last + timedelta(days=1), zone),
        "begins_on": begins_on,
        "edges": [_midnight(day, zone) for day in begins_on],
        "part": query.by,
        "areas": actor.area_list(),
        "zone": zone.key,
        "today": today,
    }
    return list(await conn.fetch(*queries["hazard_figures"].bind(**asked)))


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone)
