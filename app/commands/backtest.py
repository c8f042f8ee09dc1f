"""`gaswarden backtest`: what a draft of the rules would have raised on stored history."""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import asyncpg
import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from app.commands.rules import in_force
from app.commands.terminal import JsonOption, error_console, load, say, show_json, show_table, with_connection
from rules.backtest import OFFICER_HOURS, Report, as_data, newly_missed
from rules.backtesting import Asked, run_backtest
from rules.catalog import Catalog, parse_files
from rules.drafts import changed, from_assignments
from rules.rule_sets import across_districts, read_files, refuse_unregistered

_FORMATS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S%z"]


def show_backtest(
    context: typer.Context,
    draft: Annotated[
        Path | None, typer.Argument(exists=True, help="Rules file or folder to try; none: the rules in force.")
    ] = None,
    changes: Annotated[
        list[Path] | None,
        typer.Option(exists=True, help="File or folder that says only what changes of the rules in force."),
    ] = None,
    assignment: Annotated[
        list[str] | None,
        typer.Option("--set", help="One change, as `micro_leak.parameters.days=7`; may be repeated."),
    ] = None,
    since: Annotated[datetime | None, typer.Option(formats=_FORMATS, help="Default: 30 days ago. UTC.")] = None,
    until: Annotated[datetime | None, typer.Option(formats=_FORMATS, help="Default: now. UTC.")] = None,
    area: Annotated[list[str] | None, typer.Option(help="District, with those below it; may be repeated.")] = None,
    device: Annotated[list[str] | None, typer.Option(help="Code of a device; may be repeated.")] = None,
    answered_after_h: Annotated[
        float, typer.Option(min=0, help="An alert counts as ended so many hours after its condition.")
    ] = 24.0,
    hours: Annotated[
        list[str] | None, typer.Option(help="Work one alert costs, as `major=2`, in hours; may be repeated.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="PNG file for alerts a day.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Try rules on stored history: alerts a day, officer-hours, known leaks caught and missed, difference to now.

    A draft is whole, or says only what changes: `--changes days.toml`, or `--set micro_leak.parameters.days=7`.
    Looks at all rules about what devices sent, did not send, or are; says what it must assume, and names the rules it
    cannot try. Nothing is written and nobody is paged. Known leaks are alerts that an inspection confirmed and leak
    hazards that it found.
    Exit codes: 0 done, 1 the draft misses a known leak that the rules in force catch (or is wrong), 2 wrong usage.
    """
    last = _utc(until) or datetime.now(UTC)
    asked = Asked(
        since=_utc(since) or last - timedelta(days=30),
        until=last,
        areas=tuple(area or ()),
        devices=tuple(device or ()),
        answered_after=timedelta(hours=answered_after_h),
        officer_hours=_hours(hours or []),
    )
    if asked.since >= asked.until:
        raise typer.BadParameter("--until must lie after --since")
    current = in_force(context)
    tried = _draft(current, draft, changes or [], assignment or [])
    zone = load(context).settings.rules.city_timezone

    async def work(conn: asyncpg.Connection) -> Report:
        with _progress() as progress:
            task = progress.add_task("devices", total=None)

            async def told(done: int, devices: int) -> None:
                progress.update(task, completed=done, total=devices)

            await refuse_unregistered(conn, asked.areas, asked.devices)
            draft_rules = await across_districts(conn, tried) if tried else current
            return await run_backtest(conn, draft_rules, current if tried else None, asked, zone, told)

    report = with_connection(context, work)
    if plot is not None:
        from rules.backtest_plot import plot_png  # noqa: PLC0415 - matplotlib takes a second that others need not wait

        plot.write_bytes(plot_png(report))
    if as_json:
        show_json(as_data(report))
    else:
        _show(report)
    sys.exit(1 if newly_missed(report) else 0)


def _draft(current: Catalog, draft: Path | None, changes: list[Path], assignments: list[str]) -> Catalog | None:
    """The rules to try, None for those in force; raises InvalidRule."""
    texts = {f"{path}: {name}": text for path in changes for name, text in read_files(path).items()}
    if assignments:
        texts["--set"] = from_assignments(assignments)
    if texts and draft:
        raise typer.BadParameter("a whole draft leaves nothing to change: give it alone, or --changes and --set")
    if texts:
        return changed(current, texts)
    return parse_files(read_files(draft)) if draft else None


def _utc(moment: datetime | None) -> datetime | None:
    return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=UTC)


def _hours(given: list[str]) -> dict[str, float]:
    found = dict(OFFICER_HOURS)
    for one in given:
        severity, _, text = one.partition("=")
        if severity not in found:
            raise typer.BadParameter(f"--hours {one}: the severity is none of {', '.join(found)}")
        try:
            found[severity] = float(text)
        except ValueError as error:
            raise typer.BadParameter(f"--hours {one}: {text!r} is not a number") from error
    return found


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    return Progress(*columns, TimeRemainingColumn(), console=error_console, transient=True)


def _show(report: Report) -> None:
    before = {one.rule_id: one for one in report.current.rules} if report.current else {}
    rows = [
        (one.rule_id, one.alerts, before[one.rule_id].alerts if one.rule_id in before else "-", f"{one.officer_h:.1f}")
        for one in report.rules
        if one.not_evaluated is None
    ]
    show_table("Backtest", ["rule", "alerts", "now", "officer-hours"], rows)
    if left_out := [(one.rule_id, one.not_evaluated) for one in report.rules if one.not_evaluated is not None]:
        show_table("Not evaluated", ["rule", "why"], left_out)
    if approximate := [(one.rule_id, one.assumes) for one in report.rules if one.assumes is not None]:
        show_table("Approximate", ["rule", "what is assumed"], approximate)
    say(
        f"{report.devices:,} devices, {report.since:%Y-%m-%d} to {report.until:%Y-%m-%d}: {len(report.alerts):,}"
        f" alerts, {report.alerts_per_day:.1f} a day, {report.officer_h:,.1f} officer-hours"
    )
    if report.difference is not None:
        found = report.difference
        say(f"against the rules in force: {len(found.new)} new, {len(found.gone)} gone, {len(found.same)} the same")
    if report.leaks:
        shown = [(one.leak.name, one.rule_id or "MISSED", one.shown_at or "") for one in report.leaks]
        show_table("Known leaks", ["leak", "caught by", "shown at"], shown)
    for name in newly_missed(report):
        say(f"missed by the draft, caught by the rules in force: {name}")
