"""The migrations of this program: files named NNNN_verb_object.sql, in the order of application."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

MIGRATIONS = Path(__file__).parent / "migrations"
_NAME = re.compile(r"^\d{4}_[a-z]+(_[a-z]+)*\.sql$")


class MigrationError(Exception):
    """A migration cannot be applied; the message names the file and why."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: its name, its text, and whether it must run outside a transaction."""

    name: str
    text: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text, to notice that an applied file was edited."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def transactional(self) -> bool:
        """False when the first line is `-- no transaction` (needed for continuous aggregates)."""
        return not self.text.startswith("-- no transaction")


def read_migrations(folder: Path = MIGRATIONS) -> list[Migration]:
    """Every migration in the order of application; raises MigrationError on a file name outside the rule."""
    paths = sorted(folder.glob("*.sql"))
    for path in paths:
        if not _NAME.match(path.name):
            raise MigrationError(f"{path.name}: a migration is named NNNN_verb_object.sql")
    return [Migration(path.name, path.read_text("utf-8")) for path in paths]
