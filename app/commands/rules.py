"""`gaswarden rules`: what rules there are and may be, drafts, and which set is in force."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import asyncpg
import typer

from app.commands.precision import show_precision
from app.commands.terminal import JsonOption, console_actor, load, say, show_json, show_table, with_connection
from app.packaged import packaged_rules
from rules import rule_sets
from rules.catalog import KINDS, Catalog, default_catalog, parse_files, shipped_text
from rules.fitness import lacking
from rules.model import InvalidRule
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
    missing = lacking(catalog, default_catalog())
    if as_json:
        rows = {rule_id: dict(rule.definition) for rule_id, rule in catalog.rules.items()}
        show_json({"digest": catalog.digest, "rules": rows, "lacking": [rule.rule_id for rule in missing]})
        return
    shown = [
        (one.rule_id, one.family, one.severity, one.visit, one.clears, one.title) for one in catalog.rules.values()
    ]
    show_table(f"Rules {catalog.digest}", ["rule", "family", "severity", "visit", "ends", "what"], shown)
    if missing:
        titles = [(rule.rule_id, rule.family, rule.severity, rule.title) for rule in missing]
        show_table("This set has nothing for", ["rule of the program", "family", "severity", "what"], titles)
        say("take them in with `gaswarden rules adopt`, or write them off with `gaswarden rules adopt --off`")


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


@rules.command("adopt")
def adopt_rules(
    context: typer.Context,
    rule_id: Annotated[
        list[str] | None, typer.Argument(help="Rules of the program; none: all that are lacking.")
    ] = None,
    note: NoteOption = "rules of the program taken in",
    off: Annotated[bool, typer.Option("--off", help="Take them in switched off: a decision against them.")] = False,
    print_only: Annotated[bool, typer.Option("--print", help="Print them as a rules file and keep nothing.")] = False,
) -> None:
    """Add rules of the program that the activated set lacks, word for word, and keep the result as a draft.

    The set in force stays as it is until the draft is activated. Rules that a file of the settings holds are added
    there by hand: --print writes what to add.
    Exit codes: 0 kept (or nothing lacks), 1 refused, 2 wrong usage or settings.
    """
    wanted = rule_id or [rule.rule_id for rule in lacking(in_force(context), default_catalog())]
    if strange := [one for one in wanted if one not in default_catalog().rules]:
        raise typer.BadParameter(f"the program ships no rule {strange[0]}")
    if not wanted:
        say("nothing is lacking")
        return
    if print_only:
        sys.stdout.write(shipped_text(wanted, enabled=not off))
        return

    async def work(conn: asyncpg.Connection) -> Catalog:
        async with conn.transaction():
            files = await rule_sets.files_in_force(conn)
            if files is None:
                raise InvalidRule("no set is activated: add what --print writes to the file of the setting rules.file")
            more = rule_sets.with_shipped(files, wanted, enabled=not off)
            return await rule_sets.upload(conn, more, note, console_actor(), datetime.now(UTC))

    digest = with_connection(context, work).digest
    say(f"kept as {digest} with {', '.join(wanted)}; put it in force: gaswarden rules activate {digest} --note ...")


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
