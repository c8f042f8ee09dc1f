"""What is known of a stretch of history before it is played again: the registry, and what arrived when. Pure.

Moments named `arrived_at` are our clock's, `told_at` the sender's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Place:
    """Where a device is installed: the class of its user, and the places around its door with their names."""

    user_class: str
    area: str
    building_id: int
    compound_id: int
    district_id: int
    building: str
    compound: str
    district: str


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """A device as the registry has it today."""

    device_id: int
    code: str
    device_kind: str
    meter_class: str | None
    expected_interval_s: int
    gateway_id: int


@dataclass(frozen=True, slots=True)
class GatewayFacts:
    """A gateway and the district it hangs in, as the registry has them today."""

    gateway_id: int
    code: str
    area: str
    expected_interval_s: int
    district_id: int
    district: str


@dataclass(frozen=True, slots=True)
class Stay:
    """A device was installed at a place from one moment to another (None: it still is)."""

    device_id: int
    installed_at: datetime
    removed_at: datetime | None
    place: Place


@dataclass(frozen=True, slots=True)
class FloodSpan:
    """A gateway was above its rate limit on one lane; `held` counts to its end."""

    gateway_id: int
    started_at: datetime
    ended_at: datetime | None
    held: int
    limit_per_s: float | None


@dataclass(frozen=True, slots=True)
class Town:
    """All that is registered about the devices that are looked at, their gateways and places.

    `observed_from` and `listened_until`: arrival of our first and our newest batch, of any device.
    """

    devices: Sequence[DeviceFacts]
    gateways: Sequence[GatewayFacts]
    stays: Sequence[Stay]
    floods: Sequence[FloodSpan] = ()
    shortest_interval_s: float = 86_400.0
    observed_from: datetime | None = None
    listened_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class DeviceTold:
    """A device was heard: up to `heard_at` we know of it. `read_at`: its newest reading in a batch that brought any."""

    arrived_at: datetime
    device_id: int
    heard_at: datetime
    read_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Presence:
    """A platform's word about a device: online, offline or stale, as of `told_at`."""

    arrived_at: datetime
    device_id: int
    told_at: datetime
    presence: str


@dataclass(frozen=True, slots=True)
class GatewayWord:
    """A birth (online) or a will (offline) of a gateway's session."""

    arrived_at: datetime
    gateway_id: int
    told_at: datetime
    state: str
    session: str


@dataclass(frozen=True, slots=True)
class Refused:
    """Something came through a gateway and was refused: the gateway lives."""

    arrived_at: datetime
    gateway_id: int


Word = DeviceTold | Presence | GatewayWord | Refused


@dataclass(frozen=True, slots=True)
class Known:
    """What was known when the playing begins: when devices were heard last, what platforms and gateways said last."""

    heard: Mapping[int, datetime] = field(default_factory=dict)
    presence: Mapping[int, tuple[datetime, str]] = field(default_factory=dict)
    words: Sequence[GatewayWord] = ()
