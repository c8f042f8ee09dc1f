"""The command `gaswarden report`: figures for people, spreadsheets and pictures."""

from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any

import asyncpg
import typer
from pydantic import ValidationError
from rich.progress import Progress

from app.commands.terminal import (
    JsonOption,
    WentWrong,
    as_date,
    console_actor,
    error_console,
    say,
    show_json,
    show_table,
    with_pool,
    write_file,
)
from app.settings import Settings
from inspections.counting import Recounted, recount
from inspections.report_figures import Every, InspectionReport, Part, ReportLine, ReportQuery, report_csv
from inspections.report_routes import ReportRoutes

reports = typer.Typer(no_args_is_help=True, help="Figures of what was done.")
_RECOUNTED_DAYS = 7


@reports.command("inspections")
def report_inspections(
    context: typer.Context,
    year: Annotated[int | None, typer.Option(help="A calendar year.")] = None,
    since: Annotated[str | None, typer.Option(help="First local day, YYYY-MM-DD, instead of --year.")] = None,
    until: Annotated[str | None, typer.Option(help="Last local day, YYYY-MM-DD.")] = None,
    by: Annotated[Part, typer.Option(help="What figures are told apart by.")] = "all",
    every: Annotated[Every, typer.Option(help="Length of a period.")] = "month",
    csv: Annotated[Path | None, typer.Option(help="Write the lines as CSV.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw them: .png, .svg or .pdf.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what was planned, visited, entered and covered, and what became of hazards (docs/reports.md defines each).

    Visited and entered are different figures; an empty field is unknown, not zero.
    Exit codes: 0 shown, 1 a file cannot be written, 2 wrong usage or settings.
    """
    query = _query(year=year, since=as_date(since), until=as_date(until), by=by, every=every)

    async def work(pool: asyncpg.Pool, settings: Settings) -> InspectionReport:
        return await ReportRoutes(pool, settings.roster).report(query, console_actor())

    report = with_pool(context, work)
    if csv is not None:
        write_file(report_csv(report).encode(), csv)
    if plot is not None:
        _draw(report, plot)
    show_json(report.model_dump(mode="json")) if as_json else _show(report)


@reports.command("recount")
def report_recount(
    context: typer.Context,
    year: Annotated[int | None, typer.Option(help="A calendar year.")] = None,
    since: Annotated[str | None, typer.Option(help="First local day, YYYY-MM-DD, instead of --year.")] = None,
    until: Annotated[str | None, typer.Option(help="Last local day, YYYY-MM-DD.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Prove the kept figures of days: count each from scratch beside what is kept of it.

    A day that differs is named and counted anew; that happens when rows were changed with the triggers switched off.
    Days that changed since they were last counted are counted whenever they are asked for.
    Exit codes: 0 all are right, 1 some were not, 2 wrong usage or settings.
    """
    query = _query(year=year, since=as_date(since), until=as_date(until))

    async def work(pool: asyncpg.Pool, settings: Settings) -> list[Recounted]:
        stretches = _stretches(*query.days())
        with Progress(console=error_console, transient=True) as progress:
            return [
                await recount(pool, settings.roster.zone, first, last)
                for first, last in progress.track(stretches, description="counting")
            ]

    found = with_pool(context, work)
    differing = [one for part in found for one in part.differing]
    days, waiting = sum(part.days for part in found), sum(part.waiting for part in found)
    if as_json:
        wrong = [{"day": one.day.isoformat(), "kind": one.kind} for one in differing]
        show_json({"days": days, "changed_since_counted": waiting, "differing": wrong})
    elif differing:
        show_table("Were wrong, are counted anew", ["day", "kind"], [[one.day, one.kind] for one in differing])
    else:
        say(f"{days} days: all kept figures are right; {waiting} changed since and are not counted yet")
    if differing:
        raise typer.Exit(1)


def _stretches(first: date, last: date) -> list[tuple[date, date]]:
    """A span in pieces that are counted in seconds."""
    starts = [first + timedelta(days=n) for n in range(0, (last - first).days + 1, _RECOUNTED_DAYS)]
    return [(start, min(last, start + timedelta(days=_RECOUNTED_DAYS - 1))) for start in starts]


def _query(**given: Any) -> ReportQuery:
    try:
        return ReportQuery.model_validate(given)
    except ValidationError as error:
        raise typer.BadParameter(error.errors()[0]["msg"]) from None


def _draw(report: InspectionReport, file: Path) -> None:
    from inspections.report_plot import plot_report  # noqa: PLC0415 - matplotlib: 25 MB that no worker needs

    try:
        plot_report(report, file)
    except (OSError, ValueError) as error:
        raise WentWrong(f"{file} cannot be drawn: {error}") from error
    say(f"{file}: drawn")


def _show(report: InspectionReport) -> None:
    columns = [
        "from",
        report.by,
        "planned",
        "visited",
        "entered",
        "entry",
        "no access",
        "refused",
        "due",
        "covered",
        "coverage",
    ]
    columns += ["hazards", "notified", "mended", "on time", "overdue"]
    title = f"Inspections {report.since.isoformat()} to {report.until.isoformat()}"
    show_table(title, columns, [_row(line) for line in (*report.lines, report.total)])
    if report.hazards:
        names = ["begins_on", "part", "grade", "code", "found", "notified", "rectified", "rectified_on_time", "overdue"]
        show_table("Hazards", names, [[getattr(one, name) for name in names] for one in report.hazards])


def _row(line: ReportLine) -> list[object]:
    return [
        line.begins_on or "total",
        line.part,
        line.planned,
        line.visited,
        line.entered,
        _percent(line.entry_rate),
        line.no_access,
        line.refused,
        line.due,
        line.covered,
        _percent(line.coverage_rate),
        line.hazards_found,
        line.hazards_notified,
        line.hazards_rectified,
        line.hazards_rectified_on_time,
        line.hazards_overdue,
    ]


def _percent(rate: float | None) -> str:
    return "" if rate is None else f"{rate:.1%}"
