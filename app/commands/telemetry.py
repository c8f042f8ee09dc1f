"""Commands about what came in: the ledger and the quarantine."""

from collections import defaultdict
from dataclasses import asdict
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated

import asyncpg
import typer

from app.commands.terminal import (
    JsonOption,
    WentWrong,
    as_date,
    console_actor,
    say,
    show_json,
    show_table,
    with_connection,
    with_pool,
)
from app.settings import Settings
from ingest import ledger, quarantine

quarantine_commands = typer.Typer(no_args_is_help=True, help="Messages that could not be stored, and their replay.")

_KINDS = ("received", "stored", "duplicate", "late", "conflict", "quarantined")
_SHOWN_BYTES = 4_096
IdsArgument = Annotated[list[int] | None, typer.Argument(help="Ids from `quarantine list`; none: all that wait.")]
ReasonOption = Annotated[str | None, typer.Option(help="Only messages quarantined for this reason.")]


def show_ledger(
    context: typer.Context,
    day: Annotated[str | None, typer.Option(help="UTC day of arrival, YYYY-MM-DD; default: today.")] = None,
    by_gateway: Annotated[bool, typer.Option("--by-gateway", help="A line for each gateway.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Prove that every message of a day has one disposition and that its rows are there; show what never arrived.

    Exit codes: 0 it balances, 1 it does not (each fault is a sentence), 2 wrong usage or settings.
    """
    wanted = as_date(day) or datetime.now(UTC).date()

    async def prove(conn: asyncpg.Connection) -> tuple[ledger.Proof, list[ledger.Line], list[ledger.Missing]]:
        actor, since = console_actor(), datetime.combine(wanted, time(), UTC)
        proof = await ledger.prove_days(conn, wanted, wanted, actor)
        lines = await ledger.ledger_days(conn, wanted, wanted, actor)
        return proof, lines, await ledger.missing_messages(conn, since, since + timedelta(days=1), actor)

    proof, lines, missing = with_connection(context, prove)
    if as_json:
        totals = {"day": wanted, "balances": proof.balances, "received": proof.received, **proof.by_kind}
        gaps = [asdict(one) for one in missing]
        show_json({**totals, "faults": proof.faults, "items": [asdict(line) for line in lines], "missing": gaps})
    else:
        _show_ledger_tables(wanted, lines, missing, by_gateway=by_gateway)
    if not proof.balances:
        raise WentWrong("\n".join(("the ledger does not balance", *proof.faults)))
    if not as_json:
        say(f"the ledger of {wanted} balances")


def _show_ledger_tables(
    day: date, lines: list[ledger.Line], missing: list[ledger.Missing], *, by_gateway: bool
) -> None:
    sums: dict[tuple[str, ...], list[int]] = defaultdict(lambda: [0] * len(_KINDS))
    for line in lines:
        key = (line.slot, line.gateway) if by_gateway else (line.slot,)
        sums[key] = [total + getattr(line, kind) for total, kind in zip(sums[key], _KINDS, strict=True)]
    keys = ("slot", "gateway") if by_gateway else ("slot",)
    show_table(f"Ledger of {day}", [*keys, *_KINDS], [(*key, *total) for key, total in sorted(sums.items())])
    if missing:
        columns = ["gateway", "device", "missing", "gaps", "from", "to"]
        rows = [(one.gateway, one.device, one.missing, one.gaps, one.first_at, one.last_at) for one in missing]
        show_table("Missing by sequence number: sent and never arrived", columns, rows)


@quarantine_commands.command("list")
def quarantine_list(
    context: typer.Context,
    reason: ReasonOption = None,
    gateway: Annotated[str | None, typer.Option(help="Only messages of this gateway.")] = None,
    replayed: Annotated[bool, typer.Option("--replayed", help="Those that left quarantine instead.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Most messages shown.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """List messages in quarantine, newest first.

    Exit codes: 0 listed, 1 the database does not answer, 2 wrong usage or settings.
    """

    async def page(conn: asyncpg.Connection) -> list[asyncpg.Record]:
        return await quarantine.quarantine_page(conn, reason, gateway, replayed, console_actor(), None, limit)

    found = with_connection(context, page)
    if as_json:
        show_json([{key: value for key, value in row.items() if key != "payload"} for row in found])
        return
    columns = ["quarantine_id", "reason", "detail", "topic", "times", "last_received_at", "replayed_at"]
    show_table("Quarantine", columns, [[row[column] for column in columns] for row in found])


@quarantine_commands.command("show")
def quarantine_show(context: typer.Context, quarantine_id: int) -> None:
    """Show one message whole: where it came from, why it was refused, its payload.

    Exit codes: 0 shown, 1 there is no such message, 2 wrong usage or settings.
    """

    async def one(conn: asyncpg.Connection) -> list[asyncpg.Record]:
        return await quarantine.quarantine_page(conn, None, None, None, console_actor(), quarantine_id + 1, 1)

    found = with_connection(context, one)
    if not found or found[0]["quarantine_id"] != quarantine_id:
        raise WentWrong(f"there is no message {quarantine_id} in quarantine")
    for key, value in found[0].items():
        if key != "payload":
            typer.echo(f"{key + ':':20}{'' if value is None else value}")
    typer.echo("\n" + found[0]["payload"][:_SHOWN_BYTES].decode("utf-8", "backslashreplace"))


@quarantine_commands.command("replay")
def quarantine_replay(
    context: typer.Context,
    ids: IdsArgument = None,
    reason: ReasonOption = None,
    preview: Annotated[bool, typer.Option("--preview", help="Show what would happen; change nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Store what can be stored now, with its original times; what is still refused waits on. Audited.

    Exit codes: 0 done, 1 the database does not answer, 2 wrong usage or settings.
    """
    if preview:
        _preview(context, ids, reason, as_json=as_json)
        return

    async def store(pool: asyncpg.Pool, _settings: Settings) -> dict[str, int]:
        return dict(await quarantine.replay(pool, console_actor(), datetime.now(UTC), ids or None, reason))

    outcome = with_pool(context, store)
    if as_json:
        show_json(outcome)
    else:
        show_table("Replayed", ["became", "messages"], sorted(outcome.items()))


def _preview(context: typer.Context, ids: list[int] | None, reason: str | None, *, as_json: bool) -> None:
    async def look(conn: asyncpg.Connection) -> list[quarantine.Prospect]:
        return await quarantine.preview(conn, datetime.now(UTC), ids or None, reason)

    prospects = with_connection(context, look)
    if as_json:
        show_json([asdict(prospect) for prospect in prospects])
        return
    columns = ["id", "topic", "was refused for", "now"]
    rows = [
        (
            one.quarantine_id,
            one.topic,
            one.was,
            "would be stored" if one.reason is None else f"{one.reason}: {one.detail}",
        )
        for one in prospects
    ]
    show_table("Preview of a replay; nothing is changed", columns, rows)
