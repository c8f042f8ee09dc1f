"""Rules of meter data management over readings and days: what each says, in any order of arrival."""

import random
from datetime import UTC, datetime, timedelta
from itertools import accumulate

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.validation import DAYS, DEVICES, REACH, READINGS, judge_days, judge_readings
from ingest.validation_params import ValidationLimits

T0 = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
LIMITS = ValidationLimits()
# A G4 meter: Qmax 6000 L/h, 10 L a pulse; at most 6,010 L between two hourly readings, 12,020 L at the limit of belief.
METER = pl.DataFrame([(1, "meter", 6000.0, 10_000, None, 86_400)], schema=DEVICES, orient="row")
WRAPPING = METER.with_columns(register_wrap_ml=pl.lit(100_000_000, pl.Int64))

L = 1000


def hourly(*litres: int | None, device_id: int = 1) -> pl.DataFrame:
    """A known register each hour, in litres; None is an hour of which nothing is known."""
    rows = [(device_id, T0 + n * HOUR, v * L, None, None) for n, v in enumerate(litres) if v is not None]
    return pl.DataFrame(rows, schema=READINGS, orient="row")


def said(
    frame: pl.DataFrame, devices: pl.DataFrame = METER, limits: ValidationLimits = LIMITS
) -> list[tuple[int, str]]:
    """(Hour, rule) of each finding, in order."""
    return sorted(((one.at - T0) // HOUR, one.rule) for one in judge_readings(frame, devices, limits))


@pytest.mark.parametrize(
    ("litres", "expected"),
    [
        pytest.param([100, 110, 110, 150, 900], [], id="quiet"),
        pytest.param([100, 110, 90_000, 120, 130], [(2, "spike")], id="one above both neighbours"),
        pytest.param([100, 110, 50, 120, 130], [(2, "backwards")], id="one below both neighbours"),
        pytest.param([100, 110, 0, 120, 130], [(2, "past_memory_zero")], id="a zero between running values"),
        pytest.param([100, 110, 0, 0, 120], [(2, "past_memory_zero"), (3, "past_memory_zero")], id="two zeros"),
        pytest.param([500, 510, 20, 30, 40], [(2, "backwards")], id="falls and goes on from there"),
        pytest.param([100, 110, 6_121, 6_130], [(2, "high")], id="a step above Qmax"),
        pytest.param([100, 110, 6_120, 6_130], [], id="a step of Qmax and a pulse"),
        pytest.param([100, 110, 20_000, 20_010], [(2, "implausible_step")], id="a step above twice Qmax"),
        pytest.param([100, 110, 20_000], [(2, "implausible_step")], id="a step above twice Qmax, the newest"),
        pytest.param([100, 110, 110, 110, 12_000, 12_010], [(4, "power_loss_backfill")], id="jump after a still run"),
        pytest.param([100, 110, 12_000, 12_000, 12_000, 12_010], [(2, "power_loss_backfill")], id="jump, then still"),
        pytest.param([100, 110, 110, 12_000, 12_010], [(3, "high")], id="one equal value is no run"),
        pytest.param([100, *[None] * 24, 110], [(25, "missing")], id="25 hours without a reading"),
        pytest.param([100, *[None] * 23, 110], [], id="a day without a reading is what is expected"),
    ],
)
def test_register_rules(litres: list[int | None], expected: list[tuple[int, str]]) -> None:
    """Each shape of a register is named by one rule, on the reading that is odd."""
    assert said(hourly(*litres)) == expected


def test_a_wrap_is_told_from_a_fall() -> None:
    """A register that returns to zero at its known end wrapped; where the end is unknown or far it went backwards."""
    near = hourly(99_990, 99_995, 5, 15)
    assert said(near, WRAPPING) == [(2, "wrap")]
    assert said(near) == [(2, "backwards")]
    assert said(hourly(40_000, 40_010, 5, 15), WRAPPING) == [(2, "backwards")]


def test_below_zero_is_negative() -> None:
    """A flow below zero is a finding with the value in it."""
    frame = hourly(100, 110).with_columns(flow_lh=pl.Series([5.0, -3.0]))
    (found,) = judge_readings(frame, METER, LIMITS)
    assert (found.rule, found.detail) == ("negative", {"index_ml": 110_000, "flow_lh": -3.0})


def test_a_meter_without_qmax_is_never_too_fast() -> None:
    """Unknown is not zero: without a Qmax no step is beyond it."""
    unknown = METER.with_columns(qmax_lh=pl.lit(None, pl.Float64))
    assert said(hourly(1, 2, 90_000, 90_001), unknown) == []


def test_detectors_are_judged_without_a_register() -> None:
    """A detector's gap is missing, a concentration below zero negative."""
    detector = pl.DataFrame([(1, "detector", None, None, None, 3_600)], schema=DEVICES, orient="row")
    rows = [(1, T0, None, None, 0.0), (1, T0 + 3 * HOUR, None, None, -1.5)]
    frame = pl.DataFrame(rows, schema=READINGS, orient="row")
    assert said(frame, detector) == [(3, "missing"), (3, "negative")]


def daily(*litres: int | None) -> pl.DataFrame:
    """The register where each day ends, in litres; None is a day of which nothing is known."""
    rows = [(1, T0 + n * DAY, v * L) for n, v in enumerate(litres) if v is not None]
    return pl.DataFrame(rows, schema=DAYS, orient="row")


def registers(*used: int) -> list[int]:
    """Registers at the end of days that used so many litres, from 1,000 L on."""
    return list(accumulate(used, initial=1_000))


def day_said(frame: pl.DataFrame) -> list[tuple[int, str]]:
    return sorted(((one.at - T0) // DAY, one.rule) for one in judge_days(frame, METER, LIMITS))


@pytest.mark.parametrize(
    ("used", "expected"),
    [
        pytest.param([600] * 20 + [3_001], [(21, "high")], id="above five times the highest of recent days"),
        pytest.param([600] * 20 + [3_000], [], id="five times the highest"),
        pytest.param([100] * 20 + [900], [], id="nine times as much, and still little"),
        pytest.param([600] * 13 + [9_000], [], id="too few days to compare with"),
        pytest.param([600] * 20 + [50], [(21, "low")], id="below a tenth of the lowest of recent days"),
        pytest.param([600] * 19 + [0, 50], [], id="little, but there was a day without use"),
        pytest.param([600] * 20 + [0], [], id="a day without use is not low"),
        pytest.param([600] * 20 + [0] * 40, [(50, "zero")], id="thirty days without use, said once"),
        pytest.param([0] * 80, [], id="never used since we know it"),
    ],
)
def test_days_against_the_devices_own(used: list[int], expected: list[tuple[int, str]]) -> None:
    """A day is compared with the recent days of the same meter."""
    assert day_said(daily(*registers(*used))) == expected


def test_a_day_after_unknown_days_is_not_compared() -> None:
    """Use over several days is not the use of a day."""
    values: list[int | None] = [*registers(*[600] * 20), None, None, 40_000]
    assert day_said(daily(*values)) == []


def walk(seed: int, length: int = 120) -> pl.DataFrame:
    """Hours of a register that does everything wrong that it can."""
    draw = random.Random(seed)
    return hourly(*(draw.choice([None, 0, 7, 7, 20_000, 99_990, draw.randint(0, 40)]) for _ in range(length)))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_no_rule_depends_on_the_order_of_rows(seed: int) -> None:
    """The same rows in another order are judged the same, and the frame given is not changed."""
    frame = walk(seed)
    shuffled = frame.sample(fraction=1.0, shuffle=True, seed=seed)
    before = shuffled.clone()
    assert sorted(map(repr, judge_readings(frame, WRAPPING, LIMITS))) == sorted(
        map(repr, judge_readings(shuffled, WRAPPING, LIMITS))
    )
    assert shuffled.equals(before)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 60), st.integers(0, 60))
def test_a_verdict_needs_no_more_than_its_reach(seed: int, first: int, length: int) -> None:
    """What is said of a reading is the same when only REACH readings on either side are known.

    So judging the surroundings of what arrived, whenever it arrives, says what judging everything at once says.
    """
    frame = walk(seed)
    last = first + length
    moments = set(frame["at"][first:last])
    near = frame[max(first - REACH, 0) : last + REACH]

    def verdicts(part: pl.DataFrame) -> list[str]:
        return sorted(repr(one) for one in judge_readings(part, WRAPPING, LIMITS) if one.at in moments)

    assert verdicts(near) == verdicts(frame)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 200))
def test_a_days_verdict_needs_no_more_than_its_reach(seed: int, since: int) -> None:
    """What is said of a day is the same when only `day_reach` days before it are known."""
    draw = random.Random(seed)
    used = [one for _ in range(8) for one in [draw.choice([0, 50, 600, 9_000])] * draw.choice([1, 16, 31, 60])]
    values = [None if draw.random() < 0.05 else one for one in registers(*used)]
    frame = daily(*values)
    first = T0 + since * DAY
    near = frame.filter(pl.col("day") >= first - LIMITS.day_reach * DAY)

    def verdicts(part: pl.DataFrame) -> list[str]:
        return sorted(repr(one) for one in judge_days(part, METER, LIMITS) if one.at >= first)

    assert verdicts(near) == verdicts(frame)
