"""At which hours a door that did not open is tried again: in the other half of the day, its best hours first. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from statistics import fmean
from zoneinfo import ZoneInfo

from inspections.access_rates import AccessRates
from inspections.cycle import NoAccess, other_half_day
from inspections.model import Door, Duty, Window

WORKING_HOURS = (8, 18)
_WORTH_IT = 0.03  # so much more chance than in the half on average, or its hours are all the same; ours


@dataclass(frozen=True, slots=True)
class NextTime:
    """When to begin: within `window`, in its part `best` if that fits; and why, in words."""

    window: Window
    best: Window | None
    reason: str


def next_time(
    door: Door, duties: Iterable[Duty], day: date, rules: NoAccess, zone: ZoneInfo, rates: AccessRates | None
) -> NextTime | None:
    """When a door is tried again on a day; None when nobody has failed to get in."""
    duties = tuple(duties)
    last = max((duty.last_attempt_at for duty in duties if duty.last_attempt_at is not None), default=None)
    if last is None:
        return None
    shown = last.astimezone(zone)
    window = other_half_day(rules, shown)
    assert window is not None  # something was tried
    half = f"{'from' if window.early_s else 'before'} {rules.half_day_at:%H:%M}"
    reason = f"nobody got in on {shown:%a %Y-%m-%d} at {shown:%H:%M}: tried {half} this time"
    attempts = max(duty.attempts for duty in duties)
    found = _best(door, window, day, attempts, rates) if rates is not None else None
    if found is None or rates is None:
        return NextTime(window, None, reason)
    best, chance, mean = found
    seen = rates.evidence(door.user_class, door.area)
    said = (
        f", best {best.early_s // 3600}:00-{-(-best.late_s // 3600)}:00: {chance:.0%} open then, {mean:.0%} otherwise"
    )
    return NextTime(window, best, f"{reason}{said} ({seen} visits learned from in {door.area})")


def _best(
    door: Door, window: Window, day: date, attempts: int, rates: AccessRates
) -> tuple[Window, float, float] | None:
    """The hours of a half day with the best chance on such a day, that chance, and the mean of the other hours."""
    first = max(WORKING_HOURS[0], window.early_s // 3600)
    last = min(WORKING_HOURS[1], -(-window.late_s // 3600))
    times = rates.best_times(door.user_class, door.area, attempts, from_hour=first, to_hour=last)
    best = next((time for time in times if time.weekend == (day.weekday() >= 5)), None)
    others = [hour for hour in range(first, last) if best and not best.from_hour <= hour < best.to_hour]
    if best is None or not others:
        return None
    mean = fmean(rates.chance(door.user_class, door.area, day, hour, attempts) for hour in others)
    if best.chance - mean < _WORTH_IT:
        return None
    early, late = max(window.early_s, best.from_hour * 3600), min(window.late_s, best.to_hour * 3600 - 1)
    return (Window(early, late), best.chance, mean) if early < late else None
