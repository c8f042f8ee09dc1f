"""What the commands of requests, cases and enforcement share: options, refusals, tables, spans of days."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, TypeVar
from zoneinfo import ZoneInfo

import asyncpg
import typer
from pydantic import BaseModel, ValidationError

from app.commands.terminal import WentWrong, as_date, show_json, show_table, with_pool
from app.settings import Settings
from inspections.request_answers import FiguresQuery, TimelineStep
from inspections.wallclock import local_day

Answer = TypeVar("Answer")
PremisesOption = Annotated[str | None, typer.Option(help="Code of the door.")]
AreaOption = Annotated[str | None, typer.Option(help="Code of the district, where no door is known.")]
OwnerOption = Annotated[str | None, typer.Option(help="Who takes care of it.")]
OverdueOption = Annotated[bool, typer.Option("--overdue", help="Only those with a deadline that has passed unmet.")]
LimitOption = Annotated[int, typer.Option(min=1, max=500, help="Most lines shown.")]
StateOption = Annotated[list[str] | None, typer.Option(help="Repeat for more. Default: all.")]
SinceOption = Annotated[str | None, typer.Option(help="First local day, YYYY-MM-DD. Default: 30 days ago.")]
UntilOption = Annotated[str | None, typer.Option(help="Last local day, YYYY-MM-DD. Default: today.")]
NoteOption = Annotated[str | None, typer.Option(help="In words.")]


def done(context: typer.Context, work: Callable[[asyncpg.Pool, Settings], Awaitable[Answer]]) -> Answer:
    """What work answers; what is refused about a field is one sentence."""
    try:
        return with_pool(context, work)
    except ValidationError as refusal:
        fault = refusal.errors()[0]
        where = ".".join(str(part) for part in fault["loc"] if part != "body")
        raise WentWrong(f"{where}: {fault['msg']}") from None


def lines(title: str, columns: Sequence[str], items: Sequence[BaseModel], *, as_json: bool) -> None:
    """Show items as a table of these columns, or all of them as JSON."""
    if as_json:
        show_json([one.model_dump(mode="json") for one in items])
    else:
        show_table(title, columns, [[_shown(getattr(one, column)) for column in columns] for one in items])


def _shown(value: object) -> object:
    return round(value, 3) if isinstance(value, float) else value


def timeline(steps: Sequence[TimelineStep]) -> None:
    """Show what happened, oldest first."""
    show_table("Timeline", ["at", "step", "by", "note"], [(one.at, one.step, one.actor, one.note) for one in steps])


def days(since: str | None, until: str | None, zone: ZoneInfo) -> tuple[date, date]:
    """First and last local day asked for; by default the last 30 days."""
    last = as_date(until) or local_day(datetime.now(UTC), zone)
    return as_date(since) or last - timedelta(days=30), last


def span(since: str | None, until: str | None, zone: ZoneInfo) -> FiguresQuery:
    """Those days as moments: from the first midnight to the one after the last day."""
    first, last = days(since, until, zone)
    return FiguresQuery(
        since=datetime.combine(first, time(), zone), until=datetime.combine(last + timedelta(days=1), time(), zone)
    )
