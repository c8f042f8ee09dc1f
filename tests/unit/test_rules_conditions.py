"""The event rules on one device's words: what begins, what ends, what proves nothing; in any order."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.catalog import default_catalog
from rules.conditions import ended, find
from rules.gate import admit
from rules.instant_needs import events_of, limits, lookback
from rules.model import Finding
from rules.signs import SIGNS
from rules.told import Teller, Told, in_order

RULES = default_catalog().rules
NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
METER = Teller(1, "M-1", "meter", "G2.5", "household", "D01", qmax_lh=4000.0)
DETECTOR = Teller(2, "LD-2", "detector", None, "household", "D01", warn_lel_pct=8.0, alarm_lel_pct=15.0)


def at(minute: float) -> datetime:
    return NOW + timedelta(minutes=minute)


def said(kind: str, state: str = "raised", minute: float = 0, **values: object) -> Told:
    return replace(Told(1, at(minute), kind, state), **values)  # type: ignore[arg-type]


def report(minute: float = 0, **values: object) -> Told:
    return replace(Told(1, at(minute)), **values)  # type: ignore[arg-type]


def found(rule_id: str, *told: Told, teller: Teller = METER) -> list[Finding]:
    return admit(RULES[rule_id], find(RULES[rule_id], teller, told))


@pytest.mark.parametrize(
    ("rule_id", "teller", "told", "severity"),
    [
        ("leak_alarm", DETECTOR, report(lel_pct=8.0), "major"),
        ("leak_alarm", DETECTOR, report(lel_pct=15.0), "critical"),
        ("leak_alarm", replace(DETECTOR, warn_lel_pct=None), report(lel_pct=16.0), "major"),
        ("leak_alarm", replace(DETECTOR, warn_lel_pct=None), report(lel_pct=20.0), "critical"),
        ("leak_alarm", replace(DETECTOR, warn_lel_pct=None, alarm_lel_pct=None), report(lel_pct=5.0), "major"),
        ("leak_alarm", DETECTOR, report(status=16384), "critical"),
        ("leak_alarm", DETECTOR, report(lel_pct=9.0, status=4096), "major"),
        ("leak_alarm", METER, report(reason=10), "major"),
        ("co_alarm", DETECTOR, said("co_alarm"), "critical"),
        ("co_alarm", DETECTOR, said("co_alarm", level=1), "major"),
        ("detector_fault", DETECTOR, said("fault"), "major"),
        ("detector_fault", DETECTOR, report(status=4096), "major"),
        ("detector_disconnected", METER, said("detector_cut"), "major"),
        ("detector_disconnected", METER, report(status=128), "major"),
        ("detector_disconnected", METER, report(reason=11, status=0), "major"),
        ("detector_end_of_life", DETECTOR, report(status=8192), "minor"),
        ("valve_self_closed", METER, said("valve", "closed", cause="low_battery"), "minor"),
        ("valve_self_closed", METER, said("valve", "closed", cause="seismic"), "major"),
        ("valve_self_closed", METER, report(reason=24, status=1), "minor"),
        ("valve_pass_through", METER, said("pass_through"), "major"),
        ("valve_pass_through", METER, report(reason=21, status=1), "major"),
        ("pressure_low", METER, report(pressure_pa=900), "major"),
        ("pressure_low", METER, said("pressure_low"), "minor"),
        ("pressure_low", METER, report(reason=27), "minor"),
        ("pressure_high", METER, report(pressure_pa=6500), "critical"),
        ("pressure_high", METER, said("pressure_high"), "minor"),
        ("tamper", METER, said("tilt"), "minor"),
        ("tamper", METER, report(status=8), "minor"),
        ("magnet", METER, report(reason=3), "minor"),
        ("reverse_flow", METER, report(status=32), "major"),
        ("low_battery", METER, report(status=4), "info"),
        ("low_battery", METER, said("low_battery", level=2), "minor"),
        ("low_battery", METER, report(reason=6), "minor"),
        ("total_flow_high", METER, report(flow_lh=7201.0), "major"),
        ("total_flow_high", METER, said("large_flow"), "major"),
        ("meter_micro_flow", METER, said("micro_flow"), "minor"),
        ("meter_micro_flow", METER, report(reason=23, status=0), "minor"),
        ("meter_continuous_flow", METER, said("continuous_flow"), "minor"),
        ("meter_continuous_flow", METER, report(reason=24), "minor"),
        ("meter_flow_valve_closed", METER, said("flow_valve_closed"), "major"),
        ("seismic", METER, said("seismic"), "minor"),
        ("hold_test_failed", METER, said("hold_test", "abnormal"), "major"),
        ("hold_test_failed", METER, said("hold_test", "interrupted"), "info"),
        ("meter_fault", METER, said("fault"), "minor"),
        ("meter_fault", METER, report(status=2), "minor"),
    ],
)
def test_one_sample_is_enough_where_the_rule_says_so(rule_id: str, teller: Teller, told: Told, severity: str) -> None:
    """Event, status bit, reason or measure: each begins its condition, on the right rung, and goes on."""
    (one,) = found(rule_id, told, teller=teller)
    assert (one.severity, one.ongoing, one.first_at) == (severity, True, NOW)
    assert one.sentence.startswith(teller.code)
    assert one.evidence["samples"]


@pytest.mark.parametrize(
    ("rule_id", "teller", "told"),
    [
        ("leak_alarm", DETECTOR, report(lel_pct=7.9)),
        ("leak_alarm", DETECTOR, report(lel_pct=60.0, status=1024)),
        ("leak_alarm", DETECTOR, report(lel_pct=60.0, status=2048)),
        ("detector_fault", METER, said("fault")),
        ("meter_fault", DETECTOR, said("fault")),
        ("detector_not_watching", DETECTOR, report(status=1024)),
        ("valve_self_closed", METER, said("valve", "closed", cause="remote")),
        ("valve_self_closed", METER, said("valve", "closed", cause="local")),
        ("valve_self_closed", METER, said("valve", "closed")),
        ("valve_self_closed", METER, report(status=1, reason=0)),
        ("valve_pass_through", METER, said("flow_valve_closed")),
        ("pressure_low", METER, report(pressure_pa=1400)),
        ("pressure_low", METER, report(pressure_pa=1500)),
        ("pressure_low", METER, report(pressure_pa=101_325)),
        ("pressure_low", replace(METER, user_class="industrial"), report(pressure_pa=900)),
        ("pressure_high", METER, report(pressure_pa=103_000)),
        ("low_battery", METER, report(battery_mv=1)),
        ("total_flow_high", METER, report(flow_lh=7200.0)),
        ("total_flow_high", replace(METER, qmax_lh=None), report(flow_lh=99_999.0)),
        ("hold_test_failed", METER, said("hold_test", "normal")),
        ("meter_micro_flow", METER, report(reason=23, status=1)),
        ("meter_micro_flow", DETECTOR, said("micro_flow")),
        ("meter_continuous_flow", METER, report(reason=24, status=1)),
    ],
)
def test_what_is_no_sign_begins_nothing(rule_id: str, teller: Teller, told: Told) -> None:
    """In order, asked for by a person, measured by a warming detector, unknown, out of scope: no finding."""
    assert found(rule_id, told, teller=teller) == []


def test_between_set_point_and_hysteresis_nothing_changes() -> None:
    """8 %LEL begins it, 7 neither ends it nor begins another, below 6.4 ends it."""
    told = [report(m, lel_pct=lel) for m, lel in enumerate([8.0, 7.0, 8.5, 7.0, 6.0, 7.0])]
    (one,) = found("leak_alarm", *told, teller=DETECTOR)
    assert (one.first_at, one.last_at, one.ongoing, one.value) == (at(0), at(2), False, 8.5)
    assert ended(RULES["leak_alarm"], DETECTOR, told) == at(4)


def test_a_low_reading_does_not_end_what_the_device_itself_still_raises() -> None:
    """As long as its own leak alarm stands, a reading below the set-point proves nothing."""
    told = [report(0, lel_pct=0.0)]
    assert ended(RULES["leak_alarm"], replace(DETECTOR, leak_state="raised"), told) is None
    assert ended(RULES["leak_alarm"], DETECTOR, told) == at(0)


@pytest.mark.parametrize("status", [1024, 2048, 4096, 8192])
def test_a_blind_detectors_zero_is_not_safety(status: int) -> None:
    """Warming up, inhibited, faulty, past its life: a reading of zero ends nothing."""
    told = [report(0, lel_pct=9.0), report(1, lel_pct=0.0, status=status)]
    assert ended(RULES["leak_alarm"], DETECTOR, told) is None
    assert found("leak_alarm", *told, teller=DETECTOR)[0].ongoing


def test_two_low_readings_in_a_row_are_needed_and_a_good_one_between_starts_anew() -> None:
    """One reading of 1.4 kPa may be a moment's use; two are a condition."""
    assert (
        found("pressure_low", report(0, pressure_pa=1400), report(1, pressure_pa=1900), report(2, pressure_pa=1400))
        == []
    )
    (one,) = found("pressure_low", report(0, pressure_pa=1400), report(1, pressure_pa=1300))
    assert (one.severity, one.value, one.unit) == ("minor", 200.0, "Pa")


