"""The order of a day by when people are home: the same visits, turned so that more doors are expected to open."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from inspections.insertion import Route
from inspections.timetable import Ground, Timed, time_route

_PRIZE_S = 300  # as in the search: a point of priority is worth five minutes of travel
_ROUNDS = 3


def prefer_hours(ground: Ground, routes: list[Route], timed: list[Timed]) -> None:
    """Turn pieces of each route around while that is expected to open more than it costs in travel."""
    if not any(call.chances for call in ground.calls):
        return
    for position in range(len(routes)):
        for _ in range(_ROUNDS):
            if not _turn(ground, position, routes, timed):
                break


def expected(ground: Ground, position: int, route: Sequence[int], times: Timed) -> float:
    """Priority expected to be entered at these times, less the time it takes, in seconds of travel."""
    opened = sum(
        ground.calls[call].priority * ground.calls[call].chance_at(begin)
        for call, begin in zip(route, times.begins_s, strict=True)
    )
    return _PRIZE_S * opened - (times.return_s - ground.day.inspectors[position].shift_start_s)


def _turn(ground: Ground, position: int, routes: list[Route], timed: list[Timed]) -> bool:
    best, value = None, expected(ground, position, routes[position], timed[position]) + 1
    for turned in _turned(ground, routes[position]):
        times = time_route(ground, position, turned)
        if times and expected(ground, position, turned, times) > value:
            best, value = (turned, times), expected(ground, position, turned, times)
    if best is None:
        return False
    routes[position], timed[position] = best
    return True


def _turned(ground: Ground, route: Sequence[int]) -> Iterator[Route]:
    """The route with each stretch of buildings in reverse order, doors of a building staying together."""
    runs = [list(run) for _, run in groupby(route, key=lambda call: ground.place[call])]
    for begin in range(len(runs)):
        for end in range(begin + 2, len(runs) + 1):
            order = [*runs[:begin], *reversed(runs[begin:end]), *runs[end:]]
            yield [call for run in order for call in run]
