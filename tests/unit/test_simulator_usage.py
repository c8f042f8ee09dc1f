"""Gas use behind the doors, and what registers make of it."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from simulator.city import CityParams, build_city
from simulator.faults import Fault
from simulator.model import City
from simulator.registers import Registers, read_registers
from simulator.usage import Hours, Millilitres, hourly_use, hours_until, recorded_use

NOW = datetime(2026, 11, 20, 6, 30, tzinfo=UTC)
DAYS = 12


@pytest.fixture(scope="module")
def city() -> City:
    return build_city(CityParams(now=NOW))


@pytest.fixture(scope="module")
def hours() -> Hours:
    return hours_until(NOW, DAYS, 8)


@pytest.fixture(scope="module")
def use(city: City, hours: Hours) -> Millilitres:
    return hourly_use(city, hours, 1)


def rows(city: City, **habits: object) -> list[int]:
    return [
        row
        for row, place in enumerate(city.premises)
        if place.user_class == "household"
        and place.tenure != "vacant"
        and all(getattr(city.habits[place.code], key) == value for key, value in habits.items())
    ]


def test_hours_start_at_a_local_midnight_and_reach_now(hours: Hours) -> None:
    """14:30 in the city: twelve whole days, and the fifteen hours begun today."""
    assert hours.start == datetime(2026, 11, 7, 16, tzinfo=UTC)
    assert hours.count == 12 * 24 + 15
    assert hours.at(hours.count) >= NOW > hours.at(hours.count - 1)


def test_use_is_the_same_for_the_same_seed(city: City, hours: Hours, use: Millilitres) -> None:
    """Determinism by seed, and another seed gives other gas."""
    assert np.array_equal(hourly_use(city, hours, 1), use)
    assert not np.array_equal(hourly_use(city, hours, 2), use)


def test_a_home_without_heating_uses_about_what_a_city_measured(city: City, use: Millilitres) -> None:
    """0.6 m3 a home and day (Songjiang); between 0.4 and 0.9 in November."""
    plain = rows(city, heating="none", pilot_lh=0.0, recorded=False)
    daily_m3 = use[plain].sum() / len(plain) / (use.shape[1] / 24) / 1e6
    assert 0.4 < daily_m3 < 0.9


def test_evenings_use_more_than_nights(city: City, use: Millilitres) -> None:
    """Cooking and hot water peak at 18-21; almost nothing burns at 1-4."""
    plain = use[rows(city, heating="none", pilot_lh=0.0, recorded=False)][:, : DAYS * 24].reshape(-1, DAYS, 24)
    assert plain[:, :, 18:21].sum() > 20 * plain[:, :, 1:4].sum()


def test_constant_heating_goes_on_for_days_and_set_back_heating_does_not(city: City, use: Millilitres) -> None:
    """The hard negatives of the micro-leak rule: some home has no pause in two cold days, none with a set-back."""

    def longest_h(row: int) -> int:
        pauses = np.flatnonzero(np.concatenate(([True], use[row] == 0, [True])))
        return int(np.diff(pauses).max()) - 1

    assert max(longest_h(row) for row in rows(city, heating="constant")) > 48
    assert max(longest_h(row) for row in rows(city, heating="setback")) < 24


def test_pilot_flames_burn_low_and_are_put_out_for_hours(city: City, use: Millilitres) -> None:
    """At least one pause of six hours in any five days, which proves that there is no leak."""
    for row in rows(city, heating="none", recorded=False):
        if city.habits[city.premises[row].code].pilot_lh:
            off = np.convolve(use[row] == 0, np.ones(6), "valid") == 6
            assert all(off[first : first + 120].any() for first in range(len(off) - 120))
            assert 8_000 <= np.median(use[row][use[row] > 0]) <= 400_000


def test_vacant_homes_use_nothing_and_no_home_more_than_its_meter_may(city: City, use: Millilitres) -> None:
    """Zero is zero; the least Qmax is 2.5 m3/h."""
    vacant = [row for row, place in enumerate(city.premises) if place.tenure == "vacant"]
    assert use[vacant].sum() == 0
    assert use.max() <= 6_000_000
    assert use[rows(city, recorded=False)].max() <= 2_500_000


def test_the_recorded_home_plays_its_last_hours_and_then_repeats() -> None:
    """61 days of hourly litres: 393,483 L in all."""
    whole = recorded_use(61 * 24)
    assert whole.sum() == (3_715_724 - 3_322_241) * 1000
    assert np.array_equal(recorded_use(48), whole[-48:])
    assert np.array_equal(recorded_use(62 * 24)[24:], whole)


@pytest.fixture(scope="module")
def registers(city: City, hours: Hours) -> Registers:
    return read_registers(city, (), hours, 1)


def test_no_gas_is_lost_between_flow_and_register(
    city: City, hours: Hours, use: Millilitres, registers: Registers
) -> None:
    """The register's difference is the sum of the flow while the meter was there, to the millilitre."""
    place_of = {place.code: row for row, place in enumerate(city.premises)}
    fitted = city.fitted()
    for row, device in enumerate(registers.meters):
        span = slice(int(registers.first[row]), int(registers.last[row]))
        gained = registers.true_ml[row, -1] - registers.true_ml[row, 0]
        assert gained == use[place_of[fitted[device.code].premises], span].sum()


