"""When to try a door again that did not open: another time of day and another weekday, by learned chances. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from inspections.access_rates import BestTime
from inspections.cycle import NoAccess
from inspections.model import Duty
from inspections.outcomes import Decision
from inspections.working_days import WorkingDays

_LOOK_AHEAD_DAYS = 28  # longer than any holiday week


@dataclass(frozen=True, slots=True)
class NextAttempt:
    """The advice for the next visit: not before a day, best between two local hours, and why in words."""

    not_before: date
    from_hour: int
    to_hour: int
    chance: float
    reason: str


def advise(
    rules: NoAccess,
    tried: Sequence[datetime],
    best: Sequence[BestTime],
    earliest: date,
    calendar: WorkingDays | None = None,
) -> NextAttempt | None:
    """Choose the next attempt after those `tried` (local, the last is today's): a worked day not before `earliest`.

    The day is the first on a weekday not tried yet, whatever was learned: so it does not depend on which reports came
    in so far. `best`: parts of the week, the best chance first; the hours are the best of that day in the half not
    tried last. None when nobody works at any other time.
    """
    day = _day(tried, earliest, calendar or WorkingDays())
    weekend = day is not None and day.weekday() >= 5
    parts = [other_half(rules, tried[-1], time) for time in best if time.weekend == weekend]
    time = next((part for part in parts if part is not None), None)
    if day is None or time is None:
        return None
    kind = "weekends" if time.weekend else "working days"
    seen = ", ".join(f"{moment:%a %d %b %H:%M}" for moment in tried)
    reason = (
        f"attempt {len(tried) + 1}: nobody got in on {seen}; {day:%a %Y-%m-%d} is the first day worked on another "
        f"weekday, and of the times not tried last {time.from_hour}:00-{time.to_hour}:00 has the best chance on "
        f"{kind} ({time.chance:.0%})"
    )
    return NextAttempt(day, time.from_hour, time.to_hour, time.chance, reason)


def advise_must(advice: NextAttempt, tried: Sequence[datetime], best: Sequence[BestTime], must_on: date) -> NextAttempt:
    """The advice for a door that something mandatory sends to, from `must_on` on: it waits for no better day."""
    if advice.not_before <= must_on:
        return advice
    time = next((one for one in best if one.weekend == (must_on.weekday() >= 5)), None)
    seen = ", ".join(f"{moment:%a %d %b %H:%M}" for moment in tried)
    reason = (
        f"attempt {len(tried) + 1}: nobody got in on {seen}; the visit is mandatory and waits for no better day: "
        f"again from {must_on:%a %Y-%m-%d}"
    )
    if time is None:
        return replace(advice, not_before=must_on, reason=reason)
    return NextAttempt(must_on, time.from_hour, time.to_hour, time.chance, reason)


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


def other_half(rules: NoAccess, last: datetime, time: BestTime) -> BestTime | None:
    """The part of a time that lies in the half of the day that was not tried last; None when there is none."""
    half = rules.half_day_at.hour
    if last.time() < rules.half_day_at:
        begin, end = max(time.from_hour, half), time.to_hour
    else:
        begin, end = time.from_hour, min(time.to_hour, half)
    return replace(time, from_hour=begin, to_hour=end) if begin < end else None


def _day(tried: Sequence[datetime], earliest: date, worked: WorkingDays) -> date | None:
    """The first day that is worked, on a weekday not tried yet if there is one; None when none is worked for weeks."""
    ahead = [earliest + timedelta(days=n) for n in range(_LOOK_AHEAD_DAYS)]
    fitting = [day for day in ahead if worked.is_worked(day)]
    weekdays = {moment.weekday() for moment in tried}
    return next((day for day in fitting if day.weekday() not in weekdays), next(iter(fitting), None))
