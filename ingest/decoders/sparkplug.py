"""Sparkplug B 3.0 as a host application: births, aliases, sequence, deaths, rebirth requests, host states.

A pure state machine: `Host.step` takes the state of all edge nodes, one message and its arrival, and gives the next
state and what was understood, requests to publish among it. `Host.tick` lets time pass where no message comes.
A device is known as `group/edge node/device`, an edge node's own metrics as `group/edge node`.
Source: Eclipse Sparkplug Specification 3.0.0; the tests name its normative statements.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from ingest.decoders.jsontext import read_object
from ingest.decoders.model import (
    Clock,
    Liveness,
    Measured,
    Moment,
    Observation,
    Request,
    Sample,
    Undecodable,
    Understood,
)
from ingest.decoders.sparkplug_meaning import Birth, observe, read_birth
from ingest.decoders.sparkplug_wire import WirePayload, read_payload, value_of, write_command

NAME = "sparkplug-b/3.0"
FAMILY = "sparkplug"
TOPIC_FILTERS = ("spBv1.0/#", "STATE/+")

REBIRTH = "Node Control/Rebirth"
_NAMESPACE = "spBv1.0"
_SEQUENCE = 256
_OF_NODE = frozenset({"NBIRTH", "NDEATH", "NDATA", "NCMD"})
_OF_DEVICE = frozenset({"DBIRTH", "DDEATH", "DDATA", "DCMD"})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Heard:
    """A sequenced message of an edge node: its verb, its device (empty: the node itself), its payload, its arrival."""

    verb: str
    device: str
    seq: int
    payload: WirePayload
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Node:
    """What the host knows of one edge node.

    `births` has the node's own under the empty name. `held` are messages ahead of a gap, waiting since `held_since`;
    `skipped` are the sequence numbers given up. `asked_at`: when a rebirth was asked for and has not come yet.
    `is_resumed`: known from before a restart; how far its numbers got since its birth is told by its next message.
    """

    session: str | None = None
    online: bool = False
    expected: int = 0
    births: Mapping[str, Birth] = field(default_factory=dict)
    held: tuple[Heard, ...] = ()
    held_since: datetime | None = None
    skipped: frozenset[int] = frozenset()
    asked_at: datetime | None = None
    is_resumed: bool = False

    @property
    def stale(self) -> Mapping[str, tuple[str, ...]]:
        """Stale metrics by device; the node's own under the empty name."""
        return {device: birth.stale for device, birth in self.births.items() if birth.stale}


@dataclass(frozen=True, slots=True)
class HostState:
    """All edge nodes by `group/edge node`, and the timestamp of our own last STATE (None: not connected yet)."""

    nodes: Mapping[str, Node] = field(default_factory=dict)
    connected_ms: int | None = None


