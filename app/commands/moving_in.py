"""`gaswarden import`: the registry from CSV files, and old readings, so that a utility can move in."""

from typing import Any

import typer
from typer.core import TyperGroup

from app.commands import history, registry


class _RegistryUnlessNamed(TyperGroup):
    """`gaswarden import DIR` is `gaswarden import registry DIR`, as it was called at first."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the word `registry` in front of a folder or an option of its own."""
        if args and args[0] not in {*self.commands, *ctx.help_option_names}:
            args = ["registry", *args]
        return super().parse_args(ctx, args)


imports = typer.Typer(
    cls=_RegistryUnlessNamed,
    no_args_is_help=True,
    help="Move in: the registry from CSV files, then old readings from CSV or Parquet.",
)
imports.command("registry")(registry.import_registry)
imports.command("readings")(history.import_readings)
