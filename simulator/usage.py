"""Hourly gas use behind every door, from appliances and habits; vectorised over homes and seeded.

Orders of magnitude: 0.6 m3 a home and day without heating (Songjiang, 100,799 homes). Cooking peaks morning, noon and
evening, hot water mornings and evenings and more in winter. Heating follows the outdoor temperature, with a set-back
at night and in working hours, or constant: in the cold the boiler cycles for days without an hour's pause. A few homes
keep a pilot flame, which burns steadily and is put out now and then. People go away.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import resources
from typing import Final

import numpy as np
import numpy.typing as npt

from simulator.model import City, Habits, Premises

Litres = npt.NDArray[np.float64]
Millilitres = npt.NDArray[np.int64]

HOMES_AT_ONCE: Final = 500  # bounds memory; also the unit of seeding, so never change it with the machine
RECORDED = "home_hourly.csv"

# Chance that a home of three cooks or draws hot water in an hour of the local day.
COOKING = (
    np.array(
        [3, 2, 2, 2, 5, 40, 220, 300, 120, 60, 120, 420, 380, 80, 40, 50, 160, 480, 520, 260, 80, 40, 20, 8], float
    )
    / 1000
)
HOT_WATER = (
    np.array([6, 3, 2, 2, 4, 40, 160, 220, 140, 60, 40, 40, 50, 40, 30, 30, 40, 80, 140, 220, 320, 340, 220, 60], float)
    / 1000
)
SETBACK_HOURS = np.array([23, 0, 1, 2, 3, 4, 5, 9, 10, 11, 13, 14, 15, 16])
COOKING_L, HOT_WATER_L = 55.0, 110.0  # median of an hour with use
TRIPS_A_DAY = 0.006
HEATING_BELOW_C = 19.0
BURN_L = 40.0  # one burn of a boiler that cycles: about four minutes at its least power


@dataclass(frozen=True, slots=True)
class Hours:
    """The hours played: `count` hours from `start` (UTC, a local midnight)."""

    start: datetime
    count: int
    utc_offset_h: int

    def at(self, hour: int) -> datetime:
        """The moment `hour` hours after the start."""
        return self.start + timedelta(hours=hour)

    def index(self, at: datetime) -> int:
        """The hour in which a moment lies, from 0."""
        return int((at - self.start) // timedelta(hours=1))


def hours_until(now: datetime, days: int, utc_offset_h: int) -> Hours:
    """`days` whole local days before the local midnight before `now`, and the begun day up to the next full hour."""
    local = now.astimezone(UTC) + timedelta(hours=utc_offset_h)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    begun = -int((midnight - local) // timedelta(hours=1))
    start = midnight - timedelta(days=days, hours=utc_offset_h)
    return Hours(start, days * 24 + max(begun, 1), utc_offset_h)


def hourly_use(city: City, hours: Hours, seed: int) -> Millilitres:
    """True gas use in millilitres, one row per premises of the city, one column per hour."""
    temperature_c = outdoor_temperature(hours, seed, city.weather_swing_c)
    use = np.empty((len(city.premises), hours.count), np.int64)
    for first in range(0, len(city.premises), HOMES_AT_ONCE):
        homes = city.premises[first : first + HOMES_AT_ONCE]
        habits = [city.habits[home.code] for home in homes]
        rng = np.random.default_rng([seed, 3, first])
        litres = _litres(rng, homes, habits, hours, temperature_c)
        use[first : first + len(homes)] = np.rint(litres * 1000)
    for row, home in enumerate(city.premises):
        if city.habits[home.code].recorded:
            use[row] = recorded_use(hours.count)
    return use


def outdoor_temperature(hours: Hours, seed: int, swing_c: float = 0.0) -> Litres:
    """City-wide temperature by the hour, degrees Celsius: season, time of day, a slow random weather, and spells.

    `swing_c` is the standard deviation of spells, which last about four days.
    """
    rng = np.random.default_rng([seed, 4])
    local_hour, day_of_year = _calendar(hours)
    season = 16.0 - 12.0 * np.cos(2 * np.pi * (day_of_year - 20) / 365)
    day = -4.0 * np.cos(2 * np.pi * (local_hour - 3) / 24)
    weather = np.repeat(rng.normal(0, 2.0, hours.count // 24 + 2), 24)[: hours.count]
    smooth: Litres = np.convolve(weather, np.ones(24) / 24, mode="same")
    return np.asarray(season + day + smooth + _spells(rng, hours.count, swing_c), np.float64)


def _spells(rng: np.random.Generator, count: int, swing_c: float) -> Litres:
    """Warm and cold spells: what is left of yesterday's departure and something new every day, joined by lines."""
    days = count // 24 + 2
    kept = 0.78
    departure = np.zeros(days)
    if swing_c:
        fresh = rng.normal(0, swing_c * np.sqrt(1 - kept**2), days)
        for day in range(1, days):
            departure[day] = kept * departure[day - 1] + fresh[day]
    return np.asarray(np.interp(np.arange(count) / 24, np.arange(days), departure), np.float64)


def recorded_use(hours: int) -> Millilitres:
    """Hourly increments of the recorded home in millilitres: its last `hours` hours, repeated when more are asked."""
    text = resources.files("simulator").joinpath("data", RECORDED).read_text("utf-8")
    litres = np.array([int(line.partition(",")[2]) for line in text.splitlines()[1:]], np.int64)
    return np.resize(np.diff(litres)[::-1], hours)[::-1] * 1000


