"""How long each hazard of a door lasted, told from all its visits, in whichever order they were reported. Pure.

A hazard lasts from the first visit that saw it to what ended it. A re-check that passed or a person's closing ends it
and stays as it is; a minor hazard (grade 3), which has no re-check of its own, ends with the next visit that passed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

MINOR = 3
Key = tuple[str, int]  # code and grade


@dataclass(frozen=True, slots=True)
class FoundHazard:
    """A hazard as one visit saw it; `due_on` counts from that visit."""

    code: str
    grade: int
    due_on: date
    note: str | None = None


@dataclass(frozen=True, slots=True)
class DoorVisit:
    """A visit that got in: what it saw, whether it passed."""

    at: datetime
    visit_id: int
    outcome_id: int
    passed: bool
    found: Mapping[Key, FoundHazard]


@dataclass(frozen=True, slots=True)
class KnownHazard:
    """A hazard as recorded. `fixed`: closed by a re-check or a person, which no report undoes.

    `closed_visit_id`: of the visit that closed it, None when a person did.
    """

    hazard_id: int
    key: Key
    outcome_id: int
    found_at: datetime
    due_on: date
    note: str | None
    closed_at: datetime | None
    closed_outcome_id: int | None
    closed_visit_id: int | None
    fixed: bool


@dataclass(frozen=True, slots=True)
class Told:
    """What a hazard is by all that is known: a recorded one (`hazard_id`) as it should be, or one more (None)."""

    hazard_id: int | None
    outcome_id: int
    found: FoundHazard
    found_at: datetime
    closed_at: datetime | None
    closed_outcome_id: int | None


@dataclass(slots=True)
class _Episode:
    seen: list[DoorVisit]
    ended_by: DoorVisit | KnownHazard | None = None


def retell(visits: Sequence[DoorVisit], known: Sequence[KnownHazard]) -> list[Told]:
    """The hazards of a door that are not recorded, or not recorded as `visits` tell them; nothing when all is told.

    Visits count by (at, visit_id), so any order of reports ends in the same hazards.
    """
    ordered = sorted(visits, key=lambda one: (one.at, one.visit_id))
    keys = sorted({key for visit in ordered for key in visit.found})
    return [told for key in keys for told in _retold(key, ordered, [one for one in known if one.key == key])]


def _retold(key: Key, visits: Sequence[DoorVisit], known: Sequence[KnownHazard]) -> Iterator[Told]:
    taken: set[int] = set()
    episodes = _episodes(key, visits, [one for one in known if one.fixed])
    for episode in episodes:
        if isinstance(episode.ended_by, KnownHazard):
            taken.add(episode.ended_by.hazard_id)
    for episode in episodes:
        row = _row_of(episode, known, taken)
        told = _told(key, episode, row)
        if row is None or not _is_told(row, told):
            yield told


def _episodes(key: Key, visits: Sequence[DoorVisit], fixed: Sequence[KnownHazard]) -> list[_Episode]:
    """Every time that the hazard was there, oldest first."""
    episodes: list[_Episode] = []
    events: list[DoorVisit | KnownHazard] = sorted([*visits, *fixed], key=_moment)
    for event in events:
        current = episodes[-1] if episodes and episodes[-1].ended_by is None else None
        if isinstance(event, KnownHazard):
            _end_fixed(current, episodes, event)
        elif key in event.found:
            if current is None:
                episodes.append(current := _Episode([]))
            current.seen.append(event)
        elif event.passed and key[1] == MINOR and current is not None:
            current.ended_by = event
    return episodes


def _end_fixed(current: _Episode | None, episodes: Sequence[_Episode], closed: KnownHazard) -> None:
    """What was closed for good ends the hazard that was there, else the last one before that nothing else fixed."""
    if current is None:
        current = next((one for one in reversed(episodes) if not isinstance(one.ended_by, KnownHazard)), None)
    if current is not None:
        current.ended_by = closed


def _moment(event: DoorVisit | KnownHazard) -> tuple[datetime, float, int]:
    """Visits by time and id; a closing right after the visit that made it, a person's after all visits of its time."""
    if isinstance(event, DoorVisit):
        return event.at, event.visit_id, 0
    assert event.closed_at is not None  # what is fixed is closed
    return event.closed_at, float("inf") if event.closed_visit_id is None else event.closed_visit_id, 1


def _row_of(episode: _Episode, known: Sequence[KnownHazard], taken: set[int]) -> KnownHazard | None:
    """The recorded hazard that an episode is: the one it was closed as, else the oldest that its visits found."""
    if isinstance(episode.ended_by, KnownHazard):
        return episode.ended_by
    seen = {visit.outcome_id for visit in episode.seen}
    rows = [one for one in known if not one.fixed and one.hazard_id not in taken and one.outcome_id in seen]
    row = min(rows, key=lambda one: (one.found_at, one.hazard_id), default=None)
    if row is not None:
        taken.add(row.hazard_id)
    return row


def _told(key: Key, episode: _Episode, row: KnownHazard | None) -> Told:
    first, end = episode.seen[0], episode.ended_by
    closed = (end.closed_at, end.closed_outcome_id) if isinstance(end, KnownHazard) else (None, None)
    if isinstance(end, DoorVisit):
        closed = (end.at, end.outcome_id)
    return Told(row.hazard_id if row else None, first.outcome_id, first.found[key], first.at, *closed)


def _is_told(row: KnownHazard, told: Told) -> bool:
    recorded = (row.outcome_id, row.found_at, row.due_on, row.note, row.closed_at, row.closed_outcome_id)
    first = (told.outcome_id, told.found_at, told.found.due_on, told.found.note)
    return recorded == (*first, told.closed_at, told.closed_outcome_id)
