"""Event, group and absence rules, and which history is looked at again: all on plain values."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.absence import Outage, Quiet, device_silent, gateway_silent, merged, observed_s, outages
from rules.assertions import Event, building_leaks, leak_alarm
from rules.catalog import default_catalog
from rules.model import Cleared, Finding
from rules.spans import AHEAD, plan_spans

RULES = default_catalog().rules
NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
DAY_S = 86_400


def ago(**units: float) -> datetime:
    return NOW - timedelta(**units)


def event(minute: float = 0, device: int = 1, **values: object) -> Event:
    """A leak alarm of level 1, raised in building 7."""
    at = NOW + timedelta(minutes=minute)
    plain = Event(device, f"LD-{device}", "leak_alarm", "raised", at, building_id=7, level=1)
    return replace(plain, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("level", "lel_pct", "severity"),
    [(1, None, "major"), (1, 19.9, "major"), (1, 20.0, "critical"), (2, None, "critical"), (None, 5.0, "major")],
)
def test_the_ladder_of_a_leak_alarm(level: int | None, lel_pct: float | None, severity: str) -> None:
    """High set-point or 20 %LEL (limit of indoor entry) is critical; the rest is major, never less."""
    (leak,) = leak_alarm(RULES["leak_alarm"], [event(level=level, lel_pct=lel_pct)])
    assert isinstance(leak, Finding)
    assert leak.severity == severity


def test_self_tests_are_left_out() -> None:
    """Raised or cleared, a test is nobody's alarm."""
    assert leak_alarm(RULES["leak_alarm"], [event(test=True), event(test=True, state="cleared")]) == []


@pytest.mark.parametrize(
    ("status", "believed"),
    [(None, True), (0, True), (4, True), (1024, False), (2048, False), (4096, False), (8192, False)],
)
def test_only_a_sound_detector_may_say_that_it_is_over(status: int | None, believed: bool) -> None:
    """Warming up, inhibited, faulty, past its life: it says nothing about safety. A low battery does."""
    (cleared,) = leak_alarm(RULES["leak_alarm"], [event(state="cleared", status=status)])
    assert isinstance(cleared, Cleared)
    assert cleared.believed is believed


def test_an_alarm_that_the_device_cleared_since_is_not_going_on() -> None:
    """The raise arrives after its clear."""
    (leak,) = leak_alarm(RULES["leak_alarm"], [event(cleared_at=NOW + timedelta(minutes=1))])
    assert isinstance(leak, Finding)
    assert not leak.ongoing


@pytest.mark.parametrize("status", [1024, 2048, 4096, 8192])
def test_the_clear_of_a_blind_detector_ends_nothing(status: int) -> None:
    """A detector that cannot be believed raised and cleared before we looked: the alarm goes on."""
    (leak,) = leak_alarm(RULES["leak_alarm"], [event(cleared_at=NOW + timedelta(minutes=1), status=status)])
    assert isinstance(leak, Finding)
    assert leak.ongoing


def test_two_detectors_within_half_an_hour_are_one_stretch() -> None:
    """Three alarms in a chain of 30 minutes each are one finding with three devices."""
    (found,) = building_leaks(RULES["building_leaks"], [event(55, 3), event(0, 1), event(30, 2)])
    assert (found.value, found.first_at, found.last_at) == (3.0, NOW, NOW + timedelta(minutes=55))
    assert found.subject == "building:7"


@pytest.mark.parametrize(
    "events",
    [
        [event(0, 1), event(31, 2)],
        [event(0, 1), event(1, 1)],
        [event(0, 1), event(1, 2, building_id=8)],
        [event(0, 1), event(1, 2, test=True)],
        [event(0, 1), event(1, 2, building_id=None)],
    ],
)
def test_what_is_no_building_incident(events: list[Event]) -> None:
    """Too far apart, one device twice, two buildings, a test, an unknown building."""
    assert building_leaks(RULES["building_leaks"], events) == []


@given(st.permutations([event(minute, device) for minute, device in [(0, 1), (5, 2), (70, 3), (71, 1), (200, 2)]]))
def test_building_findings_do_not_depend_on_the_order_of_arrival(order: list[Event]) -> None:
    """Two stretches, whatever came first."""
    found = building_leaks(RULES["building_leaks"], order)
    assert [(one.value, one.first_at) for one in found] == [(2.0, NOW), (2.0, NOW + timedelta(minutes=70))]


# ------------------------------------------------------------------------------------------------ absence


