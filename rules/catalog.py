"""Reads rule files: TOML -> checked rules, or InvalidRule naming rule and key. Pure: the caller gives the text."""

import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from importlib import resources
from itertools import combinations
from types import MappingProxyType

from rules.entry import checked_rule, digest
from rules.kinds import KINDS, Kind
from rules.model import InvalidRule, Rule, Scope

__all__ = [
    "KINDS",
    "Catalog",
    "default_catalog",
    "entries_of",
    "joined",
    "packaged_texts",
    "parse_catalog",
    "parse_files",
    "shipped_text",
    "widened",
]


@dataclass(frozen=True, slots=True)
class Catalog:
    """The rules in force, by id: those of the files that are enabled. `disabled` are the others."""

    rules: Mapping[str, Rule]
    disabled: Mapping[str, Rule] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def digest(self) -> str:
        """Version of the set: the first 16 hexadecimal digits of SHA-256 over all rules' ids and definitions."""
        everything = {**self.rules, **self.disabled}
        return digest({rule_id: rule.definition for rule_id, rule in everything.items()})

    def of_family(self, *families: str) -> tuple[Rule, ...]:
        """Rules of some families, in the order of the files."""
        return tuple(rule for rule in self.rules.values() if rule.family in families)

    def of_kind(self, *kinds: str) -> tuple[Rule, ...]:
        """Rules of some kinds, in the order of the files."""
        return tuple(rule for rule in self.rules.values() if rule.kind in kinds)


def packaged_texts() -> dict[str, str]:
    """The files of the catalogue that ships with the program, by name: one per family."""
    folder = resources.files("rules").joinpath("catalog")
    files = sorted((one for one in folder.iterdir() if one.name.endswith(".toml")), key=lambda one: one.name)
    return {one.name: one.read_text("utf-8") for one in files}


def shipped_text(rule_ids: Collection[str], *, enabled: bool = True) -> str:
    """Some rules that ship with the program as the text of a rules file, word for word; not `enabled`: switched off."""
    found: list[str] = []
    rule_id = None
    for line in "\n".join(packaged_texts().values()).splitlines():
        if header := _HEADER.match(line):
            rule_id = header["rule_id"]
        if rule_id in rule_ids:
            found.append(line)
            if not enabled and header and header["end"] == "]":
                found.append("enabled = false")
    return "\n".join(found).strip() + "\n"


_HEADER = re.compile(r"\[rule\.(?P<rule_id>[A-Za-z0-9_-]+)(?P<end>[.\]])")


def default_catalog() -> Catalog:
    """The catalogue that ships with the program."""
    return parse_files(packaged_texts())


def parse_catalog(text: str) -> Catalog:
    """Check the text of one rules file; raises InvalidRule at the first mistake."""
    return parse_files({"": text})


def parse_files(texts: Mapping[str, str]) -> Catalog:
    """Check some rules files, by name, as one catalogue; raises InvalidRule at the first mistake."""
    found: dict[str, Rule] = {}
    for name, text in texts.items():
        for rule_id, entry in entries_of(name, text).items():
            if rule_id in found:
                raise InvalidRule(f"rule {rule_id}: stands twice, the second time in {name}")
            found[rule_id] = checked_rule(rule_id, entry)
    if not found:
        raise InvalidRule("no rule at all: every rule stands under [rule.<id>]")
    return joined(found)


def widened(catalog: Catalog, below: Mapping[str, frozenset[str]]) -> Catalog:
    """The catalogue with every scope's areas widened by the districts below them; definitions and versions stay.

    `below`: codes of districts -> codes of the districts below them. Raises InvalidRule where rules of one kind now
    look at the same district, naming both and it, and where a rule overrides one that it still does not meet.
    """
    everything = {**catalog.rules, **catalog.disabled}
    wide = {rule_id: replace(rule, scope=_wide(rule.scope, below)) for rule_id, rule in everything.items()}
    return joined(wide, areas_are_whole=True)


