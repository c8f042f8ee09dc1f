"""`gaswarden rota`: who is on duty, hand-overs, gaps and the nightly test."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated

import asyncpg
import typer
from pydantic import BaseModel

from app.commands.terminal import JsonOption, WentWrong, as_moment, checked, console_actor, say, show_rows, with_pool
from app.settings import Settings
from rules.rota.pages import (
    ConfirmBody,
    GapQuery,
    HandOverBody,
    HandoverQuery,
    OnDutyQuery,
    ReachQuery,
    ReleaseBody,
    RotaQuery,
    ShiftBody,
)
from rules.rota.routes import RotaRoutes

rota = typer.Typer(no_args_is_help=True, help="Who is on duty, hand-overs, gaps, and the nightly test.")


def _routes(pool: asyncpg.Pool, settings: Settings) -> RotaRoutes:
    return RotaRoutes(pool, settings.notices, settings.roster.zone)


@rota.command("table")
def rota_table(
    context: typer.Context,
    since: Annotated[str | None, typer.Option(help="From this moment, ISO 8601 with a zone. Default: now.")] = None,
    days: Annotated[float, typer.Option(min=0.1, max=366, help="For so many days.")] = 7,
    as_json: JsonOption = False,
) -> None:
    """Show the shifts of a time. OVERDUE: it ended, nobody took over, its person is still on duty.

    Exit codes: 0 shown, 1 the database does not answer, 2 wrong usage or settings.
    """
    begins = as_moment(since) or datetime.now(UTC)
    query = RotaQuery(since=begins, until=begins + timedelta(days=days))

    async def read(pool: asyncpg.Pool, settings: Settings) -> Sequence[BaseModel]:
        return await _routes(pool, settings).shifts(query)

    columns = ["shift_id", "level", "account", "areas", "starts_at", "ends_at", "on_duty", "overdue"]
    show_rows("On-duty rota", columns, with_pool(context, read), as_json=as_json)


@rota.command("add")
def rota_add(
    context: typer.Context,
    account: Annotated[str, typer.Argument(help="Who is on duty.")],
    starts: Annotated[str, typer.Argument(metavar="FROM", help="2026-11-20T08:00+08:00")],
    ends: Annotated[str, typer.Argument(metavar="TO", help="2026-11-20T20:00+08:00")],
    level: Annotated[int, typer.Option(min=1, max=9, help="1 is told first.")] = 1,
    area: Annotated[
        list[str] | None, typer.Option(help="District, all below it included; repeat for more. Default: the city.")
    ] = None,
    note: Annotated[str | None, typer.Option(help="For whoever reads the rota.")] = None,
) -> None:
    """Plan a shift.

    Exit codes: 0 planned, 1 refused (the reason is printed), 2 wrong usage or settings.
    """
    body = checked(
        ShiftBody,
        {
            "account": account,
            "level": level,
            "areas": area or None,
            "starts_at": as_moment(starts),
            "ends_at": as_moment(ends),
            "note": note,
        },
    )

    async def add(pool: asyncpg.Pool, settings: Settings) -> int:
        return (await _routes(pool, settings).add_shift(body, console_actor())).shift_id

    say(f"shift {with_pool(context, add)}: {account} at level {level} from {starts} to {ends}")


@rota.command("cancel")
def rota_cancel(context: typer.Context, shift_id: Annotated[int, typer.Argument(min=1)]) -> None:
    """Call off a shift that has not begun.

    Exit codes: 0 called off, 1 it has begun or there is none, 2 wrong settings.
    """

    async def cancel(pool: asyncpg.Pool, settings: Settings) -> None:
        await _routes(pool, settings).cancel_shift(shift_id, console_actor())

    with_pool(context, cancel)
    say(f"shift {shift_id} is called off")


@rota.command("hand-over")
def rota_hand_over(
    context: typer.Context,
    from_shift: Annotated[int, typer.Argument(min=1, help="The shift that leaves.")],
    to_shift: Annotated[int | None, typer.Argument(min=1, help="The shift that takes over; none: a release.")] = None,
    note: Annotated[str, typer.Option(prompt=True, help="What the next one must know, or why there is none.")] = "",
) -> None:
    """Pass duty on. Until this is done the one who leaves stays on duty, whatever the plan says.

    Exit codes: 0 handed over, 1 refused (the reason is printed), 2 wrong usage or settings.
    """

    async def hand_over(pool: asyncpg.Pool, settings: Settings) -> tuple[int, list[str]]:
        routes, actor = _routes(pool, settings), console_actor()
        if to_shift is None:
            done = await routes.release(from_shift, checked(ReleaseBody, {"note": note}), actor)
        else:
            done = await routes.hand_over(
                from_shift, checked(HandOverBody, {"to_shift": to_shift, "note": note}), actor
            )
        return done.open_alerts, done.uncovered

    open_alerts, uncovered = with_pool(context, hand_over)
    say(f"handed over with {open_alerts} open alerts")
    if uncovered:
        say(f"NOBODY is on duty now for {', '.join(uncovered)}")


@rota.command("who-is-on-duty")
def rota_who(
    context: typer.Context,
    area: Annotated[str, typer.Argument(help="District code.")],
    at: Annotated[str | None, typer.Option(help="Moment, ISO 8601 with a zone. Default: now.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Say who is told of an alert in a district, level by level.

    Exit codes: 0 somebody is on duty, 1 nobody is, 2 wrong usage or settings.
    """
    query = OnDutyQuery(area=area, at=as_moment(at))

    async def read(pool: asyncpg.Pool, settings: Settings) -> Sequence[BaseModel]:
        return await _routes(pool, settings).on_duty(query)

    found = with_pool(context, read)
    show_rows(f"On duty for {area}", ["level", "accounts"], found, as_json=as_json)
    if not found:
        raise WentWrong(f"nobody is on duty for {area}: alerts go to every officer of the district")


