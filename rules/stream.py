"""Server-sent events of the alerts' timelines: one event per step, resumable without a gap.

A step may become visible after one with a higher id: its transaction began earlier and committed later. So a listener's
place is not a step id but the set of transactions it has seen, as PostgreSQL writes a snapshot ("750:756:751,753"). The
id of an event says what was seen before it; going on from it sends exactly what has been committed since.
"""

import asyncio
import contextlib
import json
import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import asyncpg
from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.web_request import BaseRequest

from sql import queries
from sql.actor import Actor

_POLL_S = 1.0
"""Without a notification a stream looks by itself this often."""

_PAUSE_S = 0.02
"""Least time between two looks of one stream: a burst is sent together."""

_KEEP_ALIVE_S = 15.0
_LIFE_S = 900.0
"""A stream ends after this long; the listener comes back by itself, and a token revoked meanwhile ends there."""

_PAGE = 500
_NOTHING_SEEN = "1:1:"
_SNAPSHOT = r"\d{1,19}:\d{1,19}:(?:\d{1,19}(?:,\d{1,19})*)?"
_CURSOR = re.compile(rf"({_SNAPSHOT})(?:;({_SNAPSHOT});(\d{{1,18}}))?")


@dataclass(frozen=True, slots=True)
class Cursor:
    """What a listener has had: all that `base` sees; and, of what `seen` sees beyond it, steps up to `step_id`."""

    base: str
    seen: str | None = None
    step_id: int = 0

    def __str__(self) -> str:
        """The cursor as an event's id."""
        return self.base if self.seen is None else f"{self.base};{self.seen};{self.step_id}"


def parse_cursor(text: str) -> Cursor | None:
    """A cursor from an event's id, or from a bare step id; None when it is neither.

    A bare step id sends every step above it; only an event's id is sure to miss none that commits late.
    """
    if text.isascii() and text.isdigit() and len(text) < 19:
        return Cursor(_NOTHING_SEEN, None, int(text))
    if (found := _CURSOR.fullmatch(text)) is None or not text.isascii():
        return None
    base, seen, step_id = found.groups()
    if any(not _well_formed(one) for one in (base, seen) if one):
        return None
    return Cursor(base, seen, int(step_id or 0))


def _well_formed(snapshot: str) -> bool:
    """What PostgreSQL accepts: the parts in order, the transactions in progress rising and between the bounds."""
    low, high, running = snapshot.split(":")
    ids = [int(one) for one in running.split(",") if one]
    bounds_fit = 0 < int(low) <= int(high) < 2**63
    return bounds_fit and ids == sorted(set(ids)) and all(int(low) <= one < int(high) for one in ids)


def bounds(snapshot: str) -> tuple[int, int]:
    """The lowest transaction still running and the first not yet begun."""
    low, high, _ = snapshot.split(":")
    return int(low), int(high)


@dataclass(frozen=True, slots=True)
class Page:
    """Steps in order, each with the cursor to go on from after it, and the cursor after all of them."""

    steps: list[tuple[asyncpg.Record, Cursor]]
    cursor: Cursor
    more: bool


async def read_page(conn: asyncpg.Pool | asyncpg.Connection, cursor: Cursor, scope: list[str] | None) -> Page:
    """The next steps after a cursor, within some areas (None: all)."""
    seen = cursor.seen or await conn.fetchval(*queries["current_snapshot"].bind())
    rows = await conn.fetch(
        *queries["steps_between"].bind(base=cursor.base, seen=seen, step_id=cursor.step_id, scope=scope, count=_PAGE)
    )
    more = len(rows) == _PAGE
    steps = [(row, Cursor(cursor.base, seen, row["step_id"])) for row in rows]
    after = steps[-1][1] if more else Cursor(seen)
    if steps and not more:
        steps[-1] = (rows[-1], after)
    return Page(steps, after, more or cursor.seen is not None)


