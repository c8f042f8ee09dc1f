"""What hard plants make devices say: events, status bits and single readings, by the name of the plant.

A body that tells its register as None gets the true one where the message is written (simulator/messages.py).
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np

from simulator.model import Device
from simulator.occurrence import Occurrence, alarm, valve
from simulator.planter import Fault
from simulator.plants_words import NUISANCES

STATUS_BITS: Final[Mapping[str, int]] = {
    "low_battery": 4, "tamper": 8, "magnet": 16, "runs_backwards": 32, "metering_fault": 64, "detector_cut": 128,
    "detector_warm_up": 1024, "detector_fault": 4096, "end_of_life": 8192,
}  # fmt: skip
"""Bits that reports and heartbeats carry as long as the fault lasts (docs/payloads.md)."""

EVENT_OF: Final[Mapping[str, str]] = {
    "co_alarm": "co_alarm", "low_battery": "low_battery", "tamper": "tamper", "magnet": "magnet",
    "runs_backwards": "reverse_flow", "metering_fault": "metering_fault", "detector_cut": "detector_cut",
    "detector_warm_up": "warming_up", "detector_fault": "fault", "end_of_life": "end_of_life",
    "service_test": "tamper", "seismic_test": "seismic", "seismic": "seismic",
}  # fmt: skip
SELF_CLOSING: Final = ("large_flow", "continuous_flow", "pressure_low", "micro_flow")
VALVES_SHUT: Final = ("valve_by_meter", "seismic", "pass_through", "hold_test_failed", "hold_test_passed")
_EVERY: Final = timedelta(minutes=10)


def say(fault: Fault, device: Device, now: datetime, rng: np.random.Generator) -> Iterator[Occurrence]:
    """Everything that one device says because of one hard plant; nothing for plants that only change the gas."""
    if fault.name in EVENT_OF:
        yield from _raised(fault, device, now)
    if fault.name in VALVES_SHUT:
        yield from _shut(fault, device)
    if fault.name.startswith(("pressure_", "flow_", "many_")) or fault.name in ("zone_pressure", "stuck_register"):
        yield from _measured(fault, device, rng)
    if fault.name in NUISANCES:
        yield from _nuisance(fault, device, rng)


def _raised(fault: Fault, device: Device, now: datetime) -> Iterator[Occurrence]:
    body: dict[str, Any] = {"event": EVENT_OF[fault.name], "state": "raised"}
    if fault.name in ("co_alarm", "low_battery"):
        body["level"] = 2 if fault.name == "co_alarm" else 1
    if fault.name.endswith("_test"):
        body["test"] = True
    yield Occurrence(fault.start, device.code, "events", body)
    if fault.end < now:
        yield Occurrence(fault.end, device.code, "events", body | {"state": "cleared"})


def _shut(fault: Fault, device: Device) -> Iterator[Occurrence]:
    """The valve closes, perhaps in vain, and is opened by hand in the end; a hold test tells its result between."""
    cause = "remote"
    if fault.name == "valve_by_meter":
        cause = SELF_CLOSING[int(fault.values["level"] * len(SELF_CLOSING)) % len(SELF_CLOSING)]
    elif fault.name == "seismic":
        cause = "seismic"
    yield Occurrence(fault.start + timedelta(seconds=5), device.code, "events", valve("closed", cause))
    if fault.name.startswith("hold_test"):
        state = "abnormal" if fault.name == "hold_test_failed" else "normal"
        middle = fault.start + (fault.end - fault.start) / 2
        yield Occurrence(middle, device.code, "events", {"event": "hold_test", "state": state})
    if fault.name == "pass_through":
        for minutes, event in ((45, "flow_valve_closed"), (100, "pass_through")):
            at = fault.start + timedelta(minutes=minutes)
            yield Occurrence(at, device.code, "events", {"event": event, "state": "raised"})
    yield Occurrence(fault.end + timedelta(seconds=7), device.code, "events", valve("open", "local"))


def _measured(fault: Fault, device: Device, rng: np.random.Generator) -> Iterator[Occurrence]:
    """Single readings of pressure or flow; the meter's own event where it has one."""
    if fault.name in ("pressure_high", "pressure_low"):
        for at, state in ((fault.start + timedelta(seconds=20), "raised"), (fault.end, "cleared")):
            yield Occurrence(at, device.code, "events", {"event": fault.name, "state": state})
    for at, body in _readings(fault, device, rng):
        yield Occurrence(at, device.code, "readings", body)


