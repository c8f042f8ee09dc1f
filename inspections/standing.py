"""A day that is running: what is done or under way stays as it is, the rest of everybody's day can be planned anew."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from inspections.model import Call, Inspector, Omission, Roster, Travel, Visit


@dataclass(frozen=True, slots=True)
class Placed:
    """A visit of the version in force. `call` is None when nothing is open for the door any more.

    `done_s`: when its outcome says that somebody was at the door; None when it is not known.
    """

    visit_id: int
    premises_id: int
    building_id: int
    call: Call | None
    visit: Visit
    done: bool
    done_s: int | None = None


@dataclass(frozen=True, slots=True)
class RunningRoster:
    """An inspector's roster in force: `inspector` as the day was planned for, the visits in order."""

    inspector: Inspector
    roster: Roster
    visits: tuple[Placed, ...]


@dataclass(frozen=True, slots=True)
class Standing:
    """How one inspector stands at a moment: `rest` is the inspector from then on, None when the day is over."""

    inspector: Inspector
    rest: Inspector | None
    frozen: tuple[Placed, ...]
    ahead: tuple[Placed, ...]
    break_taken: tuple[int, int] | None
    leave_s: int | None


@dataclass(frozen=True, slots=True)
class InForce:
    """The version of a day in force: its rosters, and the raw rows of its visits by id."""

    run_id: int
    version: int
    rosters: tuple[RunningRoster, ...]
    rows: Mapping[int, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class NextVersion:
    """What a change makes of a day: each roster with its visits, the known visit's id or None, in order.

    `joined` are duties that go to a visit which is under way.
    """

    rosters: tuple[tuple[Roster, tuple[tuple[int | None, Visit], ...]], ...]
    frozen: frozenset[int]
    omissions: tuple[Omission, ...]
    joined: tuple[tuple[int, int], ...]


def stand(
    running: RunningRoster, now_s: int, travel: Travel, *, present: Inspector | None, until_s: Mapping[int, int]
) -> Standing:
    """Freeze what is done or under way at `now_s`; `until_s` gives the new end of visits that take longer.

    A visit that was done ahead of its plan is frozen where it was done; those that were planned before it stay movable.

    `present` is the inspector as far as still at work today; None when not any more: then only what is done, or was to
    be over by now, is frozen.
    """
    gone = present is None or present.shift_end_s <= now_s
    visits = [_prolonged(placed, until_s) for placed in _as_done(running, now_s)]
    count = 0
    for position, placed in enumerate(visits):
        over = placed.done or placed.visit.leave_s <= now_s
        if over or (not gone and _departs_s(visits, position, travel) <= now_s):
            count = position + 1
    frozen, ahead = tuple(visits[:count]), tuple(visits[count:])
    roster = running.roster
    taken = _break_taken(roster, frozen, now_s)
    leave_s = roster.leave_s if frozen or roster.leave_s <= now_s else None
    rest = None if present is None or gone else _rest(present, frozen, now_s, taken)
    return Standing(running.inspector, rest, frozen, ahead, taken, leave_s)


def idle(inspector: Inspector, now_s: int) -> Standing:
    """How somebody without a roster stands: free at the start of the day, or from now."""
    rest = replace(inspector, shift_start_s=max(inspector.shift_start_s, now_s))
    return Standing(inspector, rest if rest.shift_start_s < rest.shift_end_s else None, (), (), None, None)


def _as_done(running: RunningRoster, now_s: int) -> list[Placed]:
    """The visits in the order of the day: those done ahead of their plan at the time when they were done."""
    early = [_told_early(placed, running.roster.leave_s, now_s) for placed in running.visits if _ahead_of_plan(placed)]
    visits = [placed for placed in running.visits if not _ahead_of_plan(placed)]
    for placed in sorted(early, key=lambda one: one.visit.arrive_s):
        later = (n for n, other in enumerate(visits) if other.visit.arrive_s > placed.visit.arrive_s)
        visits.insert(next(later, len(visits)), placed)
    return visits


def _ahead_of_plan(placed: Placed) -> bool:
    return placed.done_s is not None and placed.done_s < placed.visit.arrive_s


def _told_early(placed: Placed, from_s: int, now_s: int) -> Placed:
    """Done, and over by now; not before `from_s`, when the inspector's day begins."""
    assert placed.done_s is not None
    arrive_s = max(from_s, min(placed.done_s, now_s))
    work_s = placed.visit.leave_s - placed.visit.arrive_s
    leave_s = max(arrive_s, min(arrive_s + work_s, now_s))
    return replace(placed, visit=replace(placed.visit, arrive_s=arrive_s, leave_s=leave_s))


def _prolonged(placed: Placed, until_s: Mapping[int, int]) -> Placed:
    if placed.visit_id not in until_s:
        return placed
    leave_s = max(until_s[placed.visit_id], placed.visit.arrive_s)
    return replace(placed, visit=replace(placed.visit, leave_s=leave_s))


def _departs_s(visits: list[Placed], position: int, travel: Travel) -> int:
    """When the inspector sets out for a visit: not before the one ahead of it has ended."""
    same = position > 0 and visits[position - 1].building_id == visits[position].building_id
    visit = visits[position].visit
    planned_s = visit.arrive_s - visit.travel_s - (0 if same else travel.building_setup_s)
    return max(planned_s, visits[position - 1].visit.leave_s) if position else planned_s


def _break_taken(roster: Roster, frozen: Iterable[Placed], now_s: int) -> tuple[int, int] | None:
    begin, end = roster.break_start_s, roster.break_end_s
    if begin is None or end is None:
        return None
    last = max((placed.visit.arrive_s for placed in frozen), default=0)
    return (begin, end) if begin <= now_s or end <= last else None


def _rest(
    present: Inspector, frozen: tuple[Placed, ...], now_s: int, taken: tuple[int, int] | None
) -> Inspector | None:
    """The inspector from the end of what is frozen: where it ended, when it ends, with the break still due or not."""
    free_s = max(present.shift_start_s, now_s, *(placed.visit.leave_s for placed in frozen[-1:]))
    if taken:
        free_s = max(free_s, taken[1])
    if free_s >= present.shift_end_s:
        return None
    rest = replace(
        present,
        shift_start_s=free_s,
        end=present.start if present.end is None else present.end,
        break_s=0 if taken else present.break_s,
    )
    if not frozen:
        return rest
    last = frozen[-1]
    return replace(rest, start=last.visit.call.door.point, inside_building_id=last.building_id)
