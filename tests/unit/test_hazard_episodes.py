"""Hazards of a door follow from the set of its visits, not from the order in which they are reported."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from inspections.hazard_episodes import DoorVisit, FoundHazard, KnownHazard, Told, retell

_FIRST = datetime(2026, 3, 2, 9, tzinfo=UTC)
_RUST, _LEAK = ("light_rust", 3), ("leak", 1)
_DEADLINE = {_RUST: timedelta(days=30), _LEAK: timedelta(days=1)}


def visit(number: int, *keys: tuple[str, int], passed: bool = False, day: int | None = None) -> DoorVisit:
    """The visit of a day that saw these hazards; its outcome has the number of the visit and a hundred."""
    at = _FIRST + timedelta(days=number if day is None else day)
    found = {key: FoundHazard(*key, (at + _DEADLINE[key]).date(), f"seen on {at:%d %B}") for key in keys}
    return DoorVisit(at, number, 100 + number, passed, found)


@dataclass
class Door:
    """What the tables hold of a door: visits reported so far and hazards recorded."""

    visits: list[DoorVisit] = field(default_factory=list)
    hazards: dict[int, KnownHazard] = field(default_factory=dict)

    def report(self, one: DoorVisit, rechecked: tuple[str, int] | None = None) -> None:
        """Take a report as the store does: first what its re-check proved gone, then what all visits tell."""
        self.visits.append(one)
        for hazard in [*self.hazards.values()]:
            earlier = hazard.closed_at is None or (hazard.closed_outcome_id is not None and one.at < hazard.closed_at)
            if hazard.key == rechecked and earlier and hazard.hazard_id == min(self.hazards):
                self._close(hazard, one)
        for told in retell(self.visits, list(self.hazards.values())):
            self._write(told)

    def close(self, hazard_id: int, at: datetime) -> None:
        """A person closes a hazard."""
        self.hazards[hazard_id] = replace(self.hazards[hazard_id], closed_at=at, fixed=True)

    def told(self) -> list[tuple[object, ...]]:
        """The hazards without their numbers."""
        return sorted(
            (
                one.key,
                one.outcome_id,
                one.found_at,
                one.due_on,
                one.note,
                str(one.closed_at),
                str(one.closed_outcome_id),
            )
            for one in self.hazards.values()
        )

    def _close(self, hazard: KnownHazard, one: DoorVisit) -> None:
        self.hazards[hazard.hazard_id] = replace(
            hazard, closed_at=one.at, closed_outcome_id=one.outcome_id, closed_visit_id=one.visit_id, fixed=True
        )

    def _write(self, told: Told) -> None:
        number = told.hazard_id or len(self.hazards) + 1
        known = self.hazards.get(number)
        closed_by = None if told.closed_outcome_id is None else told.closed_outcome_id - 100
        self.hazards[number] = KnownHazard(
            number, (told.found.code, told.found.grade), told.outcome_id, told.found_at, told.found.due_on,
            told.found.note, told.closed_at, told.closed_outcome_id, closed_by, known is not None and known.fixed,
        )  # fmt: skip


def reported(visits: Sequence[DoorVisit]) -> Door:
    door = Door()
    for one in visits:
        door.report(one)
    return door


def test_a_minor_hazard_lasts_until_the_next_visit_that_passed() -> None:
    """Seen, passed, seen, seen: the first ended with the pass, the second is as old as its first sighting and open."""
    door = reported([visit(0, _RUST), visit(1, passed=True), visit(2, _RUST), visit(3, _RUST)])
    first, second = door.hazards[1], door.hazards[2]
    assert (first.closed_at, first.closed_outcome_id) == (_FIRST + timedelta(days=1), 101)
    assert (second.found_at, second.due_on, second.closed_at) == (_FIRST + timedelta(days=2), date(2026, 4, 3), None)


def test_a_pass_between_two_sightings_tells_two_hazards_of_one() -> None:
    """Seen on the first and third day, and only then told that the second day passed: one closed, one open."""
    door = reported([visit(0, _RUST), visit(2, _RUST)])
    assert [one.closed_at for one in door.hazards.values()] == [None]
    door.report(visit(1, passed=True))
    assert [one.outcome_id for one in door.hazards.values()] == [100, 102]
    assert [one.closed_outcome_id for one in door.hazards.values()] == [101, None]


def test_a_pass_does_not_end_what_needs_a_recheck() -> None:
    """A leak is closed by its re-check only; a sighting before it is the same leak, one after it another."""
    door = reported([visit(1, _LEAK), visit(2, passed=True)])
    assert door.hazards[1].closed_at is None
    door.report(visit(4, passed=True), rechecked=_LEAK)
    door.report(visit(0, _LEAK))
    assert (len(door.hazards), door.hazards[1].found_at, door.hazards[1].closed_outcome_id) == (1, _FIRST, 104)
    door.report(visit(5, _LEAK))
    assert (len(door.hazards), door.hazards[2].closed_at) == (2, None)


def test_a_leak_seen_after_a_recheck_is_not_closed_by_its_late_report() -> None:
    """Seen again on the third day, then told of the second day's re-check: that proof holds for the first only."""
    door = reported([visit(0, _LEAK), visit(3, _LEAK)])
    assert len(door.hazards) == 1
    door.report(visit(2), rechecked=_LEAK)
    assert [one.closed_outcome_id for one in door.hazards.values()] == [102, None]


