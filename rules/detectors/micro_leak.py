"""Micro-leak: days without a pause that proves that no leak runs, over a low, resting floor of flow. Pure.

Whether it holds on a day depends on that day and the rule's days before it alone, so that a short window and a long
history say the same. What has flowed since the meter's records begin, below `pilot_max_lh`, cannot be told apart from
a pilot flame; only what flows above it is a leak's.
"""

import math
from collections.abc import Mapping

import polars as pl

from rules.detectors.floors import KEY, daily_floors, days_kept, flows, resting
from rules.detectors.runs import marked_pairs
from rules.detectors.samples import PairsOf, codes, moment, newest, number, pair_samples, subject_of
from rules.detectors.usage import heats
from rules.model import Finding, Rule
from rules.windows import Window


def lookback_s(rule: Rule) -> float:
    """How much history the rule needs: its days at the least observed share, and the begun days at both ends."""
    return (math.ceil(rule["days"] / rule["observed_share_min"]) + 2) * 86_400.0


def micro_leak(rule: Rule, window: Window) -> list[Finding]:
    """Stretches of `days` observed days without a proof of no leak, whose lowest flows look like one.

    An interval from the end of the last proof (or of what is known) to the newest moment that still looks like it. The
    value is the steady floor less the learnt one, L/h. Ongoing while no proof has ended it.
    """
    marked = marked_pairs(rule, window.pairs).filter(~pl.col("proof"))
    days = _observed_days(rule, marked)
    if days.is_empty():
        return []
    spans = days.select(*KEY).unique()
    pairs = marked.join(spans, on=list(KEY), how="semi", maintain_order="left")
    leaks = _leaking_days(rule, window, pairs, days)
    if leaks.is_empty():
        return []
    ends = pairs.group_by(*KEY).agg(pl.col("from_at").first().alias("first_at"), pl.col("at").last().alias("end_at"))
    found = (
        leaks.sort(*KEY, "day")
        .group_by(*KEY, maintain_order=True)
        .agg(
            pl.col("until_at").last().alias("last_at"),
            pl.col("shown_at").first(),
            pl.col("excess_lh", "learnt_lh", "span_s").last(),
        )
        .join(ends, on=list(KEY))
        .join(newest(window), on="device_id")
        .join(codes(window), on="device_id")
        .sort("device_id", "first_at")
    )
    cut = PairsOf(window, found["device_id"])
    return [_finding(rule, window, cut, row) for row in found.iter_rows(named=True)]


def candidates(rule: Rule, window: Window) -> pl.Series:
    """Devices whose first weeks the rule must know: those that showed no proof of no leak for its days."""
    return _observed_days(rule, marked_pairs(rule, window.pairs).filter(~pl.col("proof")))["device_id"].unique()


def _observed_days(rule: Rule, pairs: pl.DataFrame) -> pl.DataFrame:
    """UTC days up to which the rule's days were observed: `device_id, span, day, until_at, span_s, shown_at`.

    They must lie within the time that the least observed share allows. `span_s` is what was observed of the whole span.
    """
    within = math.ceil(rule["days"] / rule["observed_share_min"]) + 1
    least_s = rule["days"] * 86_400
    daily = (
        pairs.group_by(*KEY, pl.col("at").dt.truncate("1d").alias("day"))
        .agg(pl.col("observed_s").sum(), pl.col("at").last().alias("until_at"))
        .sort(*KEY, "day")
    )
    long_spans = (
        daily.group_by(*KEY).agg(pl.col("observed_s").sum().alias("span_s")).filter(pl.col("span_s") >= least_s)
    )
    daily = daily.join(long_spans, on=list(KEY), how="semi", maintain_order="left")
    if daily.is_empty():
        return pl.DataFrame(schema={**daily.schema, "span_s": pl.Float64(), "shown_at": daily.schema["until_at"]})
    return (
        daily.with_columns(pl.col("observed_s").cum_sum().over(KEY).alias("span_s"))
        .rolling("day", period=f"{within}d", group_by=list(KEY))
        .agg(
            pl.col("observed_s").sum(),
            pl.col("until_at", "span_s").last(),
            pl.col("observed_s").last().alias("today_s"),
        )
        .filter(pl.col("observed_s") >= least_s - 1e-6)
        .with_columns(_shown_at(least_s).alias("shown_at"))
    )


def _shown_at(least_s: float) -> pl.Expr:
    """The moment of a day at which the observed time was enough, when it was not on the day before."""
    spare_s = pl.min_horizontal(pl.col("observed_s") - least_s, pl.col("today_s"))
    return pl.col("until_at") - pl.duration(seconds=spare_s.cast(pl.Int64))


def _leaking_days(rule: Rule, window: Window, pairs: pl.DataFrame, days: pl.DataFrame) -> pl.DataFrame:
    """The observed days whose floor looks like a leak's, with the floor less what was learnt."""
    found = flows(pairs, rule["flow_low_lh"])
    heating = window.devices.select("device_id", heats().fill_null(value=False).alias("heats"))
    floors = (
        days.join(daily_floors(found, days_kept(rule)), on=[*KEY, "day"])
        .join(learnt_floors(rule, window, days["device_id"].unique()), on="device_id", how="left")
        .join(heating, on="device_id", how="left")
    )
    excess = pl.col("floor_lh") - pl.col("learnt_lh").fill_null(0.0)
    judged = (
        floors.with_columns(excess.alias("excess_lh"))
        .filter(
            pl.col("floor_lh") > pl.col("floor_step_lh"),
            ~_heating_hides(rule),
            pl.col("excess_lh") > _least_excess(rule),
            ~_may_be_pilot(rule),
        )
        .filter(pl.col("excess_lh") <= rule["flow_high_lh"])
    )
    small = pl.col("floor_lh") + pl.col("floor_step_lh") <= rule["steady_below_lh"]
    doubtful = judged.filter(~small)
    if doubtful.is_empty():
        return judged
    coarse = flows(pairs.join(doubtful, on=list(KEY), how="semi", maintain_order="left"), rule["steady_below_lh"])
    rests = resting(rule, coarse, daily_floors(coarse, days_kept(rule)))
    return pl.concat([judged.filter(small), doubtful.join(rests, on=[*KEY, "day"], how="semi")])


