"""HTTP of the campaign: the plan by week and by day, what it will not reach, notices to residents."""

from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
from pydantic import Field, ValidationInfo, field_validator

from inspections.answers import Shape
from inspections.campaigning import plan_year
from inspections.params import RosterParams
from inspections.wallclock import local_day
from sql import audit, queries
from sql.actor import Actor
from sql.errors import Conflict, NotFound

Route = tuple[str, str, frozenset[str], Callable[..., Awaitable[Any]]]
_OFFICE = frozenset({"officer", "administrator"})
_DAYS_MAX = 31


class CampaignWeek(Shape):
    """What is planned in a week in a district."""

    week: date
    area: str
    compounds: int
    buildings: int
    doors: int
    priority_doors: int
    late_doors: int
    work_h: float


class CampaignForecast(Shape):
    """What becomes of the doors of a district that come due in a month."""

    area: str
    month: date
    due: int
    on_time: int
    late: int
    unreached: int
    priority_unreached: int


class CampaignAnswer(Shape):
    """The campaign in force."""

    campaign_id: int
    planned_at: datetime
    first_day: date
    days: int
    actor: str
    rules: dict[str, Any]
    figures: dict[str, Any]
    weeks: list[CampaignWeek]
    forecast: list[CampaignForecast]


class CampaignQuery(Shape):
    """Of which district."""

    area: str | None = Field(None, description="Code of one district; default: all.")


class CampaignBlockRow(Shape):
    """Doors of a building on a day."""

    day: date
    compound: str
    compound_name: str
    building: str
    building_name: str
    area: str
    doors: int
    priority_doors: int
    late_doors: int
    work_h: float


class DaysQuery(Shape):
    """A span of days, both ends included, at most a month."""

    since: date
    until: date

    @field_validator("until")
    @classmethod
    def _month_at_most(cls, until: date, info: ValidationInfo) -> date:
        since = info.data.get("since")
        if since is not None and not timedelta() <= until - since <= timedelta(days=_DAYS_MAX):
            raise ValueError(f"lies 0 to {_DAYS_MAX} days after since")
        return until


class CompoundNotice(Shape):
    """Residents of a compound are told of the day on which inspectors come."""

    notice_id: int
    day: date
    compound: str
    compound_name: str
    area: str
    buildings: int
    doors: int
    due_on: date
    issued_at: datetime
    posted_at: datetime | None
    posted_by: str | None


class CampaignPlanBody(Shape):
    """From which day on to plan; default: tomorrow."""

    first_day: date | None = None


class CampaignPlanned(Shape):
    """A campaign just planned."""

    campaign_id: int
    first_day: date
    days: int
    figures: dict[str, Any]


class CampaignRoutes:
    """Handlers of the campaign."""

    def __init__(self, pool: asyncpg.Pool, params: RosterParams) -> None:
        self._pool = pool
        self._params = params

    def table(self) -> list[Route]:
        """Method, path, roles and handler of each route."""
        return [
            ("GET", "/campaign", _OFFICE, self.campaign),
            ("GET", "/campaign/days", _OFFICE, self.campaign_days),
            ("GET", "/campaign/notices", _OFFICE, self.compound_notices),
            ("POST", "/campaign/notices/{notice_id}/posted", _OFFICE, self.post_compound_notice),
            ("POST", "/campaign/plan", frozenset({"administrator"}), self.plan_campaign),
        ]

    async def campaign(self, query: CampaignQuery, actor: Actor) -> CampaignAnswer:
        """The campaign in force: by week and district, and what it will not reach."""
        async with self._pool.acquire() as conn:
            row = await _in_force(conn)
            areas = actor.area_list()
            weeks = await conn.fetch(
                *queries["campaign_weeks"].bind(campaign_id=row["campaign_id"], areas=areas, asked=query.area)
            )
            forecast = await conn.fetch(
                *queries["campaign_forecast_rows"].bind(campaign_id=row["campaign_id"], areas=areas)
            )
        return CampaignAnswer(
            **row,
            weeks=[CampaignWeek(**one) for one in weeks],
            forecast=[CampaignForecast(**one) for one in forecast if query.area in {None, one["area"]}],
        )

    async def campaign_days(self, query: DaysQuery, actor: Actor) -> list[CampaignBlockRow]:
        """Which buildings on which days."""
        async with self._pool.acquire() as conn:
            row = await _in_force(conn)
            rows = await conn.fetch(
                *queries["campaign_days"].bind(
                    campaign_id=row["campaign_id"], since=query.since, until=query.until, areas=actor.area_list()
                )
            )
        return [CampaignBlockRow(**one) for one in rows]

    async def compound_notices(self, query: DaysQuery, actor: Actor) -> list[CompoundNotice]:
        """Notices that are out for visits on some days."""
        async with self._pool.acquire() as conn:
            rows = await conn.fetch(
                *queries["compound_notices"].bind(since=query.since, until=query.until, areas=actor.area_list())
            )
        return [CompoundNotice(**one) for one in rows]

    async def post_compound_notice(self, notice_id: int, actor: Actor) -> None:
        """Say that a notice hangs; the first to say so stays."""
        at = datetime.now(UTC)
        async with self._pool.acquire() as conn, conn.transaction():
            query = queries["post_compound_notice"]
            bound = query.bind(notice_id=notice_id, at=at, actor=actor.name, areas=actor.area_list())
            if await conn.fetchval(*bound) is None:
                raise NotFound(f"notice {notice_id} does not exist")
            await audit.record(conn, actor, "campaign.notice_posted", f"compound_notice:{notice_id}", {}, at)

    async def plan_campaign(self, body: CampaignPlanBody, actor: Actor) -> CampaignPlanned:
        """Plan the campaign anew from a day on; may take a minute for a whole city."""
        at = datetime.now(UTC)
        today = local_day(at, self._params.zone)
        first_day = body.first_day or today + timedelta(days=1)
        if first_day < today:
            raise Conflict(f"{first_day.isoformat()} has passed; a campaign begins today or later")
        planned = await plan_year(self._pool, self._params, first_day, at, actor)
        return CampaignPlanned(
            campaign_id=planned.campaign_id, first_day=first_day, days=planned.days, figures=planned.figures
        )


async def _in_force(conn: asyncpg.Connection) -> asyncpg.Record:
    row = await conn.fetchrow(*queries["newest_campaign"].bind())
    if row is None:
        raise NotFound("no campaign was planned yet; `gaswarden campaign plan` plans one")
    return row
