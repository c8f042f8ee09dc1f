"""Commands that print for residents: the written notice of a hazard, and cards for doors that stay shut."""

from pathlib import Path
from typing import Annotated, Literal

import asyncpg
import typer

from app.commands.terminal import console_actor, with_pool, write_file
from app.settings import Settings
from inspections.printing.paper_routes import PaperRoutes

notices = typer.Typer(no_args_is_help=True, help="Paper for residents: hazard notices and no-access cards, as PDF.")
OutputOption = Annotated[Path, typer.Option(help="Where the PDF goes.")]


@notices.command("hazard")
def print_hazard(
    context: typer.Context,
    hazard_id: Annotated[int, typer.Argument(help="The hazard, as outcomes and `premises` name it.")],
    output: OutputOption,
    language: Annotated[Literal["en", "zh", "both"], typer.Option(help="A page for each language.")] = "both",
) -> None:
    """Print the written notice of a hazard, to be signed in duplicate. Audited: it shows an address.

    Exit codes: 0 written, 1 there is no such hazard or no Chinese font, 2 wrong usage or settings.
    """

    async def work(pool: asyncpg.Pool, settings: Settings) -> bytes:
        return await PaperRoutes(pool, settings.roster).notice_pdf(hazard_id, language, console_actor())

    write_file(with_pool(context, work), output)


@notices.command("cards")
def print_cards(
    context: typer.Context,
    output: OutputOption,
    count: Annotated[int, typer.Option(min=1, max=200, help="How many, four on a sheet.")] = 20,
) -> None:
    """Issue cards for doors that stay shut and print them; each opens booking once an inspector has left it. Audited.

    Exit codes: 0 written, 1 no hotline and no booking page is set or no Chinese font, 2 wrong usage or settings.
    """

    async def work(pool: asyncpg.Pool, settings: Settings) -> bytes:
        return await PaperRoutes(pool, settings.roster).cards_pdf(count, console_actor())

    write_file(with_pool(context, work), output)
