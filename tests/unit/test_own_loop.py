"""Work in a loop of its own: what it raises, how it is cancelled, and the event that both loops see."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import asyncpg
import pytest

from sql.own_loop import RelayedEvent, run_in_own_loop


class Pools:
    """Stands for a pool; says in which thread it was opened and whether it was closed."""

    def __init__(self) -> None:
        self.opened_in: threading.Thread | None = None
        self.closed = False

    @asynccontextmanager
    async def open(self) -> AsyncIterator[asyncpg.Pool]:
        self.opened_in = threading.current_thread()
        try:
            yield cast("Any", self)
        finally:
            self.closed = True


async def test_work_runs_in_another_thread_and_ends() -> None:
    """It gets a pool that was opened in its own loop, and its end is awaited."""
    pools, seen = Pools(), []

    async def work(pool: asyncpg.Pool) -> None:
        seen.append((pool, threading.current_thread(), asyncio.get_running_loop()))

    await run_in_own_loop(work, pools.open, "apart")
    [(pool, thread, loop)] = seen
    assert pool is pools
    assert thread is pools.opened_in is not threading.current_thread()
    assert loop is not asyncio.get_running_loop()
    assert pools.closed


async def test_what_it_raises_is_raised() -> None:
    """A failure there is a failure here, after its pool was closed."""
    pools = Pools()

    async def work(_pool: asyncpg.Pool) -> None:
        raise LookupError("apart")

    with pytest.raises(LookupError, match="apart"):
        await run_in_own_loop(work, pools.open, "apart")
    assert pools.closed


async def test_cancelling_waits_until_it_has_left() -> None:
    """Whoever cancels gets on only when the work has drained and its pool is closed."""
    pools, begun, drained = Pools(), asyncio.Event(), []
    home = asyncio.get_running_loop()

    async def work(_pool: asyncpg.Pool) -> None:
        home.call_soon_threadsafe(begun.set)
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.05)
            drained.append(True)

    task = asyncio.create_task(run_in_own_loop(work, pools.open, "apart"))
    await asyncio.wait_for(begun.wait(), 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (drained, pools.closed) == ([True], True)


async def test_an_event_is_seen_in_both_loops() -> None:
    """What is set and cleared there is set and cleared here."""
    copy, go_on = asyncio.Event(), threading.Event()
    relayed = RelayedEvent(copy)

    async def work(_pool: asyncpg.Pool) -> None:
        relayed.set()
        await asyncio.to_thread(go_on.wait, 5)
        relayed.clear()

    task = asyncio.create_task(run_in_own_loop(work, Pools().open, "apart"))
    await asyncio.wait_for(copy.wait(), 5)
    go_on.set()
    await task
    await asyncio.sleep(0)
    assert not copy.is_set()
