"""One MQTT 5 connection of one gateway, on the `mqtt5` packet codec: made for sending much and for being cut off.

A device needs less than a client library offers (it subscribes to its commands at most) and more (it must be able to
vanish without a DISCONNECT, so that the broker sends its last will).
"""

import asyncio
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit

import mqtt5


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the broker listens; `tls` when it wants TLS."""

    host: str
    port: int
    tls: ssl.SSLContext | None = field(default=None, compare=False)

    @classmethod
    def at(cls, url: str) -> Self:
        """The broker of an address like mqtt://host:1883 or mqtts://host:8883; accounts in it are not used.

        Raises ValueError when it is no such address.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname:
            raise ValueError(f"MQTT address {parts.scheme}://...: mqtt://host:port or mqtts://host:port is needed")
        tls = parts.scheme == "mqtts"
        return cls(parts.hostname, parts.port or (8883 if tls else 1883), ssl.create_default_context() if tls else None)


class RefusedError(Exception):
    """The broker refused a gateway's CONNECT, with the reason it gave; trying again will not help."""


class Link(asyncio.Protocol):
    """A connection; `on_ack(packet_id, reason)` at every PUBACK, `on_change()` when there is something to look at.

    `on_message(topic, payload)` at every message for us, acknowledged once it returns.
    """

    def __init__(
        self,
        connect: mqtt5.ConnectPacket,
        on_ack: Callable[[int, mqtt5.PubAckReasonCode], None],
        on_change: Callable[[], None],
        on_message: Callable[[str, bytes], None] = lambda _topic, _payload: None,
    ) -> None:
        self._connect, self._on_ack, self._on_change, self._on_message = connect, on_ack, on_change, on_message
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self.accepted: asyncio.Future[mqtt5.ConnAckPacket] = asyncio.get_running_loop().create_future()
        self.subscribed: asyncio.Future[mqtt5.SubAckPacket] = asyncio.get_running_loop().create_future()
        self.lost = False
        self.paused = False
        self.heard_s = self.wrote_s = time.monotonic()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say CONNECT."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.write(self._connect.write())

    def data_received(self, data: bytes) -> None:
        """Take whole packets off the stream; one that cannot be read ends the connection."""
        self.heard_s = time.monotonic()
        self._buffer += data
        taken = 0
        with memoryview(self._buffer) as view:
            while taken < len(view):
                try:
                    packet, length = mqtt5.read(view[taken:])
                except IndexError:
                    break
                except ValueError:
                    self.break_off()
                    break
                taken += length
                self._take(packet)
        del self._buffer[:taken]
        self._on_change()

    def _take(self, packet: object) -> None:
        if isinstance(packet, mqtt5.PubAckPacket):
            self._on_ack(packet.packet_id, packet.reason_code)
        elif isinstance(packet, mqtt5.ConnAckPacket) and not self.accepted.done():
            if packet.reason_code == mqtt5.ConnAckReasonCode.SUCCESS:
                self.accepted.set_result(packet)
            else:
                self.accepted.set_exception(
                    RefusedError(f"the broker refused the connection: {packet.reason_code.name}")
                )
        elif isinstance(packet, mqtt5.PublishPacket):
            self._on_message(packet.topic, bytes(packet.payload))
            if packet.packet_id is not None:
                self.write(mqtt5.PubAckPacket(packet.packet_id).write())
        elif isinstance(packet, mqtt5.SubAckPacket) and not self.subscribed.done():
            self.subscribed.set_result(packet)
        elif isinstance(packet, mqtt5.DisconnectPacket):
            self.break_off()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, by whatever end."""
        self.lost = True
        if not self.accepted.done():
            self.accepted.set_exception(ConnectionResetError(f"closed before CONNACK: {exc or 'end of stream'}"))
            self.accepted.exception()  # the caller may have gone already
        if not self.subscribed.done():
            self.subscribed.set_exception(ConnectionResetError("closed before SUBACK"))
            self.subscribed.exception()
        self._on_change()

    def pause_writing(self) -> None:
        """The broker reads slower than we write."""
        self.paused = True

    def resume_writing(self) -> None:
        """There is room again."""
        self.paused = False
        self._on_change()

    def write(self, data: bytes) -> None:
        """Send bytes of whole packets."""
        if self._transport is not None and not self.lost:
            self.wrote_s = time.monotonic()
            self._transport.write(data)

    def ping(self, keep_alive_s: float) -> None:
        """Send a PINGREQ when idle for half the keep-alive; cut the connection when nothing came for one and a half."""
        now_s = time.monotonic()
        if now_s - max(self.heard_s, self.wrote_s - keep_alive_s) > 1.5 * keep_alive_s:
            self.break_off()
        elif now_s - self.wrote_s >= keep_alive_s / 2:
            self.write(mqtt5.PingReqPacket().write())

    def close(self) -> None:
        """Leave in order: the broker drops the last will."""
        self.write(mqtt5.DisconnectPacket().write())
        if self._transport is not None:
            self._transport.close()

    def break_off(self) -> None:
        """Vanish: the broker sends the last will."""
        if self._transport is not None:
            self._transport.abort()
