"""What a foreign message says, before the registry is asked: observations in our units, each with its clock."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Clock(StrEnum):
    """Whose clock a moment was read from; the three are never mixed."""

    METER = "meter"
    GATEWAY = "gateway"
    ARRIVAL = "arrival"


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment and its clock.

    `at` is aware UTC, or naive when the sender gave local time without a zone (the device's site zone is applied when
    it is bound; `summer` then says what the sender says of daylight saving, None when it says nothing). None with
    Clock.ARRIVAL: the message tells no time at all, or one relative to now: `offset_s` seconds from arrival to the
    moment (negative: before).
    """

    clock: Clock
    at: datetime | None = None
    summer: bool | None = None
    offset_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Measured:
    """Values of one device at one moment. None is unknown. `register` is the sender's name of the register or channel.

    Cumulative volume is `index_ml` when the unit is on the wire, `pulses` when only a count is (the device's registered
    `pulse_ml` turns it into volume). `interval_ml` is the volume of the `interval_s` seconds that end at the moment.
    `converted` tells whether volume is converted to base conditions; None when the sender does not say.
    """

    device: str
    moment: Moment
    register: str | None = None
    seq: int | None = None
    index_ml: int | None = None
    pulses: int | None = None
    interval_ml: int | None = None
    interval_pulses: int | None = None
    interval_s: int | None = None
    converted: bool | None = None
    flow_lh: float | None = None
    pressure_pa: int | None = None
    temperature_c: float | None = None
    lel_pct: float | None = None
    battery_mv: int | None = None
    battery_pct: float | None = None
    signal_dbm: int | None = None
    status: int | None = None
    historical: bool = False
    simulated: bool = False


@dataclass(frozen=True, slots=True)
class Asserted:
    """Something a device asserts at a moment; `kind` and `state` are words of docs/payloads.md."""

    device: str
    moment: Moment
    kind: str
    state: str
    level: int | None = None
    lel_pct: float | None = None
    cause: str | None = None
    seq: int | None = None
    simulated: bool = False


@dataclass(frozen=True, slots=True)
class Liveness:
    """A node or device said to be there or gone: births, deaths, last wills, availability topics.

    `state` is online, offline, or stale (known no longer: its node was reborn and it was not yet). `stale` names the
    values of it that are stale from this moment on; `cause` is what the sender says of the reason.
    """

    node: str
    device: str | None
    state: str
    session: str | None
    moment: Moment
    stale: tuple[str, ...] = ()
    cause: str | None = None


Observation = Measured | Asserted | Liveness


@dataclass(frozen=True, slots=True)
class Request:
    """What the sender must be asked for, e.g. a Sparkplug rebirth: a topic and a payload to publish, and how."""

    topic: str
    payload: bytes
    reason: str
    qos: int = 0
    retain: bool = False


@dataclass(frozen=True, slots=True)
class Understood:
    """A decoded message: its family (namespace of device identities), who passed it on, what it says.

    `gateway` is the relaying gateway, application or edge node as the format names it; None when it names none.
    `message_key` identifies the message for de-duplication where the format has such a key.
    `unread` names fields that were present and not understood, for people; they are never guessed at.
    """

    family: str
    decoder: str
    gateway: str | None
    observations: tuple[Observation, ...]
    message_key: str | None = None
    requests: tuple[Request, ...] = ()
    unread: tuple[str, ...] = ()


class Undecodable(Exception):
    """The message is not of this format; `field` and `rule` say which rule of it is broken."""

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(f"{field}: {rule}")
        self.field = field
        self.rule = rule


@dataclass(frozen=True, slots=True)
class Sample:
    """A message as it comes in and exactly what it becomes; `source` says where the sample is from and its licence."""

    topic: str
    payload: bytes
    understood: Understood
    source: str
