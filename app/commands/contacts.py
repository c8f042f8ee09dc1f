"""`gaswarden contact`: how people are reached."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import asyncpg
import typer
from pydantic import BaseModel

from app.commands.terminal import JsonOption, WentWrong, checked, console_actor, say, show_json, show_rows, with_pool
from app.settings import Settings
from rules.notices.contacts import Contacts
from rules.notices.model import NotOpened
from rules.notices.pages import ContactBody
from rules.notices.routes import NoticeRoutes
from rules.notices.seal import new_key

contact = typer.Typer(no_args_is_help=True, help="How people are reached: mail, messengers, text messages, webhooks.")


@contact.command("add")
def contact_add(
    context: typer.Context,
    account: Annotated[str, typer.Argument(help="Whom it reaches.")],
    address: Annotated[
        str,
        typer.Argument(
            help="An Apprise URL: mailtos://user:password@example.com?to=me@example.com, wecombot://KEY, "
            "dingtalk://TOKEN, feishu://TOKEN, jsons://example.com/hook ... "
            "`-` reads it from standard input."
        ),
    ],
    language: Annotated[str, typer.Option(help="en or zh.")] = "zh",
    severity_min: Annotated[str, typer.Option(help="No notices below this: critical, major, minor, info.")] = "minor",
    position: Annotated[int | None, typer.Option(min=1, max=100, help="1 is tried first; unset: last.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Add a way to reach a person. The address is encrypted and never shown again; `contact test` tries it.

    Exit codes: 0 added, 1 refused (the reason is printed), 2 wrong usage or settings.
    """
    given = typer.get_text_stream("stdin").readline().strip() if address == "-" else address
    body = checked(
        ContactBody, {"address": given, "language": language, "severity_min": severity_min, "position": position}
    )

    async def add(pool: asyncpg.Pool, settings: Settings) -> BaseModel:
        return await NoticeRoutes(pool, settings.notices).add_contact(account, body, console_actor())

    row = with_pool(context, add)
    if as_json:
        show_json(row.model_dump(mode="json"))
    else:
        say(f"contact {row.model_dump()['contact_id']} of {account}: {row.model_dump()['shown']}")


@contact.command("list")
def contact_list(context: typer.Context, as_json: JsonOption = False) -> None:
    """List the contacts of everybody, addresses masked, with what their channels last said.

    Exit codes: 0 listed, 1 the database does not answer, 2 wrong settings.
    """

    async def read(pool: asyncpg.Pool, settings: Settings) -> Sequence[BaseModel]:
        return await NoticeRoutes(pool, settings.notices).contacts(console_actor())

    columns = [
        "contact_id",
        "account",
        "position",
        "shown",
        "language",
        "severity_min",
        "enabled",
        "last_handed_over_at",
    ]
    show_rows("Contacts", [*columns, "failures", "last_error"], with_pool(context, read), as_json=as_json)


@contact.command("test")
def contact_test(
    context: typer.Context, contact_id: Annotated[int, typer.Argument(min=1)], as_json: JsonOption = False
) -> None:
    """Send a test message now.

    Exit codes: 0 the channel took it, 1 it did not (its words are printed) or there is none, 2 wrong settings.
    """

    async def test(pool: asyncpg.Pool, settings: Settings) -> tuple[bool, str | None, float]:
        done = await NoticeRoutes(pool, settings.notices).test_contact(contact_id, console_actor())
        return done.handed_over, done.error, done.seconds

    handed_over, error, seconds = with_pool(context, test)
    if as_json:
        show_json({"contact_id": contact_id, "handed_over": handed_over, "error": error, "seconds": seconds})
    if not handed_over:
        raise WentWrong(f"contact {contact_id}: {error}")
    if not as_json:
        say(f"contact {contact_id} took a test message in {seconds:.2f} s")


@contact.command("remove")
def contact_remove(context: typer.Context, contact_id: Annotated[int, typer.Argument(min=1)]) -> None:
    """End a contact and erase its address.

    Exit codes: 0 removed, 1 there is no such contact, 2 wrong settings.
    """

    async def remove(pool: asyncpg.Pool, settings: Settings) -> None:
        await NoticeRoutes(pool, settings.notices).remove_contact(contact_id, console_actor())

    with_pool(context, remove)
    say(f"contact {contact_id} is removed")


@contact.command("new-key")
def contact_new_key() -> None:
    """Make a key that seals addresses, for GASWARDEN_NOTICES__CONTACT_KEY. Keep it as you keep passwords.

    To change keys: set NEW,OLD, restart, run `gaswarden contact reseal`, then set NEW alone.
    """
    typer.echo(new_key())


@contact.command("reseal")
def contact_reseal(context: typer.Context) -> None:
    """Seal every address with the first of the keys that are set.

    Exit codes: 0 done, 1 an address fits no key (nothing is changed), 2 wrong settings.
    """

    async def reseal(pool: asyncpg.Pool, settings: Settings) -> int:
        async with pool.acquire() as conn, conn.transaction():
            return await Contacts(settings.notices).reseal(conn, console_actor(), datetime.now(UTC))

    try:
        count = with_pool(context, reseal)
    except NotOpened as error:
        raise WentWrong(f"an address fits no key: {error}; nothing is changed") from error
    say(f"{count} addresses are sealed with the first key")
