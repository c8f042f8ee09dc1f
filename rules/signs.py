"""What each kind of event rule reads in a sample: holds, is over, or says nothing. Pure.

One entry of SIGNS per kind: the reader, and which events, status bits and reason codes can ever matter to it, so that
the database hands over only devices that may concern a rule.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from rules.model import Rule
from rules.told import BLIND, SILENT, Reader, Sign, Status, Teller, Told

BY_PERSON = frozenset({"remote", "local"})
"""Causes with which a valve was closed because somebody asked for it."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where signs of a kind come from: its reader, and what of a device can begin its condition."""

    read: Reader
    events: frozenset[str] = frozenset()
    status: int = 0
    reasons: frozenset[int] = frozenset()
    measures: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Words:
    """A condition that a device asserts itself: by an event, a status bit, or the reason of a report.

    `said_of`: other words for some of the events. `valve_stays_open`: a report that tells it with the valve closed is
    about the closing, which has a rule of its own.
    """

    says: str
    events: tuple[str, ...] = ()
    status: int = 0
    reasons: tuple[int, ...] = ()
    device_kind: str | None = None
    high_level: bool = False
    said_of: Mapping[str, str] = field(default_factory=dict)
    valve_stays_open: bool = False

    def read(self, rule: Rule, teller: Teller, told: Told) -> Sign:
        """Holds on the event, bit or reason; over when the event clears or a status word lacks the bit."""
        del rule
        if self.device_kind is not None and teller.device_kind != self.device_kind:
            return SILENT
        if told.kind is not None:
            if told.kind not in self.events:
                return SILENT
            high = self.high_level and told.level == 2
            return Sign(told.state == "raised", high, words=self._said(told))
        if told.reason is not None and told.reason in self.reasons:
            closed = self.valve_stays_open and (told.status or 0) & Status.VALVE_CLOSED
            return SILENT if closed else Sign(True, words=self.says)
        if told.status is None or not self.status:
            return SILENT
        return Sign(bool(told.status & self.status), words=self.says)

    def _said(self, told: Told) -> str:
        says = self.said_of.get(told.kind or "", self.says)
        return f"{says} ({told.cause})" if told.cause else says

    def source(self) -> Source:
        return Source(self.read, frozenset(self.events), self.status, frozenset(self.reasons))


# ---------------------------------------------------------------------------------------------- leak and CO


def leak_reading(rule: Rule, teller: Teller, told: Told) -> Sign:
    """Gas by a detector's own reading: from its low set-point on, over `hysteresis_pct` below it.

    Between the two nothing changes. A detector that warms up or is inhibited measures its own heating or test gas: its
    reading is neither gas nor safe. A faulty one, or one past its life, may still smell gas, but proves no safety.
    """
    if told.kind is not None:
        return SILENT
    status = told.status or 0
    if status & (Status.WARMING_UP | Status.INHIBITED):
        return SILENT
    if status & Status.OVER_RANGE:
        return Sign(True, True, told.lel_pct, "measures more gas than its range")
    if told.lel_pct is None:
        return Sign(True, words="reports for a gas alarm") if told.reason == 10 else SILENT
    low = teller.warn_lel_pct or teller.alarm_lel_pct or rule["set_point_lel_pct"]
    high = min(
        rule["critical_lel_pct"], teller.alarm_lel_pct if teller.warn_lel_pct and teller.alarm_lel_pct else 100.0
    )
    words = f"measures {told.lel_pct:g} %LEL, set-point {low:g}"
    if told.lel_pct >= low:
        return Sign(True, told.lel_pct >= high, told.lel_pct, words)
    if told.lel_pct < low * (1 - rule.hysteresis_pct / 100) and not status & BLIND and teller.leak_state != "raised":
        return Sign(False, False, told.lel_pct, words)
    return SILENT


def co_alarm(rule: Rule, teller: Teller, told: Told) -> Sign:
    """Carbon monoxide, by the device's word; of unknown level it counts as high."""
    del rule, teller
    if told.kind != "co_alarm":
        return SILENT
    return Sign(told.state == "raised", told.level != 1, words="raised a carbon monoxide alarm")


# ---------------------------------------------------------------------------------------------- valve


_GRAVE_CAUSES = frozenset({
    "detector_alarm", "co_alarm", "large_flow", "flow_step", "micro_flow", "flow_valve_closed", "pass_through",
    "hold_test", "seismic", "tamper",
})  # fmt: skip
_REASON_CAUSES = {
    10: "detector_alarm", 11: "detector_cut", 15: "large_flow", 18: "tamper", 3: "magnet", 5: "low_battery",
    6: "low_battery", 9: "metering_fault", 20: "no_use", 21: "pass_through", 23: "micro_flow", 24: "continuous_flow",
    26: "pressure_high", 27: "pressure_low",
}  # fmt: skip


