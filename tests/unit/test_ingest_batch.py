"""When a batch is due, and what is taken."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ingest.batch import BatchParams, Buffer, Due
from ingest.formats import read_message
from ingest.model import Delivery, Message
from tests.ingest_city import event, reading, topic

_AT = datetime(2026, 11, 20, tzinfo=UTC)
_PARAMS = BatchParams(messages_max=3, rows_max=30, age_max_s=0.5)


def _single(seq: int = 1) -> Message:
    return read_message(topic(), reading(seq=seq), _AT)


def _buffer(size_max: int = 100, **params: Any) -> Buffer:
    return Buffer(_PARAMS.model_copy(update=params), size_max)


def test_nothing_is_due_when_nothing_waits() -> None:
    """An empty buffer is never due, however old."""
    assert _buffer().due(1e9) is None
    assert _buffer().due_in_s(1e9) is None


def test_a_batch_is_due_by_count() -> None:
    """The third of three messages makes it full."""
    buffer = _buffer()
    for _ in range(2):
        buffer.add(_single(), 0.0)
    assert buffer.due(0.0) is None
    buffer.add(_single(), 0.0)
    assert buffer.due(0.0) is Due.FULL


def test_a_batch_is_due_by_rows() -> None:
    """One report of 24 hours and six single readings reach 30 rows before 100 messages."""
    buffer = _buffer(messages_max=100)
    buffer.add(read_message(topic(), reading(hours=[1] * 24), _AT), 0.0)
    for _ in range(4):
        buffer.add(_single(), 0.0)
    assert buffer.due(0.0) is None
    buffer.add(_single(), 0.0)
    assert buffer.due(0.0) is Due.FULL


def test_a_batch_is_due_by_age_of_its_oldest() -> None:
    """Half a second after the first message, whatever came since."""
    buffer = _buffer()
    buffer.add(_single(), 10.0)
    buffer.add(_single(), 10.4)
    assert buffer.due(10.49) is None
    assert buffer.due_in_s(10.4) is not None
    assert buffer.due(10.5) is Due.OLD


def test_an_event_does_not_wait() -> None:
    """One event makes the batch due at once, and no longer when it was taken."""
    buffer = _buffer()
    buffer.add(_single(), 0.0)
    buffer.add(read_message(topic(kind="events"), event(), _AT), 0.0)
    assert buffer.due(0.0) is Due.URGENT
    buffer.take()
    assert buffer.due(0.0) is None


def test_a_full_buffer_says_so_until_a_batch_was_taken() -> None:
    """The intake pauses at the bound."""
    buffer = _buffer(size_max=4)
    for _ in range(4):
        buffer.add(_single(), 0.0)
    assert buffer.is_full
    buffer.take()
    assert not buffer.is_full


def test_a_message_larger_than_a_batch_is_taken_alone() -> None:
    """No message is too large to be taken."""
    buffer = _buffer(rows_max=5)
    buffer.add(read_message(topic(), reading(hours=[1] * 24), _AT), 0.0)
    buffer.add(_single(), 0.0)
    assert len(buffer.take()) == 1
    assert len(buffer.take()) == 1


@given(kinds=st.lists(st.sampled_from(["single", "report", "event", "broken"]), max_size=40))
def test_everything_comes_out_once_in_order(kinds: list[str]) -> None:
    """Batches are bounded, and together they are what was put in; afterwards nothing is counted as waiting."""
    make = {
        "single": (topic(), reading()),
        "report": (topic(), reading(hours=[1] * 24)),
        "event": (topic(kind="events"), event()),
        "broken": (topic(), b"{"),
    }
    messages = [read_message(*make[kind], _AT) for kind in kinds]
    buffer = _buffer()
    for message in messages:
        buffer.add(message, 0.0)
    taken: list[Delivery] = []
    while batch := buffer.take():
        assert len(batch) <= 3
        taken += batch
    assert all(one is other for one, other in zip(taken, messages, strict=True))
    assert buffer.due(1e9) is None
