"""Reads rule files: TOML -> checked rules, or InvalidRule naming rule and key. Pure: the caller gives the text."""

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from importlib import resources
from types import MappingProxyType

from rules.model import SEVERITIES, InvalidRule, Json, Rule, Scope

VISITS = ("none", "normal", "mandatory")
CLEARS = ("by_person", "by_telemetry")
_WORDS = ("kind", "title", "severity", "visit", "clears", "why", "what_to_do", "source")
_KEYS = {*_WORDS, "severity_high", "scope", "parameters"}
_SCOPE_WORDS = {
    "device_kinds": {"meter", "detector"},
    "user_classes": {"household", "commercial", "industrial"},
    "meter_classes": None,
    "areas": None,
}


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of rule: its family, the permitted range of each parameter, and pairs that must stay in order."""

    family: str
    ranges: Mapping[str, tuple[float, float]]
    ordered: tuple[tuple[str, str], ...] = field(default=())


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "leak_alarm": Kind("event", {"critical_lel_pct": (1, 100)}),
        "flow_valve_closed": Kind(
            "window",
            {"pulses_min": (1, 100), "volume_min_l": (0, 1000), "transition_s": (0, 86_400), "recent_h": (1, 720)},
        ),
        "micro_leak": Kind(
            "window",
            {
                "days": (1, 30),
                "gap_min": (10, 1440),
                "flow_low_lh": (0.5, 3000),
                "flow_high_lh": (1, 3000),
                "observed_share_min": (0.1, 1),
                "sample_gap_max_min": (1, 1440),
                "steady_below_lh": (1, 3000),
                "steady_share_min": (0, 1),
                "fluctuation_max_pct": (0, 1000),
            },
            (("flow_low_lh", "flow_high_lh"),),
        ),
        "index_backwards": Kind("window", {"pulses_tolerated": (0, 100), "volume_tolerated_l": (0, 1000)}),
        "device_silent": Kind("absence", {"intervals_missed": (1, 255)}),
        "gateway_silent": Kind("absence", {"intervals_missed": (1, 255), "offline_min_s": (0, 604_800)}),
        "building_leaks": Kind("group", {"devices_min": (2, 1000), "within_min": (1, 1440)}),
    }
)


@dataclass(frozen=True, slots=True)
class Catalog:
    """The rules in force, by id."""

    rules: Mapping[str, Rule]

    def of_family(self, *families: str) -> tuple[Rule, ...]:
        """Rules of some families, in the order of the file."""
        return tuple(rule for rule in self.rules.values() if rule.family in families)

    def of_kind(self, kind: str) -> tuple[Rule, ...]:
        """Rules of one kind, in the order of the file."""
        return tuple(rule for rule in self.rules.values() if rule.kind == kind)


def default_catalog() -> Catalog:
    """The catalogue that ships with the program."""
    return parse_catalog(resources.files("rules").joinpath("catalog.toml").read_text("utf-8"))


def parse_catalog(text: str) -> Catalog:
    """Check the text of a rules file; raises InvalidRule at the first mistake."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidRule(f"not TOML: {error}") from error
    unknown = document.keys() - {"rule"}
    if unknown:
        raise InvalidRule(f"unknown key {min(unknown)} (every rule stands under [rule.<id>])")
    entries = document.get("rule", {})
    if not isinstance(entries, dict) or not entries:
        raise InvalidRule("no rule at all: every rule stands under [rule.<id>]")
    return Catalog(MappingProxyType({rule_id: _rule(rule_id, entry) for rule_id, entry in entries.items()}))


def _rule(rule_id: str, entry: object) -> Rule:
    if not isinstance(entry, dict):
        raise InvalidRule(f"rule {rule_id}: must be a table")
    _refuse_unknown(rule_id, "", entry.keys() - _KEYS)
    words = {key: _word(rule_id, key, entry) for key in _WORDS}
    kind = KINDS.get(words["kind"])
    if kind is None:
        raise InvalidRule(f"rule {rule_id}: kind = {words['kind']!r} is none of {', '.join(KINDS)}")
    words["severity_high"] = entry.get("severity_high", words["severity"])
    _check_words(rule_id, words)
    return Rule(
        rule_id=rule_id,
        family=kind.family,
        scope=_scope(rule_id, entry.get("scope", {})),
        parameters=_parameters(rule_id, kind, entry.get("parameters", {})),
        definition=entry,
        version=digest(entry),
        **words,
    )


def digest(definition: Json) -> str:
    """Version of a rule: the first 16 hexadecimal digits of SHA-256 over its definition in canonical JSON."""
    text = json.dumps(definition, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _refuse_unknown(rule_id: str, prefix: str, unknown: set[str]) -> None:
    if unknown:
        raise InvalidRule(f"rule {rule_id}: unknown key {prefix}{min(unknown)}")


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


def _parameters(rule_id: str, kind: Kind, entry: object) -> Mapping[str, float]:
    if not isinstance(entry, dict):
        raise InvalidRule(f"rule {rule_id}: parameters must be a table")
    _refuse_unknown(rule_id, "parameters.", entry.keys() - kind.ranges.keys())
    found = {name: _parameter(rule_id, name, entry, limits) for name, limits in kind.ranges.items()}
    for low, high in kind.ordered:
        if found[low] >= found[high]:
            raise InvalidRule(
                f"rule {rule_id}: parameters.{low} = {found[low]:g} must be below {high} = {found[high]:g}"
            )
    return MappingProxyType(found)


def _parameter(rule_id: str, name: str, entry: Json, limits: tuple[float, float]) -> float:
    value = entry.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidRule(f"rule {rule_id}: parameters.{name} is missing or not a number")
    if not limits[0] <= value <= limits[1]:
        raise InvalidRule(f"rule {rule_id}: parameters.{name} = {value:g} is outside {limits[0]:g} to {limits[1]:g}")
    return float(value)
