"""The broker's side of a lane: stay connected, take deliveries, decode them, hand each to its writer."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime

import structlog
from mqtt5 import PublishPacket
from prometheus_client import Counter, Gauge

from ingest.acknowledging import Receipts
from ingest.broker_params import BrokerParams
from ingest.client import BrokerConnection, ConnectionLost, connect
from ingest.committing import Writer
from ingest.decoders.model import Request
from ingest.failures import pause_s
from ingest.formats import is_our_own, is_urgent, message_digest, read_message
from ingest.intake import Intake
from ingest.lanes import Lane, sender_of
from ingest.model import PAYLOAD_BYTES_MAX, Delivery, Elsewhere, Held, Message, QuarantineReason, Rejected
from ingest.params import IngestParams

log = structlog.get_logger()

_CONNECTED = Gauge("gaswarden_ingest_connected", "1 while connected to the broker.", ["slot"])
_RECEIVED = Counter("gaswarden_ingest_received", "Messages delivered by the broker.", ["slot"])

_REQUEST_TIMEOUT_S = 5.0
_TOPICS_REMEMBERED = 100_000
_TWO_WORKERS = "another worker of this slot is connected: run one for each slot, or give this one a slot of its own"


class Receiver:
    """One session with the broker, for as long as the worker lives.

    `subscribed` is set while the lane is connected. A lane with `after` subscribes only while that is set: the broker
    must hold the other session before this one leaves anything to it. `claim_slot` says whether the slot is ours;
    `room` is cleared here when a writer is full, and set by whoever sees that none is.
    """

    def __init__(
        self,
        params: IngestParams,
        broker: BrokerParams,
        lane: Lane,
        writers: Sequence[Writer],
        receipts: Receipts,
        room: asyncio.Event,
        claim_slot: Callable[[], Awaitable[bool]],
        after: asyncio.Event | None = None,
        intake: Intake | None = None,
        subscribed: asyncio.Event | None = None,
    ) -> None:
        self.subscribed = subscribed or asyncio.Event()
        self._params = params
        self._broker = broker
        self._lane = lane
        self._writers = tuple(writers)
        self._writer_of: dict[str, tuple[Writer, str]] = {}
        self._receipts = receipts
        self._room = room
        self._claim_slot = claim_slot
        self._after = after
        self._intake = intake
        self._heard = asyncio.Event()
        self._told_refusal = False
        self._received = _RECEIVED.labels(lane.slot)

    async def stay_connected(self) -> None:
        """Connect, subscribe, receive; again with growing pauses whenever the connection is lost.

        Two workers of one slot would take the session from each other without end. The one whose claim to the slot came
        second stands by for a while whenever it lost the connection.
        """
        for writer in self._writers:
            await writer.ready.wait()
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
            wait_s = pause_s(attempt, self._broker.retry_min_s, self._broker.retry_max_s)
            if not await self._claim_slot():
                log.warning("slot_has_another_worker", slot=slot, why=_TWO_WORKERS, standby_s=self._params.standby_s)
                wait_s = random.uniform(0.5, 1.0) * self._params.standby_s
            await asyncio.sleep(wait_s)
            attempt += 1

    async def _receive(self, connection: BrokerConnection) -> None:
        def take(packet: PublishPacket) -> None:
            receipt = None if packet.packet_id is None else (connection, packet.packet_id)
            writer, sender = self._writer_for(packet.topic)
            if is_our_own(packet.topic) or (self._lane.leaves_urgent and is_urgent(packet.topic)):
                self._pass_on(writer, Elsewhere(receipt))
                return
            now = datetime.now(UTC)
            self._received.inc()
            if writer.must_hold(sender, len(packet.payload)):
                self._pass_on(writer, Held(sender, packet.topic, packet.payload, now, receipt))
                return
            try:
                message = read_message(packet.topic, packet.payload, now, receipt)
            except Exception as error:  # noqa: BLE001 - whatever a decoder fails at, one message must not stop a lane
                message = self._unreadable(packet, now, receipt, error)
            self._pass_on(writer, message)

        await self._receive_with(connection, take)

    async def _receive_with(self, connection: BrokerConnection, take: Callable[[PublishPacket], None]) -> None:
        try:
            await connection.receive(take, self._room)
        except asyncio.CancelledError:
            await self._drain()
            raise

    def _unreadable(
        self, packet: PublishPacket, now: datetime, receipt: tuple[object, int] | None, error: Exception
    ) -> Message:
        """A message that its decoder failed at, for quarantine: kept for the day the decoder is mended."""
        log.error("decoder_failed", slot=self._lane.slot, topic=packet.topic, why=repr(error))
        rejected = Rejected(QuarantineReason.UNSTORABLE, f"payload: the decoder failed: {error!r}", "none")
        kept = packet.payload[:PAYLOAD_BYTES_MAX]
        digest = message_digest(packet.topic, packet.payload)
        return Message(packet.topic, kept, now, rejected, receipt, len(packet.payload), digest)

    def _writer_for(self, topic: str) -> tuple[Writer, str]:
        """The writer of a topic's messages, and whose they are."""
        found = self._writer_of.get(topic)
        if found is None:
            if len(self._writer_of) >= _TOPICS_REMEMBERED:
                self._writer_of.clear()
            sender = sender_of(topic)
            found = self._writer_of[topic] = self._writers[self._lane.writer_of(sender)], sender
        return found

    def _pass_on(self, writer: Writer, delivery: Delivery) -> None:
        """Give a delivery to its writer."""
        if delivery.receipt is not None:
            self._receipts.expect(delivery.receipt)
        writer.add(delivery)
        if writer.is_full:
            self._room.clear()

    async def _drain(self) -> None:
        """Commit and acknowledge what was delivered, within the limit; the broker keeps the rest."""
        for writer in self._writers:
            writer.hurry()
        try:
            async with asyncio.timeout(self._params.drain_timeout_s):
                for writer in self._writers:
                    await writer.until_empty()
        except TimeoutError:
            waiting = sum(writer.waiting for writer in self._writers)
            log.warning("ingest_not_drained", slot=self._lane.slot, waiting=waiting)

    # ---- formats that must be talked with

    async def _converse(self, connection: BrokerConnection, intake: Intake, farewell: Request | None) -> None:
        """Receive messages of other formats, and publish what their protocols ask of us."""

        def take(packet: PublishPacket) -> None:
            receipt = None if packet.packet_id is None else (connection, packet.packet_id)
            now = datetime.now(UTC)
            try:
                messages = list(intake.read(packet.topic, packet.payload, now, receipt, again=packet.duplicate))
            except Exception as error:  # noqa: BLE001 - as above
                messages = [self._unreadable(packet, now, receipt, error)]
            for message in messages:
                self._pass_on(self._writers[0], message)
            self._received.inc()
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
                self._pass_on(self._writers[0], message)

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


def _seconds_until(at: datetime) -> float:
    return max(0.0, (at - datetime.now(UTC)).total_seconds())
