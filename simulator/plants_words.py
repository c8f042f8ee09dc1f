"""Hard plants in what devices say: alarms true and false, faults, tampering, pressure, clocks, and harmless twins.

What a detector takes for gas: cooking, steam, alcohol and disinfectant, spray, sensor drift, an age past five years.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta

from simulator.model import Device
from simulator.planter import Fault, Planter, harmless, on
from simulator.plants_gas import CONTINUOUS

NUISANCES = ("cooking_alarm", "steam_alarm", "alcohol_alarm", "spray_alarm", "drift_alarm")
"""Alarms without a leak: a rule must raise them, for nobody can know; what they cost is precision."""


@dataclass(frozen=True, slots=True)
class Word:
    """A fault that is nothing but what a device says: an event, a status bit, for so many hours (None: until now)."""

    name: str
    rule: str
    alert: bool
    kind: str
    hours: tuple[float, float] | None
    also: tuple[str, ...] = ()


WORDS = (
    Word("co_alarm", "co_alarm", True, "detector", (0.2, 3)),
    Word("detector_fault", "detector_fault", True, "detector", (20, 200)),
    Word("end_of_life", "detector_end_of_life", True, "detector", None, ("detector_fault", "detector_past_life")),
    Word("detector_warm_up", "detector_fault", False, "detector", (0.05, 0.1)),
    Word("detector_cut", "detector_disconnected", True, "meter", (30, 120)),
    Word("tamper", "tamper", True, "meter", (1, 50)),
    Word("magnet", "magnet", True, "meter", (0.5, 20)),
    Word("service_test", "tamper", False, "meter", (0.1, 0.5)),
    Word("low_battery", "low_battery", True, "meter", None),
    Word("metering_fault", "meter_fault", True, "meter", (24, 100), ("stuck_flow",)),
    Word("seismic", "seismic", True, "meter", (1, 3), ("valve_self_closed",)),
    Word("seismic_test", "seismic", False, "meter", (0.01, 0.02)),
    Word("valve_by_meter", "valve_self_closed", True, "meter", (4, 30)),
    Word(
        "pass_through",
        "valve_pass_through",
        True,
        "meter",
        (2, 30),
        ("flow_valve_closed", "meter_flow_valve_closed", "micro_leak", *CONTINUOUS, "night_flow"),
    ),
    Word("pressure_high", "pressure_high", True, "meter", (1, 6)),
    Word("pressure_low", "pressure_low", True, "meter", (1, 6), ("zone_pressure_fall",)),
    Word("pressure_in_range", "pressure_low", False, "meter", (1, 6)),
    Word("flow_total_over", "total_flow_high", True, "meter", (0.05, 0.3), ("flow_step", "load_exceeded")),
    Word("flow_step_over", "flow_step", True, "meter", (0.05, 0.3), ("load_exceeded",)),
    Word("many_appliances", "total_flow_high", False, "meter", (0.2, 1), ("load_exceeded",)),
    Word("hold_test_failed", "hold_test_failed", True, "meter", (0.05, 0.1)),
    Word("hold_test_passed", "hold_test_failed", False, "meter", (0.05, 0.1)),
)


BURSTS_L = 350.0
"""What passes in the few minutes of a burst of flow, in litres: the register tells it, too."""


def words(p: Planter) -> Iterable[Fault]:
    """Every word of the table, so often as the plan says."""
    for word in WORDS:
        wanted = p.plan.hard.get(word.name, 0)
        for device in p.take(word.name, wanted, lambda d, word=word: _suits(p, d, word)):  # type: ignore[misc]
            start = p.scattered(0.1, 0.93)
            end = p.now if word.hours is None else start + timedelta(hours=p.between(*word.hours))
            plant = on if word.alert else harmless
            values = {"level": p.between(0, 1), "hour_l": BURSTS_L}
            fault = plant(device, word.name, word.rule, start, min(end, p.now), **values)
            yield replace(fault, also=word.also)


def _suits(p: Planter, device: Device, word: Word) -> bool:
    if word.kind == "detector":
        return device.kind == "detector"
    closes = word.name in ("valve_by_meter", "pass_through", "seismic")
    return p.meter(device) and (device.has_valve or not closes)


def nuisances(p: Planter) -> Iterable[Fault]:
    """Alarms of detectors that smell something else, at homes and, far more often, in commercial kitchens.

    Drifting and old sensors alarm again and again; the others once. Buildings with a planted leak are left out.
    """
    for name in NUISANCES:
        for where in ("household", "commercial"):
            wanted = p.plan.hard.get(f"{name}_{where}", 0)
            for device in p.take(name, wanted, lambda d, where=where: _smells(p, d, where)):  # type: ignore[misc]
                start = p.scattered(0.05, 0.95)
                lasts_h = p.between(24, 120) if name == "drift_alarm" else p.between(0.05, 0.5)
                peak, level = p.between(1.02, 1.6), float(p.rng.random() < 0.25) + 1
                end = min(start + timedelta(hours=lasts_h), p.now)
                fault = harmless(device, name, "leak_alarm", start, end, peak_of_warn=peak, level=level)
                yield replace(fault, also=("detector_fault",) if name == "drift_alarm" else ())


def _smells(p: Planter, device: Device, where: str) -> bool:
    place = p.places[p.fitted[device.code].premises]
    return device.kind == "detector" and place.user_class == where and place.building not in p.leaking


def clocks(p: Planter) -> Iterable[Fault]:
    """Clocks that lose seconds every day, that missed the end of summer time, and that run far ahead.

    What runs more than ten minutes ahead of ours is refused on arrival, so nothing is heard of such a meter.
    """
    for device in p.take("clock_slow", p.plan.hard.get("clock_slow", 0), p.meter):
        fault = on(device, "clock_slow", "clock_drift", p.scattered(0.05, 0.3), p.now, slow_s_a_day=p.between(120, 600))
        yield fault
    for device in p.take("clock_hour_behind", p.plan.hard.get("clock_hour_behind", 0), p.meter):
        yield on(device, "clock_hour_behind", "clock_drift", p.scattered(0.1, 0.6), p.now, behind_s=3600.0)
    for device in p.take("clock_ahead", p.plan.hard.get("clock_ahead", 0), p.meter):
        start = p.scattered(0.2, 0.7)
        ends = replace(
            on(device, "clock_ahead", "device_silent", start, p.now, behind_s=-3600.0), also=("clock_drift",)
        )
        yield ends


def zone_pressure(p: Planter) -> Iterable[Fault]:
    """The pressure falls across a compound within minutes, at every fine meter of it, and comes back an hour later."""
    compound_of = {building.code: building.compound for building in p.city.buildings}
    meters: dict[str, list[Device]] = {}
    for device in p.city.devices:
        if p.meter(device) and device.code in p.free and (device.pulse_ml or 0) < 10_000:
            meters.setdefault(compound_of[p.building(device)], []).append(device)
    compounds = [code for code, found in meters.items() if len(found) >= 6]
    for index in p.rng.permutation(len(compounds))[: p.plan.hard.get("zone_pressure", 0)]:
        devices = tuple(device.code for device in meters[compounds[index]])
        p.free -= set(devices)
        start = p.scattered(0.15, 0.9)
        end = start + timedelta(hours=p.between(0.5, 2))
        yield Fault(
            "zone_pressure", "zone_pressure_fall", True, ("compound", compounds[index]), start, end, devices,
            {"pressure_pa": p.between(700, 1_100)}, ("pressure_low", "zone_pressure_fall"),
            (*(("device", code) for code in devices), *_zones_of(p, devices)),
        )  # fmt: skip


def _zones_of(p: Planter, devices: Iterable[str]) -> list[tuple[str, str]]:
    """The gateways of some devices, and their areas: as good a name for what happened there."""
    areas = {gateway.code: gateway.area for gateway in p.city.gateways}
    gateways = sorted({p.device[code].gateway for code in devices})
    return [
        *(("gateway", code) for code in gateways),
        *(("area", area) for area in sorted({areas[code] for code in gateways})),
    ]


PLANTS = (words, nuisances, clocks, zone_pressure)
NAMES = (
    *(word.name for word in WORDS),
    *(f"{name}_{where}" for name in NUISANCES for where in ("household", "commercial")),
    "clock_slow", "clock_hour_behind", "clock_ahead", "zone_pressure",
)  # fmt: skip
