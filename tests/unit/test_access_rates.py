"""Chances to get in: the prior before anything is seen, the truth after much is, and never out of bounds."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspections.access_rates import AccessPrior, AccessRates, Tried, expected_service_s
from inspections.model import Overbooking

MONDAY, SATURDAY = date(2026, 11, 23), date(2026, 11, 28)


def home(hour: int, tried: int, entered: int, *, area: str = "D01", weekend: bool = False, attempts: int = 0) -> Tried:
    return Tried("household", area, weekend, hour, attempts, tried, entered)


def test_nothing_seen_is_the_stated_prior() -> None:
    """Before any outcome a home opens as the prior says, better at the best times of a weekend, a business at 0.9."""
    rates = AccessRates()
    assert rates.chance("household", "D01", MONDAY, 10) == pytest.approx(AccessPrior().household)
    assert rates.chance("commercial", "D01", MONDAY, 10) == pytest.approx(AccessPrior().business)
    assert rates.chance("household", "D01", SATURDAY, 10) > rates.chance("household", "D01", SATURDAY, 12)


def test_much_that_was_seen_outweighs_the_prior() -> None:
    """Where mornings open 20 % and evenings 80 % of a thousand doors, the chances come close to that."""
    rates = AccessRates([home(10, 1000, 200), home(17, 1000, 800)])
    assert rates.chance("household", "D01", MONDAY, 10) == pytest.approx(0.2, abs=0.03)
    assert rates.chance("household", "D01", MONDAY, 17) == pytest.approx(0.8, abs=0.03)
    assert rates.evidence("household", "D01") == 2000


def test_an_area_learns_from_the_city_until_it_has_seen_enough() -> None:
    """A district nobody visited yet is believed to be like the city; a contrary one is not."""
    rates = AccessRates([home(10, 1000, 700), home(10, 1000, 300, area="D02")])
    assert rates.chance("household", "D09", MONDAY, 10) == pytest.approx(0.5, abs=0.03)
    assert rates.chance("household", "D02", MONDAY, 10) < 0.4
    assert rates.chance("household", "D01", MONDAY, 10) > 0.6


def test_earlier_attempts_count() -> None:
    """Doors that stayed shut before are believed to stay shut more often, when that was seen."""
    rates = AccessRates([home(10, 500, 300), home(10, 500, 100, attempts=1)])
    assert rates.chance("household", "D01", MONDAY, 10, attempts=1) < rates.chance("household", "D01", MONDAY, 10)


def test_best_times_lie_within_the_working_hours_best_first() -> None:
    """The next attempt is offered the part of the week that opened most doors, cut to the hours somebody works."""
    rates = AccessRates([home(17, 400, 380), home(10, 400, 100), home(15, 400, 100)])
    times = rates.best_times("household", "D01", 1, from_hour=8, to_hour=17)
    assert (times[0].weekend, times[0].from_hour, times[0].to_hour) == (False, 16, 17)
    assert all(8 <= time.from_hour < time.to_hour <= 17 for time in times)
    assert [time.chance for time in times] == sorted((time.chance for time in times), reverse=True)


@given(
    st.lists(st.tuples(st.integers(0, 23), st.integers(0, 10_000), st.floats(0, 1), st.booleans(), st.integers(0, 9)))
)
def test_chance_is_never_certain_and_grows_with_success(cells: list[tuple[int, int, float, bool, int]]) -> None:
    """Whatever was counted, a chance lies strictly between 0 and 1, and one more success never lowers it there."""
    seen = [home(h, n, int(n * share), weekend=w, attempts=a) for h, n, share, w, a in cells]
    rates, better = AccessRates(seen), AccessRates([*seen, home(10, 1, 1)])
    for hour in range(24):
        assert 0 < rates.chance("household", "D01", MONDAY, hour) < 1
    assert better.chance("household", "D01", MONDAY, 10) >= rates.chance("household", "D01", MONDAY, 10) - 1e-9


def test_expected_time_lies_between_a_card_and_the_work() -> None:
    """Half the doors open: half the work and half the knocking; never overbooked beyond the limit."""
    generous, tight = Overbooking(240, 1.0), Overbooking(240, 0.2)
    assert expected_service_s(480, 0.5, generous) == 360
    assert expected_service_s(480, 1.0, generous) == 480
    assert expected_service_s(480, 0.5, tight) == 400
    assert expected_service_s(120, 0.1, generous) == 120
