"""Emergencies: who is sent at once, and the first free moment of whoever is there soonest. Pure.

The same on a day that is planned and on one that is running: nothing routine is done before an emergency.
"""

from collections.abc import Sequence

from inspections.insertion import Route, able, lost, promises
from inspections.model import Call
from inspections.timetable import Ground, Timed, time_route

NEVER_S = 10**9
_PROMISE_S = 1800  # breaking a promise is taken for an alarm when it brings somebody there half an hour sooner
_WORTH_S = 2  # and a point of worth when it brings somebody there two seconds sooner
_SLACK_S = 60


def is_emergency(call: Call) -> bool:
    """Tell whether somebody is sent at once: a critical alert, or a mandatory request (a smell of gas)."""
    return any(duty.mandatory and (duty.alert_severity == "critical" or duty.kind == "request") for duty in call.duties)


def send_first(ground: Ground, routes: list[Route], timed: list[Timed]) -> None:
    """Put every emergency of a planned day before whatever else its inspector does, the weightiest first."""
    emergencies = [number for number, call in enumerate(ground.calls) if is_emergency(call) and call.window is None]
    sent: set[int] = set()
    for call in sorted(emergencies, key=lambda number: (-ground.calls[number].priority, number)):
        go_first(ground, routes, timed, call, sent)


def go_first(ground: Ground, routes: list[Route], timed: list[Timed], call: int, sent: set[int]) -> None:
    """Send whoever is there soonest, right after what is frozen and those `sent` before, at the least loss.

    The call keeps a window that ends when it is to begin: nothing that follows puts a break or a visit before it. When
    nobody can go it stays where it was.
    """
    at_first = next((p for p, route in enumerate(routes) if call in route), None)
    best: tuple[float, int, Route, Timed] | None = None
    for position in able(ground, call):
        found = _soonest(ground, position, [other for other in routes[position] if other != call], call, sent)
        if found is None:
            continue
        route, times, dropped = found
        begin = times.begins_s[route.index(call)]
        cost = begin + _PROMISE_S * promises(ground.calls, dropped) + _WORTH_S * lost(ground.calls, dropped)
        if best is None or (cost, position) < best[:2]:
            best = (cost, position, route, times)
    if best is None:
        ground.window_s[call] = (0, NEVER_S)
        return
    _, position, routes[position], timed[position] = best
    ground.window_s[call] = (0, timed[position].begins_s[routes[position].index(call)] + _SLACK_S)
    sent.add(call)
    if at_first is not None and at_first != position:
        routes[at_first].remove(call)
        shorter = time_route(ground, at_first, routes[at_first])
        assert shorter is not None, "a shorter route stays walkable"
        timed[at_first] = shorter


def _soonest(
    ground: Ground, position: int, route: Sequence[int], call: int, sent: set[int]
) -> tuple[Route, Timed, list[int]] | None:
    """The call as early as it goes: before the break if the break can wait, else after it."""
    inspector = ground.day.inspectors[position]
    head = next((n for n, other in enumerate(route) if other not in sent), len(route))
    ahead = time_route(ground, position, route[:head])
    if ahead is None:
        return None
    place = ground.place[route[head - 1]] if head else ground.station[position]
    free_s = ahead.begins_s[-1] + ground.service_s[route[head - 1]] if head else inspector.shift_start_s
    there_s = free_s + ground.leg(place, ground.place[call])
    for wait_s in (_SLACK_S, _SLACK_S + inspector.break_s + inspector.break_before_s):
        ground.window_s[call] = (0, there_s + wait_s)
        found = _first(ground, position, route, call, head)
        if found:
            return found
    return None


def _first(
    ground: Ground, position: int, route: Sequence[int], call: int, head: int
) -> tuple[Route, Timed, list[int]] | None:
    """The route with the call after its head, without the least that must go for it; None when that is not enough."""
    kept = [*route[:head], call, *route[head:]]
    dropped: list[int] = []
    while True:
        times = time_route(ground, position, kept)
        if times:
            return kept, times, dropped
        victims = [index for index in kept[head + 1 :] if not ground.calls[index].mandatory]
        if not victims:
            return None
        victim = min(victims, key=lambda index: (ground.calls[index].promised, ground.calls[index].worth, index))
        kept.remove(victim)
        dropped.append(victim)
