"""What an error of a command looks like: one sentence and an exit code, for everything that is no fault of ours."""

import asyncpg
import psycopg

from app.commands.terminal import WentWrong, say
from app.embedded import EmbeddedError
from app.gateway_accounts import AccountFileError
from app.logs import mask_text
from app.services import CannotStart
from app.sources import SettingsError
from inspections.objects import ObjectsUnreachable
from rules.model import InvalidRule
from sql.errors import Conflict, NotFound
from sql.migration_files import MigrationError
from sql.pool import UNREACHABLE

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


def told(error: Exception) -> int | None:
    """Tell a person what went wrong and return the exit code; None, and nothing is told, for a fault of ours."""
    if isinstance(error, SettingsError):
        say(f"settings: {error}")
        return 2
    if isinstance(error, _REFUSALS):
        say(str(error))
        return 1
    if isinstance(error, _DATABASE_ERRORS):
        say(mask_text(f"database: {str(error).strip() or type(error).__name__}"))
        return 1
    return None
