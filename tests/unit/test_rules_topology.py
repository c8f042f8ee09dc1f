"""Learned intervals, the next look, and silences of one cause folded into one incident."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.absence import Quiet, device_gone
from rules.catalog import default_catalog
from rules.rhythm import LOOK_AT_LEAST, learned_interval, next_look
from rules.service_life import Asset, anniversary, past_life
from rules.topology import Count, Mute, Spot, dead_places, fold, incident

RULES = default_catalog().rules
CELL = RULES["cell_silent"]
NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
DAY_S = 86_400


def arrivals(*gaps_s: float) -> list[datetime]:
    found = [NOW]
    for gap_s in gaps_s:
        found.append(found[-1] - timedelta(seconds=gap_s))
    return found


@pytest.mark.parametrize(
    ("gaps_s", "interval_s"),
    [
        ([DAY_S] * 5, None),
        ([DAY_S] * 9 + [5 * DAY_S], DAY_S),
        ([900] * 20, 0.25 * DAY_S),
        ([2 * DAY_S] * 10, 2 * DAY_S),
        ([30 * DAY_S] * 10, 3 * DAY_S),
        ([DAY_S, 5, 5] * 10, DAY_S),
    ],
)
def test_an_interval_is_learned_from_most_gaps_within_limits(gaps_s: list[float], interval_s: float | None) -> None:
    """Too few gaps: nothing. One outage in ten, and repeats, move nothing. A quarter to three times the registered."""
    learned = learned_interval(arrivals(*gaps_s), DAY_S, 0.25, 3)
    assert (learned and learned.interval_s) == interval_s


@given(st.lists(st.integers(0, 10 * DAY_S), max_size=30), st.randoms(use_true_random=False))
def test_the_learned_interval_does_not_depend_on_the_order(gaps_s: list[int], shuffle: object) -> None:
    """Arrivals are a set of moments; and the limits hold whatever they are."""
    times = arrivals(*gaps_s)
    again = list(times)
    shuffle.shuffle(again)  # type: ignore[attr-defined]
    learned = learned_interval(times, DAY_S, 0.25, 3)
    assert learned == learned_interval(again, DAY_S, 0.25, 3)
    assert learned is None or 0.25 * DAY_S <= learned.interval_s <= 3 * DAY_S


@given(st.integers(0, 400), st.floats(60, 400 * 3600))
def test_every_device_is_looked_at_daily_and_never_in_a_circle(hours: int, allowed_s: float) -> None:
    """The next look lies ahead, at most a day; not before the allowed silence is over, unless that is further."""
    heard_at = NOW - timedelta(hours=hours)
    due_at = next_look(heard_at, allowed_s, NOW)
    assert NOW < due_at <= NOW + LOOK_AT_LEAST
    over_at = heard_at + timedelta(seconds=allowed_s)
    if NOW + timedelta(minutes=1) < over_at <= NOW + LOOK_AT_LEAST:
        assert due_at == over_at


def place(overdue: int, watched: int = 10) -> Count:
    return Count(watched, overdue, NOW - timedelta(days=2), "Willow Court")


def test_a_place_is_dead_from_its_share_on_and_recovers_below_a_lower_one() -> None:
    """60 % begins it, 30 % ends it; four devices are no cell; nothing watched is nothing dead."""
    spot: Spot = ("compound", 1)
    for overdue, known, dead in (
        (5, False, False),
        (6, False, True),
        (5, True, True),
        (3, True, True),
        (2, True, False),
    ):
        found = dead_places(CELL, {spot: place(overdue)}, {}, frozenset({spot} if known else ()))
        assert (spot in found) is dead
    assert dead_places(CELL, {spot: place(4, 4)}, {}, frozenset()) == frozenset()
    assert dead_places(CELL, {}, {}, frozenset({spot})) == frozenset()


def test_a_district_is_dead_when_most_of_its_compounds_are() -> None:
    """Two of three compounds are the district's incident; one of one is not: it is the compound's."""
    below: dict[Spot, list[Spot]] = {("district", 9): [("compound", number) for number in (1, 2, 3)]}
    counts: dict[Spot, Count] = {("compound", 1): place(9), ("compound", 2): place(9), ("compound", 3): place(0)}
    assert ("district", 9) in dead_places(CELL, counts, below, frozenset())
    assert ("district", 9) not in dead_places(CELL, counts, {("district", 9): [("compound", 1)]}, frozenset())


_MUTES = st.lists(st.tuples(st.integers(1, 6), st.integers(1, 3), st.integers(1, 2)), max_size=20)
_DEAD = st.frozensets(st.tuples(st.sampled_from(["building", "compound", "district"]), st.integers(1, 6)), max_size=8)


@given(_MUTES, _DEAD)
def test_no_silence_is_lost(places: list[tuple[int, int, int]], dead: frozenset[Spot]) -> None:
    """Everything silent stands alone or is in exactly one incident, the largest dead place above it."""
    mutes = [
        Mute(f"device:{number}", (("building", b), ("compound", c), ("district", d)), NOW)
        for number, (b, c, d) in enumerate(places)
    ]
    folded = fold(mutes, dead)
    inside = [mute for group in folded.incidents.values() for mute in group]
    assert sorted(mute.subject for mute in [*folded.alone, *inside]) == sorted(mute.subject for mute in mutes)
    assert all(not dead & set(mute.spots) for mute in folded.alone)
    for spot, group in folded.incidents.items():
        above = [mute.spots[mute.spots.index(spot) + 1 :] for mute in group]
        assert spot in dead
        assert all(not dead & set(spots) for spots in above)


def test_an_incident_says_how_many_and_began_when_it_stood_alone() -> None:
    """One finding for all; out of a larger incident it begins where that one ended."""
    one = incident(CELL, ("compound", 4), place(8), NOW - timedelta(days=9), NOW)
    assert one.sentence.startswith("8 of 10 devices of compound Willow Court are silent")
    assert (one.severity, one.first_at) == ("major", NOW - timedelta(days=2))
    out = incident(CELL, ("district", 1), place(8), NOW - timedelta(hours=1), NOW)
    assert (out.severity, out.first_at) == ("critical", NOW - timedelta(hours=1))


def test_a_device_that_its_platform_calls_gone_is_silent_after_the_time_set() -> None:
    """An hour of "offline" is enough, a minute is not; the sentence says who said it."""
    gone = Quiet(1, "W-1", NOW - timedelta(hours=5), DAY_S, offline_at=NOW - timedelta(hours=2), presence="stale")
    (one,) = device_gone(RULES["device_silent"], [gone], [], NOW)
    assert "its platform says that it is stale" in one.sentence
    assert device_gone(RULES["device_silent"], [gone], [], NOW - timedelta(minutes=90)) == []


@pytest.mark.parametrize(
    ("rule_id", "kind", "user", "made_on", "severity"),
    [
        ("meter_past_life", "meter", "household", date(2016, 11, 20), "info"),
        ("meter_past_life", "meter", "household", date(2016, 11, 21), None),
        ("meter_past_life", "meter", "household", date(2015, 11, 20), "minor"),
        ("meter_past_life", "meter", "industrial", date(2001, 1, 1), None),
        ("meter_past_life", "detector", "household", date(2001, 1, 1), None),
        ("meter_past_life", "meter", "household", None, None),
        ("detector_past_life", "detector", None, date(2021, 11, 20), "minor"),
        ("detector_past_life", "detector", None, date(2020, 11, 20), "major"),
        ("detector_past_life", "detector", None, date(2021, 11, 21), None),
    ],
)
def test_past_life_begins_on_the_anniversary(
    rule_id: str, kind: str, user: str | None, made_on: date | None, severity: str | None
) -> None:
    """Ten years for a household's meter, five for a detector; a year later it is worse; unknown says nothing."""
    asset = Asset(1, "X-1", kind, "G2.5", user, "D01", made_on, None)
    found = past_life(RULES[rule_id], [asset], NOW.date(), NOW)
    assert [one.severity for one in found] == ([severity] if severity else [])


def test_the_first_installation_counts_where_the_day_of_making_is_unknown() -> None:
    """And a leap day has an anniversary."""
    asset = Asset(1, "M-1", "meter", "G2.5", "household", "D01", None, date(2010, 5, 1))
    (one,) = past_life(RULES["meter_past_life"], [asset], NOW.date(), NOW)
    assert "day of making unknown" in one.sentence
    assert anniversary(date(2016, 2, 29), 10) == date(2026, 3, 1)