@dataclass(slots=True)
class _Said:
    """What one step gathers; `applied` says which stretches of it are of which message, in the order of their turn."""

    observations: list[Observation] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    applied: list[tuple[Heard, slice, slice]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Stepped:
    """One step, message by message.

    `own` is what the message itself says, None while it waits for those before it; it then is `waits`. `released` are
    messages that waited and have had their turn, each with what it says. Requests are not in any of them.
    """

    state: HostState
    own: Understood | None = None
    waits: Heard | None = None
    released: tuple[tuple[Heard, Understood], ...] = ()
    requests: tuple[Request, ...] = ()


@dataclass(frozen=True, slots=True)
class Host:
    """The host application's parameters, and its step.

    `reorder_timeout_s`: how long a message that is ahead waits for those before it; a leak alarm behind a lost message
    waits no longer than this. `held_max`: how many may wait. `rebirth_interval_s`: how soon the same edge node is
    asked for a rebirth again when none came.
    """

    host_id: str = "gaswarden"
    reorder_timeout_s: float = 0.5
    held_max: int = 64
    rebirth_interval_s: float = 30.0

    def connect(self, state: HostState, at: datetime) -> tuple[HostState, Request, Request]:
        """For a new connection: the state, the will to give at CONNECT, the birth to publish after subscribing."""
        at_ms = (at - _EPOCH) // timedelta(milliseconds=1)
        will = _own_state(self.host_id, online=False, at_ms=at_ms, reason="last will")
        birth = _own_state(self.host_id, online=True, at_ms=at_ms, reason="birth of this host application")
        return replace(state, connected_ms=at_ms), will, birth

    def resume(self, words: Iterable[tuple[str, bytes]]) -> HostState:
        """The state after a restart, from the newest births and deaths (topic, payload) in the order they came."""
        nodes: dict[str, Node] = {}
        for topic, payload in words:
            try:
                node_id, verb, device = _route(topic.split("/"))
                nodes[node_id] = _resumed(nodes.get(node_id, Node()), verb, device, read_payload(payload))
            except Undecodable:
                continue  # it was not understood when it came either
        return HostState(nodes)

    def step(self, state: HostState, topic: str, payload: bytes, received_at: datetime) -> tuple[HostState, Understood]:
        """The state after one message, and what it says; raises Undecodable and changes nothing."""
        parts = topic.split("/")
        if _is_host_state(parts):
            return state, self._host_state(state, parts, payload)
        node_id, verb, device = _route(parts)
        if verb in {"NCMD", "DCMD"}:
            return state, Understood(FAMILY, NAME, node_id, ())
        message = read_payload(payload)
        said = _Said()
        heard = Heard(verb, device, message.seq or 0, message, received_at)
        return self._step(state, node_id, heard, said), _understood(node_id, said, _key(node_id, heard))

    def step_apart(self, state: HostState, topic: str, payload: bytes, received_at: datetime) -> Stepped:
        """As `step`, each message by itself: whoever acknowledges messages must know what became of which."""
        parts = topic.split("/")
        if _is_host_state(parts) or (len(parts) > 2 and parts[2] in {"NCMD", "DCMD"}):
            state, understood = self.step(state, topic, payload, received_at)
            return Stepped(state, replace(understood, requests=()), requests=understood.requests)
        node_id, verb, device = _route(parts)
        message = read_payload(payload)
        said = _Said()
        heard = Heard(verb, device, message.seq or 0, message, received_at)
        after = self._step(state, node_id, heard, said)
        waits = heard if any(one is heard for one in after.nodes[node_id].held) else None
        own, released = _apart(node_id, heard, said)
        return Stepped(after, None if waits else own, waits, released, tuple(said.requests))

    def tick_apart(self, state: HostState, now: datetime) -> Stepped:
        """As `tick`, each message by itself."""
        nodes = dict(state.nodes)
        released: list[tuple[Heard, Understood]] = []
        requests: list[Request] = []
        for node_id, node in state.nodes.items():
            said = _Said()
            nodes[node_id] = self._overdue(node, node_id, now, said)
            released += _apart(node_id, None, said)[1]
            requests += said.requests
            if self._is_forgotten(node, now):
                del nodes[node_id]
        return Stepped(replace(state, nodes=nodes), released=tuple(released), requests=tuple(requests))

    def _step(self, state: HostState, node_id: str, heard: Heard, said: _Said) -> HostState:
        verb, message, received_at = heard.verb, heard.payload, heard.received_at
        node = self._overdue(state.nodes.get(node_id, Node()), node_id, received_at, said)
        if verb == "NDEATH":
            node = self._death(node, node_id, message, received_at, said)
        elif message.seq is None:
            raise Undecodable("seq", "must be there in every message of an edge node but NDEATH")
        elif verb == "NBIRTH":
            node = self._node_birth(node, node_id, message, said)
        else:
            node = self._sequenced(node, node_id, heard, said)
        return replace(state, nodes={**state.nodes, node_id: node})

    def tick(self, state: HostState, now: datetime) -> tuple[HostState, tuple[Understood, ...]]:
        """Let time pass: reorder windows that ended, each with what waited in them and its rebirth request.

        Nodes that never were born and do not answer are forgotten.
        """
        nodes = dict(state.nodes)
        found = []
        for node_id, node in state.nodes.items():
            said = _Said()
            nodes[node_id] = self._overdue(node, node_id, now, said)
            if said.requests or said.observations or said.unread:
                found.append(_understood(node_id, said, None))
            if self._is_forgotten(node, now):
                del nodes[node_id]
        return replace(state, nodes=nodes), tuple(found)

    def _is_forgotten(self, node: Node, now: datetime) -> bool:
        """Whether a node never was born and does not answer."""
        patience = timedelta(seconds=10 * self.rebirth_interval_s)
        return not node.births and node.asked_at is not None and now - node.asked_at > patience

    def wake_at(self, state: HostState) -> datetime | None:
        """When the next reorder window ends; None when no message waits."""
        starts = [node.held_since for node in state.nodes.values() if node.held_since is not None]
        return min(starts) + timedelta(seconds=self.reorder_timeout_s) if starts else None

    def _host_state(self, state: HostState, parts: list[str], payload: bytes) -> Understood:
        """A host application's birth or death, in JSON (3.0) or as the word of earlier versions."""
        host_id = parts[-1]
        if len(parts) != (2 if parts[0] == "STATE" else 3) or not host_id:
            raise Undecodable("topic", "must be spBv1.0/STATE/{host} or STATE/{host}")
        if payload in {b"ONLINE", b"OFFLINE"}:
            online, moment = payload == b"ONLINE", Moment(Clock.ARRIVAL)
        else:
            online, moment = _state_object(read_object(payload))
        seen = Liveness(host_id, None, "online" if online else "offline", None, moment)
        again: tuple[Request, ...] = ()
        if host_id == self.host_id and not online and state.connected_ms is not None:
            again = (_own_state(host_id, online=True, at_ms=state.connected_ms, reason="we are online"),)
        return Understood(FAMILY, NAME, None, (seen,), requests=again)

    def _node_birth(self, node: Node, node_id: str, message: WirePayload, said: _Said) -> Node:
        """A new session, or the same one born again: what was known of metrics and devices is replaced."""
        assert message.seq is not None
        node = self._release(node, node_id, said)
        said.requests.clear()
        session = _session(message)
        for device, birth in node.births.items():
            if device and birth.online:
                state = "stale" if session == node.session else "offline"
                gone = _liveness(node_id, device, state, node.session, _sent(message), tuple(birth.definitions))
                said.observations.append(gone)
        birth = read_birth(message)
        said.observations.append(_liveness(node_id, "", "online", session, _sent(message)))
        _observe(birth, node_id, "", message, Moment(Clock.ARRIVAL), said)
        if session is None:
            said.unread.append("bdSeq: not in the birth")
        return Node(session, True, (message.seq + 1) % _SEQUENCE, {"": birth})

    def _death(self, node: Node, node_id: str, message: WirePayload, received_at: datetime, said: _Said) -> Node:
        """The end of the session it names, and of no other: then the node, its devices and all their metrics."""
        session = _session(message)
        if session is None:
            raise Undecodable("bdSeq", "must be there in NDEATH: without it nobody knows which session ended")
        if node.session is not None and session != node.session:
            said.unread.append(f"bdSeq {session}: not of the session {node.session}")
            if (int(session) - int(node.session)) % _SEQUENCE < _SEQUENCE // 2:
                return self._ask(node, node_id, received_at, said, "a later session ended: is there one now?")
            return node
        node = self._release(node, node_id, said)
        said.requests.clear()
        births = {device: replace(birth, online=False) for device, birth in node.births.items()}
        for device, birth in {"": Birth({}, {}, online=False), **births}.items():
            said.observations.append(_liveness(node_id, device, "offline", session, Moment(Clock.ARRIVAL), birth.stale))
        return Node(session, False, births=births)

    def _sequenced(self, node: Node, node_id: str, heard: Heard, said: _Said) -> Node:
        """A message in its turn is applied and lets those follow that waited for it; one ahead waits."""
        if not node.online:
            said.unread.append(f"{heard.verb}: of an edge node whose birth is not known")
            return self._ask(node, node_id, heard.received_at, said, "data without a birth")
        if node.is_resumed:
            node = replace(node, expected=heard.seq, is_resumed=False)
        if heard.seq != node.expected:
            return self._out_of_turn(node, node_id, heard, said)
        node = self._apply(node, node_id, heard, said, Moment(Clock.ARRIVAL))
        node = replace(node, expected=(heard.seq + 1) % _SEQUENCE)
        while follower := next((one for one in node.held if one.seq == node.expected), None):
            node = self._apply(node, node_id, follower, said, Moment(Clock.ARRIVAL, follower.received_at))
            held = tuple(one for one in node.held if one is not follower)
            node = replace(node, held=held, expected=(node.expected + 1) % _SEQUENCE)
        return replace(node, held_since=min((one.received_at for one in node.held), default=None))

    def _out_of_turn(self, node: Node, node_id: str, heard: Heard, said: _Said) -> Node:
        """Ahead of a gap: hold it. Of a gap that was given up: data are still data, births and deaths are not."""
        if heard.seq in node.skipped:
            node = replace(node, skipped=node.skipped - {heard.seq})
            if heard.verb in {"NDATA", "DDATA"}:
                return self._apply(node, node_id, heard, said, Moment(Clock.ARRIVAL))
            said.unread.append(f"{heard.verb}: came after its turn was given up")
            return node
        if any(one.seq == heard.seq for one in node.held) or len(node.held) >= self.held_max:
            node = self._release(node, node_id, said)
            node = self._ask(node, node_id, heard.received_at, said, "messages lost: too many are ahead")
            return self._sequenced(node, node_id, heard, said)
        return replace(node, held=(*node.held, heard), held_since=node.held_since or heard.received_at)

    def _overdue(self, node: Node, node_id: str, now: datetime, said: _Said) -> Node:
        """When the reorder window has ended: give the gap up, release what waited, ask for a rebirth."""
        if node.held_since is None or now - node.held_since < timedelta(seconds=self.reorder_timeout_s):
            return node
        missing = node.expected
        node = self._release(node, node_id, said)
        return self._ask(node, node_id, now, said, f"message {missing} did not come")

    def _release(self, node: Node, node_id: str, said: _Said) -> Node:
        """Apply what waits in order of sequence, and note the numbers between as given up."""
        waiting = sorted(node.held, key=lambda one: (one.seq - node.expected) % _SEQUENCE)
        skipped = set(node.skipped) if waiting else set()
        for heard in waiting:
            gap = (heard.seq - node.expected) % _SEQUENCE
            skipped |= {(node.expected + step) % _SEQUENCE for step in range(gap)}
            node = self._apply(node, node_id, heard, said, Moment(Clock.ARRIVAL, heard.received_at))
            node = replace(node, expected=(heard.seq + 1) % _SEQUENCE)
        return replace(node, held=(), held_since=None, skipped=frozenset(skipped)) if waiting else node

    def _apply(self, node: Node, node_id: str, heard: Heard, said: _Said, arrival: Moment) -> Node:
        """What a message says in its turn, marked as its own."""
        observed, unread = len(said.observations), len(said.unread)
        node = self._take_turn(node, node_id, heard, said, arrival)
        said.applied.append((heard, slice(observed, len(said.observations)), slice(unread, len(said.unread))))
        return node

    def _take_turn(self, node: Node, node_id: str, heard: Heard, said: _Said, arrival: Moment) -> Node:
        sent = _sent(heard.payload, arrival)
        known = node.births.get(heard.device)
        if heard.verb == "DBIRTH":
            birth = read_birth(heard.payload)
            said.observations.append(_liveness(node_id, heard.device, "online", node.session, sent))
            _observe(birth, node_id, heard.device, heard.payload, arrival, said)
            return replace(node, births={**node.births, heard.device: birth})
        if heard.verb == "DDEATH":
            dead = replace(known or Birth({}, {}), online=False)
            gone = _liveness(node_id, heard.device, "offline", node.session, sent, dead.stale)
            said.observations.append(gone)
            return replace(node, births={**node.births, heard.device: dead})
        if known is None or not known.online:
            said.unread.append(f"{heard.verb}: of a device whose birth is not known")
            return self._ask(node, node_id, heard.received_at, said, f"data of {heard.device[:100]} without a birth")
        _observe(known, node_id, heard.device, heard.payload, arrival, said)
        if any(_is_unborn(known, one.name, one.alias) for one in heard.payload.metrics):
            return self._ask(node, node_id, heard.received_at, said, "a metric that is not in the birth")
        return node

    def _ask(self, node: Node, node_id: str, at: datetime, said: _Said, reason: str) -> Node:
        """Ask an edge node for a rebirth, unless it was asked a moment ago."""
        if node.asked_at is not None and at - node.asked_at < timedelta(seconds=self.rebirth_interval_s):
            return node
        group, _, edge = node_id.partition("/")
        topic = f"{_NAMESPACE}/{group}/NCMD/{edge}"
        said.requests.append(Request(topic, write_command(REBIRTH, value=True, at=at), reason))
        return replace(node, asked_at=at)


def decode(topic: str, payload: bytes) -> Understood:
    """What one message says to a host that has heard no other: births say all, data ask for a birth."""
    return Host().step(HostState(), topic, payload, _EPOCH)[1]


def _resumed(node: Node, verb: str, device: str, message: WirePayload) -> Node:
    """A node's sessions as its births and deaths tell them; of a death only when it is of the session."""
    if verb == "NBIRTH":
        return Node(_session(message), True, births={"": read_birth(message)}, is_resumed=True)
    if verb == "NDEATH" and _session(message) == node.session:
        births = {name: replace(birth, online=False) for name, birth in node.births.items()}
        return replace(node, online=False, births=births)
    if verb == "DBIRTH":
        return replace(node, births={**node.births, device: read_birth(message)})
    if verb == "DDEATH":
        dead = replace(node.births.get(device) or Birth({}, {}), online=False)
        return replace(node, births={**node.births, device: dead})
    return node


def verb_of(topic: str) -> str:
    """What kind of message a topic is for, e.g. NBIRTH; empty when it names none."""
    parts = topic.split("/", 3)
    return parts[2] if len(parts) > 2 else ""


def _is_host_state(parts: list[str]) -> bool:
    return parts[0] == "STATE" or parts[:2] == [_NAMESPACE, "STATE"]


def is_of_hosts(topic: str) -> bool:
    """Whether a topic is between host applications: it says nothing of nodes or devices."""
    return _is_host_state(topic.split("/"))


def _key(node_id: str, heard: Heard) -> str:
    at = heard.payload.at
    return f"{node_id}/{heard.device}:{heard.verb}:{heard.payload.seq}:{at and at.isoformat()}"


def _apart(node_id: str, own: Heard | None, said: _Said) -> tuple[Understood, tuple[tuple[Heard, Understood], ...]]:
    """Tell what the messages that had waited say from what is said by the message of this step."""
    released = []
    observed, unread = set(range(len(said.observations))), set(range(len(said.unread)))
    for heard, here, there in said.applied:
        if heard is own:
            continue
        observed -= set(range(here.start, here.stop))
        unread -= set(range(there.start, there.stop))
        words, unsaid = tuple(said.observations[here]), tuple(said.unread[there])
        part = Understood(FAMILY, NAME, node_id, words, _key(node_id, heard), unread=unsaid)
        released.append((heard, part))
    rest = Understood(
        FAMILY,
        NAME,
        node_id,
        tuple(said.observations[place] for place in sorted(observed)),
        _key(node_id, own) if own is not None else None,
        unread=tuple(dict.fromkeys(said.unread[place] for place in sorted(unread))),
    )
    return rest, tuple(released)


def _route(parts: list[str]) -> tuple[str, str, str]:
    """Node, verb and device (empty: none) of a topic; raises Undecodable."""
    verb = parts[2] if len(parts) > 2 else ""
    wanted = 4 if verb in _OF_NODE else 5 if verb in _OF_DEVICE else 0
    if parts[0] != _NAMESPACE or len(parts) != wanted or not all(parts):
        raise Undecodable("topic", "must be spBv1.0/{group}/{verb}/{edge node} with a device for the verbs of devices")
    return f"{parts[1]}/{parts[3]}", verb, parts[4] if wanted == 5 else ""


def _identity(node_id: str, device: str) -> str:
    return f"{node_id}/{device}" if device else node_id


def _sent(message: WirePayload, arrival: Moment = Moment(Clock.ARRIVAL)) -> Moment:  # noqa: B008 - frozen
    return arrival if message.at is None else Moment(Clock.GATEWAY, message.at)


def _session(message: WirePayload) -> str | None:
    """The bdSeq of a birth or death: an integer of any type, as text; None when there is none."""
    for metric in message.metrics:
        if metric.name == "bdSeq" and metric.kind in {"int", "long"} and not metric.null:
            number = value_of(metric.datatype, metric.kind, metric.raw)
            return None if number is None else str(number)
    return None


def _liveness(
    node_id: str, device: str, state: str, session: str | None, moment: Moment, stale: tuple[str, ...] = ()
) -> Liveness:
    return Liveness(node_id, _identity(node_id, device) if device else None, state, session, moment, stale)


def _observe(birth: Birth, node_id: str, device: str, message: WirePayload, arrival: Moment, said: _Said) -> None:
    observations, unread = observe(birth, _identity(node_id, device), message, arrival)
    said.observations.extend(observations)
    said.unread.extend(unread)


def _is_unborn(birth: Birth, name: str | None, alias: int | None) -> bool:
    return name not in birth.definitions if name is not None else alias not in birth.names


def _understood(node_id: str, said: _Said, key: str | None) -> Understood:
    return Understood(
        FAMILY, NAME, node_id, tuple(said.observations), key, tuple(said.requests), tuple(dict.fromkeys(said.unread))
    )


def _own_state(host_id: str, *, online: bool, at_ms: int, reason: str) -> Request:
    body = json.dumps({"online": online, "timestamp": at_ms}, separators=(",", ":")).encode()
    return Request(f"{_NAMESPACE}/STATE/{host_id}", body, reason, qos=1, retain=True)


def _state_object(body: dict[str, Any]) -> tuple[bool, Moment]:
    online, at_ms = body.get("online"), body.get("timestamp")
    if not isinstance(online, bool):
        raise Undecodable("online", "must be true or false")
    if at_ms is None:
        return online, Moment(Clock.ARRIVAL)
    if isinstance(at_ms, bool) or not isinstance(at_ms, int):
        raise Undecodable("timestamp", "must be whole milliseconds since 1970")
    try:
        return online, Moment(Clock.GATEWAY, _EPOCH + timedelta(milliseconds=at_ms))
    except OverflowError as error:
        raise Undecodable("timestamp", "must be milliseconds since 1970 within the calendar") from error


_SENT = Moment(Clock.GATEWAY, datetime(2017, 2, 3, 17, 55, 2, 122_000, tzinfo=UTC))
_MIDNIGHT = Moment(Clock.GATEWAY, datetime(2026, 11, 20, tzinfo=UTC))
_EXAMPLE = "Sparkplug B Devices/Raspberry Pi"
_SPECIFICATION = (
    "Eclipse Sparkplug Specification 3.0.0, example payloads of section 6.4, encoded with pysparkplug 0.6.1;"
    " (eclipse-sparkplug, EPL-2.0)"
)
_NBIRTH = (
    "08eaf2f5a8a02b12120a05626453657118eaf2f5a8a02b2004580012200a134e6f646520436f6e74726f6c2f5265626f6f7418eaf2f5a8a02b200b"
    "700012210a144e6f646520436f6e74726f6c2f5265626972746818eaf2f5a8a02b200b700012250a184e6f646520436f6e74726f6c2f4e65787420"
    "53657276657218eaf2f5a8a02b200b700012240a164e6f646520436f6e74726f6c2f5363616e205261746518eaf2f5a8a02b200458b81712310a18"
    "50726f706572746965732f4861726477617265204d616b6518eaf2f5a8a02b200c7a0c52617370626572727920506912320a1950726f7065727469"
    "65732f4861726477617265204d6f64656c18eaf2f5a8a02b200c7a0c50692033204d6f64656c204212220a0d50726f706572746965732f4f5318ea"
    "f2f5a8a02b200c7a085261737062"
    "69616e123e0a1550726f706572746965732f4f532056657273696f6e18eaf2f5a8a02b200c7a1c4a6573736965207769746820504958454c2f3131"
    "2e30312e32303137121e0a0e537570706c7920566f6c7461676518eaf2f5a8a02b2009659a9941411800"
)

SAMPLES: tuple[Sample, ...] = (
    Sample(
        f"spBv1.0/{_EXAMPLE.replace('/', '/NBIRTH/')}",
        bytes.fromhex(_NBIRTH),
        Understood(
            FAMILY,
            NAME,
            _EXAMPLE,
            (Liveness(_EXAMPLE, None, "online", "0", _SENT),),
            f"{_EXAMPLE}/:NBIRTH:0:2017-02-03T17:55:02.122000+00:00",
            unread=(
                "Properties/Hardware Make",
                "Properties/Hardware Model",
                "Properties/OS",
                "Properties/OS Version",
                "Supply Voltage (no unit)",
            ),
        ),
        _SPECIFICATION,
    ),
    Sample(
        f"spBv1.0/{_EXAMPLE.replace('/', '/NDEATH/')}",
        bytes.fromhex("08eaf2f5a8a02b12120a05626453657118eaf2f5a8a02b20085800"),
        Understood(
            FAMILY,
            NAME,
            _EXAMPLE,
            (Liveness(_EXAMPLE, None, "offline", "0", Moment(Clock.ARRIVAL)),),
            f"{_EXAMPLE}/:NDEATH:None:2017-02-03T17:55:02.122000+00:00",
        ),
        _SPECIFICATION,
    ),
    Sample(
        "spBv1.0/PRS/NBIRTH/station-7",
        # bdSeq 3; alias 5 "Line 1/Volume" Double 6842.784 m3; alias 6 "Line 1/Pressure" UInt32 2010 Pa; seq 9
        bytes.fromhex(
            "0880f882b29f34120b0a0562645365712004580312360a0d4c696e6520312f566f6c756d6510051880f882b29f34200a4a110a07"
            "656e67556e69741206080c42026d3369105839b4c8baba4012320a0f4c696e6520312f507265737375726510061880f882b29f34"
            "20074a110a07656e67556e69741206080c4202506150da0f1809"
        ),
        Understood(
            FAMILY,
            NAME,
            "PRS/station-7",
            (
                Liveness("PRS/station-7", None, "online", "3", _MIDNIGHT),
                Measured("PRS/station-7", _MIDNIGHT, "Line 1/Volume", index_ml=6_842_784_000, pressure_pa=2010),
            ),
            "PRS/station-7/:NBIRTH:9:2026-11-20T00:00:00+00:00",
        ),
        "written for this project",
    ),
    Sample(
        "spBv1.0/STATE/scada-1",
        b'{"online":true,"timestamp":1486144502122}',
        Understood(FAMILY, NAME, None, (Liveness("scada-1", None, "online", None, _SENT),)),
        "written for this project in the form of the Eclipse Sparkplug Specification 3.0.0, section 6.4.26",
    ),
    Sample(
        "STATE/scada-1",
        b"OFFLINE",
        Understood(FAMILY, NAME, None, (Liveness("scada-1", None, "offline", None, Moment(Clock.ARRIVAL)),)),
        "written for this project in the form of Sparkplug before 3.0",
    ),
)
