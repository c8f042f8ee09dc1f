"""Drafts that name only what changes: laid over the rules in force, and checked as if they were whole. Pure."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from rules.catalog import Catalog, entries_of, joined
from rules.entry import checked_rule
from rules.model import InvalidRule


def changed(catalog: Catalog, texts: Mapping[str, str]) -> Catalog:
    """The catalogue with what some files (TOML by name) change of it; raises InvalidRule at the first mistake.

    Tables such as `parameters` and `scope` are merged key by key, everything else replaces what was there. An id that
    is not in force is a new rule: it must be whole. Areas are as written (`rule_sets.across_districts` widens them).
    """
    whole: dict[str, Any] = {rule_id: one.definition for rule_id, one in {**catalog.rules, **catalog.disabled}.items()}
    named: dict[str, str] = {}
    for name, text in texts.items():
        for rule_id, entry in entries_of(name, text).items():
            if rule_id in named:
                raise InvalidRule(f"rule {rule_id}: stands twice, the second time in {name}")
            named[rule_id] = name
            whole[rule_id] = _laid_over(rule_id, whole.get(rule_id), entry)
    if not named:
        raise InvalidRule("no change at all: what changes stands under [rule.<id>]")
    return joined({rule_id: checked_rule(rule_id, entry) for rule_id, entry in whole.items()})


_BARE_WORD = re.compile(r"=\s*(?!(?:true|false|inf|nan)\s*$)([A-Za-z_][A-Za-z0-9_-]*)\s*$")
_QUOTED = r'= "\1"'


def from_assignments(assignments: Iterable[str]) -> str:
    """TOML of changes given as `<rule>.<key> = <value>`, such as `micro_leak.parameters.days=7`.

    A bare word is a text (`magnet.severity=info`): shells take the quotes away that TOML asks for.
    """
    return "\n".join(f"rule.{_BARE_WORD.sub(_QUOTED, one)}" for one in assignments)


def _laid_over(rule_id: str, before: Mapping[str, Any] | None, entry: object) -> Mapping[str, Any]:
    if not isinstance(entry, dict):
        raise InvalidRule(f"rule {rule_id}: must be a table")
    if before is None:
        if "kind" not in entry:
            raise InvalidRule(f"rule {rule_id}: there is no such rule in force; a new one must be whole")
        return entry
    return _merged(before, entry)


def _merged(before: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(before)
    for key, value in entry.items():
        known = found.get(key)
        found[key] = _merged(known, value) if isinstance(known, Mapping) and isinstance(value, Mapping) else value
    return found
