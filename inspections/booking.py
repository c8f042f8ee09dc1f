"""Windows that a resident may book: whole windows of coming days in which somebody able still has room. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from inspections.working_days import WorkingDays


@dataclass(frozen=True, slots=True)
class Offer:
    """How windows are offered: from how many days ahead, for how many days, how long, how many for each inspector.

    Nothing is offered on a day that the calendar has closed.
    """

    lead_days: int
    days: int
    window_h: int
    per_inspector: int
    calendar: WorkingDays = field(default_factory=WorkingDays)


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
    days = [today + timedelta(days=ahead) for ahead in range(offer.lead_days, offer.lead_days + offer.days)]
    for day in filter(offer.calendar.is_worked, days):
        for begin, end in _windows(offer, shifts, day, zone):
            if _has_room(offer, shifts, promised, begin, end):
                found.append(BookableWindow(begin, end))
    return found


def same_time_later(
    offer: Offer,
    shifts: Sequence[Shift],
    promised: Sequence[tuple[datetime, datetime]],
    window: BookableWindow,
    days: Iterable[date],
) -> BookableWindow | None:
    """The window at the same time of the first of `days` on which somebody able still has room; None when on none.

    `window` is in local time; its length stays.
    """
    for day in days:
        begin = datetime.combine(day, window.begins_at.time(), window.begins_at.tzinfo)
        end = begin + (window.ends_at - window.begins_at)
        if _has_room(offer, shifts, promised, begin, end):
            return BookableWindow(begin, end)
    return None


def _has_room(
    offer: Offer,
    shifts: Sequence[Shift],
    promised: Sequence[tuple[datetime, datetime]],
    begin: datetime,
    end: datetime,
) -> bool:
    at_work = sum(_works(shift, begin, end) for shift in shifts)
    taken = sum(since < end and until > begin for since, until in promised)
    return taken < at_work * offer.per_inspector


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
