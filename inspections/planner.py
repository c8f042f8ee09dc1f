"""One day's plan: solver, real clock time, what must be as a hard phase, whatever still fits, fair load, hours.

Pure and seeded: the same day, search and seed give the same plan. A large day is planned in parts (`stations`),
which may run in processes of their own: `plan` is `joined(day, [plan_part(part) for part in parts(day)])`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from inspections.balance import balance
from inspections.emergency import send_first
from inspections.explain import explain_omissions
from inspections.greedy import greedy_routes
from inspections.hours import prefer_hours
from inspections.insertion import Route, able, cheapest_force, insert_anywhere, settle
from inspections.model import Day, Inspector, Plan
from inspections.routing import make_blocks, solve
from inspections.search import Search
from inspections.stations import Part, parts
from inspections.timetable import Ground, Timed, to_roster

SOLVER = "pyvrp"
GREEDY = "greedy"


def plan(day: Day, search: Search, seed: int) -> Plan:
    """Plan a day; every call ends on exactly one roster or in exactly one omission with its reason."""
    cut = parts(day)
    return joined(day, cut, [plan_part(part.day, day.inspectors, search, seed) for part in cut], search, seed)


def plan_part(part: Day, staff: Sequence[Inspector], search: Search, seed: int) -> Plan:
    """Plan one part of a day on which `staff` works."""
    ground = Ground(part, staff)
    routes = _search(ground, search, seed) if part.calls and part.inspectors else [[] for _ in part.inspectors]
    return finish(ground, routes, SOLVER, seed, search.load_spread_max)


def plan_parts(days: Sequence[Day], staff: Sequence[Inspector], search: Search, seed: int) -> list[Plan]:
    """Plan several parts one after the other."""
    return [plan_part(part, staff, search, seed) for part in days]


def plan_greedily(day: Day, seed: int) -> Plan:
    """The plain plan of the same day, with the same hard phase, omissions and reasons."""
    grounds = [Ground(part.day, day.inspectors) for part in parts(day)]
    return _concatenated(day, [finish(ground, greedy_routes(ground), GREEDY, seed) for ground in grounds], GREEDY, seed)


def joined(day: Day, cut: Sequence[Part], plans: Sequence[Plan], search: Search, seed: int) -> Plan:
    """The plans of all parts as one; what must be served and did not fit its own part is tried in the others."""
    made = list(plans)
    for origin, part in enumerate(cut):
        others = [n for n, other in enumerate(cut) if n != origin and other.group == part.group]
        for omission in made[origin].omissions:
            if omission.call.must and others:
                _rescue(day, cut, made, origin, others, omission.call.premises_id, search, seed)
    return _concatenated(day, made, SOLVER, seed)


def _rescue(
    day: Day,
    cut: Sequence[Part],
    made: list[Plan],
    origin: int,
    others: Sequence[int],
    premises_id: int,
    search: Search,
    seed: int,
) -> None:
    """Move one call to the first other part that serves it and all it had to serve before."""
    call = next(o.call for o in made[origin].omissions if o.call.premises_id == premises_id)
    for other in others:
        if not any(inspector.may_visit(call) for inspector in cut[other].day.inspectors):
            continue
        visited = {visit.call.premises_id for visit in made[other].visits()}
        omitted = [omission.call for omission in made[other].omissions]
        calls = tuple(c for c in cut[other].day.calls if c.premises_id in visited) + tuple(omitted)
        ground = Ground(replace(cut[other].day, calls=(*calls, call)), day.inspectors)
        tried = finish(ground, routes_of(ground, made[other]), SOLVER, seed, search.load_spread_max)
        musts = {c.premises_id for c in calls if c.must and c.premises_id in visited} | {premises_id}
        if musts <= {visit.call.premises_id for visit in tried.visits()}:
            kept = tuple(o for o in made[origin].omissions if o.call.premises_id != premises_id)
            made[origin], made[other] = replace(made[origin], omissions=kept), tried
            return


def routes_of(ground: Ground, made: Plan) -> list[Route]:
    """The rosters of a plan as routes over a ground that knows its calls, one per inspector of the ground."""
    index = {call.premises_id: position for position, call in enumerate(ground.calls)}
    by_inspector: Mapping[int, Route] = {
        roster.inspector.inspector_id: [index[visit.call.premises_id] for visit in roster.visits]
        for roster in made.rosters
    }
    return [list(by_inspector.get(inspector.inspector_id, [])) for inspector in ground.day.inspectors]


def _concatenated(day: Day, plans: Sequence[Plan], solver: str, seed: int) -> Plan:
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


def finish(ground: Ground, planned: Sequence[Route], solver: str, seed: int, load_spread_max: float = 1.0) -> Plan:
    """Routes in real clock time, with all that must be and all that still fits; every call ends somewhere."""
    settled = [settle(ground, position, route) for position, route in enumerate(planned)]
    routes, timed = [route for route, _ in settled], [times for _, times in settled]
    send_first(ground, routes, timed)
    serve_musts(ground, routes, timed)
    fill(ground, routes, timed)
    widen(ground, routes)
    fill(ground, routes, timed)
    balance(ground, routes, timed, load_spread_max)
    prefer_hours(ground, routes, timed)
    fill(ground, routes, timed)
    rosters = [to_roster(ground, p, route, timed[p]) for p, route in enumerate(routes) if route]
    omissions = explain_omissions(ground, routes, timed, left_out(ground, routes))
    return Plan(ground.day.day, tuple(rosters), tuple(omissions), solver, seed)


def left_out(ground: Ground, routes: Sequence[Route]) -> list[int]:
    """Calls on no route: mandatory ones first, then promised ones, then by worth."""
    served = {index for route in routes for index in route}
    left = [index for index in range(len(ground.calls)) if index not in served]

    def order(index: int) -> tuple[bool, bool, float, int]:
        call = ground.calls[index]
        return not call.mandatory, not call.promised, -call.worth, index

    return sorted(left, key=order)


def serve_musts(ground: Ground, routes: list[Route], timed: list[Timed]) -> None:
    """Force in every mandatory, then every promised call that can be served at all, dropping the least worth."""
    for wanted in ("mandatory", "promised"):
        for call in left_out(ground, routes):
            if getattr(ground.calls[call], wanted) and not insert_anywhere(ground, routes, timed, call):
                forced = cheapest_force(ground, routes, timed, call, tried_max=len(able(ground, call)))
                if forced:
                    routes[forced.position], timed[forced.position] = list(forced.route), forced.timed


def widen(ground: Ground, routes: Sequence[Route]) -> None:
    """Let what is left out at its best hours be tried in the whole of its window."""
    for index in left_out(ground, routes):
        window = ground.calls[index].window
        if ground.calls[index].best is not None and window is not None:
            ground.window_s[index] = (window.early_s, window.late_s)


def fill(ground: Ground, routes: list[Route], timed: list[Timed]) -> None:
    """Insert what still fits, the most important first."""
    for call in left_out(ground, routes):
        insert_anywhere(ground, routes, timed, call)
