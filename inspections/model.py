"""The words of inspections: doors, duties, inspectors, calls, and a planned day. Frozen values.

Times of a day are whole seconds after local midnight of the city, so that a plan is plain arithmetic; `scheduler` turns
them into UTC moments.
"""

from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

UserClass = Literal["household", "commercial", "industrial"]
DutyKind = Literal["periodic", "alert", "recheck", "appointment", "request"]
Constraint = Literal["skill", "area", "window", "shift", "capacity", "crowded_out", "calendar"]
Result = Literal["passed", "hazard_found", "recheck_passed", "partial", "no_access", "refused"]


@dataclass(frozen=True, slots=True)
class Point:
    """A place on Earth, degrees."""

    latitude: float
    longitude: float


@dataclass(frozen=True, slots=True)
class Door:
    """One premises as planning sees it; attributes that raise risk are None when unknown."""

    premises_id: int
    code: str
    building_id: int
    compound_id: int
    area: str
    point: Point
    user_class: UserClass
    unit: str = ""
    floor: int | None = None
    built_year: int | None = None
    tenure: Literal["owner", "rented", "vacant"] | None = None
    elderly: bool | None = None
    special_care: bool | None = None
    hose_installed_on: date | None = None
    last_entered_on: date | None = None


@dataclass(frozen=True, slots=True)
class Duty:
    """Why a door must be visited, and by when."""

    duty_id: int
    premises_id: int
    kind: DutyKind
    due_on: date
    mandatory: bool
    reason: str
    not_before: date | None = None
    attempts: int = 0
    last_attempt_at: datetime | None = None
    alert_id: int | None = None
    alert_rule: str | None = None
    alert_severity: str | None = None
    hazard_id: int | None = None
    hazard_code: str | None = None
    hazard_grade: int | None = None
    promised_from: datetime | None = None
    promised_to: datetime | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """When work at a door may begin, seconds after local midnight, both ends included."""

    early_s: int
    late_s: int


@dataclass(frozen=True, slots=True)
class Call:
    """One door to call at: all its duties in one visit, weighed, with what the visit needs.

    `service_s` is the time planned at the door: the full work when `full_service_s` is None, else what is expected when
    nobody may be home. `promised` says that somebody was told the window. `best` is the part of the window in which the
    door is tried if that fits, the whole of it otherwise. `chances` holds the expected chance to get
    in for each hour of the day; empty when nothing is assumed (then everybody is home).
    """

    door: Door
    duties: tuple[Duty, ...]
    priority: int
    reasons: tuple[str, ...]
    mandatory: bool
    skills: frozenset[str]
    service_s: int
    window: Window | None = None
    promised: bool = False
    chance: float = 1.0
    chances: tuple[float, ...] = ()
    full_service_s: int | None = None
    best: Window | None = None

    @property
    def aim(self) -> Window | None:
        """The window that is tried first: the best part of it, or all of it."""
        return self.best if self.best and self.window else self.window

    @property
    def worth(self) -> float:
        """Priority times the chance to get in: what a visit is expected to bring."""
        return self.priority * self.chance

    @property
    def must(self) -> bool:
        """Planned in the hard phase: mandatory, or promised to somebody."""
        return self.mandatory or self.promised

    @property
    def overbooked_s(self) -> int:
        """Seconds of work beyond the planned ones, should somebody be home."""
        return 0 if self.full_service_s is None else self.full_service_s - self.service_s

    def chance_at(self, second: int) -> float:
        """The expected chance to get in at a second of the day."""
        return self.chances[min(second // 3600, len(self.chances) - 1)] if self.chances else self.chance

    @property
    def premises_id(self) -> int:
        """The door's identity, the key of a call within a day."""
        return self.door.premises_id


@dataclass(frozen=True, slots=True)
class Inspector:
    """One inspector's day: `areas` holds the district codes covered, children included; times in seconds of the day.

    `end` is where the day ends, None: where it began. `station` names those among whom work is shared fairly.
    `inside_building_id` is set during a running day: the building in which the inspector stands at `start`.
    """

    inspector_id: int
    code: str
    areas: frozenset[str]
    skills: frozenset[str]
    start: Point
    shift_start_s: int
    shift_end_s: int
    break_s: int
    break_after_s: int
    break_before_s: int
    end: Point | None = None
    station: str = ""
    inside_building_id: int | None = None

    def may_visit(self, call: Call) -> bool:
        """Tell whether skills and area allow this inspector at this door."""
        return call.skills <= self.skills and call.door.area in self.areas


@dataclass(frozen=True, slots=True)
class Travel:
    """How long moving takes: great circle times `detour` at `speed_kmh`, plus fixed steps.

    `between_buildings_s` is added to every leg between two places, `between_flats_s` is the whole step within one
    building, `building_setup_s` is spent on entering a building before the first door (tools, caretaker, riser check).
    """

    detour: float = 1.3
    speed_kmh: float = 15.0
    between_buildings_s: int = 180
    between_flats_s: int = 60
    building_setup_s: int = 120


@dataclass(frozen=True, slots=True)
class TravelTable:
    """Seconds between places as a routing server gave them; a place is known by its exact coordinates."""

    source: str
    index: Mapping[Point, int]
    seconds: tuple["array[int]", ...]


@dataclass(frozen=True, slots=True)
class Overbooking:
    """How far rosters may rely on absence: `no_access_s` is spent at a door that stays shut.

    The full work of a visit exceeds its planned time by at most the share `excess_share`, so does that of a
    roster.
    """

    no_access_s: int = 240
    excess_share: float = 0.25


@dataclass(frozen=True, slots=True)
class Day:
    """Everything one planning needs: who may work, where to call, how travel is reckoned.

    Legs that `table` does not know are reckoned by `travel`.
    """

    day: date
    calls: tuple[Call, ...]
    inspectors: tuple[Inspector, ...]
    travel: Travel
    table: TravelTable | None = None
    overbooking: Overbooking = Overbooking()


@dataclass(frozen=True, slots=True)
class Visit:
    """One call on a roster: work begins at `arrive_s` and ends at `leave_s`; `travel_s` is the leg before it."""

    call: Call
    arrive_s: int
    leave_s: int
    travel_s: int

    @property
    def chance(self) -> float:
        """The expected chance to get in at the planned time."""
        return self.call.chance_at(self.arrive_s)


@dataclass(frozen=True, slots=True)
class Roster:
    """One inspector's planned day. Without a break both break times are None."""

    inspector: Inspector
    visits: tuple[Visit, ...]
    leave_s: int
    return_s: int
    break_start_s: int | None
    break_end_s: int | None
    travel_s: int


@dataclass(frozen=True, slots=True)
class Omission:
    """A call on no roster: the binding constraint, in words, and the price of forcing it in."""

    call: Call
    constraint: Constraint
    reason: str
    price: dict[str, object]


@dataclass(frozen=True, slots=True)
class Plan:
    """A planned day: every call of the day is on exactly one roster or in exactly one omission."""

    day: date
    rosters: tuple[Roster, ...]
    omissions: tuple[Omission, ...]
    solver: str
    seed: int

    def visits(self) -> list[Visit]:
        """Every visit of every roster."""
        return [visit for roster in self.rosters for visit in roster.visits]
