"""The command line `gaswarden`: which commands there are, and what an error looks like."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from app.commands.deferred import DeferringGroup
from app.commands.rows import ROWS


class _Gaswarden(DeferringGroup):
    rows = ROWS


cli = typer.Typer(
    name="gaswarden",
    cls=_Gaswarden,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
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


def main() -> None:
    """Run the command line; what goes wrong by itself or by the user is one sentence, never a trace."""
    try:
        cli()
    except Exception as error:
        from app.commands.failures import told  # noqa: PLC0415 - knows the errors of every package: only when needed

        code = told(error)
        if code is None:
            raise
        sys.exit(code)