def _readings(fault: Fault, device: Device, rng: np.random.Generator) -> Iterator[tuple[datetime, dict[str, Any]]]:
    qmax_lh = device.qmax_lh or 4_000.0
    minute = timedelta(minutes=1)
    match fault.name:
        case "pressure_high" | "pressure_low" | "pressure_in_range":
            low, high = {"pressure_high": (4_000, 9_000), "pressure_low": (250, 650)}.get(fault.name, (1_600, 2_900))
            for number in range(int((fault.end - fault.start) / _EVERY)):
                yield fault.start + number * _EVERY, {"pressure_pa": int(rng.integers(low, high))}
        case "zone_pressure":
            yield from _falling(fault, rng)
        case "flow_total_over" | "flow_step_over" | "many_appliances":
            share = {"flow_total_over": (1.85, 2.3), "flow_step_over": (1.5, 1.7)}.get(fault.name, (0.9, 1.25))
            before = 0.4 if fault.name == "many_appliances" else 0.02
            yield fault.start - minute, {"flow_lh": round(qmax_lh * before, 1)}
            for number in range(3):
                flow_lh = round(qmax_lh * float(rng.uniform(*share)), 1)
                yield fault.start + number * minute, {"flow_lh": flow_lh}
        case "stuck_register":
            for day in range((fault.end - fault.start).days):
                at = fault.start + timedelta(days=day, minutes=float(rng.uniform(5, 55)))
                for minutes in (0, 15, 30):
                    flow_lh = round(float(rng.uniform(90, 320)), 1)
                    yield at + timedelta(minutes=minutes), {"index_ml": None, "flow_lh": flow_lh}


def _falling(fault: Fault, rng: np.random.Generator) -> Iterator[tuple[datetime, dict[str, Any]]]:
    """The usual pressure until a few minutes before, then less and less, and the usual one again."""
    lowest_pa = fault.values["pressure_pa"] * float(rng.uniform(0.9, 1.1))
    jitter = timedelta(seconds=float(rng.uniform(0, 90)))
    for minutes, pa in ((-30, 2_050), (-15, 2_010), (0, 1_700), (3, 1_300), (6, lowest_pa), (15, lowest_pa)):
        yield fault.start + timedelta(minutes=minutes) + jitter, {"pressure_pa": int(pa)}
    yield fault.end + jitter, {"pressure_pa": 2_020}


def _nuisance(fault: Fault, detector: Device, rng: np.random.Generator) -> Iterator[Occurrence]:
    """Up past the set-point without a leak, and down again: once, or as often as a drifting sensor does it."""
    warn = detector.warn_lel_pct or 8.0
    level = int(fault.values["level"])
    peak = warn * fault.values["peak_of_warn"]
    if level == 2:
        peak = max(peak, (detector.alarm_lel_pct or 20.0) * 1.05)
    times = int(rng.integers(3, 8)) if fault.name == "drift_alarm" else 1
    span = (fault.end - fault.start) / times
    for number in range(times):
        at = (fault.start + number * span).replace(microsecond=0)
        rising = {"lel_pct": round(warn * float(rng.uniform(0.6, 0.95)), 1), "status": 0}
        yield Occurrence(at - timedelta(seconds=40), detector.code, "readings", rising)
        yield Occurrence(at, detector.code, "events", alarm("raised", 1, round(min(peak, warn * 1.4), 1)))
        if level == 2:
            yield Occurrence(at + timedelta(seconds=30), detector.code, "events", alarm("raised", 2, round(peak, 1)))
        ends = (at + span * float(rng.uniform(0.3, 0.8))).replace(microsecond=0) + timedelta(seconds=45)
        yield Occurrence(ends, detector.code, "events", alarm("cleared", level, round(warn * 0.3, 1)))
