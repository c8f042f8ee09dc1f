"""Valves that hear commands (docs/payloads.md): most obey and say so, some lie, some are stuck, some sleep.

A gateway's ear is a connection of its own beside the one that publishes reports: same account, other client id.
"""

import asyncio
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

import mqtt5
import numpy as np
import structlog

from simulator.link import Broker, Link, RefusedError
from simulator.live import Spoken
from simulator.messages import encode, stamp
from simulator.model import City

log = structlog.get_logger()

Behaviour = Literal["obeys", "lies", "stuck", "sleeps"]
VALVE_CLOSED: Final = 1
VALVE_FAULT: Final = 2
_KEEP_ALIVE_S: Final = 30
_SESSION_S: Final = 86_400
_CONNECT_TIMEOUT_S: Final = 10.0
_LONGEST_PAUSE_S: Final = 5.0

Answer = tuple[str, dict[str, Any]]


@dataclass(slots=True)
class Valve:
    """One meter with a valve; register in millilitres, flow in litres an hour.

    `obeys`: moves and says so. `lies`: says closed while gas flows on. `stuck`: says that its valve is faulty.
    `sleeps`: hears nothing. A number is obeyed once; sent again it is answered again, an older one is not heard.
    """

    device: str
    behaviour: Behaviour = "obeys"
    flow_lh: float = 300.0
    index_ml: int = 1_000_000
    seq: int = 0
    position: Literal["open", "closed"] = "open"
    last_command: int = 0
    moves: int = 0
    spoke_at: datetime | None = None

    def hear(self, body: dict[str, Any], at: datetime) -> list[Answer]:
        """What it says to a command at this moment of its clock; nothing when asleep, or when it is out of date."""
        if self.behaviour == "sleeps" or datetime.fromisoformat(body["expires_at"]) <= at:
            return []
        if body["command"] < self.last_command:
            return []
        if self.behaviour == "stuck":
            self.last_command = body["command"]
            return [self.report(at, "valve_action")]
        self._move_register(at)
        if body["command"] > self.last_command:
            self.last_command = body["command"]
            self.moves += 1
            self.position = "closed" if body["valve"] == "close" else "open"
        event = {"event": "valve", "state": self.position, "cause": "remote"}
        return [("events", self._numbered(at, event)), self.report(at, "valve_action")]

    def report(self, at: datetime, reason: str = "timed") -> Answer:
        """A single reading: register, flow, status word."""
        self._move_register(at)
        closed = VALVE_CLOSED if self.position == "closed" else 0
        fault = VALVE_FAULT if self.behaviour == "stuck" else 0
        body = {"index_ml": self.index_ml, "flow_lh": self._flow_lh(), "status": closed | fault, "reason": reason}
        return "readings", self._numbered(at, body)

    def _flow_lh(self) -> float:
        shut = self.position == "closed" and self.behaviour == "obeys"
        return 0.0 if shut else self.flow_lh

    def _move_register(self, at: datetime) -> None:
        before = self.spoke_at or at
        elapsed_h = min(max((at - before).total_seconds(), 0.0) / 3600, 1.0)
        self.index_ml += round(self._flow_lh() * 1000 * elapsed_h)
        self.spoke_at = max(at, before)

    def _numbered(self, at: datetime, body: dict[str, Any]) -> dict[str, Any]:
        self.seq = (self.seq + 1) % 2**16
        return {"device": self.device, "seq": self.seq, "at": stamp(at), **body}


