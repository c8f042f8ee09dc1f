"""Named faults planted in a city, and harmless things that look like them: the truth that rules are scored on."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from datetime import date, datetime, time, timedelta
from typing import Any

from simulator import plants_gas, plants_outages, plants_words
from simulator.model import City, Device
from simulator.planter import Fault, Plan, Planter, harmless, on
from simulator.usage import hours_until

__all__ = ["HARD", "RULES", "Fault", "Plan", "plan_faults", "truth_json"]

RULES = (
    "leak_alarm",
    "building_leaks",
    "flow_valve_closed",
    "micro_leak",
    "index_backwards",
    "device_silent",
    "gateway_silent",
)
HARD = frozenset({*plants_gas.NAMES, *plants_words.NAMES, *plants_outages.NAMES, "assets"})
"""What `Plan.hard` may count."""


def plan_faults(city: City, now: datetime, seed: int, days: int = 12, plan: Plan | None = None) -> tuple[Fault, ...]:
    """Choose subjects and times, no subject twice, the same for the same arguments.

    Raises ValueError when the city is too small for the plan or the history shorter than eight days.
    """
    if days < 8:
        raise ValueError(f"days: the planted faults need at least 8 days of history, not {days}")
    plan = plan or Plan()
    if unknown := plan.hard.keys() - HARD:
        raise ValueError(f"hard: {min(unknown)} is no plant of {', '.join(sorted(HARD))}")
    planter = Planter(city, hours_until(now, days, city.utc_offset_h), now, seed, plan)
    return tuple(fault for plant in _PLANTS for fault in plant(planter))


def _gateway_silent(p: Planter) -> Iterable[Fault]:
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


def _building_leaks(p: Planter) -> Iterable[Fault]:
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


def _leak(p: Planter, detector: Device, start: datetime, level: int) -> Fault:
    end = start + timedelta(seconds=float(p.rng.uniform(900, 3600))) if p.plan.spread else p.now
    fault = on(detector, "leak_alarm", "leak_alarm", start, end, level=level, peak_lel_pct=float(p.rng.uniform(22, 45)))
    meter = p.meter_of(detector)
    if meter is None:
        return fault
    closes = {"also": ("valve_self_closed",), "others": (("device", meter),)}
    return replace(fault, devices=(*fault.devices, meter), **closes)  # type: ignore[arg-type]


def _leaks(p: Planter) -> Iterable[Fault]:
    """Single leaks, one a building, every third only past the low set-point."""
    for number in range(p.plan.leak_alarm):
        (device,) = p.take("leak_alarm", 1, lambda d: d.kind == "detector" and p.building(d) not in p.leaking)
        p.leaking.add(p.building(device))
        yield _leak(p, device, p.moment((60, 200)), 1 if number % 3 == 2 else 2)


def _valves(p: Planter) -> Iterable[Fault]:
    """A valve closes: gas flows on (fault), or it does not (harmless)."""
    wanted = p.plan.flow_valve_closed
    chosen = p.take("flow_valve_closed", wanted + p.plan.valve_closed_idle, lambda d: p.meter(d) and d.has_valve)
    for number, device in enumerate(chosen):
        start = p.moment((2.5 * 86_400, 4 * 86_400))
        if number < wanted:
            flow_lh = float(p.rng.uniform(30, 80))
            fault = on(device, "flow_valve_closed", "flow_valve_closed", start, p.now, flow_lh=flow_lh)
            yield replace(fault, also=("micro_leak", *plants_gas.CONTINUOUS, "night_flow"))
        else:
            yield harmless(device, "valve_closed_idle", "flow_valve_closed", start, p.now)


def _micro_leaks(p: Planter) -> Iterable[Fault]:
    """A constant 6-20 L/h, on pulse meters and fine meters in turn."""
    for number in range(p.plan.micro_leak):
        fine = bool(number % 2)
        suits = (
            (lambda d: p.meter(d) and d.pulse_ml < 10_000) if fine else (lambda d: p.meter(d) and d.pulse_ml >= 10_000)
        )
        (device,) = p.take("micro_leak", 1, suits)
        hour = int(p.rng.uniform(0, 0.6) * p.hours.count) if p.plan.spread else 0
        leak_lh = float(p.rng.uniform(6, 20))
        yield on(device, "micro_leak", "micro_leak", p.hours.at(hour), p.now, leak_lh=leak_lh)


def _backwards(p: Planter) -> Iterable[Fault]:
    """The register falls by 2-50 m3 at a full hour of a reported day."""
    for device in p.take("index_backwards", p.plan.index_backwards, p.meter):
        day = p.day(1, 1) if p.plan.spread else p.day(p.hours.count // 24 - 4, 1)
        start = p.hours.at(day * 24 + int(p.rng.integers(2, 23)))
        yield on(
            device, "index_backwards", "index_backwards", start, p.now, drop_ml=float(p.rng.integers(2, 50) * 10**6)
        )


def _silent(p: Planter) -> Iterable[Fault]:
    """A device says nothing more; every third is a detector."""
    for number in range(p.plan.device_silent):
        (device,) = p.take("device_silent", 1, p.meter if number % 3 < 2 else lambda d: d.kind == "detector")
        start = p.moment((4.2 * 86_400, 6 * 86_400))
        end = min(p.now, start + timedelta(days=float(p.rng.uniform(6, 20)))) if p.plan.spread else p.now
        yield on(device, "device_silent", "device_silent", start, end)


def _detector_noise(p: Planter) -> Iterable[Fault]:
    """Self-tests, and cooking or steam that stays below the set-point."""
    chosen = p.take("self_test", p.plan.self_test + p.plan.excursion, lambda d: d.kind == "detector")
    for number, device in enumerate(chosen):
        name = "self_test" if number < p.plan.self_test else "excursion"
        start = p.moment((300, 3_000))
        peak = float((device.warn_lel_pct or 8.0) * p.rng.uniform(0.5, 0.85))
        yield harmless(device, name, "leak_alarm", start, start + timedelta(minutes=10), peak_lel_pct=peak)


def _reports(p: Planter) -> Iterable[Fault]:
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
            yield harmless(
                device, name, rule, p.hours.at(day * 24 + hour), p.hours.at(day * 24 + hour + length),
                day=day, hour=hour, hours=length, delay_d=delay_d,
            )  # fmt: skip


def _registers(p: Planter) -> Iterable[Fault]:
    """A register that returns to zero where it must, and homes where nobody is for days."""
    for device in p.take("register_wrap", p.plan.register_wrap, p.meter):
        at = p.hours.at(p.day(3, 2) * 24 + 12)
        yield harmless(device, "register_wrap", "index_backwards", at, at + timedelta(hours=1))
    for device in p.take("holiday", p.plan.holiday, p.meter):
        first = p.hours.at(int(p.rng.integers(1, max(2, p.hours.count // 24 - 6))) * 24)
        yield harmless(device, "holiday", "device_silent", first, first + timedelta(days=8))


def _city_traits(p: Planter) -> Iterable[Fault]:
    """What the city has by itself: pilot flames, swapped meters."""
    for device in p.city.devices:
        fitting = p.fitted[device.code]
        if device.kind == "meter" and p.city.habits[fitting.premises].pilot_lh > 0:
            pilot_lh = p.city.habits[fitting.premises].pilot_lh
            yield harmless(device, "pilot_flame", "micro_leak", p.hours.start, p.now, pilot_lh=pilot_lh)
        if fitting.removed_at:
            yield harmless(device, "meter_swap", "device_silent", fitting.removed_at, p.now)


def _flaps(p: Planter) -> Iterable[Fault]:
    """A gateway loses its connection and is back at once: the old session's will means nothing."""
    for _ in range(min(p.plan.gateway_flap, len(p.gateways))):
        code = p.gateways.pop(int(p.rng.integers(0, len(p.gateways))))
        start = p.midnight - timedelta(days=1, seconds=float(p.rng.uniform(0, 40_000)))
        yield Fault("gateway_flap", "gateway_silent", False, ("gateway", code), start, start + timedelta(minutes=2), ())


