"""`gaswarden command`: commands to valves, and what became of them."""

from typing import Annotated

import asyncpg
import typer
from pydantic import ValidationError

from app.commands.terminal import JsonOption, console_actor, say, show_json, show_table, with_pool
from app.settings import Settings
from ingest.commanding.pages import CommandPage, CommandQuery, CommandWhole
from ingest.commanding.routes import CommandRoutes

command = typer.Typer(no_args_is_help=True, help="Commands to valves. People give them over HTTP, each by name.")


@command.command("list")
def command_list(
    context: typer.Context,
    state: Annotated[
        list[str] | None, typer.Option(help="`in_flight`, `ended` or a state; repeat for more. Default: all.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="Most commands shown.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """List commands, newest first.

    Exit codes: 0 listed, 1 the database does not answer, 2 wrong usage or settings.
    """
    try:
        query = CommandQuery.model_validate({"state": state or [], "limit": limit})
    except ValidationError as error:
        raise typer.BadParameter(error.errors()[0]["msg"].replace("Input should be", "the state must be")) from None

    async def read(pool: asyncpg.Pool, settings: Settings) -> CommandPage:
        return await CommandRoutes(pool, settings.commands).commands(query, console_actor())

    page = with_pool(context, read)
    if as_json:
        show_json([one.model_dump(mode="json") for one in page.items])
        return
    columns = [
        "command_id",
        "valve",
        "device",
        "premises",
        "state",
        "reason",
        "requested_by",
        "approved_by",
        "attempts",
    ]
    columns += ["requested_at", "ended_at"]
    show_table("Commands", columns, [[getattr(one, column) for column in columns] for one in page.items])


@command.command("show")
def command_show(
    context: typer.Context, command_id: Annotated[int, typer.Argument(min=1)], as_json: JsonOption = False
) -> None:
    """Show one command with its timeline.

    Exit codes: 0 shown, 1 there is no such command, 2 wrong usage or settings.
    """

    async def read(pool: asyncpg.Pool, settings: Settings) -> CommandWhole:
        return await CommandRoutes(pool, settings.commands).command(command_id, console_actor())

    whole = with_pool(context, read)
    if as_json:
        show_json(whole.model_dump(mode="json"))
        return
    say(f"{whole.valve} {whole.device}: {whole.state} ({whole.reason}); {whole.note}")
    columns = ["at", "step", "to_state", "actor", "reason", "note", "evidence"]
    show_table("Timeline", columns, [[getattr(one, column) for column in columns] for one in whole.timeline])
    if whole.not_safe_to_open:
        say(whole.not_safe_to_open)
