"""A sequence of calls in real clock time: travel, set-up, windows, and the break at the boundary that costs least.

Planner, greedy plan and explanations all ask here whether a sequence can be walked; the checker deliberately does not.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from inspections.model import Day, Inspector, Roster, Visit
from inspections.travel import travel_matrix

_NO_WINDOW_S = (0, 10**9)


@dataclass(frozen=True, slots=True)
class Timed:
    """A feasible walk: when each call begins, the break, and when the inspector is back."""

    begins_s: tuple[int, ...]
    break_start_s: int | None
    return_s: int
    idle_s: int


class Ground:
    """The day's places and legs by index, built once: calls 0..n-1, inspectors by position."""

    def __init__(self, day: Day, staff: Sequence[Inspector] | None = None) -> None:
        """Index the buildings of the calls and the stations of the inspectors.

        `staff` is everybody who works that day, when `day` is only one of its independent groups.
        """
        self.day = day
        self.staff = day.inspectors if staff is None else tuple(staff)
        self.calls = day.calls
        buildings = {call.door.building_id: call.door.point for call in day.calls}
        place_of = {building_id: place for place, building_id in enumerate(buildings)}
        starts, own_ends = [i.start for i in day.inspectors], [i.end for i in day.inspectors if i.end is not None]
        self.points = [*buildings.values(), *starts, *own_ends]
        self.buildings = len(buildings)
        self.place = [place_of[call.door.building_id] for call in day.calls]
        self.station = [
            place_of.get(i.inside_building_id or 0, self.buildings + position)
            for position, i in enumerate(day.inspectors)
        ]
        ends = iter(range(self.buildings + len(starts), len(self.points)))
        self.end = [
            self.buildings + position if i.end is None else next(ends) for position, i in enumerate(day.inspectors)
        ]
        self.matrix = travel_matrix(self.points, day.travel, day.table)
        self.service_s = [call.service_s for call in day.calls]
        self.window_s = [(c.aim.early_s, c.aim.late_s) if c.aim else _NO_WINDOW_S for c in day.calls]
        self.flat_s, self.setup_s = day.travel.between_flats_s, day.travel.building_setup_s

    def leg(self, origin: int, target: int) -> int:
        """Seconds from leaving one door's place to beginning at the next, set-up included."""
        return self.flat_s if origin == target else self.matrix[origin][target] + self.setup_s

    def travel(self, origin: int, target: int) -> int:
        """Seconds of `leg` that are travel."""
        return self.flat_s if origin == target else self.matrix[origin][target]


def time_route(ground: Ground, position: int, route: Sequence[int]) -> Timed | None:
    """Walk `route` (indices of calls) as early as possible; None when window, break or shift cannot be kept."""
    inspector = ground.day.inspectors[position]
    begins, ends, idle = _walk(ground, position, route, 0, inspector.shift_start_s)
    if len(begins) < len(route):
        return None
    back = (ends[-1] if ends else inspector.shift_start_s) + _home(ground, position, route)
    if not route or _break_free(inspector, begins[0] - _outward(ground, position, route), back):
        return Timed(tuple(begins), None, back, idle) if back <= inspector.shift_end_s else None
    return _with_break(ground, position, route, (begins, ends, back))


def needs_break(inspector: Inspector) -> bool:
    """Tell whether a full shift of this inspector holds a break."""
    return inspector.break_s > 0 and inspector.shift_start_s < inspector.break_before_s < inspector.shift_end_s


def _break_free(inspector: Inspector, leave_s: int, back_s: int) -> bool:
    """No break is due when the day ends before its latest start, or begins after it."""
    return inspector.break_s == 0 or back_s <= inspector.break_before_s or leave_s >= inspector.break_before_s


def _outward(ground: Ground, position: int, route: Sequence[int]) -> int:
    return ground.leg(ground.station[position], ground.place[route[0]])


def _home(ground: Ground, position: int, route: Sequence[int]) -> int:
    """Travel from the last call to where the day ends; there is no building to set up for."""
    return ground.travel(ground.place[route[-1]], ground.end[position]) if route else 0


