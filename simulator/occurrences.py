"""Event messages and single readings that planted faults make devices send, outside the daily routine."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Final

import numpy as np

from simulator.model import City, Device
from simulator.occurrence import Occurrence, alarm, valve
from simulator.planter import Fault
from simulator.registers import RESET_H
from simulator.sayings import VALVES_SHUT, say

VALVE_CLOSED: Final = 1
CUT_S: Final = 8  # a detector's contact closes the meter's valve within 10 s


def occurrences(faults: Iterable[Fault], city: City, now: datetime, seed: int) -> Iterator[Occurrence]:
    """Everything the faults make devices say up to `now`, fault by fault."""
    devices = {device.code: device for device in city.devices}
    for number, fault in enumerate(faults):
        rng = np.random.default_rng([seed, 8, number])
        match fault.name:
            case "leak_alarm":
                yield from leak(fault, devices[fault.devices[0]], rng)
            case "self_test":
                yield from _self_test(fault, devices[fault.devices[0]])
            case "excursion":
                yield from _excursion(fault, rng)
            case "flow_valve_closed" | "valve_closed_idle":
                yield Occurrence(fault.start, fault.devices[0], "events", valve("closed", "remote"))
            case _:
                for code in fault.devices:
                    if fault.subject[0] in ("device", "compound"):
                        yield from say(fault, devices[code], now, rng)


def leak(fault: Fault, detector: Device, rng: np.random.Generator) -> Iterator[Occurrence]:
    """A rising concentration, the low and perhaps the high alarm, the valve, and the clearing when it has an end."""
    warn, high = detector.warn_lel_pct or 8.0, detector.alarm_lel_pct or 20.0
    code, peak = detector.code, max(fault.values["peak_lel_pct"], high * 1.1)
    rising = round(warn * float(rng.uniform(0.4, 0.7)), 1)
    yield Occurrence(fault.start - timedelta(seconds=20), code, "readings", {"lel_pct": rising, "status": 0})
    yield Occurrence(fault.start, code, "events", alarm("raised", 1, round(warn * float(rng.uniform(1.02, 1.3)), 1)))
    closing = fault.start + timedelta(seconds=CUT_S)
    if fault.values["level"] == 2:
        yield Occurrence(fault.start + timedelta(seconds=25), code, "events", alarm("raised", 2, round(peak, 1)))
        closing += timedelta(seconds=25)
    for meter in fault.devices[1:]:
        yield Occurrence(closing, meter, "events", valve("closed", "detector_alarm"))
        yield Occurrence(_opened(fault), meter, "events", valve("open", "local"))
    yield Occurrence(fault.end, code, "events", alarm("cleared", int(fault.values["level"]), 1.5))


def closed_spans(faults: Iterable[Fault], meters: frozenset[str]) -> dict[str, list[tuple[datetime, datetime]]]:
    """When the faults keep a meter's valve closed, by meter."""
    spans: dict[str, list[tuple[datetime, datetime]]] = defaultdict(list)
    for fault in faults:
        if fault.name in ("flow_valve_closed", "valve_closed_idle"):
            spans[fault.devices[0]].append((fault.start, fault.end + timedelta(days=1)))
        elif fault.name in VALVES_SHUT:
            spans[fault.devices[0]].append((fault.start + timedelta(seconds=5), fault.end + timedelta(seconds=7)))
        elif fault.name == "leak_alarm":
            for code in fault.devices:
                if code in meters:
                    spans[code].append((fault.start + timedelta(seconds=CUT_S), _opened(fault)))
    return spans


def _opened(fault: Fault) -> datetime:
    return fault.end + timedelta(hours=RESET_H)


def _self_test(fault: Fault, detector: Device) -> Iterator[Occurrence]:
    level_2 = detector.alarm_lel_pct or 20.0
    raised = alarm("raised", 2, round(level_2 * 1.2, 1)) | {"test": True}
    yield Occurrence(fault.start, detector.code, "events", raised)
    yield Occurrence(
        fault.start + timedelta(seconds=30), detector.code, "events", alarm("cleared", 2, 0.0) | {"test": True}
    )


def _excursion(fault: Fault, rng: np.random.Generator) -> Iterator[Occurrence]:
    """Cooking or steam: up towards the set-point and down again, never past it."""
    peak = fault.values["peak_lel_pct"]
    for minute, share in ((0, 0.4), (2, 1.0), (4, float(rng.uniform(0.5, 0.8))), (8, 0.2)):
        at = fault.start + timedelta(minutes=minute)
        yield Occurrence(at, fault.devices[0], "readings", {"lel_pct": round(peak * share, 1), "status": 0})
