"""One pure detector per kind of window rule: a rule and a window of many devices -> findings in event time.

The same window gives the same findings, in whatever order its data arrived; a longer history gives the same findings
about the same time.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from types import MappingProxyType

import polars as pl

from rules.detectors.clock import clock_drift
from rules.detectors.days import unusual_use
from rules.detectors.micro_leak import candidates, micro_leak
from rules.detectors.micro_leak import lookback_s as micro_leak_lookback_s
from rules.detectors.nights import night_flow
from rules.detectors.register import index_backwards, index_step, stuck_flow
from rules.detectors.runs import proofs
from rules.detectors.unused import long_no_use, register_frozen
from rules.detectors.usage import continuous_use, load_exceeded
from rules.detectors.valve import closed_periods, flow_valve_closed, flow_valve_ended
from rules.gate import admit
from rules.model import Finding, Rule, Scope
from rules.windows import Window

__all__ = ["DAILY", "WINDOW_DETECTORS", "closed_periods", "detect", "ended", "in_scope", "lookback_s"]

Detector = Callable[[Rule, Window], list[Finding]]

WINDOW_DETECTORS: Mapping[str, Detector] = MappingProxyType(
    {
        "clock_drift": clock_drift,
        "continuous_use": continuous_use,
        "flow_valve_closed": flow_valve_closed,
        "index_backwards": index_backwards,
        "index_step": index_step,
        "load_exceeded": load_exceeded,
        "long_no_use": long_no_use,
        "micro_leak": micro_leak,
        "night_flow": night_flow,
        "register_frozen": register_frozen,
        "stuck_flow": stuck_flow,
        "unusual_use": unusual_use,
    }
)
DAILY = ("unusual_use", "long_no_use", "register_frozen")
"""Kinds that look at days as they are rolled up."""

_NEED_REPORTS = ("clock_drift",)
_SELF_ENDING = ("load_exceeded", "continuous_use", "night_flow", "unusual_use", "stuck_flow")


def detect(rule: Rule, window: Window) -> list[Finding]:
    """Findings of one window rule over the devices in its scope, as the rule lets them through."""
    return admit(rule, WINDOW_DETECTORS[rule.kind](rule, window.of_devices(in_scope(rule, window.devices))))


def in_scope(rule: Rule, devices: pl.DataFrame) -> pl.Series:
    """Ids of the devices that the rule looks at: in its scope and in none of a rule that overrides it."""
    inside = _within(rule.scope)
    for carved in rule.carved:
        inside &= ~_within(carved)
    return devices.filter(inside)["device_id"]


def _within(scope: Scope) -> pl.Expr:
    columns = (
        ("kind", scope.device_kinds),
        ("meter_class", scope.meter_classes),
        ("user_class", scope.user_classes),
        ("area", scope.areas),
        ("code", scope.devices),
    )
    inside = pl.lit(value=True)
    for column, values in columns:
        if values:
            inside &= pl.col(column).is_in(sorted(values)).fill_null(value=False)
    return inside


def lookback_s(rule: Rule) -> float:
    """How much history before a changed moment the rule needs, in seconds."""
    if rule.kind == "micro_leak":
        return micro_leak_lookback_s(rule)
    if rule.kind == "flow_valve_closed":
        return rule["recent_h"] * 3600 + rule["transition_s"] + 86_400
    if rule.kind == "continuous_use":
        return 2 * rule["duration_min"] * 60 * rule["heated_factor"] + 86_400
    if rule.kind == "load_exceeded":
        return 2 * rule["duration_min"] * 60 + 86_400
    if rule.kind == "night_flow":
        return (rule["nights_known"] / rule["observed_share_min"] + rule["nights_min"] + 2) * 86_400
    if rule.kind == "clock_drift":
        return rule["reports_min"] * 86_400
    return (math.ceil(rule["days_min"]) + 2) * 86_400.0 if rule.kind == "unusual_use" else 2 * 86_400.0


def needs_days(rules: Iterable[Rule]) -> bool:
    """Whether some rules look at daily registers that reach further back than the window."""
    return any(rule.kind in DAILY for rule in rules)


def needs_reports(rules: Iterable[Rule]) -> bool:
    """Whether some rules look at when reports arrived."""
    return any(rule.kind in _NEED_REPORTS for rule in rules)


def beginnings_wanted(rules: Iterable[Rule], window: Window) -> list[int]:
    """Devices of which a rule must know the first weeks of their records to judge this window."""
    wanted: set[int] = set()
    for rule in rules:
        if rule.kind == "micro_leak":
            wanted |= set(candidates(rule, window.of_devices(in_scope(rule, window.devices))).to_list())
    return sorted(wanted)


def learn_days(rules: Iterable[Rule]) -> float:
    """How much of the beginning of a device's records the rules want to know, in days."""
    return max((rule["learn_days"] for rule in rules if rule.kind == "micro_leak"), default=0.0)


def ended(rule: Rule, window: Window) -> dict[int, datetime]:
    """Per device the newest moment that proves the rule's condition over; absent when nothing proves it.

    A micro-leak ends at a pause long enough to prove it. Flow through a closed valve ends when the valve is said to be
    open, or the register stood still for `recent_h`. Use ends when newer registers do not show it, no use when the
    register moves: the newest value is then the moment. A register that went backwards or jumped, and a wrong clock, do
    not become right by waiting: the clock when its newest reports are prompt.
    """
    if window.until is not None or window.pairs.is_empty():
        return {}
    if rule.kind == "micro_leak":
        return dict(proofs(rule, window.pairs).iter_rows())
    if rule.kind == "flow_valve_closed":
        return flow_valve_ended(rule, window)
    if rule.kind in _SELF_ENDING:
        known = window.pairs.filter(pl.col("moved_ml").is_not_null())
        return dict(known.group_by("device_id").agg(pl.col("at").max()).iter_rows())
    if rule.kind in {"long_no_use", "register_frozen"}:
        moved = window.pairs.filter(pl.col("moved_ml") > 0)
        return dict(moved.group_by("device_id").agg(pl.col("at").max()).iter_rows())
    if rule.kind == "clock_drift":
        return dict(window.reports.group_by("device_id").agg(pl.col("at").max()).iter_rows())
    return {}
