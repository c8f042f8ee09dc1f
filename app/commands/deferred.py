"""Commands that are loaded when they are called: a command line with a hundred of them starts by loading one."""

from dataclasses import dataclass
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup


@dataclass(frozen=True, slots=True)
class Row:
    """One row of `gaswarden --help`: the command's name, where it is defined (`module:name`), its words there.

    `defined_as` names a function or a typer.Typer in app.commands. The words are the first paragraph of its help; a
    test holds them to it.
    """

    name: str
    defined_as: str
    words: str
    hidden: bool = False

    def load(self) -> Any:
        """The command itself, its subcommands with it."""
        module, _, name = self.defined_as.partition(":")
        found = getattr(import_module(module), name)
        around = typer.Typer()
        around.callback()(_nothing)
        if isinstance(found, typer.Typer):
            around.add_typer(found, name=self.name)
        else:
            around.command(self.name, hidden=self.hidden)(found)
        return typer.main.get_group(around).commands[self.name]


def _nothing() -> None:
    """A group has a callback, or typer takes its only command for the whole."""


class Deferred(TyperCommand):
    """A command as the list of commands shows it; the one that is defined takes its place as soon as it is called."""

    def __init__(self, row: Row) -> None:
        super().__init__(row.name, help=row.words, hidden=row.hidden, add_help_option=False)
        self.row = row

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """The context of the command itself, so that what follows is its own."""
        return self.row.load().make_context(info_name, args, parent, **extra)


class DeferringGroup(TyperGroup):
    """A group of rows."""

    rows: tuple[Row, ...] = ()

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for row in self.rows:
            self.add_command(Deferred(row))
