"""The one place that touches the MQTT library: a connection that says when it is lost, and never outlives itself.

The library (aiomqtt 3.0.0a1) is an alpha. What is done about its traps, each with a test in
tests/service/test_subscriber_traps.py:

* a TCP reset ends its background tasks and nobody is told: we watch those tasks as well as the message pump;
* its own reconnection would let an acknowledgement out on a later connection: one client object per connection;
* its connect blocks the event loop: the port is probed first, with a time limit;
* a broker that accepts and then says nothing is waited for without end: handshake and subscription have a time limit;
* keep-alive is off unless set, so that a silent network is never noticed;
* closing a connection that is already broken raises: it is closed with a time limit, and what it raises is logged;
* why the broker ended a connection goes to its log only: we listen there, to tell it;
* a packet above its buffer of 16 MiB breaks it, and the broker would send it for ever: we ask for smaller ones.
"""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import NoReturn

import aiomqtt
import structlog
from mqtt5 import PubAckReasonCode, PublishPacket, QoS, RetainHandling, Will

from ingest.broker_params import BrokerParams
from ingest.decoders.model import Request

log = structlog.get_logger()

_PUMP_STRETCH = 200
_PACKET_BYTES_MAX = 2**24 - 2**14  # the library's buffer, less the piece it reads at once
_PUBACK = b"\x40\x02"  # MQTT 5, 3.4: reason code 0 and no properties may be left out; the packet id follows
_PUBACKS_AT_ONCE = 1_000
_LIBRARY_ERRORS = (
    aiomqtt.ConnectError,
    aiomqtt.NegativeAckError,
    aiomqtt.ProtocolError,
    OSError,  # TimeoutError is one
    RuntimeError,  # uvloop: the transport is closed
)


class ConnectionLost(Exception):
    """The connection to the broker ended or could not be made; the message says why."""


class _Farewell(logging.Handler):
    """The reason with which the broker ended a connection, which the library tells to its log only."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.reason: str | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Take the reason out of the library's sentence."""
        if "DisconnectPacket" in str(record.msg) and isinstance(record.args, tuple) and record.args:
            self.reason = str(record.args[0])


