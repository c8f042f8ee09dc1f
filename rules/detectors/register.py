"""What a register must not do: step back, step further than the meter can, or stand still under flow. Pure."""

from collections.abc import Mapping

import polars as pl

from rules.detectors.samples import codes, moment, newest, number, samples, subject_of, whole
from rules.model import Finding, Rule
from rules.windows import Window


def index_backwards(rule: Rule, window: Window) -> list[Finding]:
    """Register steps back further than the tolerance; a return to zero of a full register and a swap are none.

    An instant at the lower value. It goes on until a person has looked: counting on does not make a register right.
    """
    tolerated_ml = pl.max_horizontal(
        pl.col("pulse_ml") * rule["pulses_tolerated"], pl.lit(rule["volume_tolerated_l"] * 1000)
    )
    steps = (
        window.pairs.filter(pl.col("back_ml") > tolerated_ml)
        .join(codes(window), on="device_id")
        .sort("device_id", "at")
    )
    return [_backwards_finding(rule, row) for row in steps.iter_rows(named=True)]


def _backwards_finding(rule: Rule, row: Mapping[str, object]) -> Finding:
    litres = number(row["back_ml"]) / 1000
    return Finding(
        rule_id=rule.rule_id,
        subject=subject_of(whole(row["device_id"])),
        first_at=moment(row["at"]),
        last_at=moment(row["at"]),
        severity=rule.severity,
        sentence=f"Register of {row['code']} went back by {litres:,.1f} L",
        evidence=samples(
            [
                (moment(row["from_at"]), whole(row["from_ml"])),
                (moment(row["at"]), whole(row["index_ml"])),
            ]
        ),
        value=litres,
        unit="L",
    )


def index_step(rule: Rule, window: Window) -> list[Finding]:
    """The register steps forward further than the meter can pass in that time, with `qmax_factor` to spare.

    An instant at the higher value. A catch-up after a gap is none: the time of the gap counts. Swaps and a full
    register's return to zero move nothing. It stays until a person looks: the volume was never used.
    """
    possible_ml = (
        pl.col("qmax_lh") * 1000 * pl.col("span_s") / 3600 * rule["qmax_factor"]
        + pl.col("pulse_ml") * rule["pulses_tolerated"]
        + rule["volume_tolerated_l"] * 1000
    )
    steps = (
        window.pairs.filter(pl.col("moved_ml") > possible_ml)
        .join(codes(window), on="device_id")
        .sort("device_id", "at")
    )
    return [_step_finding(rule, row) for row in steps.iter_rows(named=True)]


def _step_finding(rule: Rule, row: Mapping[str, object]) -> Finding:
    litres, hours = number(row["moved_ml"]) / 1000, number(row["span_s"]) / 3600
    ends = [(moment(row["from_at"]), whole(row["from_ml"])), (moment(row["at"]), whole(row["index_ml"]))]
    return Finding(
        rule_id=rule.rule_id,
        subject=subject_of(row["device_id"]),
        first_at=moment(row["at"]),
        last_at=moment(row["at"]),
        severity=rule.severity,
        sentence=f"Register of {row['code']} rose by {litres:,.0f} L in {hours:.2g} h, more than the meter can pass",
        evidence={**samples(ends), "qmax_lh": row["qmax_lh"]},
        value=litres,
        unit="L",
    )


def stuck_flow(rule: Rule, window: Window) -> list[Finding]:
    """The meter measures flow, valve open, and its register does not move by what must have passed.

    Between two known equal registers the measured flows (each taken to hold from the sample before it, at most
    `sample_gap_max_min`) must sum up to `pulses_min` counted steps and `volume_min_l`. An interval of those registers.
    """
    if window.flows.is_empty() or window.pairs.is_empty():
        return []
    quiet = (pl.col("moved_ml") == 0).fill_null(value=False)
    still = (
        window.pairs.with_columns(quiet.alias("quiet"))
        .with_columns(pl.struct("device_id", "quiet").rle_id().alias("run"))
        .filter("quiet")
        .group_by("run", maintain_order=True)
        .agg(
            pl.col("device_id", "from_at", "from_ml", "pulse_ml").first(),
            pl.col("at").last(),
            pl.col("span_s").sum().alias("observed_s"),
        )
    )
    passed = _passed(rule, window.flows, still)
    least_ml = pl.max_horizontal(pl.col("pulse_ml") * (rule["pulses_min"] + 1), pl.lit(rule["volume_min_l"] * 1000))
    found = (
        still.join(passed, on="run")
        .filter(pl.col("passed_ml") > least_ml)
        .join(newest(window), on="device_id")
        .join(codes(window), on="device_id")
        .sort("device_id", "from_at")
    )
    return [_stuck_finding(rule, row) for row in found.iter_rows(named=True)]


def _passed(rule: Rule, flows: pl.DataFrame, still: pl.DataFrame) -> pl.DataFrame:
    """The volume that measured flows say passed in each run of a register that stood still: `run, passed_ml`."""
    longest = pl.duration(seconds=int(rule["sample_gap_max_min"] * 60))
    same = pl.col("device_id") == pl.col("device_id").shift(1)
    held_s = (
        pl.when(same & (pl.col("at") - pl.col("at").shift(1) <= longest))
        .then((pl.col("at") - pl.col("at").shift(1)).dt.total_microseconds() / 1e6)
        .otherwise(0.0)
    )
    return (
        flows.sort("device_id", "at")
        .with_columns(held_s.alias("held_s"))
        .join_asof(
            still.select("device_id", "run", "from_at", pl.col("at").alias("to_at")).sort("device_id", "from_at"),
            left_on="at",
            right_on="from_at",
            by="device_id",
            strategy="backward",
            check_sortedness=False,
        )
        .filter(pl.col("at") > pl.col("from_at"), pl.col("at") <= pl.col("to_at"))
        .group_by("run")
        .agg((pl.col("flow_lh") * pl.col("held_s") / 3.6).sum().alias("passed_ml"))
    )


def _stuck_finding(rule: Rule, row: Mapping[str, object]) -> Finding:
    first_at, last_at, litres = moment(row["from_at"]), moment(row["at"]), round(number(row["passed_ml"]) / 1000, 1)
    return Finding(
        rule_id=rule.rule_id,
        subject=subject_of(row["device_id"]),
        first_at=first_at,
        last_at=last_at,
        severity=rule.severity,
        sentence=f"Register of {row['code']} stands still while its measured flow says about {litres:,.1f} L passed",
        evidence=samples([(first_at, whole(row["from_ml"])), (last_at, whole(row["from_ml"]))]),
        value=litres,
        unit="L",
        ongoing=last_at == row["newest_at"],
        observed_s=number(row["observed_s"]),
    )
