"""Named faults planted in a city, and harmless things that look like them: the truth that rules are scored on."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from simulator.model import City, Device
from simulator.usage import Hours, hours_until

RULES = (
    "leak_alarm",
    "building_leaks",
    "flow_valve_closed",
    "micro_leak",
    "index_backwards",
    "device_silent",
    "gateway_silent",
)


@dataclass(frozen=True, slots=True)
class Fault:
    """One plant. `alert` says whether rule `rule` must raise an alert on the subject, or must not (a harmless plant).

    `subject` is (device | building | gateway | premises, code); `devices` are the devices that show it; `values` are
    its magnitudes by name with unit; `also` are rules that may rightly fire on the same subject as a consequence.
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


@dataclass(frozen=True, slots=True)
class Plan:
    """How many of each to plant. `spread` scatters them over the whole history instead of bringing them up to `now`."""

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

    def times(self, factor: float) -> "Plan":
        """The same make-up for a city `factor` times the size; what is planted at all stays planted at least once."""
        counts = {name.name: getattr(self, name.name) for name in fields(self) if name.name != "spread"}
        return Plan(spread=self.spread, **{key: max(1, round(n * factor)) if n else 0 for key, n in counts.items()})


def plan_faults(city: City, now: datetime, seed: int, days: int = 12, plan: Plan | None = None) -> tuple[Fault, ...]:
    """Choose subjects and times, no subject twice, the same for the same arguments.

    Raises ValueError when the city is too small for the plan or the history shorter than eight days.
    """
    if days < 8:
        raise ValueError(f"days: the planted faults need at least 8 days of history, not {days}")
    planter = _Planter(city, hours_until(now, days, city.utc_offset_h), now, seed, plan or Plan())
    return tuple(fault for plant in _PLANTS for fault in plant(planter))


class _Planter:
    """Free subjects and random times of one plan."""

    def __init__(self, city: City, hours: Hours, now: datetime, seed: int, plan: Plan) -> None:
        self.city, self.hours, self.now, self.plan = city, hours, now, plan
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


def _on(device: Device, name: str, rule: str, start: datetime, end: datetime, **values: float) -> Fault:
    return Fault(name, rule, True, ("device", device.code), start, end, (device.code,), values)


def _harmless(device: Device, name: str, rule: str, start: datetime, end: datetime, **values: float) -> Fault:
    return Fault(name, rule, False, ("device", device.code), start, end, (device.code,), values)


def _gateway_silent(p: _Planter) -> Iterable[Fault]:
    """A gateway goes silent: its last will is sent and none of its devices may alarm for itself."""
    swapping = {p.device[fitting.device].gateway for fitting in p.city.installations if fitting.removed_at}
    candidates = [code for code in p.gateways if code not in swapping]
    if len(candidates) < p.plan.gateway_silent or len(p.gateways) <= p.plan.gateway_silent:
        raise ValueError(f"gateway_silent: {p.plan.gateway_silent} wanted, {len(candidates)} gateways fit; raise homes")
    for index in p.rng.permutation(len(candidates))[: p.plan.gateway_silent]:
        code = candidates[index]
        p.gateways.remove(code)
        devices = tuple(device.code for device in p.city.devices if device.gateway == code)
        p.free -= set(devices)
        start = p.now - timedelta(days=3, seconds=float(p.rng.uniform(0, 20_000)))
        yield Fault("gateway_silent", "gateway_silent", True, ("gateway", code), start, p.now, devices)


def _building_leaks(p: _Planter) -> Iterable[Fault]:
    """Two or three detectors of one building within minutes; each is a leak alarm too."""
    detectors: dict[str, list[Device]] = {}
    for device in p.city.devices:
        if device.kind == "detector" and device.code in p.free:
            detectors.setdefault(p.building(device), []).append(device)
    buildings = [code for code, found in detectors.items() if len(found) >= 2]
    if len(buildings) < p.plan.building_leaks:
        raise ValueError(f"building_leaks: {p.plan.building_leaks} wanted, {len(buildings)} buildings fit; raise homes")
    for index in p.rng.permutation(len(buildings))[: p.plan.building_leaks]:
        chosen = detectors[buildings[index]][: int(p.rng.integers(2, 4))]
        p.free -= {device.code for device in chosen}
        p.leaking.add(buildings[index])
        start = p.moment((240, 300))
        leaks = [_leak(p, device, start + timedelta(seconds=45 * place), 2) for place, device in enumerate(chosen)]
        codes = tuple(device.code for device in chosen)
        yield Fault(
            "building_leaks",
            "building_leaks",
            True,
            ("building", buildings[index]),
            leaks[1].start,
            leaks[0].end,
            codes,
        )
        yield from leaks


