"""Why a door is left out: the constraint that binds, tested alone against every inspector, and its price."""

from collections.abc import Sequence

from inspections.insertion import Forced, Route, able, force, lost, missing_s
from inspections.model import Call, Constraint, Omission
from inspections.timetable import Ground, Timed, time_route

_INSPECTORS_PRICED = 2


def explain_omissions(
    ground: Ground, routes: Sequence[Route], timed: Sequence[Timed], left: Sequence[int]
) -> list[Omission]:
    """One omission for every call in `left`, in that order."""
    return [_explain(ground, routes, timed, call) for call in left]


def _explain(ground: Ground, routes: Sequence[Route], timed: Sequence[Timed], index: int) -> Omission:
    call = ground.calls[index]
    alone = _alone(ground, index)
    if alone:
        return Omission(call, alone[0], alone[1], {"possible": False})
    return _price(ground, routes, timed, index)


def _alone(ground: Ground, index: int) -> tuple[Constraint, str] | None:
    """The constraint that keeps every inspector from this door even on an empty day, or None."""
    call = ground.calls[index]
    if not ground.staff:
        return "capacity", "no inspector works on this day"
    if not any(call.skills <= inspector.skills for inspector in ground.staff):
        return "skill", f"nobody who works on this day has the skills {_words(call.skills)}"
    able_positions = able(ground, index)
    if not able_positions:
        return "area", f"nobody with the skills {_words(call.skills)} covers area {call.door.area}"
    if any(time_route(ground, position, [index]) for position in able_positions):
        return None
    if call.window and _fits_without_window(ground, index, able_positions):
        return "window", f"nobody able can begin between {clock(call.window.early_s)} and {clock(call.window.late_s)}"
    return "shift", f"travel and {call.service_s // 60} min of work do not fit into the shift of anyone able"


def _fits_without_window(ground: Ground, index: int, positions: Sequence[int]) -> bool:
    window, ground.window_s[index] = ground.window_s[index], (0, 10**9)
    try:
        return any(time_route(ground, position, [index]) for position in positions)
    finally:
        ground.window_s[index] = window


def _price(ground: Ground, routes: Sequence[Route], timed: Sequence[Timed], index: int) -> Omission:
    """It fits alone, so other visits took its time: which ones would have to go, and how many minutes are missing."""
    ranked = sorted((missing_s(ground, p, routes[p], timed[p], index), p) for p in able(ground, index))
    tried = ranked if ground.calls[index].must else ranked[:_INSPECTORS_PRICED]
    forced = [f for _, p in tried if (f := force(ground, p, routes[p], index)) is not None]
    call, missing_min = ground.calls[index], max(0, -(-ranked[0][0] // 60))
    if not forced:
        nearest = ground.day.inspectors[ranked[0][1]].code
        reason = (
            f"mandatory and promised visits fill the day of every inspector able; {nearest} lacks {missing_min} min"
        )
        return Omission(
            call, "capacity", reason, {"possible": False, "inspector": nearest, "minutes_missing": missing_min}
        )
    best = min(forced, key=lambda f: (lost(ground.calls, f.displaced), f.position))
    return _crowded(ground, call, best, missing_min)


def _crowded(ground: Ground, call: Call, best: Forced, missing_min: int) -> Omission:
    inspector = ground.day.inspectors[best.position].code
    displaced = [ground.calls[index] for index in best.displaced]
    cost = lost(ground.calls, best.displaced)
    price: dict[str, object] = {
        "possible": True,
        "inspector": inspector,
        "minutes_missing": missing_min,
        "displaces": [{"premises": other.door.code, "priority": other.priority} for other in displaced],
        "priority_lost": cost,
        "priority_gained": round(call.worth, 1),
    }
    names = ", ".join(other.door.code for other in displaced) or "no single visit"
    reason = f"crowded out by {names} (priority {cost:g} against {call.worth:g}) in the day of {inspector}"
    return Omission(call, "crowded_out", reason, price)


def _words(skills: frozenset[str]) -> str:
    return " and ".join(sorted(skills)) or "(none)"


def clock(moment_s: int) -> str:
    """Seconds of the day as HH:MM."""
    return f"{moment_s // 3600:02d}:{moment_s % 3600 // 60:02d}"
