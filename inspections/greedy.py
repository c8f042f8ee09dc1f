"""The plain plan: mandatory calls first, then always the nearest next. Feasible by construction, and quick.

It is what a roster falls back to when the checker objects to the solver's plan, and the baseline of the benchmark.
"""

from inspections.insertion import Route, able, insert_anywhere
from inspections.timetable import Ground, Timed, time_route


def greedy_routes(ground: Ground) -> list[Route]:
    """One feasible route per inspector: mandatory calls at their cheapest place, then nearest next while time lasts."""
    routes: list[Route] = [[] for _ in ground.day.inspectors]
    timed = [_empty(ground, position) for position in range(len(routes))]
    urgent = [index for index, call in enumerate(ground.calls) if call.mandatory]
    for call in sorted(urgent, key=lambda index: (-ground.calls[index].priority, index)):
        insert_anywhere(ground, routes, timed, call)
    left = {index for index, call in enumerate(ground.calls) if not call.mandatory}
    may = _able_by_inspector(ground, left)
    for position in range(len(routes)):
        _extend(ground, position, routes, left, may[position])
    return routes


def _empty(ground: Ground, position: int) -> Timed:
    timed = time_route(ground, position, [])
    assert timed is not None, "an empty route is always walkable: shift_end > shift_start"
    return timed


def _able_by_inspector(ground: Ground, calls: set[int]) -> list[set[int]]:
    may: list[set[int]] = [set() for _ in ground.day.inspectors]
    for call in calls:
        for position in able(ground, call):
            may[position].add(call)
    return may


def _extend(ground: Ground, position: int, routes: list[Route], left: set[int], may: set[int]) -> None:
    """Append the nearest call still left until none fits; of equally near ones the more important."""
    refused: set[int] = set()
    while candidates := (may & left) - refused:
        route = routes[position]
        here = ground.place[route[-1]] if route else ground.station[position]

        def nearness(call: int, here: int = here) -> tuple[int, int, int]:
            return ground.leg(here, ground.place[call]), -ground.calls[call].priority, call

        call = min(candidates, key=nearness)
        if time_route(ground, position, [*route, call]) is None:
            refused.add(call)
            if len(refused) > _REFUSALS_MAX:
                return
            continue
        routes[position] = [*route, call]
        left.discard(call)


_REFUSALS_MAX = 30  # the shift is full when this many of the nearest calls do not fit
