"""Plays a simulated city into the database in simulated time: ingest's own transaction, without the broker between.

Messages of ten simulated minutes are one batch; an event ends its batch at once, as in the worker. The
broker's part is played here: a gateway that breaks off leaves its last will, and is born again when it next speaks.
"""

import json
import secrets
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta

import asyncpg

from ingest import store
from ingest.acquaintance import learn_named
from ingest.binding import bind_message
from ingest.directory import Directory
from ingest.formats import read_message
from ingest.model import Message as Delivery
from ingest.transaction import write_batch
from simulator.messages import encode, stamp
from simulator.model import Message
from tests.bench.rules_stage import Watch

SLOT = "city"
BATCH_SPAN = timedelta(minutes=10)
BATCH_MOST = 5_000
READINGS_EVERY = timedelta(hours=3)
TICK_EVERY = timedelta(hours=2)


class Feeder:
    """Commits batches and lets the evaluator look, in the order of simulated time."""

    def __init__(self, pool: asyncpg.Pool, watch: Watch) -> None:
        self._pool, self._watch = pool, watch
        self._directory = Directory(0.0)
        self._batch: list[Delivery] = []
        self._began: datetime | None = None
        self._looked: dict[str, datetime] = {}
        self._expect_repeats = False
        self.messages = self.rows = self.refused = 0

    async def play(self, messages: Iterable[Message], until: datetime, on_day: Callable[[datetime], None]) -> None:
        """Everything up to the end, and one last look at all of it."""
        day = None
        for message in with_wills(messages):
            at = message.sent_at
            if self._began is not None and (at - self._began >= BATCH_SPAN or len(self._batch) >= BATCH_MOST):
                await self._commit()
            await self._look(at)
            if at.date() != day:
                day = at.date()
                on_day(at)
            self._began = self._began or at
            self._batch.append(read_message(message.topic, message.payload, at))
            if message.kind == "events":
                await self._commit()
                await self._watch.events(at)
        await self._commit()
        self._looked.clear()
        await self._look(until)

    async def _commit(self) -> None:
        if not self._batch:
            return
        async with self._pool.acquire() as conn:
            await learn_named(conn, self._directory, self._batch, 0.0)
            judged = [bind_message(number, one, self._directory) for number, one in enumerate(self._batch)]
            async with conn.transaction():
                await store.lock_slot(conn, SLOT)
                batch_id = await store.next_batch_id(conn)
                tally = await write_batch(conn, SLOT, batch_id, judged, expect_repeats=self._expect_repeats)
        self._expect_repeats = tally.had_repeats
        self.messages += len(self._batch)
        self.rows += tally.reading_rows
        self.refused += sum(count for word, count in tally.counts.items() if word.value == "quarantined")
        self._batch, self._began = [], None

    async def _look(self, at: datetime) -> None:
        """Let each stream look when it is due: what it may see has been committed."""
        for stream, every, one in (
            ("readings", READINGS_EVERY, self._readings),
            ("tick", TICK_EVERY, self._tick),
        ):
            if at - self._looked.get(stream, at - every) >= every:
                self._looked[stream] = at
                await self._commit()
                await one(at)

    async def _readings(self, at: datetime) -> None:
        await self._watch.readings(at)
        await self._watch.roll_up()
        await self._watch.days(at)

    async def _tick(self, at: datetime) -> None:
        await self._watch.reports(at)
        await self._watch.tick(at)
        await self._watch.daily(at)


def with_wills(messages: Iterable[Message]) -> Iterator[Message]:
    """The messages with what the broker and a reconnecting gateway add: a last will, and a birth in a new session."""
    births: dict[str, dict[str, object]] = {}
    lost: set[str] = set()
    for message in messages:
        code = message.gateway
        if message.kind == "lost":
            body = {key: value for key, value in births[code].items() if key != "firmware"} | {"state": "offline"}
            lost.add(code)
            yield message._replace(kind="status", payload=encode(body))
            continue
        if message.kind == "status":
            births[code] = json.loads(message.payload) | {"at": stamp(message.sent_at)}
            message = message._replace(payload=encode(births[code]), at=message.sent_at)  # noqa: PLW2901
        elif code in lost:
            at = message.sent_at
            births[code] = {"state": "online", "session": secrets.token_hex(4), "at": stamp(at)}
            yield message._replace(kind="status", payload=encode(births[code]), device="", at=at)
        lost.discard(code)
        yield message
