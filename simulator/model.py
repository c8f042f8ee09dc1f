"""What the simulated city is made of. Field order of the registry records is the column order of their CSV files."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class District:
    """A node of the city's tree; leaves are the areas in topics."""

    code: str
    name: str
    parent: str | None


@dataclass(frozen=True, slots=True)
class Compound:
    """A residential estate, inspected together."""

    code: str
    name: str
    district: str
    latitude: float
    longitude: float


@dataclass(frozen=True, slots=True)
class Building:
    """A building of a compound."""

    code: str
    name: str
    compound: str
    latitude: float
    longitude: float
    built_year: int | None
    floors: int


@dataclass(frozen=True, slots=True)
class Premises:
    """One door behind which gas is used; `None` is unknown, as in any real registry."""

    code: str
    building: str
    unit: str
    floor: int
    address: str
    user_class: str
    tenure: str | None
    elderly: bool | None
    special_care: bool | None
    appliances: tuple[str, ...]
    hose_installed_on: date | None
    pipe_installed_on: date | None
    last_entered_on: date | None
    contact_name: str
    contact_phone: str


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway that publishes the devices around it."""

    code: str
    area: str
    expected_interval_s: int


@dataclass(frozen=True, slots=True)
class Device:
    """A gas meter or a leak detector, as registered."""

    code: str
    family: str
    kind: str
    gateway: str
    model: str
    meter_class: str | None
    qmin_lh: float | None
    qmax_lh: float | None
    pulse_ml: int | None
    register_wrap_ml: int | None
    has_valve: bool
    expected_interval_s: int
    warn_lel_pct: float | None
    alarm_lel_pct: float | None
    made_on: date | None


@dataclass(frozen=True, slots=True)
class Installation:
    """Where a device is or was; a swapped meter has a removal and a last index."""

    device: str
    family: str
    premises: str
    installed_at: datetime
    removed_at: datetime | None
    index_installed_ml: int | None
    index_removed_ml: int | None


@dataclass(frozen=True, slots=True)
class Inspector:
    """An inspector, where the day starts and the shift in local time."""

    code: str
    name: str
    area: str
    skills: tuple[str, ...]
    start_latitude: float
    start_longitude: float
    shift_start: time
    shift_end: time
    break_minutes: int
    break_after: time
    break_before: time


@dataclass(frozen=True, slots=True)
class Habits:
    """How a premises uses gas: known to the simulator only, never registered.

    `heating` is none, setback (off at night and while nobody is at home) or constant (on for days in the cold).
    `recorded` plays the recorded real home instead of a modelled one. `night_shift` lives by night: a household sleeps
    by day, a kitchen is open until four in the morning. `tells_pressure`: the meter has a pressure sensor.
    """

    persons: int
    heating: str = "none"
    heat_lh_per_k: float = 0.0
    pilot_lh: float = 0.0
    pilot_never_off: bool = False
    recorded: bool = False
    night_shift: bool = False
    tells_pressure: bool = False


@dataclass(frozen=True, slots=True)
class City:
    """A whole city: the registry as an importer sees it, and the habits behind the doors.

    `weather_swing_c` is how far, by one standard deviation, warm and cold spells of days depart from the season.
    """

    districts: tuple[District, ...]
    compounds: tuple[Compound, ...]
    buildings: tuple[Building, ...]
    premises: tuple[Premises, ...]
    gateways: tuple[Gateway, ...]
    devices: tuple[Device, ...]
    installations: tuple[Installation, ...]
    inspectors: tuple[Inspector, ...]
    habits: Mapping[str, Habits]
    utc_offset_h: int
    weather_swing_c: float = 0.0

    def places(self) -> dict[str, Premises]:
        """Premises by their code."""
        return {premises.code: premises for premises in self.premises}

    def fitted(self) -> dict[str, Installation]:
        """The present or latest installation of every device."""
        return {fitting.device: fitting for fitting in self.installations}


class Message(NamedTuple):
    """One thing a gateway does, in the order it does it.

    `kind` is the last word of the topic (status, readings, events), or `lost`: the gateway's connection breaks here
    without a DISCONNECT, so that the broker sends its last will. `at` is the device's clock, `sent_at` the moment the
    gateway hands it over; `index_ml` is the register the message tells, for whoever goes on from here.
    """

    gateway: str
    area: str
    kind: str
    payload: bytes
    device: str
    seq: int
    at: datetime
    sent_at: datetime
    index_ml: int | None = None

    @property
    def topic(self) -> str:
        """Where the gateway publishes it (docs/payloads.md)."""
        return f"gas/v1/{self.area}/{self.gateway}/{self.kind}"