def _leak(p: _Planter, detector: Device, start: datetime, level: int) -> Fault:
    end = start + timedelta(seconds=float(p.rng.uniform(900, 3600))) if p.plan.spread else p.now
    fault = _on(
        detector, "leak_alarm", "leak_alarm", start, end, level=level, peak_lel_pct=float(p.rng.uniform(22, 45))
    )
    meter = p.meter_of(detector)
    return fault if meter is None else replace(fault, devices=(*fault.devices, meter))


def _leaks(p: _Planter) -> Iterable[Fault]:
    """Single leaks, one a building, every third only past the low set-point."""
    for number in range(p.plan.leak_alarm):
        (device,) = p.take("leak_alarm", 1, lambda d: d.kind == "detector" and p.building(d) not in p.leaking)
        p.leaking.add(p.building(device))
        yield _leak(p, device, p.moment((60, 200)), 1 if number % 3 == 2 else 2)


def _valves(p: _Planter) -> Iterable[Fault]:
    """A valve closes: gas flows on (fault), or it does not (harmless)."""
    wanted = p.plan.flow_valve_closed
    chosen = p.take("flow_valve_closed", wanted + p.plan.valve_closed_idle, lambda d: p.meter(d) and d.has_valve)
    for number, device in enumerate(chosen):
        start = p.moment((2.5 * 86_400, 4 * 86_400))
        if number < wanted:
            flow_lh = float(p.rng.uniform(30, 80))
            fault = _on(device, "flow_valve_closed", "flow_valve_closed", start, p.now, flow_lh=flow_lh)
            yield replace(fault, also=("micro_leak",))  # it never stops, either
        else:
            yield _harmless(device, "valve_closed_idle", "flow_valve_closed", start, p.now)


def _micro_leaks(p: _Planter) -> Iterable[Fault]:
    """A constant 6-20 L/h, on pulse meters and fine meters in turn."""
    for number in range(p.plan.micro_leak):
        fine = bool(number % 2)
        suits = (
            (lambda d: p.meter(d) and d.pulse_ml < 10_000) if fine else (lambda d: p.meter(d) and d.pulse_ml >= 10_000)
        )
        (device,) = p.take("micro_leak", 1, suits)
        hour = int(p.rng.uniform(0, 0.6) * p.hours.count) if p.plan.spread else 0
        leak_lh = float(p.rng.uniform(6, 20))
        yield _on(device, "micro_leak", "micro_leak", p.hours.at(hour), p.now, leak_lh=leak_lh)


