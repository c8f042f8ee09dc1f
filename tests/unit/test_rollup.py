"""Which batches one roll-up transaction takes, and how they are grouped."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from ingest.rollup import Batch, groups, within

T0 = datetime(2026, 3, 1, tzinfo=UTC)


def batch(batch_id: int, rows: int = 10, *, day: int = 0, days: int = 1) -> Batch:
    return Batch(batch_id, rows, T0 + timedelta(days=day), T0 + timedelta(days=day + days))


def test_a_transaction_takes_batches_up_to_its_rows() -> None:
    """Batches are taken in order while their rows fit."""
    assert [one.batch_id for one in within([batch(1), batch(2), batch(3)], 25)] == [1, 2]


def test_one_large_batch_is_taken_alone() -> None:
    """A batch larger than the limit does not stop the roll-up."""
    assert [one.batch_id for one in within([batch(1, 1_000), batch(2)], 25)] == [1]


def test_old_rows_keep_to_themselves() -> None:
    """A batch that reaches far back is looked up alone; the others stay together."""
    grouped = [[one.batch_id for one in group] for group in groups([batch(1), batch(2, day=-60, days=60), batch(3)])]
    assert sorted(grouped) == [[1, 3], [2]]


def test_batches_without_readings_are_left_out() -> None:
    """Events alone change no bucket."""
    assert list(groups([Batch(1, 0, None, None)])) == []


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(-90, 0), st.integers(0, 90)), max_size=30), st.integers(1, 200)
)
def test_every_batch_with_readings_is_in_one_group(drawn: list[tuple[int, int, int]], rows_max: int) -> None:
    """Whatever batches wait: a prefix is taken, and each of it that has readings is rolled up exactly once."""
    batches = [batch(number, rows, day=day, days=days) for number, (rows, day, days) in enumerate(drawn)]
    taken = within(batches, rows_max)
    assert taken == batches[: len(taken)]
    assert len(taken) >= min(1, len(batches))
    ids = sorted(one.batch_id for group in groups(taken) for one in group)
    assert ids == [one.batch_id for one in taken if one.reading_rows]
