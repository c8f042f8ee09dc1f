"""The day as a prize-collecting routing problem for PyVRP, and its solution back as routes of calls.

What PyVRP lacks is modelled around it:
* break: the clock is compressed (the break is cut out of the day) and `timetable` puts it back in real time;
* skills and areas: one load dimension each; an inspector without it has capacity 0 there;
* doors of one building: they share a location; each service is lengthened by the step between flats, and the arc that
  leaves the building gives it back;
* mandatory and promised calls: a prize many times their weight. `required` could make the whole instance infeasible;
  the hard phase around the solver is in `planner`;
* a door that may stay shut: its prize is its worth, priority times chance.
"""

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import pyvrp
from pyvrp import Client, Depot, Location, ProblemData, Route, Solution, VehicleType
from pyvrp.exceptions import PenaltyBoundWarning
from pyvrp.search import NeighbourhoodParams
from pyvrp.stop import MaxIterations, MaxRuntime, MultipleCriteria

from inspections.model import Inspector, Window
from inspections.search import Search
from inspections.timetable import Ground, needs_break

_PLENTY = 10**9
_PRIZE_MAX = 80_000  # below the solver's largest penalty (100,000): no prize may be worth breaking a rule for
_DAY_S = 86_400


Block = tuple[int, ...]


def make_blocks(ground: Ground, block_size: int) -> list[Block]:
    """Calls of one building together, at most `block_size` a block; what must be and windows stay alone."""
    alone = [i for i, call in enumerate(ground.calls) if call.must or call.window]
    free = [i for i, call in enumerate(ground.calls) if not (call.must or call.window)]
    blocks: list[Block] = [(index,) for index in alone]

    def kin(index: int) -> tuple[int, list[str]]:
        call = ground.calls[index]
        return call.door.building_id, sorted(call.skills)

    free.sort(key=lambda i: (*kin(i), -ground.calls[i].worth, ground.calls[i].premises_id))
    for _, group in groupby(free, kin):
        members = list(group)
        blocks += [tuple(members[at : at + block_size]) for at in range(0, len(members), block_size)]
    return blocks


def solve(
    ground: Ground, blocks: Sequence[Block], search: Search, seed: int, start: Sequence[Sequence[int]] | None = None
) -> list[list[int]]:
    """Routes of calls, one per inspector; reproducible: the same input, seed and iterations give the same routes.

    `start` are routes to begin from, as positions in `blocks`. Routes may be slightly infeasible in real clock time.
    """
    data = _problem(ground, blocks, search)
    initial = _initial(data, start) if start is not None else None
    params = pyvrp.SolveParams(neighbourhood=NeighbourhoodParams(num_neighbours=search.neighbours))
    polish = start is not None
    iterations, seconds = search.iterations(len(ground.calls), polish=polish), search.seconds(polish=polish)
    stop = MultipleCriteria([MaxIterations(iterations), MaxRuntime(seconds)])
    with warnings.catch_warnings():  # an infeasible best is no harm: `planner` settles every route in real time
        warnings.simplefilter("ignore", PenaltyBoundWarning)
        result = pyvrp.solve(data, stop, seed=seed, collect_stats=False, params=params, initial_solution=initial)
    return _routes(result.best, blocks, len(ground.day.inspectors))


def _initial(data: ProblemData, start: Sequence[Sequence[int]]) -> Solution:
    return Solution(data, [Route(data, list(route), position) for position, route in enumerate(start) if route])


def _routes(best: Solution, blocks: Sequence[Block], inspectors: int) -> list[list[int]]:
    routes: list[list[int]] = [[] for _ in range(inspectors)]
    for route in best.routes():
        clients = [activity.idx for activity in route if activity.is_client()]
        routes[route.vehicle_type()] = [call for client in clients for call in blocks[client]]
    return routes


def _problem(ground: Ground, blocks: Sequence[Block], search: Search) -> ProblemData:
    demands = _demands(ground)
    cut = _common_cut(ground.day.inspectors)
    duration = _durations(ground)
    return ProblemData(
        locations=[Location(point.longitude, point.latitude) for point in ground.points],
        clients=[_client(ground, block, search, demands, cut) for block in blocks],
        depots=[Depot(location=place) for place in (*ground.station, *ground.end)],
        vehicle_types=[_vehicle(ground, p, demands) for p in range(len(ground.day.inspectors))],
        distance_matrices=[_costs(ground, search)],  # type: ignore[list-item]  # the stub asks for ndarray[int]
        duration_matrices=[duration],  # type: ignore[list-item]
    )


