"""Fair load: what one inspector of a station has too much of moves to those who have little, where rules allow it."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise

from inspections.insertion import Route, insert
from inspections.timetable import Ground, Timed, time_route

_MOVES_MAX_PER_INSPECTOR = 15
_TAKERS_TRIED = 3
_CALLS_TRIED = 12


def balance(ground: Ground, routes: list[Route], timed: list[Timed], spread_max: float) -> None:
    """Narrow the spread of work in each station to `spread_max` of a shift, or as far as it goes; nobody is dropped."""
    for positions in stations(ground):
        for _ in range(_MOVES_MAX_PER_INSPECTOR * len(positions)):
            loads = {position: load(ground, position, routes[position]) for position in positions}
            if max(loads.values()) - min(loads.values()) <= spread_max:
                break
            if not _relieve(ground, routes, timed, loads):
                break


def stations(ground: Ground) -> list[list[int]]:
    """Positions of the inspectors of each station."""
    found: dict[str, list[int]] = defaultdict(list)
    for position, inspector in enumerate(ground.day.inspectors):
        found[inspector.station].append(position)
    return list(found.values())


def load(ground: Ground, position: int, route: Sequence[int]) -> float:
    """Work and travel of a route as a share of the inspector's shift without its break."""
    inspector = ground.day.inspectors[position]
    stops = [ground.station[position], *(ground.place[call] for call in route)]
    moving = sum(ground.leg(origin, target) for origin, target in pairwise(stops))
    home = ground.travel(stops[-1], ground.end[position]) if route else 0
    shift_s = max(1, inspector.shift_end_s - inspector.shift_start_s - inspector.break_s)
    return (moving + home + sum(ground.service_s[call] for call in route)) / shift_s


def _relieve(ground: Ground, routes: list[Route], timed: list[Timed], loads: dict[int, float]) -> bool:
    """Move one call from the most loaded to somebody less loaded, at the least detour; False when none may move."""
    giver = max(loads, key=lambda position: (loads[position], -position))
    takers = sorted((p for p in loads if p != giver), key=lambda position: (loads[position], position))
    for taker in takers[:_TAKERS_TRIED]:
        found = _best_move(ground, routes, timed, giver, taker, loads[giver])
        if found:
            (routes[giver], timed[giver]), (routes[taker], timed[taker]) = found
            return True
    return False


def _best_move(
    ground: Ground, routes: list[Route], timed: list[Timed], giver: int, taker: int, limit: float
) -> tuple[tuple[Route, Timed], tuple[Route, Timed]] | None:
    """The cheapest call to move so that neither of the two ends above `limit`."""
    inspector = ground.day.inspectors[taker]
    near = routes[taker][-1:] or routes[giver][-1:]
    movable = [call for call in routes[giver] if inspector.may_visit(ground.calls[call])]
    movable.sort(key=lambda call: (ground.leg(ground.place[near[0]], ground.place[call]), call))
    best: tuple[int, int, Route, Timed] | None = None
    for call in movable[:_CALLS_TRIED]:
        found = insert(ground, taker, routes[taker], timed[taker], call)
        if found and load(ground, taker, found[1]) < limit and (best is None or (found[0], call) < best[:2]):
            best = (found[0], call, found[1], found[2])
    if best is None:
        return None
    shorter = [call for call in routes[giver] if call != best[1]]
    left = time_route(ground, giver, shorter)
    return ((shorter, left), (best[2], best[3])) if left else None
