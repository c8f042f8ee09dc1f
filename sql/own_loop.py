"""Work on the database in a thread with an event loop and connections of its own.

What the other loop works through then delays it by a turn of the interpreter (`sys.setswitchinterval`), not by a batch.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any

import asyncpg
import uvloop

OwnPool = Callable[[], AbstractAsyncContextManager[asyncpg.Pool]]
"""Opens a pool in the loop that runs it."""


class RelayedEvent(asyncio.Event):
    """An event of another loop that `copy` follows in the loop where this was made."""

    def __init__(self, copy: asyncio.Event) -> None:
        super().__init__()
        self._home = asyncio.get_running_loop()
        self._copy = copy

    def set(self) -> None:
        """Set both, the copy a moment later."""
        super().set()
        self._tell(self._copy.set)

    def clear(self) -> None:
        """Clear both, the copy a moment later."""
        super().clear()
        self._tell(self._copy.clear)

    def _tell(self, change: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # that loop is gone, and with it whoever waited
            self._home.call_soon_threadsafe(change)


async def run_in_own_loop(
    work: Callable[[asyncpg.Pool], Coroutine[Any, Any, None]], own_pool: OwnPool, name: str
) -> None:
    """Run `work` in a thread and loop of its own until it ends, and raise what it raises.

    Cancelling cancels it there, and waits until it has left in its own time.
    """

    async def begin() -> None:
        async with own_pool() as pool:
            await work(pool)

    home = asyncio.get_running_loop()
    loop = uvloop.new_event_loop()
    task = loop.create_task(begin(), name=name)
    ended = asyncio.Event()

    def turn() -> None:
        asyncio.set_event_loop(loop)
        with suppress(BaseException):  # the task keeps what it raised
            loop.run_until_complete(task)
        loop.run_until_complete(loop.shutdown_asyncgens())
        with suppress(RuntimeError):
            home.call_soon_threadsafe(ended.set)

    threading.Thread(target=turn, name=name, daemon=True).start()
    try:
        await ended.wait()
    except asyncio.CancelledError:
        loop.call_soon_threadsafe(task.cancel)
        await ended.wait()
        raise
    finally:
        if ended.is_set():
            loop.close()
    task.result()
