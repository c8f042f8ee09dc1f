"""The ingest service of one slot: decode -> batch -> one transaction -> acknowledge.

Nothing is acknowledged before it is committed, nor on another connection than the one that delivered it. What was
delivered is stored even when its connection is gone by then; the broker sends it again and it counts as a duplicate.
"""

import asyncio
import gc
import random
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

import asyncpg
import structlog
from mqtt5 import PublishPacket
from prometheus_client import Counter, Gauge, Histogram
from pydantic import BaseModel, ConfigDict, Field, field_validator

from ingest import lag, store
from ingest.acquaintance import learn_named
from ingest.batch import BatchParams, Buffer
from ingest.binding import bind_message
from ingest.client import BrokerConnection, BrokerParams, ConnectionLost, connect
from ingest.decoders.model import Request
from ingest.decoders.sparkplug import Host
from ingest.directory import Directory
from ingest.formats import is_our_own, is_urgent, message_digest, read_message, topic_filters, urgent_filters
from ingest.intake import Intake
from ingest.model import (
    PAYLOAD_BYTES_MAX,
    Bound,
    Elsewhere,
    Message,
    QuarantineReason,
    Refused,
    Rejected,
    Tally,
)
from ingest.remembering import remember, resume
from ingest.settling import judge_message
from ingest.sources import SourceParams, check_sources
from ingest.transaction import write_batch

log = structlog.get_logger()

_CONNECTED = Gauge("gaswarden_ingest_connected", "1 while connected to the broker.", ["slot"])
_DATABASE_OK = Gauge("gaswarden_ingest_database_ok", "1 unless the last transaction failed.", ["slot"])
_RECEIVED = Counter("gaswarden_ingest_received", "Messages delivered by the broker.", ["slot"])
_DISPOSED = Counter("gaswarden_ingest_messages", "Messages committed, by disposition.", ["slot", "disposition"])
_ROWS = Counter("gaswarden_ingest_rows", "Rows committed, by table.", ["slot", "table"])
_ACKNOWLEDGED = Counter("gaswarden_ingest_acknowledged", "Messages acknowledged to the broker.", ["slot"])
_COMMIT_S = Histogram(
    "gaswarden_ingest_commit_seconds",
    "From taking a batch to its commit.",
    ["slot"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60),
)

_CLOCK_AHEAD_S = Gauge(
    "gaswarden_ingest_clock_ahead_seconds", "The database's clock less the worker's, at the last batch.", ["slot"]
)

_DATABASE_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
_ACQUIRE_TIMEOUT_S = 10.0
_REQUEST_TIMEOUT_S = 5.0
_CLOCKS_APART_S = 60.0
_TWO_WORKERS = "another worker of this slot is connected: run one for each slot, or give this one a slot of its own"


class IngestParams(BaseModel):
    """How one ingest slot works."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    slot: str = Field("0", pattern=r"^[A-Za-z0-9_-]{1,32}$", description="Name of the slot: one worker at a time.")
    areas: tuple[str, ...] = Field((), description="Areas whose topics this slot reads; empty: all of them.")
    share_name: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9_-]{1,32}$",
        description="Slots of the same areas and share name take native messages in turn; unset: each takes all. "
        "Only for brokers that give a gone member's messages to the others.",
    )
    batch: BatchParams = Field(default_factory=BatchParams, description="When a batch is taken.")
    buffer_max: int = Field(
        20_000, ge=100, le=200_000, description="Messages waiting for a transaction before the intake pauses."
    )
    registry_recheck_s: float = Field(
        1.0, ge=0, le=3600, description="An unknown gateway or device is looked up again after this long."
    )
    registry_refresh_s: float = Field(
        300.0, gt=0, le=86_400, description="What is known of the registry is read afresh after this long."
    )
    retry_min_s: float = Field(0.1, gt=0, le=60, description="First pause after a failed transaction.")
    retry_max_s: float = Field(5.0, gt=0, le=600, description="Longest pause between attempts.")
    standby_s: float = Field(
        30.0, gt=0, le=3600, description="A worker that lost its session to another one stands by for this long."
    )
    drain_timeout_s: float = Field(20.0, gt=0, le=600, description="Time to commit what waits when told to stop.")
    sources: tuple[SourceParams, ...] = Field(
        (), description="Where messages of other formats come from ([[ingest.sources]]); native needs none."
    )
    sparkplug_host: str = Field(
        "gaswarden", pattern=r"^[^/+#]{1,64}$", description="Our host id among Sparkplug hosts, one for each slot."
    )

    @field_validator("sources")
    @classmethod
    def _share_no_topic(cls, value: tuple[SourceParams, ...]) -> tuple[SourceParams, ...]:
        return check_sources(value)

    @property
    def own_sources(self) -> tuple[SourceParams, ...]:
        """The sources of this slot's areas."""
        return tuple(one for one in self.sources if not self.areas or one.area in self.areas)


