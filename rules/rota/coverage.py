"""Where and when nobody is on duty, and whether one shift can take over from another. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from rules.rota.model import Gap, Shift

Interval = tuple[datetime, datetime]


def covers(shift: Shift, area: str, above: Mapping[str, frozenset[str]]) -> bool:
    """Whether a shift is for a district: named itself, or through one above it."""
    return shift.areas is None or bool(shift.areas & above.get(area, frozenset({area})))


def gaps(
    shifts: Sequence[Shift],
    districts: Iterable[str],
    above: Mapping[str, frozenset[str]],
    level: int,
    since: datetime,
    until: datetime,
) -> list[Gap]:
    """Times within `since`..`until` in which no shift of a level is planned for some districts.

    A shift counts from its start (or earlier take-over) to its planned end (or earlier relief): that nobody has come
    yet to relieve somebody is no plan. Districts with the same gap are one gap.
    """
    found: dict[Interval, list[str]] = defaultdict(list)
    for area in districts:
        own = sorted(_planned(one) for one in shifts if one.level == level and covers(one, area, above))
        for interval in _between(own, since, until):
            found[interval].append(area)
    return [Gap(level, tuple(sorted(areas)), *interval) for interval, areas in sorted(found.items())]


def _planned(shift: Shift) -> Interval:
    begins = min(shift.starts_at, shift.taken_at or shift.starts_at)
    return begins, min(shift.ends_at, shift.relieved_at or shift.ends_at)


def _between(own: Iterable[Interval], since: datetime, until: datetime) -> list[Interval]:
    """What sorted intervals leave uncovered."""
    open_from = since
    found = []
    for begins, ends in own:
        if begins > open_from:
            found.append((open_from, min(begins, until)))
        open_from = max(open_from, ends)
        if open_from >= until:
            return found
    if open_from < until:
        found.append((open_from, until))
    return [(begins, ends) for begins, ends in found if begins < ends]


def not_taken_over(
    leaving: Shift, coming: Sequence[Shift], districts: Iterable[str], above: Mapping[str, frozenset[str]]
) -> list[str]:
    """Districts of the shift that leaves for which none of those that come is."""
    own = [area for area in districts if covers(leaving, area, above)]
    return [area for area in own if not any(covers(one, area, above) for one in coming)]


def on_duty(
    shifts: Iterable[Shift], area: str, above: Mapping[str, frozenset[str]], at: datetime
) -> dict[int, list[Shift]]:
    """Who is on duty for a district at a moment, by level."""
    found: dict[int, list[Shift]] = defaultdict(list)
    for shift in shifts:
        if shift.on_duty(at) and covers(shift, area, above):
            found[shift.level].append(shift)
    return dict(sorted(found.items()))
