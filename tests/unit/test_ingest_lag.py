"""What the lag metrics observe of a batch."""

from datetime import UTC, datetime, timedelta

from prometheus_client import REGISTRY

from ingest.formats import read_message
from ingest.lag import observe_committed, observe_taken
from tests.ingest_city import reading, topic

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def total(name: str, slot: str) -> float | None:
    return REGISTRY.get_sample_value(f"gaswarden_ingest_{name}_sum", {"slot": slot})


def test_the_oldest_arrival_and_the_newest_moment_count() -> None:
    """A batch is as late as its oldest message, and as fresh as the newest moment it tells of."""
    batch = [
        read_message(topic(), reading(seq=n, at=AT - timedelta(minutes=20 - n)), AT - timedelta(seconds=10 - n))
        for n in range(5)
    ]
    observe_taken("lag-test", batch, AT)
    observe_committed("lag-test", batch, AT + timedelta(seconds=1))
    assert total("batch_messages", "lag-test") == 5
    assert total("batch_age_seconds", "lag-test") == 10
    assert total("arrival_lag_seconds", "lag-test") == 11
    assert total("device_lag_seconds", "lag-test") == 16 * 60 + 1


def test_a_clock_that_is_ahead_is_no_lag() -> None:
    """Device time after the commit counts as zero; a message that cannot be read has no device time."""
    observe_committed("ahead", [read_message(topic(), reading(at=AT + timedelta(minutes=5)), AT)], AT)
    observe_committed("broken", [read_message(topic(), b"{", AT)], AT)
    assert total("device_lag_seconds", "ahead") == 0
    assert not total("device_lag_seconds", "broken")
    assert REGISTRY.get_sample_value("gaswarden_ingest_device_lag_seconds_count", {"slot": "broken"}) in {0, None}
