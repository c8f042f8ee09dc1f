"""Commands of the campaign: plan the year, look at weeks and days, see what will not be reached."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated

import asyncpg
import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from app.commands.terminal import (
    JsonOption,
    as_date,
    console_actor,
    error_console,
    say,
    show_json,
    show_table,
    with_pool,
)
from app.settings import Settings
from inspections.campaign_routes import (
    CampaignAnswer,
    CampaignBlockRow,
    CampaignQuery,
    CampaignRoutes,
    CompoundNotice,
    DaysQuery,
)
from inspections.campaigning import Planned, plan_year

campaign = typer.Typer(
    no_args_is_help=True, help="The year: which buildings on which days, and what will not be reached."
)
AreaOption = Annotated[str | None, typer.Option(help="Code of one district; default: all.")]
SinceOption = Annotated[str | None, typer.Option(help="First day, YYYY-MM-DD; default: today.")]
_SHOWN_DAYS = 6


@campaign.command("plan")
def campaign_plan(
    context: typer.Context,
    since: Annotated[str | None, typer.Option(help="First day, YYYY-MM-DD; default: tomorrow.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Plan the campaign from a day on and put it in force; earlier campaigns are kept. Audited.

    Two million doors take a few minutes.
    Exit codes: 0 planned, 1 the database does not answer, 2 wrong usage or settings.
    """
    wanted = as_date(since)

    async def plan(pool: asyncpg.Pool, settings: Settings) -> Planned:
        at = datetime.now(UTC)
        first_day = wanted or _today(settings, at) + timedelta(days=1)
        return await plan_year(pool, settings.roster, first_day, at, console_actor())

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=error_console, transient=True) as shown:
        shown.add_task("planning the campaign", total=None)
        planned = with_pool(context, plan)
    if as_json:
        show_json({"campaign_id": planned.campaign_id, "first_day": planned.first_day, "figures": planned.figures})
        return
    say(f"campaign {planned.campaign_id}: {planned.days} days from {planned.first_day}")
    show_table("Figures", ["figure", "value"], planned.figures.items())


@campaign.command("show")
def campaign_show(
    context: typer.Context,
    area: AreaOption = None,
    plot: Annotated[Path | None, typer.Option(help="Write the weeks and the forecast as a picture (PNG).")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show the campaign in force by week and district, and by month what comes due and will not be reached.

    Exit codes: 0 shown, 1 there is no campaign, 2 wrong usage or settings.
    """

    async def read(pool: asyncpg.Pool, settings: Settings) -> CampaignAnswer:
        return await CampaignRoutes(pool, settings.roster).campaign(CampaignQuery(area=area), console_actor())

    answer = with_pool(context, read)
    if plot is not None:
        from inspections.campaign_plot import plot_campaign  # noqa: PLC0415 - matplotlib: 25 MB that no worker needs

        plot_campaign(answer, plot)
        say(f"written to {plot}")
    if as_json:
        show_json(answer.model_dump(mode="json"))
        return
    planned = f"{answer.planned_at:%Y-%m-%d}"
    say(f"campaign {answer.campaign_id}: {answer.days} days from {answer.first_day}, planned {planned}")
    columns = ["week", "area", "compounds", "buildings", "doors", "priority_doors", "late_doors", "work_h"]
    rows = [[getattr(week, column) for column in columns[:-1]] + [round(week.work_h, 1)] for week in answer.weeks]
    show_table("Weeks", columns, rows)
    columns = ["month", "area", "due", "on_time", "late", "unreached", "priority_unreached"]
    show_table("Forecast, by the month in which doors come due", columns, [
        [getattr(line, column) for column in columns] for line in answer.forecast
    ])  # fmt: skip


@campaign.command("days")
def campaign_days(context: typer.Context, since: SinceOption = None, as_json: JsonOption = False) -> None:
    """Show which buildings are planned on the next days.

    Exit codes: 0 shown, 1 there is no campaign, 2 wrong usage or settings.
    """
    wanted = as_date(since)

    async def read(pool: asyncpg.Pool, settings: Settings) -> list[CampaignBlockRow]:
        return await CampaignRoutes(pool, settings.roster).campaign_days(_span(settings, wanted), console_actor())

    rows = with_pool(context, read)
    if as_json:
        show_json([row.model_dump(mode="json") for row in rows])
        return
    columns = ["day", "area", "compound_name", "building_name", "doors", "priority_doors", "late_doors"]
    show_table("Days", columns, [[getattr(row, column) for column in columns] for row in rows])


@campaign.command("notices")
def campaign_notices(context: typer.Context, since: SinceOption = None, as_json: JsonOption = False) -> None:
    """Show the notices to residents that are out for visits on the next days, and whether they hang.

    Exit codes: 0 shown, 1 the database does not answer, 2 wrong usage or settings.
    """
    wanted = as_date(since)

    async def read(pool: asyncpg.Pool, settings: Settings) -> list[CompoundNotice]:
        return await CampaignRoutes(pool, settings.roster).compound_notices(_span(settings, wanted), console_actor())

    rows = with_pool(context, read)
    if as_json:
        show_json([row.model_dump(mode="json") for row in rows])
        return
    columns = ["notice_id", "day", "area", "compound_name", "buildings", "doors", "due_on", "posted_at", "posted_by"]
    show_table("Notices", columns, [[getattr(row, column) for column in columns] for row in rows])


def _today(settings: Settings, at: datetime) -> date:
    return at.astimezone(settings.roster.zone).date()


def _span(settings: Settings, since: date | None) -> DaysQuery:
    first = since or _today(settings, datetime.now(UTC))
    return DaysQuery(since=first, until=first + timedelta(days=_SHOWN_DAYS))
