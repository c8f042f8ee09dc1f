"""The steady floor under a flow that never stops: the lowest flows of its days, and whether it rests there. Pure."""

import math

import polars as pl

from rules.model import Rule

KEY = ("device_id", "span")
NIGHT_H = 8
"""Over no more hours than a home sleeps: the lowest flow of a longer time is not a floor but what is used by day."""


def days_kept(rule: Rule) -> int:
    """Over how many UTC days a floor is looked at: so much that the observed days of the rule fit into them."""
    return math.ceil(rule["days"])


def flows(pairs: pl.DataFrame, flow_lh: float) -> pl.DataFrame:
    """Flows within spans: `device_id, span, at, day, flow_lh, step_lh` (what one pulse more or less would change).

    A flow is the register's difference over full hours, so many that `flow_lh` moves it three times, but no longer than
    a night: a counter of 100 L moves by day in any lived-in home.
    """
    hours = (pl.col("pulse_ml") / 1000 / flow_lh * 3).ceil().clip(1, NIGHT_H)
    inside = pairs.select(*KEY, "at", "pulse_ml", "moved_ml").with_columns(
        pl.col("moved_ml").fill_null(0).cum_sum().over(KEY).alias("total_ml"),
        pl.col("moved_ml").is_null().cum_sum().over(KEY).alias("gaps"),
        (pl.col("at") - pl.duration(seconds=(hours * 3600).cast(pl.Int64))).alias("back_at"),
    )
    start = inside.select(*KEY, pl.col("at").alias("start_at"), "total_ml", "gaps").sort(*KEY, "start_at")
    flow_h = (pl.col("at") - pl.col("start_at")).dt.total_microseconds() / 3.6e9
    return (
        inside.sort(*KEY, "back_at")
        .join_asof(start, left_on="back_at", right_on="start_at", by=KEY, strategy="backward", check_sortedness=False)
        .filter(pl.col("start_at").is_not_null(), pl.col("gaps") == pl.col("gaps_right"))
        .select(
            *KEY,
            "at",
            pl.col("at").dt.truncate("1d").alias("day"),
            ((pl.col("total_ml") - pl.col("total_ml_right")) / 1000 / flow_h).alias("flow_lh"),
            (pl.col("pulse_ml") / 1000 / flow_h).alias("step_lh"),
        )
    )


def daily_floors(found: pl.DataFrame, days: int) -> pl.DataFrame:
    """Per span and UTC day `floor_lh`, the 20 % quantile of the lowest flows of `days` days up to that one.

    `floor_step_lh` is what one pulse more would make of it.
    """
    lows = found.group_by(*KEY, "day").agg(pl.col("flow_lh", "step_lh").min()).sort(*KEY, "day")
    return lows.rolling("day", period=f"{days}d", group_by=list(KEY)).agg(
        pl.col("flow_lh").quantile(0.2, "linear").alias("floor_lh"), pl.col("step_lh").max().alias("floor_step_lh")
    )


def resting(rule: Rule, found: pl.DataFrame, floors: pl.DataFrame) -> pl.DataFrame:
    """Days on which the flow rested at the floor of the day for `steady_share_min` of the days looked at.

    A leak's flow does when nobody uses gas; heating that never stops has a lowest hour too, but does not stay there.
    """
    days = days_kept(rule)
    near = pl.col("flow_lh") <= pl.col("floor_lh") * (1 + rule["fluctuation_max_pct"] / 100) + pl.col("step_lh")
    shifted = [
        found.select(*KEY, (pl.col("day") + pl.duration(days=ahead)).alias("day"), "flow_lh", "step_lh")
        for ahead in range(days)
    ]
    return (
        pl.concat(shifted)
        .join(floors, on=[*KEY, "day"])
        .group_by(*KEY, "day")
        .agg(near.mean().alias("share"))
        .filter(pl.col("share") >= rule["steady_share_min"])
        .select(*KEY, "day")
    )