class Ear:
    """Hears the commands of one gateway for its valves and publishes what they say; use as `await ear.run()`."""

    def __init__(
        self,
        broker: Broker,
        gateway: str,
        area: str,
        login: tuple[str, str],
        valves: Iterable[Valve],
        *,
        report_after_s: float = 60.0,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.valves = {valve.device: valve for valve in valves}
        self.heard: list[dict[str, Any]] = []
        self.listening = asyncio.Event()
        self._broker, self._gateway, self._area, self._login = broker, gateway, area, login
        self._report_after_s, self._clock = report_after_s, clock
        self._link: Link | None = None
        self._waiting: dict[int, bytes] = {}
        self._packet_id = 1  # the subscription's
        self._spoke_at = datetime(2015, 1, 1, tzinfo=UTC)
        self._later: set[asyncio.TimerHandle] = set()

    async def run(self) -> None:
        """Listen until cancelled; connects again when the connection is lost. Raises RefusedError."""
        attempt = 0
        try:
            while True:
                with suppress(OSError, TimeoutError):
                    await self._listen()
                self.listening.clear()
                await asyncio.sleep(min(_LONGEST_PAUSE_S, 0.1 * 2**attempt))
                attempt = min(attempt + 1, 10)
        finally:
            for handle in self._later:
                handle.cancel()
            if self._link is not None:
                self._link.close()

    async def _listen(self) -> None:
        changed = asyncio.Event()
        packet = mqtt5.ConnectPacket(
            f"{self._gateway}-valves",
            username=self._login[0],
            password=self._login[1].encode(),
            clean_start=False,
            session_expiry_interval=_SESSION_S,
            keep_alive=_KEEP_ALIVE_S,
        )
        async with asyncio.timeout(_CONNECT_TIMEOUT_S):
            _, link = await asyncio.get_running_loop().create_connection(
                lambda: Link(packet, self._acked, changed.set, self._take),
                self._broker.host,
                self._broker.port,
                ssl=self._broker.tls,
            )
            self._link = link
            await link.accepted
            await self._subscribe(link)
        for payload in list(self._waiting.values()):
            self._write(payload)
        self.listening.set()
        while not link.lost:
            changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(_KEEP_ALIVE_S / 4):
                    await changed.wait()
            link.ping(_KEEP_ALIVE_S)

    async def _subscribe(self, link: Link) -> None:
        topic = f"gas/v1/+/{self._gateway}/commands"
        wanted = mqtt5.Subscription(topic, max_qos=mqtt5.QoS.AT_LEAST_ONCE)
        link.write(mqtt5.SubscribePacket(1, [wanted]).write())
        answer = await link.subscribed
        if any(code.value >= 0x80 for code in answer.reason_codes):
            raise RefusedError(f"the broker refused {self._gateway} its commands: {answer.reason_codes[0].name}")

    def _take(self, _topic: str, payload: bytes) -> None:
        body = json.loads(payload)
        self.heard.append(body)
        valve = self.valves.get(body.get("device", ""))
        if valve is None:
            return
        for answer in valve.hear(body, self._moment()):
            self._say(answer)
        if valve.behaviour != "sleeps":
            self._report_later(valve)

    def _report_later(self, valve: Valve) -> None:
        """A closed valve proves itself by what the meter counts afterwards."""
        loop = asyncio.get_running_loop()
        self._later = {handle for handle in self._later if handle.when() > loop.time()}
        self._later.add(loop.call_later(self._report_after_s, lambda: self._say(valve.report(self._moment()))))

    def _moment(self) -> datetime:
        """Never the same twice: a device has one message a moment."""
        self._spoke_at = max(self._clock(), self._spoke_at + timedelta(milliseconds=1))
        return self._spoke_at

    def _say(self, answer: Answer) -> None:
        kind, body = answer
        self._packet_id = self._packet_id % 60_000 + 1
        topic = f"gas/v1/{self._area}/{self._gateway}/{kind}"
        self._waiting[self._packet_id] = mqtt5.PublishPacket(
            topic, encode(body), qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=self._packet_id
        ).write()
        self._write(self._waiting[self._packet_id])

    def _write(self, packet: bytes) -> None:
        if self._link is not None and not self._link.lost:
            self._link.write(packet)

    def _acked(self, packet_id: int, reason: mqtt5.PubAckReasonCode) -> None:
        self._waiting.pop(packet_id, None)
        if reason.value >= 0x80:
            log.warning("the broker refuses what a valve says", gateway=self._gateway, reason=reason.name)


def ears_of(
    broker: Broker,
    city: City,
    last: Mapping[str, Spoken],
    passwords: Mapping[str, str],
    shares: Mapping[Behaviour, float],
    seed: int,
    report_after_s: float,
) -> list[Ear]:
    """One ear for each gateway we have a password of; its meters with valves go on from what they last said.

    `shares` says how many of them lie, sleep or are stuck; the rest obeys. The same seed gives the same valves.
    """
    rng = np.random.default_rng([seed, 11])
    behind: dict[str, list[Valve]] = defaultdict(list)
    odd = list(shares)
    odds = [*shares.values(), max(0.0, 1.0 - sum(shares.values()))]
    for device in city.devices:
        if device.has_valve and device.code in last:
            behaviour = [*odd, "obeys"][int(rng.choice(len(odds), p=np.array(odds) / sum(odds)))]
            spoken = last[device.code]
            valve = Valve(device.code, behaviour, index_ml=spoken.index_ml or 0, seq=spoken.seq)
            behind[device.gateway].append(valve)
    return [
        Ear(
            broker, one.code, one.area, (one.code, passwords[one.code]), behind[one.code], report_after_s=report_after_s
        )
        for one in city.gateways
        if one.code in passwords
    ]


async def listen(ears: Iterable[Ear]) -> None:
    """Listen with every ear until cancelled. Raises RefusedError of the first that is refused."""
    try:
        async with asyncio.TaskGroup() as group:
            for ear in ears:
                group.create_task(ear.run())
    except* RefusedError as refused:
        raise refused.exceptions[0] from None
