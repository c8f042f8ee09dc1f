"""Which batches a refresh of the continuous aggregates has computed."""

from datetime import UTC, datetime, timedelta

from ingest.refreshing import LOOK_EVERY, LOOKS_MAX, Looks

AT = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def test_a_refresh_holds_what_was_seen_before_it_began() -> None:
    """Batches seen before, not those seen after; and each only once."""
    looks = Looks()
    for number in range(4):
        looks.note(AT + number * MINUTE, {"a": number, "b": 10 + number})
    assert looks.refreshed(None) == {}
    assert looks.refreshed(AT) == {}
    assert looks.refreshed(AT + 2 * MINUTE) == {"a": 1, "b": 11}
    assert looks.refreshed(AT + 2 * MINUTE) == {}
    assert looks.refreshed(AT + 9 * MINUTE) == {"a": 3, "b": 13}


def test_a_slot_that_is_new_is_held_from_its_first_look_on() -> None:
    """A slot keeps the newest of its own looks."""
    looks = Looks()
    looks.note(AT, {"a": 1})
    looks.note(AT + MINUTE, {"a": 2, "b": 7})
    assert looks.refreshed(AT + 2 * MINUTE) == {"a": 2, "b": 7}


def test_looks_are_bounded() -> None:
    """One a minute, the newest of a day: a refresh that never comes costs no memory."""
    looks = Looks()
    for number in range(LOOKS_MAX + 5):
        looks.note(AT + number * LOOK_EVERY, {"a": number})
        looks.note(AT + number * LOOK_EVERY + timedelta(seconds=5), {"a": -1})
    assert len(looks.seen) == LOOKS_MAX
    assert looks.refreshed(AT + 10_000 * MINUTE) == {"a": LOOKS_MAX + 4}
