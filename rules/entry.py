"""Checks one entry of a rules file: a table -> Rule, or InvalidRule naming rule and key. Pure."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields
from datetime import time
from itertools import pairwise
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from rules.kinds import KINDS, Kind
from rules.model import LEAK_KINDS, SEVERITIES, InvalidRule, Json, Rule, Schedule, Scope
from rules.schedule import WEEKDAYS

VISITS = ("none", "normal", "mandatory")
CLEARS = ("by_person", "by_telemetry")
_WORDS = ("kind", "title", "severity", "visit", "clears", "why", "what_to_do", "source")
_NUMBERS: Mapping[str, tuple[float, float]] = {
    "hysteresis_pct": (0, 90),
    "minimum_observed_min": (0, 43_200),
    "repeat_reminder_min": (1, 43_200),
    "clear_after_min": (1, 525_600),
}
"""Numbers any rule may have, with their permitted ranges (ours: no source); up to 30 days, a year for clearing."""

_KEYS = {*_WORDS, *_NUMBERS, "severity_high", "scope", "parameters", "ladder", "schedule", "overrides", "enabled"}
_SCOPE_WORDS = {
    "device_kinds": {"meter", "detector"},
    "user_classes": {"household", "commercial", "industrial"},
    "meter_classes": None,
    "areas": None,
    "devices": None,
}


def checked_rule(rule_id: str, entry: object) -> Rule:
    """The rule of an entry; raises InvalidRule at the first mistake."""
    if not isinstance(entry, dict):
        raise InvalidRule(f"rule {rule_id}: must be a table")
    _refuse_unknown(rule_id, "", entry.keys() - _KEYS)
    words: dict[str, Any] = {key: _word(rule_id, key, entry) for key in _WORDS}
    kind = KINDS.get(words["kind"])
    if kind is None:
        raise InvalidRule(f"rule {rule_id}: kind = {words['kind']!r} is none of {', '.join(KINDS)}")
    words["severity_high"] = entry.get("severity_high", words["severity"])
    _check_words(rule_id, words)
    if words["kind"] in LEAK_KINDS and words["clears"] != "by_person":
        raise InvalidRule(f"rule {rule_id}: clears: gas in a room ends on a person's evidence, never by telemetry")
    parameters = _parameters(rule_id, kind, entry.get("parameters", {}))
    _refuse_unsupported(rule_id, words["kind"], kind, entry)
    numbers: dict[str, Any] = {
        name: _number(rule_id, name, entry[name], *_NUMBERS[name]) for name in _NUMBERS if name in entry
    }
    definition = {**entry, "parameters": dict(parameters)}
    return Rule(
        rule_id=rule_id,
        family=kind.family,
        scope=_scope(rule_id, entry.get("scope", {})),
        parameters=parameters,
        definition=definition,
        version=digest(definition),
        enabled=_enabled(rule_id, entry),
        leak=kind.leak,
        ladder=_ladder(rule_id, words["severity"], kind, entry.get("ladder", {})),
        worse=kind.worse,
        schedule=_schedule(rule_id, entry["schedule"]) if "schedule" in entry else None,
        overrides=_overrides(rule_id, entry),
        **numbers,
        **words,
    )


def digest(definition: Json) -> str:
    """Version of a definition: the first 16 hexadecimal digits of SHA-256 over it as canonical JSON."""
    text = json.dumps(definition, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _refuse_unknown(rule_id: str, prefix: str, unknown: set[str]) -> None:
    if unknown:
        raise InvalidRule(f"rule {rule_id}: unknown key {prefix}{min(unknown)}")


def _refuse_unsupported(rule_id: str, name: str, kind: Kind, entry: Json) -> None:
    """What the kind cannot do must not be asked for."""
    reasons = {
        "schedule": kind.leak and "a rule about leaks applies at every hour",
        "severity_high": kind.high_when is None and f"kind {name} has no second level; use a ladder",
        "ladder": kind.value_unit is None and f"kind {name} measures no value",
        "hysteresis_pct": not kind.hysteresis and f"kind {name} has no threshold to come back past",
        "minimum_observed_min": not kind.lasting and f"kind {name} finds instants, not durations",
        "clear_after_min": not kind.open_end and f"kind {name} is not ended by waiting",
    }
    for key, reason in reasons.items():
        if key in entry and reason:
            raise InvalidRule(f"rule {rule_id}: {key}: {reason}")


def _word(rule_id: str, key: str, entry: Json) -> str:
    value = entry.get(key)
    if not isinstance(value, str) or not value.strip():
        raise InvalidRule(f"rule {rule_id}: {key} is missing or empty")
    return value


def _check_words(rule_id: str, words: Mapping[str, str]) -> None:
    for key, allowed in (
        ("severity", SEVERITIES),
        ("severity_high", SEVERITIES),
        ("visit", VISITS),
        ("clears", CLEARS),
    ):
        if words[key] not in allowed:
            raise InvalidRule(f"rule {rule_id}: {key} = {words[key]!r} is none of {', '.join(allowed)}")
    if SEVERITIES.index(words["severity_high"]) < SEVERITIES.index(words["severity"]):
        raise InvalidRule(
            f"rule {rule_id}: severity_high {words['severity_high']} ranks below severity {words['severity']}"
        )


def _enabled(rule_id: str, entry: Json) -> bool:
    value = entry.get("enabled", True)
    if not isinstance(value, bool):
        raise InvalidRule(f"rule {rule_id}: enabled must be true or false")
    return value


def _overrides(rule_id: str, entry: Json) -> tuple[str, ...]:
    value = entry.get("overrides", [])
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InvalidRule(f"rule {rule_id}: overrides must be the id of a rule, or a list of ids")
    return tuple(names)


# ---------------------------------------------------------------------------------------------- scope


def _scope(rule_id: str, entry: object) -> Scope:
    if not isinstance(entry, dict):
        raise InvalidRule(f"rule {rule_id}: scope must be a table")
    _refuse_unknown(rule_id, "scope.", entry.keys() - {one.name for one in fields(Scope)})
    return Scope(**{key: _scope_words(rule_id, key, values) for key, values in entry.items()})


def _scope_words(rule_id: str, key: str, values: object) -> frozenset[str]:
    if not isinstance(values, list) or not values or not all(isinstance(value, str) for value in values):
        raise InvalidRule(f"rule {rule_id}: scope.{key} must be a list of words")
    allowed = _SCOPE_WORDS[key]
    wrong = [value for value in values if allowed is not None and value not in allowed]
    if wrong:
        raise InvalidRule(f"rule {rule_id}: scope.{key} = {wrong[0]!r} is none of {', '.join(sorted(allowed or ()))}")
    return frozenset(values)


# ---------------------------------------------------------------------------------------------- numbers


def _parameters(rule_id: str, kind: Kind, entry: object) -> Mapping[str, float]:
    if not isinstance(entry, dict):
        raise InvalidRule(f"rule {rule_id}: parameters must be a table")
    _refuse_unknown(rule_id, "parameters.", entry.keys() - kind.parameters.keys())
    found = {
        name: _number(rule_id, f"parameters.{name}", entry.get(name, one.default), one.least, one.most)
        for name, one in kind.parameters.items()
    }
    for low, high in kind.ordered:
        if found[low] >= found[high]:
            raise InvalidRule(
                f"rule {rule_id}: parameters.{low} = {found[low]:g} must be below {high} = {found[high]:g}"
            )
    return MappingProxyType(found)


def _number(rule_id: str, key: str, value: object, least: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidRule(f"rule {rule_id}: {key} is not a number")
    if not least <= value <= most:
        raise InvalidRule(f"rule {rule_id}: {key} = {value:g} is outside {least:g} to {most:g}")
    return float(value)


def _ladder(rule_id: str, severity: str, kind: Kind, entry: object) -> tuple[tuple[float, str], ...]:
    """Rungs above the rule's own severity, the mildest first; their thresholds must rise (or fall) with them."""
    if not isinstance(entry, dict):
        raise InvalidRule(f"rule {rule_id}: ladder must be a table of severities and thresholds")
    above = SEVERITIES[SEVERITIES.index(severity) + 1 :]
    _refuse_unknown(rule_id, "ladder.", entry.keys() - set(SEVERITIES))
    for rung in entry.keys() - set(above):
        raise InvalidRule(f"rule {rule_id}: ladder.{rung} does not rank above severity {severity}")
    numbers = {rung: _number(rule_id, f"ladder.{rung}", entry[rung], -1e12, 1e12) for rung in above if rung in entry}
    for (mild, one), (bad, other) in pairwise(numbers.items()):
        if one >= other if kind.worse == "higher" else one <= other:
            side = "below" if kind.worse == "higher" else "above"
            raise InvalidRule(f"rule {rule_id}: ladder.{mild} = {one:g} must be {side} ladder.{bad} = {other:g}")
    return tuple((threshold, rung) for rung, threshold in numbers.items())


