"""The sentence of a trace: one outcome for every set of facts."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.trace import RESTART_GAP, Gap, Outcome, Subject, Trace, gaps_in

AT = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
METER = Subject("M-1", "native", 7, "GW-1")
BATCH = {"batch_id": 5, "slot": "0", "last_received_at": AT, "committed_at": AT, "told_at": None, "at": AT}
WAITING = {
    "quarantine_id": 3,
    "first_received_at": AT,
    "reason": "invalid_field",
    "detail": "seq: missing",
    "replayed_at": None,
    "replay_batch_id": None,
}
EVENT = BATCH | {"kind": "leak_alarm", "state": "raised", "received_at": AT}
GAP = Gap(2, 4, AT - HOUR, 7, AT + HOUR)


@pytest.mark.parametrize(
    ("facts", "outcome", "words"),
    [
        ({"reading": BATCH}, Outcome.STORED, "in batch 5 of slot 0"),
        (
            {"reading": BATCH | {"told_at": AT + HOUR}},
            Outcome.STORED,
            "frozen hour of the report of 2026-11-20 09:00:00Z",
        ),
        ({"reading": BATCH | {"committed_at": None}}, Outcome.STORED, "which is no longer kept"),
        ({"events": (EVENT,)}, Outcome.STORED, "the event leak_alarm raised was stored"),
        ({"reading": BATCH, "conflicts": ({},)}, Outcome.CONFLICT, "1 message with another value"),
        ({"reading": BATCH, "quarantined": (WAITING,)}, Outcome.STORED, "was stored"),
        ({"quarantined": (WAITING,)}, Outcome.QUARANTINED, "invalid_field, seq: missing"),
        ({"quarantined": (WAITING | {"replayed_at": AT, "replay_batch_id": 9},)}, Outcome.REPLAYED, "in batch 9"),
        ({"held": ({"received_at": AT},), "gaps": (GAP,)}, Outcome.HELD, "arrived 2026-11-20 08:00:00Z and waits"),
        ({"gaps": (GAP,)}, Outcome.MISSING, "2 messages sent between"),
        ({"gaps": (GAP,), "unreadable": (WAITING,)}, Outcome.MISSING, "no moment that can be read arrived"),
        ({"unreadable": (WAITING,)}, Outcome.PERHAPS_QUARANTINED, "no moment that can be read arrived"),
        ({"gaps": (Gap(2, 4, AT - 2 * HOUR, 7, AT - HOUR),)}, Outcome.UNKNOWN, "nothing is known"),
        ({"nearest": (BATCH,)}, Outcome.UNKNOWN, "the nearest readings are of 2026-11-20 08:00:00Z"),
    ],
)
def test_the_sentence_says_what_is_known(facts: dict[str, Any], outcome: Outcome, words: str) -> None:
    """Each set of facts has one outcome and a sentence that names the device and the moment."""
    trace = Trace(METER, AT, **facts)
    assert trace.outcome is outcome
    assert trace.sentence.startswith("M-1 at 2026-11-20 08:00:00Z: ")
    assert words in trace.sentence


def test_an_unregistered_device_of_which_nothing_is_there() -> None:
    """Nobody registered it and nothing of it is in quarantine: that is said."""
    assert "no such device is registered" in Trace(Subject("X"), AT).sentence


@given(st.integers(0, 65_535), st.integers(0, RESTART_GAP + 5))
def test_numbers_that_are_missing_are_counted(first: int, step: int) -> None:
    """Between two numbers lie step - 1 messages, over the end of the numbers too; a long jump is a restart."""
    found = gaps_in([(AT, first), (AT + HOUR, (first + step) % 65_536)])
    assert sum(gap.missing for gap in found) == (step - 1 if 1 < step <= RESTART_GAP else 0)