class BrokerConnection:
    """One connection from CONNACK to its end. It is never revived: a new connection is a new object."""

    def __init__(
        self, client: aiomqtt.Client, background: "asyncio.Task[None]", farewell: _Farewell, subscribe_timeout_s: float
    ) -> None:
        self._client = client
        self._farewell = farewell
        self._subscribe_timeout_s = subscribe_timeout_s
        self._background = background
        self._open = True

    @property
    def is_open(self) -> bool:
        """Whether acknowledgements may still go out here."""
        return self._open and not self._background.done()

    def shut(self) -> None:
        """Let nothing more out."""
        self._open = False

    async def subscribe(self, topic_filters: Sequence[str]) -> None:
        """Subscribe at QoS 1. Retained messages come only with a new subscription, not with every reconnection.

        The broker may first send what waited for this session, thousands of messages: its answer comes after them, so
        it has longer than an answer to a connection. A worker that gave up sooner would begin again at the first.
        Raises ConnectionLost when the broker refuses, or does not answer in time.
        """
        try:
            async with asyncio.timeout(self._subscribe_timeout_s):
                for topic_filter in topic_filters:
                    await self._client.subscribe(
                        topic_filter,
                        max_qos=QoS.AT_LEAST_ONCE,
                        retain_handling=RetainHandling.SEND_IF_SUBSCRIPTION_NOT_EXISTS,
                    )
        except _LIBRARY_ERRORS as error:
            raise self._lost(f"subscription: {_why(error)}") from error

    async def receive(self, take: Callable[[PublishPacket], None], room: asyncio.Event) -> NoReturn:
        """Hand every delivery to `take` until the connection is lost, then raise ConnectionLost.

        The intake pauses while `room` is not set; Receive Maximum then holds the broker back. The library's own
        tasks are watched too, because they may die without the pump hearing of it.
        """
        pump = asyncio.create_task(self._pump(take, room), name="mqtt pump")
        try:
            await asyncio.wait({pump, self._background}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            pump.cancel()
        raise self._lost(_end_of(pump) or _end_of(self._background) or "the connection ended")

    def _lost(self, why: str) -> ConnectionLost:
        """The end of this connection, by the broker's own word where it said one."""
        reason = self._farewell.reason
        return ConnectionLost(f"{why} (the broker said {reason})" if reason else why)

    async def _pump(self, take: Callable[[PublishPacket], None], room: asyncio.Event) -> None:
        taken = 0
        async for packet in self._client.messages():
            if isinstance(packet, PublishPacket):
                take(packet)
            taken += 1
            if not room.is_set():
                await room.wait()
            elif taken % _PUMP_STRETCH == 0:
                await asyncio.sleep(0)  # the queue never makes the pump wait: let others run

    async def acknowledge(self, packet_ids: Sequence[int]) -> bool:
        """Acknowledge deliveries of this very connection; False when it is gone (the broker will send them again)."""
        writer: asyncio.StreamWriter = self._client._writer  # noqa: SLF001 - one write for many, not a packet a time
        try:
            for start in range(0, len(packet_ids), _PUBACKS_AT_ONCE):
                if not self.is_open:
                    return False
                some = packet_ids[start : start + _PUBACKS_AT_ONCE]
                writer.write(b"".join([_PUBACK + packet_id.to_bytes(2, "big") for packet_id in some]))
                await writer.drain()
        except (OSError, RuntimeError):
            return False
        return True

    async def publish(self, topic: str, payload: bytes, *, expires_s: int, timeout_s: float) -> bool:
        """Publish at QoS 1 and wait until the broker has it; False when it says that nobody listens on the topic.

        The broker drops the message after `expires_s`. Raises ConnectionLost when it was not acknowledged on this
        connection within the limit, or refused: the broker may or may not have it then.
        """
        if not self.is_open:
            raise ConnectionLost("not connected")
        try:
            async with asyncio.timeout(timeout_s):
                answer = await self._client.publish(
                    topic,
                    payload,
                    qos=QoS.AT_LEAST_ONCE,
                    packet_id=next(self._client.packet_ids),
                    message_expiry_interval=expires_s,
                )
        except (aiomqtt.ConnectError, aiomqtt.NegativeAckError, OSError, RuntimeError) as error:
            raise ConnectionLost(_why(error)) from error
        return answer.reason_code != PubAckReasonCode.NO_MATCHING_SUBSCRIBERS

    async def request(self, message: Request, timeout_s: float) -> bool:
        """Publish what a format's protocol asks of us; False when the broker does not let this account.

        At QoS 0 nobody says whether it was let through. Raises ConnectionLost.
        """
        if not self.is_open:
            raise ConnectionLost("not connected")
        packet_id = next(self._client.packet_ids) if message.qos else None
        try:
            async with asyncio.timeout(timeout_s):
                await self._client.publish(
                    message.topic, message.payload, qos=QoS(message.qos), packet_id=packet_id, retain=message.retain
                )
        except aiomqtt.NegativeAckError:
            return False
        except (aiomqtt.ConnectError, OSError, RuntimeError) as error:
            raise ConnectionLost(_why(error)) from error
        return True


@asynccontextmanager
async def connect(params: BrokerParams, client_id: str, will: Request | None = None) -> AsyncIterator[BrokerConnection]:
    """One connection with a lasting session; raises ConnectionLost when it cannot be made.

    `will` is published by the broker when the connection ends without a word.
    """
    await _probe(params)
    farewell = _Farewell()
    words = logging.Logger("mqtt", logging.WARNING)  # noqa: LOG001 - of this connection alone
    words.addHandler(farewell)
    client = aiomqtt.Client(
        logger=words,
        hostname=params.hostname,
        port=params.port,
        identifier=client_id,
        ssl_context=_tls_context(params) if params.tls else None,
        username=params.username,
        password=params.password.get_secret_value().encode() if params.password else None,
        clean_start=False,
        session_expiry_interval=params.session_expiry_s,
        reconnect=False,
        keep_alive=params.keep_alive_s,
        receive_max=params.receive_maximum,
        will=Will(will.topic, payload=will.payload, qos=QoS(will.qos), retain=will.retain) if will else None,
        max_packet_size=_PACKET_BYTES_MAX,
    )
    try:
        async with asyncio.timeout(params.connect_timeout_s):
            await client.__aenter__()
    except _LIBRARY_ERRORS as error:
        await _abandon(client)
        raise ConnectionLost(_why(error)) from error
    except BaseException:
        await _abandon(client)
        raise
    background = client._tasks  # noqa: SLF001 - the library offers no other way to watch them
    connection = BrokerConnection(client, background, farewell, params.subscribe_timeout_s)
    try:
        yield connection
    finally:
        connection.shut()
        # in a task of its own: the library swallows a cancellation that reaches it while it closes
        await asyncio.shield(asyncio.create_task(_close(client, params.connect_timeout_s), name="mqtt close"))


def _tls_context(params: BrokerParams) -> ssl.SSLContext:
    """What we trust and, where a certificate is set, who we are; raises ConnectionLost when a file cannot be used."""
    try:
        context = ssl.create_default_context(cafile=params.ca_file)
        if params.certificate_file:
            context.load_cert_chain(params.certificate_file, params.key_file)
    except OSError as error:
        files = ", ".join(filter(None, (params.ca_file, params.certificate_file, params.key_file)))
        raise ConnectionLost(f"TLS files {files}: {error}") from error
    return context


async def _probe(params: BrokerParams) -> None:
    """Reach the port within the time limit, so that the library's blocking connect finds somebody there."""
    try:
        async with asyncio.timeout(params.connect_timeout_s):
            _, writer = await asyncio.open_connection(params.hostname, params.port)
    except OSError as error:  # TimeoutError is one
        raise ConnectionLost(_why(error)) from error
    writer.close()
    await _await_closed(writer)


def _end_of(task: "asyncio.Task[None]") -> str | None:
    """What ended a task, when something did; groups are named by their first member."""
    if not task.done() or task.cancelled() or (error := task.exception()) is None:
        return None
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return _why(error)


def _why(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, aiomqtt.NegativeAckError):
        return f"the broker refused: {error}"
    return str(error) or type(error).__name__


async def _abandon(client: aiomqtt.Client) -> None:
    """Close the socket of a handshake that did not finish; the library keeps it open."""
    writer: asyncio.StreamWriter | None = getattr(client, "_writer", None)
    if writer is not None:
        writer.transport.abort()
        await _await_closed(writer)


async def _await_closed(writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        await writer.wait_closed()


async def _close(client: aiomqtt.Client, timeout_s: float) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            await client.__aexit__(None, None, None)
    except (Exception, BaseExceptionGroup) as error:  # noqa: BLE001 - it is broken already; nothing depends on how it ends
        log.debug("mqtt_close_failed", error=repr(error))
        await _abandon(client)
