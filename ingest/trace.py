"""What became of one message: the facts there are about a device and a moment, and the sentence they make."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import pairwise
from typing import Any

RESTART_GAP = 1_000  # a longer jump of the numbers is a restarted counter, not lost messages
_SEQ_END = 65_536


class Outcome(StrEnum):
    """What became of the message; `unknown` is the only one of which nothing is known."""

    STORED = "stored"
    CONFLICT = "conflict"
    QUARANTINED = "quarantined"
    REPLAYED = "replayed"
    HELD = "held"
    MISSING = "missing"
    PERHAPS_QUARANTINED = "perhaps_quarantined"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a trace is about; `device_id` and `gateway` are None for a device that is not registered."""

    code: str
    family: str | None = None
    device_id: int | None = None
    gateway: str | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """Numbers of messages that were sent between two that arrived, and are nowhere."""

    missing: int
    after_seq: int
    after_at: datetime
    before_seq: int
    before_at: datetime


@dataclass(frozen=True, slots=True)
class Trace:
    """Every fact about a device and a moment; rows are as the database has them."""

    subject: Subject
    at: datetime
    reading: dict[str, Any] | None = None
    nearest: tuple[dict[str, Any], ...] = ()
    events: tuple[dict[str, Any], ...] = ()
    conflicts: tuple[dict[str, Any], ...] = ()
    quarantined: tuple[dict[str, Any], ...] = ()
    unreadable: tuple[dict[str, Any], ...] = ()  # in quarantine, name the device, tell no moment that we can read
    held: tuple[dict[str, Any], ...] = ()  # acknowledged and waiting for their turn: the gateway is above its limit
    gaps: tuple[Gap, ...] = ()
    ledger: tuple[dict[str, Any], ...] = ()
    gave_way: int = 0  # refused messages of the gateway that are no longer kept, so that nobody can look into them

    @property
    def outcome(self) -> Outcome:
        """The one word; what is stored counts before what was refused beside it."""
        if self.conflicts:
            return Outcome.CONFLICT
        if self.reading is not None or self.events:
            return Outcome.STORED
        if self.quarantined:
            waits = any(one["replayed_at"] is None for one in self.quarantined)
            return Outcome.QUARANTINED if waits else Outcome.REPLAYED
        if self.held:
            return Outcome.HELD
        if any(gap.after_at < self.at < gap.before_at for gap in self.gaps):
            return Outcome.MISSING
        return Outcome.PERHAPS_QUARANTINED if self.unreadable else Outcome.UNKNOWN

    @property
    def sentence(self) -> str:
        """What became of the message, for a person."""
        return " ".join([f"{self.subject.code} at {_moment(self.at)}:", *_parts(self)])


def gaps_in(numbered: Sequence[tuple[datetime, int]]) -> tuple[Gap, ...]:
    """Gaps between messages (moment, number) in order; 65535 is followed by 0, a long jump is a restarted counter."""
    found = []
    for (at, seq), (next_at, next_seq) in pairwise(numbered):
        step = (next_seq - seq) % _SEQ_END
        if 1 < step <= RESTART_GAP:
            found.append(Gap(step - 1, seq, at, next_seq, next_at))
    return tuple(found)


def _parts(trace: Trace) -> Iterator[str]:
    match trace.outcome:
        case Outcome.STORED | Outcome.CONFLICT:
            yield from _stored(trace)
        case Outcome.QUARANTINED | Outcome.REPLAYED:
            yield f"the message {_quarantined(trace.quarantined)}"
        case Outcome.HELD:
            arrived = _moment(trace.held[0]["received_at"])
            yield (
                f"the message arrived {arrived} and waits for its turn, kept: {trace.subject.gateway} is above its "
                "limit of messages a second."
            )
        case Outcome.MISSING:
            gap = next(gap for gap in trace.gaps if gap.after_at < trace.at < gap.before_at)
            yield (
                f"nothing arrived, and {_messages(gap.missing)} sent between {_moment(gap.after_at)} (number "
                f"{gap.after_seq}) and {_moment(gap.before_at)} (number {gap.before_seq}) never did."
            )
        case Outcome.UNKNOWN:
            yield _unknown(trace)
    if trace.unreadable and trace.outcome in {Outcome.MISSING, Outcome.PERHAPS_QUARANTINED}:
        yield f"A message that names the device and no moment that can be read {_quarantined(trace.unreadable)}"
    if trace.gave_way and trace.outcome in {Outcome.MISSING, Outcome.UNKNOWN}:
        lost, gateway = _messages(trace.gave_way), trace.subject.gateway
        yield f"{lost} of {gateway} were refused and are no longer kept: it may be one of them."


def _stored(trace: Trace) -> Iterator[str]:
    if trace.reading is not None:
        told = trace.reading["told_at"]
        how = "" if told is None else f" as a frozen hour of the report of {_moment(told)}"
        yield f"the reading was stored{how}, {_arrival(trace.reading)}."
    for event in trace.events:
        yield f"the event {event['kind']} {event['state']} was stored, {_arrival(event)}."
    if trace.conflicts:
        yield (
            f"{_messages(len(trace.conflicts))} with another value came for that moment: the first stays, the other is "
            "kept as a conflict."
        )


def _arrival(row: dict[str, Any]) -> str:
    if row["committed_at"] is None:
        return f"in batch {row['batch_id']}, which is no longer kept"
    arrived = _moment(row["received_at"] if "received_at" in row else row["last_received_at"])
    committed = _moment(row["committed_at"])
    return f"arrived by {arrived}, committed {committed} in batch {row['batch_id']} of slot {row['slot']}"


def _quarantined(rows: Sequence[dict[str, Any]]) -> str:
    row = next((one for one in rows if one["replayed_at"] is None), rows[0])
    where = f"arrived {_moment(row['first_received_at'])} and is in quarantine (number {row['quarantine_id']})"
    if row["replayed_at"] is None:
        return f"{where}: {row['reason']}, {row['detail']}."
    return f"{where}; it was replayed {_moment(row['replayed_at'])} in batch {row['replay_batch_id']}."


def _unknown(trace: Trace) -> str:
    if trace.subject.device_id is None:
        return "no such device is registered, and no message that names it is in quarantine."
    near = ", ".join(_moment(one["at"]) for one in trace.nearest)
    return f"nothing is known; the nearest readings are of {near}." if near else "nothing is known of it."


def _messages(count: int) -> str:
    return "1 message" if count == 1 else f"{count} messages"


def _moment(at: datetime) -> str:
    return at.isoformat(sep=" ", timespec="seconds").replace("+00:00", "Z")
