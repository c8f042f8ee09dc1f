"""Which days are worked: weekdays, a country's public holidays and the days worked instead. Pure.

One calendar for the year and the day: on a closed day nobody is visited for routine, and nothing is promised.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from holidays import HolidayBase

_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_HORIZON_DAYS = 400


@dataclass(frozen=True, slots=True)
class WorkingDays:
    """The calendar: weekdays worked (Monday is 0) and the country whose holidays are not (empty: none)."""

    country: str = ""
    weekdays: frozenset[int] = frozenset(range(7))

    def closed(self, day: date) -> str | None:
        """Why a day is not worked, in words; None when it is worked. A make-up day is worked whatever its weekday."""
        calendar = _calendar(self.country, day.year)
        if day in getattr(calendar, "weekend_workdays", ()):
            return None
        if day in calendar:
            return f"a public holiday ({calendar.get(day)})"
        return None if day.weekday() in self.weekdays else f"a {_WEEKDAYS[day.weekday()]}, which is not worked"

    def is_worked(self, day: date) -> bool:
        """Whether routine visits are made on a day."""
        return self.closed(day) is None

    def after(self, day: date) -> Iterator[date]:
        """The days worked after a day, the next first, for somewhat more than a year."""
        ahead = (day + timedelta(days=n) for n in range(1, _HORIZON_DAYS))
        return (one for one in ahead if self.is_worked(one))


def has_holidays(country: str) -> bool:
    """Whether the public holidays of a country, given by its two letters, are known."""
    import holidays  # noqa: PLC0415 - every command reads settings that name a calendar; few of them ask it

    return country in holidays.list_supported_countries()


@lru_cache(maxsize=64)
def _calendar(country: str, year: int) -> "HolidayBase":
    """The holidays of a year, in English where the calendar is translated: reasons are in English."""
    import holidays  # noqa: PLC0415 - as above

    if not country:
        return holidays.HolidayBase(years=year)
    languages = dict(holidays.list_localized_countries()).get(country, ())
    return holidays.country_holidays(country, years=year, language="en_US" if "en_US" in languages else None)