async def run(pool: asyncpg.Pool, params: IngestParams, broker: BrokerParams) -> None:
    """Work until cancelled; then commit and acknowledge what was delivered, and leave.

    Survives the loss of the broker and of the database for as long as it lasts. Events have a lane of their own, with
    its own session, transactions and slot in the ledger, so that an alarm never waits behind a flood of readings. So
    have the sources of other formats, when there are any.
    """
    events = _Worker(pool, params, broker, Lane.of_events(params))
    rest = _Worker(pool, params, broker, Lane.of_the_rest(params), after=events.subscribed)
    with _patient_collector():
        async with asyncio.TaskGroup() as lanes:
            lanes.create_task(_work(events), name="ingest events")
            lanes.create_task(_work(rest), name="ingest readings")
            if params.own_sources:
                intake = Intake(params.own_sources, Host(params.sparkplug_host))
                lane = Lane.of_sources(params)
                sources = _Worker(pool, params, broker, lane, intake=intake)
                begun = _work(sources, resume(pool, intake, lane.slot, params.retry_max_s))
                lanes.create_task(begun, name="ingest sources")


@dataclass(frozen=True, slots=True)
class Lane:
    """One session of a slot. `slot` names it in the ledger and, with its prefix, to the broker.

    `leaves_urgent`: urgent topics are another lane's; what of them arrives here is acknowledged and not counted.
    """

    slot: str
    filters: tuple[str, ...]
    leaves_urgent: bool

    @classmethod
    def of_events(cls, params: IngestParams) -> Self:
        """The lane of alarms and other events."""
        return cls(f"{params.slot}-events", _shared(params, urgent_filters(params.areas)), leaves_urgent=False)

    @classmethod
    def of_the_rest(cls, params: IngestParams) -> Self:
        """The lane of everything else: it subscribes to whole trees, so that no mistyped topic is lost unseen."""
        return cls(params.slot, _shared(params, topic_filters(params.areas)), leaves_urgent=True)

    @classmethod
    def of_sources(cls, params: IngestParams) -> Self:
        """The lane of other formats than native."""
        filters = tuple(one for source in params.own_sources for one in source.filters)
        return cls(f"{params.slot}-sources", filters, leaves_urgent=False)


def _shared(params: "IngestParams", filters: Iterable[str]) -> tuple[str, ...]:
    """The filters as they are, or as subscriptions that a group of slots shares (MQTT 5, section 4.8.2)."""
    return tuple(filters if params.share_name is None else (f"$share/{params.share_name}/{one}" for one in filters))


async def _work(worker: "_Worker", before: Awaitable[None] | None = None) -> None:
    if before is not None:
        await before
    async with asyncio.TaskGroup() as background:
        background.create_task(worker.follow_registry(), name="ingest registry")
        worker.committer = background.create_task(worker.commit_batches(), name="ingest commits")
        await worker.stay_connected()


@contextmanager
def _patient_collector() -> Iterator[None]:
    """Look for reference cycles rarely while thousands of messages wait: there are none among them.

    Measured: 42 µs of processor a message with Python's own thresholds, 30 µs with these.
    """
    before = gc.get_threshold()
    gc.set_threshold(100_000, 20, 50)
    try:
        yield
    finally:
        gc.set_threshold(*before)


