"""A pass over readings rests as long as it worked, times `rest_share`: alarms then find the processor free."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import asyncpg
import pytest

from ingest import rollup, validating
from ingest.params import RollupParams
from ingest.validating import Judged
from ingest.validation_params import ValidationParams
from rules.evaluator import _loop
from rules.params import RuleParams
from rules.passes import Done

WORKED_S = 3.0
T = TypeVar("T")


class _Rested(Exception):
    """Ends a loop at its first rest."""


class Clock:
    """A clock that only passes move, and what a loop rests after its first one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 100.0
        self.rest_s: float | None = None
        monkeypatch.setattr(time, "monotonic", lambda: self.now_s)
        monkeypatch.setattr(asyncio, "sleep", self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self.rest_s = seconds
        raise _Rested

    def pass_of(self, result: T) -> Callable[..., Awaitable[T]]:
        """A pass that takes WORKED_S."""

        async def one_pass(*_args: object) -> T:
            self.now_s += WORKED_S
            return result

        return one_pass


async def nothing(*_args: object) -> None:
    """What else the roll-up looks after."""


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.mark.parametrize(("rest_share", "pause_s", "rest_s"), [(1.0, 0.5, 3.0), (0.5, 0.5, 1.5), (0.0, 0.5, 0.5)])
async def test_the_rules_rest_by_what_a_pass_took_and_at_least_their_pause(
    clock: Clock, rest_share: float, pause_s: float, rest_s: float
) -> None:
    """Also when the next batches wait already; without a share the pause alone."""
    one_pass = clock.pass_of(Done(batches=1))
    with pytest.raises(_Rested):
        await _loop("readings", one_pass, asyncio.Event(), 1.0, pause_s, RuleParams(), rest_share)
    assert clock.rest_s == rest_s


@pytest.mark.parametrize(("batches", "rest_s"), [(1, 6.0), (0, 7.0)])
async def test_the_roll_up_rests_by_what_a_pass_took(
    monkeypatch: pytest.MonkeyPatch, clock: Clock, pool_of_none: asyncpg.Pool, batches: int, rest_s: float
) -> None:
    """With work behind it twice as long here; with none its poll."""
    monkeypatch.setattr(rollup, "roll_up", clock.pass_of(rollup.Done(batches=batches)))
    monkeypatch.setattr(rollup, "follow_refreshes", nothing)
    monkeypatch.setattr(rollup, "retire", nothing)
    with pytest.raises(_Rested):
        await rollup.run(pool_of_none, RollupParams(rest_share=2.0, poll_s=7.0))
    assert clock.rest_s == rest_s


@pytest.mark.parametrize(("batches", "rest_s"), [(1, 6.0), (0, 7.0)])
async def test_validation_rests_by_what_a_pass_took(
    monkeypatch: pytest.MonkeyPatch, clock: Clock, pool_of_none: asyncpg.Pool, batches: int, rest_s: float
) -> None:
    """As the roll-up."""
    monkeypatch.setattr(validating, "validate", clock.pass_of(Judged(batches=batches)))
    with pytest.raises(_Rested):
        await validating.run(pool_of_none, ValidationParams(rest_share=2.0, poll_s=7.0))
    assert clock.rest_s == rest_s


@pytest.mark.parametrize("params", [RuleParams, RollupParams, ValidationParams])
def test_by_default_half_of_the_time_is_rest(params: type[RuleParams | RollupParams | ValidationParams]) -> None:
    """As long as it worked (docs/operations.md)."""
    assert params().rest_share == 1.0


@pytest.fixture
def pool_of_none() -> asyncpg.Pool:
    """No pass here asks a database."""
    none: asyncpg.Pool = None
    return none
