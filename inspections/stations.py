"""A large day in parts planned apart: inspectors by station, doors to the nearest station that may serve them."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from inspections.candidates import split
from inspections.model import Call, Day, Inspector, Point

STAFF_MAX = 25
_QUOTA = 1.15  # of a part's share by working time; beyond it a building goes to the next nearest part


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a day; parts of one `group` could serve each other's doors."""

    group: int
    day: Day


def parts(day: Day, staff_max: int = STAFF_MAX) -> list[Part]:
    """The day in parts of at most `staff_max` inspectors; every call and every inspector with calls is in exactly one.

    Inspectors who share no area are apart anyway; larger groups are cut by station, and stations by place.
    """
    found = []
    for number, group in enumerate(split(day)):
        if len(group.inspectors) <= staff_max:
            found.append(Part(number, group))
            continue
        crews = _crews(group.inspectors, staff_max)
        for crew, calls in zip(crews, _dealt(group.calls, crews), strict=True):
            if calls:
                found.append(Part(number, replace(group, calls=tuple(calls), inspectors=tuple(crew))))
    return found


def _crews(inspectors: Sequence[Inspector], staff_max: int) -> list[list[Inspector]]:
    by_station: dict[str, list[Inspector]] = defaultdict(list)
    for inspector in inspectors:
        by_station[inspector.station].append(inspector)
    return [crew for station in by_station.values() for crew in _halved(station, staff_max)]


def _halved(crew: list[Inspector], staff_max: int) -> list[list[Inspector]]:
    """Cut along the longer side until each piece is small enough."""
    if len(crew) <= staff_max:
        return [crew]
    tall = _extent(i.start.latitude for i in crew) >= _extent(i.start.longitude for i in crew)

    def along(inspector: Inspector) -> tuple[float, int]:
        return inspector.start.latitude if tall else inspector.start.longitude, inspector.inspector_id

    ordered = sorted(crew, key=along)
    half = len(ordered) // 2
    return [*_halved(ordered[:half], staff_max), *_halved(ordered[half:], staff_max)]


def _extent(values: Iterable[float]) -> float:
    known = list(values)
    return max(known) - min(known)


def _dealt(calls: Sequence[Call], crews: Sequence[Sequence[Inspector]]) -> list[list[Call]]:
    """Each building to the nearest crew that may serve its doors and has not had its share of the work yet."""
    centres = [_centre(crew) for crew in crews]
    work_s = [sum(i.shift_end_s - i.shift_start_s for i in crew) for crew in crews]
    quota_s = [_QUOTA * sum(call.service_s for call in calls) * work / max(1, sum(work_s)) for work in work_s]
    dealt: list[list[Call]] = [[] for _ in crews]
    given_s = [0] * len(crews)
    for doors in _by_kin(calls):
        able = [n for n, crew in enumerate(crews) if any(i.may_visit(doors[0]) for i in crew)] or list(
            range(len(crews))
        )
        able.sort(key=lambda n: (_apart(centres[n], doors[0].door.point), n))
        chosen = next((n for n in able if given_s[n] < quota_s[n]), able[0])
        dealt[chosen] += doors
        given_s[chosen] += sum(call.service_s for call in doors)
    return [sorted(part, key=lambda call: call.premises_id) for part in dealt]


def _by_kin(calls: Sequence[Call]) -> list[list[Call]]:
    """Doors of one building that ask for the same skills; what must be served first."""
    kin: dict[tuple[bool, int, tuple[str, ...]], list[Call]] = defaultdict(list)
    for call in calls:
        kin[not call.must, call.door.building_id, tuple(sorted(call.skills))].append(call)
    return [kin[key] for key in sorted(kin)]


def _centre(crew: Sequence[Inspector]) -> Point:
    return Point(fmean(i.start.latitude for i in crew), fmean(i.start.longitude for i in crew))


def _apart(a: Point, b: Point) -> float:
    """A distance good enough to compare with another one nearby."""
    return (a.latitude - b.latitude) ** 2 + (0.8 * (a.longitude - b.longitude)) ** 2
