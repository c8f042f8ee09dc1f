"""Local hours in which a rule applies. Pure."""

from datetime import UTC, datetime, time, timedelta

from rules.model import Schedule

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def first_within(schedule: Schedule, from_at: datetime, to_at: datetime) -> datetime | None:
    """The first moment of `[from_at, to_at]` inside the schedule; None when none is."""
    day = from_at.astimezone(schedule.zone).date() - timedelta(days=1)
    last = to_at.astimezone(schedule.zone).date()
    while day <= last:
        if day.weekday() in schedule.weekdays:
            opens, closes = _bounds(schedule, datetime.combine(day, time.min))
            if closes > from_at and opens <= to_at:
                return max(opens, from_at)
        day += timedelta(days=1)
    return None


def _bounds(schedule: Schedule, day: datetime) -> tuple[datetime, datetime]:
    """When the schedule of a local day begins and ends; equal times are the whole day."""
    opens = datetime.combine(day.date(), schedule.from_time, schedule.zone)
    closing = day.date() + timedelta(days=1 if schedule.until_time <= schedule.from_time else 0)
    closes = datetime.combine(closing, schedule.until_time, schedule.zone)
    return opens.astimezone(UTC), closes.astimezone(UTC)
