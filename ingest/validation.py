"""Validation rules of meter data management over stored readings: a finding beside a reading, never another value.

Pure and vectorised: frames in, findings out, the same whatever the order of the rows or of their arrival. The rules and
the sources of their figures are in docs/validation.md. Two kinds of finding: about a reading (register against the
readings around it) and about the use of a UTC day (against the device's own recent days).
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

import polars as pl

from ingest.validation_params import ValidationLimits


class Rule(StrEnum):
    """What a finding says; `DAY_RULES` are said of a day too."""

    HIGH = "high"
    LOW = "low"
    SPIKE = "spike"
    NEGATIVE = "negative"
    ZERO = "zero"
    BACKWARDS = "backwards"
    MISSING = "missing"
    WRAP = "wrap"
    IMPLAUSIBLE_STEP = "implausible_step"
    POWER_LOSS_BACKFILL = "power_loss_backfill"
    PAST_MEMORY_ZERO = "past_memory_zero"


REACH = 32  # a reading's verdict depends on at most this many known readings on either side (a test holds us to it)
_ZEROS = 2  # zeros in a row that may be reads past memory; more of them are a register that stands at zero
_FLAT = 4  # readings of one flat run that are looked at beside a jump
_HOUR_US = 3_600_000_000
_DAY = pl.duration(days=1)
_TIME = pl.Datetime("us", "UTC")

Schema = dict[str, type[pl.DataType] | pl.DataType]

READINGS: Schema = {
    "device_id": pl.Int32, "at": _TIME, "index_ml": pl.Int64, "flow_lh": pl.Float64, "lel_pct": pl.Float64,
}  # fmt: skip
DAYS: Schema = {"device_id": pl.Int32, "day": _TIME, "last_index_ml": pl.Int64}
DEVICES: Schema = {
    "device_id": pl.Int32, "kind": pl.String, "qmax_lh": pl.Float64, "pulse_ml": pl.Int64, "register_wrap_ml": pl.Int64,
    "expected_interval_s": pl.Int64,
}  # fmt: skip

Scope = Literal["reading", "day"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule says of a reading (`at`: its moment) or of a UTC day (`at`: its start), and by which figures."""

    device_id: int
    at: datetime
    scope: Scope
    rule: str
    detail: dict[str, Any]


def judge_readings(readings: pl.DataFrame, devices: pl.DataFrame, limits: ValidationLimits) -> list[Finding]:
    """Findings about the known readings (READINGS; none marked unknown, no device twice at a moment).

    A verdict needs up to REACH readings on either side of its own in the frame.
    """
    frame = (
        readings.join(devices, on="device_id", how="inner")
        .sort("device_id", "at")
        .with_columns(us=pl.col("at").dt.epoch("us"))
    )
    register = _explain_outliers(frame.filter(pl.col("index_ml").is_not_null()))
    steps = _steps(register.filter(pl.col("outlier").is_null()), limits)
    return [
        *_missing(frame, limits),
        *_negative(frame),
        *_findings(register, pl.col("outlier"), "index_ml", "before_ml", "after_ml"),
        *_findings(steps, pl.col("verdict"), "index_ml", "before_ml", "step_ml", "step_hours", "qmax_lh"),
    ]


def judge_days(days: pl.DataFrame, devices: pl.DataFrame, limits: ValidationLimits) -> list[Finding]:
    """Findings about days (DAYS: the register where each UTC day ends), against the device's own days before.

    A verdict needs the days up to `limits.day_reach` before its own in the frame.
    """
    meters = devices.filter(pl.col("kind") == "meter")
    frame = days.filter(pl.col("last_index_ml").is_not_null()).join(meters, on="device_id").sort("device_id", "day")
    return [*_unusual_use(frame, limits), *_long_zero(frame, limits)]


def _earlier(column: str, rows: int = 1) -> pl.Expr:
    return pl.col(column).shift(rows).over("device_id")


def _findings(frame: pl.DataFrame, rule: pl.Expr, *figures: str, scope: Scope = "reading") -> list[Finding]:
    """A finding for each row for which `rule` names a rule, with the figures it went by; unknown ones are left out."""
    found = frame.with_columns(rule=rule).filter(pl.col("rule").is_not_null())
    rows = found.select("device_id", "at", "rule", *figures).to_dicts()
    return [
        Finding(
            row["device_id"],
            row["at"],
            scope,
            row["rule"],
            {name: row[name] for name in figures if row[name] is not None},
        )
        for row in rows
    ]


