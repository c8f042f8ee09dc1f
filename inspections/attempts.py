"""When to try a door again that did not open: another time of day and another weekday, by learned chances. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from inspections.access_rates import BestTime
from inspections.cycle import NoAccess
from inspections.model import Duty
from inspections.outcomes import Decision

_LOOK_AHEAD_DAYS = 14


@dataclass(frozen=True, slots=True)
class NextAttempt:
    """The advice for the next visit: not before a day, best between two local hours, and why in words."""

    not_before: date
    from_hour: int
    to_hour: int
    chance: float
    reason: str


def advise(rules: NoAccess, tried: Sequence[datetime], best: Sequence[BestTime], earliest: date) -> NextAttempt | None:
    """Choose the next attempt after those `tried` (local, the last is today's), not before `earliest`.

    `best`: parts of the week, the best chance first. None when nobody works at any other time.
    """
    times = [part for part in (_other_half(rules, tried[-1], time) for time in best) if part is not None]
    if not times:
        return None
    time = times[0]
    day = _day(tried, time.weekend, earliest)
    kind = "weekends" if time.weekend else "working days"
    seen = ", ".join(f"{moment:%a %d %b %H:%M}" for moment in tried)
    reason = (
        f"attempt {len(tried) + 1}: nobody opened on {seen}; of the times not tried last, {kind} between "
        f"{time.from_hour}:00 and {time.to_hour}:00 have the best chance ({time.chance:.0%}); "
        f"the first such day on another weekday is {day:%a %Y-%m-%d}"
    )
    return NextAttempt(day, time.from_hour, time.to_hour, time.chance, reason)


def put_off(decision: Decision, duties: Sequence[Duty], advice: NextAttempt | None) -> Decision:
    """The decision with the advised day: for duties that may wait, never earlier than the rules have it."""
    if advice is None:
        return decision
    may_wait = {duty.duty_id for duty in duties if not duty.mandatory and duty.promised_from is None}
    retries = tuple(
        replace(retry, not_before=max(retry.not_before, advice.not_before))
        if retry.attempt and retry.duty_id in may_wait
        else retry
        for retry in decision.retries
    )
    return replace(decision, retries=retries)


def _other_half(rules: NoAccess, last: datetime, time: BestTime) -> BestTime | None:
    """The part of a time that lies in the half of the day that was not tried last; None when there is none."""
    half = rules.half_day_at.hour
    if last.time() < rules.half_day_at:
        begin, end = max(time.from_hour, half), time.to_hour
    else:
        begin, end = time.from_hour, min(time.to_hour, half)
    return replace(time, from_hour=begin, to_hour=end) if begin < end else None


def _day(tried: Sequence[datetime], weekend: bool, earliest: date) -> date:
    """The first day of the kind on a weekday that was not tried yet, or else the first day of the kind."""
    ahead = [earliest + timedelta(days=n) for n in range(_LOOK_AHEAD_DAYS)]
    fitting = [day for day in ahead if (day.weekday() >= 5) == weekend]
    weekdays = {moment.weekday() for moment in tried}
    return next((day for day in fitting if day.weekday() not in weekdays), fitting[0])
