"""`gaswarden roster` of a planned day: change it, compare its versions, ask why a door is on a roster or not."""

from datetime import UTC, date, datetime
from typing import Annotated, Any

import asyncpg
import typer
from pydantic import TypeAdapter, ValidationError

from app.commands.desk import roster
from app.commands.terminal import (
    JsonOption,
    as_date,
    as_moment,
    console_actor,
    say,
    show_json,
    show_table,
    with_pool,
)
from app.settings import Settings
from inspections.changes import Change, ChangeAnswer, ChangeRequest, DiffAnswer, DiffQuery
from inspections.day_routes import RosterDayRoutes
from inspections.why import WhyAnswer, WhyQuery

_CHANGE: TypeAdapter[Change] = TypeAdapter(Change)
_KINDS = "mandatory, ill, overrun, appointment_made, appointment_cancelled or replan"


@roster.command("change")
def roster_change(
    context: typer.Context,
    kind: Annotated[str, typer.Argument(help=f"{_KINDS}.")],
    day: Annotated[str | None, typer.Option(help="Local day, YYYY-MM-DD; default: today.")] = None,
    inspector: Annotated[str | None, typer.Option(help="ill: code of the inspector.")] = None,
    visit: Annotated[int | None, typer.Option(help="overrun: the visit.")] = None,
    premises: Annotated[str | None, typer.Option(help="appointment_made: code of the door.")] = None,
    duty: Annotated[int | None, typer.Option(help="appointment_cancelled: the appointment's duty.")] = None,
    from_at: Annotated[str | None, typer.Option("--from", help="ill, appointment_made: from when, ISO 8601.")] = None,
    until: Annotated[str | None, typer.Option(help="ill, overrun, appointment_made: until when, ISO 8601.")] = None,
    note: Annotated[str | None, typer.Option(help="ill, appointment_cancelled: in words.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Change a planned day and publish its next version: few visits move, nothing done or under way does. Audited.

    Exit codes: 0 changed, 1 refused or nothing could be made of it (the reason is printed), 2 wrong usage or settings.
    """
    begin, end = as_moment(from_at), as_moment(until)
    kinds: dict[str, dict[str, object]] = {
        "mandatory": {},
        "replan": {},
        "ill": {"inspector": inspector, "from_at": begin, "until": end, "note": note},
        "overrun": {"visit_id": visit, "until": end},
        "appointment_made": {"premises": premises, "from_at": begin, "to_at": end},
        "appointment_cancelled": {"duty_id": duty, "note": note},
    }
    if kind not in kinds:
        raise typer.BadParameter(f"the kind must be {_KINDS}")
    given = kinds[kind]
    try:
        change = _CHANGE.validate_python({"kind": kind} | {k: v for k, v in given.items() if v is not None})
    except ValidationError as error:
        first = error.errors()[0]
        raise typer.BadParameter(f"{first['loc'][-1]}: {first['msg']}") from None

    async def work(pool: asyncpg.Pool, settings: Settings) -> ChangeAnswer:
        routes = RosterDayRoutes(pool, settings.roster)
        chosen = as_date(day) or _today(settings)
        return await routes.change(chosen, ChangeRequest(change=change), console_actor())

    answer = with_pool(context, work)
    show_json(answer.model_dump(mode="json")) if as_json else _show_change(answer)


def _show_change(answer: ChangeAnswer) -> None:
    if answer.version is None:
        say(f"{answer.day}: {answer.effect['note']}")
        return
    say(f"{answer.day}: version {answer.version} after {answer.from_version}, {answer.effect['seconds']} s")
    rows: list[tuple[object, ...]] = []
    for what in ("inserted", "moved", "dropped", "promised_anew"):
        rows += [(what, one["premises"], one.get("inspector", ""), _detail(one)) for one in answer.effect[what]]
    show_table("Changed", ["what", "door", "inspector", "detail"], rows)


def _detail(one: dict[str, Any]) -> str:
    if "from_inspector" in one:
        return f"from {one['from_inspector']}, now at {one['arrive_at']}"
    if "was_from" in one:
        return f"promised for {one['from']} instead of {one['was_from']}; {one['reason']}"
    return str(one.get("reason") or f"at {one['arrive_at']}, in {one['minutes_from_now']} min")


@roster.command("diff")
def roster_diff(
    context: typer.Context,
    day: Annotated[str, typer.Argument(help="Local day, YYYY-MM-DD.")],
    from_version: Annotated[int | None, typer.Argument(min=1, help="Default: the one before the later.")] = None,
    to_version: Annotated[int | None, typer.Argument(min=1, help="Default: the version in force.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare two versions of a day: what was added, moved to whom, retimed, dropped and why, and what led to it.

    Exit codes: 0 compared, 1 there are no such versions, 2 wrong usage or settings.
    """
    wanted = as_date(day)
    assert wanted is not None

    async def read(pool: asyncpg.Pool, settings: Settings) -> tuple[DiffAnswer, Settings]:
        query = DiffQuery(from_version=from_version, to_version=to_version)
        return await RosterDayRoutes(pool, settings.roster).diff(wanted, query, console_actor()), settings

    answer, settings = with_pool(context, read)
    if as_json:
        show_json(answer.model_dump(mode="json"))
        return
    zone = settings.roster.zone
    counts = ", ".join(f"{count} {what.replace('_', ' ')}" for what, count in answer.counts.items())
    say(f"{answer.day}: version {answer.from_version} to {answer.to_version}: {answer.same} the same, {counts}")
    for change in answer.changes:
        say(f"version {change.version}: {change.kind} by {change.actor} at {change.at.astimezone(zone):%H:%M}")
    rows = [
        (
            one.what,
            one.premises,
            f"{one.before.inspector} {one.before.arrive_at.astimezone(zone):%H:%M}" if one.before else "",
            f"{one.after.inspector} {one.after.arrive_at.astimezone(zone):%H:%M}" if one.after else "",
            {None: "", True: "kept", False: "not kept"}[one.promise_kept],
            one.why or "",
        )
        for one in answer.items
    ]
    show_table("Differences", ["what", "door", "before", "after", "promise", "why"], rows)


@roster.command("why")
def roster_why(
    context: typer.Context,
    premises: Annotated[str, typer.Argument(help="Code of any door.")],
    day: Annotated[str | None, typer.Argument(help="Local day; default: the next with rosters, else tomorrow.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Say why a door is, or is not, visited on a day: when and by whom, which constraint binds, or when it is due.

    Exit codes: 0 answered, 1 there is no such door, 2 wrong usage or settings.
    """
    wanted = as_date(day)

    async def read(pool: asyncpg.Pool, settings: Settings) -> WhyAnswer:
        return await RosterDayRoutes(pool, settings.roster).why(premises, WhyQuery(day=wanted), console_actor())

    answer = with_pool(context, read)
    if as_json:
        show_json(answer.model_dump(mode="json"))
        return
    say(f"{answer.premises} on {answer.day}: {answer.sentence}")
    if answer.chance is not None:
        say(f"expected chance to get in: {answer.chance:.0%}")
    if answer.price:
        say("forcing it in would cost: " + ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in answer.price.items()))
    say(f"next periodic inspection: {answer.next_due_on}, {answer.next_due_why}")
    columns = ["duty_id", "kind", "due_on", "not_before", "mandatory", "attempts", "reason"]
    show_table("Open", columns, [[getattr(one, column) for column in columns] for one in answer.duties])


def _today(settings: Settings) -> date:
    return datetime.now(UTC).astimezone(settings.roster.zone).date()