def test_what_a_person_closed_stays_closed() -> None:
    """No late report opens it again or moves its closing; a pass before it tells an earlier hazard apart."""
    door = reported([visit(0, _RUST), visit(3, _RUST)])
    closed_at = _FIRST + timedelta(days=4)
    door.close(1, closed_at)
    door.report(visit(1, passed=True))
    assert (door.hazards[1].found_at, door.hazards[1].closed_at) == (_FIRST + timedelta(days=3), closed_at)
    assert (door.hazards[2].found_at, door.hazards[2].closed_outcome_id) == (_FIRST, 101)


_Kinds = list[tuple[str, set[tuple[str, int]], int]]
_VISITS = st.lists(
    st.tuples(
        st.sampled_from(["passed", "found", "partial"]),
        st.sets(st.sampled_from([_RUST, _LEAK, ("poor_flame", 3)])),
        st.integers(0, 4),
    ),
    max_size=7,
)
_DEADLINE["poor_flame", 3] = timedelta(days=30)


@given(st.data(), _VISITS)
def test_any_order_tells_the_same_hazards(data: st.DataObject, kinds: _Kinds) -> None:
    """However the reports come in, also of visits at one moment, the hazards are those of the order at the door."""
    visits = [
        visit(number, *(() if result == "passed" else sorted(keys)), passed=result == "passed", day=day)
        for number, (result, keys, day) in enumerate(kinds)
    ]
    expected = reported(sorted(visits, key=lambda one: (one.at, one.visit_id)))
    assert reported(data.draw(st.permutations(visits))).told() == expected.told()
    assert retell(expected.visits, list(expected.hazards.values())) == []


@given(st.data(), _VISITS)
def test_any_order_around_a_recheck(data: st.DataObject, kinds: _Kinds) -> None:
    """A leak known from the start and re-checked by one of the visits: wherever its report comes, the same hazards."""
    first = visit(0, _LEAK, day=0)
    visits = [
        visit(number, *(() if result == "passed" else sorted(keys)), passed=result == "passed", day=1 + day)
        for number, (result, keys, day) in enumerate(kinds, 1)
    ]
    clear = [one for one in visits if _LEAK not in one.found]
    rechecking = data.draw(st.sampled_from(clear)) if clear else None

    def end(order: Sequence[DoorVisit]) -> list[tuple[object, ...]]:
        door = reported([first])
        for one in order:
            door.report(one, rechecked=_LEAK if one is rechecking else None)
        return door.told()

    in_order = sorted(visits, key=lambda one: (one.at, one.visit_id))
    assert end(data.draw(st.permutations(visits))) == end(in_order)
