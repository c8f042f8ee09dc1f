"""A day that changes: repair first, then a short search that starts from the repaired plan and opens few rosters.

Measured (20 inspectors on the road, one falls ill, three alerts): planning anew moves 250-290 doors to somebody else,
repair and a warm start move two and keep more priority than anything else within two seconds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from inspections.emergency import NEVER_S, go_first
from inspections.explain import explain_omissions
from inspections.insertion import Route, insert_anywhere, lost, settle
from inspections.model import Call, Day, Plan, Window
from inspections.planner import fill, left_out, serve_musts
from inspections.routing import solve
from inspections.search import Search
from inspections.timetable import Ground, Timed, to_roster

SOLVER = "repair"
_MOVE_WORTH = 5.0  # what the search must gain for each door that changes inspector
_PLANNED_PRIORITY = 10  # a door that is planned already counts for more than one that waits: its people were told
_REOPENED = 6
_LEFT_SEARCHED = 40
_HALF_HOUR_S = 1800


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be repaired: the rest of the day, who was to go where in it, and whom somebody must reach first.

    `current` holds the premises ahead of each inspector of `day`, in order; `affected` the premises and inspectors
    around which the search opens rosters.
    """

    day: Day
    current: Mapping[int, tuple[int, ...]]
    urgent: tuple[int, ...] = ()
    touched: frozenset[int] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True)
class Repaired:
    """The plan for the rest of the day. `day` is the day it was made for: with the windows as promised anew."""

    day: Day
    plan: Plan
    repromised: Mapping[int, Window]
    searched: bool


def repair(wanted: Wanted, search: Search, seed: int) -> Repaired:
    """Repair the rest of a day; with no iterations in `search` nothing is searched after the repair."""
    ground = Ground(wanted.day)
    _stay(ground)
    index = {call.premises_id: position for position, call in enumerate(ground.calls)}
    before = [[index[p] for p in wanted.current.get(i.inspector_id, ()) if p in index] for i in ground.day.inspectors]
    settled = [settle(ground, position, route) for position, route in enumerate(before)]
    routes, timed = [route for route, _ in settled], [times for _, times in settled]
    sent: set[int] = set()
    for premises_id in wanted.urgent:
        go_first(ground, routes, timed, index[premises_id], sent)
    serve_musts(ground, routes, timed)
    repromised = _promise_anew(ground, routes, timed)
    fill(ground, routes, timed)
    searched = _search(ground, routes, timed, before, wanted, search, seed) if search.iterations_min else False
    day = replace(wanted.day, calls=tuple(_as_promised(call, repromised) for call in wanted.day.calls))
    return Repaired(day, _plan(ground, routes, timed, day, seed), repromised, searched)


def _stay(ground: Ground) -> None:
    """Nobody is moved for better hours: the whole window holds, as it did for what is planned."""
    for number, call in enumerate(ground.calls):
        if call.best is not None and call.window is not None:
            ground.window_s[number] = (call.window.early_s, call.window.late_s)


def _promise_anew(ground: Ground, routes: list[Route], timed: list[Timed]) -> dict[int, Window]:
    """Promised calls that nobody can keep: another time of the day if there is one, the window as long as it was."""
    found = {}
    for call in [index for index in left_out(ground, routes) if ground.calls[index].promised]:
        old = ground.window_s[call]
        ground.window_s[call] = (0, NEVER_S)
        if insert_anywhere(ground, routes, timed, call):
            begin = next(t.begins_s[r.index(call)] for r, t in zip(routes, timed, strict=True) if call in r)
            early = begin // _HALF_HOUR_S * _HALF_HOUR_S
            window = Window(early, max(early + old[1] - old[0], begin))
            ground.window_s[call] = (window.early_s, window.late_s)
            found[ground.calls[call].premises_id] = window
        else:
            ground.window_s[call] = old
    return found


