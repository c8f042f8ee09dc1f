"""HTTP of figures."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import asyncpg
from aiohttp import web

from inspections.params import RosterParams
from inspections.report_figures import InspectionReport, ReportQuery, report_csv
from inspections.report_store import inspection_report
from inspections.wallclock import local_day
from sql.actor import Actor

Route = tuple[str, str, frozenset[str], Callable[..., Awaitable[Any]]]


class ReportRoutes:
    """Handlers over a pool."""

    def __init__(self, pool: asyncpg.Pool, params: RosterParams) -> None:
        self._pool = pool
        self._params = params

    def table(self) -> list[Route]:
        """Method, path, roles and handler of each route."""
        return [("GET", "/reports/inspections", frozenset({"officer", "administrator"}), self.inspections)]

    async def inspections(self, query: ReportQuery, actor: Actor) -> InspectionReport | web.Response:
        """Planned, visited, entered, covered, and what became of hazards, by period and part; JSON or CSV."""
        report = await self.report(query, actor)
        if query.format == "json":
            return report
        name = f"inspections-{report.since.isoformat()}-{report.until.isoformat()}.csv"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return web.Response(text=report_csv(report), content_type="text/csv", charset="utf-8", headers=headers)

    async def report(self, query: ReportQuery, actor: Actor) -> InspectionReport:
        """The figures of one snapshot, within the caller's areas."""
        today = local_day(datetime.now(UTC), self._params.zone)
        async with self._pool.acquire() as conn, conn.transaction(isolation="repeatable_read", readonly=True):
            return await inspection_report(conn, query, self._params.zone, today, actor)