def _missing(frame: pl.DataFrame, limits: ValidationLimits) -> list[Finding]:
    """The reading after a gap that is longer than the device's expected interval."""
    allowed_s = pl.col("expected_interval_s") * (1 + limits.missing_tolerance_pct / 100)
    gaps = frame.with_columns(gap_s=(pl.col("us") - _earlier("us")) / 1e6).with_columns(
        gap_hours=(pl.col("gap_s") / 3600).round(2)
    )
    rule = pl.when(pl.col("gap_s") > allowed_s).then(pl.lit(Rule.MISSING.value))
    return _findings(gaps, rule, "gap_hours", "expected_interval_s")


def _negative(frame: pl.DataFrame) -> list[Finding]:
    """Values below zero where there are none: a register, a flow, a concentration."""
    below = (pl.col("index_ml") < 0) | (pl.col("flow_lh") < 0) | (pl.col("lel_pct") < 0)
    return _findings(frame, pl.when(below).then(pl.lit(Rule.NEGATIVE.value)), "index_ml", "flow_lh", "lel_pct")


def _explain_outliers(register: pl.DataFrame) -> pl.DataFrame:
    """Name in `outlier` the single readings that the readings on both sides contradict; they are compared no further.

    Zeros of a running register first, then a reading above both of its neighbours (spike), then one below both.
    """
    ran = pl.any_horizontal(*((_earlier("index_ml", n) > 0).fill_null(value=False) for n in range(1, _ZEROS + 1)))
    zero = (pl.col("index_ml") == 0) & ran
    zeros = register.filter(zero).with_columns(
        outlier=pl.lit(Rule.PAST_MEMORY_ZERO.value), before_ml=pl.lit(None, pl.Int64), after_ml=pl.lit(None, pl.Int64)
    )
    rest = register.filter(~zero).with_columns(before_ml=_earlier("index_ml"), after_ml=_earlier("index_ml", -1))
    agree = pl.col("after_ml") >= pl.col("before_ml")
    high = agree & (pl.col("index_ml") > pl.col("after_ml"))
    low = agree & (pl.col("index_ml") < pl.col("before_ml"))
    rest = rest.with_columns(spike=high.fill_null(value=False))
    after_spike = _earlier("spike").fill_null(value=False)
    outlier = (
        pl.when(pl.col("spike"))
        .then(pl.lit(Rule.SPIKE.value))
        .when(low & ~after_spike)
        .then(pl.lit(Rule.BACKWARDS.value))
    )
    return pl.concat([zeros, rest.with_columns(outlier=outlier).drop("spike")], how="diagonal").sort("device_id", "at")


def _steps(register: pl.DataFrame, limits: ValidationLimits) -> pl.DataFrame:
    """Judge each step of the register from the reading before it, in `verdict`."""
    frame = register.with_columns(before_ml=_earlier("index_ml"), before_us=_earlier("us")).with_columns(
        step_ml=pl.col("index_ml") - pl.col("before_ml"),
        step_hours=((pl.col("us") - pl.col("before_us")) / _HOUR_US).round(3),
        hours=(pl.col("us") - pl.col("before_us")) / _HOUR_US,
        flat_hours=_flat_hours(),
    )
    capacity_ml = pl.col("qmax_lh") * 1000.0 * pl.col("hours") + pl.col("pulse_ml").fill_null(0)
    beyond = pl.col("step_ml") > limits.implausible_qmax_factor * capacity_ml
    spread_ml = pl.col("qmax_lh") * 1000.0 * (pl.col("hours") + pl.col("flat_hours")) + pl.col("pulse_ml").fill_null(0)
    wrapped_ml = pl.col("step_ml") + pl.col("register_wrap_ml")
    wrap = (pl.col("before_ml") < pl.col("register_wrap_ml")) & (wrapped_ml >= 0)
    wrap &= wrapped_ml <= pl.min_horizontal(
        pl.col("register_wrap_ml") / 2, (limits.implausible_qmax_factor * capacity_ml).fill_null(float("inf"))
    )
    verdict = (
        pl.when((pl.col("step_ml") < 0) & wrap.fill_null(value=False))
        .then(pl.lit(Rule.WRAP.value))
        .when(pl.col("step_ml") < 0)
        .then(pl.lit(Rule.BACKWARDS.value))
        .when((pl.col("step_ml") > capacity_ml) & (pl.col("flat_hours") > 0) & (pl.col("step_ml") <= spread_ml))
        .then(pl.lit(Rule.POWER_LOSS_BACKFILL.value))
        .when(beyond)
        .then(pl.lit(Rule.IMPLAUSIBLE_STEP.value))
        .when(pl.col("step_ml") > capacity_ml)
        .then(pl.lit(Rule.HIGH.value))
    )
    return frame.with_columns(verdict=verdict)


