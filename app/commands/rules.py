"""`gaswarden rules`: what rules there are and may be, drafts, and which set is in force."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import asyncpg
import typer

from app.commands.precision import show_precision
from app.commands.terminal import JsonOption, console_actor, load, say, show_json, show_table, with_connection
from app.compose import packaged_rules
from rules import rule_sets
from rules.catalog import KINDS, Catalog, parse_files
from rules.rule_sets import InForce
from sql import queries

rules = typer.Typer(
    help="Rules: the set in force, kinds and their parameters, drafts, precision.", no_args_is_help=True
)
rules.command("precision")(show_precision)
FilesArgument = Annotated[Path, typer.Argument(exists=True, help="A rules file, or a folder of them.")]
NoteOption = Annotated[str, typer.Option(help="Why, for the record.")]


def in_force(context: typer.Context) -> Catalog:
    """The set of rules in force."""
    packaged = packaged_rules(load(context).settings)
    return with_connection(context, InForce(packaged).current)


@rules.command("list")
def list_rules(context: typer.Context, as_json: JsonOption = False) -> None:
    """Show the rules in force."""
    catalog = in_force(context)
    if as_json:
        rows = {rule_id: dict(rule.definition) for rule_id, rule in catalog.rules.items()}
        show_json({"digest": catalog.digest, "rules": rows})
        return
    shown = [
        (one.rule_id, one.family, one.severity, one.visit, one.clears, one.title) for one in catalog.rules.values()
    ]
    show_table(f"Rules {catalog.digest}", ["rule", "family", "severity", "visit", "ends", "what"], shown)


@rules.command("kinds")
def list_kinds(
    kind: Annotated[str | None, typer.Argument(help="One kind; none: all of them.")] = None, as_json: JsonOption = False
) -> None:
    """Explain the kinds of rules: every parameter with unit, default, permitted range and meaning."""
    if kind is not None and kind not in KINDS:
        raise typer.BadParameter(f"there is no kind {kind}; there are {', '.join(KINDS)}")
    chosen = {name: one for name, one in KINDS.items() if kind in {None, name}}
    rows = [
        (name, key, one.unit, f"{one.default:g}", f"{one.least:g} to {one.most:g}", one.explanation)
        for name, found in chosen.items()
        for key, one in found.parameters.items()
    ]
    if as_json:
        names = ("kind", "parameter", "unit", "default", "range", "meaning")
        show_json([dict(zip(names, row, strict=True)) for row in rows])
        return
    show_table("Kinds", ["kind", "looks for"], [(name, found.summary) for name, found in chosen.items()])
    show_table("Parameters", ["kind", "parameter", "unit", "default", "range", "meaning"], rows)


@rules.command("check")
def check_files(path: FilesArgument) -> None:
    """Check rules files without keeping them or asking a server; `upload` also looks at the districts below areas.

    Exit codes: 0 accepted, 1 a mistake, named by rule and key.
    """
    catalog = parse_files(rule_sets.read_files(path))
    say(f"accepted: {len(catalog.rules)} rules, version {catalog.digest}")


@rules.command("upload")
def upload_files(context: typer.Context, path: FilesArgument, note: NoteOption) -> None:
    """Keep rules files as a draft; they are in force only once they are activated."""
    files = rule_sets.read_files(path)

    async def work(conn: asyncpg.Connection) -> Catalog:
        async with conn.transaction():
            return await rule_sets.upload(conn, files, note, console_actor(), datetime.now(UTC))

    say(f"kept as {with_connection(context, work).digest}")


@rules.command("activate")
def activate_set(
    context: typer.Context,
    digest: Annotated[str, typer.Argument(help="Version of an uploaded set, or `packaged`.")],
    note: NoteOption,
) -> None:
    """Put a set of rules in force; running services take it up within a second."""

    async def work(conn: asyncpg.Connection) -> None:
        chosen = None if digest == "packaged" else digest
        async with conn.transaction():
            await rule_sets.activate(conn, chosen, note, console_actor(), datetime.now(UTC))

    with_connection(context, work)
    say(f"in force: {digest}")


@rules.command("sets")
def list_sets(context: typer.Context, as_json: JsonOption = False) -> None:
    """Show uploaded sets, and when each was last activated."""

    async def work(conn: asyncpg.Connection) -> list[asyncpg.Record]:
        return await conn.fetch(*queries["rule_sets"].bind())  # type: ignore[no-any-return]

    rows = with_connection(context, work)
    if as_json:
        show_json([dict(row) for row in rows])
        return
    shown = [(row["digest"], row["uploaded_by"], row["uploaded_at"], row["activated_at"], row["note"]) for row in rows]
    show_table("Rule sets", ["version", "by", "uploaded", "last activated", "note"], shown)
