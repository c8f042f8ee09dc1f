"""Whether a set of rules, right by itself, fits this program and this registry. Pure."""

from collections.abc import Collection, Mapping

from rules.catalog import Catalog
from rules.model import InvalidRule

NEEDED = ("leak_alarm",)
"""Kinds without which no set may be in force: what a detector cries would open no alert."""

_NOWHERE = {"areas": "no district", "devices": "no device", "meter_classes": "no device of meter class"}


def refuse_unfit(catalog: Catalog) -> Catalog:
    """The same catalogue; raises InvalidRule when it lacks a rule without which it must not be in force."""
    for kind in NEEDED:
        if not catalog.of_kind(kind):
            raise InvalidRule(f"no enabled rule of kind {kind}: alarms of that kind would open no alert")
    return catalog


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
