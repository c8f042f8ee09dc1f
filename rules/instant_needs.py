"""What the event rules of a catalogue need of the database: which reports may concern them, how far back. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from rules.model import Rule
from rules.signs import SIGNS

NEVER = 1e9
"""A limit that no reading reaches: no rule asks."""

LOOKBACK_MIN = timedelta(hours=48)
"""A condition is followed back this far; what began earlier is in the open alert already."""

_OTHER_EVENTS = {"valve_pass_through": ("pass_through", "flow_valve_closed")}


@dataclass(frozen=True, slots=True)
class Limits:
    """From where on a report may begin a condition of any rule; units as in the names."""

    status_mask: int
    reasons: Sequence[int]
    lel_pct: float
    low_pa: int
    high_pa: int
    absolute_from_pa: int
    low_absolute_pa: int
    high_absolute_pa: int
    flow_factor: float
    battery_mv: int


def limits(rules: Iterable[Rule]) -> Limits:
    """The widest of all limits of some event rules."""
    kinds: dict[str, list[Rule]] = {}
    for rule in rules:
        kinds.setdefault(rule.kind, []).append(rule)
    sources = [SIGNS[kind] for kind in kinds if kind in SIGNS]
    mask = 0
    for source in sources:
        mask |= source.status
    reasons = {code for source in sources for code in source.reasons} | {21}

    def least(kind: str, name: str, otherwise: float) -> float:
        return min((rule[name] for rule in kinds.get(kind, ())), default=otherwise)

    def most(kind: str, name: str, otherwise: float) -> float:
        return max((rule[name] for rule in kinds.get(kind, ())), default=otherwise)

    return Limits(
        status_mask=mask,
        reasons=sorted(reasons),
        lel_pct=1.0 if "leak_alarm" in kinds else NEVER,
        low_pa=round(max(most("pressure_low", "low_pa", -NEVER), most("zone_pressure_fall", "trigger_pa", -NEVER))),
        high_pa=round(least("pressure_high", "high_pa", NEVER)),
        absolute_from_pa=round(
            min(least(kind, "absolute_from_pa", NEVER) for kind in ("pressure_low", "pressure_high"))
        ),
        low_absolute_pa=round(most("pressure_low", "low_absolute_pa", -NEVER)),
        high_absolute_pa=round(least("pressure_high", "high_absolute_pa", NEVER)),
        flow_factor=min(least("total_flow_high", "factor", NEVER), least("flow_step", "factor", NEVER)),
        battery_mv=round(max(most("low_battery", "low_mv", 0), most("low_battery", "lost_mv", 0))),
    )


def events_of(rules: Iterable[Rule]) -> frozenset[str]:
    """Kinds of events that some rules read."""
    found: set[str] = set()
    for rule in rules:
        found |= SIGNS[rule.kind].events if rule.kind in SIGNS else set(_OTHER_EVENTS.get(rule.kind, ()))
    return frozenset(found)


def lookback(rules: Iterable[Rule]) -> timedelta:
    """How far back the samples of some event rules must reach."""
    days = (timedelta(days=rule.parameters.get("within_days", 0)) for rule in rules)
    return max((LOOKBACK_MIN, *days))
