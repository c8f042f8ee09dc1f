"""Many silences of one cause are one incident: folds devices and gateways into the place that is dead. Pure.

Places are nested: building, compound, district. A place is dead when most of what is watched in it is overdue. The
largest dead place above a silent thing is its incident; everything silent is either in exactly one incident or stands
alone, so no silence is lost.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from rules.model import Finding, Rule

LEVELS = ("building", "compound", "district")

Spot = tuple[str, int]
"""Level and id of a place."""


@dataclass(frozen=True, slots=True)
class Count:
    """How much is watched in a place, how much of it is overdue, since when nobody there was heard, and its name."""

    watched: int
    overdue: int
    newest_at: datetime
    name: str = ""


@dataclass(frozen=True, slots=True)
class Mute:
    """Something silent (subject of its own alert), the places it lies in, the smallest first, and since when."""

    subject: str
    spots: tuple[Spot, ...]
    since: datetime


@dataclass(frozen=True, slots=True)
class Folded:
    """The outcome: what stands alone, and by dead place what is folded into it."""

    alone: tuple[Mute, ...]
    incidents: Mapping[Spot, tuple[Mute, ...]] = field(default_factory=dict)


def is_dead(rule: Rule, count: Count | None, known_dead: bool) -> bool:
    """Whether a place is silent as a whole; one that is known as dead recovers only below a lower share."""
    if count is None or count.watched < rule["devices_min"]:
        return False
    share = count.overdue / count.watched
    return share >= (rule["share_end"] if known_dead else rule["share_min"])


def dead_places(
    rule: Rule, counts: Mapping[Spot, Count], below: Mapping[Spot, Sequence[Spot]], known: frozenset[Spot]
) -> frozenset[Spot]:
    """Places that are dead: buildings and compounds by their devices, districts by their compounds.

    `below`: the compounds of each district in which anything is installed. `known`: places that are dead already. A
    place in which nothing is watched is not dead.
    """
    dead = {spot for spot, count in counts.items() if spot[0] != "district" and is_dead(rule, count, spot in known)}
    gone = {district: sum(spot in dead for spot in compounds) for district, compounds in below.items()}
    dead |= {spot for spot, count in gone.items() if most_are(rule, count, len(below[spot]), spot in known)}
    return frozenset(dead)


def most_are(rule: Rule, gone: int, members: int, known_dead: bool) -> bool:
    """Whether a district is dead, of whose members (compounds, or gateways) so many are."""
    share = gone / members if members else 0.0
    return gone >= rule["members_min"] and share >= (rule["share_end"] if known_dead else rule["share_min"])


def fold(mutes: Iterable[Mute], dead: frozenset[Spot]) -> Folded:
    """Put each silent thing into the largest dead place it lies in; the rest stands alone."""
    alone: list[Mute] = []
    incidents: dict[Spot, list[Mute]] = {}
    for mute in mutes:
        above = [spot for spot in mute.spots if spot in dead]
        if above:
            incidents.setdefault(max(above, key=lambda spot: LEVELS.index(spot[0])), []).append(mute)
        else:
            alone.append(mute)
    return Folded(tuple(alone), {spot: tuple(inside) for spot, inside in incidents.items()})


def incident(rule: Rule, spot: Spot, count: Count, since: datetime, now: datetime, members: str = "") -> Finding:
    """The finding of a dead place: one for all that is silent in it.

    It began when the last one there was heard, or `since` when what is silent there came out of a larger incident.
    """
    hours = (now - count.newest_at).total_seconds() / 3600
    district = spot[0] == "district"
    what = members or ("compounds" if district else "devices")
    return Finding(
        rule_id=rule.rule_id,
        subject=f"{spot[0]}:{spot[1]}",
        first_at=max(count.newest_at, since),
        last_at=now,
        severity=rule.severity_high if district else rule.severity,
        sentence=f"{count.overdue} of {count.watched} {what} of {spot[0]} {count.name} are silent,"
        f" the last was heard {hours:,.1f} h ago: think of one cause",
        evidence={
            "watched": count.watched,
            "overdue": count.overdue,
            "newest_heard_at": count.newest_at.isoformat(),
            "share_min": rule["share_min"],
        },
        value=float(count.overdue),
        unit="devices",
    )