def _flat_hours() -> pl.Expr:
    """Hours that the register stood still right before or right after a step, the longer; at most _FLAT readings.

    Hours without power are filled with the register at power-up: a jump beside a run of equal values.
    """
    runs = [pl.lit(0.0)]
    for start, way in ((1, 1), (0, -1)):
        for rows in range(2, _FLAT + 1):  # two equal values more, at least
            equal = pl.all_horizontal(
                _earlier("index_ml", start + way * n) == _earlier("index_ml", start) for n in range(1, rows + 1)
            )
            away_us = (_earlier("us", start) - _earlier("us", start + way * rows)).abs()
            runs.append(pl.when(equal).then(away_us / _HOUR_US).otherwise(0.0))
    return pl.max_horizontal(runs)


def _unusual_use(frame: pl.DataFrame, limits: ValidationLimits) -> list[Finding]:
    """Days whose use is far above, or far below but not zero, anything of the device's recent days."""
    gap = pl.col("day") - _earlier("day")
    used = frame.with_columns(
        used_ml=pl.when(gap == _DAY).then(pl.col("last_index_ml") - _earlier("last_index_ml"))
    ).filter(pl.col("used_ml") >= 0)
    if used.is_empty():
        return []
    window = f"{limits.history_days}d"
    known = used.rolling("day", period=window, closed="left", group_by="device_id").agg(
        known_days=pl.len(), highest_ml=pl.col("used_ml").max(), lowest_ml=pl.col("used_ml").min()
    )
    judged = used.join(known, on=["device_id", "day"]).with_columns(at=pl.col("day"))
    enough = pl.col("known_days") >= limits.history_known_days
    high = enough & (pl.col("used_ml") >= limits.high_floor_ml)
    high &= pl.col("used_ml") > limits.high_ratio * pl.max_horizontal("highest_ml", "pulse_ml")
    low_ml = limits.low_ratio * pl.col("lowest_ml")
    low = enough & (pl.col("used_ml") > 0) & (pl.col("used_ml") < low_ml) & (low_ml > pl.col("pulse_ml").fill_null(0))
    rule = pl.when(high).then(pl.lit(Rule.HIGH.value)).when(low).then(pl.lit(Rule.LOW.value))
    return _findings(judged, rule, "used_ml", "highest_ml", "lowest_ml", "known_days", scope="day")


def _long_zero(frame: pl.DataFrame, limits: ValidationLimits) -> list[Finding]:
    """The day on which a register that used to move has stood still for long; said once per standstill."""
    moved = pl.col("last_index_ml") != _earlier("last_index_ml")
    runs = frame.with_columns(run=moved.fill_null(value=False).cast(pl.Int32).cum_sum().over("device_id")).with_columns(
        moved_on=pl.col("day").min().over("device_id", "run")
    )
    starts = runs.filter(pl.col("day") == pl.col("moved_on")).with_columns(before_day=_earlier("day"))
    starts = starts.with_columns(
        ran=pl.col("run").gt(0) & ((pl.col("day") - pl.col("before_day")) <= pl.duration(days=limits.history_days))
    ).select("device_id", "run", "ran")
    still = (pl.col("day") - pl.col("moved_on")).dt.total_days()
    judged = runs.join(starts, on=["device_id", "run"]).sort("device_id", "day").with_columns(still_days=still)
    before = (_earlier("day") - pl.col("moved_on")).dt.total_days().fill_null(-1)
    first = (pl.col("still_days") >= limits.zero_days) & (before < limits.zero_days)
    near = pl.col("still_days") < limits.zero_days + limits.history_days
    rule = pl.when(pl.col("ran").fill_null(value=False) & first & near).then(pl.lit(Rule.ZERO.value))
    return _findings(judged.with_columns(at=pl.col("day")), rule, "still_days", scope="day")
