"""A writer: takes batches of its messages, commits each in one transaction for as long as it takes, settles them.

A lane may have several writers, so that one copies while another merges or commits. Each has a slot of its own in the
ledger: within it one transaction follows the other, and batch ids follow commits.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import TypeVar

import asyncpg
import structlog
from prometheus_client import Counter, Gauge, Histogram

from ingest import lag, store
from ingest.acknowledging import Receipts
from ingest.acquaintance import learn_named
from ingest.batch import Buffer
from ingest.binding import bind_message
from ingest.directory import Directory
from ingest.failures import ACQUIRE_TIMEOUT_S, DATABASE_ERRORS, ended_when_silent, pause_s
from ingest.holding import Bundle, bundled, free_bundle
from ingest.model import PAYLOAD_BYTES_MAX, Bound, Delivery, Held, Message, QuarantineReason, Refused, Rejected, Tally
from ingest.pacing import Pacer
from ingest.params import IngestParams
from ingest.remembering import remember
from ingest.settling import judge_message
from ingest.transaction import write_batch

log = structlog.get_logger()

_DATABASE_OK = Gauge("gaswarden_ingest_database_ok", "1 unless the last transaction failed.", ["slot"])
_DISPOSED = Counter("gaswarden_ingest_messages", "Messages committed, by disposition.", ["slot", "disposition"])
_ROWS = Counter("gaswarden_ingest_rows", "Rows committed, by table.", ["slot", "table"])
_COMMIT_S = Histogram(
    "gaswarden_ingest_commit_seconds",
    "From taking a batch to its commit.",
    ["slot"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60),
)
_CLOCK_AHEAD_S = Gauge(
    "gaswarden_ingest_clock_ahead_seconds", "The database's clock less the worker's, at the last batch.", ["slot"]
)
_CLOCKS_APART_S = 60.0
_Answer = TypeVar("_Answer")


class Writer:
    """One slot of the ledger: a buffer, and the transactions that empty it, one after the other.

    `made_room` is called whenever a batch left the buffer. `speaks_foreign`: messages of other formats are among them.
    With a `pacer`, messages above their gateway's limit are held and take their turn between batches. `ready` is set
    once the writer knows what it was left.
    """

    def __init__(
        self,
        pool: asyncpg.Pool,
        params: IngestParams,
        slot: str,
        directory: Directory,
        receipts: Receipts,
        made_room: Callable[[], None],
        *,
        pacer: Pacer | None = None,
        speaks_foreign: bool = False,
        buffer_max: int | None = None,
    ) -> None:
        self._pool = pool
        self._params = params
        self._slot = slot
        self._directory = directory
        self._receipts = receipts
        self._made_room = made_room
        self._speaks_foreign = speaks_foreign
        self._pacer = pacer
        self.ready = asyncio.Event()
        self._judge = judge_message if speaks_foreign else bind_message
        self._buffer = Buffer(params.batch, buffer_max or params.buffer_max)
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._draining = False
        self._unanswered: Tally | None = None  # of a COMMIT whose answer may have been lost
        self._expect_repeats = False
        self._in_transaction = 0
        self._clocks_apart = False
        self._task: asyncio.Task[None] | None = None

    @property
    def is_full(self) -> bool:
        """Whether the intake must pause until a batch was taken."""
        return self._buffer.is_full

    @property
    def waiting(self) -> int:
        """Messages that are in no transaction yet."""
        return len(self._buffer)

    def must_hold(self, sender: str, payload_bytes: int) -> bool:
        """Whether a message that arrives now is above its sender's limit. One that is too large is kept cut at once."""
        if self._pacer is None or payload_bytes > PAYLOAD_BYTES_MAX:
            return False
        return self._pacer.must_hold(sender, time.monotonic())

    def add(self, message: Delivery) -> None:
        """Put a delivery at the end; its receipt is expected to be settled in this order."""
        now_s = time.monotonic()
        self._buffer.add(message, now_s)
        if len(self._buffer) == 1 or self._buffer.due(now_s):
            self._wake.set()

    def hurry(self) -> None:
        """Take what waits at once from now on, whatever its age and number."""
        self._draining = True
        self._wake.set()

    async def until_empty(self) -> None:
        """Wait until nothing waits or is in a transaction, or until nobody commits any more."""
        while len(self._buffer) and not self._ended():
            self._idle.clear()
            await self._idle.wait()
        await self._idle.wait()

    async def commit_batches(self) -> None:
        """Take a batch whenever one is due, commit it, acknowledge it; one at a time, in order."""
        self._task = asyncio.current_task()
        self._show_load()
        try:
            if self._pacer is not None:
                await self._despite_failures(self._pacer.recall)
            self.ready.set()
            while True:
                await self._until_due()
                self._idle.clear()
                if len(self._buffer):
                    await self._commit_one()
                if self._pacer is not None and not self._draining:
                    await self._give_turn(self._pacer)
                self._idle.set()
        finally:
            self._idle.set()
            lag.WAITING.remove(self._slot)
            lag.IN_FLIGHT.remove(self._slot)

    async def commit(
        self, messages: Sequence[Message], bundles: Sequence[Bundle] = (), freed: int | None = None
    ) -> Tally:
        """Commit a batch, for as long as it takes; log the database's loss once and its return once.

        `bundles` are held in the same transaction; `freed` is the bundle whose messages these are.
        """
        slot = self._slot
        attempt = 0
        started_s = time.monotonic()
        while True:
            try:
                tally = await self._attempt(messages, bundles, freed)
            except DATABASE_ERRORS as error:
                _DATABASE_OK.labels(slot).set(0)
                if attempt == 0:
                    log.warning("database_lost", slot=slot, why=repr(error), waiting=len(messages))
                if isinstance(error, TimeoutError):
                    await self._pool.expire_connections()  # the others may lead to the same silence
                await asyncio.sleep(pause_s(attempt, self._params.retry_min_s, self._params.retry_max_s))
                attempt += 1
                continue
            _DATABASE_OK.labels(slot).set(1)
            if attempt:
                log.info("database_back", slot=slot, attempts=attempt + 1)
            self._unanswered = None
            self._expect_repeats = tally.had_repeats
            if self._pacer is not None:
                self._pacer.kept(bundles)
            _COMMIT_S.labels(slot).observe(time.monotonic() - started_s)
            if messages:
                lag.observe_committed(slot, messages, datetime.now(UTC))
            return tally

    def _ended(self) -> bool:
        return self._task is None or self._task.done()

    def _show_load(self) -> None:
        """Let the metrics ask what waits, so that they are right while a transaction hangs, too."""
        lag.WAITING.labels(self._slot).set_function(lambda: len(self._buffer))
        lag.IN_FLIGHT.labels(self._slot).set_function(lambda: len(self._buffer) + self._in_transaction)

    async def _until_due(self) -> None:
        while True:
            now_s = time.monotonic()
            if self._buffer.due(now_s) or (self._draining and len(self._buffer)):
                return
            # told to stop, what is held stays held
            turn_in_s = None if self._pacer is None or self._draining else self._pacer.due_in_s(now_s)
            if turn_in_s == 0.0:
                return
            waits_s = [wait_s for wait_s in (self._buffer.due_in_s(now_s), turn_in_s) if wait_s is not None]
            self._wake.clear()
            try:
                async with asyncio.timeout(min(waits_s, default=None)):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _commit_one(self) -> None:
        messages = self._buffer.take()
        self._made_room()
        self._in_transaction = len(messages)
        ours = [message for message in messages if isinstance(message, Message)]
        lag.observe_taken(self._slot, ours, datetime.now(UTC))
        bundles = bundled([one for one in messages if isinstance(one, Held)])
        tally = await self.commit(ours, bundles) if ours or bundles else None
        await self._receipts.settle(messages)
        self._in_transaction = 0
        if tally is not None:
            self._count(tally)

    async def _give_turn(self, pacer: Pacer) -> None:
        """Write the messages whose turn it is, as if they came now."""
        turn = await self._despite_failures(pacer.next_turn)
        if turn is not None:
            self._in_transaction = len(turn.messages)
            tally = await self.commit(turn.messages, freed=turn.bundle_id)
            self._in_transaction = 0
            pacer.taken(turn)
            self._count(tally)
        await self._despite_failures(pacer.end_floods)

    async def _despite_failures(self, ask: Callable[[], Awaitable[_Answer]]) -> _Answer:
        """What the database answers, for as long as it takes."""
        attempt = 0
        while True:
            try:
                return await ask()
            except DATABASE_ERRORS as error:
                log.debug("database_lost", slot=self._slot, why=repr(error))
                await asyncio.sleep(pause_s(attempt, self._params.retry_min_s, self._params.retry_max_s))
                attempt += 1

    async def _attempt(self, messages: Sequence[Message], bundles: Sequence[Bundle], freed: int | None) -> Tally:
        """One transaction. A batch whose COMMIT was not answered is looked for before it is written again."""
        async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as conn:
            with ended_when_silent(conn):
                await learn_named(conn, self._directory, messages, time.monotonic())
                judged = [self._judge_one(number, one) for number, one in enumerate(messages)]
                async with conn.transaction():
                    with ended_when_silent(conn):
                        return await self._write(conn, messages, judged, bundles, freed)

    def _judge_one(self, number: int, message: Message) -> Bound | Refused:
        try:
            return self._judge(number, message, self._directory)
        except Exception as error:  # noqa: BLE001 - one message that nobody thought of must not stop a lane
            log.error("binding_failed", slot=self._slot, topic=message.topic, why=repr(error))
            detail = f"payload: it could not be bound: {error!r}"
            return Refused(
                number, message, None, Rejected(QuarantineReason.UNSTORABLE, detail, message.content.decoder)
            )

    async def _write(
        self,
        conn: asyncpg.Connection,
        messages: Sequence[Message],
        judged: Sequence[Bound | Refused],
        bundles: Sequence[Bundle],
        freed: int | None,
    ) -> Tally:
        slot = self._slot
        self._compare_clocks(await store.lock_slot(conn, slot))
        if self._unanswered and await self._is_committed(conn, self._unanswered, messages):
            return self._unanswered
        if self._pacer is not None:
            await self._pacer.hold(conn, bundles)
        if freed is not None:
            await free_bundle(conn, freed)
        if not messages:
            return Tally((), 0)
        batch_id = await store.next_batch_id(conn)
        if self._speaks_foreign:
            await remember(conn, slot, judged, batch_id)
        tally = await write_batch(conn, slot, batch_id, judged, expect_repeats=self._expect_repeats)
        self._unanswered = tally
        return tally

    async def _is_committed(self, conn: asyncpg.Connection, tally: Tally, messages: Sequence[Message]) -> bool:
        received = [one.received_at for one in messages]
        return await store.batch_committed(conn, tally.batch_id, self._slot, received)

    def _compare_clocks(self, database_now: datetime) -> None:
        """Say once when our clock and the database's part, for arrival is what device times are judged by."""
        ahead_s = (database_now - datetime.now(UTC)).total_seconds()
        _CLOCK_AHEAD_S.labels(self._slot).set(ahead_s)
        apart = abs(ahead_s) > _CLOCKS_APART_S
        if apart and not self._clocks_apart:
            log.warning("clocks_apart", slot=self._slot, database_ahead_s=round(ahead_s, 1))
        elif self._clocks_apart and not apart:
            log.info("clocks_agree", slot=self._slot)
        self._clocks_apart = apart

    def _count(self, tally: Tally) -> None:
        slot = self._slot
        for disposition, count in tally.counts.items():
            _DISPOSED.labels(slot, disposition.value).inc(count)
        _ROWS.labels(slot, "reading").inc(tally.reading_rows)
        _ROWS.labels(slot, "event").inc(tally.event_rows)
        _ROWS.labels(slot, "gateway_event").inc(tally.gateway_rows)