def test_absolute_pressure_has_its_own_limits() -> None:
    """94 kPa absolute is low and 131 kPa high; neither is taken for gauge, in which both would be a burst regulator."""
    low = [report(m, pressure_pa=94_000) for m in (0, 1)]
    high = [report(m, pressure_pa=131_000) for m in (0, 1)]
    assert [one.severity for one in found("pressure_low", *low)] == ["minor"]
    assert found("pressure_high", *low) == []
    assert [one.severity for one in found("pressure_high", *high)] == ["minor"]
    assert found("pressure_low", *high) == []


def test_a_detector_that_warms_up_for_minutes_is_in_order() -> None:
    """Half an hour of warming up or inhibition is an alert; ten minutes are not."""
    warm = [report(m, status=1024) for m in (0, 10)]
    assert found("detector_not_watching", *warm, report(12, status=0), teller=DETECTOR) == []
    (one,) = found("detector_not_watching", *warm, report(31, status=1024), teller=DETECTOR)
    assert one.ongoing


def test_a_step_of_flow_is_between_near_readings_only() -> None:
    """A rise of more than 1.4 x Qmax within two minutes; over an hour it may be many appliances."""
    (one,) = found("flow_step", report(0, flow_lh=100.0), report(1, flow_lh=5800.0))
    assert (one.value, one.severity) == (5700.0, "major")
    assert found("flow_step", report(0, flow_lh=100.0), report(60, flow_lh=5800.0)) == []
    assert found("flow_step", report(0, flow_lh=200.0), report(1, flow_lh=5800.0)) == []


