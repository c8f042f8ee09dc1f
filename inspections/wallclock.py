"""Seconds of a local day as UTC moments, and UTC moments as local days."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class WallClock:
    """The clock on the wall of a city on one day: second 0 is local midnight, as the clock shows it."""

    day: date
    zone: ZoneInfo

    def moment(self, second: int) -> datetime:
        """The UTC moment at which the wall clock shows this second of the day."""
        shown = datetime.combine(self.day, time()) + timedelta(seconds=second)
        return shown.replace(tzinfo=self.zone).astimezone(UTC)


def local_day(at: datetime, zone: ZoneInfo) -> date:
    """The calendar day in the city at a moment."""
    return at.astimezone(zone).date()
