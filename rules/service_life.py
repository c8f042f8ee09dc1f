"""Detectors of the asset family: a device past the life it was verified or made for. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime

from rules.model import Finding, Rule


@dataclass(frozen=True, slots=True)
class Asset:
    """A device that is in use: when it was made, and when it was first installed (UTC)."""

    device_id: int
    code: str
    device_kind: str
    meter_class: str | None
    user_class: str | None
    area: str
    made_on: date | None
    installed_on: date | None


def anniversary(day: date, years: int) -> date:
    """The same day some years later; 29 February becomes 1 March where there is none."""
    try:
        return day.replace(year=day.year + years)
    except ValueError:
        return date(day.year + years, 3, 1)


def past_life(rule: Rule, assets: Iterable[Asset], today: date, now: datetime) -> list[Finding]:
    """Devices in use past `life_years` from the day they were made, or from their first installation if unknown.

    The upper rung holds from `grace_years` after. A device of which neither day is known says nothing.
    """
    found = []
    for one in assets:
        began = one.made_on or one.installed_on
        if began is None or not rule.covers(one.device_kind, one.meter_class, one.user_class, one.area, one.code):
            continue
        ended = anniversary(began, int(rule["life_years"]))
        if today >= ended:
            found.append(_finding(rule, one, began, ended, today, now))
    return found


def _finding(rule: Rule, one: Asset, began: date, ended: date, today: date, now: datetime) -> Finding:
    high = today >= anniversary(ended, int(rule["grace_years"]))
    counted = "made" if one.made_on else "installed, day of making unknown,"
    years = round((today - began).days / 365.25, 1)
    return Finding(
        rule_id=rule.rule_id,
        subject=f"device:{one.device_id}",
        first_at=datetime(ended.year, ended.month, ended.day, tzinfo=UTC),
        last_at=now,
        severity=rule.severity_high if high else rule.severity,
        sentence=f"{one.code} is past its life of {rule['life_years']:g} years since {ended}: {counted} on {began}",
        evidence={
            "made_on": str(one.made_on) if one.made_on else None,
            "installed_on": str(one.installed_on) if one.installed_on else None,
            "past_life_on": str(ended),
        },
        value=years,
        unit="years",
    )
