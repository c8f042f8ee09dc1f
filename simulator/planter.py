"""What a plant is, how many are wanted, and who is free to carry one: shared by the modules that plant."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta

import numpy as np

from simulator.model import City, Device
from simulator.usage import Hours


@dataclass(frozen=True, slots=True)
class Fault:
    """One plant. `alert` says whether rule `rule` must raise an alert on the subject, or must not (a harmless plant).

    `subject` is (device | building | gateway | area | premises, code); `devices` are the devices that show it; `values`
    are its magnitudes by name with unit; `also` are rules that may rightly fire on the same subject, or on one of
    `others`, as a consequence. `undetectable` says why no telemetry can show a real fault: it need not alert, and an
    alert on it would not be false.
    """

    name: str
    rule: str
    alert: bool
    subject: tuple[str, str]
    start: datetime
    end: datetime
    devices: tuple[str, ...]
    values: Mapping[str, float] = field(default_factory=dict)
    also: tuple[str, ...] = ()
    others: tuple[tuple[str, str], ...] = ()
    undetectable: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """How many of each to plant. `spread` scatters them over the whole history instead of bringing them up to `now`.

    `hard` counts the plants of a bench-sized city by name (simulator/hard.py); they are scattered always.
    """

    leak_alarm: int = 3
    building_leaks: int = 1
    flow_valve_closed: int = 2
    micro_leak: int = 4
    index_backwards: int = 2
    device_silent: int = 3
    gateway_silent: int = 1
    self_test: int = 2
    excursion: int = 4
    valve_closed_idle: int = 2
    power_loss: int = 6
    late_day: int = 4
    lost_day: int = 2
    retransmission: int = 3
    past_memory: int = 2
    register_wrap: int = 1
    holiday: int = 4
    gateway_flap: int = 1
    spread: bool = False
    hard: Mapping[str, int] = field(default_factory=dict)

    def times(self, factor: float) -> "Plan":
        """The same make-up for a city `factor` times the size; what is planted at all stays planted at least once."""
        counts = {one.name: getattr(self, one.name) for one in fields(self) if one.name not in ("spread", "hard")}
        usual = {name: _scaled(count, factor) for name, count in counts.items()}
        hard = {name: _scaled(count, factor) for name, count in self.hard.items()}
        return Plan(spread=self.spread, hard=hard, **usual)


def _scaled(count: int, factor: float) -> int:
    return max(1, round(count * factor)) if count else 0


class Planter:
    """Free subjects and random times of one plan."""

    def __init__(self, city: City, hours: Hours, now: datetime, seed: int, plan: Plan) -> None:
        self.city, self.hours, self.now, self.plan = city, hours, now, plan
        self.seed = seed
        self.rng = np.random.default_rng([seed, 5])
        self.places, self.fitted = city.places(), city.fitted()
        self.device = {device.code: device for device in city.devices}
        self.midnight = hours.at((hours.count - 1) // 24 * 24)
        fittings = [fitting.device for fitting in city.installations]
        swapped = {fitting.premises for fitting in city.installations if fitting.removed_at}
        self.free = {code for code in fittings if self.fitted[code].premises not in swapped}
        self.leaking: set[str] = set()  # buildings
        self.gateways = [gateway.code for gateway in city.gateways]

    def take(self, what: str, wanted: int, suits: Callable[[Device], bool]) -> list[Device]:
        """Take devices that nothing else is planted on."""
        candidates = [device for device in self.city.devices if device.code in self.free and suits(device)]
        if len(candidates) < wanted:
            raise ValueError(f"{what}: {wanted} wanted, the city has {len(candidates)} fitting devices; raise homes")
        chosen = [candidates[index] for index in self.rng.permutation(len(candidates))[:wanted]]
        self.free -= {device.code for device in chosen}
        return chosen

    def meter(self, device: Device) -> bool:
        """A meter of a lived-in modelled household without heating on for days and without pilot."""
        place = self.places[self.fitted[device.code].premises]
        habits = self.city.habits[place.code]
        plain = habits.heating != "constant" and habits.pilot_lh == 0 and not habits.recorded
        return device.kind == "meter" and plain and place.tenure != "vacant" and place.user_class == "household"

    def moment(self, recent_s: tuple[float, float]) -> datetime:
        """A moment: so many seconds before `now`, or anywhere in the history when the plan spreads."""
        if self.plan.spread:
            span_s = (self.midnight - self.hours.start).total_seconds()
            at = self.hours.start + timedelta(seconds=float(self.rng.uniform(0.1, 0.97) * span_s))
        else:
            at = self.now - timedelta(seconds=float(self.rng.uniform(*recent_s)))
        return at.replace(microsecond=0)

    def lived_in(self, device: Device) -> bool:
        """A meter of a lived-in modelled household, however it heats; without a pilot flame."""
        place = self.places[self.fitted[device.code].premises]
        habits = self.city.habits[place.code]
        plain = habits.pilot_lh == 0 and not habits.recorded
        return device.kind == "meter" and plain and place.tenure != "vacant" and place.user_class == "household"

    def scattered(self, first: float, last: float) -> datetime:
        """A full second somewhere between two shares of the history."""
        span_s = (self.midnight - self.hours.start).total_seconds()
        at = self.hours.start + timedelta(seconds=float(self.rng.uniform(first, last) * span_s))
        return at.replace(microsecond=0)

    def between(self, low: float, high: float) -> float:
        """A magnitude, evenly spread."""
        return float(self.rng.uniform(low, high))

    def ranging(self, low: float, high: float) -> float:
        """A magnitude, evenly spread in its logarithm: small ones are as frequent as large ones."""
        return float(np.exp(self.rng.uniform(np.log(low), np.log(high))))

    def day(self, first: int, last_before_end: int) -> int:
        """A day of the history that is whole and reported."""
        return int(self.rng.integers(first, self.hours.count // 24 - last_before_end))

    def building(self, device: Device) -> str:
        """The building a device is in."""
        return self.places[self.fitted[device.code].premises].building

    def meter_of(self, detector: Device) -> str | None:
        """The free meter with a valve behind the same door, if any; it is taken."""
        place = self.fitted[detector.code].premises
        for device in self.city.devices:
            here = device.kind == "meter" and self.fitted[device.code].premises == place
            if here and device.has_valve and device.code in self.free:
                self.free.discard(device.code)
                return device.code
        return None


def on(device: Device, name: str, rule: str, start: datetime, end: datetime, **values: float) -> Fault:
    """A fault of one device that a rule must find."""
    return Fault(name, rule, True, ("device", device.code), start, end, (device.code,), values)


def harmless(device: Device, name: str, rule: str, start: datetime, end: datetime, **values: float) -> Fault:
    """Something of one device that tempts a rule, which must not fall for it."""
    return Fault(name, rule, False, ("device", device.code), start, end, (device.code,), values)