class _Worker:
    """The moving parts of one lane; `run` owns their lifetime.

    `subscribed` is set while this lane is connected. A lane with `after` subscribes only while that is set: the broker
    must hold the other session before this one leaves anything to it.
    """

    def __init__(
        self,
        pool: asyncpg.Pool,
        params: IngestParams,
        broker: BrokerParams,
        lane: Lane,
        after: asyncio.Event | None = None,
        intake: Intake | None = None,
    ) -> None:
        self.committer: asyncio.Task[None] | None = None
        self.subscribed = asyncio.Event()
        self._lane = lane
        self._after = after
        self._intake = intake
        self._judge = bind_message if intake is None else judge_message
        self._heard = asyncio.Event()
        self._told_refusal = False
        self._pool = pool
        self._params = params
        self._broker = broker
        self._directory = Directory(params.registry_recheck_s)
        self._buffer = Buffer(params.batch, params.buffer_max)
        self._room = asyncio.Event()
        self._room.set()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._draining = False
        self._unanswered: Tally | None = None  # of a COMMIT whose answer may have been lost
        self._expect_repeats = False
        self._in_transaction = 0
        self._clocks_apart = False
        self._listener: asyncpg.Connection | None = None

    # ---- intake

    async def stay_connected(self) -> None:
        """Connect, subscribe, receive; again with growing pauses whenever the connection is lost.

        Two workers of one slot would take the session from each other without end. The one whose claim to the slot came
        second stands by for a while whenever it lost the connection.
        """
        slot = self._lane.slot
        client_id = f"gaswarden-ingest-{slot}"
        attempt, told = 0, False
        while True:
            try:
                if self._after is not None:
                    await self._after.wait()
                will = None if self._intake is None else self._intake.connecting(datetime.now(UTC))
                async with connect(self._broker, client_id, will) as connection:
                    await connection.subscribe(self._lane.filters)
                    self.subscribed.set()
                    _CONNECTED.labels(slot).set(1)
                    log.info("broker_back" if told else "broker_connected", slot=slot)
                    attempt, told = 0, False
                    if self._intake is None:
                        await self._receive(connection)
                    else:
                        await self._converse(connection, self._intake, will)
            except ConnectionLost as error:
                if not told:
                    log.warning("broker_lost", slot=slot, why=str(error))
                told = True
            finally:
                self.subscribed.clear()
                _CONNECTED.labels(slot).set(0)
            pause_s = _pause_s(attempt, self._broker.retry_min_s, self._broker.retry_max_s)
            if not await self._claim_slot():
                log.warning("slot_has_another_worker", slot=slot, why=_TWO_WORKERS, standby_s=self._params.standby_s)
                pause_s = random.uniform(0.5, 1.0) * self._params.standby_s
            await asyncio.sleep(pause_s)
            attempt += 1

    async def _receive(self, connection: BrokerConnection) -> None:
        received = _RECEIVED.labels(self._lane.slot)

        def take(packet: PublishPacket) -> None:
            receipt = None if packet.packet_id is None else (connection, packet.packet_id)
            if is_our_own(packet.topic) or (self._lane.leaves_urgent and is_urgent(packet.topic)):
                self._take(Elsewhere(receipt))
                return
            now = datetime.now(UTC)
            try:
                message = read_message(packet.topic, packet.payload, now, receipt)
            except Exception as error:  # noqa: BLE001 - whatever a decoder fails at, one message must not stop a lane
                message = self._unreadable(packet, now, receipt, error)
            self._take(message)
            received.inc()

        await self._receive_with(connection, take)

    def _unreadable(
        self, packet: PublishPacket, now: datetime, receipt: tuple[object, int] | None, error: Exception
    ) -> Message:
        """A message that its decoder failed at, for quarantine: kept for the day the decoder is mended."""
        log.error("decoder_failed", slot=self._lane.slot, topic=packet.topic, why=repr(error))
        rejected = Rejected(QuarantineReason.UNSTORABLE, f"payload: the decoder failed: {error!r}", "none")
        kept = packet.payload[:PAYLOAD_BYTES_MAX]
        digest = message_digest(packet.topic, packet.payload)
        return Message(packet.topic, kept, now, rejected, receipt, len(packet.payload), digest)

    async def _receive_with(self, connection: BrokerConnection, take: Callable[[PublishPacket], None]) -> None:
        try:
            await connection.receive(take, self._room)
        except asyncio.CancelledError:
            await self._drain()
            raise

    async def _converse(self, connection: BrokerConnection, intake: Intake, farewell: Request | None) -> None:
        """Receive messages of other formats, and publish what their protocols ask of us."""
        received = _RECEIVED.labels(self._lane.slot)

        def take(packet: PublishPacket) -> None:
            receipt = None if packet.packet_id is None else (connection, packet.packet_id)
            now = datetime.now(UTC)
            try:
                messages = list(intake.read(packet.topic, packet.payload, now, receipt, again=packet.duplicate))
            except Exception as error:  # noqa: BLE001 - as above
                messages = [self._unreadable(packet, now, receipt, error)]
            for message in messages:
                self._take(message)
            received.inc()
            self._heard.set()

        speaking = asyncio.create_task(self._speak(connection, intake), name="ingest requests")
        try:
            await self._receive_with(connection, take)
        finally:
            speaking.cancel()
            with suppress(asyncio.CancelledError, ConnectionLost):
                await speaking
            if farewell is not None and connection.is_open:
                with suppress(ConnectionLost):
                    await connection.request(farewell, _REQUEST_TIMEOUT_S)

    async def _speak(self, connection: BrokerConnection, intake: Intake) -> None:
        """Let messages that wait for others go when their time is up; publish requests while the broker lets us."""
        is_let = True
        while True:
            self._heard.clear()
            for request in intake.take_requests():
                is_let = is_let and await self._ask(connection, request)
            wake_at = intake.wake_at()
            with suppress(TimeoutError):
                async with asyncio.timeout(None if wake_at is None else _seconds_until(wake_at)):
                    await self._heard.wait()
            for message in intake.tick(datetime.now(UTC)):
                self._take(message)

    async def _ask(self, connection: BrokerConnection, request: Request) -> bool:
        """Publish one request; False when this account may not, or the connection is gone. Told once."""
        try:
            if await connection.request(request, _REQUEST_TIMEOUT_S):
                return True
        except ConnectionLost as error:
            log.debug("request_lost", slot=self._lane.slot, topic=request.topic, why=str(error))
            return False
        if not self._told_refusal:
            log.warning("requests_refused", slot=self._lane.slot, topic=request.topic)
        self._told_refusal = True
        return False

    def _take(self, message: Message | Elsewhere) -> None:
        now_s = time.monotonic()
        self._buffer.add(message, now_s)
        if len(self._buffer) == 1 or self._buffer.due(now_s):
            self._wake.set()
        if self._buffer.is_full:
            self._room.clear()

    async def _drain(self) -> None:
        """Commit and acknowledge what was delivered, within the limit; the broker keeps the rest."""
        self._draining = True
        self._wake.set()
        try:
            async with asyncio.timeout(self._params.drain_timeout_s):
                while len(self._buffer) and not self._committer_ended():
                    self._idle.clear()
                    await self._idle.wait()
                await self._idle.wait()
        except TimeoutError:
            log.warning("ingest_not_drained", slot=self._lane.slot, waiting=len(self._buffer))

    def _committer_ended(self) -> bool:
        return self.committer is None or self.committer.done()

    # ---- transactions

    async def commit_batches(self) -> None:
        """Take a batch whenever one is due, commit it, acknowledge it; one at a time, in order."""
        self._show_load()
        try:
            while True:
                await self._until_due()
                self._idle.clear()
                await self._commit_one()
                self._idle.set()
        finally:
            self._idle.set()
            lag.WAITING.remove(self._lane.slot)
            lag.IN_FLIGHT.remove(self._lane.slot)

    def _show_load(self) -> None:
        """Let the metrics ask what waits, so that they are right while a transaction hangs, too."""
        lag.WAITING.labels(self._lane.slot).set_function(lambda: len(self._buffer))
        lag.IN_FLIGHT.labels(self._lane.slot).set_function(lambda: len(self._buffer) + self._in_transaction)

    async def _commit_one(self) -> None:
        messages = self._buffer.take()
        if not self._buffer.is_full:
            self._room.set()
        self._in_transaction = len(messages)
        ours = [message for message in messages if isinstance(message, Message)]
        lag.observe_taken(self._lane.slot, ours, datetime.now(UTC))
        tally = await self._commit(ours) if ours else None
        await self._acknowledge(messages)
        self._in_transaction = 0
        if tally is not None:
            self._count(tally)

    async def _until_due(self) -> None:
        while True:
            now_s = time.monotonic()
            if self._buffer.due(now_s) or (self._draining and len(self._buffer)):
                return
            self._wake.clear()
            try:
                async with asyncio.timeout(self._buffer.due_in_s(now_s)):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _commit(self, messages: Sequence[Message]) -> Tally:
        """Commit a batch, for as long as it takes; log the database's loss once and its return once."""
        slot = self._lane.slot
        attempt = 0
        started_s = time.monotonic()
        while True:
            try:
                tally = await self._attempt(messages)
            except _DATABASE_ERRORS as error:
                _DATABASE_OK.labels(slot).set(0)
                if attempt == 0:
                    log.warning("database_lost", slot=slot, why=repr(error), waiting=len(messages))
                if isinstance(error, TimeoutError):
                    await self._pool.expire_connections()  # the others may lead to the same silence
                await asyncio.sleep(_pause_s(attempt, self._params.retry_min_s, self._params.retry_max_s))
                attempt += 1
                continue
            _DATABASE_OK.labels(slot).set(1)
            if attempt:
                log.info("database_back", slot=slot, attempts=attempt + 1)
            self._unanswered = None
            self._expect_repeats = tally.had_repeats
            _COMMIT_S.labels(slot).observe(time.monotonic() - started_s)
            lag.observe_committed(slot, messages, datetime.now(UTC))
            return tally

    async def _attempt(self, messages: Sequence[Message]) -> Tally:
        """One transaction. A batch whose COMMIT was not answered is looked for before it is written again."""
        async with self._pool.acquire(timeout=_ACQUIRE_TIMEOUT_S) as conn:
            with _ended_when_silent(conn):
                await self._look_up(conn, messages)
                judged = [self._judge_one(number, one) for number, one in enumerate(messages)]
                async with conn.transaction():
                    with _ended_when_silent(conn):
                        return await self._write(conn, messages, judged)

    def _judge_one(self, number: int, message: Message) -> Bound | Refused:
        try:
            return self._judge(number, message, self._directory)
        except Exception as error:  # noqa: BLE001 - one message that nobody thought of must not stop a lane
            log.error("binding_failed", slot=self._lane.slot, topic=message.topic, why=repr(error))
            detail = f"payload: it could not be bound: {error!r}"
            return Refused(
                number, message, None, Rejected(QuarantineReason.UNSTORABLE, detail, message.content.decoder)
            )

    async def _write(
        self, conn: asyncpg.Connection, messages: Sequence[Message], judged: Sequence[Bound | Refused]
    ) -> Tally:
        slot = self._lane.slot
        self._compare_clocks(await store.lock_slot(conn, slot))
        if self._unanswered and await self._is_committed(conn, self._unanswered, messages):
            return self._unanswered
        batch_id = await store.next_batch_id(conn)
        if self._intake is not None:
            await remember(conn, slot, judged, batch_id)
        tally = await write_batch(conn, slot, batch_id, judged, expect_repeats=self._expect_repeats)
        self._unanswered = tally
        return tally

    def _compare_clocks(self, database_now: datetime) -> None:
        """Say once when our clock and the database's part, for arrival is what device times are judged by."""
        ahead_s = (database_now - datetime.now(UTC)).total_seconds()
        _CLOCK_AHEAD_S.labels(self._lane.slot).set(ahead_s)
        apart = abs(ahead_s) > _CLOCKS_APART_S
        if apart and not self._clocks_apart:
            log.warning("clocks_apart", slot=self._lane.slot, database_ahead_s=round(ahead_s, 1))
        elif self._clocks_apart and not apart:
            log.info("clocks_agree", slot=self._lane.slot)
        self._clocks_apart = apart

    async def _is_committed(self, conn: asyncpg.Connection, tally: Tally, messages: Sequence[Message]) -> bool:
        received = [one.received_at for one in messages]
        return await store.batch_committed(conn, tally.batch_id, self._lane.slot, received)

    async def _look_up(self, conn: asyncpg.Connection, messages: Sequence[Message]) -> None:
        await learn_named(conn, self._directory, messages, time.monotonic())

    async def _acknowledge(self, messages: Sequence[Message | Elsewhere]) -> None:
        """Acknowledge, each on the connection that delivered it; on a lost one nothing can be said any more."""
        receipts: dict[object, list[int]] = defaultdict(list)
        for message in messages:
            if message.receipt is not None:
                receipts[message.receipt[0]].append(message.receipt[1])
        for connection, packet_ids in receipts.items():
            if isinstance(connection, BrokerConnection) and await connection.acknowledge(packet_ids):
                _ACKNOWLEDGED.labels(self._lane.slot).inc(len(packet_ids))

    def _count(self, tally: Tally) -> None:
        slot = self._lane.slot
        for disposition, count in tally.counts.items():
            _DISPOSED.labels(slot, disposition.value).inc(count)
        _ROWS.labels(slot, "reading").inc(tally.reading_rows)
        _ROWS.labels(slot, "event").inc(tally.event_rows)
        _ROWS.labels(slot, "gateway_event").inc(tally.gateway_rows)

    # ---- registry

    async def follow_registry(self) -> None:
        """Forget what is known of the registry whenever an import says that it changed, and now and then anyway."""
        while True:
            try:
                async with self._pool.acquire(timeout=_ACQUIRE_TIMEOUT_S) as conn:
                    await self._listen(conn)
            except _DATABASE_ERRORS as error:
                log.debug("registry_listener_lost", slot=self._lane.slot, why=repr(error))
            self._directory.forget()
            await asyncio.sleep(1.0)

    async def _claim_slot(self) -> bool:
        """Whether no other worker claimed this slot before us; while the database is away nobody can tell, and we may.

        The claim is a lock of the listening session, so that a worker that dies leaves none behind.
        """
        if self._listener is None:
            return True
        try:
            return await store.claim_slot(self._listener, self._lane.slot)
        except _DATABASE_ERRORS:
            return True

    async def _listen(self, conn: asyncpg.Connection) -> None:
        ended = asyncio.Event()

        def changed(*_: object) -> None:
            self._directory.forget()

        def gone(_: object) -> None:
            ended.set()

        conn.add_termination_listener(gone)
        try:
            await conn.add_listener("gaswarden_registry", changed)
            await store.claim_slot(conn, self._lane.slot)
            self._listener = conn
            async with asyncio.timeout(self._params.registry_refresh_s):
                await ended.wait()
        except TimeoutError:
            return
        finally:
            self._listener = None
            if not conn.is_closed():
                conn.remove_termination_listener(gone)
                await conn.remove_listener("gaswarden_registry", changed)


def _seconds_until(at: datetime) -> float:
    return max(0.0, (at - datetime.now(UTC)).total_seconds())


@contextmanager
def _ended_when_silent(conn: asyncpg.Connection) -> Iterator[None]:
    """End a connection on which a statement was not answered in time: a rollback there would wait as long again."""
    try:
        yield
    except TimeoutError:
        conn.terminate()
        raise


def _pause_s(attempt: int, first_s: float, longest_s: float) -> float:
    """Growing pause with jitter, so that workers that lost the same server do not return together."""
    return random.uniform(0.5, 1.0) * min(longest_s, first_s * 2.0 ** min(attempt, 20))
