"""Plays messages to a broker: one connection per gateway, QoS 1, each message re-sent until acknowledged."""

import asyncio
import json
import random
import secrets
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Self

import mqtt5
import structlog

from simulator.link import Broker, Link, RefusedError
from simulator.messages import encode, stamp
from simulator.model import Message

log = structlog.get_logger()

KEEP_ALIVE_S: Final = 60
CONNECT_TIMEOUT_S: Final = 10.0
LONGEST_PAUSE_S: Final = 5.0
LOOK_S: Final = 0.2  # how soon a refused gateway ends a play
TAKEN: Final = (mqtt5.PubAckReasonCode.SUCCESS, mqtt5.PubAckReasonCode.NO_MATCHING_SUBSCRIBERS)
AT_ONCE: Final = 64  # packets joined into one write
WAITING_MOST: Final = 2_000  # messages a gateway holds before it slows the source down


Login = str | tuple[str, str]  # a gateway's password, or another account: (user, password)


@dataclass(frozen=True, slots=True)
class Count:
    """What came of one gateway's messages.

    Distinct messages sent (births included) and acknowledged, those sent again after a lost connection (the broker
    may have had them already), those the broker refused, and last wills left to the broker.
    """

    sent: int = 0
    acknowledged: int = 0
    resent: int = 0
    refused: int = 0
    wills: int = 0


@dataclass(frozen=True, slots=True)
class Published:
    """What came of a play, by gateway."""

    gateways: Mapping[str, Count]

    @property
    def sent(self) -> int:
        """Distinct messages sent."""
        return sum(count.sent for count in self.gateways.values())

    @property
    def acknowledged(self) -> int:
        """Messages the broker acknowledged."""
        return sum(count.acknowledged for count in self.gateways.values())

    @property
    def wills(self) -> int:
        """Last wills the broker was left to send."""
        return sum(count.wills for count in self.gateways.values())


class UnknownGatewayError(Exception):
    """A message's gateway has no password among the credentials."""