def valve_self_closed(rule: Rule, teller: Teller, told: Told) -> Sign:
    """A valve that closed without anybody asking: the cause decides the rung. Over when the valve is open again.

    A closed valve without a cause may be a command's doing and says nothing.
    """
    del rule, teller
    if told.kind is not None and told.kind != "valve":
        return SILENT
    if told.kind == "valve":
        if told.state == "open":
            return Sign(False)
        cause = told.cause
    else:
        if told.status is None or told.status & Status.VALVE_FAULT:
            return SILENT
        if not told.status & Status.VALVE_CLOSED:
            return Sign(False)
        cause = _REASON_CAUSES.get(told.reason or 0)
    if not cause or cause in BY_PERSON:
        return SILENT
    return Sign(True, cause in _GRAVE_CAUSES, words=f"closed its own valve: {cause.replace('_', ' ')}")


# ---------------------------------------------------------------------------------------------- pressure


def pressure_low(rule: Rule, teller: Teller, told: Told) -> Sign:
    """Below `low_pa` (absolute readings: `low_absolute_pa`); over `hysteresis_pct` above it."""
    del teller
    if told.kind == "pressure_low":
        return Sign(told.state == "raised", words="says that the supply pressure is low")
    if told.kind is None and told.reason == 27 and told.pressure_pa is None:
        return Sign(True, words="reports for low pressure")
    if told.kind is not None or told.pressure_pa is None:
        return SILENT
    raw, absolute = _pressure(rule, told.pressure_pa)
    limit = rule["low_absolute_pa"] if absolute else rule["low_pa"]
    words = f"measures {raw:,.0f} Pa{_ABSOLUTE if absolute else ''}"
    if raw < limit:
        return Sign(True, not absolute and raw < rule["shut_pa"], limit - raw, words)
    back_pa = rule["low_pa"] * rule.hysteresis_pct / 100
    return Sign(False, words=words) if raw >= limit + back_pa else SILENT


def pressure_high(rule: Rule, teller: Teller, told: Told) -> Sign:
    """Above `high_pa` (absolute readings: `high_absolute_pa`); over `hysteresis_pct` below it."""
    del teller
    if told.kind == "pressure_high":
        return Sign(told.state == "raised", words="says that the supply pressure is high")
    if told.kind is None and told.reason == 26 and told.pressure_pa is None:
        return Sign(True, words="reports for high pressure")
    if told.kind is not None or told.pressure_pa is None:
        return SILENT
    raw, absolute = _pressure(rule, told.pressure_pa)
    limit = rule["high_absolute_pa"] if absolute else rule["high_pa"]
    words = f"measures {raw:,.0f} Pa{_ABSOLUTE if absolute else ''}"
    if raw > limit:
        return Sign(True, not absolute and raw > rule["shut_pa"], raw - limit, words)
    back_pa = rule["high_pa"] * rule.hysteresis_pct / 100
    return Sign(False, words=words) if raw <= limit - back_pa else SILENT


_ABSOLUTE = " absolute"


def _pressure(rule: Rule, pressure_pa: int) -> tuple[float, bool]:
    """A pressure as it was sent, and whether it must be absolute."""
    return float(pressure_pa), pressure_pa >= rule["absolute_from_pa"]


# ---------------------------------------------------------------------------------------------- flow


def total_flow_high(rule: Rule, teller: Teller, told: Told) -> Sign:
    """Flow above `factor` times the meter's maximum, or its own word for it; over `hysteresis_pct` below that limit."""
    if told.kind == "large_flow":
        return Sign(told.state == "raised", words="says that its flow is too large")
    if told.kind is not None:
        return SILENT
    if told.flow_lh is None or teller.qmax_lh is None:
        return Sign(True, words="reports for a large flow") if told.reason == 15 else SILENT
    words = f"measures {told.flow_lh:,.0f} L/h, its maximum is {teller.qmax_lh:,.0f}"
    if told.flow_lh > rule["factor"] * teller.qmax_lh:
        return Sign(True, value=told.flow_lh, words=words)
    back_lh = rule["factor"] * teller.qmax_lh * (1 - rule.hysteresis_pct / 100)
    return Sign(False, value=told.flow_lh, words=words) if told.flow_lh <= back_lh else SILENT


# ---------------------------------------------------------------------------------------------- battery, hold test


