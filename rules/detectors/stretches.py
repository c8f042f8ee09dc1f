"""Stretches of time in which a condition holds, with hysteresis, over pairs of many devices at once. Pure.

A gap is neither flow nor pause: a short one leaves things as they are and does not count as observed, a long one ends
the stretch before it.
"""

import polars as pl


def stretches(
    pairs: pl.DataFrame, state: pl.Expr, *, least_s: float | pl.Expr, gap_max_s: float, breaks: pl.Expr | None = None
) -> pl.DataFrame:
    """Stretches observed for at least `least_s`: `device_id, first_at, last_at, observed_s, shown_at, ongoing`.

    `pairs` are ordered by device and time and have `device_id, from_at, at, span_s`. `state` of a pair: 1 the condition
    holds, -1 it does not, 0 it goes on when it held before (hysteresis), null unknown. `breaks`: a new stretch begins
    here although the one before did not end. `ongoing`: it reaches the newest pair of its device.
    """
    first = (pl.col("device_id") != pl.col("device_id").shift(1)).fill_null(value=True)
    last = (pl.col("device_id") != pl.col("device_id").shift(-1)).fill_null(value=True)
    long_gap = pl.col("state").is_null() & (pl.col("span_s") > gap_max_s)
    held = (
        pl.when(pl.col("state") == 1)
        .then(1)
        .when((pl.col("state") == -1) | long_gap | pl.col("first"))
        .then(0)
        .forward_fill()
    )
    begins = (pl.col("held").shift(1).fill_null(0) == 0) | pl.col("first") | pl.col("breaks")
    marked = (
        pairs.with_columns(
            state.cast(pl.Int8).alias("state"),
            first.alias("first"),
            last.alias("last"),
            (pl.lit(value=False) if breaks is None else breaks.fill_null(value=False)).alias("breaks"),
            (pl.lit(least_s) if isinstance(least_s, float | int) else least_s).cast(pl.Float64).alias("least_s"),
        )
        .with_columns(held.alias("held"))
        .with_columns(begins.alias("begins"))
        .filter(pl.col("held") == 1)
    )
    observed = pl.when(pl.col("state").is_not_null()).then(pl.col("span_s")).otherwise(0.0)
    return (
        marked.with_columns(pl.col("begins").cast(pl.UInt32).cum_sum().alias("run"), observed.alias("observed_s"))
        .group_by("run", maintain_order=True)
        .agg(
            pl.col("device_id").first(),
            pl.col("from_at").first().alias("first_at"),
            pl.col("at").filter(pl.col("state").is_not_null()).last().alias("last_at"),
            pl.col("at").filter(pl.col("observed_s").cum_sum() >= pl.col("least_s") - 1e-6).first().alias("shown_at"),
            pl.col("observed_s").sum(),
            pl.col("last").last().alias("ongoing"),
        )
        .filter(pl.col("shown_at").is_not_null())
        .drop("run")
    )
