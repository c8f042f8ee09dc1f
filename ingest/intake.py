"""The intake of foreign messages: each is read by its source; those of Sparkplug take their turn in their sequence.

Pure but for its memory: time comes in. What of it must outlive the process (ingest/remembering.py) comes back by
`resume`; a message that waits for its turn is not acknowledged before it had it.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from ingest.decoders import sparkplug
from ingest.decoders.model import Request, Undecodable, Understood
from ingest.decoders.sparkplug import Heard, Host, HostState, Stepped
from ingest.foreign import FOREIGN, Hints
from ingest.formats import message_digest
from ingest.model import (
    KEPT_BYTES_OF_LARGE,
    PAYLOAD_BYTES_MAX,
    Elsewhere,
    Foreign,
    Message,
    QuarantineReason,
    Rejected,
)
from ingest.sources import SourceParams, source_of

_REMEMBERED = 10_000
_REMEMBERED_BYTES_MAX = 8_192
_SOURCES_REMEMBERED = 10_000
ARRIVALS_REMEMBERED = 20_000  # of a slot, over a restart; a message takes one or two
Receipt = tuple[object, int] | None


def read_foreign(
    source: SourceParams,
    topic: str,
    payload: bytes,
    received_at: datetime,
    receipt: Receipt = None,
    quarantine_id: int | None = None,
) -> Message:
    """Read one message by its source, by itself: as the first that its sender ever sent."""
    if len(payload) > PAYLOAD_BYTES_MAX:
        detail = f"payload: {len(payload)} bytes, at most {PAYLOAD_BYTES_MAX}"
        rejected = Rejected(QuarantineReason.TOO_LARGE, detail, source.form.name, source.gateway)
        digest, size = message_digest(topic, payload), len(payload)
        kept = payload[:KEPT_BYTES_OF_LARGE]
        return Message(topic, kept, received_at, rejected, receipt, size, digest, quarantine_id)
    content = _read(source, topic, payload)
    key = sender_key(content)
    return Message(topic, payload, received_at, content, receipt, len(payload), None, quarantine_id, key)


def sender_key(content: Foreign) -> bytes | None:
    """A digest of the sender's own key of a message, which its repeat in other words has as well; None: it has none."""
    if content.understood is None or not content.understood.message_key:
        return None
    return hashlib.sha256(f"{content.source.device_family()}\0{content.understood.message_key}".encode()).digest()


def _read(source: SourceParams, topic: str, payload: bytes) -> Foreign:
    asked: list[str] = []

    def codec_of(device: str) -> None:
        asked.append(device)

    try:
        understood = source.form.decode(topic, payload, Hints(codec_of, source.profiles.get))
    except Undecodable as error:
        return Foreign(source, source.form.name, None, str(error), tuple(asked))
    return Foreign(source, source.form.name, understood, asked=tuple(asked))


@dataclass(slots=True)
class _Known:
    """A message that was read already: when it first arrived, and what it said then."""

    received_at: datetime
    content: Foreign | Rejected


