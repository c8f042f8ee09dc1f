"""One day's plan: solver, then real clock time, then mandatory calls as a hard phase, then whatever still fits.

Pure and seeded: the same day, search and seed give the same plan.
"""

from collections.abc import Sequence

from inspections.candidates import split
from inspections.explain import explain_omissions
from inspections.greedy import greedy_routes
from inspections.insertion import Route, able, cheapest_force, insert_anywhere, settle
from inspections.model import Day, Plan
from inspections.routing import Search, make_blocks, solve
from inspections.timetable import Ground, Timed, to_roster

SOLVER = "pyvrp"
GREEDY = "greedy"


def plan(day: Day, search: Search, seed: int) -> Plan:
    """Plan a day; every call ends on exactly one roster or in exactly one omission with its reason.

    Inspectors who share no area are planned apart: their days cannot touch.
    """
    plans = []
    for group in split(day):
        ground = Ground(group, day.inspectors)
        routes = _search(ground, search, seed) if group.calls and group.inspectors else [[] for _ in group.inspectors]
        plans.append(_finish(ground, routes, SOLVER, seed))
    return _joined(day, plans, SOLVER, seed)


def plan_greedily(day: Day, seed: int) -> Plan:
    """The plain plan of the same day, with the same hard phase, omissions and reasons."""
    grounds = [Ground(group, day.inspectors) for group in split(day)]
    plans = [_finish(ground, greedy_routes(ground), GREEDY, seed) for ground in grounds]
    return _joined(day, plans, GREEDY, seed)


def _joined(day: Day, plans: Sequence[Plan], solver: str, seed: int) -> Plan:
    rosters = tuple(roster for made in plans for roster in made.rosters)
    omissions = tuple(omission for made in plans for omission in made.omissions)
    return Plan(day.day, rosters, omissions, solver, seed)


def _search(ground: Ground, search: Search, seed: int) -> list[Route]:
    routes = solve(ground, make_blocks(ground, search.block_size), search, seed)
    if not search.polish_share:
        return routes
    single = [(index,) for index in range(len(ground.calls))]
    start = [settle(ground, position, route)[0] for position, route in enumerate(routes)]
    return solve(ground, single, search, seed, start)


def _finish(ground: Ground, planned: Sequence[Route], solver: str, seed: int) -> Plan:
    settled = [settle(ground, position, route) for position, route in enumerate(planned)]
    routes, timed = [route for route, _ in settled], [times for _, times in settled]
    _serve_mandatory(ground, routes, timed)
    _fill(ground, routes, timed)
    rosters = [to_roster(ground, p, route, timed[p]) for p, route in enumerate(routes) if route]
    left = _left(ground, routes)
    omissions = explain_omissions(ground, routes, timed, left)
    return Plan(ground.day.day, tuple(rosters), tuple(omissions), solver, seed)


def _left(ground: Ground, routes: Sequence[Route]) -> list[int]:
    """Calls on no route, the most important first."""
    served = {index for route in routes for index in route}
    left = [index for index in range(len(ground.calls)) if index not in served]
    return sorted(left, key=lambda index: (-ground.calls[index].priority, index))


def _serve_mandatory(ground: Ground, routes: list[Route], timed: list[Timed]) -> None:
    """Force every mandatory call in that can be served at all, dropping the least priority that makes room."""
    for call in _left(ground, routes):
        if ground.calls[call].mandatory and not insert_anywhere(ground, routes, timed, call):
            forced = cheapest_force(ground, routes, timed, call, tried_max=len(able(ground, call)))
            if forced:
                routes[forced.position], timed[forced.position] = list(forced.route), forced.timed


def _fill(ground: Ground, routes: list[Route], timed: list[Timed]) -> None:
    """Insert what still fits, the most important first."""
    for call in _left(ground, routes):
        insert_anywhere(ground, routes, timed, call)
