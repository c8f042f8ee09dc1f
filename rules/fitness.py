"""Whether a set of rules, right by itself, fits this program and this registry. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import fields

from rules.catalog import Catalog
from rules.model import InvalidRule, Rule, Scope

NEEDED = ("leak_alarm", "co_alarm")
"""Kinds without which no set may be in force: what a detector cries would open no alert."""

_CRIERS = ("detector", "meter")
"""Who cries: a meter does for the detector that is wired to it."""

_NOWHERE = {"areas": "no district", "devices": "no device", "meter_classes": "no device of meter class"}


def refuse_unfit(catalog: Catalog) -> Catalog:
    """The same catalogue; raises InvalidRule when it lacks a rule without which it must not be in force.

    Of each kind that is needed there must be a rule for every device, wherever it is and whatever is unknown about it.
    Rules that say more of some devices may override it.
    """
    for kind in NEEDED:
        rules = catalog.of_kind(kind)
        if not rules:
            raise InvalidRule(f"no enabled rule of kind {kind}: alarms of that kind would open no alert")
        for crier in _CRIERS:
            if not any(_takes_all(rule, crier) for rule in rules):
                raise InvalidRule(
                    f"rule {rules[0].rule_id}: {_narrows(rules[0])}: alarms of kind {kind} outside the scope would open"
                    f" no alert; one rule of the kind must be for every {crier}, and others may override it"
                )
    return catalog


def _takes_all(rule: Rule, device_kind: str) -> bool:
    """Whether it looks at every device of a kind, apart from those that another rule takes over."""
    return all(not getattr(rule.scope, one.name) for one in fields(Scope) if one.name != "device_kinds") and (
        not rule.scope.device_kinds or device_kind in rule.scope.device_kinds
    )


def _narrows(rule: Rule) -> str:
    return ", ".join(f"scope.{one.name}" for one in fields(Scope) if getattr(rule.scope, one.name))


def lacking(catalog: Catalog, shipped: Catalog) -> tuple[Rule, ...]:
    """Shipped rules for whose kind a set has nothing at all: it is most likely older than they are.

    A rule of the kind under another name, or one that is there and not enabled, is somebody's decision.
    """
    known = {rule.kind for rule in (*catalog.rules.values(), *catalog.disabled.values())}
    return tuple(rule for rule in shipped.rules.values() if rule.kind not in known)


def scope_words(catalog: Catalog) -> Mapping[str, frozenset[str]]:
    """What enabled rules name of the registry, by key of their scopes."""
    scopes = [rule.scope for rule in catalog.rules.values()]
    return {key: frozenset().union(*(getattr(scope, key) for scope in scopes)) for key in _NOWHERE}


def strangers(catalog: Catalog, unregistered: Collection[tuple[str, str]]) -> list[str]:
    """What rules look for and the registry does not know, one sentence each; `unregistered`: scope key and word."""
    return [
        f"rule {rule.rule_id}: scope.{key} = {word}: {_NOWHERE[key]} {word} is registered"
        for rule in catalog.rules.values()
        for key, word in sorted(unregistered)
        if word in getattr(rule.scope, key)
    ]