class Intake:
    """The sources of one worker, and what they remember.

    `requests` fills with what must be published, oldest first; whoever can publish takes it from there.
    """

    def __init__(self, sources: Sequence[SourceParams], host: Host) -> None:
        self.requests: list[Request] = []
        self._sources = tuple(sources)
        self._host = host
        self._states = {id(one): HostState() for one in sources if one.form is FOREIGN["sparkplug"]}
        self._waiting: dict[int, tuple[Heard, Message, SourceParams]] = {}
        self._seen: OrderedDict[bytes, _Known] = OrderedDict()
        self._source_of: OrderedDict[str, SourceParams | None] = OrderedDict()
        self._arrived: Mapping[bytes, datetime] = {}

    def resume(self, words: Iterable[tuple[str, bytes]], arrived: Mapping[bytes, datetime]) -> None:
        """Begin where another process ended: births and deaths of Sparkplug nodes, first arrivals by key."""
        words = list(words)
        for source in self._sources:
            if id(source) in self._states:
                own = [word for word in words if self._source(word[0]) is source]
                self._states[id(source)] = self._host.resume(own)
        self._arrived = arrived

    def connecting(self, at: datetime) -> Request | None:
        """The will to give at CONNECT, when one of the sources is Sparkplug; our own birth is put among `requests`."""
        will = None
        self.requests.clear()
        for key, state in self._states.items():
            self._states[key], will, birth = self._host.connect(state, at)
            self.requests = [birth]
        return will

    def read(
        self, topic: str, payload: bytes, received_at: datetime, receipt: Receipt, *, again: bool
    ) -> list[Message | Elsewhere]:
        """Messages that are ready now, those that waited for this one first; none when this one must wait.

        `again`: the broker says that it delivered this message before, and was not told that we have it.
        """
        source = self._source(topic)
        if source is None:
            detail = f"topic: no source reads {topic[:200]}"
            rejected = Rejected(QuarantineReason.BAD_TOPIC, detail, "none")
            return [Message(topic, payload, received_at, rejected, receipt, len(payload))]
        digest = message_digest(topic, payload)
        known = self._seen.get(digest) if again else None
        if again and known is None:
            received_at = self._arrived.get(digest, received_at)
        if id(source) in self._states and len(payload) <= PAYLOAD_BYTES_MAX:
            return self._in_turn(source, topic, payload, received_at, receipt, digest, known)
        if known is not None:
            return [Message(topic, payload, known.received_at, known.content, receipt, len(payload))]
        message = read_foreign(source, topic, payload, received_at, receipt)
        return [self._remembered(digest, message)]

    def wake_at(self) -> datetime | None:
        """When to call `tick`: the end of the earliest reorder window."""
        times = [at for state in self._states.values() if (at := self._host.wake_at(state)) is not None]
        return min(times, default=None)

    def tick(self, now: datetime) -> list[Message | Elsewhere]:
        """Messages whose patience with those before them has ended."""
        ready: list[Message | Elsewhere] = []
        for source in self._sources:
            if id(source) in self._states:
                ready += self._advance(source, self._host.tick_apart(self._states[id(source)], now))
        return ready

    def take_requests(self) -> list[Request]:
        """What is to be published, taken off the list."""
        taken, self.requests = self.requests, []
        return taken

    def _source(self, topic: str) -> SourceParams | None:
        if topic not in self._source_of:
            self._source_of[topic] = source_of(self._sources, topic)
            if len(self._source_of) > _SOURCES_REMEMBERED:
                self._source_of.popitem(last=False)
        return self._source_of[topic]

    def _remembered(self, digest: bytes, message: Message) -> Message:
        """Remember what a message said, so that its repeat is the same; a sender's key tells repeats in other words."""
        content = message.content
        key = message.sender_key
        if key is not None and key in self._seen:
            return replace(message, received_at=self._seen[key].received_at)
        if key is not None and key in self._arrived:
            message = replace(message, received_at=self._arrived[key])
        if isinstance(content, Foreign | Rejected) and message.payload_bytes <= _REMEMBERED_BYTES_MAX:
            known = _Known(message.received_at, content)
            self._seen |= {one: known for one in (digest, key) if one is not None}
            while len(self._seen) > _REMEMBERED:
                self._seen.popitem(last=False)
        return message

    # ---- Sparkplug

    def _in_turn(
        self,
        source: SourceParams,
        topic: str,
        payload: bytes,
        received_at: datetime,
        receipt: Receipt,
        digest: bytes,
        known: _Known | None,
    ) -> list[Message | Elsewhere]:
        if known is not None:
            return [Message(topic, payload, known.received_at, known.content, receipt, len(payload))]
        if self._waits_again(topic, payload, receipt):
            return []
        form = source.form.name
        try:
            stepped = self._host.step_apart(self._states[id(source)], topic, payload, received_at)
        except Undecodable as error:
            content = Foreign(source, form, None, str(error))
            return [Message(topic, payload, received_at, content, receipt, len(payload))]
        own = Foreign(source, form, stepped.own)
        message = Message(topic, payload, received_at, own, receipt, len(payload), sender_key=sender_key(own))
        if stepped.waits is not None:
            self._waiting[id(stepped.waits)] = (stepped.waits, message, source)
        ready = self._advance(source, stepped)
        if sparkplug.is_of_hosts(topic):
            return [*ready, Elsewhere(receipt)]
        return ready if stepped.waits is not None else [*ready, self._remembered(digest, message)]

    def _waits_again(self, topic: str, payload: bytes, receipt: Receipt) -> bool:
        """Whether a message that waits for its turn came again, on a new connection: it keeps its place."""
        for key, (heard, message, source) in self._waiting.items():
            if message.topic == topic and message.payload == payload:
                self._waiting[key] = (heard, replace(message, receipt=receipt), source)
                return True
        return False

    def _advance(self, source: SourceParams, stepped: Stepped) -> list[Message | Elsewhere]:
        """Take the next state over, and give the messages that have had their turn."""
        self._states[id(source)] = stepped.state
        self.requests += stepped.requests
        ready: list[Message | Elsewhere] = []
        for heard, said in stepped.released:
            found = self._waiting.pop(id(heard), None)
            if found is not None:
                ready.append(self._with_words(found[1], source, said))
        return ready

    def _with_words(self, message: Message, source: SourceParams, said: Understood) -> Message:
        content = Foreign(source, source.form.name, said)
        message = replace(message, content=content, sender_key=sender_key(content))
        return self._remembered(message_digest(message.topic, message.payload), message)
