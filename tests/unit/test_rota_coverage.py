"""Gaps in the rota, and who has taken over from whom."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from rules.rota.coverage import gaps, not_taken_over, on_duty
from rules.rota.model import Shift

T0 = datetime(2026, 11, 20, tzinfo=UTC)
ABOVE = {"CITY": frozenset({"CITY"}), "D1": frozenset({"D1", "CITY"}), "D2": frozenset({"D2", "CITY"})}
LEAVES = ("D1", "D2")


def at(hours: float) -> datetime:
    return T0 + timedelta(hours=hours)


def shift(number: int, begins: float, ends: float, areas: set[str] | None = None, **times: datetime) -> Shift:
    return Shift(number, f"p{number}", 1, None if areas is None else frozenset(areas), at(begins), at(ends), **times)


def test_whole_cover_has_no_gap() -> None:
    """Shifts that meet, for a district named or one above it, leave nothing uncovered."""
    plan = [shift(1, 0, 12), shift(2, 12, 24, {"CITY"})]
    assert gaps(plan, LEAVES, ABOVE, 1, at(0), at(24)) == []


def test_gaps_are_named_with_their_districts() -> None:
    """Districts with the same gap are one gap; another level's shifts do not count."""
    plan = [shift(1, 0, 10), shift(2, 12, 20, {"D1"})]
    found = gaps(plan, LEAVES, ABOVE, 1, at(0), at(24))
    assert [(gap.areas, gap.starts_at, gap.ends_at) for gap in found] == [
        (("D1",), at(10), at(12)),
        (("D2",), at(10), at(24)),
        (("D1",), at(20), at(24)),
    ]
    assert gaps(plan, LEAVES, ABOVE, 2, at(0), at(24))[0].areas == ("D1", "D2")


def test_who_was_not_relieved_is_on_duty_and_still_a_gap_in_the_plan() -> None:
    """After the planned end a person stays on duty until somebody takes over; the plan shows the gap all the same."""
    plan = [shift(1, 0, 8)]
    assert on_duty(plan, "D1", ABOVE, at(9)) == {1: plan}
    assert plan[0].overdue(at(9))
    assert gaps(plan, LEAVES, ABOVE, 1, at(9), at(10)) != []
    relieved = [shift(1, 0, 8, relieved_at=at(8.5))]
    assert on_duty(relieved, "D1", ABOVE, at(9)) == {}


def test_an_early_take_over_counts() -> None:
    """Who takes over before the planned start is on duty from then on."""
    early = shift(2, 8, 16, taken_at=at(7))
    assert early.on_duty(at(7.5))
    assert not early.on_duty(at(6.5))


def test_districts_that_nobody_takes_over_are_named() -> None:
    """A hand-over to somebody with fewer districts names those that would be left."""
    assert not_taken_over(shift(1, 0, 8), [shift(2, 8, 16, {"D1"})], LEAVES, ABOVE) == ["D2"]
    assert not_taken_over(shift(1, 0, 8), [shift(2, 8, 16, {"D1"}), shift(3, 8, 16, {"D2"})], LEAVES, ABOVE) == []


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 12)), max_size=8))
def test_every_hour_is_covered_or_in_a_gap(spans: list[tuple[int, int]]) -> None:
    """For any plan, an hour lies in a gap exactly when no shift covers it."""
    plan = [shift(number, begin, begin + length) for number, (begin, length) in enumerate(spans)]
    found = gaps(plan, ["D1"], ABOVE, 1, at(0), at(24))
    for hour in range(24):
        moment = at(hour + 0.5)
        covered = any(one.starts_at <= moment < one.ends_at for one in plan)
        assert covered != any(gap.starts_at <= moment < gap.ends_at for gap in found)
