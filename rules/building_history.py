"""Several leak alarms in one building, over stored history: when they began, and when no detector there fired any more.

Live, a look every few seconds asks whether any leak alert of the building still fires (rules/passes.py). Here the
alerts of its detectors are stepped through the same lifecycle, and say the same. Pure.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from rules import changes
from rules.assertions import Event, building_leaks
from rules.model import Alert, Cleared, Finding, Rule


def building_story(
    rule: Rule, raised: Sequence[Event], leak_rules: Mapping[str, Rule], leaks: Iterable[Finding | Cleared]
) -> list[Finding | Cleared]:
    """Findings of a rule about buildings in the leak alarms raised there, each followed by its end, if it ended.

    `leaks`: what the rules about leak alarms say of those detectors, in the order in which it showed.
    """
    buildings = {f"device:{one.device_id}": f"building:{one.building_id}" for one in raised}
    quiet = _quiet_moments(leak_rules, buildings, leaks)
    story: list[Finding | Cleared] = []
    for one in building_leaks(rule, raised):
        story.append(one)
        ends = [at for at in quiet.get(one.subject, ()) if at >= one.last_at]
        story += [Cleared(rule.rule_id, one.subject, at) for at in ends[:1]]
    return story


def _quiet_moments(
    leak_rules: Mapping[str, Rule], buildings: Mapping[str, str], leaks: Iterable[Finding | Cleared]
) -> dict[str, list[datetime]]:
    """When the last leak alert of each building stopped firing, by the building's subject."""
    alerts: dict[tuple[str, str], Alert] = {}
    firing: dict[str, set[tuple[str, str]]] = {}
    quiet: dict[str, list[datetime]] = {}
    for at, one in sorted(((_shown_at(one), one) for one in leaks), key=lambda pair: pair[0]):
        key, building = changes.key_of(one), buildings.get(one.subject)
        if building is None:
            continue
        standing = {key: alerts[key]} if key in alerts else {}
        for change in changes.apply(leak_rules, standing, {}, [one], at):
            alerts[key] = change.after
        fires = firing.setdefault(building, set())
        fired = bool(fires)
        fires.discard(key)
        if key in alerts and alerts[key].is_open and alerts[key].firing:
            fires.add(key)
        if fired and not fires:
            quiet.setdefault(building, []).append(at)
        if key in alerts and not alerts[key].is_open:
            del alerts[key]
    return quiet


def _shown_at(one: Finding | Cleared) -> datetime:
    return one.known_at if isinstance(one, Finding) else one.at
