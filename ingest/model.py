"""The words of ingest: what a message says, what we make of it, and why."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import IntFlag, StrEnum
from typing import TYPE_CHECKING

from ingest.decoders.model import Understood

if TYPE_CHECKING:
    from ingest.sources import SourceParams

PAYLOAD_BYTES_MAX = 65_536
KEPT_BYTES_OF_LARGE = 4_096
EARLIEST = datetime(2015, 1, 1, tzinfo=UTC)
FUTURE_MAX = timedelta(minutes=10)
LATE_AFTER = timedelta(hours=48)
NO_GATEWAY = "?"
PRESENCE = "presence"


class Disposition(StrEnum):
    """What became of a message: exactly one of these (docs/payloads.md)."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    LATE = "late"
    CONFLICT = "conflict"
    QUARANTINED = "quarantined"


class QuarantineReason(StrEnum):
    """Why a message could not be stored (docs/payloads.md)."""

    BAD_TOPIC = "bad_topic"
    TOO_LARGE = "too_large"
    NOT_JSON = "not_json"
    INVALID_FIELD = "invalid_field"
    NOT_UNDERSTOOD = "not_understood"
    UNKNOWN_GATEWAY = "unknown_gateway"
    UNKNOWN_DEVICE = "unknown_device"
    GATEWAY_MISMATCH = "gateway_mismatch"
    TIME_OUT_OF_RANGE = "time_out_of_range"
    UNSTORABLE = "unstorable"


class Flag(IntFlag):
    """Our marks on a reading; the stored value stays what the device sent (docs/payloads.md)."""

    BACKFILLED = 1
    PAST_MEMORY = 2
    BACKWARDS = 4
    BEYOND_QMAX = 8
    CLOCK_UNSURE = 16
    SIMULATED = 32


# A plain number: `&` with a member of an IntFlag costs ten times as much, and is done for every message.
UNKNOWN_VALUE = int(Flag.BACKFILLED | Flag.PAST_MEMORY | Flag.CLOCK_UNSURE | Flag.SIMULATED)


class Status(IntFlag):
    """Bits of a device's status word that ingest itself acts on (docs/payloads.md has them all)."""

    VALVE_CLOSED = 1
    VALVE_FAULT = 2
    CLOCK_UNSURE = 256
    POWER_WAS_LOST = 512


@dataclass(frozen=True, slots=True)
class Report:
    """A device's measurement at its own moment `at`, and the frozen hourly register values it carries.

    `frozen_ml[i]` is the register at `frozen_from` + (i + 1) hours, in millilitres; None is unknown.
    `marks` are flags known before the values are looked at: a time of doubtful zone, a simulation.
    """

    device: str
    seq: int | None
    at: datetime
    index_ml: int | None = None
    flow_lh: float | None = None
    pressure_pa: int | None = None
    temperature_c: float | None = None
    lel_pct: float | None = None
    battery_mv: int | None = None
    rsrp_dbm: int | None = None
    reason: int | None = None
    status: int | None = None
    frozen_from: datetime | None = None
    frozen_ml: tuple[int | None, ...] = ()
    marks: int = 0
    battery_pct: float | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """Something a device asserts at a moment; `test` events are kept and never dispatched."""

    device: str
    seq: int | None
    at: datetime
    kind: str
    state: str
    level: int | None = None
    lel_pct: float | None = None
    cause: str | None = None
    test: bool = False


@dataclass(frozen=True, slots=True)
class GatewayStatus:
    """A gateway's birth (online) or last will (offline) of one session.

    `scope` is the sender's own name of the session where that is used again (Sparkplug's bdSeq counts to 255): a will
    of it ends the current session of that name, and what the gateway's devices said is no longer current.
    """

    state: str
    session: str
    at: datetime
    scope: str | None = None


Item = Report | Event | GatewayStatus


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a message says: the gateway its topic names, and the items of its payload."""

    area: str
    gateway: str
    family: str
    decoder: str
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Rejected:
    """Why a message cannot be stored; `detail` names the field and the rule, `gateway` the relay where it is known."""

    reason: QuarantineReason
    detail: str
    decoder: str
    gateway: str | None = None


@dataclass(frozen=True, slots=True)
class Foreign:
    """What a message of a foreign format says before the registry is asked, or why it cannot be read.

    `asked` are devices whose registered type the decoder asked for: it reads the message again once they are known.
    """

    source: "SourceParams"
    decoder: str
    understood: Understood | None
    problem: str = ""
    asked: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A delivery that another lane of the slot has in a session of its own: acknowledged in turn, counted there."""

    receipt: tuple[object, int] | None


@dataclass(frozen=True, slots=True)
class Held:
    """A delivery of a gateway above its rate limit: kept as it came, read when its turn comes."""

    gateway: str
    topic: str
    payload: bytes
    received_at: datetime
    receipt: tuple[object, int] | None


@dataclass(frozen=True, slots=True)
class Message:
    """One delivery: the bytes, when they arrived, what they say, and the receipt to acknowledge them with.

    Of a payload above the limit only the first bytes are kept, with the digest and the length of the whole.
    `receipt` is (connection, packet id); None when nobody waits for an acknowledgement. `sender_key` is the sender's
    own key of the message, where its format has one: the same for a repeat in other words.
    """

    topic: str
    payload: bytes
    received_at: datetime
    content: Decoded | Rejected | Foreign
    receipt: tuple[object, int] | None = None
    payload_bytes: int = 0
    digest: bytes | None = None
    quarantine_id: int | None = None
    sender_key: bytes | None = None


Delivery = Message | Elsewhere | Held


@dataclass(frozen=True, slots=True)
class Gateway:
    """A registered gateway and the area it publishes under."""

    gateway_id: int
    code: str
    area: str


@dataclass(frozen=True, slots=True)
class Device:
    """A registered device, and what its values are judged by; volumes in millilitres, flow in litres an hour.

    From `pulse_ml` on: what foreign formats need to know of it (docs/formats.md).
    """

    device_id: int
    gateway_id: int
    qmax_lh: float | None = None
    register_wrap_ml: int | None = None
    has_valve: bool = False
    pulse_ml: int | None = None
    codec: str | None = None
    site_zone: str | None = None
    register_name: str | None = None
    alarm_level: int | None = None
    volume_kind: str = "cumulative"


@dataclass(frozen=True, slots=True)
class BoundReport:
    """A report with its device and our marks: on its own row, and on each frozen value (empty: no marks)."""

    device: Device
    report: Report
    flags: int = 0
    frozen_flags: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class BoundEvent:
    """An event with its device; `late` when it is older than the limit at arrival."""

    device: Device
    event: Event
    late: bool


@dataclass(frozen=True, slots=True)
class Bound:
    """A message whose gateway and devices are registered. `number` is its place in the batch."""

    number: int
    message: Message
    gateway: Gateway
    late: bool
    reports: tuple[BoundReport, ...] = ()
    events: tuple[BoundEvent, ...] = ()
    status: GatewayStatus | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """A message that goes to quarantine. `gateway` is registered, or None when the topic names none we know."""

    number: int
    message: Message
    gateway: Gateway | None
    rejected: Rejected


@dataclass(frozen=True, slots=True)
class Tally:
    """What one batch did: a disposition per message in order, and what it really added."""

    dispositions: tuple[Disposition, ...]
    batch_id: int
    reading_rows: int = 0
    event_rows: int = 0
    gateway_rows: int = 0
    had_repeats: bool = False
    counts: dict[Disposition, int] = field(default_factory=dict)