class Bell:
    """Tells streams of this process that alerts changed: one listening connection, as long as anybody listens."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._ears: set[asyncio.Event] = set()
        self._task: asyncio.Task[None] | None = None

    @contextlib.asynccontextmanager
    async def heard(self) -> AsyncIterator[asyncio.Event]:
        """An event that is set whenever alerts changed."""
        ear = asyncio.Event()
        self._ears.add(ear)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._listen(), name="alert-bell")
        try:
            yield ear
        finally:
            self._ears.discard(ear)
            if not self._ears and self._task is not None:
                task, self._task = self._task, None
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    def _ring(self, *_: object) -> None:
        for ear in self._ears:
            ear.set()

    async def _listen(self) -> None:
        """Listen until cancelled; while the database is away, streams look by themselves."""
        while True:
            with contextlib.suppress(
                OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError
            ):
                async with self._pool.acquire() as conn:
                    await self._listen_on(conn)
            await asyncio.sleep(_POLL_S)

    async def _listen_on(self, conn: asyncpg.Connection) -> None:
        gone = asyncio.Event()

        def on_end(_conn: object) -> None:
            gone.set()

        conn.add_termination_listener(on_end)
        try:
            await conn.add_listener("gaswarden_alert", self._ring)
            await gone.wait()
        finally:
            if not conn.is_closed():
                conn.remove_termination_listener(on_end)
                await conn.remove_listener("gaswarden_alert", self._ring)


class AlertStream(web.StreamResponse):
    """A response that stays open and sends timeline steps of the caller's areas as they are committed.

    Starts after the header `Last-Event-ID`, else after `after`, else with what comes from now on. A place that this
    database cannot know (it was restored from a backup) begins anew with the event `reload`: read the list again.
    """

    def __init__(self, pool: asyncpg.Pool, bell: Bell, actor: Actor, after: str | None) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self.content_type = "text/event-stream"
        self._pool = pool
        self._bell = bell
        self._actor = actor
        self._after = after
        self._cursor = Cursor(_NOTHING_SEEN)
        self._reload = False

    async def prepare(self, request: BaseRequest) -> AbstractStreamWriter | None:
        """Send the headers and find the place to go on from."""
        text = request.headers.get("Last-Event-ID") or self._after
        now = await self._pool.fetchval(*queries["current_snapshot"].bind())
        given = parse_cursor(text) if text else None
        known = given is not None and bounds(given.seen or given.base)[1] <= bounds(now)[1]
        self._cursor = given if given is not None and known else Cursor(now)
        self._reload = text is not None and text != "" and not known
        return await super().prepare(request)

    async def write_eof(self, data: bytes = b"") -> None:
        """Send steps until the caller goes away, or it is time to show the token again."""
        try:
            async with self._bell.heard() as rung:
                await self._send_until(time.monotonic() + _LIFE_S, rung)
        except ConnectionError:
            return
        await super().write_eof(data)

    async def _send_until(self, end_s: float, rung: asyncio.Event) -> None:
        quiet_since = time.monotonic()
        await self.write(b"retry: 2000\n\n")
        if self._reload:
            await self.write(f"id: {self._cursor}\nevent: reload\ndata: {{}}\n\n".encode())
        while time.monotonic() < end_s:
            rung.clear()
            page = await read_page(self._pool, self._cursor, self._actor.area_list())
            self._cursor = page.cursor
            if page.steps:
                await self.write(b"".join(event(row, cursor) for row, cursor in page.steps))
                quiet_since = time.monotonic()
            elif time.monotonic() - quiet_since > _KEEP_ALIVE_S:
                quiet_since = time.monotonic()
                await self.write(b": alive\n\n")
            if not page.more:
                await self._wait(rung)

    async def _wait(self, rung: asyncio.Event) -> None:
        await asyncio.sleep(_PAUSE_S)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_POLL_S):
                await rung.wait()


def event(row: asyncpg.Record, cursor: Cursor) -> bytes:
    """One step as a server-sent event."""
    data = json.dumps(dict(row), default=lambda value: value.isoformat(), ensure_ascii=False)
    return f"id: {cursor}\nevent: {row['step']}\ndata: {data}\n\n".encode()
