"""What every finding goes through after its detector: least duration, schedule, severity ladder. Pure."""

from collections.abc import Iterable
from dataclasses import replace

from rules.model import Finding, Rule
from rules.schedule import first_within


def admit(rule: Rule, found: Iterable[Finding]) -> list[Finding]:
    """The findings that the rule lets through, each with the rung of its value.

    An interval must have been observed for `minimum_observed_min`. With a schedule, a finding counts when part of it,
    from the moment it shows, lies inside; it then shows from there. A disabled rule lets nothing through.
    """
    admitted = []
    for one in found:
        kept = _scheduled(rule, one) if rule.enabled and _long_enough(rule, one) else None
        if kept is not None:
            severity = rule.rung(kept.value, kept.severity)
            admitted.append(kept if severity == kept.severity else replace(kept, severity=severity))
    return admitted


def _long_enough(rule: Rule, one: Finding) -> bool:
    return one.observed_s is None or one.observed_s >= rule.minimum_observed_min * 60


def _scheduled(rule: Rule, one: Finding) -> Finding | None:
    if rule.schedule is None:
        return one
    shown_at = first_within(rule.schedule, one.known_at, max(one.known_at, one.last_at))
    return None if shown_at is None else replace(one, shown_at=shown_at)
