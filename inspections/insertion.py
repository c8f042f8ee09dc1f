"""Changing routes by hand, in real clock time: insert at the cheapest place, force in, shed what no longer fits.

A route is a list of indices of calls; a table holds one route per inspector. Every function keeps routes feasible.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from inspections.model import Call
from inspections.timetable import Ground, Timed, time_route

_PLACES_TRIED = 4
Route = list[int]


@dataclass(frozen=True, slots=True)
class Forced:
    """What forcing a call into one route means: the new route, and the calls it displaces."""

    position: int
    route: tuple[int, ...]
    timed: Timed
    displaced: tuple[int, ...]


def able(ground: Ground, call: int) -> list[int]:
    """Positions of the inspectors whose skills and area allow this call."""
    return [p for p, inspector in enumerate(ground.day.inspectors) if inspector.may_visit(ground.calls[call])]


def extra_times(ground: Ground, position: int, route: Sequence[int], call: int) -> list[tuple[int, int]]:
    """`(extra seconds, place in the route)` of inserting a call, cheapest first, waiting and break left aside."""
    target, service = ground.place[call], ground.service_s[call]
    stops = [ground.station[position], *(ground.place[other] for other in route), ground.end[position]]
    last = len(route)
    found = []
    for place in range(last + 1):
        origin, onward = stops[place], stops[place + 1]
        if place < last:
            saved, rejoin = ground.leg(origin, onward), ground.leg(target, onward)
        else:
            saved, rejoin = (ground.travel(origin, onward) if route else 0), ground.travel(target, onward)
        found.append((ground.leg(origin, target) + service + rejoin - saved, place))
    return sorted(found)


def insert(
    ground: Ground, position: int, route: Sequence[int], timed: Timed, call: int
) -> tuple[int, Route, Timed] | None:
    """Insert at the cheapest place that keeps the route feasible: `(extra seconds, route, times)`, or None."""
    spare = ground.day.inspectors[position].shift_end_s - timed.return_s + timed.idle_s
    for extra, place in extra_times(ground, position, route, call)[: _places(ground, call, len(route))]:
        if extra > spare:
            return None
        longer = [*route[:place], call, *route[place:]]
        found = time_route(ground, position, longer)
        if found:
            return extra, longer, found
    return None


def _places(ground: Ground, call: int, length: int) -> int:
    """A call with a window may need a place that is not among the cheapest."""
    return length + 1 if ground.calls[call].window else _PLACES_TRIED


def insert_anywhere(ground: Ground, routes: list[Route], timed: list[Timed], call: int) -> bool:
    """Insert into the route that it lengthens least; changes `routes` and `timed` when it fits."""
    best: tuple[int, int, Route, Timed] | None = None
    for position in able(ground, call):
        found = insert(ground, position, routes[position], timed[position], call)
        if found and (best is None or found[0] < best[0]):
            best = (found[0], position, found[1], found[2])
    if best is None:
        return False
    _, position, routes[position], timed[position] = best
    return True


def force(ground: Ground, position: int, route: Sequence[int], call: int) -> Forced | None:
    """Force a call in by dropping the least worth that makes room; mandatory calls are never dropped.

    A promised call is dropped for a mandatory one only, and last. None when even a route of what may not be dropped has
    no room.
    """
    kept = list(route)
    displaced: list[int] = []
    while True:
        timed = time_route(ground, position, kept)
        found = insert(ground, position, kept, timed, call) if timed else None
        if found:
            return Forced(position, tuple(found[1]), found[2], tuple(displaced))
        victims = [index for index in kept if _gives_way(ground.calls[index], ground.calls[call])]
        if not victims:
            return None
        victim = min(victims, key=lambda index: (ground.calls[index].must, ground.calls[index].worth, index))
        kept.remove(victim)
        displaced.append(victim)


def _gives_way(other: Call, call: Call) -> bool:
    return not other.must or (call.mandatory and not other.mandatory)


def cheapest_force(
    ground: Ground, routes: Sequence[Route], timed: Sequence[Timed], call: int, tried_max: int
) -> Forced | None:
    """The forcing that displaces least among the `tried_max` inspectors with most room; promised calls count most."""
    ranked = sorted(able(ground, call), key=lambda p: (missing_s(ground, p, routes[p], timed[p], call), p))
    forced = [force(ground, p, routes[p], call) for p in ranked[:tried_max]]
    return min(
        (f for f in forced if f is not None),
        key=lambda f: (promises(ground.calls, f.displaced), lost(ground.calls, f.displaced), f.position),
        default=None,
    )


def missing_s(ground: Ground, position: int, route: Sequence[int], timed: Timed, call: int) -> int:
    """Seconds the shift lacks for this call at its cheapest place; negative when there is room."""
    extra = extra_times(ground, position, route, call)[0][0]
    return extra - (ground.day.inspectors[position].shift_end_s - timed.return_s)


def lost(calls: Sequence[Call], displaced: Iterable[int]) -> float:
    """The worth of the displaced calls together: priority times chance to get in."""
    return round(sum(calls[index].worth for index in displaced), 1)


def promises(calls: Sequence[Call], displaced: Iterable[int]) -> int:
    """How many of the displaced calls were promised to somebody."""
    return sum(calls[index].promised for index in displaced)


def settle(ground: Ground, position: int, route: Sequence[int]) -> tuple[Route, Timed]:
    """Make a route walkable in real time: drop the least call, promised and then mandatory ones last, until it is."""
    kept = [index for index in route if ground.day.inspectors[position].may_visit(ground.calls[index])]
    while True:
        timed = time_route(ground, position, kept)
        if timed:
            return kept, timed
        kept.remove(min(kept, key=lambda index: _droppable(ground.calls[index], index)))


def _droppable(call: Call, index: int) -> tuple[bool, bool, float, int]:
    return call.mandatory, call.promised, call.worth, index
