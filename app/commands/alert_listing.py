"""`gaswarden alerts` and `gaswarden alerts list`: which alerts there are, and a watch on what happens to them."""

import asyncio
from typing import Annotated

import asyncpg
import typer

from app.commands.terminal import (
    JsonOption,
    as_moment,
    checked,
    console_actor,
    say,
    show_json,
    show_table,
    with_pool,
)
from app.settings import Settings
from rules.pages import AlertPage, AlertQuery, AlertRow
from rules.routes import AlertRoutes
from rules.stream import Cursor, read_page
from sql import queries

_LOOK_S = 1.0

States = Annotated[
    list[str] | None,
    typer.Option(
        help="`open` and `closed` (groups), unacknowledged, acknowledged, dispatched, on_site, made_safe, verified or "
        "dismissed; repeat for more. Default: open."
    ),
]
Severities = Annotated[list[str] | None, typer.Option(help="critical, major, minor or info; repeat for more.")]
Areas = Annotated[list[str] | None, typer.Option(help="District, with those below it; repeat for more.")]
RuleId = Annotated[str | None, typer.Option(help="Only of this rule.")]
Owner = Annotated[str | None, typer.Option(help="Only of this owner.")]
Words = Annotated[str | None, typer.Option(help="Part of the sentence, or a device or door code.")]
OlderThan = Annotated[float | None, typer.Option(help="Raised at least so many minutes ago.")]
After = Annotated[int | None, typer.Option(help="Go on after this alert: the last one of the page before.")]
Limit = Annotated[int, typer.Option(min=1, max=500, help="Most alerts shown.")]
Watching = Annotated[bool, typer.Option("--watch", help="Then print every step as it happens, until Ctrl-C.")]


def show_alerts(
    context: typer.Context,
    state: States = None,
    severity: Severities = None,
    area: Areas = None,
    rule: RuleId = None,
    owner: Owner = None,
    text: Words = None,
    older_than_min: OlderThan = None,
    unowned: Annotated[bool, typer.Option("--unowned", help="Only those without an owner.")] = False,
    overdue: Annotated[bool, typer.Option("--overdue", help="Only those with a missed deadline.")] = False,
    after: After = None,
    limit: Limit = 50,
    watch: Watching = False,
    as_json: JsonOption = False,
) -> None:
    """Without a command: list open alerts, newest first, with what is due next; an overdue deadline ends in `!`.

    `gaswarden alerts list` has every filter. Exit codes: 0 listed, 1 the database does not answer or knows no such
    rule or district, 2 wrong usage or settings.
    """
    if context.invoked_subcommand is not None:
        _refuse_options_before(context, context.invoked_subcommand)
        return
    given = {
        "state": state or ["open"], "severity": severity or [], "area": area or [], "rule": rule, "owner": owner,
        "text": text, "older_than_min": older_than_min, "unowned": unowned or None, "overdue": overdue or None,
        "after": after, "limit": limit,
    }  # fmt: skip
    _show(context, checked(AlertQuery, given), watch=watch, as_json=as_json)


def _refuse_options_before(context: typer.Context, command: str) -> None:
    """What stands before a command would be thrown away unseen."""
    for name in context.params:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            option = f"--{'json' if name == 'as_json' else name.replace('_', '-')}"
            raise typer.BadParameter(f"{option} stands before `{command}`: write it after the command")


def list_alerts(
    context: typer.Context,
    state: States = None,
    severity: Severities = None,
    area: Areas = None,
    rule: RuleId = None,
    owner: Owner = None,
    text: Words = None,
    older_than_min: OlderThan = None,
    since: Annotated[str | None, typer.Option(help="Raised at or after: 2026-11-20T08:00+08:00.")] = None,
    until: Annotated[str | None, typer.Option(help="Raised before: 2026-11-20T20:00+08:00.")] = None,
    unowned: Annotated[
        bool | None, typer.Option("--unowned/--owned", help="Only those without an owner, or only those with one.")
    ] = None,
    overdue: Annotated[
        bool | None, typer.Option("--overdue/--in-time", help="Only those with a missed deadline, or without.")
    ] = None,
    late: Annotated[
        bool | None, typer.Option("--late/--not-late", help="Only those found in late data, or only the others.")
    ] = None,
    after: After = None,
    limit: Limit = 50,
    watch: Watching = False,
    as_json: JsonOption = False,
) -> None:
    """List alerts, newest first, with what is due next; an overdue deadline ends in `!`.

    Filters are those of `GET /api/v1/alerts`; all must fit. Standard error says how to go on when there are more.

    gaswarden alerts list --severity critical --overdue
    gaswarden alerts list --state closed --rule leak_alarm --since 2026-11-01T00:00+08:00 --json
    gaswarden alerts list --area D01 --unowned --older-than-min 30
    gaswarden alerts list --text M-00017 --state open --state closed

    Exit codes: 0 listed (also when there is none), 1 the database does not answer or knows no such rule or district,
    2 wrong usage or settings.
    """
    given = {
        "state": state or ["open"], "severity": severity or [], "area": area or [], "rule": rule, "owner": owner,
        "text": text, "older_than_min": older_than_min, "since": as_moment(since), "until": as_moment(until),
        "unowned": unowned, "overdue": overdue, "late": late, "after": after, "limit": limit,
    }  # fmt: skip
    _show(context, checked(AlertQuery, given), watch=watch, as_json=as_json)


def _show(context: typer.Context, query: AlertQuery, *, watch: bool, as_json: bool) -> None:
    async def read(pool: asyncpg.Pool, _settings: Settings) -> None:
        page = await AlertRoutes(pool).alerts(query, console_actor())
        _show_page(page, as_json=as_json)
        if watch:
            await _watch(pool, as_json=as_json)

    with_pool(context, read)


def _show_page(page: AlertPage, *, as_json: bool) -> None:
    if as_json:
        show_json([one.model_dump(mode="json") for one in page.items])
    else:
        columns = ["alert", "severity", "state", "area", "door", "device", "raised", "due", "owner", "sentence"]
        show_table("Alerts", columns, [_line(one) for one in page.items])
    if page.next is not None:
        say(f"there are more: --after {page.next}")


def _line(one: AlertRow) -> tuple[object, ...]:
    due = f"{one.due_stage} {one.due_at:%m-%d %H:%M}Z{'!' if one.overdue else ''}" if one.due_at else ""
    state = f"{one.state}{f' (level {one.escalation})' if one.escalation else ''}{' silenced' if one.silenced else ''}"
    if one.awaited_from:
        state += f" (visit {one.awaited_from:%m-%d %H:%M}Z)"
    raised = f"{one.raised_at:%m-%d %H:%M}Z"
    where = one.premises or one.building or one.gateway or one.compound or one.district
    return one.alert_id, one.severity, state, one.area, where, one.device, raised, due, one.owner, one.sentence


async def _watch(pool: asyncpg.Pool, *, as_json: bool) -> None:
    """Print steps as they are committed; misses none."""
    cursor = Cursor(await pool.fetchval(*queries["current_snapshot"].bind()))
    say("watching; Ctrl-C ends it")
    while True:
        page = await read_page(pool, cursor, None)
        cursor = page.cursor
        for row, _ in page.steps:
            if as_json:
                show_json(dict(row))
                continue
            what = f"{row['alert_id']:>6}  {row['severity']:<8}  {row['step']:<14}"
            typer.echo(f"{row['at']:%H:%M:%S}  {what}  {row['actor']}: {row['sentence']}")
        if not page.more:
            await asyncio.sleep(_LOOK_S)