def _wide(scope: Scope, below: Mapping[str, frozenset[str]]) -> Scope:
    return replace(scope, areas=scope.areas.union(*(below.get(area, frozenset()) for area in scope.areas)))


def entries_of(name: str, text: str) -> Mapping[str, object]:
    """The entries of a rules file by rule id, unchecked; raises InvalidRule when it is not TOML of rules."""
    where = f"{name}: " if name else ""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidRule(f"{where}not TOML: {error}") from error
    unknown = document.keys() - {"rule"}
    if unknown:
        raise InvalidRule(f"{where}unknown key {min(unknown)} (every rule stands under [rule.<id>])")
    entries = document.get("rule", {})
    if not isinstance(entries, dict):
        raise InvalidRule(f"{where}rule must be a table: every rule stands under [rule.<id>]")
    return entries


# ---------------------------------------------------------------------------------------------- rules of one kind


def joined(rules: Mapping[str, Rule], *, areas_are_whole: bool = False) -> Catalog:
    """The catalogue of some rules, each with the scopes that override it; refuses two of one kind that see one device.

    `areas_are_whole`: the scopes name the districts below their areas, too; else different areas may still meet there.
    """
    enabled = {rule_id: rule for rule_id, rule in rules.items() if rule.enabled}
    over = {rule_id: _overridden(rule_id, rules, areas_are_whole) for rule_id in rules}
    for one, other in combinations(enabled.values(), 2):
        if one.kind == other.kind and one.rule_id not in over[other.rule_id] and other.rule_id not in over[one.rule_id]:
            _refuse_overlap(one, other)
    carved = {
        rule_id: replace(
            rule, carved=tuple(other.scope for other in enabled.values() if rule_id in over[other.rule_id])
        )
        for rule_id, rule in enabled.items()
    }
    disabled = {rule_id: rule for rule_id, rule in rules.items() if not rule.enabled}
    return Catalog(MappingProxyType(carved), MappingProxyType(disabled))


def _overridden(rule_id: str, rules: Mapping[str, Rule], areas_are_whole: bool) -> frozenset[str]:
    """Every rule that a rule overrides, directly or through others; refuses what is not there, and circles."""
    found: set[str] = set()
    waiting = list(rules[rule_id].overrides)
    while waiting:
        other = waiting.pop()
        if other not in rules:
            raise InvalidRule(f"rule {rule_id}: overrides = {other!r}: there is no such rule")
        if rules[other].kind != rules[rule_id].kind:
            raise InvalidRule(f"rule {rule_id}: overrides = {other!r}: that rule is of another kind")
        if other == rule_id:
            raise InvalidRule(f"rule {rule_id}: overrides itself, directly or through others")
        mine = rules[rule_id].scope if areas_are_whole else replace(rules[rule_id].scope, areas=frozenset())
        if mine.shared(rules[other].scope) is None:
            raise InvalidRule(f"rule {rule_id}: overrides = {other!r}: their scopes have no device in common")
        if other not in found:
            found.add(other)
            waiting += rules[other].overrides
    return frozenset(found)


def _refuse_overlap(one: Rule, other: Rule) -> None:
    shared = one.scope.shared(other.scope)
    if shared is None or not _bands_meet(KINDS[one.kind], one, other):
        return
    words = [f"scope.{key} = {_named(values)}" for key, values in shared.items()]
    raise InvalidRule(
        f"rules {one.rule_id} and {other.rule_id}: both of kind {one.kind}, and their scopes overlap"
        f" ({'; '.join(words) or 'scope: no key keeps them apart'});"
        f' narrow one, or let the one that shall win say overrides = "{one.rule_id}"'
    )


def _named(values: frozenset[str]) -> str:
    """The first few values; an area may have hundreds of districts below it."""
    more = f" and {len(values) - 5} more" if len(values) > 5 else ""
    return ", ".join(sorted(values)[:5]) + more


def _bands_meet(kind: Kind, one: Rule, other: Rule) -> bool:
    if kind.band is None:
        return True
    low, high = kind.band
    return one[low] < other[high] and other[low] < one[high]
