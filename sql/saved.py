"""What a registry import did with its rows: the same answer from every package that saves rows of a CSV file."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Saved:
    """Counts of rows added, changed and found the same; `refused` holds (line, reason) of the rows not saved."""

    added: int = 0
    changed: int = 0
    same: int = 0
    refused: tuple[tuple[int, str], ...] = ()
