"""Commands for whoever operates the program: run, check, migrate."""

import asyncio
import sys
from dataclasses import dataclass
from typing import Annotated

import asyncpg
import typer
import uvloop
from rich.text import Text

from app import compose
from app.commands.terminal import JsonOption, Loaded, connection, console, load, say, show_json, show_table
from app.database import missing_migrations
from app.services import SERVICES
from app.settings import Settings, effective
from app.sources import variable_name
from inspections.catalogues import catalogue_files
from rules.catalog import default_catalog
from rules.fitness import lacking
from rules.model import InvalidRule
from rules.rule_sets import InForce, catalog_at, mistakes_in_force
from sql import queries
from sql.migrate import migrate as apply_migrations

_BROKER_TIMEOUT_S = 5.0


def run(
    context: typer.Context,
    services: Annotated[
        list[str] | None, typer.Argument(help=f"Some of {', '.join(SERVICES)}; none: all of them.")
    ] = None,
) -> None:
    """Run services until SIGTERM or Ctrl-C.

    Exit codes: 0 stopped by a signal and drained, 1 a service failed or the process could not start, 2 wrong settings.
    """
    names = services or list(SERVICES)
    for name in names:
        if name not in SERVICES:
            raise typer.BadParameter(f"there is no service {name}; there are {', '.join(SERVICES)}")
    settings = load(context, serving=True).settings
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(compose.run(settings, names))
        except BaseExceptionGroup as failures:
            say(f"stopped: {'; '.join(_sentences(failures))}")
            raise typer.Exit(1) from None


def _sentences(failures: BaseExceptionGroup[BaseException]) -> list[str]:
    found = []
    for failure in failures.exceptions:
        if isinstance(failure, BaseExceptionGroup):
            found += _sentences(failure)
        else:
            found.append(str(failure) or type(failure).__name__)
    return found


def migrate(context: typer.Context) -> None:
    """Bring the database to the current schema, as the role of ADMIN_DATABASE_URL; repeats harmlessly.

    Exit codes: 0 done, 1 a migration could not be applied, 2 wrong settings.
    """
    settings = load(context).settings
    applied = apply_migrations(settings.database.migration_url)
    for name in applied:
        typer.echo(f"applied {name}")
    if not applied:
        typer.echo("nothing to apply: the database has the current schema")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was checked: what, whether it is well, and what there is to know."""

    check: str
    ok: bool
    fact: str


def check(context: typer.Context, as_json: JsonOption = False) -> None:
    """Show the effective settings (secrets masked) and look whether everything needed is there.

    Looks at the rule files, the catalogues of inspections (hazards, checklists, cycles, requests, cases), the set of
    rules in force and what it names of the registry, the database with its TimescaleDB edition and migrations, and the
    broker.
    Exit codes: 0 all is well, 1 something is wrong, 2 wrong settings.
    """
    loaded = load(context)
    findings = [
        _rule_catalogue(loaded.settings),
        *_catalogues(loaded.settings),
        *asyncio.run(_servers(loaded.settings)),
    ]
    if as_json:
        show_json({"settings": _settings_rows(loaded), "checks": findings_as_data(findings)})
    else:
        rows = [(row["setting"], row["value"], row["source"]) for row in _settings_rows(loaded)]
        show_table("Settings", ["setting", "value", "from"], rows)
        for finding in findings:
            mark = Text("ok    " if finding.ok else "WRONG ", style="green" if finding.ok else "bold red")
            console.print(mark, Text(f"{finding.check}: {finding.fact}"), sep="", soft_wrap=True)
    sys.exit(0 if all(finding.ok for finding in findings) else 1)


def findings_as_data(findings: list[Finding]) -> list[dict[str, object]]:
    """The findings for a program."""
    return [{"check": finding.check, "ok": finding.ok, "fact": finding.fact} for finding in findings]


def _settings_rows(loaded: Loaded) -> list[dict[str, str]]:
    return [
        {"setting": variable_name(path), "value": value, "source": loaded.sources.get(path, "default")}
        for path, value in effective(loaded.settings)
    ]


def _rule_catalogue(settings: Settings) -> Finding:
    try:
        catalog = catalog_at(settings.rules.file)
    except InvalidRule as error:
        return Finding("rules", ok=False, fact=str(error))
    return Finding("rules", ok=True, fact=f"{len(catalog.rules)} rules ({catalog.digest}): {', '.join(catalog.rules)}")


def _catalogues(settings: Settings) -> list[Finding]:
    return [Finding(file.name, ok=file.ok, fact=file.fact) for file in catalogue_files(settings.roster)]


async def _servers(settings: Settings) -> list[Finding]:
    return [*await _database(settings), await _broker(settings)]


async def _database(settings: Settings) -> list[Finding]:
    try:
        async with connection(settings) as conn:
            server = await conn.fetchval("SHOW server_version")
            edition = await conn.fetchrow(*queries["timescale_edition"].bind())
            missing = await missing_migrations(conn)
            in_force = [] if missing else [await _rules_in_force(conn, settings)]
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
        return [Finding("database", ok=False, fact=str(error) or type(error).__name__)]
    fact = f"not applied: {', '.join(missing)}; run `gaswarden migrate`" if missing else "all applied"
    return [
        Finding("database", ok=True, fact=f"PostgreSQL {server}"),
        _timescale(edition),
        Finding("migrations", ok=not missing, fact=fact),
        *in_force,
    ]


async def _rules_in_force(conn: asyncpg.Connection, settings: Settings) -> Finding:
    try:
        packaged = catalog_at(settings.rules.file)
    except InvalidRule:  # told already
        packaged = default_catalog()
    words, mistakes = await mistakes_in_force(conn, packaged)
    missing = [rule.rule_id for rule in lacking(await InForce(packaged).current(conn), default_catalog())]
    hints = [f"it has nothing for {', '.join(missing)} (`gaswarden rules adopt`)"] if missing else []
    return Finding("rules in force", ok=not mistakes, fact="; ".join([words, *mistakes, *hints]))


def _timescale(edition: asyncpg.Record | None) -> Finding:
    if edition is None:
        return Finding("timescaledb", ok=False, fact="the extension is not in this database; run `gaswarden migrate`")
    name = "community" if edition["license"] == "timescale" else edition["license"]
    return Finding("timescaledb", ok=True, fact=f"{edition['version']}, {name} edition")


async def _broker(settings: Settings) -> Finding:
    """Whether the broker lets the ingest account in: a connection of its own name, closed at once."""
    address = f"{settings.broker.hostname}:{settings.broker.port}"
    try:
        async with asyncio.timeout(_BROKER_TIMEOUT_S):
            _, writer = await asyncio.open_connection(settings.broker.hostname, settings.broker.port)
            writer.close()
            await writer.wait_closed()
    except (OSError, TimeoutError) as error:
        return Finding("broker", ok=False, fact=f"{address} does not answer: {str(error) or type(error).__name__}")
    return Finding("broker", ok=True, fact=f"{address} answers")
