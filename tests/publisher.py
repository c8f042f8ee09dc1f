"""A gateway for tests and benchmarks: publishes at QoS 1 over MQTT 3.1.1 and knows what the broker acknowledged.

Written on bare sockets so that it costs little beside the program under test, and depends on none of its libraries.
"""

import select
import socket
import struct
import time
from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Self


class BrokerGone(Exception):
    """The connection ended; what was acknowledged until then is on the publisher."""


def _text(value: str) -> bytes:
    encoded = value.encode()
    return struct.pack(">H", len(encoded)) + encoded


def _length(size: int) -> bytes:
    out = bytearray()
    while True:
        size, digit = divmod(size, 128)
        out.append(digit | (0x80 if size else 0))
        if not size:
            return bytes(out)


def publish_packet(topic: str, payload: bytes, packet_id: int | None, *, retain: bool = False) -> bytes:
    """One PUBLISH: at QoS 1, or at QoS 0 without a packet id."""
    identity = b"" if packet_id is None else struct.pack(">H", packet_id)
    body = _text(topic) + identity + payload
    return bytes([0x30 | (0 if packet_id is None else 2) | retain]) + _length(len(body)) + body


class Publisher:
    """One connection of one gateway; `acknowledged` holds the positions of messages that the broker took over."""

    def __init__(self, host: str, port: int, account: tuple[str, str], client_id: str = "") -> None:
        self.acknowledged: set[int] = set()
        self._window = 1000
        self._link = socket.create_connection((host, port), 5)
        self._link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        flags = 0b1100_0010
        body = _text("MQTT") + bytes([4, flags]) + struct.pack(">H", 0) + _text(client_id)
        body += _text(account[0]) + _text(account[1])
        self._sign_in(b"\x10" + _length(len(body)) + body)
        self._pending = b""
        self._in_flight: dict[int, int] = {}
        self._next_id = 1

    def _sign_in(self, packet: bytes) -> None:
        with ExitStack() as undo:
            undo.callback(self._link.close)
            self._link.sendall(packet)
            answer = self._receive_exactly(4)
            if answer != b"\x20\x02\x00\x00":
                raise BrokerGone(f"refused: {answer!r}")
            undo.pop_all()

    def publish(self, messages: Sequence[tuple[str, bytes]], *, window: int = 1000, timeout_s: float = 30.0) -> None:
        """Send all and wait for every acknowledgement, at most `window` outstanding; raises BrokerGone."""
        end_s = time.monotonic() + timeout_s
        position = 0
        self._link.setblocking(False)
        out = b""
        while position < len(messages) or self._in_flight or out:
            if time.monotonic() > end_s:
                raise BrokerGone("not acknowledged in time")
            while position < len(messages) and len(self._in_flight) < window and len(out) < 65_536:
                stretch = messages[position : position + min(200, window - len(self._in_flight))]
                out += b"".join(self._packet(position + offset, *one) for offset, one in enumerate(stretch))
                position += len(stretch)
            readable, writable, _ = select.select([self._link], [self._link] if out else [], [], 0.5)
            if writable:
                out = out[self._send(out) :]
            if readable:
                self._take_acknowledgements()

    def publish_one(self, topic: str, payload: bytes, *, retain: bool = False, timeout_s: float = 10.0) -> None:
        """Send one message and wait for its acknowledgement."""
        self._link.setblocking(True)
        self._link.settimeout(timeout_s)
        packet_id = self._take_id(0)
        self._link.sendall(publish_packet(topic, payload, packet_id, retain=retain))
        while packet_id in self._in_flight:
            self._take_acknowledgements()

    def publish_unsure(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Send all at QoS 0: nothing is acknowledged."""
        self._link.setblocking(True)
        self._link.sendall(b"".join(publish_packet(*one, None) for one in messages))

    def _packet(self, position: int, topic: str, payload: bytes) -> bytes:
        return publish_packet(topic, payload, self._take_id(position))

    def _take_id(self, position: int) -> int:
        while self._next_id in self._in_flight:
            self._next_id = self._next_id % 65_535 + 1
        packet_id = self._next_id
        self._next_id = self._next_id % 65_535 + 1
        self._in_flight[packet_id] = position
        return packet_id

    def _send(self, out: bytes) -> int:
        try:
            return self._link.send(out)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise BrokerGone(str(error)) from error

    def _take_acknowledgements(self) -> None:
        try:
            data = self._link.recv(65_536)
        except OSError as error:
            raise BrokerGone(str(error)) from error
        if not data:
            raise BrokerGone("closed by the broker")
        data = self._pending + data
        whole = len(data) - len(data) % 4
        for start in range(0, whole, 4):
            self.acknowledged.add(self._in_flight.pop(data[start + 2] << 8 | data[start + 3]))
        self._pending = data[whole:]

    def _receive_exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = self._link.recv(size - len(data))
            if not more:
                raise BrokerGone("closed by the broker")
            data += more
        return data

    def close(self) -> None:
        self._link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