@rota.command("gaps")
def rota_gaps(
    context: typer.Context,
    hours: Annotated[float, typer.Option(min=0.1, max=2160, help="So far ahead.")] = 168,
    as_json: JsonOption = False,
) -> None:
    """Show when and where nobody is planned.

    Exit codes: 0 no gap, 1 there are gaps, 2 wrong usage or settings.
    """

    async def read(pool: asyncpg.Pool, settings: Settings) -> Sequence[BaseModel]:
        return await _routes(pool, settings).gaps(GapQuery(hours=hours))

    found = with_pool(context, read)
    show_rows("Gaps", ["level", "starts_at", "ends_at", "areas"], found, as_json=as_json)
    if found:
        raise WentWrong(f"{len(found)} gaps within {hours:g} hours")


@rota.command("handovers")
def rota_handovers(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=500, help="Most hand-overs shown.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """Show the newest hand-overs with their notes.

    Exit codes: 0 shown, 1 the database does not answer, 2 wrong usage or settings.
    """

    async def read(pool: asyncpg.Pool, settings: Settings) -> Sequence[BaseModel]:
        return await _routes(pool, settings).handovers(HandoverQuery(limit=limit))

    columns = ["handover_id", "at", "level", "from_account", "to_account", "actor", "note"]
    show_rows("Hand-overs", columns, with_pool(context, read), as_json=as_json)


@rota.command("selftest")
def rota_selftest(
    context: typer.Context,
    now: Annotated[bool, typer.Option("--now", help="Begin a round of tests now instead of listing results.")] = False,
    nights: Annotated[int, typer.Option(min=1, max=366, help="So many nights.")] = 1,
    as_json: JsonOption = False,
) -> None:
    """Show whether everyone on duty could be reached in the nightly test; with --now, test now.

    Exit codes: 0 everybody confirmed or may still, 1 somebody did not, 2 wrong usage or settings.
    """

    async def work(pool: asyncpg.Pool, settings: Settings) -> tuple[str, Sequence[BaseModel]]:
        routes = _routes(pool, settings)
        said = ""
        if now:
            begun = await routes.begin_tests(console_actor())
            said = f"round {begun.round} of {begun.night}: {begun.people} people are asked"
        return said, await routes.tests(ReachQuery(nights=nights))

    said, found = with_pool(context, work)
    columns = [
        "night",
        "round",
        "account",
        "contact",
        "result",
        "attempts",
        "handed_over_at",
        "confirmed_at",
        "last_error",
    ]
    if said:
        say(said)
    show_rows("Reach tests", columns, found, as_json=as_json)
    rows = [one.model_dump() for one in found]
    newest = {(row["night"], row["round"]) for row in rows[:1]}
    last = [row for row in rows if (row["night"], row["round"]) in newest]
    good = {row["account"] for row in last if row["result"] in {"confirmed", "late", "waiting"}}
    if unreached := sorted({row["account"] for row in last} - good):
        raise WentWrong(f"not reached: {', '.join(unreached)}")


@rota.command("confirm")
def rota_confirm(
    context: typer.Context, code: Annotated[str, typer.Argument(help="The code, as somebody reads it out.")]
) -> None:
    """Confirm a test for somebody who tells you the code of its message.

    Exit codes: 0 confirmed, 1 no test has this code, 2 wrong usage or settings.
    """

    async def confirm(pool: asyncpg.Pool, settings: Settings) -> tuple[str, bool]:
        done = await _routes(pool, settings).confirm(checked(ConfirmBody, {"code": code}), console_actor())
        return done.account, done.late

    account, late = with_pool(context, confirm)
    say(f"{account} is reached{', late' if late else ''}")
