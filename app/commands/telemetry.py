"""Commands about what came in: the ledger and the quarantine."""

from collections import defaultdict
from dataclasses import asdict
from datetime import UTC, datetime, time, timedelta
from typing import Annotated

import asyncpg
import typer

from app.commands.terminal import (
    JsonOption,
    WentWrong,
    as_date,
    as_moment,
    console_actor,
    load,
    say,
    show_json,
    show_table,
    with_connection,
    with_pool,
)
from app.settings import Settings
from ingest import ledger, quarantine, refusals
from ingest.model import QuarantineReason
from sql.errors import NotFound

quarantine_commands = typer.Typer(no_args_is_help=True, help="Messages that could not be stored, and their replay.")

_KINDS = ("received", "stored", "duplicate", "late", "conflict", "quarantined")
_Found = tuple[ledger.Proof, list[ledger.Line], list[ledger.Missing], list[ledger.Flood]]
IdsArgument = Annotated[list[int] | None, typer.Argument(help="Ids from `quarantine list`; none: all that wait.")]
ReasonOption = Annotated[str | None, typer.Option(help="Only messages quarantined for this reason.")]


def show_ledger(
    context: typer.Context,
    day: Annotated[str | None, typer.Option(help="UTC day of arrival, YYYY-MM-DD; default: today.")] = None,
    last_day: Annotated[str | None, typer.Option(help="Last of several days; default: the same day.")] = None,
    gateway: Annotated[str | None, typer.Option(help="Only lines of this gateway ('?': of none we know).")] = None,
    slot: Annotated[str | None, typer.Option(help="Only lines of this worker.")] = None,
    by_gateway: Annotated[bool, typer.Option("--by-gateway", help="A line for each gateway.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Prove that every message of a day has one disposition and that its rows are there; show what never arrived.

    That books and rows agree is proved of all gateways and workers, whatever lines are shown.
    Exit codes: 0 it balances, 1 it does not (each fault is a sentence), or there is no such gateway or worker, 2 wrong
    usage or settings.
    """
    first = as_date(day) or datetime.now(UTC).date()
    last = as_date(last_day) or first
    if last < first:
        raise typer.BadParameter("the last day is before the first")
    chosen = {"gateway": gateway, "slot": slot}

    async def prove(conn: asyncpg.Connection) -> _Found:
        actor, since = console_actor(), datetime.combine(first, time(), UTC)
        until = datetime.combine(last + timedelta(days=1), time(), UTC)
        lines = await ledger.ledger_days(conn, first, last, actor, **chosen)
        if not lines and not await ledger.is_known(conn, **chosen):
            raise NotFound(" and ".join(f"no {name} {value}" for name, value in chosen.items() if value is not None))
        proof = await ledger.prove_days(conn, first, last, actor, **chosen)
        missing = await ledger.missing_messages(conn, since, until, actor, gateway=gateway)
        return proof, lines, missing, await ledger.gateway_floods(conn, since, actor, gateway=gateway)

    proof, lines, missing, floods = with_connection(context, prove)
    days = str(first) if last == first else f"{first} to {last}"
    if as_json:
        totals = {
            "day": first,
            "last_day": last,
            "balances": proof.balances,
            "received": proof.received,
            "held": proof.held,
        }
        gaps = [asdict(one) for one in missing]
        items = [asdict(line) for line in lines]
        flooding = [asdict(one) for one in floods]
        parts = {"faults": proof.faults, "items": items, "missing": gaps, "floods": flooding}
        show_json({**totals, **proof.by_kind, **parts})
    else:
        _show_ledger_tables(days, lines, missing, by_day=last > first, by_gateway=by_gateway or gateway is not None)
        _show_floods(floods)
    if not proof.balances:
        raise WentWrong("\n".join(("the ledger does not balance", *proof.faults)))
    if not as_json:
        say(f"the ledger of {days} balances")


def _show_ledger_tables(
    days: str, lines: list[ledger.Line], missing: list[ledger.Missing], *, by_day: bool, by_gateway: bool
) -> None:
    keys = [*(["day"] if by_day else []), "slot", *(["gateway"] if by_gateway else [])]
    sums: dict[tuple[str, ...], list[int]] = defaultdict(lambda: [0] * len(_KINDS))
    for line in lines:
        key = tuple(str(getattr(line, name)) for name in keys)
        sums[key] = [total + getattr(line, kind) for total, kind in zip(sums[key], _KINDS, strict=True)]
    show_table(f"Ledger of {days}", [*keys, *_KINDS], [(*key, *total) for key, total in sorted(sums.items())])
    if missing:
        columns = ["gateway", "device", "missing", "gaps", "from", "to"]
        rows = [(one.gateway, one.device, one.missing, one.gaps, one.first_at, one.last_at) for one in missing]
        show_table("Missing by sequence number: sent and never arrived", columns, rows)


def _show_floods(floods: list[ledger.Flood]) -> None:
    if floods:
        columns = ["gateway", "worker", "from", "to", "held back", "still waiting", "limit/s"]
        rows = [
            (one.gateway, one.lane, one.started_at, one.ended_at or "goes on", one.held, one.waiting, one.limit_per_s)
            for one in floods
        ]
        show_table("Above their rate limit: acknowledged, in the ledger when their turn comes", columns, rows)


@quarantine_commands.command("list")
def quarantine_list(
    context: typer.Context,
    reason: ReasonOption = None,
    gateway: Annotated[str | None, typer.Option(help="Only messages of this gateway.")] = None,
    device: Annotated[str | None, typer.Option(help="Only payloads that contain this code.")] = None,
    text: Annotated[str | None, typer.Option(help="Only what has this text in payload, topic or detail.")] = None,
    since: Annotated[str | None, typer.Option(help="Arrived at this moment or later, ISO 8601 with a zone.")] = None,
    until: Annotated[str | None, typer.Option(help="Arrived before this moment.")] = None,
    replayed: Annotated[bool, typer.Option("--replayed", help="Those that left quarantine instead.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Most messages shown.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """Search the messages in quarantine, newest first.

    Exit codes: 0 listed, 1 the database does not answer, 2 wrong usage or settings.
    """
    first, last = as_moment(since), as_moment(until)
    _check_reason(reason)

    async def page(conn: asyncpg.Connection) -> tuple[list[asyncpg.Record], list[asyncpg.Record]]:
        found = await quarantine.search(
            conn,
            console_actor(),
            reason=reason,
            gateway=gateway,
            device=device,
            words=text,
            replayed=replayed,
            page_size=limit,
            since=first,
            until=last,
        )
        return found, await refusals.gave_way(conn, console_actor(), gateway)

    found, gone = with_connection(context, page)
    if as_json:
        show_json([{key: value for key, value in row.items() if key != "payload"} for row in found])
        return
    columns = ["quarantine_id", "reason", "detail", "topic", "times", "last_received_at", "replayed_at"]
    show_table("Quarantine", columns, [[row[column] for column in columns] for row in found])
    if gone:
        lost = sum(row["discarded"] for row in gone)
        say(f"{lost:,} older messages gave way to newer ones: see `gaswarden quarantine discarded`")


def _check_reason(reason: str | None) -> None:
    if reason is not None and reason not in set(QuarantineReason):
        raise typer.BadParameter(f"{reason} is no reason: they are {', '.join(QuarantineReason)}")


@quarantine_commands.command("discarded")
def quarantine_discarded(
    context: typer.Context,
    gateway: Annotated[str | None, typer.Option(help="Only of this gateway ('?': of none we know).")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show of which gateways and reasons older messages gave way to newer ones: counted, no longer kept.

    Devices that are not registered have bounds of their own: `gaswarden device unregistered`.
    Exit codes: 0 shown, 1 the database does not answer, 2 wrong usage or settings.
    """

    async def look(conn: asyncpg.Connection) -> list[asyncpg.Record]:
        return await refusals.gave_way(conn, console_actor(), gateway)

    found = [dict(row) for row in with_connection(context, look)]
    if as_json:
        show_json(found)
        return
    columns = ["gateway", "reason", "messages", "discarded", "last_received_at"]
    show_table("No longer kept", columns, [[row[name] for name in columns] for row in found])


@quarantine_commands.command("show")
def quarantine_show(
    context: typer.Context,
    quarantine_id: int,
    as_hex: Annotated[bool, typer.Option("--hex", help="The payload in hexadecimal, also when it is text.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show one message whole: where it came from, why it was refused, its payload as text or in hexadecimal.

    Exit codes: 0 shown, 1 there is no such message, 2 wrong usage or settings.
    """

    async def one(conn: asyncpg.Connection) -> list[asyncpg.Record]:
        return await quarantine.search(conn, console_actor(), quarantine_id=quarantine_id, page_size=1)

    found = with_connection(context, one)
    if not found:
        raise WentWrong(f"there is no message {quarantine_id} in quarantine")
    payload = quarantine.payload_shown(found[0]["payload"], "hex" if as_hex else "auto")
    if as_json:
        show_json(dict(found[0]) | {"payload": payload})
        return
    for key, value in found[0].items():
        if key != "payload":
            typer.echo(f"{key + ':':20}{'' if value is None else value}")
    typer.echo("\n" + payload)


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
    _check_reason(reason)
    if preview:
        _preview(context, ids, reason, as_json=as_json)
        return

    async def store(pool: asyncpg.Pool, settings: Settings) -> dict[str, int]:
        sources = settings.ingest.sources
        return dict(await quarantine.replay(pool, console_actor(), datetime.now(UTC), ids or None, reason, sources))

    outcome = with_pool(context, store)
    if ids and not outcome:
        raise WentWrong("none of these messages waits; see `gaswarden quarantine list`")
    if as_json:
        show_json(outcome)
    else:
        show_table("Replayed", ["became", "messages"], sorted(outcome.items()))


def _preview(context: typer.Context, ids: list[int] | None, reason: str | None, *, as_json: bool) -> None:
    sources = load(context).settings.ingest.sources

    async def look(conn: asyncpg.Connection) -> list[quarantine.Prospect]:
        return await quarantine.preview(conn, datetime.now(UTC), ids or None, reason, sources)

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
