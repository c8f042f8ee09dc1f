"""Which stretch of history must be looked at again after new readings arrived, device by device. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

AHEAD = timedelta(days=1)
"""Devices may be a little ahead of our clock; readings up to this far ahead are looked at."""

REACH_MAX = timedelta(days=60)
"""Changes older than this are evaluated around their own time only, not up to now."""


@dataclass(frozen=True, slots=True)
class Span:
    """Readings of some devices within `(since, until]`; `bounded`: newer ones exist and are left out on purpose."""

    device_ids: tuple[int, ...]
    since: datetime
    until: datetime
    bounded: bool = False


def plan_spans(
    touched: Iterable[tuple[Sequence[int], datetime, datetime]],
    lookback: timedelta,
    now: datetime,
    devices_max: int,
    reach: Mapping[int, datetime] | None = None,
) -> list[Span]:
    """Spans that cover every touched moment with its lookback, each device once for the recent past.

    `touched` are batches: device ids, first and last device time. Devices whose changes begin on the same day share a
    span, at most `devices_max` of them. `reach`: devices that must be seen from an earlier moment on.
    """
    reach = reach or {}
    recent: dict[int, datetime] = {}
    spans: list[Span] = []
    for device_ids, first_at, last_at in touched:
        if now - first_at > REACH_MAX:
            until = last_at + lookback
            spans += _split(sorted(set(device_ids)), first_at - lookback, until, until < now, devices_max)
            continue
        for device_id in device_ids:
            earliest = max(reach.get(device_id, first_at), now - REACH_MAX)
            recent[device_id] = min(recent.get(device_id, first_at), first_at, earliest)
    days: dict[object, list[int]] = {}
    for device_id, first_at in recent.items():
        days.setdefault(first_at.date(), []).append(device_id)
    for device_ids in days.values():
        since = min(recent[device_id] for device_id in device_ids) - lookback
        spans += _split(sorted(device_ids), since, now + AHEAD, False, devices_max)
    return spans


def _split(device_ids: list[int], since: datetime, until: datetime, bounded: bool, devices_max: int) -> list[Span]:
    return [
        Span(tuple(device_ids[start : start + devices_max]), since, until, bounded)
        for start in range(0, len(device_ids), devices_max)
    ]
