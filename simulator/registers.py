"""What every meter's register shows: true use with the planted faults, quantised and wrapped as the meter does."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from simulator.model import City, Device
from simulator.planter import Fault
from simulator.plants_gas import LARGEST_GROWN_LH
from simulator.usage import Hours, Millilitres, hourly_use

NIGHT = (1, 2, 3, 4)  # local hours in which nobody uses gas, unless planted
HOUR_MAX_ML = 2_200_000  # below Qmax of the smallest meter
PASSES_ML = 60_000  # an hour's flow through a valve that does not hold
RESET_H = 3  # a valve that a leak alarm closed is opened by hand after about so many hours


@dataclass(frozen=True, slots=True)
class Registers:
    """Registers of all meters of a city at the hours `0 .. hours.count`, in millilitres.

    `true_ml[m, h]` never loses gas; `shown(...)` is what the meter tells: whole pulses, back to zero at its wrap.
    `first[m]` and `last[m]` are the hours from and to which the meter is in place.
    """

    hours: Hours
    meters: tuple[Device, ...]
    true_ml: Millilitres
    pulse_ml: Millilitres
    wrap_ml: Millilitres
    first: Millilitres
    last: Millilitres

    def shown(self, first_hour: int, last_hour: int) -> Millilitres:
        """Register values of all meters from one hour to another, both included."""
        true_ml = self.true_ml[:, first_hour : last_hour + 1]
        return np.asarray(true_ml // self.pulse_ml[:, None] * self.pulse_ml[:, None] % self.wrap_ml[:, None])

    def shown_at(self, hour: Millilitres, fraction: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Millilitres:
        """Register values at one moment per meter: an hour and a fraction of it, use being even within the hour."""
        rows = np.arange(len(self.meters))
        begins, ends = self.true_ml[rows, hour], self.true_ml[rows, np.minimum(hour + 1, self.hours.count)]
        true_ml = np.where(ends < begins, ends, begins + ((ends - begins) * fraction).astype(np.int64))
        return np.asarray(true_ml // self.pulse_ml * self.pulse_ml % self.wrap_ml)

    def told(self, row: int, hour: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Millilitres:
        """What one meter's register shows at moments given in hours and fractions, for clocks that are wrong."""
        number = np.arange(self.hours.count + 1)
        true_ml = np.interp(np.clip(hour, 0, self.hours.count), number, self.true_ml[row]).astype(np.int64)
        return np.asarray(true_ml // self.pulse_ml[row] * self.pulse_ml[row] % self.wrap_ml[row])


def read_registers(city: City, faults: Iterable[Fault], hours: Hours, seed: int) -> Registers:
    """Registers of every meter over the hours; the same arguments give the same gas to the millilitre."""
    meters = tuple(device for device in city.devices if device.kind == "meter")
    row_of = {device.code: row for row, device in enumerate(meters)}
    place_of = {place.code: row for row, place in enumerate(city.premises)}
    fitted = city.fitted()
    use = hourly_use(city, hours, seed)[[place_of[fitted[device.code].premises] for device in meters]]
    first, last = np.zeros(len(meters), np.int64), np.full(len(meters), hours.count, np.int64)
    for device in meters:
        fitting, row = fitted[device.code], row_of[device.code]
        first[row] = min(max(0, _full_hour(hours, fitting.installed_at)), hours.count)
        last[row] = hours.count if fitting.removed_at is None else max(0, _full_hour(hours, fitting.removed_at))
        use[row, : first[row]] = 0
        use[row, last[row] :] = 0
    pulse = np.array([device.pulse_ml for device in meters], np.int64)
    wrap = np.array([device.register_wrap_ml or 2**62 for device in meters], np.int64)
    faults = tuple(faults)
    for fault in faults:
        _bend_use(use, row_of, fault, hours)
    true_ml = np.zeros((len(meters), hours.count + 1), np.int64)
    np.cumsum(use, axis=1, out=true_ml[:, 1:])
    true_ml += _starts(city, meters, true_ml, last, seed)[:, None]
    for fault in faults:
        _bend_register(true_ml, row_of, wrap, fault, hours)
    return Registers(hours, meters, true_ml, pulse, wrap, first, last)


def _full_hour(hours: Hours, at: datetime) -> int:
    return hours.index(at)


def _starts(city: City, meters: tuple[Device, ...], true_ml: Millilitres, last: Millilitres, seed: int) -> Millilitres:
    """Registers at the start: 60 to 3,000 m3, zero on a new meter, and on a removed one what its removal note says."""
    rng = np.random.default_rng([seed, 6])
    starts = rng.integers(60 * 10**6, 3_000 * 10**6, len(meters))
    fitted = city.fitted()
    for row, device in enumerate(meters):
        fitting = fitted[device.code]
        if fitting.index_removed_ml is not None:
            starts[row] = fitting.index_removed_ml - true_ml[row, last[row]]
    new = {fitting.premises for fitting in city.installations if fitting.removed_at}
    for row, device in enumerate(meters):
        if fitted[device.code].premises in new and fitted[device.code].removed_at is None:
            starts[row] = 0
    return np.asarray(starts)


def _bend_use(use: Millilitres, row_of: dict[str, int], fault: Fault, hours: Hours) -> None:
    """Change the gas that flows: leaks add, closed valves and absence take away."""
    rows = [row_of[code] for code in fault.devices if code in row_of]
    if not rows:
        return
    row, begin, end = rows[0], max(0, hours.index(fault.start)), min(hours.count, hours.index(fault.end) + 1)
    match fault.name:
        case "micro_leak" | "slow_leak" | "heated_leak" | "left_on":
            use[row, begin:end] += round(fault.values["leak_lh"] * 1000)
        case "leak_below_start":  # it is counted only while the meter turns for something else
            use[row, begin:end][use[row, begin:end] > 0] += round(fault.values["leak_lh"] * 1000)
        case "growing_leak":
            grown = 2 ** (np.arange(end - begin) / fault.values["doubles_in_h"])
            use[row, begin:end] += np.rint(np.minimum(fault.values["leak_lh"] * grown, LARGEST_GROWN_LH) * 1000).astype(
                int
            )
        case "hose_off":
            use[row, begin:end] += round(fault.values["flow_lh"] * 1000)
        case "night_use":
            at_night = np.isin(np.arange(begin, end) % 24, NIGHT)
            use[row, begin:end][at_night] += round(fault.values["night_l"] * 1000)
        case (
            "flow_total_over" | "flow_step_over" | "many_appliances"
        ):  # what the meter says of it: simulator/sayings.py
            use[row, begin : begin + 1] += round(fault.values["hour_l"] * 1000)
        case "usage_jump":
            use[row, begin:end] = np.minimum(use[row, begin:end] * fault.values["factor"], HOUR_MAX_ML)
        case "runs_backwards":
            use[row, begin:end] = -round(fault.values["flow_lh"] * 1000)
        case "pass_through":
            use[row, begin + 1 : end] = PASSES_ML
        case "flow_valve_closed":
            use[row, begin + 1 : end] = round(fault.values["flow_lh"] * 1000)
        case "valve_closed_idle" | "valve_by_meter" | "seismic":
            use[row, begin + 1 : end] = 0
        case "holiday" | "long_no_use" | "journey":
            use[row, begin:end] = 0
        case "leak_alarm":
            use[row, begin + 1 : end + RESET_H] = 0


def _bend_register(
    true_ml: Millilitres, row_of: dict[str, int], wrap_ml: Millilitres, fault: Fault, hours: Hours
) -> None:
    """Change what is counted: a register that falls, or that comes to its last figure."""
    if fault.name not in ("index_backwards", "register_wrap", "register_leap", "unrecorded_swap", "stuck_register"):
        return
    row, hour = row_of[fault.devices[0]], hours.index(fault.start)
    match fault.name:
        case "index_backwards":
            true_ml[row, hour:] -= round(fault.values["drop_ml"])
        case "register_leap":
            true_ml[row, hour:] += round(fault.values["leap_ml"])
        case "unrecorded_swap":
            true_ml[row, hour:] -= true_ml[row, hour]
        case "stuck_register":
            true_ml[row, hour:] = true_ml[row, hour]
        case _:
            true_ml[row] += wrap_ml[row] - true_ml[row, hour]