class _Lane:
    """The way of one gateway's messages: waiting -> unacknowledged -> acknowledged."""

    def __init__(self, gateway: str, login: Login, broker: Broker, in_flight: int) -> None:
        self.gateway, self.broker, self.in_flight = gateway, broker, in_flight
        self.user, self.password = (gateway, login) if isinstance(login, str) else login
        self.waiting: deque[Message] = deque()
        self.unacked: dict[int, Message] = {}
        self.wake, self.room, self.settled = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.room.set()
        self.settled.set()
        self.sent = self.acknowledged = self.resent = self.refused = self.wills = 0
        self.on_ack: Callable[[], None] = lambda: None
        self._again = 0
        self._packet_id = 0
        self._topic = ""
        self.link: Link | None = None

    def put(self, message: Message) -> None:
        """Queue a message."""
        self.waiting.append(message)
        self.settled.clear()
        self.wake.set()
        if len(self.waiting) >= WAITING_MOST:
            self.room.clear()

    def count(self) -> Count:
        """The figures so far."""
        return Count(self.sent, self.acknowledged, self.resent, self.refused, self.wills)

    async def run(self) -> None:
        """Connect when there is something to send, send, connect again when the connection is lost."""
        attempt, told = 0, False
        while True:
            while not self.waiting:
                await self._changed()
            try:
                limit = await self._connect()
                if told:
                    log.info("gateway connected again", gateway=self.gateway)
                attempt, told = 0, False
                await self._pump(limit)
            except (OSError, TimeoutError) as error:
                if not told:
                    log.warning("gateway lost its connection", gateway=self.gateway, error=repr(error))
                told = True
                self._take_back()
                await asyncio.sleep(random.uniform(0.05, min(LONGEST_PAUSE_S, 0.1 * 2**attempt)))
                attempt = min(attempt + 1, 10)

    async def _connect(self) -> int:
        """A connection with its birth first in the queue and its last will at the broker; returns the window."""
        birth = self._birth()
        will = {key: value for key, value in json.loads(birth.payload).items() if key != "firmware"} | {
            "state": "offline"
        }
        packet = mqtt5.ConnectPacket(
            self.gateway,
            username=self.user,
            password=self.password.encode(),
            clean_start=True,
            keep_alive=KEEP_ALIVE_S,
            will=mqtt5.Will(birth.topic, payload=encode(will), qos=mqtt5.QoS.AT_LEAST_ONCE, retain=True),
        )
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            _, self.link = await loop.create_connection(
                lambda: Link(packet, self._acked, self.wake.set),
                self.broker.host,
                self.broker.port,
                ssl=self.broker.tls,
            )
            accepted = await self.link.accepted
        return min(self.in_flight, accepted.receive_max)

    def _birth(self) -> Message:
        """The birth that waits first, or a new one of a new session."""
        if self.waiting[0].kind == "status":
            return self.waiting[0]
        at, area = datetime.now(UTC).replace(microsecond=0), self.waiting[0].area
        payload = encode({"state": "online", "session": secrets.token_hex(4), "at": stamp(at), "firmware": "sim-1"})
        self.waiting.appendleft(Message(self.gateway, area, "status", payload, "", 0, at, at))
        return self.waiting[0]

    async def _pump(self, limit: int) -> None:
        """Send what waits, never more than `limit` unacknowledged, until the connection is lost or broken off."""
        link = self.link
        assert link is not None
        while not link.lost:
            if self._next_is_loss():
                if not self.unacked:
                    self._break_off(link)
                    return
            elif self.waiting and len(self.unacked) < limit and not link.paused:
                link.write(b"".join(self._packets(min(AT_ONCE, limit - len(self.unacked)))))
                if len(self.waiting) < WAITING_MOST:
                    self.room.set()
                await asyncio.sleep(0)
                continue
            await self._changed()
            link.ping(KEEP_ALIVE_S)
        raise ConnectionResetError("the connection was lost")

    def _next_is_loss(self) -> bool:
        return bool(self.waiting) and self.waiting[0].kind == "lost"

    def _packets(self, most: int) -> list[bytes]:
        packets: list[bytes] = []
        while self.waiting and len(packets) < most and self.waiting[0].kind != "lost":
            message = self.waiting.popleft()
            self._packet_id = self._packet_id % 65_535 + 1
            self.unacked[self._packet_id] = message
            if self._again:
                self._again -= 1
                self.resent += 1
            else:
                self.sent += 1
            packets.append(
                mqtt5.PublishPacket(
                    message.topic,
                    message.payload,
                    qos=mqtt5.QoS.AT_LEAST_ONCE,
                    retain=message.kind == "status",
                    packet_id=self._packet_id,
                ).write()
            )
        return packets

    def _break_off(self, link: Link) -> None:
        """The planted loss of connection: everything before is acknowledged, the broker is left with the will."""
        self.waiting.popleft()
        self.wills += 1
        link.break_off()
        self._settle()

    def _acked(self, packet_id: int, reason: mqtt5.PubAckReasonCode) -> None:
        if self.unacked.pop(packet_id, None) is None:
            return
        if reason in TAKEN:
            self.acknowledged += 1
            self.on_ack()
        else:
            self.refused += 1
            if self.refused == 1:
                log.warning("the broker refuses messages", gateway=self.gateway, reason=reason.name)
        self._settle()

    def _settle(self) -> None:
        if not self.waiting and not self.unacked:
            self.settled.set()

    def _take_back(self) -> None:
        """After a lost connection: unacknowledged messages go first again, but a birth dies with its session."""
        back = [message for message in self.unacked.values() if message.kind != "status"]
        births = len(self.unacked) - len(back)
        self.sent -= births
        self.wills += self.link is not None and self.link.accepted.done() and self.link.accepted.exception() is None
        self.link = None
        self.unacked.clear()
        self.waiting.extendleft(reversed(back))
        self._again += len(back)
        self._settle()

    async def _changed(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(KEEP_ALIVE_S / 4):
                await self.wake.wait()
        self.wake.clear()


class Publisher:
    """Gateways that connect when they first have something to say, and stay until the `async with` block ends."""

    def __init__(self, broker: Broker, credentials: Mapping[str, Login], in_flight: int = 200) -> None:
        self._broker, self._credentials, self._in_flight = broker, credentials, in_flight
        self._lanes: dict[str, _Lane] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def __aenter__(self) -> Self:
        """Nothing is connected yet."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Disconnect every gateway in order, so that no last will is sent."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        for lane in self._lanes.values():
            if lane.link is not None:
                lane.link.close()
        await asyncio.sleep(0)

    async def publish(self, messages: Iterable[Message], progress: Callable[[int], None] | None = None) -> Published:
        """Publish messages in their order per gateway and wait until all are acknowledged.

        `progress` is told the number acknowledged, one or more at a time. Raises RefusedError when the broker refuses a
        gateway's login and UnknownGatewayError when a gateway has no password.
        """
        report = progress or (lambda _count: None)
        feeding = asyncio.create_task(self._feed(messages, lambda: report(1)))
        try:
            while not feeding.done():
                await asyncio.wait(
                    {feeding, *self._tasks.values()}, timeout=LOOK_S, return_when=asyncio.FIRST_COMPLETED
                )
                self._raise_failed()
            feeding.result()
        finally:
            feeding.cancel()
        return self.published()

    def published(self) -> Published:
        """The figures so far."""
        return Published({code: lane.count() for code, lane in self._lanes.items()})

    async def _feed(self, messages: Iterable[Message], on_ack: Callable[[], None]) -> None:
        for number, message in enumerate(messages):
            lane = self._lane(message.gateway)
            lane.on_ack = on_ack
            if not lane.room.is_set():
                await lane.room.wait()
            lane.put(message)
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)
        for lane in self._lanes.values():
            await lane.settled.wait()

    def _lane(self, gateway: str) -> _Lane:
        lane = self._lanes.get(gateway)
        if lane is None:
            if gateway not in self._credentials:
                raise UnknownGatewayError(f"no password for gateway {gateway} among the credentials")
            lane = _Lane(gateway, self._credentials[gateway], self._broker, self._in_flight)
            self._lanes[gateway] = lane
            self._tasks[gateway] = asyncio.create_task(lane.run(), name=f"gateway {gateway}")
        return lane

    def _raise_failed(self) -> None:
        for gateway, task in self._tasks.items():
            if task.done() and (error := task.exception()) is not None:
                if isinstance(error, RefusedError):
                    raise RefusedError(f"gateway {gateway}: {error}") from error
                raise error


async def publish(
    messages: Iterable[Message],
    host: str,
    port: int,
    credentials: Mapping[str, Login],
    progress: Callable[[int], None] | None = None,
) -> Published:
    """Publish messages, wait for every acknowledgement and disconnect; see Publisher to stay connected."""
    async with Publisher(Broker(host, port), credentials) as publisher:
        return await publisher.publish(messages, progress)


async def go_on(publisher: Publisher, tick: Callable[[datetime], Message], per_s: float) -> None:
    """Publish what `tick` says at about `per_s` messages a second, until cancelled."""
    while True:
        await asyncio.sleep(1 / per_s)
        await publisher.publish([tick(datetime.now(UTC))])
