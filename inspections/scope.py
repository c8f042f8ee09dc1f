"""Whom and what a change concerns: those touched, the nearest to where something must be done, what waits. Pure."""

from collections.abc import Collection, Mapping, Sequence

from inspections.change_effect import Before
from inspections.emergency import is_emergency
from inspections.model import Call, Day, Point
from inspections.params import RosterParams
from inspections.repair import Wanted
from inspections.standing import Standing

_NEAREST = 24
_CANDIDATES_MAX = 120


def wanted_of(before: Before, touched: frozenset[int], params: RosterParams, kind: str) -> Wanted:
    """What is to be repaired: the rest of the day of those concerned, with what came up and the best of what waits."""
    planned = {placed.premises_id for standing in before.standings for placed in standing.ahead}
    under_way = {p.premises_id for standing in before.standings for p in standing.frozen if not p.done}
    new = [call for call in before.calls.values() if call.premises_id not in planned | under_way]
    musts = [call for call in new if call.must]
    waiting = sorted((call for call in new if not call.must), key=lambda call: (-call.worth, call.premises_id))
    lost = [p for s in before.standings if s.rest is None for p in s.ahead if p.call is not None]
    points = [call.door.point for call in musts] + [placed.visit.call.door.point for placed in lost]
    scope = around(before.standings, points, touched, everybody=kind == "replan")
    current = {
        standing.inspector.inspector_id: tuple(p.premises_id for p in standing.ahead if p.call is not None)
        for standing in scope
        if standing.rest is not None
    }
    most = params.candidates_max if kind == "replan" else _CANDIDATES_MAX
    ahead = [before.calls[premises_id] for premises_ids in current.values() for premises_id in premises_ids]
    unserved = [before.calls[placed.premises_id] for placed in lost]
    calls = {call.premises_id: call for call in (*ahead, *unserved, *musts, *waiting[:most])}
    day = Day(
        before.day,
        tuple(calls[premises_id] for premises_id in sorted(calls)),
        tuple(standing.rest for standing in scope if standing.rest is not None),
        params.travel,
        overbooking=params.overbooking,
    )
    return Wanted(day, current, _urgent(before, calls, musts), touched)


def _urgent(before: Before, calls: Mapping[int, Call], musts: Sequence[Call]) -> tuple[int, ...]:
    """Emergencies in the order in which somebody is sent: those on their way to be served first, then new ones.

    A visit that was planned for less and became an emergency since is a new one.
    """
    ahead = sorted((p for s in before.standings for p in s.ahead), key=lambda placed: placed.visit.arrive_s)
    known = [p for p in ahead if p.premises_id in calls and is_emergency(calls[p.premises_id])]
    sent = [p.premises_id for p in known if p.visit.call.mandatory]
    raised = [p.premises_id for p in known if not p.visit.call.mandatory]
    return (*sent, *raised, *(call.premises_id for call in musts if is_emergency(call)))


def around(
    standings: Sequence[Standing], points: Sequence[Point], touched: Collection[int], *, everybody: bool
) -> list[Standing]:
    """The standings to plan anew, in their order. Without any place concerned: those touched and their nearest."""
    if everybody or len(standings) <= _NEAREST:
        return list(standings)
    own = [s for s in standings if s.inspector.inspector_id in touched]
    places = [*points, *(_place(standing) for standing in own)] or [_place(standing) for standing in standings]
    nearest = sorted(standings, key=lambda s: (min(_apart(_place(s), p) for p in places), s.inspector.inspector_id))
    chosen = {s.inspector.inspector_id for s in (*own, *nearest[:_NEAREST])}
    return [standing for standing in standings if standing.inspector.inspector_id in chosen]


def _place(standing: Standing) -> Point:
    return standing.inspector.start if standing.rest is None else standing.rest.start


def _apart(a: Point, b: Point) -> float:
    """A distance good enough to compare with another one nearby."""
    return (a.latitude - b.latitude) ** 2 + (0.8 * (a.longitude - b.longitude)) ** 2