def _demands(ground: Ground) -> list[tuple[str, str]]:
    """The load dimensions: each skill and area that a call asks for and not every inspector has."""
    skills = sorted({skill for call in ground.calls for skill in call.skills})
    areas = sorted({call.door.area for call in ground.calls})
    inspectors = ground.day.inspectors
    return [
        *(("skill", skill) for skill in skills if any(skill not in i.skills for i in inspectors)),
        *(("area", area) for area in areas if any(area not in i.areas for i in inspectors)),
    ]


def _client(
    ground: Ground, block: Block, search: Search, demands: Sequence[tuple[str, str]], cut: "_Cut | None"
) -> Client:
    calls = [ground.calls[index] for index in block]
    weight = sum(max(call.worth, 0.1) * (search.mandatory_factor if call.must else 1) for call in calls)
    early, late = _compressed(calls[0].aim, cut)
    asked = {("area", calls[0].door.area), *(("skill", skill) for skill in calls[0].skills)}
    return Client(
        location=ground.place[block[0]],
        delivery=[int(demand in asked) for demand in demands],
        service_duration=sum(call.service_s + ground.flat_s for call in calls),
        tw_early=early,
        tw_late=late,
        prize=min(int(weight * search.prize_factor), _PRIZE_MAX),
        required=False,
    )


def _vehicle(ground: Ground, position: int, demands: Sequence[tuple[str, str]]) -> VehicleType:
    inspector = ground.day.inspectors[position]
    has = {"skill": inspector.skills, "area": inspector.areas}
    rest = inspector.break_s if needs_break(inspector) else 0
    return VehicleType(
        capacity=[_PLENTY if name in has[kind] else 0 for kind, name in demands],
        start_depot=position,
        end_depot=len(ground.station) + position,
        tw_early=inspector.shift_start_s,
        tw_late=max(inspector.shift_end_s - rest, inspector.shift_start_s),
    )


def _durations(ground: Ground) -> np.ndarray:
    matrix = np.array(ground.matrix, dtype=np.int64).reshape(len(ground.points), len(ground.points))
    matrix[: ground.buildings, :] -= ground.flat_s  # given back: every service was lengthened by the step
    matrix[:, : ground.buildings] += ground.setup_s
    np.fill_diagonal(matrix, 0)
    return np.maximum(matrix, 0)


def _costs(ground: Ground, search: Search) -> np.ndarray:
    """Travel seconds, and the price of changing compound on top: few compounds a day."""
    cost = np.array(ground.matrix, dtype=np.int64).reshape(len(ground.points), len(ground.points))
    compound = np.full(len(ground.points), -1)
    for index, call in enumerate(ground.calls):
        compound[ground.place[index]] = call.door.compound_id
    real = compound >= 0
    cost[(compound[:, None] != compound[None, :]) & real[:, None] & real[None, :]] += search.compound_change_s
    np.fill_diagonal(cost, 0)
    return cost


@dataclass(frozen=True, slots=True)
class _Cut:
    """The piece of the day that is cut out for the break."""

    at_s: int
    length_s: int

    def compress(self, moment_s: int) -> int:
        return moment_s if moment_s <= self.at_s else max(self.at_s, moment_s - self.length_s)


def _common_cut(inspectors: Sequence[Inspector]) -> _Cut | None:
    """Where most inspectors' break is cut out: early in its window, so that a visit across it still ends in time."""
    cuts = Counter(
        _Cut(i.break_after_s + (i.break_before_s - i.break_after_s) // 3, i.break_s)
        for i in inspectors
        if needs_break(i)
    )
    return max(cuts, key=lambda cut: (cuts[cut], -cut.at_s, -cut.length_s)) if cuts else None


def _compressed(window: Window | None, cut: _Cut | None) -> tuple[int, int]:
    if window is None:
        return 0, _DAY_S
    if cut is None:
        return window.early_s, window.late_s
    return cut.compress(window.early_s), cut.compress(window.late_s)
