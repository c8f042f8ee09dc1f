"""The command line `gaswarden`: which commands there are, and what an error looks like."""

import sys
from pathlib import Path
from typing import Annotated

import asyncpg
import psycopg
import typer

from app.commands import (
    alerts,
    backtest,
    campaign,
    case_desk,
    commanding,
    contacts,
    decode,
    desk,
    dossiers,
    enforcing,
    gateways,
    hazard_desk,
    history,
    moving_in,
    on_duty,
    people,
    printing,
    proof,
    reports,
    request_desk,
    roster_days,
    rules,
    service,
    storage,
    telemetry,
)
from app.commands.terminal import WentWrong, say
from app.compose import CannotStart
from app.demo.command import demo
from app.embedded import EmbeddedError
from app.gateway_accounts import AccountFileError
from app.logs import mask_text
from app.problems import UNREACHABLE
from app.sources import SettingsError
from inspections.objects import ObjectsUnreachable
from rules.model import InvalidRule
from sql.errors import Conflict, NotFound
from sql.migrate import MigrationError

cli = typer.Typer(
    name="gaswarden",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_REFUSALS = (
    WentWrong,
    CannotStart,
    InvalidRule,
    NotFound,
    Conflict,
    MigrationError,
    EmbeddedError,
    AccountFileError,
    ObjectsUnreachable,
)
_DATABASE_ERRORS = (
    *UNREACHABLE,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    psycopg.Error,
)


@cli.callback()
def gaswarden(
    config: Annotated[
        Path | None, typer.Option(help="TOML file with settings; the environment wins over it. [GASWARDEN_CONFIG]")
    ] = None,
) -> None:
    """The backend of a city's gas-safety desk: meter telemetry in, alerts and inspection rosters out.

    Settings come from DATABASE_URL, ADMIN_DATABASE_URL, MQTT_URL and GASWARDEN_ variables (docs/operations.md); without
    the first and third, from the servers that `scripts/up` made for this clone.
    Exit codes of every command: 0 done, 1 refused or found wrong, 2 wrong usage or settings.
    """


cli.command()(service.run)
cli.command()(service.check)
cli.command()(service.migrate)
cli.command()(demo)
cli.add_typer(moving_in.imports, name="import")
cli.command("import-readings", hidden=True)(history.import_readings)  # as it was called at first
cli.add_typer(storage.storage, name="storage")
cli.command("ledger")(telemetry.show_ledger)
cli.command()(decode.decode)
cli.command("trace")(proof.show_trace)
cli.command("conflicts")(proof.show_conflicts)
cli.add_typer(telemetry.quarantine_commands, name="quarantine")
cli.add_typer(alerts.alerts, name="alerts")
cli.command("backtest")(backtest.show_backtest)
cli.add_typer(rules.rules, name="rules")
cli.add_typer(commanding.command, name="command")
desk.roster.command("change")(roster_days.roster_change)
desk.roster.command("diff")(roster_days.roster_diff)
desk.roster.command("why")(roster_days.roster_why)
cli.add_typer(desk.roster, name="roster")
cli.add_typer(printing.notices, name="print")
cli.add_typer(reports.reports, name="report")
cli.add_typer(dossiers.dossier, name="dossier")
cli.add_typer(request_desk.request, name="request")
cli.add_typer(case_desk.case, name="case")
cli.add_typer(enforcing.enforcement, name="enforcement")
cli.add_typer(hazard_desk.hazard, name="hazard")
cli.add_typer(campaign.campaign, name="campaign")
cli.add_typer(gateways.gateway, name="gateway")
cli.add_typer(gateways.device, name="device")
cli.add_typer(people.account, name="account")
cli.add_typer(contacts.contact, name="contact")
cli.add_typer(on_duty.rota, name="rota")
cli.add_typer(people.audit_commands, name="audit")


def main() -> None:
    """Run the command line; what goes wrong by itself or by the user is one sentence, never a trace."""
    try:
        cli()
    except SettingsError as error:
        say(f"settings: {error}")
        sys.exit(2)
    except _REFUSALS as error:
        say(str(error))
        sys.exit(1)
    except _DATABASE_ERRORS as error:
        say(mask_text(f"database: {str(error).strip() or type(error).__name__}"))
        sys.exit(1)