def _expired(p: Planter) -> Iterable[Fault]:
    """Devices past their time by now: meters of homes after ten years, detectors after five (when assets count)."""
    if not p.plan.hard.get("assets"):
        return
    for device in p.city.devices:
        years, rule = (10, "meter_past_life") if device.kind == "meter" else (5, "detector_past_life")
        fitted = p.fitted[device.code]
        at_home = p.places[fitted.premises].user_class == "household"  # the ten years are those of household meters
        if device.made_on is None or fitted.removed_at or not (at_home or device.kind == "detector"):
            continue
        ends = datetime.combine(_years_after(device.made_on, years), time(), p.now.tzinfo)
        if ends < p.now:
            yield on(device, "expired", rule, max(ends, p.hours.start), p.now)


def _years_after(day: date, years: int) -> date:
    return day.replace(year=day.year + years, day=min(day.day, 28))


_PLANTS: tuple[Callable[[Planter], Iterable[Fault]], ...] = (
    plants_outages.dark_buildings,
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
    *plants_outages.PLANTS,
    *plants_gas.PLANTS,
    *plants_words.PLANTS,
    _expired,
)


def truth_json(city: City, faults: Iterable[Fault], now: datetime, seed: int, days: int) -> dict[str, Any]:
    """The ground truth as written to a file: every plant with its subject, where it is, and whether it must alert."""
    faults = tuple(faults)
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
        "rules": list(dict.fromkeys([*RULES, *(fault.rule for fault in faults if fault.alert)])),
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
