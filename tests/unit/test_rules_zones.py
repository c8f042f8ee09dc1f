"""Balance of a zone with its error bounds, and pressure that falls across one."""

import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.catalog import default_catalog
from rules.model import Finding
from rules.zones import Metered, Pressure, balance, zone_loss, zone_pressure

RULES = default_catalog().rules
LOSS, FALL = RULES["zone_loss"], RULES["zone_pressure_fall"]
NOW = datetime(2026, 11, 20, tzinfo=UTC)


def zone(in_l: float | None, *homes_l: float | None) -> list[Metered]:
    return [Metered("CHECK", in_l, True), *(Metered(f"M-{n}", used, False) for n, used in enumerate(homes_l))]


def lost(meters: list[Metered]) -> Finding | None:
    return zone_loss(LOSS, "building:7", "Block 7", meters, NOW - timedelta(days=7), NOW)


@pytest.mark.parametrize(
    ("meters", "found"),
    [
        (zone(10_000, *[1000] * 10), False),
        (zone(10_800, *[1000] * 10), False),  # 7 %, within the errors
        (zone(13_000, *[1000] * 10), True),
        (zone(None, *[1000] * 10), False),
        (zone(13_000), False),
        (zone(13_000, *[None] * 10), False),
        (zone(13_000, *[1000] * 9, None), True),  # 2,000 L lost although the unread home took its share
        (zone(11_500, *[1000] * 9, None), False),  # what the unread home may have taken explains it
        (zone(20_000, *[1000] * 8, None, None), False),  # too many unread
    ],
)
def test_a_loss_is_what_no_error_and_no_unread_home_explains(meters: list[Metered], found: bool) -> None:
    """Errors, temperature, pressure and unread homes widen the bound; unknown is not zero."""
    assert (lost(meters) is not None) is found


def test_the_finding_shows_bounds_and_unread_homes() -> None:
    """An officer sees what went in, what was counted, what is unread and how far the loss may be off."""
    one = lost(zone(14_000, *[1000] * 9, None))
    assert one is not None
    assert "lost 4.0 ± 1.9 m³ (28.6 %) in 7 days: 14.0 m³ in, 9.0 m³ at 9 homes, 1 unread" in one.sentence
    assert one.evidence["unread"] == ["M-9"]


@given(st.lists(st.floats(0, 1e5), min_size=2, max_size=30), st.data())
def test_gas_that_all_went_through_homes_is_never_lost(homes: list[float], data: st.DataObject) -> None:
    """Whichever homes are unread, as long as they use at most twice what the read ones do: no certain loss."""
    unread = data.draw(st.sets(st.integers(0, len(homes) - 1), max_size=len(homes) - 1))
    read = [used for number, used in enumerate(homes) if number not in unread]
    mean_l = sum(read) / len(read)
    used = [min(one, 2 * mean_l) if number in unread else one for number, one in enumerate(homes)]
    seen = [None if number in unread else one for number, one in enumerate(used)]
    found = balance(LOSS, zone(sum(used), *seen))
    assert found is not None
    assert found.certain_l <= 1e-6


def falling(fallen: int, steady: int, fall_pa: float = 300.0) -> list[Pressure]:
    found = []
    for device_id in range(fallen + steady):
        low = 2100 - (fall_pa if device_id < fallen else 0)
        rows = [(-300, 2150.0), (-200, 2100.0), (-100, 2050.0), (-device_id, low)]
        found += [Pressure(device_id, f"M-{device_id}", NOW + timedelta(minutes=m), pa) for m, pa in rows]
    return found


@pytest.mark.parametrize(
    ("readings", "found"),
    [
        (falling(6, 4), True),
        (falling(5, 5), False),
        (falling(4, 0), False),
        (falling(10, 0, 150.0), False),
        ([one for one in falling(10, 0) if one.at > NOW - timedelta(minutes=30)], False),
        ([one for one in falling(10, 0) if one.at < NOW - timedelta(minutes=30)], False),
    ],
)
def test_pressure_of_a_zone_falls_when_it_does_at_most_of_its_meters(readings: list[Pressure], found: bool) -> None:
    """A robust share of enough meters, each against its own past; without a past or a present nothing is said."""
    assert (zone_pressure(FALL, "compound:1", "compound Willow", readings, NOW) is not None) is found


@given(st.randoms(use_true_random=False))
def test_the_order_of_pressures_changes_nothing(shuffle: random.Random) -> None:
    """The same readings in any order are the same finding, samples included."""
    readings = falling(8, 3)
    shuffle.shuffle(readings)
    assert zone_pressure(FALL, "compound:1", "c", readings, NOW) == zone_pressure(
        FALL, "compound:1", "c", falling(8, 3), NOW
    )
