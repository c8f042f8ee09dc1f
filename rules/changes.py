"""Applies what was found to the alerts there are, in order: pure, so that the store only loads and saves."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from rules import folding, revision
from rules.model import Alert, Cleared, Finding, Revised, Rule, Transition

Key = tuple[str, str]
"""Rule id and subject."""


@dataclass(frozen=True, slots=True)
class Change:
    """An alert before (None: new) and after, with the transitions that are worth a row in its timeline."""

    key: Key
    before: Alert | None
    after: Alert
    steps: tuple[Transition, ...] = field(default=())


def key_of(found: Finding | Cleared | Revised) -> Key:
    """The alert that a finding or a clear is about."""
    return found.rule_id, found.subject


def apply(
    rules: Mapping[str, Rule],
    open_alerts: Mapping[Key, Alert],
    closed_alerts: Mapping[Key, Sequence[Alert]],
    found: Iterable[Finding | Cleared | Revised],
    now: datetime,
) -> list[Change]:
    """Step every finding, revision and clear in the order given; return only alerts that changed.

    A key has at most one new alert in one call: where telemetry may close an alert, give one finding or clear of its
    key at a time.
    """
    changes: dict[Key, Change] = {}
    for one in found:
        key, rule = key_of(one), rules[one.rule_id]
        known = changes.get(key)
        before = known.before if known else open_alerts.get(key)
        current = known.after if known else before
        transition = _step(rule, current, closed_alerts.get(key, ()), one, now)
        if transition.alert is None or (transition.alert == current and transition.step is None):
            continue
        steps = (known.steps if known else ()) + ((transition,) if transition.step else ())
        changes[key] = Change(key, before, transition.alert, steps)
    return list(changes.values())


def _step(
    rule: Rule, current: Alert | None, closed: Sequence[Alert], one: Finding | Cleared | Revised, now: datetime
) -> Transition:
    if isinstance(one, Revised):
        return revision.revise(rule, current, one)
    if isinstance(one, Cleared):
        return folding.closed_now(folding.clear(rule, current, one), now)
    return folding.raise_or_fold(rule, current, closed, one, now)
