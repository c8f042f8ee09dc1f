"""Commands that show what became of a message: its trace, and conflicts."""

from dataclasses import asdict
from typing import Annotated

import asyncpg
import typer

from app.commands.terminal import (
    JsonOption,
    WentWrong,
    as_moment,
    console_actor,
    say,
    show_json,
    show_table,
    with_connection,
)
from ingest import tracing
from ingest.trace import Outcome, Trace

SinceOption = Annotated[str | None, typer.Option(help="Device time from this moment, ISO 8601 with a zone.")]
UntilOption = Annotated[str | None, typer.Option(help="Device time before this moment.")]


def show_trace(
    context: typer.Context,
    device: Annotated[str, typer.Argument(help="The device's own code.")],
    moment: Annotated[
        str, typer.Argument(metavar="TIME", help="Device time of the reading or event: 2026-11-20T08:12:31+08:00.")
    ],
    family: Annotated[str | None, typer.Option(help="When devices of several families have that code.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Say what became of one message: stored, in conflict, quarantined, held, never arrived; and show the facts.

    Exit codes: 0 something is known, 1 nothing is known of it, 2 wrong usage or settings.
    """
    at = as_moment(moment)
    assert at is not None

    async def look(conn: asyncpg.Connection) -> Trace:
        return await tracing.trace(conn, device, at, console_actor(), family)

    found = with_connection(context, look)
    if as_json:
        show_json({"outcome": found.outcome.value, "sentence": found.sentence, **asdict(found)})
    else:
        _show_facts(found)
    if found.outcome is Outcome.UNKNOWN:
        raise WentWrong(found.sentence)
    if not as_json:
        say(found.sentence)


def _show_facts(found: Trace) -> None:
    near = sorted([*found.nearest, *([found.reading] if found.reading else [])], key=lambda row: row["at"])
    parts = (
        ("Readings at that moment and nearest to it", near),
        ("Events", found.events),
        ("Conflicts", found.conflicts),
        ("Quarantine", found.quarantined),
        ("Quarantine: names the device, its moment cannot be read", found.unreadable),
        ("Waiting for their turn: the gateway is above its limit", found.held),
        ("Missing by sequence number", [asdict(gap) for gap in found.gaps]),
        ("Ledger of the day of arrival", found.ledger),
    )
    for title, rows in parts:
        if rows:
            show_table(title, list(rows[0]), [list(row.values()) for row in rows])


def show_conflicts(
    context: typer.Context,
    device: Annotated[str | None, typer.Option(help="Only conflicts of the device with this code.")] = None,
    since: SinceOption = None,
    until: UntilOption = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Most conflicts shown.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """Show values that came for a moment that had another: the first stays, the second is kept beside it.

    Exit codes: 0 shown, 1 the database does not answer, 2 wrong usage or settings.
    """
    first, last = as_moment(since), as_moment(until)

    async def page(conn: asyncpg.Connection) -> list[asyncpg.Record]:
        return await tracing.conflicts_page(
            conn, console_actor(), code=device, since=first, until=last, page_size=limit
        )

    found = with_connection(context, page)
    if as_json:
        show_json([dict(row) for row in found])
        return
    columns = ["conflict_id", "gateway", "code", "at", "source"]
    rows = [[*(row[name] for name in columns), *_difference(row), row["refused_at"]] for row in found]
    show_table("Conflicts", [*columns, "stored", "refused", "refused_at"], rows)


def _difference(row: asyncpg.Record) -> tuple[str, str]:
    """What the two values say differently, as text; what the second leaves unknown contradicts nothing."""
    kept, refused = row["kept"], row["refused"]
    names = [name for name, value in refused.items() if kept.get(name) != value and name not in {"flags", "at"}]
    return tuple(", ".join(f"{name} {one.get(name)}" for name in names) for one in (kept, refused))  # type: ignore[return-value]
