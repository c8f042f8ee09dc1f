"""`gaswarden alerts`: what is open, one alert whole, steps, hand-over, and a watch on what happens."""

import asyncio
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import asyncpg
import typer
from pydantic import BaseModel, ValidationError

from app.commands.terminal import JsonOption, console_actor, say, show_json, show_table, with_pool
from app.settings import Settings
from rules.lifecycle import CAUSES, STEPS
from rules.pages import AcknowledgeBody, AlertPage, AlertQuery, AlertRow, AlertWhole, OwnerBody, StepBody, StepDone
from rules.routes import AlertRoutes
from rules.stream import Cursor, read_page
from sql import queries

alerts = typer.Typer(invoke_without_command=True, help="Alerts: list, show, watch, acknowledge, step, hand over.")
_LOOK_S = 1.0
Model = TypeVar("Model", bound=BaseModel)


@alerts.callback()
def show_alerts(
    context: typer.Context,
    state: Annotated[
        list[str] | None, typer.Option(help="`open`, `closed` or a state; repeat for more. Default: open.")
    ] = None,
    severity: Annotated[list[str] | None, typer.Option(help="critical, major, minor or info; repeat for more.")] = None,
    area: Annotated[list[str] | None, typer.Option(help="District, with those below it; repeat for more.")] = None,
    rule: Annotated[str | None, typer.Option(help="Only of this rule.")] = None,
    owner: Annotated[str | None, typer.Option(help="Only of this owner.")] = None,
    text: Annotated[str | None, typer.Option(help="Part of the sentence, or a device or door code.")] = None,
    older_than_min: Annotated[float | None, typer.Option(help="Raised at least so many minutes ago.")] = None,
    unowned: Annotated[bool, typer.Option("--unowned", help="Only those without an owner.")] = False,
    overdue: Annotated[bool, typer.Option("--overdue", help="Only those with a missed deadline.")] = False,
    after: Annotated[int | None, typer.Option(help="Go on after this alert: the last one of the page before.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="Most alerts shown.")] = 50,
    watch: Annotated[bool, typer.Option("--watch", help="Then print every step as it happens, until Ctrl-C.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List alerts, newest first, with what is due next; an overdue deadline ends in `!`.

    Exit codes: 0 listed, 1 the database does not answer, 2 wrong usage or settings.
    """
    if context.invoked_subcommand is not None:
        return
    given = {
        "state": state or ["open"], "severity": severity or [], "area": area or [], "rule": rule, "owner": owner,
        "text": text, "older_than_min": older_than_min, "unowned": unowned or None, "overdue": overdue or None,
        "after": after, "limit": limit,
    }  # fmt: skip
    query = checked(AlertQuery, given)

    async def read(pool: asyncpg.Pool, _settings: Settings) -> None:
        page = await AlertRoutes(pool).alerts(query, console_actor())
        _show_page(page, as_json=as_json)
        if watch:
            await _watch(pool, as_json=as_json)

    with_pool(context, read)


def checked(model: type[Model], given: dict[str, Any]) -> Model:
    """Values from the command line as a model; raises typer.BadParameter naming the value at fault."""
    try:
        return model.model_validate(given)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(str(part) for part in fault["loc"])
        words = fault["msg"].replace("Input should be", "must be")
        raise typer.BadParameter(f"{where}: {words}") from None


def _show_page(page: AlertPage, *, as_json: bool) -> None:
    if as_json:
        show_json([one.model_dump(mode="json") for one in page.items])
        return
    columns = ["alert", "severity", "state", "area", "door", "device", "raised", "due", "owner", "sentence"]
    show_table("Alerts", columns, [_line(one) for one in page.items])
    if page.next is not None:
        say(f"there are more: --after {page.next}")


def _line(one: AlertRow) -> tuple[object, ...]:
    due = f"{one.due_stage} {one.due_at:%m-%d %H:%M}Z{'!' if one.overdue else ''}" if one.due_at else ""
    state = f"{one.state}{f' (level {one.escalation})' if one.escalation else ''}{' silenced' if one.silenced else ''}"
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


@alerts.command("show")
def alert_show(
    context: typer.Context, alert_id: Annotated[int, typer.Argument(min=1)], as_json: JsonOption = False
) -> None:
    """Show one alert whole: its clock, timeline, door and past episodes. The look is audited: it shows an address.

    Exit codes: 0 shown, 1 there is no such alert, 2 wrong usage or settings.
    """

    async def read(pool: asyncpg.Pool, _settings: Settings) -> AlertWhole:
        return await AlertRoutes(pool).alert(alert_id, console_actor())

    whole = with_pool(context, read)
    if as_json:
        show_json(whole.model_dump(mode="json"))
        return
    say(f"{whole.severity}: {whole.sentence}")
    say(f"{whole.state}, owner {whole.owner or 'nobody'}; {whole.allowed}")
    if whole.silenced:
        say(whole.silenced)
    if whole.what_to_do:
        say(whole.what_to_do)
    door = whole.door
    place = door.address or door.unit
    say(", ".join(part for part in (door.premises, place, door.contact_name, door.contact_phone) if part))
    clock = [(one.stage, one.due_at, one.at, one.standing) for one in whole.clock]
    show_table(f"Clock (regime {whole.regime})", ["stage", "due", "came", "standing"], clock)
    columns = ["at", "step", "to_state", "actor", "reason", "note", "evidence"]
    show_table("Timeline", columns, [[getattr(one, column) for column in columns] for one in whole.timeline])
    if whole.episodes:
        columns = ["alert_id", "episode", "state", "raised_at", "closed_at", "cause", "confirmed"]
        show_table("Episodes", columns, [[getattr(one, column) for column in columns] for one in whole.episodes])


@alerts.command("ack")
def alert_acknowledge(
    context: typer.Context,
    alert_ids: Annotated[list[int], typer.Argument(min=1)],
    note: Annotated[str | None, typer.Option(help="What you know already.")] = None,
) -> None:
    """Acknowledge alerts; you become the owner of those without one. Audited.

    Exit codes: 0 all were, 1 some were not (each reason is printed), 2 wrong usage or settings.
    """
    body = checked(AcknowledgeBody, {"alert_ids": alert_ids, "note": note})

    async def take(pool: asyncpg.Pool, _settings: Settings) -> dict[int, str]:
        return (await AlertRoutes(pool).acknowledge(body, console_actor())).refused

    refused = with_pool(context, take)
    for alert_id, why in refused.items():
        say(f"{alert_id}: {why}")
    if refused:
        raise typer.Exit(1)


@alerts.command("step")
def alert_step(
    context: typer.Context,
    alert_id: Annotated[int, typer.Argument(min=1)],
    step: Annotated[str, typer.Argument(help=", ".join(STEPS))],
    note: Annotated[str | None, typer.Option(help="In words; control needs it.")] = None,
    cause: Annotated[str | None, typer.Option(help=f"dismiss needs it: {', '.join(CAUSES)}.")] = None,
    measured: Annotated[
        list[str] | None, typer.Option(help="Proof: INSTRUMENT=VALUE UNIT, e.g. 'GT-44=0 ppm'; repeat for more.")
    ] = None,
    photo: Annotated[list[str] | None, typer.Option(help="Proof: id of a photo; repeat for more.")] = None,
    telemetry: Annotated[bool, typer.Option("--telemetry", help="Proof: stored readings are normal since.")] = False,
    inspection: Annotated[int | None, typer.Option(help="Proof: id of an inspection's outcome.")] = None,
    confirmed: Annotated[
        bool | None,
        typer.Option("--confirmed/--not-confirmed", help="There was a true hazard, or none; labels the rule."),
    ] = None,
) -> None:
    """Take a step on an alert. Audited.

    Exit codes: 0 taken, 1 refused (with what is allowed or lacks), 2 wrong usage or settings.
    """
    proofs: list[dict[str, object]] = [_measured(text) for text in measured or []]
    proofs += [{"kind": "photo", "photo_id": one} for one in photo or []]
    proofs += [{"kind": "telemetry"}] if telemetry else []
    proofs += [{"kind": "inspection", "outcome_id": inspection}] if inspection is not None else []
    given = {"step": step, "note": note, "cause": cause, "evidence": proofs, "confirmed": confirmed}
    body = checked(StepBody, given)
    _show_done(context, lambda routes: routes.take_step(alert_id, body, console_actor()))


def _measured(text: str) -> dict[str, object]:
    instrument, _, reading = text.rpartition("=")
    value, _, unit = reading.strip().partition(" ")
    return {"kind": "instrument", "instrument": instrument, "value": value, "unit": unit.strip()}


@alerts.command("assign")
def alert_assign(
    context: typer.Context,
    alert_id: Annotated[int, typer.Argument(min=1)],
    owner: Annotated[str, typer.Argument(help="Account of an officer or administrator of its district.")],
    note: Annotated[str | None, typer.Option(help="What the new owner must know.")] = None,
) -> None:
    """Hand an alert over; the new owner is told. Audited.

    Exit codes: 0 handed over, 1 refused (the reason is printed), 2 wrong usage or settings.
    """
    body = checked(OwnerBody, {"owner": owner, "note": note})
    _show_done(context, lambda routes: routes.hand_over(alert_id, body, console_actor()))


def _show_done(context: typer.Context, deed: Callable[[AlertRoutes], Any]) -> None:
    async def take(pool: asyncpg.Pool, _settings: Settings) -> StepDone:
        done: StepDone = await deed(AlertRoutes(pool))
        return done

    done = with_pool(context, take)
    due = f"; {done.due_stage} is due at {done.due_at:%Y-%m-%d %H:%M}Z" if done.due_at else ""
    say(f"alert {done.alert_id} is {done.state}, owner {done.owner or 'nobody'}{due}")
