"""Hard plants in the gas itself: leaks of every size, gas left on, use out of habit, registers that lie.

A diaphragm meter does not turn below its starting flow, about 3 L/h on G1.6 and 5 L/h on G2.5 and G4 (general
knowledge, no source found): a smaller leak moves the register only while something else burns, so nothing can show it.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np

from simulator.model import Device
from simulator.planter import Fault, Planter, harmless, on
from simulator.usage import BURN_L, HEATING_BELOW_C, outdoor_temperature

STARTING_FLOW_LH = {"G1.6": 3.0, "G2.5": 5.0, "G4": 5.0}
DOUBLES_IN_H = 240.0
"""A growing leak doubles in ten days."""

LARGEST_GROWN_LH = 200.0
PAUSES_SEEN_H = 30.0
"""Whole hours of pause since a leak began that heating must have for it to be seen alone: a few nights' worth."""

CONTINUOUS = ("continuous_use_small", "continuous_use_medium", "continuous_use_large")
"""The rules of steady use, one a band of flow: up to 200 L/h, up to 1,000 L/h, above."""
_LEAK_ALSO = (*CONTINUOUS, "unusual_use", "night_flow", "zone_loss")


def starting_flow_lh(meter: Device) -> float:
    """The flow below which a meter stands still."""
    return STARTING_FLOW_LH.get(meter.meter_class or "", 5.0)


def leaks(p: Planter) -> Iterable[Fault]:
    """Constant leaks from just above the starting flow up to 120 L/h, whatever the home and the meter are like."""
    for device in p.take("slow_leak", p.plan.hard.get("slow_leak", 0), p.lived_in):
        yield _leak(p, device, "slow_leak", p.ranging(starting_flow_lh(device) * 1.1, 120))
    for device in p.take("heated_leak", p.plan.hard.get("heated_leak", 0), lambda d: _heated_for_days(p, d)):
        yield _leak(p, device, "heated_leak", p.ranging(8, 80))
    for device in p.take("leak_below_start", p.plan.hard.get("leak_below_start", 0), p.lived_in):
        leak_lh = p.between(0.5, 0.9) * starting_flow_lh(device)
        why = f"{leak_lh:.1f} L/h is below the starting flow of a {device.meter_class} meter: it stands still"
        yield replace(_leak(p, device, "leak_below_start", leak_lh), undetectable=why, alert=False)


def _leak(p: Planter, device: Device, name: str, leak_lh: float) -> Fault:
    start = p.scattered(0.05, 0.7)
    fault = replace(on(device, name, "micro_leak", start, p.now, leak_lh=leak_lh), also=_LEAK_ALSO)
    pauses_h = _heating_pauses_h(p, device, start)
    if pauses_h is None or pauses_h >= PAUSES_SEEN_H:
        return fault
    why = f"the heating pauses for about {pauses_h:.1f} whole hours since it began: its flow is never seen alone"
    return replace(fault, alert=False, undetectable=why)


def _heating_pauses_h(p: Planter, device: Device, start: datetime) -> float | None:
    """Whole hours without a burn that heating on for days has from a moment until the end of the history, on average.

    None where nobody heats for days. A burn comes at random, the more often the colder it is (simulator/usage.py).
    """
    habits = p.city.habits[p.fitted[device.code].premises]
    if habits.heating != "constant":
        return None
    temperature_c = outdoor_temperature(p.hours, p.seed, p.city.weather_swing_c)[p.hours.index(start) :]
    burns = habits.heat_lh_per_k * np.maximum(HEATING_BELOW_C - temperature_c, 0) / BURN_L
    return float(np.exp(-burns).sum())


def _heated_for_days(p: Planter, device: Device) -> bool:
    return p.lived_in(device) and p.city.habits[p.fitted[device.code].premises].heating == "constant"


def growing_leaks(p: Planter) -> Iterable[Fault]:
    """Leaks that begin at the starting flow and double in ten days, up to 200 L/h."""
    for device in p.take("growing_leak", p.plan.hard.get("growing_leak", 0), p.lived_in):
        start, first_lh = p.scattered(0.05, 0.55), starting_flow_lh(device) * 1.05
        if (pauses_h := _heating_pauses_h(p, device, start)) is not None and pauses_h < PAUSES_SEEN_H:
            continue  # another home's: what heating hides is planted by name
        fault = on(device, "growing_leak", "micro_leak", start, p.now, leak_lh=first_lh, doubles_in_h=DOUBLES_IN_H)
        yield replace(fault, also=_LEAK_ALSO)