def _search(
    ground: Ground,
    routes: list[Route],
    timed: list[Timed],
    before: Sequence[Route],
    wanted: Wanted,
    search: Search,
    seed: int,
) -> bool:
    """Search with the rosters nearest to what changed open; taken only when it gains more than its moves cost."""
    open_ = _nearest(ground, routes, before, wanted)
    left = sorted(left_out(ground, routes), key=lambda index: (-ground.calls[index].worth, index))[:_LEFT_SEARCHED]
    calls = [*(call for position in open_ for call in routes[position]), *left]
    if not open_ or not left or not any(routes[position] for position in open_):
        return False
    piece = Ground(
        replace(
            ground.day,
            calls=tuple(_favoured(ground, c, planned=c not in left) for c in calls),
            inspectors=tuple(ground.day.inspectors[position] for position in open_),
        )
    )
    back = {call: number for number, call in enumerate(calls)}
    start = [[back[call] for call in routes[position]] for position in open_]
    found = solve(piece, [(number,) for number in range(len(calls))], search, seed, start)
    settled = [settle(piece, number, route) for number, route in enumerate(found)]
    new_routes, new_timed = [route for route, _ in settled], [times for _, times in settled]
    fill(piece, new_routes, new_timed)
    if not _gains(piece, new_routes, start):
        return False
    for number, position in enumerate(open_):
        routes[position] = [calls[call] for call in new_routes[number]]
        timed[position] = new_timed[number]
    return True


def _favoured(ground: Ground, call: int, *, planned: bool) -> Call:
    known = ground.calls[call]
    priority = known.priority + (_PLANNED_PRIORITY if planned else 0)
    return replace(known, window=_window(ground, call), best=None, priority=priority)


def _window(ground: Ground, call: int) -> Window | None:
    early, late = ground.window_s[call]
    return Window(early, late) if late < NEVER_S else None


def _nearest(ground: Ground, routes: Sequence[Route], before: Sequence[Route], wanted: Wanted) -> list[int]:
    """The rosters to open: those that changed or were touched, and the nearest to the doors concerned."""
    changed = [p for p, route in enumerate(routes) if route != list(before[p])]
    touched = [p for p, i in enumerate(ground.day.inspectors) if i.inspector_id in wanted.touched]
    concerned = [ground.place[c] for p in changed for c in set(routes[p]) ^ set(before[p])]
    concerned += [ground.place[route[0]] for p in touched if (route := routes[p])]

    def apart(position: int) -> tuple[int, int]:
        place = ground.station[position]
        return min((ground.matrix[place][other] for other in concerned), default=0), position

    nearest = sorted(range(len(routes)), key=apart)
    return sorted(dict.fromkeys([*changed, *touched, *nearest][:_REOPENED]))


def _gains(ground: Ground, routes: Sequence[Route], before: Sequence[Route]) -> bool:
    served, was = {c for route in routes for c in route}, {c for route in before for c in route}
    if any(ground.calls[call].must for call in was - served):
        return False
    moved = sum(call in was and call not in before[p] for p, route in enumerate(routes) for call in route)
    return lost(ground.calls, served) - lost(ground.calls, was) > _MOVE_WORTH * moved


def _as_promised(call: Call, repromised: Mapping[int, Window]) -> Call:
    window = repromised.get(call.premises_id)
    return call if window is None else replace(call, window=window)


def _plan(ground: Ground, routes: Sequence[Route], timed: Sequence[Timed], day: Day, seed: int) -> Plan:
    calls = {call.premises_id: call for call in day.calls}
    omissions = explain_omissions(ground, routes, timed, left_out(ground, routes))
    rosters = []
    for position, route in enumerate(routes):
        if route:
            made = to_roster(ground, position, route, timed[position])
            visits = tuple(replace(visit, call=calls[visit.call.premises_id]) for visit in made.visits)
            rosters.append(replace(made, visits=visits))
    return Plan(day.day, tuple(rosters), tuple(omissions), SOLVER, seed)
