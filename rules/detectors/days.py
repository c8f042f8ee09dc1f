"""Days with more use than this home has in this season. Pure.

Without last year's same weeks, the first cold day looks like a burst pipe: then only homes that are known not to heat
with gas are judged.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import polars as pl

from rules.detectors.daily import daily_use, robust_limit, successive
from rules.detectors.nights import IQR_SIGMA
from rules.detectors.samples import codes, subject_of
from rules.detectors.usage import heats
from rules.model import Finding, Rule
from rules.windows import Window

_YEAR = 364
"""A year back, on the same weekday."""


def unusual_use(rule: Rule, window: Window) -> list[Finding]:
    """UTC days in succession with more use than usual at this home in this season: `days_min` of them.

    Usual is the higher of the median of the `days_known` days before and that of the same weeks a year ago, so that a
    heating season or a feast that came last year, too, is usual. An interval of whole days; the value is the last
    day's litres.
    """
    use = daily_use(window)
    if use.is_empty():
        return []
    judged = _judged(rule, use, window)
    found = (
        successive(judged, "day", int(rule["days_min"]))
        .join(codes(window), on="device_id")
        .sort("device_id", pl.col("day").list.first())
    )
    return [_finding(rule, window, row) for row in found.iter_rows(named=True)]


def _spread() -> pl.Expr:
    return (pl.col("litres").quantile(0.75, "linear") - pl.col("litres").quantile(0.25, "linear")) / IQR_SIGMA


def _judged(rule: Rule, use: pl.DataFrame, window: Window) -> pl.DataFrame:
    """Days inside the window, with what is usual, and whether they are unusual."""
    recent = use.rolling("day", period=f"{int(rule['days_known'])}d", closed="left", group_by="device_id").agg(
        pl.col("litres").median().alias("recent_l"), _spread().alias("recent_spread_l"), pl.len().alias("recent")
    )
    season = season_of(use, int(rule["season_days"])).select(
        "device_id", "day", pl.col("litres").alias("season_l"), pl.col("spread").alias("season_spread_l")
    )
    enough = (pl.col("recent") >= rule["days_known"] * rule["observed_share_min"]) & (
        pl.col("season_l").is_not_null() | ~pl.col("heats").fill_null(value=True)
    )
    spread = pl.max_horizontal("recent_spread_l", "season_spread_l")
    limit = robust_limit(pl.col("usual_l"), spread, rule["spread_factor"], rule["ratio_min"], rule["volume_min_l"])
    since = pl.lit(value=True) if window.since is None else pl.col("day") >= window.since
    return (
        use.join(recent, on=["device_id", "day"], maintain_order="left")
        .join(season, on=["device_id", "day"], how="left", maintain_order="left")
        .join(window.devices.select("device_id", heats().alias("heats")), on="device_id", maintain_order="left")
        .join(window.closings, on="device_id", how="left", maintain_order="left")
        .filter(since, pl.col("closed_at").is_null() | (pl.col("day") >= pl.col("closed_at")))
        .drop("closed_at")
        .with_columns(pl.max_horizontal("recent_l", "season_l").alias("usual_l"))
        .with_columns(((pl.col("litres") > limit) & enough).fill_null(value=False).alias("unusual"))
    )


def season_of(use: pl.DataFrame, half: int) -> pl.DataFrame:
    """For each day that has them: median, spread and share of days with use, `half` days around it a year ago.

    `device_id, day, litres, spread, share`; only where more than half of those days are known.
    """
    moved = use.with_columns((pl.col("day") + pl.duration(days=_YEAR - half)).alias("day"))
    return (
        moved.rolling("day", period=f"{2 * half + 1}d", group_by="device_id")
        .agg(
            pl.col("litres").median(),
            _spread().alias("spread"),
            (pl.col("litres") > 0).mean().alias("share"),
            pl.len().alias("days"),
        )
        .filter(pl.col("days") > half)
        .drop("days")
    )


def _finding(rule: Rule, window: Window, row: Mapping[str, Any]) -> Finding:
    days, volumes = row["day"], [round(float(litres), 1) for litres in row["litres"]]
    usual_l = round(float(row["usual_l"][-1]), 1)
    whole_day = timedelta(days=1)
    return Finding(
        rule_id=rule.rule_id,
        subject=subject_of(row["device_id"]),
        first_at=days[0],
        last_at=days[-1] + whole_day,
        severity=rule.severity,
        sentence=f"{row['code']} used {volumes[-1]:,.0f} L on {days[-1]:%Y-%m-%d}; "
        f"usual here at this time of year is {usual_l:,.0f} L",
        evidence={
            "columns": ["day", "litres"],
            "samples": [[day.isoformat(), litres] for day, litres in zip(days, volumes, strict=True)],
            "usual_l": usual_l,
        },
        value=volumes[-1],
        unit="L",
        ongoing=bool(row["newest"]) and window.until is None,
        observed_s=len(days) * 86_400.0,
        shown_at=days[int(rule["days_min"]) - 1] + whole_day,
    )