def left_on(p: Planter) -> Iterable[Fault]:
    """A hose that came off, which passes more than the meter is made for, and a burner forgotten for a day or two."""
    for device in p.take("hose_off", p.plan.hard.get("hose_off", 0), p.meter):
        start, qmax_lh = p.scattered(0.1, 0.9), device.qmax_lh or 4_000.0
        end = start + timedelta(hours=p.between(2, 8))
        fault = on(device, "hose_off", "load_exceeded", start, end, flow_lh=qmax_lh * p.between(1.6, 1.9))
        yield replace(
            fault, also=("unusual_use", *CONTINUOUS, "night_flow", "total_flow_high", "zone_loss", "index_step")
        )
    for device in p.take("left_on", p.plan.hard.get("left_on", 0), p.meter):
        start = p.scattered(0.1, 0.9)
        end = start + timedelta(hours=p.between(36, 72))
        small = p.rng.random() < 0.5
        rule = CONTINUOUS[0 if small else 1]
        flow_lh = p.between(90, 170) if small else p.between(240, 400)
        fault = on(device, "left_on", rule, start, end, leak_lh=flow_lh)
        yield replace(fault, also=(*CONTINUOUS, "unusual_use", "night_flow", "load_exceeded"))


def out_of_habit(p: Planter) -> Iterable[Fault]:
    """Use at night where nobody used gas at night, and twice to four times the usual use without a cold spell."""
    for device in p.take("night_use", p.plan.hard.get("night_use", 0), lambda d: p.meter(d) and _sleeps(p, d)):
        start = p.scattered(0.5, 0.75)
        fault = on(device, "night_use", "night_flow", start, p.now, night_l=p.between(120, 350))
        yield replace(fault, also=("unusual_use", *CONTINUOUS, "micro_leak"))
    for device in p.take("usage_jump", p.plan.hard.get("usage_jump", 0), lambda d: p.meter(d) and _sleeps(p, d)):
        start = p.scattered(0.6, 0.75)
        fault = on(device, "usage_jump", "unusual_use", start, p.now, factor=p.between(3, 5))
        yield replace(fault, also=("night_flow", *CONTINUOUS, "load_exceeded"))


def _sleeps(p: Planter, device: Device) -> bool:
    habits = p.city.habits[p.fitted[device.code].premises]
    return not habits.night_shift and habits.heating == "none"


def nobody_there(p: Planter) -> Iterable[Fault]:
    """No use for more than a month where somebody lives, and journeys of two to three weeks, nobody's business."""
    days = p.hours.count / 24
    if days >= 50:
        for device in p.take("long_no_use", p.plan.hard.get("long_no_use", 0), p.meter):
            start = p.scattered(0.05, 1 - 42 / days)
            yield replace(
                on(device, "long_no_use", "long_no_use", start, p.now), also=("unusual_use", "register_frozen")
            )
    for device in p.take("journey", p.plan.hard.get("journey", 0), p.meter):
        start = p.scattered(0.1, 0.6)
        end = start + timedelta(days=p.between(14, 22))
        yield replace(harmless(device, "journey", "long_no_use", start, end))


def lying_registers(p: Planter) -> Iterable[Fault]:
    """Registers that stand still while gas burns, leap, run backwards slowly, or are another meter's."""
    for device in p.take("stuck_register", p.plan.hard.get("stuck_register", 0), lambda d: _tells_flow(p, d)):
        fault = on(device, "stuck_register", "stuck_flow", p.scattered(0.1, 0.6), p.now)
        yield replace(fault, also=("long_no_use", "register_frozen"))
    for device in p.take("register_leap", p.plan.hard.get("register_leap", 0), p.meter):
        start = p.hours.at(p.day(3, 2) * 24 + int(p.rng.integers(2, 23)))
        fault = on(device, "register_leap", "index_step", start, p.now, leap_ml=float(p.rng.integers(60, 900) * 10**6))
        yield replace(fault, also=("unusual_use", "load_exceeded", "total_flow_high", "index_backwards"))
    for device in p.take("unrecorded_swap", p.plan.hard.get("unrecorded_swap", 0), p.meter):
        start = p.hours.at(p.day(3, 2) * 24 + int(p.rng.integers(9, 18)))
        fault = on(device, "unrecorded_swap", "index_backwards", start, p.now)
        yield replace(fault, also=("index_step",))
    for device in p.take("runs_backwards", p.plan.hard.get("runs_backwards", 0), lambda d: p.meter(d) and _fine(d)):
        start = p.hours.at(p.day(3, 3) * 24 + int(p.rng.integers(2, 23)))
        end = start + timedelta(hours=p.between(5, 20))
        fault = on(device, "runs_backwards", "reverse_flow", start, end, flow_lh=p.between(20, 120))
        yield replace(fault, also=("index_backwards",))


def _fine(device: Device) -> bool:
    return (device.pulse_ml or 0) < 10_000


def _tells_flow(p: Planter, device: Device) -> bool:
    return p.meter(device) and _fine(device)


PLANTS = (leaks, growing_leaks, left_on, out_of_habit, nobody_there, lying_registers)
NAMES = (
    "slow_leak", "heated_leak", "leak_below_start", "growing_leak", "hose_off", "left_on", "night_use", "usage_jump",
    "long_no_use", "journey", "stuck_register", "register_leap", "unrecorded_swap", "runs_backwards",
)  # fmt: skip
