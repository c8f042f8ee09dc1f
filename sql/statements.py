"""Splits files of statements that cannot run in one transaction."""

import re


def split_statements(text: str) -> list[str]:
    """Split a no-transaction file at lines that end in `;` (no such line may stand inside a function body)."""
    return [part.strip() for part in re.split(r";[ \t]*(?:--[^\n]*)?\n", text + "\n") if _has_code(part)]


def _has_code(part: str) -> bool:
    return any(line.strip() and not line.strip().startswith("--") for line in part.splitlines())
