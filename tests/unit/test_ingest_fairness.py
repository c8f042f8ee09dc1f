"""Turns between gateways: nothing is lost or reordered within one, and nobody waits for a flood of another."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.fairness import FairQueue

arrivals = st.lists(st.tuples(st.sampled_from("abcd"), st.integers(1, 9_000)), max_size=60)


@given(arrivals, st.integers(1, 17), st.integers(1, 5_000))
def test_nothing_is_lost_and_order_within_a_gateway_stays(
    sent: list[tuple[str, int]], count: int, quantum_bytes: int
) -> None:
    """Whatever the sizes, portions and turns: everything comes out once, each gateway's in its order."""
    queue: FairQueue[tuple[str, int]] = FairQueue(quantum_bytes)
    for number, (gateway, size_bytes) in enumerate(sent):
        queue.add(gateway, (gateway, number), size_bytes)
    out: list[tuple[str, int]] = []
    while portion := queue.take(count):
        assert len(portion) <= count
        out += portion
    assert len(queue) == 0
    for gateway in "abcd":
        assert [n for who, n in out if who == gateway] == [n for n, (who, _) in enumerate(sent) if who == gateway]


def test_a_flood_does_not_delay_the_others() -> None:
    """10,000 messages of one gateway wait; the three of another come with the very next portion."""
    queue: FairQueue[str] = FairQueue()
    for _ in range(10_000):
        queue.add("flood", "flood", 400)
    for _ in range(3):
        queue.add("calm", "calm", 400)
    assert Counter(queue.take(100))["calm"] == 3
    assert queue.waiting("flood") == len(queue) == 9_903


def test_shares_are_by_bytes() -> None:
    """Of two floods the one with messages ten times as large gets a tenth of the messages."""
    queue: FairQueue[str] = FairQueue()
    for _ in range(2_000):
        queue.add("large", "large", 4_000)
        queue.add("small", "small", 400)
    shares = Counter(queue.take(1_100))
    assert shares["large"] == pytest.approx(100, rel=0.1)


def test_a_message_larger_than_a_turn_gets_out() -> None:
    """Credit adds up over turns, so that no size is stuck; and a wrong quantum is refused."""
    queue: FairQueue[str] = FairQueue(10)
    queue.add("a", "large", 65_536)
    assert queue.take(1) == ["large"]
    with pytest.raises(ValueError, match="at least 1"):
        FairQueue(0)
