"""Commands for the administrator: accounts and the audit chain."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import asyncpg
import typer

from app import accounts
from app.commands.terminal import JsonOption, WentWrong, console_actor, say, show_json, show_table, with_connection
from sql import audit

account = typer.Typer(no_args_is_help=True, help="Accounts of people and programs.")
audit_commands = typer.Typer(no_args_is_help=True, help="The record of who did or saw what.")


class Role(StrEnum):
    """What an account may be."""

    OFFICER = "officer"
    INSPECTOR = "inspector"
    ADMINISTRATOR = "administrator"


@account.command("add")
def account_add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="1 to 64 letters, digits, dots, dashes, underscores or @.")],
    role: Annotated[Role, typer.Option(help="What the account may do.")],
    area: Annotated[
        list[str] | None, typer.Option(help="District it is limited to, children included; repeat for more.")
    ] = None,
    inspector: Annotated[str | None, typer.Option(help="Code of the inspector whose account this is.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Make an account and print its token, once: only a digest is kept.

    Exit codes: 0 made, 1 refused (the reason is printed), 2 wrong usage or settings.
    """
    new = accounts.NewAccount(name, role.value, tuple(area) if area else None, inspector)

    async def add(conn: asyncpg.Connection) -> str:
        return await accounts.add_account(conn, new, console_actor(), datetime.now(UTC))

    token = with_connection(context, add)
    if as_json:
        show_json({"name": name, "role": role.value, "areas": area or None, "inspector": inspector, "token": token})
    else:
        say(f"account {name} ({role.value}); its token is shown this once:")
        typer.echo(token)


@account.command("list")
def account_list(context: typer.Context, as_json: JsonOption = False) -> None:
    """List all accounts, revoked ones too.

    Exit codes: 0 listed, 1 the database does not answer, 2 wrong settings.
    """
    found = with_connection(context, accounts.accounts)
    columns = ["name", "role", "areas", "inspector", "created", "revoked"]
    if as_json:
        show_json([{field: getattr(one, field) for field in accounts.Account.__slots__} for one in found])
        return
    rows = [
        (
            one.name,
            one.role,
            "whole city" if one.areas is None else " ".join(one.areas),
            one.inspector_code,
            one.created_at.isoformat(timespec="seconds"),
            one.revoked_at and one.revoked_at.isoformat(timespec="seconds"),
        )
        for one in found
    ]
    show_table("Accounts", columns, rows)


@account.command("revoke")
def account_revoke(context: typer.Context, name: str) -> None:
    """End an account: its token is refused from the next request on.

    Exit codes: 0 revoked, 1 there is no such account or it was revoked before, 2 wrong settings.
    """

    async def revoke(conn: asyncpg.Connection) -> None:
        await accounts.revoke_account(conn, name, console_actor(), datetime.now(UTC))

    with_connection(context, revoke)
    say(f"account {name} is revoked")


@audit_commands.command("verify")
def audit_verify(context: typer.Context) -> None:
    """Recompute the chain of the audit: no row was changed, taken out or put in between.

    Exit codes: 0 the chain is whole, 1 it is broken (the first row that does not fit is named), 2 wrong settings.
    """
    broken = with_connection(context, audit.first_broken_entry)
    if broken is not None:
        raise WentWrong(f"the audit chain is broken at row {broken}: it or the row before was changed or removed")
    say("the audit chain is whole")
