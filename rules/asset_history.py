"""What the asset rules would have said over a period: who passed their life, and when they were taken out. Pure.

Live looks at every device once a UTC day (rules/daily.py). Here a device is looked at on the days on which something
may have changed for it, with the same judgement.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta

from rules.gate import admit
from rules.model import Cleared, Finding, Rule
from rules.service_life import Asset, anniversary, past_life


@dataclass(frozen=True, slots=True)
class InUse:
    """A device was in use from one moment to another (None: it still is): what is known of it, with that place."""

    asset: Asset
    installed_at: datetime
    removed_at: datetime | None


def asset_story(rule: Rule, uses: Iterable[InUse], since: datetime, until: datetime) -> list[Finding | Cleared]:
    """Findings and ends of a rule within `(since, until]`, after what stood at its beginning; device by device."""
    by_device: dict[int, list[InUse]] = {}
    for one in uses:
        by_device.setdefault(one.asset.device_id, []).append(one)
    return [found for _, own in sorted(by_device.items()) for found in _of_device(rule, own, since, until)]


def _of_device(rule: Rule, uses: Sequence[InUse], since: datetime, until: datetime) -> list[Finding | Cleared]:
    story: list[Finding | Cleared] = []
    shown: Finding | None = None
    for at in _days(rule, uses, since, until):
        now = next((one.asset for one in uses if one.installed_at <= at and not _is_over(one, at)), None)
        found = admit(rule, past_life(rule, [now], at.date(), at)) if now is not None else []
        if found and (shown is None or found[0].severity != shown.severity):
            shown = replace(found[0], shown_at=at)
            story.append(shown)
        elif now is None and shown is not None:
            story.append(Cleared(rule.rule_id, shown.subject, at))
            shown = None
    return story


def _is_over(one: InUse, at: datetime) -> bool:
    return one.removed_at is not None and one.removed_at <= at


def _days(rule: Rule, uses: Sequence[InUse], since: datetime, until: datetime) -> list[datetime]:
    """The looks at which something may be new: the last one before the period, ends of life, and moves."""
    first = _midnight(since.astimezone(UTC).date())
    began = uses[0].asset.made_on or uses[0].asset.installed_on
    found = {first}
    if began is not None:
        ended = anniversary(began, int(rule["life_years"]))
        found |= {_midnight(ended), _midnight(anniversary(ended, int(rule["grace_years"])))}
    for one in uses:
        found |= {_next(at) for at in (one.installed_at, one.removed_at) if at is not None}
    return sorted(at for at in found if first <= at <= until)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _next(at: datetime) -> datetime:
    """The first look of a day at or after a moment."""
    day = _midnight(at.astimezone(UTC).date())
    return day if day >= at else day + timedelta(days=1)
