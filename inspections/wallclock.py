"""Seconds of a local day as UTC moments, UTC moments as local days, and who is there when."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from inspections.model import Inspector

DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class WallClock:
    """The clock on the wall of a city on one day: second 0 is local midnight, as the clock shows it."""

    day: date
    zone: ZoneInfo

    def moment(self, second: int) -> datetime:
        """The UTC moment at which the wall clock shows this second of the day."""
        shown = datetime.combine(self.day, time()) + timedelta(seconds=second)
        return shown.replace(tzinfo=self.zone).astimezone(UTC)

    def second(self, at: datetime) -> int:
        """The second of this day that the wall clock shows at a moment; negative before the day, over 86,400 after."""
        shown = at.astimezone(self.zone)
        whole = datetime.combine(shown.date(), time()) - datetime.combine(self.day, time())
        return int(whole.total_seconds()) + shown.hour * 3600 + shown.minute * 60 + shown.second


@dataclass(frozen=True, slots=True)
class Absence:
    """Somebody does not work between two moments."""

    inspector_id: int
    begins_at: datetime
    ends_at: datetime


def local_day(at: datetime, zone: ZoneInfo) -> date:
    """The calendar day in the city at a moment."""
    return at.astimezone(zone).date()


def present(inspectors: Iterable[Inspector], absences: Sequence[Absence], clock: WallClock) -> list[Inspector]:
    """Who works on the clock's day, with the longest piece of the shift that no absence covers."""
    found = []
    for inspector in inspectors:
        pieces = [(inspector.shift_start_s, inspector.shift_end_s)]
        for absence in absences:
            if absence.inspector_id == inspector.inspector_id:
                pieces = _without(pieces, clock.second(absence.begins_at), clock.second(absence.ends_at))
        begin, end = max(pieces, key=lambda piece: (piece[1] - piece[0], -piece[0]), default=(0, 0))
        if begin < end:
            found.append(replace(inspector, shift_start_s=begin, shift_end_s=end))
    return found


def _without(pieces: Iterable[tuple[int, int]], begin: int, end: int) -> list[tuple[int, int]]:
    cut = [
        (one, other) for start, stop in pieces for one, other in ((start, min(stop, begin)), (max(start, end), stop))
    ]
    return [(start, stop) for start, stop in cut if start < stop]
