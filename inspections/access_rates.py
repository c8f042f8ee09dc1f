"""How likely a door opens, learned from what happened at doors before. Pure: counts in, chances out.

A chance is built from four rates, each smoothed towards a coarser one, so that a few visits never say much:

* the user class in the whole city, smoothed towards the stated prior;
* the class in the area, towards the class in the city;
* what the hour of a working day or a weekend changes, and what earlier attempts in a row change: odds ratios, learned
  over the whole city, towards no change.

Smoothing is that of a Beta prior: `(entered + strength x parent) / (tried + strength)`.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from functools import cache
from itertools import pairwise
from math import ceil

from inspections.model import Overbooking, UserClass

_BANDS = (0, 9, 11, 14, 16, 18, 24)
_ATTEMPTS_MAX = 3
_LEAST, _MOST = 0.02, 0.98
HOURS = range(24)


@dataclass(frozen=True, slots=True)
class Tried:
    """Visits of one kind: `hour` local, `attempts` not entered in a row before, and how many got in."""

    user_class: UserClass
    area: str
    weekend: bool
    hour: int
    attempts: int
    tried: int
    entered: int


@dataclass(frozen=True, slots=True)
class AccessPrior:
    """What is believed before anything is seen, and how many visits that belief is worth.

    Households: first visits succeed 30-40 % (Korea), a city's campaign 72 % (Harbin, also Nanning's target): 0.5 lies
    between. Businesses are open at work hours: 0.9, no source. Weekends 9-11 and 14-16 are named the best times to find
    people at home; the size of that effect, an odds ratio of 1.3, is ours. A promised window: 0.9, no source.
    """

    household: float = 0.5
    business: float = 0.9
    promised: float = 0.9
    best_time_odds: float = 1.3
    strength: float = 30.0

    def of(self, user_class: UserClass) -> float:
        """The believed rate of a user class."""
        return self.household if user_class == "household" else self.business


@dataclass(frozen=True, slots=True)
class BestTime:
    """A part of the week for a further attempt, hours local, and its chance."""

    weekend: bool
    from_hour: int
    to_hour: int
    chance: float


class AccessRates:
    """Chances to get in, by user class, area, hour, kind of day, and earlier attempts."""

    def __init__(self, seen: Iterable[Tried] = (), prior: AccessPrior | None = None) -> None:
        self.prior = prior or AccessPrior()
        self._counts: dict[tuple[object, ...], list[int]] = defaultdict(lambda: [0, 0])
        for cell in seen:
            for key in _keys(cell):
                self._counts[key][0] += cell.tried
                self._counts[key][1] += cell.entered
        self.by_hour = cache(self._by_hour)

    def chance(self, user_class: UserClass, area: str, day: date, hour: int, attempts: int = 0) -> float:
        """The chance to get in at a local hour of a day, after so many attempts in a row that failed."""
        return self.by_hour(user_class, area, day.weekday() >= 5, min(attempts, _ATTEMPTS_MAX))[hour]

    def evidence(self, user_class: UserClass, area: str) -> int:
        """How many visits to this class in this area the chances rest on."""
        return self._counts[("area", user_class, area)][0]

    def best_times(
        self, user_class: UserClass, area: str, attempts: int, *, from_hour: int, to_hour: int
    ) -> list[BestTime]:
        """Parts of the week between two working hours, the best chance first; for the next attempt."""
        found = []
        for weekend in (False, True):
            chances = self.by_hour(user_class, area, weekend, min(attempts, _ATTEMPTS_MAX))
            for begin, end in pairwise(_BANDS):
                first, last = max(begin, from_hour), min(end, to_hour)
                if first < last:
                    found.append(BestTime(weekend, first, last, chances[first]))
        return sorted(found, key=lambda time: (-time.chance, time.weekend, time.from_hour))

    def _by_hour(self, user_class: UserClass, area: str, weekend: bool, attempts: int) -> tuple[float, ...]:
        city = self._rate(("class", user_class), self.prior.of(user_class))
        odds = _odds(self._rate(("area", user_class, area), city))
        odds *= _odds(self._rate(("attempts", user_class, attempts), city)) / _odds(city)
        return tuple(
            min(_MOST, max(_LEAST, _share(odds * self._time_ratio(user_class, city, weekend, hour)))) for hour in HOURS
        )

    def _time_ratio(self, user_class: UserClass, city: float, weekend: bool, hour: int) -> float:
        best = user_class == "household" and weekend and (9 <= hour < 11 or 14 <= hour < 16)
        expected = _share(_odds(city) * (self.prior.best_time_odds if best else 1.0))
        return _odds(self._rate(("time", user_class, weekend, _band(hour)), expected)) / _odds(city)

    def _rate(self, key: tuple[object, ...], parent: float) -> float:
        tried, entered = self._counts.get(key, (0, 0))
        rate = (entered + self.prior.strength * parent) / (tried + self.prior.strength)
        return min(0.995, max(0.005, rate))


def expected_service_s(work_s: int, chance: float, overbooking: Overbooking) -> int:
    """Seconds planned for a visit: the work when somebody opens, knocking and a card when nobody does, on average.

    Never so little that the work exceeds it by more than overbooking allows.
    """
    if work_s <= overbooking.no_access_s:
        return work_s
    expected = chance * work_s + (1 - chance) * overbooking.no_access_s
    return ceil(max(expected, work_s / (1 + overbooking.excess_share)))


def _keys(cell: Tried) -> Iterable[tuple[object, ...]]:
    yield ("class", cell.user_class)
    yield ("area", cell.user_class, cell.area)
    yield ("time", cell.user_class, cell.weekend, _band(cell.hour))
    yield ("attempts", cell.user_class, min(cell.attempts, _ATTEMPTS_MAX))


def _band(hour: int) -> int:
    return next(position for position, end in enumerate(_BANDS[1:]) if hour < end)


def _odds(rate: float) -> float:
    return rate / (1 - rate)


def _share(odds: float) -> float:
    return odds / (1 + odds)
