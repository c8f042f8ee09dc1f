"""`gaswarden conflict`: reports of inspectors that could not be taken as they stood, and what is decided about them."""

from collections.abc import Sequence
from typing import Annotated, get_args

import asyncpg
import typer
from pydantic import BaseModel

from app.commands.hotline import LimitOption, done, lines
from app.commands.terminal import JsonOption, checked, console_actor, say, show_json, show_table
from app.settings import Settings
from inspections.offline_answers import ConflictAnswer, ConflictQuery, ConflictState, SettleBody
from inspections.offline_routes import OfflineRoutes

conflict = typer.Typer(no_args_is_help=True, help="Inspectors' reports that could not be taken as they stood.")
_COLUMNS = ["conflict_id", "received_at", "visit_id", "area", "kind", "field", "reason", "actor", "state"]
_NoteArgument = Annotated[str, typer.Argument(help="Why, in words; it is kept.")]


@conflict.command("list")
def conflict_list(
    context: typer.Context,
    state: Annotated[str, typer.Option(help=", ".join(get_args(ConflictState)))] = "open",
    limit: LimitOption = 50,
    as_json: JsonOption = False,
) -> None:
    """List conflicts of outcomes, oldest first. The look is audited: notes in them are personal data.

    Exit codes: 0 listed, 1 the database does not answer, 2 wrong usage or settings.
    """
    asked = checked(ConflictQuery, {"state": state, "limit": limit})

    async def read(pool: asyncpg.Pool, settings: Settings) -> Sequence[BaseModel]:
        return (await OfflineRoutes(pool, settings.roster).conflicts(asked, console_actor())).items

    lines("Conflicts", _COLUMNS, done(context, read), as_json=as_json)


@conflict.command("show")
def conflict_show(
    context: typer.Context, conflict_id: Annotated[int, typer.Argument(min=1)], as_json: JsonOption = False
) -> None:
    """Show one conflict with the report as it was sent. The look is audited.

    Exit codes: 0 shown, 1 there is no such conflict, 2 wrong usage or settings.
    """

    async def read(pool: asyncpg.Pool, settings: Settings) -> ConflictAnswer:
        return await OfflineRoutes(pool, settings.roster).conflict(conflict_id, console_actor())

    _show(done(context, read), as_json=as_json)


@conflict.command("record")
def conflict_record(
    context: typer.Context,
    conflict_id: Annotated[int, typer.Argument(min=1)],
    note: _NoteArgument,
    as_json: JsonOption = False,
) -> None:
    """Take the report as it was sent, now, by the officer's right. Audited.

    Example: gaswarden conflict record 7 "the visit was swapped by phone"
    Exit codes: 0 recorded, 1 refused (why is said), 2 wrong usage or settings.
    """
    _settle(context, conflict_id, "record", note, as_json=as_json)


@conflict.command("reject")
def conflict_reject(
    context: typer.Context,
    conflict_id: Annotated[int, typer.Argument(min=1)],
    note: _NoteArgument,
    as_json: JsonOption = False,
) -> None:
    """Decide that the report is not taken; it is kept. Audited.

    Exit codes: 0 rejected, 1 refused (why is said), 2 wrong usage or settings.
    """
    _settle(context, conflict_id, "reject", note, as_json=as_json)


def _settle(context: typer.Context, conflict_id: int, decision: str, note: str, *, as_json: bool) -> None:
    body = checked(SettleBody, {"decision": decision, "note": note})

    async def settle(pool: asyncpg.Pool, settings: Settings) -> ConflictAnswer:
        routes = OfflineRoutes(pool, settings.roster)
        await routes.settle(conflict_id, body, console_actor())
        return await routes.conflict(conflict_id, console_actor())

    _show(done(context, settle), as_json=as_json)


def _show(one: ConflictAnswer, *, as_json: bool) -> None:
    if as_json:
        show_json(one.model_dump(mode="json"))
        return
    where = f" for visit {one.visit_id} in {one.area}" if one.visit_id is not None else ""
    say(f"conflict {one.conflict_id}, {one.kind}{where}, sent by {one.actor} at {one.received_at:%Y-%m-%d %H:%M}Z")
    say(f"{one.field}: {one.reason}" if one.field else one.reason)
    if one.settled_at is not None:
        say(f"{one.state} by {one.settled_by} at {one.settled_at:%Y-%m-%d %H:%M}Z: {one.settled_note}")
    else:
        say(one.state)
    show_table("The report as it was sent", ["field", "value"], [(name, value) for name, value in one.item.items()])
