"""Windows that a resident may book: whole windows of coming days in which somebody able still has room. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class Offer:
    """How windows are offered: from how many days ahead, for how many days, how long, how many for each inspector."""

    lead_days: int
    days: int
    window_h: int
    per_inspector: int


@dataclass(frozen=True, slots=True)
class Shift:
    """One inspector's daily shift (local) and the spans in which the inspector does not work."""

    start: time
    end: time
    away: tuple[tuple[datetime, datetime], ...] = ()


@dataclass(frozen=True, slots=True)
class BookableWindow:
    """A window that can be promised."""

    begins_at: datetime
    ends_at: datetime


def free_windows(
    offer: Offer,
    shifts: Sequence[Shift],
    promised: Sequence[tuple[datetime, datetime]],
    today: date,
    zone: ZoneInfo,
) -> list[BookableWindow]:
    """The windows with room left, in order of time. What is promised already takes its share of those at work then."""
    found = []
    for ahead in range(offer.lead_days, offer.lead_days + offer.days):
        for begin, end in _windows(offer, shifts, today + timedelta(days=ahead), zone):
            at_work = sum(_works(shift, begin, end) for shift in shifts)
            taken = sum(since < end and until > begin for since, until in promised)
            if taken < at_work * offer.per_inspector:
                found.append(BookableWindow(begin, end))
    return found


def _windows(offer: Offer, shifts: Sequence[Shift], day: date, zone: ZoneInfo) -> list[tuple[datetime, datetime]]:
    if not shifts:
        return []
    first = min(-(-(shift.start.hour * 60 + shift.start.minute) // 60) for shift in shifts)
    last = max(shift.end.hour for shift in shifts)
    return [
        (datetime.combine(day, time(hour), zone), datetime.combine(day, time(hour + offer.window_h), zone))
        for hour in range(first, min(last, 23) - offer.window_h + 1, offer.window_h)
    ]


def _works(shift: Shift, begin: datetime, end: datetime) -> bool:
    covers = shift.start <= begin.time() and end.time() <= shift.end
    return covers and not any(since < end and until > begin for since, until in shift.away)
