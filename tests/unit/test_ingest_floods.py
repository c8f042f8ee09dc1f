"""Which messages of a fast gateway are held back, when they take their turn, and what a bundle keeps of them."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.floods import TURN_MESSAGES, Floods, RateParams
from ingest.holding import bundled, pack, unpack
from ingest.model import Held

NOW = datetime(2026, 11, 20, 8, tzinfo=UTC)


def floods(per_s: float | None = 10.0, burst: int = 100) -> Floods:
    return Floods(RateParams(messages_per_s=per_s, burst=burst))


def held(number: int, gateway: str = "GW-1", payload: bytes = b"{}") -> Held:
    return Held(gateway, f"gas/v1/D01/{gateway}/readings", payload, NOW + timedelta(microseconds=number), None)


def test_a_gateway_within_its_rate_is_never_held() -> None:
    """Ten a second, for a thousand seconds, by a gateway that may send ten a second."""
    paced = floods()
    assert not any(paced.must_hold("GW-1", number / 10) for number in range(10_000))
    assert paced.due_in_s(1000.0) is None


def test_what_exceeds_the_burst_is_held_and_all_after_it_while_any_waits() -> None:
    """Order within a gateway: nothing passes what waits, though there is allowance again; others are not touched."""
    paced = floods()
    assert [paced.must_hold("GW-1", 0.0) for _ in range(101)] == [False] * 100 + [True]
    assert paced.must_hold("GW-1", 60.0)
    assert not paced.must_hold("GW-2", 60.0)
    assert paced.take_started() == ["GW-1"]
    assert paced.take_started() == []
    assert paced.held == 2


def test_held_messages_take_their_turn_at_the_rate_of_the_limit() -> None:
    """A hundred held at ten a second: the next full turn of 100 tokens is due after ten seconds, no earlier."""
    paced = floods()
    for _ in range(200):
        paced.must_hold("GW-1", 0.0)
    assert paced.due(100.0) is None  # not in the database yet
    paced = floods()
    for _ in range(200):
        paced.must_hold("GW-1", 0.0)
    paced.kept("GW-1", 100)
    assert paced.due(9.9) is None
    assert paced.due_in_s(9.5) == pytest.approx(0.5)
    assert paced.due(10.0) == "GW-1"
    paced.released("GW-1", 100, 10.0)
    assert paced.held == 0
    assert paced.due_in_s(12.0) == pytest.approx(3.0)  # until it has half its burst again
    assert paced.take_ended(14.9) == []
    assert paced.take_ended(15.1) == ["GW-1"]
    assert paced.take_ended(99.0) == []


def test_what_an_earlier_worker_left_waits_on_and_holds_what_follows() -> None:
    """After a restart: new messages stand behind those in the database; without a limit those are due at once."""
    paced = floods(per_s=None)
    paced.restore({"GW-1": 7, "GW-2": 0}, 0.0)
    assert paced.must_hold("GW-1", 0.0)
    assert not paced.must_hold("GW-2", 0.0)
    assert paced.due(0.0) == "GW-1"
    paced.released("GW-1", 7, 0.0)
    paced.kept("GW-1", 1)
    paced.released("GW-1", 1, 0.0)
    assert not paced.must_hold("GW-1", 0.0)
    assert set(paced.take_ended(0.0)) == {"GW-1", "GW-2"}


@given(st.lists(st.integers(0, 300), max_size=60), st.integers(1, 500), st.floats(0.5, 500))
def test_no_more_than_rate_and_burst_passes_whatever_the_pattern(gaps: list[int], burst: int, rate: float) -> None:
    """In any stretch from the start: passed at once <= burst + rate x time."""
    paced = floods(rate, burst)
    now_s, passed = 0.0, 0
    for gap in gaps:
        now_s += gap / 10
        passed += sum(not paced.must_hold("GW-1", now_s) for _ in range(20))
        assert passed <= burst + rate * now_s + 1e-6


@given(st.lists(st.tuples(st.text(max_size=30), st.binary(max_size=200)), max_size=40))
def test_a_bundle_gives_back_what_was_put_in(parts: list[tuple[str, bytes]]) -> None:
    """Topic, payload and arrival to the microsecond, in order."""
    messages = [
        Held("GW-1", topic, payload, NOW + timedelta(microseconds=n), None) for n, (topic, payload) in enumerate(parts)
    ]
    assert list(unpack(pack(messages))) == [(one.topic, one.payload, one.received_at) for one in messages]


def test_bundles_are_of_one_gateway_a_turn_long_and_small() -> None:
    """1,200 messages of two gateways, and three of half a megabyte."""
    mixed = [held(number, f"GW-{number % 2}") for number in range(1_200)]
    large = [held(number, "GW-9", b"x" * 400_000) for number in range(3)]
    found = bundled(mixed + large)
    assert [(one.gateway, one.messages) for one in found] == [
        ("GW-0", TURN_MESSAGES), ("GW-0", 100), ("GW-1", TURN_MESSAGES), ("GW-1", 100), ("GW-9", 2), ("GW-9", 1),
    ]  # fmt: skip
    assert found[0].first_received_at == NOW