def _least_excess(rule: Rule) -> pl.Expr:
    """With a learnt floor the rest must be a leak by itself; without one any floor is."""
    return pl.when(pl.col("learnt_lh") > 0).then(rule["flow_low_lh"] * 0.8).otherwise(0.0)


def _heating_hides(rule: Rule) -> pl.Expr:
    """A counter so coarse that a pulse a night is more than the smallest leak, in a home known to heat with gas.

    Means over a night hide how heating varies, so nothing tells it from a flow that rests.
    """
    return pl.col("heats") & (pl.col("floor_step_lh") > rule["flow_low_lh"])


def _may_be_pilot(rule: Rule) -> pl.Expr:
    """A pilot flame is known here, or the records are too young to know, and the floor is not above a pilot's."""
    unsure = (pl.col("pilot") & (pl.col("learnt_lh").fill_null(0.0) == 0)) | pl.col("young")
    return (unsure & (pl.col("floor_lh") <= rule["pilot_max_lh"])).fill_null(value=False)


def learnt_floors(rule: Rule, window: Window, devices: pl.Series) -> pl.DataFrame:
    """What has flowed since a meter's records begin: `device_id, learnt_lh, young, pilot`.

    `learnt_lh`: the floor of the first `learn_days`, when no pause in them proves that nothing flowed and it is not
    above `pilot_max_lh`; else 0. `young`: the records are shorter and show no such pause. `pilot`: the premises have a
    pilot flame by their register of appliances. Where that register is known and has none, nothing is learnt and no
    record is too young: what flows there from the first day on is no pilot's.
    """
    has_pilot = pl.col("appliances").list.contains("pilot_flame")
    about = window.devices.filter(pl.col("device_id").is_in(devices.implode())).select(
        "device_id",
        has_pilot.fill_null(value=False).alias("pilot"),
        (~has_pilot).fill_null(value=False).alias("no_pilot"),
    )
    beginnings = window.beginnings
    if beginnings is None or beginnings.is_empty():
        return about.select("device_id", pl.lit(0.0).alias("learnt_lh"), pl.lit(value=False).alias("young"), "pilot")
    starts = beginnings.group_by("device_id").agg(pl.col("from_at").min().alias("start_at"))
    learn = pl.duration(seconds=int(rule["learn_days"] * 86_400))
    first_weeks = (
        beginnings.filter(pl.col("device_id").is_in(devices.implode()))
        .join(starts, on="device_id", maintain_order="left")
        .filter(pl.col("at") <= pl.col("start_at") + learn)
        .sort("device_id", "at")
    )
    marked = marked_pairs(rule, first_weeks)
    proved = marked.filter("proof")["device_id"].unique()
    steady = marked.filter(~pl.col("device_id").is_in(proved.implode())).with_columns(pl.lit(0).alias("span"))
    whole_days = max(1, round(rule["learn_days"]))
    floors = (
        daily_floors(flows(steady, rule["flow_low_lh"]), whole_days)
        .group_by("device_id", maintain_order=True)
        .agg(pl.col("floor_lh").last())
    )
    length = steady.group_by("device_id").agg((pl.col("at").max() - pl.col("from_at").min()).alias("length"))
    young = (pl.col("length") < learn - pl.duration(days=1)).fill_null(value=False)
    known = pl.when((pl.col("floor_lh") <= rule["pilot_max_lh"]) & ~young).then("floor_lh").otherwise(0.0)
    return (
        about.join(floors, on="device_id", how="left")
        .join(length, on="device_id", how="left")
        .select(
            "device_id",
            pl.when("no_pilot").then(0.0).otherwise(known.fill_null(0.0)).alias("learnt_lh"),
            (young & ~pl.col("no_pilot")).alias("young"),
            "pilot",
        )
    )


def _finding(rule: Rule, window: Window, cut: PairsOf, row: Mapping[str, object]) -> Finding:
    first_at, last_at = moment(row["first_at"]), moment(row["last_at"])
    days = number(row["span_s"]) / 86_400
    leak_lh, learnt_lh = round(number(row["excess_lh"]), 2), round(number(row["learnt_lh"] or 0.0), 2)
    above = f", {learnt_lh:g} L/h of it since the records begin" if learnt_lh else ""
    return Finding(
        rule_id=rule.rule_id,
        subject=subject_of(row["device_id"]),
        first_at=first_at,
        last_at=last_at,
        severity=rule.severity,
        sentence=f"{row['code']} did not pause in {days:.1f} observed days; "
        f"lowest flow about {leak_lh + learnt_lh:g} L/h{above}",
        evidence={
            **pair_samples(cut.within(row["device_id"], first_at, last_at)),
            "observed_h": round(days * 24, 2),
            "learnt_lh": learnt_lh,
        },
        value=leak_lh,
        unit="L/h",
        ongoing=row["end_at"] == row["newest_at"] and window.until is None,
        observed_s=number(row["span_s"]),
        shown_at=min(max(moment(row["shown_at"]), first_at), last_at),
    )
