"""What every command needs: the settings, a connection, and ways to show a result to a person or to a program."""

import asyncio
import getpass
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

import asyncpg
import typer
from pydantic import BaseModel, ValidationError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.database import open_database
from app.embedded import EmbeddedServers, default_directory
from app.logs import configure_logging
from app.settings import Settings, load_settings
from app.sources import KeyPath
from sql.actor import Actor
from sql.pool import prepare_connection

Result = TypeVar("Result")
Model = TypeVar("Model", bound=BaseModel)
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for a program instead of a table.")]
console = Console()
error_console = Console(stderr=True)


class WentWrong(Exception):
    """What was asked for cannot be done or was found wrong; the message is shown, the exit code is 1."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings, and where each of them came from."""

    settings: Settings
    sources: Mapping[KeyPath, str]


def load(context: typer.Context, *, serving: bool = False) -> Loaded:
    """Read the settings once per command and set logging up; raises SettingsError.

    Commands that answer and end log warnings only, unless they are asked for more than `info`.
    """
    config: Path | None = context.find_root().params.get("config")
    loaded = Loaded(*load_settings(os.environ, config, embedded_addresses()))
    params = loaded.settings.log
    configure_logging(params if serving or params.level != "info" else params.model_copy(update={"level": "warning"}))
    return loaded


def embedded_addresses() -> dict[str, str]:
    """The addresses of this clone's own servers, once `scripts/up` has made them; empty before."""
    directory = default_directory()
    if not (directory / "secrets.toml").exists():
        return {}
    servers = EmbeddedServers.open(directory)
    return {
        "DATABASE_URL": servers.database_url,
        "ADMIN_DATABASE_URL": servers.admin_database_url,
        "MQTT_URL": servers.mqtt_url,
        "COMMANDS_MQTT_URL": servers.commands_mqtt_url,
        "GASWARDEN_NOTICES__CONTACT_KEY": servers.contact_key,
        "GASWARDEN_DOSSIER__SIGNING_KEY": servers.dossier_key,
        "GASWARDEN_NOTICES__LOCAL_DIRECTORY": str(servers.notices_directory),
        "GASWARDEN_EVIDENCE__FOLDER": str(servers.evidence_directory),
    }


def console_actor() -> Actor:
    """Who works at this command line, for the audit: the account of the operating system."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = str(os.getuid())
    return Actor(f"console:{name}", "administrator")


@asynccontextmanager
async def connection(settings: Settings, command_timeout_s: float | None = None) -> AsyncIterator[asyncpg.Connection]:
    """One connection as the serving role, with the product's codecs; statements may take as long as set, or longer."""
    conn = await asyncpg.connect(
        settings.database.url.get_secret_value(),
        timeout=10,
        command_timeout=command_timeout_s or settings.database.command_timeout_s,
        server_settings={"application_name": "gaswarden-console", "timezone": "UTC"},
    )
    try:
        await prepare_connection(conn)
        yield conn
    finally:
        await conn.close(timeout=5)


def with_connection(context: typer.Context, work: Callable[[asyncpg.Connection], Awaitable[Result]]) -> Result:
    """Run `work` on one connection and return what it returns."""
    settings = load(context).settings

    async def run() -> Result:
        async with connection(settings) as conn:
            return await work(conn)

    return asyncio.run(run())


def with_pool(context: typer.Context, work: Callable[[asyncpg.Pool, Settings], Awaitable[Result]]) -> Result:
    """Run `work` on the product's pool, for what needs more than one connection, and return what it returns."""
    settings = load(context).settings

    async def run() -> Result:
        async with open_database(settings, "console", wait=False) as pool:
            return await work(pool, settings)

    return asyncio.run(run())


def checked(model: type[Model], given: Mapping[str, Any]) -> Model:
    """Values from the command line as a model; raises typer.BadParameter naming the value at fault."""
    try:
        return model.model_validate(given)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(str(part) for part in fault["loc"])
        words = fault["msg"].replace("Input should be", "must be")
        raise typer.BadParameter(f"{where}: {words}") from None


def as_date(text: str | None) -> date | None:
    """A day given as YYYY-MM-DD; raises typer.BadParameter."""
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text} is not a day written YYYY-MM-DD") from None


def as_moment(text: str | None) -> datetime | None:
    """A moment in ISO 8601 with its zone, as 2026-11-20T08:12:31+08:00; raises typer.BadParameter."""
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text} is not a moment written 2026-11-20T08:12:31+08:00") from None
    if at.tzinfo is None:
        raise typer.BadParameter(f"{text} names no zone: add Z for UTC, or an offset as +08:00")
    return at.astimezone(UTC)


def show_json(value: object) -> None:
    """Print a value as JSON on standard output; times in ISO 8601."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2, default=_plain))


def _plain(value: Any) -> object:
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    return str(value)


def show_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows as a table; when standard output is no terminal nothing is cut."""
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(_shown(value)) for value in row))
    shown = console if sys.stdout.isatty() else Console(width=240)
    shown.print(table)


def _shown(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    return "" if value is None else str(value)


def show_rows(title: str, columns: Sequence[str], found: Sequence[BaseModel], *, as_json: bool) -> None:
    """Print some values of models as a table, or the models whole as JSON; a list stands in one cell."""
    if as_json:
        show_json([one.model_dump(mode="json") for one in found])
    else:
        show_table(title, columns, [[_cell(getattr(one, column)) for column in columns] for one in found])


def _cell(value: object) -> object:
    return " ".join(map(str, value)) if isinstance(value, list) else value


def write_file(content: bytes, output: Path | None) -> None:
    """Write a file whole, readable by its owner only (it may hold personal data), or to standard output."""
    if output is None:
        sys.stdout.buffer.write(content)
        return
    try:
        output.write_bytes(b"")
        output.chmod(0o600)
        output.write_bytes(content)
    except OSError as error:
        raise WentWrong(f"{output} cannot be written: {error.strerror or error}") from error
    say(f"{output}: {len(content):,} bytes")


def say(sentence: str) -> None:
    """Print a sentence for a person on standard error, so that standard output stays data."""
    error_console.print(Text(sentence), soft_wrap=True)
