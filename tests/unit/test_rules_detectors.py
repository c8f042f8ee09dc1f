"""Window detectors on small histories: what is found, what is not, and that the order of arrival does not matter."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.catalog import default_catalog
from rules.detectors import closed_periods, detect, ended
from rules.model import Finding
from rules.windows import BOUNDARIES, CLOSINGS, DEVICES, READINGS, VALVES, Window, prepare

RULES = default_catalog().rules
START = datetime(2026, 11, 1, tzinfo=UTC)
Row = tuple[datetime, int | None, int, int | None]


def hour(number: float) -> datetime:
    """A moment `number` hours after the start."""
    return START + timedelta(hours=number)


def hourly(litres: Iterable[float], start_l: float = 1000.0, first_hour: int = 0) -> list[Row]:
    """Register readings at full hours; `litres[i]` moved in hour i."""
    total = start_l
    rows: list[Row] = [(hour(first_hour), round(total * 1000), 0, None)]
    for number, moved in enumerate(litres, start=1):
        total += moved
        rows.append((hour(first_hour + number), round(total * 1000), 0, None))
    return rows


def window(
    rows: Sequence[Row],
    *,
    pulse_ml: int = 10_000,
    wrap_ml: int | None = None,
    valves: Sequence[tuple[datetime, bool, bool]] = (),
    boundaries: Sequence[datetime] = (),
) -> Window:
    """A window of one G2.5 meter."""
    readings = pl.DataFrame([(1, *row, None) for row in rows], schema=READINGS, orient="row")
    device = (1, "M-1", "meter", "G2.5", "household", "D01", pulse_ml, wrap_ml, 4000.0, None, None, None)
    return prepare(
        readings,
        pl.DataFrame([device], schema=DEVICES, orient="row"),
        pl.DataFrame([(1, *valve) for valve in valves], schema=VALVES, orient="row"),
        pl.DataFrame([(1, at) for at in boundaries], schema=BOUNDARIES, orient="row"),
    )


def found(kind: str, seen: Window) -> list[Finding]:
    return detect(RULES[kind], seen)


# ------------------------------------------------------------------------------------------------ micro-leak


def test_a_leak_under_a_pulse_meter_is_seen_between_zero_hours() -> None:
    """5 L/h on a 10 L counter shows 0, 10, 0, 10: one zero hour proves nothing, 10 L / 5 L/h = 2 h would."""
    (leak,) = found("micro_leak", window(hourly([0, 10] * 65)))
    assert leak.value == pytest.approx(5.0)
    assert (leak.first_at, leak.last_at, leak.ongoing) == (hour(0), hour(130), True)
    assert len(leak.evidence["samples"]) == 131  # type: ignore[arg-type]


def test_the_same_zero_hours_on_a_fine_meter_prove_that_nothing_leaks() -> None:
    """A counter of 1 mL that stands still for an hour has no leak."""
    assert found("micro_leak", window(hourly([0, 10] * 65), pulse_ml=1)) == []


def pulses_of_100_l(day: Sequence[float], days: int) -> Window:
    """What a counter of 100 L shows of days of use."""
    true = [row[1] for row in hourly(list(day) * days)]
    rows: list[Row] = [(hour(number), (ml or 0) // 100_000 * 100_000, 0, None) for number, ml in enumerate(true)]
    return window(rows, pulse_ml=100_000)


def test_a_counter_of_100_l_in_a_home_that_sleeps_shows_no_leak() -> None:
    """1,000 L by day leave no pause of 20 h; a night without a pulse is no floor either."""
    day = [0] * 7 + [90, 60, 0, 40, 90, 20, 110, 60, 0, 40, 90, 120, 80, 60, 60, 40, 40]
    assert found("micro_leak", pulses_of_100_l(day, 10)) == []


def test_a_counter_of_100_l_shows_a_leak_that_moves_it_several_times_a_night() -> None:
    """40 L/h are three pulses in eight hours, whoever sleeps."""
    day = [40.0] * 7 + [130, 100, 40, 80, 130, 60, 150, 100, 40, 80, 130, 160, 120, 100, 100, 80, 80]
    (leak,) = found("micro_leak", pulses_of_100_l(day, 10))
    assert leak.value == pytest.approx(40, abs=13)


def test_a_counter_of_100_l_says_nothing_of_leaks_where_gas_heats() -> None:
    """The same three pulses a night may be the boiler: means over eight hours do not show how heating varies."""
    seen = pulses_of_100_l(
        [40.0] * 7 + [130, 100, 40, 80, 130, 60, 150, 100, 40, 80, 130, 160, 120, 100, 100, 80, 80], 10
    )
    heated = seen.devices.with_columns(pl.lit(["hob", "heating_boiler"], pl.List(pl.String())).alias("appliances"))
    assert len(found("micro_leak", seen)) == 1
    assert found("micro_leak", replace(seen, devices=heated)) == []


def test_a_home_that_sleeps_has_no_leak() -> None:
    """Seven quiet hours a night prove it every day."""
    assert found("micro_leak", window(hourly(([0] * 7 + [120, 60, 10, 40, 90, 20] * 3)[:24] * 14))) == []


def test_a_leak_below_daily_use_is_seen_and_its_floor_is_the_leak() -> None:
    """8 L/h at night under cooking and showers by day, on a fine meter: the floor is 8."""
    day = [8.0] * 7 + [130, 60, 18, 40, 90, 28, 8, 8, 8, 50, 120, 60, 30, 8, 8, 8, 8]
    (leak,) = found("micro_leak", window(hourly(day * 6), pulse_ml=10))
    assert leak.value == pytest.approx(8.0)


def test_heating_that_never_stops_is_no_leak() -> None:
    """Between 60 and 300 L/h, never the same: it does not rest at its lowest hour."""
    chance = random.Random(7)
    litres = [60 + 240 * chance.random() for _ in range(24 * 8)]
    assert found("micro_leak", window(hourly(litres), pulse_ml=10)) == []


def test_less_than_the_days_of_the_rule_is_not_enough() -> None:
    """119 observed hours are less than 5 days."""
    assert found("micro_leak", window(hourly([10] * 119))) == []
    assert len(found("micro_leak", window(hourly([10] * 120)))) == 1


def test_unknown_hours_are_neither_flow_nor_pause() -> None:
    """Twelve marked hours in 131: observed time is 118 h, too little; with 12 more hours it is enough."""
    rows = hourly([10] * 130)
    marked = [
        (at, index_ml, 1 if 40 <= number < 52 else 0, status) for number, (at, index_ml, _, status) in enumerate(rows)
    ]
    assert found("micro_leak", window(marked)) == []
    more = marked + [(at, index_ml, 0, None) for at, index_ml, _, _ in hourly([10] * 12, 2300, 130)[1:]]
    (leak,) = found("micro_leak", window(more))
    assert leak.evidence["observed_h"] == 129  # 142 hours less the 13 between known values


def test_power_loss_back_fill_is_no_pause() -> None:
    """Hours filled with the register at power-up look like a pause of a night; marked, they prove nothing."""
    rows = hourly([10] * 140)
    filled = [
        (at, rows[30][1] if 20 <= n <= 30 else i, 1 if 20 <= n < 30 else 0, s) for n, (at, i, _, s) in enumerate(rows)
    ]
    (leak,) = found("micro_leak", window(filled))
    assert leak.first_at == hour(0)


def test_equal_values_across_an_unknown_night_are_a_proof() -> None:
    """A register cannot move and come back: the same value before and after a gap of 9 h is a pause of 9 h."""
    first = hourly([10] * 70)
    last = first[-1][1] or 0
    second = hourly([10] * 70, last / 1000, 79)
    assert found("micro_leak", window(first + second)) == []


def test_a_pause_ends_a_leak_and_proves_its_end() -> None:
    """Two quiet hours after 130 with flow: found, no longer ongoing, ended at the newest value."""
    seen = window(hourly([10] * 130 + [0, 0]))
    (leak,) = found("micro_leak", seen)
    assert (leak.last_at, leak.ongoing) == (hour(130), False)
    assert ended(RULES["micro_leak"], seen) == {1: hour(132)}


def test_evidence_starts_anew_after_a_closing() -> None:
    """Closed at hour 100, 40 more hours are not yet 5 days."""
    closings = pl.DataFrame([(1, hour(100))], schema=CLOSINGS, orient="row")
    seen = window(hourly([10] * 140))
    assert len(found("micro_leak", seen)) == 1
    assert found("micro_leak", seen.after(closings)) == []


# ------------------------------------------------------------------------------------------------ register backwards


def test_a_register_that_steps_back_is_found_with_both_samples() -> None:
    """From 1,100 L to 1,050 L: 50 L, more than two pulses of 10 L."""
    (back,) = found("index_backwards", window([(hour(0), 1_100_000, 0, None), (hour(1), 1_050_000, 0, None)]))
    assert (back.value, back.unit, back.first_at, back.ongoing) == (50.0, "L", hour(1), True)
    assert back.evidence["samples"] == [[hour(0).isoformat(), 1_100_000], [hour(1).isoformat(), 1_050_000]]


@pytest.mark.parametrize("back_ml", [1, 10_000, 20_000])
def test_a_swing_of_a_pulse_at_each_end_is_tolerated(back_ml: int) -> None:
    """Up to two pulses back are the counter, not the meter."""
    assert (
        found("index_backwards", window([(hour(0), 1_100_000, 0, None), (hour(1), 1_100_000 - back_ml, 0, None)])) == []
    )


@pytest.mark.parametrize("wrap_ml", [100_000_000_000, None])
def test_a_full_register_that_returns_to_zero_is_not_backwards(wrap_ml: int | None) -> None:
    """99,999.99 m3 and 20 L more is 10 L after zero, whether the wrap is registered or only plausible."""
    rows: list[Row] = [(hour(0), 99_999_990_000, 0, None), (hour(1), 10_000, 0, None)]
    seen = window(rows, wrap_ml=wrap_ml)
    assert found("index_backwards", seen) == []
    assert seen.pairs["moved_ml"].to_list() == [20_000]


def test_a_swap_between_two_values_is_not_backwards() -> None:
    """The device was installed anew between them."""
    rows: list[Row] = [(hour(0), 1_100_000, 0, None), (hour(2), 0, 0, None)]
    assert found("index_backwards", window(rows, boundaries=[hour(1)])) == []
    assert len(found("index_backwards", window(rows))) == 1


def test_reads_beyond_the_meters_memory_are_ignored() -> None:
    """A zero that ingest marked is unknown."""
    rows: list[Row] = [(hour(0), 1_100_000, 0, None), (hour(1), 0, 2, None), (hour(2), 1_100_000, 0, None)]
    assert found("index_backwards", window(rows)) == []


# ------------------------------------------------------------------------------------------------ valve


def test_flow_through_a_closed_valve_counts_after_the_transition_hour() -> None:
    """Closed at hour 2: the 50 L of hour 2 to 3 are the transition; 10 + 10 L later are two pulses."""
    seen = window(hourly([80, 80, 50, 0, 10, 0, 10]), valves=[(hour(2), True, True)])
    (flow,) = found("flow_valve_closed", seen)
    assert (flow.value, flow.first_at, flow.last_at) == (20.0, hour(4), hour(7))


def test_one_pulse_is_tolerated() -> None:
    """A counter at the edge of a pulse may tip without flow."""
    assert found("flow_valve_closed", window(hourly([80, 0, 0, 0, 10, 0]), valves=[(hour(1), True, True)])) == []


def test_flow_after_the_valve_opened_is_use() -> None:
    """Opened by an event at hour 5: what moves later is use."""
    valves = [(hour(1), True, True), (hour(5), False, True)]
    assert found("flow_valve_closed", window(hourly([80, 0, 0, 0, 0, 100, 100]), valves=valves)) == []


def test_a_report_that_says_open_proves_nothing_about_the_hours_before() -> None:
    """Closed at hour 1, a status word says open at hour 9: nobody knows when it opened, so nobody is accused."""
    rows = hourly([80, 0, 0, 0, 50, 50, 50, 50])
    rows[-1] = (hour(8), rows[-1][1], 0, 0)
    assert found("flow_valve_closed", window(rows, valves=[(hour(1), True, True)])) == []


def test_status_words_prove_a_closure_without_any_event() -> None:
    """Two reports say closed; what moves between them moved through a closed valve."""
    rows = hourly([80, 0, 10, 10, 10, 0])
    rows[1], rows[-1] = (hour(1), rows[1][1], 0, 1), (hour(6), rows[-1][1], 0, 1)
    (flow,) = found("flow_valve_closed", window(rows))
    assert flow.value == 30.0


def test_closed_periods_join_repeated_assertions() -> None:
    """Closed, closed, open by event: one period up to the event."""
    valves = pl.DataFrame(
        [(1, hour(1), True, True), (1, hour(3), True, False), (1, hour(6), False, True)], schema=VALVES, orient="row"
    )
    assert closed_periods(valves).rows() == [(1, hour(1), hour(6))]


# ------------------------------------------------------------------------------------------------ order


@settings(max_examples=25, deadline=None)
@given(st.randoms(use_true_random=False), st.sampled_from(["micro_leak", "index_backwards", "flow_valve_closed"]))
def test_any_order_of_arrival_gives_the_same_findings(chance: random.Random, kind: str) -> None:
    """Shuffled rows are the same history."""
    rows = hourly([chance.choice([0.0, 10.0, 10.0, 20.0]) for _ in range(150)])
    rows[70] = (rows[70][0], 900_000, 0, None)
    valves = [(hour(100), True, True)]
    shuffled = chance.sample(rows, len(rows))
    assert found(kind, window(shuffled, valves=valves)) == found(kind, window(rows, valves=valves))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(5.5, 30), min_size=121, max_size=160), st.sampled_from([1, 10, 1000, 10_000]))
def test_flow_that_never_falls_below_the_lowest_is_always_found(litres: list[float], pulse_ml: int) -> None:
    """Whatever the counter's step, a leak of at least 5.5 L/h leaves no pause that proves its absence."""
    total, rows = 1000.0, [(hour(0), 1_000_000, 0, None)]
    for number, moved in enumerate(litres, start=1):
        total += moved
        rows.append((hour(number), int(total * 1000 // pulse_ml * pulse_ml), 0, None))
    steady = RULES["micro_leak"]
    seen = window(rows, pulse_ml=pulse_ml)
    leaks = detect(steady, seen)
    assert [leak.first_at for leak in leaks] == [hour(0)] or min(litres) > steady["steady_below_lh"]