def _calendar(hours: Hours) -> tuple[npt.NDArray[np.int64], Litres]:
    """Local hour of the day and day of the year of every hour played; the grid starts at a local midnight."""
    number = np.arange(hours.count)
    first = (hours.start + timedelta(hours=hours.utc_offset_h)).timetuple().tm_yday
    return number % 24, first + number / 24


def _litres(
    rng: np.random.Generator,
    homes: Sequence[Premises],
    habits: Sequence[Habits],
    hours: Hours,
    temperature_c: Litres,
) -> Litres:
    shape = (len(homes), hours.count)
    local_hour = _hours_lived(hours, homes, habits)
    persons = np.array([habit.persons for habit in habits], float)[:, None] / 3
    litres = _cooking(rng, shape, persons, hours, local_hour)
    water = np.array(["water_heater" in home.appliances for home in homes])[:, None]
    litres += water * _hot_water(rng, shape, persons, local_hour, temperature_c)
    litres += _commercial(rng, homes, shape, local_hour)
    litres += _heating(rng, habits, shape, local_hour, temperature_c)
    litres *= ~_away(rng, shape)
    _light_pilots(rng, habits, litres)
    litres[np.array([home.tenure == "vacant" for home in homes])] = 0.0
    return np.minimum(litres, 2_300.0)  # below Qmax of the smallest meter


def _hours_lived(hours: Hours, homes: Sequence[Premises], habits: Sequence[Habits]) -> npt.NDArray[np.int64]:
    """The local hour by which each home lives, one row a home: hours later on the clock where the night is the day."""
    shifts = {"household": 10, "commercial": 6}
    later = [shifts.get(home.user_class, 0) * habit.night_shift for home, habit in zip(homes, habits, strict=True)]
    return np.asarray((_calendar(hours)[0][None, :] - np.array(later)[:, None]) % 24)


def _cooking(
    rng: np.random.Generator,
    shape: tuple[int, int],
    persons: Litres,
    hours: Hours,
    local_hour: npt.NDArray[np.int64],
) -> Litres:
    weekday = (hours.start + timedelta(hours=hours.utc_offset_h)).weekday()
    weekend = (np.arange(shape[1]) // 24 + weekday) % 7 >= 5
    chance = COOKING[local_hour] * np.where(weekend, 1.25, 1.0)
    cooks = rng.random(shape) < np.minimum(chance * (0.6 + 0.4 * persons), 0.95)
    return np.asarray(cooks * rng.lognormal(np.log(COOKING_L), 0.6, shape), np.float64)


def _hot_water(
    rng: np.random.Generator,
    shape: tuple[int, int],
    persons: Litres,
    local_hour: npt.NDArray[np.int64],
    temperature_c: Litres,
) -> Litres:
    draws = rng.random(shape) < np.minimum(HOT_WATER[local_hour] * persons, 0.9)
    colder = 1.0 + np.clip(25.0 - temperature_c, 0, 25) / 30
    return np.asarray(draws * colder * rng.lognormal(np.log(HOT_WATER_L), 0.5, shape), np.float64)


def _commercial(
    rng: np.random.Generator, homes: Sequence[Premises], shape: tuple[int, int], local_hour: npt.NDArray[np.int64]
) -> Litres:
    """Kitchens open from nine to ten in the evening and closed at night."""
    commercial = np.array([home.user_class == "commercial" for home in homes])[:, None]
    open_now = (local_hour >= 9) & (local_hour < 22)
    return np.asarray(commercial * open_now * rng.lognormal(np.log(900), 0.4, shape), np.float64)


def _heating(
    rng: np.random.Generator,
    habits: Sequence[Habits],
    shape: tuple[int, int],
    local_hour: npt.NDArray[np.int64],
    temperature_c: Litres,
) -> Litres:
    per_k = np.array([habit.heat_lh_per_k for habit in habits])[:, None]
    setback = np.array([habit.heating == "setback" for habit in habits])[:, None]
    demand_lh = per_k * np.maximum(HEATING_BELOW_C - temperature_c, 0)
    burns = rng.poisson(demand_lh / BURN_L)
    resting = setback & np.isin(local_hour, SETBACK_HOURS)
    return np.asarray(np.where(resting, 0.0, burns * BURN_L * rng.uniform(0.8, 1.2, shape)), np.float64)


def _away(rng: np.random.Generator, shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Trips of two to nine days."""
    away = np.zeros(shape, bool)
    for home, trips in enumerate(rng.poisson(TRIPS_A_DAY * shape[1] / 24, shape[0])):
        for _ in range(int(trips)):
            leaves = int(rng.integers(0, shape[1]))
            away[home, leaves : leaves + int(rng.integers(48, 216))] = True
    return away


def _light_pilots(rng: np.random.Generator, habits: Sequence[Habits], litres: Litres) -> None:
    """Pilot flames burn on; unless one is never off, the gas is shut for 6 to 9 hours of a night every 2 to 4 days."""
    for home, habit in enumerate(habits):
        if habit.pilot_lh == 0:
            continue
        litres[home] += habit.pilot_lh
        night = int(rng.integers(0, 3)) * 24
        while not habit.pilot_never_off and night < litres.shape[1]:
            litres[home, night : night + int(rng.integers(6, 10))] = 0.0
            night += int(rng.integers(2, 5)) * 24