def test_a_register_shows_whole_pulses_and_loses_less_than_one(registers: Registers, hours: Hours) -> None:
    """Quantised, never ahead of the gas and never a whole pulse behind: the remainder runs on."""
    shown = registers.shown(0, hours.count)
    assert (shown % registers.pulse_ml[:, None] == 0).all()
    behind = registers.true_ml - shown
    assert (behind >= 0).all()
    assert (behind < registers.pulse_ml[:, None]).all()
    assert (np.diff(shown, axis=1) >= 0).all()


def test_a_removed_meter_ends_at_the_index_of_its_removal(city: City, registers: Registers) -> None:
    """The registry and the telemetry agree about the last index."""
    for row, device in enumerate(registers.meters):
        removed_ml = city.fitted()[device.code].index_removed_ml
        if removed_ml is not None:
            assert registers.true_ml[row, registers.last[row]] == removed_ml


def test_faults_bend_exactly_what_they_name(city: City, hours: Hours, registers: Registers) -> None:
    """A 10 L/h leak adds 10 L an hour; a fall takes its drop; a wrap shows the register back at zero."""
    leaky, falling, wrapping = (registers.meters[row] for row in (5, 6, 7))
    at = hours.at(100)

    def plant(name: str, code: str, **values: float) -> Fault:
        return Fault(name, "", True, ("device", code), at, NOW, (code,), values)

    faults = (
        plant("micro_leak", leaky.code, leak_lh=10.0),
        plant("index_backwards", falling.code, drop_ml=5e6),
        plant("register_wrap", wrapping.code),
    )
    bent = read_registers(city, faults, hours, 1)
    more = np.diff(bent.true_ml[5]) - np.diff(registers.true_ml[5])
    assert (more[:100] == 0).all()
    assert (more[100:] == 10_000).all()
    assert bent.true_ml[6, 100] - registers.true_ml[6, 100] == -5_000_000
    wrapped = bent.shown(0, hours.count)[7]
    assert wrapped[0] > bent.wrap_ml[7] - 100_000_000
    assert wrapped[100] == 0
    assert wrapped[-1] < 100_000_000


def test_the_register_between_two_hours_lies_between_them(registers: Registers, hours: Hours) -> None:
    """The index of a report at twenty past is a third of the way."""
    count = len(registers.meters)
    hour = np.full(count, 30)
    shown = registers.shown_at(hour, np.full(count, 1 / 3))
    assert (registers.shown(30, 31)[:, 0] <= shown).all()
    assert (shown <= registers.shown(30, 31)[:, 1]).all()


def test_a_midnight_is_a_whole_day_even_at_the_stroke() -> None:
    """Played exactly at a local midnight the begun day still has its first hour."""
    stroke = datetime(2026, 11, 19, 16, tzinfo=UTC)
    grid = hours_until(stroke, 8, 8)
    assert (grid.start, grid.count) == (stroke - timedelta(days=8), 8 * 24 + 1)