def test_two_closed_valve_events_within_a_month_are_pass_through() -> None:
    """The second makes it; one in a month is the valve's rule alone; a cleared one does not count."""
    day = 24 * 60
    assert len(found("valve_pass_through", said("flow_valve_closed"), said("flow_valve_closed", minute=29 * day))) == 1
    assert found("valve_pass_through", said("flow_valve_closed"), said("flow_valve_closed", minute=31 * day)) == []
    assert found("valve_pass_through", said("flow_valve_closed"), said("flow_valve_closed", "cleared", 5)) == []


def test_an_open_valve_ends_the_closing_and_a_good_test_the_bad_one() -> None:
    """The valve is open, the test was normal: over; a valve fault says nothing about where the valve is."""
    closed = said("valve", "closed", cause="seismic")
    assert ended(RULES["valve_self_closed"], METER, [closed, report(1, status=2)]) is None
    assert ended(RULES["valve_self_closed"], METER, [closed, report(1, status=0)]) == at(1)
    assert ended(
        RULES["hold_test_failed"], METER, [said("hold_test", "abnormal"), said("hold_test", "normal", 5)]
    ) == at(5)


def test_a_device_installed_nowhere_is_known_by_its_gateway_and_says_so() -> None:
    """Its sentence tells the crew where to look."""
    (one,) = found("leak_alarm", report(lel_pct=20.0), teller=replace(DETECTOR, installed=False, gateway="GW-7"))
    assert "installed nowhere" in one.sentence
    assert "GW-7" in one.sentence


