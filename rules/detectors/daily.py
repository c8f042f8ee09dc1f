"""Use by UTC day, from a window and from the days that reach further back. Pure."""

import polars as pl

from rules.windows import Window

_WHOLE_DAY_H = 22
"""The newest day counts when its newest register is this late in it: what came before is most of it."""


def daily_use(window: Window) -> pl.DataFrame:
    """Litres used on known whole UTC days: `device_id, day, litres`, in order; a day needs the one before it.

    What is rolled up says so, wherever the window was cut. The window's registers say it of days after that; they also
    tell whether the newest day is over, and on which days the register was torn: a swap, a step back.
    """
    latest = _latest(window)
    same_device = pl.col("device_id") == pl.col("device_id").shift(1)
    follows = same_device & (pl.col("day") - pl.col("day").shift(1) == pl.duration(days=1))
    newest = (pl.col("device_id") != pl.col("device_id").shift(-1)).fill_null(value=True)
    early = pl.col("at") < pl.col("day") + pl.duration(hours=_WHOLE_DAY_H)
    moved = (pl.col("last_ml") - pl.col("last_ml").shift(1)) / 1000
    return (
        daily_registers(window)
        .join(
            latest.select("device_id", "day", "at", "torn"), on=["device_id", "day"], how="left", maintain_order="left"
        )
        .filter(~(newest & early.fill_null(value=False)))
        .with_columns(pl.when(follows & ~pl.col("torn").fill_null(value=False)).then(moved).alias("litres"))
        .filter(pl.col("litres") >= 0)
        .select("device_id", "day", "litres")
    )


def daily_registers(window: Window) -> pl.DataFrame:
    """The last known register of UTC days (DAYS), in order: as rolled up, and the window's for days after that."""
    return pl.concat([window.days, _not_rolled_up(window.days, _latest(window))]).sort("device_id", "day")


def _latest(window: Window) -> pl.DataFrame:
    """The window's last known register of each day, when it was read, and whether the register was torn that day."""
    return (
        window.pairs.with_columns(pl.col("at").dt.truncate("1d").alias("day"))
        .group_by("device_id", "day")
        .agg(
            pl.col("index_ml").last().alias("last_ml"),
            pl.col("at").max(),
            pl.col("moved_ml").is_null().any().alias("torn"),
        )
    )


def _not_rolled_up(days: pl.DataFrame, latest: pl.DataFrame) -> pl.DataFrame:
    """Days of the window after the newest that is rolled up."""
    until = days.group_by("device_id").agg(pl.col("day").max().alias("until"))
    return (
        latest.join(until, on="device_id", how="left")
        .filter(pl.col("until").is_null() | (pl.col("day") > pl.col("until")))
        .select("device_id", "day", "last_ml")
    )


def successive(frame: pl.DataFrame, column: str, least: int) -> pl.DataFrame:
    """Runs of at least `least` marked (`unusual`) rows on successive days or nights, with everything in lists.

    `frame` is ordered by device and `column`. Adds `newest`: the run reaches the device's newest row.
    """
    fresh = pl.col("device_id") != pl.col("device_id").shift(1)
    skipped = (pl.col(column) - pl.col(column).shift(1)) > pl.duration(days=1)
    begins = (fresh | skipped | ~pl.col("unusual").shift(1)).fill_null(value=True)
    last = (pl.col("device_id") != pl.col("device_id").shift(-1)).fill_null(value=True)
    return (
        frame.with_columns(begins.cum_sum().alias("run"), last.alias("newest"))
        .filter("unusual")
        .group_by("device_id", "run", maintain_order=True)
        .agg(pl.exclude("newest"), pl.col("newest").last())
        .filter(pl.col(column).list.len() >= least)
        .drop("run")
    )


def robust_limit(usual: pl.Expr, spread: pl.Expr, spread_factor: float, ratio: float, least_l: float) -> pl.Expr:
    """What a value must pass to be unusual: so many spreads above the usual, so many times it, and a least volume."""
    return pl.max_horizontal(usual + spread_factor * spread, usual * ratio, pl.lit(least_l))
