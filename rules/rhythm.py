"""How often a device is really heard, and when to look after it next. Pure.

The interval in the registry is a promise; a device that keeps another one is judged by what it keeps, within limits.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from math import ceil

REPEAT_S = 180.0
"""Arrivals closer than this are one message and its repeats (protocol text: same number within 3 min)."""

GAPS_MIN = 6
"""With fewer gaps than this nothing is learned. Ours: no source found."""

LOOK_AT_LEAST = timedelta(hours=24)
"""Every device is looked at this often, so that a change of its registered interval or place is noticed."""

LOOK_AGAIN = timedelta(hours=6)
"""A device whose silence is excused (its gateway was away) or known is looked at again after this at the latest."""

LOOK_AT_MOST = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Learned:
    """An interval learned from arrivals, in seconds, and from how many gaps."""

    interval_s: float
    gaps: int


def learned_interval(
    arrivals: Iterable[datetime], expected_s: float, floor_share: float, ceiling_factor: float
) -> Learned | None:
    """The gap that nine in ten of a device's gaps do not exceed, within a share and a multiple of the registered one.

    Robust: one outage among ten gaps moves nothing, a burst of repeats counts once. None when too little is known.
    """
    gaps = sorted(
        seconds
        for before, after in pairwise(sorted(set(arrivals)))
        if (seconds := (after - before).total_seconds()) >= REPEAT_S
    )
    if len(gaps) < GAPS_MIN:
        return None
    usual_s = gaps[ceil(0.9 * len(gaps)) - 1]
    return Learned(min(max(usual_s, floor_share * expected_s), ceiling_factor * expected_s), len(gaps))


def next_look(heard_at: datetime, allowed_s: float, now: datetime) -> datetime:
    """When to look at a device again: when its allowed silence would be over, at least daily, never at once."""
    due_at = heard_at + timedelta(seconds=allowed_s)
    if due_at <= now:
        due_at = now + min(timedelta(seconds=allowed_s / 6), LOOK_AGAIN)
    return min(max(due_at, now + LOOK_AT_MOST), now + LOOK_AT_LEAST)
