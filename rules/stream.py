"""Server-sent events of the alerts' timelines: one event per step, its id is the step id, resumable."""

import asyncio
import json
import time

import asyncpg
from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.web_request import BaseRequest

from sql import queries
from sql.actor import Actor

_SETTLED_S = 60.0
"""Steps of overlapping transactions may become visible out of order for this long; they are sent when they appear."""

_POLL_S = 0.5
_KEEP_ALIVE_S = 15.0
_LIFE_S = 900.0
"""A stream ends after this long; the listener comes back by itself, and a token revoked meanwhile ends there."""

_PAGE = 500


class Sent:
    """Which steps a listener has had: reads again from a settled step on, sends none twice."""

    def __init__(self, after: int) -> None:
        self.base = after
        self._sent: dict[int, float] = {}

    def fresh(self, step_ids: list[int], at_s: float) -> list[int]:
        """Note step ids seen at a moment (seconds of a steady clock); return those not sent yet."""
        new = [step_id for step_id in step_ids if step_id not in self._sent]
        self._sent |= dict.fromkeys(new, at_s)
        settled = [step_id for step_id, sent_s in self._sent.items() if at_s - sent_s > _SETTLED_S]
        if settled:
            self.base = max(settled)
            self._sent = {step_id: sent_s for step_id, sent_s in self._sent.items() if step_id > self.base}
        return new


class AlertStream(web.StreamResponse):
    """A response that stays open and sends timeline steps of the caller's areas as they are committed.

    Starts after the header `Last-Event-ID`, else after `after`, else with what comes from now on.
    """

    def __init__(self, pool: asyncpg.Pool, actor: Actor, after: int | None) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self.content_type = "text/event-stream"
        self._pool = pool
        self._actor = actor
        self._after = after

    async def prepare(self, request: BaseRequest) -> AbstractStreamWriter | None:
        """Send the headers and find the step to go on from."""
        last = request.headers.get("Last-Event-ID", "")
        if last.isascii() and last.isdigit() and len(last) < 19:
            self._after = int(last)
        if self._after is None:
            self._after = await self._pool.fetchval(*queries["newest_step"].bind())
        return await super().prepare(request)

    async def write_eof(self, data: bytes = b"") -> None:
        """Send steps until the caller goes away, or it is time to show the token again."""
        try:
            await self._send_until(time.monotonic() + _LIFE_S)
        except ConnectionError:
            return
        await super().write_eof(data)

    async def _send_until(self, end_s: float) -> None:
        sent = Sent(self._after or 0)
        quiet_since = time.monotonic()
        await self.write(b"retry: 2000\n\n")
        while time.monotonic() < end_s:
            rows = await self._steps_after(sent)
            for row in rows:
                await self.write(_event(row))
            now_s = time.monotonic()
            if rows:
                quiet_since = now_s
            elif now_s - quiet_since > _KEEP_ALIVE_S:
                quiet_since = now_s
                await self.write(b": alive\n\n")
            await asyncio.sleep(_POLL_S)

    async def _steps_after(self, sent: Sent) -> list[asyncpg.Record]:
        """New steps in order; pages on when more are waiting than fit one page."""
        found: list[asyncpg.Record] = []
        after = sent.base
        while True:
            query = queries["steps_after"]
            rows = await self._pool.fetch(*query.bind(step_id=after, scope=self._actor.area_list(), count=_PAGE))
            new = set(sent.fresh([row["step_id"] for row in rows], time.monotonic()))
            found += [row for row in rows if row["step_id"] in new]
            if len(rows) < _PAGE:
                return found
            after = rows[-1]["step_id"]


def _event(row: asyncpg.Record) -> bytes:
    values = {name: value for name, value in row.items() if name != "step_id"}
    data = json.dumps(values, default=lambda value: value.isoformat(), ensure_ascii=False)
    return f"id: {row['step_id']}\nevent: {row['step']}\ndata: {data}\n\n".encode()
