"""`gaswarden roster`: a day planned and shown; what is done to a planned day is in roster_days."""

import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated

import asyncpg
import typer

from app.commands.terminal import (
    JsonOption,
    WentWrong,
    as_date,
    console_actor,
    say,
    show_json,
    show_table,
    with_pool,
    write_file,
)
from app.settings import Settings
from inspections.answers import DayAnswer, RosterAnswer
from inspections.changing import plan_rest
from inspections.planning import Run
from inspections.printing.formats import RosterFile, RosterFormat, SheetLanguage
from inspections.routes import InspectionRoutes
from inspections.worker import PlanningFailed

roster = typer.Typer(no_args_is_help=True, help="The inspectors' days.")
DayOption = Annotated[str | None, typer.Option(help="Local day, YYYY-MM-DD; default: tomorrow.")]


@roster.command("plan")
def roster_plan(context: typer.Context, day: DayOption = None, as_json: JsonOption = False) -> None:
    """Plan a day anew and publish it as its next version; of a day under way only the rest. Audited.

    Exit codes: 0 planned, 1 no plan could be made (the reason is printed), 2 wrong usage or settings.
    """
    wanted = as_date(day)

    async def plan(pool: asyncpg.Pool, settings: Settings) -> Run:
        at = datetime.now(UTC)
        return await plan_rest(pool, wanted or _tomorrow(settings, at), settings.roster, at, console_actor())

    try:
        run = with_pool(context, plan)
    except PlanningFailed as error:
        raise WentWrong(str(error)) from error
    if as_json:
        show_json({"day": run.day, "version": run.version, "solver": run.solver, "figures": run.figures})
        return
    say(f"{run.day}: version {run.version}, {run.solver}")
    show_table("Figures", ["figure", "value"], run.figures.items())


@roster.command("show")
def roster_show(
    context: typer.Context,
    day: DayOption = None,
    inspector: Annotated[str | None, typer.Option(help="Code of one inspector; default: all.")] = None,
    form: Annotated[
        RosterFormat | None, typer.Option("--format", help="A file of one inspector's day instead of a table.")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Where the file goes; default: standard output.")] = None,
    language: Annotated[SheetLanguage, typer.Option(help="Labels and reasons of a PDF or calendar.")] = "both",
    as_json: JsonOption = False,
) -> None:
    """Show the rosters of a day with each visit's reasons, newest version. The look is audited: it shows addresses.

    With --format geojson, ical, pdf, csv or json, write the day of --inspector for a map, calendar or printer.

    Exit codes: 0 shown, 1 there is no roster, 2 wrong usage or settings.
    """
    wanted = as_date(day)
    if form is not None:
        _write_roster(context, wanted, inspector, form, language, output)
        return
    if output is not None:
        raise typer.BadParameter("--output needs --format")

    async def read(pool: asyncpg.Pool, settings: Settings) -> tuple[DayAnswer, Settings]:
        routes = InspectionRoutes(pool, settings.roster)
        return await routes.rosters(wanted or _tomorrow(settings, datetime.now(UTC)), console_actor()), settings

    answer, settings = with_pool(context, read)
    rosters = [one for one in answer.rosters if inspector in {None, one.inspector}]
    if not rosters:
        raise WentWrong(f"no roster on {answer.day} for {inspector or 'anybody'}")
    if as_json:
        show_json([one.model_dump(mode="json") for one in rosters])
        return
    for one in rosters:
        _show_roster(one, answer, settings)


def _write_roster(
    context: typer.Context,
    day: date | None,
    inspector: str | None,
    form: RosterFormat,
    language: SheetLanguage,
    output: Path | None,
) -> None:
    if inspector is None:
        raise typer.BadParameter("--format needs --inspector: a file holds one inspector's day")
    if output is None and form == "pdf" and sys.stdout.isatty():
        raise typer.BadParameter("--format pdf needs --output, or a pipe")

    async def read(pool: asyncpg.Pool, settings: Settings) -> RosterFile:
        routes = InspectionRoutes(pool, settings.roster)
        chosen = day or _tomorrow(settings, datetime.now(UTC))
        return await routes.roster_as_file(chosen, inspector, form, console_actor(), language)

    write_file(with_pool(context, read).content, output)


def _show_roster(one: RosterAnswer, answer: DayAnswer, settings: Settings) -> None:
    zone = settings.roster.zone
    title = f"{one.inspector} {one.name}, {answer.day}, version {answer.version}"
    columns = ["#", "arrive", "leave", "door", "address", "must", "why"]
    rows = [
        (
            visit.position,
            f"{visit.arrive_at.astimezone(zone):%H:%M}",
            f"{visit.leave_at.astimezone(zone):%H:%M}",
            visit.premises,
            f"{visit.address} {visit.unit}",
            "must" if visit.mandatory else "",
            "; ".join(visit.reasons),
        )
        for visit in one.visits
    ]
    show_table(title, columns, rows)


def _tomorrow(settings: Settings, at: datetime) -> date:
    return at.astimezone(settings.roster.zone).date() + timedelta(days=1)