# ---------------------------------------------------------------------------------------------- schedule


def _schedule(rule_id: str, entry: object) -> Schedule:
    if not isinstance(entry, dict):
        raise InvalidRule(f"rule {rule_id}: schedule must be a table")
    _refuse_unknown(rule_id, "schedule.", entry.keys() - {"zone", "days", "from", "until"})
    days = entry.get("days", list(WEEKDAYS))
    if not isinstance(days, list) or not days or any(day not in WEEKDAYS for day in days):
        raise InvalidRule(f"rule {rule_id}: schedule.days must be a list of {', '.join(WEEKDAYS)}")
    return Schedule(
        zone=_zone(rule_id, entry.get("zone")),
        weekdays=frozenset(WEEKDAYS.index(day) for day in days),
        from_time=_time(rule_id, "from", entry.get("from", "00:00")),
        until_time=_time(rule_id, "until", entry.get("until", "00:00")),
    )


def _zone(rule_id: str, name: object) -> ZoneInfo:
    try:
        return ZoneInfo(name if isinstance(name, str) else "")
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidRule(f"rule {rule_id}: schedule.zone = {name!r} is no IANA time zone") from error


def _time(rule_id: str, key: str, value: object) -> time:
    try:
        return time.fromisoformat(value if isinstance(value, str) else "")
    except ValueError as error:
        raise InvalidRule(f'rule {rule_id}: schedule.{key} must be a time of day as "06:30"') from error
