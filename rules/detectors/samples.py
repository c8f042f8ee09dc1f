"""What the detectors share: subjects, the samples that become evidence, and plain values out of frames. Pure."""

from collections.abc import Iterable
from datetime import datetime

import polars as pl

from rules.model import Json
from rules.windows import Window

SAMPLES_MAX = 400
"""A finding carries its newest samples up to this many; all of them remain in the readings."""


def subject_of(device_id: object) -> str:
    """The subject of a finding about one device."""
    return f"device:{whole(device_id)}"


def samples(rows: Iterable[tuple[datetime, int]]) -> Json:
    """Register values as evidence, the newest ones when there are many."""
    kept = list(rows)[-SAMPLES_MAX:]
    return {"columns": ["at", "index_ml"], "samples": [[at.isoformat(), index_ml] for at, index_ml in kept]}


def pair_samples(pairs: pl.DataFrame) -> Json:
    """The register values at both ends of some pairs, each once, in order of time."""
    ends = dict(pairs.select("from_at", "from_ml").iter_rows()) | dict(pairs.select("at", "index_ml").iter_rows())
    return samples(sorted(ends.items()))


class PairsOf:
    """The pairs of a few devices, cut out of a window once, so that each finding takes its own from a small frame."""

    def __init__(self, window: Window, devices: pl.Series) -> None:
        kept = window.pairs.filter(pl.col("device_id").is_in(devices.unique().implode()))
        self._parts = {key[0]: part for key, part in kept.partition_by("device_id", as_dict=True).items()}
        self._none = window.pairs.clear()

    def within(self, device_id: object, first_at: datetime, last_at: datetime) -> pl.DataFrame:
        """A device's pairs inside an interval."""
        pairs = self._parts.get(device_id, self._none)
        return pairs.filter(pl.col("from_at") >= first_at, pl.col("at") <= last_at)


def newest(window: Window) -> pl.DataFrame:
    """The newest known register of each device: `device_id, newest_at, newest_ml`."""
    return window.pairs.group_by("device_id").agg(
        pl.col("at").max().alias("newest_at"), pl.col("index_ml").last().alias("newest_ml")
    )


def codes(window: Window) -> pl.DataFrame:
    """The codes of the devices."""
    return window.devices.select("device_id", "code")


def moment(value: object) -> datetime:
    """A moment out of a frame."""
    assert isinstance(value, datetime)
    return value


def number(value: object) -> float:
    """A number out of a frame."""
    assert isinstance(value, int | float)
    return float(value)


def whole(value: object) -> int:
    """A whole number out of a frame."""
    assert isinstance(value, int)
    return value
