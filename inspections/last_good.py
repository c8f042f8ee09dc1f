"""Catalogue files that are edited while the service runs: a slip keeps what was last right, and is told once."""

from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

import structlog
from pydantic import ValidationError

log = structlog.get_logger()
Catalogue = TypeVar("Catalogue")


class LastGood(Generic[Catalogue]):
    """The newest right reading of each file of a kind.

    What a file says is taken the moment it is right. While it is wrong, or cannot be read, the last right one holds
    and the log says why, once for each wrong version; a file that never was right raises what it did.
    """

    def __init__(self, name: str, packaged: Path, faults: tuple[type[Exception], ...]) -> None:
        self._name = name
        self._packaged = packaged
        self._faults: tuple[type[Exception], ...] = (
            *faults,
            ValidationError,
            ValueError,
            OSError,
        )  # ValueError: not TOML, not UTF-8
        self._right: dict[Path, Catalogue] = {}
        self._told: dict[Path, str] = {}

    def read(self, path: Path | None, parse: Callable[[str], Catalogue]) -> Catalogue:
        """The catalogue of a file (None: the packaged one); raises as `parse` does while none was right yet."""
        file = path or self._packaged
        try:
            self._right[file] = parse(file.read_text("utf-8"))
        except self._faults as fault:
            if file not in self._right:
                raise
            self._tell(file, str(fault))
        else:
            self._told.pop(file, None)
        return self._right[file]

    def _tell(self, file: Path, why: str) -> None:
        if self._told.get(file) != why:
            self._told[file] = why
            log.error(
                "catalogue file is wrong: the last right one holds", catalogue=self._name, file=str(file), why=why
            )
