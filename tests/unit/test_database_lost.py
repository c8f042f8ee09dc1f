"""What a restarting, crowded or killed database says ends no service."""

import asyncpg
import pytest

from ingest import failures, remembering, rollup, validating
from ingest.commanding import dispatcher
from inspections import campaigning, counting, scheduler
from rules import evaluator
from rules.notices import service, watch

SURVIVED = {
    "ingest": failures.DATABASE_ERRORS,
    "memory of foreign messages": remembering._DATABASE_ERRORS,
    "roll-up": rollup._DATABASE_ERRORS,
    "validation": validating._DATABASE_ERRORS,
    "commands": vars(dispatcher)["DATABASE_LOST"],
    "rules": vars(evaluator)["DATABASE_LOST"],
    "notices": service._LOST,
    "watch over channels": vars(watch)["DATABASE_LOST"],
    "inspections": vars(scheduler)["DATABASE_LOST"],
    "counting": vars(counting)["DATABASE_LOST"],
    "campaign": vars(campaigning)["DATABASE_LOST"],
}


@pytest.mark.parametrize("name", SURVIVED)
@pytest.mark.parametrize(
    "said",
    [
        asyncpg.ConnectionDoesNotExistError,
        asyncpg.AdminShutdownError,
        asyncpg.CannotConnectNowError,
        asyncpg.TooManyConnectionsError,
        asyncpg.InterfaceError,
        asyncpg.InternalClientError,  # "cannot switch to state 12": the connection went between two of its states
        ConnectionRefusedError,
        TimeoutError,
    ],
)
def test_is_survived(name: str, said: type[BaseException]) -> None:
    """The service waits for the database to come back; anything it does not know would stop the process."""
    assert issubclass(said, SURVIVED[name])