def low_battery(rule: Rule, teller: Teller, told: Told) -> Sign:
    """Battery low (first step) or about to stop (second): by event, status bit, reason, or voltage where one is set.

    Voltages depend on the cells: a limit of 0 mV is not used.
    """
    del teller
    if told.kind is not None:
        if told.kind != "low_battery":
            return SILENT
        lost = told.level == 2
        return Sign(told.state == "raised", lost, words="says that its battery is about to stop" if lost else _BATTERY)
    volts = "" if told.battery_mv is None else f" ({told.battery_mv} mV)"
    lost_mv = rule["lost_mv"] > 0 and told.battery_mv is not None and told.battery_mv < rule["lost_mv"]
    if told.reason == 6 or lost_mv:
        return Sign(True, True, words=f"is about to stop for want of battery{volts}")
    low_mv = rule["low_mv"] > 0 and told.battery_mv is not None and told.battery_mv < rule["low_mv"]
    if told.reason == 5 or low_mv or (told.status or 0) & Status.BATTERY_LOW:
        return Sign(True, words=f"{_BATTERY}{volts}")
    return SILENT if told.status is None else Sign(False)


_BATTERY = "says that its battery is low"


def hold_test(rule: Rule, teller: Teller, told: Told) -> Sign:
    """The pressure-hold test of a home's pipes: abnormal holds high, interrupted holds low, normal ends it."""
    del rule, teller
    if told.kind != "hold_test":
        return SILENT
    if told.state == "abnormal":
        return Sign(True, True, words="lost pressure in its hold test")
    if told.state == "interrupted":
        return Sign(True, words="broke its hold test off: nothing is known of the pipes")
    return Sign(False)


# ---------------------------------------------------------------------------------------------- the registry


def _meter(says: str, **where: object) -> Source:
    return _Words(says, device_kind="meter", **where).source()  # type: ignore[arg-type]


def _detector(says: str, **where: object) -> Source:
    return _Words(says, device_kind="detector", **where).source()  # type: ignore[arg-type]


SIGNS: Mapping[str, Source] = MappingProxyType(
    {
        "leak_alarm": Source(
            leak_reading, status=Status.OVER_RANGE, reasons=frozenset({10}), measures=frozenset({"lel_pct"})
        ),
        "co_alarm": Source(co_alarm, frozenset({"co_alarm"})),
        "detector_fault": _detector("says that it is faulty", events=("fault",), status=Status.DETECTOR_FAULT),
        "detector_disconnected": _Words(
            "says that its detector is cut off", ("detector_cut",), Status.DETECTOR_CUT, (11,)
        ).source(),
        "detector_end_of_life": _detector(
            "says that its sensor is past its life", events=("end_of_life",), status=Status.END_OF_LIFE
        ),
        "detector_not_watching": _detector(
            "is warming up or inhibited",
            events=("warming_up", "inhibited"),
            status=Status.WARMING_UP | Status.INHIBITED,
        ),
        "valve_self_closed": Source(
            valve_self_closed, frozenset({"valve"}), Status.VALVE_CLOSED, frozenset(_REASON_CAUSES)
        ),
        "pressure_low": Source(
            pressure_low, frozenset({"pressure_low"}), reasons=frozenset({27}), measures=frozenset({"pressure_pa"})
        ),
        "pressure_high": Source(
            pressure_high, frozenset({"pressure_high"}), reasons=frozenset({26}), measures=frozenset({"pressure_pa"})
        ),
        "tamper": _Words(
            "says that it was tampered with",
            ("tamper", "tilt"),
            Status.TAMPER,
            (18,),
            said_of={"tilt": "says that it was tilted"},
        ).source(),
        "magnet": _Words("says that a magnet is at it", ("magnet",), Status.MAGNET, (3,)).source(),
        "reverse_flow": _Words("says that gas flows backwards", ("reverse_flow",), Status.REVERSE_FLOW, (25,)).source(),
        "low_battery": Source(
            low_battery, frozenset({"low_battery"}), Status.BATTERY_LOW, frozenset({5, 6}), frozenset({"battery_mv"})
        ),
        "total_flow_high": Source(
            total_flow_high, frozenset({"large_flow"}), reasons=frozenset({15}), measures=frozenset({"flow_lh"})
        ),
        "meter_micro_flow": _meter(
            "suspects a leak: a small flow that never stops",
            events=("micro_flow",),
            reasons=(23,),
            valve_stays_open=True,
        ),
        "meter_continuous_flow": _meter(
            "says that gas has flowed for longer than it is set to",
            events=("continuous_flow",),
            reasons=(24,),
            valve_stays_open=True,
        ),
        "meter_flow_valve_closed": _meter("counted gas through its closed valve", events=("flow_valve_closed",)),
        "seismic": _Words("felt an earthquake", ("seismic",)).source(),
        "hold_test_failed": Source(hold_test, frozenset({"hold_test"})),
        "meter_fault": _meter(
            "says that it is faulty",
            events=("metering_fault", "valve_fault", "fault"),
            said_of={"valve_fault": "says that its valve is faulty"},
            status=Status.METERING_FAULT | Status.VALVE_FAULT,
            reasons=(9,),
        ),
    }
)