def silent(**values: object) -> Quiet:
    """A daily meter last heard four days ago, whose gateway was heard now."""
    plain = Quiet(1, "M-1", ago(days=4), DAY_S, gateway_id=5, gateway_heard_at=NOW)
    return replace(plain, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("one", "ours", "gateways", "expected"),
    [
        (silent(), [], {}, True),
        (silent(heard_at=ago(days=3)), [], {}, False),
        (silent(gateway_heard_at=ago(days=2)), [], {}, False),
        (silent(), [Outage(ago(days=3), ago(days=1))], {}, False),
        (silent(), [], {5: [Outage(ago(days=3), ago(days=1))]}, False),
        (silent(), [], {6: [Outage(ago(days=3), ago(days=1))]}, True),
        (silent(), [Outage(ago(days=9), ago(days=4))], {}, True),
        # half a day of ours and the same half day of its gateway count once: 3.5 days remain
        (silent(), [Outage(ago(days=2), ago(days=1.5))], {5: [Outage(ago(days=2), ago(days=1.5))]}, True),
    ],
)
def test_who_is_silent(one: Quiet, ours: list[Outage], gateways: dict[int, list[Outage]], expected: bool) -> None:
    """Three intervals of time in which we listened and its gateway spoke."""
    assert bool(device_silent(RULES["device_silent"], [one], ours, gateways, NOW)) is expected


def test_a_silent_detector_is_graver_than_a_silent_meter() -> None:
    """Silence of a detector is not safety."""
    found = device_silent(RULES["device_silent"], [silent(), silent(device_kind="detector")], [], {}, NOW)
    assert [one.severity for one in found] == ["minor", "major"]


@pytest.mark.parametrize(
    ("heard", "offline", "expected"),
    [
        (ago(days=2.1), None, True),
        (ago(days=1.9), None, False),
        (ago(hours=2), ago(hours=2), True),
        (ago(minutes=50), ago(minutes=50), False),
    ],
)
def test_when_a_gateway_is_silent(heard: datetime, offline: datetime | None, expected: bool) -> None:
    """Two intervals without a word, or its last will standing for an hour."""
    one = Quiet(5, "GW-1", heard, DAY_S, offline_at=offline)
    assert bool(gateway_silent(RULES["gateway_silent"], [one], [], NOW)) is expected


def test_an_outage_that_lasts_counts_as_ours() -> None:
    """Nothing from anybody for longer than the gap: until now, nobody is to blame."""
    assert outages([], NOW, ago(hours=1), 900) == [Outage(ago(hours=1), NOW)]
    assert outages([], NOW, ago(minutes=10), 900) == []


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 50)), max_size=8))
def test_observed_time_never_counts_an_outage_twice(parts: list[tuple[int, int]]) -> None:
    """Overlapping outages excuse their union, minute by minute."""
    ours = [Outage(NOW + timedelta(minutes=a), NOW + timedelta(minutes=a + length)) for a, length in parts]
    lost = {minute for a, length in parts for minute in range(a, a + length)} & set(range(100))
    assert observed_s(NOW, NOW + timedelta(minutes=100), merged(ours)) == (100 - len(lost)) * 60


# ------------------------------------------------------------------------------------------------ spans


def test_each_device_is_looked_at_once_for_all_its_batches() -> None:
    """Three batches of two devices: from each device's earliest change less the lookback, up to a day ahead."""
    back = timedelta(days=7)
    touched = [([1, 2], ago(hours=3), NOW), ([1], ago(days=2), ago(days=1)), ([2], ago(hours=1), NOW)]
    spans = {span.device_ids: span for span in plan_spans(touched, back, NOW, 100)}
    assert {ids: span.since for ids, span in spans.items()} == {(1,): ago(days=2) - back, (2,): ago(hours=3) - back}
    assert all(span.until == NOW + AHEAD and not span.bounded for span in spans.values())


def test_very_late_data_is_looked_at_around_its_own_time() -> None:
    """A report of three months ago does not load three months."""
    (span,) = plan_spans([([1], ago(days=91), ago(days=90))], timedelta(days=7), NOW, 100)
    assert (span.since, span.until, span.bounded) == (ago(days=98), ago(days=83), True)


def test_many_devices_are_taken_in_parts() -> None:
    """No more than asked are in memory at once."""
    spans = plan_spans([(list(range(25)), NOW, NOW)], timedelta(days=7), NOW, 10)
    assert [len(span.device_ids) for span in spans] == [10, 10, 5]