_EVENTS = sorted(events_of(rule for rule in RULES.values() if rule.family == "event"))
_TOLD = st.builds(
    Told,
    st.just(1),
    st.integers(0, 60).map(at),
    st.sampled_from([None, *_EVENTS]),
    st.sampled_from(["raised", "cleared"]),
    st.sampled_from([None, 1, 2]),
    st.sampled_from([None, "remote", "seismic"]),
    lel_pct=st.sampled_from([None, 0.0, 7.0, 9.0, 30.0]),
    status=st.sampled_from([None, 0, 1, 2, 4, 1024, 4096, 16384]),
    reason=st.sampled_from([None, 0, 10, 21]),
    pressure_pa=st.sampled_from([None, 900, 1400, 1550, 2000, 7000, 94_000, 131_000]),
    flow_lh=st.sampled_from([None, 0.0, 6000.0, 9000.0]),
    battery_mv=st.sampled_from([None, 3000]),
)


@given(st.lists(_TOLD, max_size=12), st.randoms(use_true_random=False), st.sampled_from([METER, DETECTOR]))
def test_the_order_of_arrival_changes_nothing(told: list[Told], shuffle: random.Random, teller: Teller) -> None:
    """The same samples in any order, some of them twice, are the same findings and the same end of every rule."""
    again = [*told, *told[:3]]
    shuffle.shuffle(again)
    for rule in RULES.values():
        if rule.family == "event":
            assert find(rule, teller, told) == find(rule, teller, again)
            assert ended(rule, teller, told) == ended(rule, teller, again)


@given(st.lists(st.floats(6.5, 40.0), min_size=1, max_size=40))
def test_a_reading_around_the_set_point_never_flaps(lels: list[float]) -> None:
    """However it swings above the end of the hysteresis, it is one stretch that goes on, or none."""
    told = [report(m, lel_pct=lel) for m, lel in enumerate(lels)]
    assert len(found("leak_alarm", *told, teller=DETECTOR)) == any(lel >= 8.0 for lel in lels)
    assert ended(RULES["leak_alarm"], DETECTOR, [report(-1, lel_pct=9.0), *told]) is None


def test_the_database_hands_over_all_that_may_begin_a_condition() -> None:
    """Every status bit, reason and event that a rule reads is asked for; unused limits are never reached."""
    rules = [rule for rule in RULES.values() if rule.family == "event"]
    asked = limits(rules)
    for source in SIGNS.values():
        assert source.status & asked.status_mask == source.status
        assert source.reasons <= set(asked.reasons)
        assert source.events <= events_of(rules)
    assert (asked.low_pa, asked.high_pa, asked.battery_mv, asked.flow_factor) == (1500, 3000, 0, 1.4)
    assert limits([]).lel_pct > 100
    assert lookback(rules) == timedelta(days=30)


WORDS = st.builds(
    lambda minute, kind, state, status: Told(1, at(minute), kind, state if kind else None, status=status),
    st.integers(0, 4),
    st.sampled_from([None, "tamper", "valve"]),
    st.sampled_from(["raised", "cleared", "closed"]),
    st.sampled_from([None, 0, 8]),
)


@given(st.lists(WORDS, max_size=8).flatmap(lambda told: st.tuples(st.just(told), st.permutations(told))))
def test_samples_have_one_order_however_they_came(come: tuple[list[Told], list[Told]]) -> None:
    """Also those of one moment, also repeats; and what stands in that order is left as it is."""
    told, shuffled = come
    ordered = in_order(told)
    assert in_order(shuffled) == ordered == in_order(ordered)
    assert len(set(ordered)) == len(ordered) == len(set(told))
    assert [one.at for one in ordered] == sorted(one.at for one in ordered)