def _backwards(p: _Planter) -> Iterable[Fault]:
    """The register falls by 2-50 m3 at a full hour of a reported day."""
    for device in p.take("index_backwards", p.plan.index_backwards, p.meter):
        day = p.day(1, 1) if p.plan.spread else p.day(p.hours.count // 24 - 4, 1)
        start = p.hours.at(day * 24 + int(p.rng.integers(2, 23)))
        yield _on(
            device, "index_backwards", "index_backwards", start, p.now, drop_ml=float(p.rng.integers(2, 50) * 10**6)
        )


def _silent(p: _Planter) -> Iterable[Fault]:
    """A device says nothing more; every third is a detector."""
    for number in range(p.plan.device_silent):
        (device,) = p.take("device_silent", 1, p.meter if number % 3 < 2 else lambda d: d.kind == "detector")
        start = p.moment((4.2 * 86_400, 6 * 86_400))
        end = min(p.now, start + timedelta(days=float(p.rng.uniform(6, 20)))) if p.plan.spread else p.now
        yield _on(device, "device_silent", "device_silent", start, end)


def _detector_noise(p: _Planter) -> Iterable[Fault]:
    """Self-tests, and cooking or steam that stays below the set-point."""
    chosen = p.take("self_test", p.plan.self_test + p.plan.excursion, lambda d: d.kind == "detector")
    for number, device in enumerate(chosen):
        name = "self_test" if number < p.plan.self_test else "excursion"
        start = p.moment((300, 3_000))
        peak = float((device.warn_lel_pct or 8.0) * p.rng.uniform(0.5, 0.85))
        yield _harmless(device, name, "leak_alarm", start, start + timedelta(minutes=10), peak_lel_pct=peak)


def _reports(p: _Planter) -> Iterable[Fault]:
    """Harmless oddities of one day's report; `day` counts local days from the start of the history."""
    oddities = {
        "power_loss": "micro_leak",
        "late_day": "device_silent",
        "lost_day": "device_silent",
        "retransmission": "index_backwards",
        "past_memory": "index_backwards",
    }
    for name, rule in oddities.items():
        for device in p.take(name, getattr(p.plan, name), p.meter):
            day = p.day(1, 5)  # a late day, too, has arrived by now
            hour, length = int(p.rng.integers(0, 15)), int(p.rng.integers(3, 9))
            delay_d = float(p.rng.integers(1, 4))
            yield _harmless(
                device, name, rule, p.hours.at(day * 24 + hour), p.hours.at(day * 24 + hour + length),
                day=day, hour=hour, hours=length, delay_d=delay_d,
            )  # fmt: skip


def _registers(p: _Planter) -> Iterable[Fault]:
    """A register that returns to zero where it must, and homes where nobody is for days."""
    for device in p.take("register_wrap", p.plan.register_wrap, p.meter):
        at = p.hours.at(p.day(3, 2) * 24 + 12)
        yield _harmless(device, "register_wrap", "index_backwards", at, at + timedelta(hours=1))
    for device in p.take("holiday", p.plan.holiday, p.meter):
        first = p.hours.at(int(p.rng.integers(1, max(2, p.hours.count // 24 - 6))) * 24)
        yield _harmless(device, "holiday", "device_silent", first, first + timedelta(days=8))


def _city_traits(p: _Planter) -> Iterable[Fault]:
    """What the city has by itself: pilot flames, swapped meters."""
    for device in p.city.devices:
        fitting = p.fitted[device.code]
        if device.kind == "meter" and p.city.habits[fitting.premises].pilot_lh > 0:
            pilot_lh = p.city.habits[fitting.premises].pilot_lh
            yield _harmless(device, "pilot_flame", "micro_leak", p.hours.start, p.now, pilot_lh=pilot_lh)
        if fitting.removed_at:
            yield _harmless(device, "meter_swap", "device_silent", fitting.removed_at, p.now)


def _flaps(p: _Planter) -> Iterable[Fault]:
    """A gateway loses its connection and is back at once: the old session's will means nothing."""
    for _ in range(min(p.plan.gateway_flap, len(p.gateways))):
        code = p.gateways.pop(int(p.rng.integers(0, len(p.gateways))))
        start = p.midnight - timedelta(days=1, seconds=float(p.rng.uniform(0, 40_000)))
        yield Fault("gateway_flap", "gateway_silent", False, ("gateway", code), start, start + timedelta(minutes=2), ())


_PLANTS: tuple[Callable[[_Planter], Iterable[Fault]], ...] = (
    _gateway_silent,
    _building_leaks,
    _leaks,
    _valves,
    _micro_leaks,
    _backwards,
    _silent,
    _detector_noise,
    _reports,
    _registers,
    _city_traits,
    _flaps,
)


def truth_json(city: City, faults: Iterable[Fault], now: datetime, seed: int, days: int) -> dict[str, Any]:
    """The ground truth as written to a file: every plant with its subject, where it is, and whether it must alert."""
    places, fitted = city.places(), city.fitted()
    buildings = {building.code: building.compound for building in city.buildings}

    def where(fault: Fault) -> dict[str, str | None]:
        if fault.subject[0] != "device":
            return {}
        premises = fitted[fault.subject[1]].premises
        return {
            "premises": premises,
            "building": places[premises].building,
            "compound": buildings[places[premises].building],
        }

    return {
        "seed": seed,
        "now": now.isoformat(),
        "days": days,
        "homes": len(city.premises),
        "rules": list(RULES),
        "faults": [
            {
                **asdict(fault),
                "subject": {"kind": fault.subject[0], "code": fault.subject[1]},
                "start": fault.start.isoformat(),
                "end": fault.end.isoformat(),
                **where(fault),
            }
            for fault in faults
        ],
    }