def _walk(
    ground: Ground, position: int, route: Sequence[int], first: int, ready_s: int, *, arrived: bool = False
) -> tuple[list[int], list[int], int]:
    """Begin and end of each call from index `first`, ready to leave at `ready_s` (or already at the door)."""
    begins: list[int] = []
    ends: list[int] = []
    idle, now = 0, ready_s
    place = ground.place[route[first - 1]] if first else ground.station[position]
    for index in range(first, len(route)):
        call = route[index]
        target = ground.place[call]
        if not (arrived and index == first):
            now += ground.flat_s if place == target else ground.matrix[place][target] + ground.setup_s
        early, late = ground.window_s[call]
        if now < early:
            idle += early - now
            now = early
        if now > late:
            break
        begins.append(now)
        now += ground.service_s[call]
        ends.append(now)
        place = target
    return begins, ends, idle


def _with_break(
    ground: Ground, position: int, route: Sequence[int], free: tuple[list[int], list[int], int]
) -> Timed | None:
    """Try the break in every gap whose time fits; the earliest return wins, the earliest gap on a tie."""
    inspector = ground.day.inspectors[position]
    begins, ends, back = free
    best: Timed | None = None
    for gap in _gaps(inspector, begins, ends, back):
        for travel_first in (False, True):
            found = _break_in(ground, position, route, (begins, ends), gap, travel_first=travel_first)
            if found and (best is None or found.return_s < best.return_s):
                best = found
        if best and best.return_s <= back + inspector.break_s:
            break
    return best


def _gaps(inspector: Inspector, begins: list[int], ends: list[int], back: int) -> list[int]:
    """Gaps (0 = before the first call) in the order of preference: those that reach the break's time first."""
    reach = [*begins, back]
    free_from = [inspector.shift_start_s, *ends]
    usable = [gap for gap in range(len(reach)) if free_from[gap] <= inspector.break_before_s]
    in_time = [gap for gap in usable if reach[gap] >= inspector.break_after_s]
    too_early = [gap for gap in usable if reach[gap] < inspector.break_after_s]
    return in_time + too_early[-1:]


def _break_in(
    ground: Ground,
    position: int,
    route: Sequence[int],
    free: tuple[list[int], list[int]],
    gap: int,
    *,
    travel_first: bool,
) -> Timed | None:
    inspector = ground.day.inspectors[position]
    begins, ends = free
    ready = ends[gap - 1] if gap else inspector.shift_start_s
    origin = ground.place[route[gap - 1]] if gap else ground.station[position]
    last = gap == len(route)
    leg = _home(ground, position, route) if last else ground.leg(origin, ground.place[route[gap]])
    start = max(ready + (leg if travel_first else 0), inspector.break_after_s)
    if start > inspector.break_before_s:
        return None
    resume = start + inspector.break_s
    later, later_ends, idle = _walk(ground, position, route, gap, resume, arrived=travel_first)
    if gap + len(later) < len(route):
        return None
    back = resume + (0 if travel_first else leg) if last else later_ends[-1] + _home(ground, position, route)
    if back > inspector.shift_end_s:
        return None
    return Timed((*begins[:gap], *later), start, back, idle + start - ready)


def to_roster(ground: Ground, position: int, route: Sequence[int], timed: Timed) -> Roster:
    """The roster of a timed route: leaves the station as late as the first call (or an earlier break) allows."""
    inspector = ground.day.inspectors[position]
    visits, legs = [], []
    place = ground.station[position]
    for call, begin in zip(route, timed.begins_s, strict=True):
        legs.append(ground.travel(place, ground.place[call]))
        visits.append(Visit(ground.calls[call], begin, begin + ground.service_s[call], legs[-1]))
        place = ground.place[call]
    home = _home(ground, position, route)
    leave = _leave_s(ground, position, route, timed)
    rest = timed.break_start_s
    rest_end = None if rest is None else rest + inspector.break_s
    return Roster(inspector, tuple(visits), leave, timed.return_s, rest, rest_end, sum(legs) + home)


def _leave_s(ground: Ground, position: int, route: Sequence[int], timed: Timed) -> int:
    if not route:
        return ground.day.inspectors[position].shift_start_s
    first = timed.begins_s[0]
    on_the_way = _outward(ground, position, route)
    rest = timed.break_start_s
    if rest is not None and rest < first:  # the break lies before the first call
        rested_at_station = first - (rest + ground.day.inspectors[position].break_s) >= on_the_way
        return rest if rested_at_station else rest - on_the_way
    return first - on_the_way
