"""How far ingest is behind, as Prometheus metrics: waiting, batch size and age, lag from arrival and from device time.

Batches are observed, not messages: the oldest arrival of a batch bounds the lag of all of it, its newest device moment
says how fresh what is committed is.
"""

from collections.abc import Sequence
from datetime import datetime

from prometheus_client import Gauge, Histogram

from ingest.model import Decoded, Message

IN_FLIGHT = Gauge("gaswarden_ingest_in_flight", "Messages delivered and not acknowledged yet.", ["slot"])
WAITING = Gauge("gaswarden_ingest_waiting", "Messages delivered and not yet in a transaction.", ["slot"])
_SIZE = Histogram(
    "gaswarden_ingest_batch_messages",
    "Messages of a batch.",
    ["slot"],
    buckets=(1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000),
)
_AGE_S = Histogram(
    "gaswarden_ingest_batch_age_seconds",
    "How long the oldest message of a batch had waited when the batch was taken.",
    ["slot"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 900),
)
_ARRIVAL_LAG_S = Histogram(
    "gaswarden_ingest_arrival_lag_seconds",
    "From the arrival of a batch's oldest message to its commit.",
    ["slot"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 900),
)
_DEVICE_LAG_S = Histogram(
    "gaswarden_ingest_device_lag_seconds",
    "From the newest device time of a batch to its commit; a device clock that is ahead counts as 0.",
    ["slot"],
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 900, 3_600, 21_600, 86_400, 172_800),
)


def observe_taken(slot: str, messages: Sequence[Message], at: datetime) -> None:
    """A batch was taken at `at`; deliveries that another lane counts are not in it."""
    if messages:
        _SIZE.labels(slot).observe(len(messages))
        _AGE_S.labels(slot).observe(_seconds(messages[0].received_at, at))


def observe_committed(slot: str, messages: Sequence[Message], at: datetime) -> None:
    """A batch, in order of arrival, was committed at `at`."""
    _ARRIVAL_LAG_S.labels(slot).observe(_seconds(messages[0].received_at, at))
    moments = [item.at for one in messages if isinstance(one.content, Decoded) for item in one.content.items]
    if moments:
        _DEVICE_LAG_S.labels(slot).observe(_seconds(max(moments), at))


def _seconds(since: datetime, until: datetime) -> float:
    return max((until - since).total_seconds(), 0.0)
