"""Nights with more use than the nights before. Pure.

Habits are medians, and quartiles for the spread: a feast or an outage does not move them. A night is judged by a fixed
number of known nights before it alone, so that a short window and a long history say the same.
"""

from collections.abc import Mapping
from typing import Any

import polars as pl

from rules.detectors.daily import robust_limit, successive
from rules.detectors.samples import codes, subject_of
from rules.detectors.usage import heats, with_flow
from rules.model import Finding, Rule
from rules.windows import Window

IQR_SIGMA = 1.349
"""Distance of the quartiles of a normal distribution in standard deviations."""


def night_flow(rule: Rule, window: Window) -> list[Finding]:
    """Nights in succession with more use than the `nights_known` nights before: `nights_min` of them.

    In a home that heats with gas, or may, the night's flow must also be steady, as a thermostat's is not. Nights are
    local (`Window.zone`). An interval from the first such night to the end of the last; the value is the last night's
    litres.
    """
    found = (
        successive(_judged(rule, _nights(rule, window), window), "night", int(rule["nights_min"]))
        .join(codes(window), on="device_id")
        .sort("device_id", pl.col("night").list.first())
    )
    return [_finding(rule, window, row) for row in found.iter_rows(named=True)]


def _nights(rule: Rule, window: Window) -> pl.DataFrame:
    """Known nights in order: `device_id, night, from_at, until_at, litres, observed_s, steady`."""
    from_h, until_h = int(rule["from_h"]), int(rule["until_h"])
    local = pl.col("from_at").dt.convert_time_zone(window.zone)
    ends = pl.col("at").dt.convert_time_zone(window.zone)
    inside = (
        (local.dt.hour() >= from_h)
        & (ends <= local.dt.truncate("1d").dt.offset_by(f"{until_h}h"))
        & pl.col("moved_ml").is_not_null()
    )
    flow = pl.col("flow_lh")
    return (
        with_flow(window.pairs.filter(inside))
        .group_by("device_id", local.dt.date().alias("night"))
        .agg(
            pl.col("from_at").min(),
            pl.col("at").max().alias("until_at"),
            (pl.col("moved_ml").sum() / 1000).alias("litres"),
            pl.col("span_s").sum().alias("observed_s"),
            (flow.min() >= flow.max() * (1 - rule["fluctuation_max_pct"] / 100)).alias("steady"),
        )
        .filter(pl.col("observed_s") >= rule["observed_share_min"] * (until_h - from_h) * 3600)
        .sort("device_id", "night")
    )


def _judged(rule: Rule, nights: pl.DataFrame, window: Window) -> pl.DataFrame:
    """Nights with what is usual before them, and whether they are unusual."""
    known = int(rule["nights_known"])
    before = pl.col("litres").shift(1).over("device_id")
    low, high = (
        before.rolling_quantile(share, "linear", window_size=known, min_samples=known).over("device_id")
        for share in (0.25, 0.75)
    )
    restless = pl.col("heats").fill_null(value=True) & ~pl.col("steady")
    limit = robust_limit(
        pl.col("usual_l"), pl.col("spread_l"), rule["spread_factor"], rule["ratio_min"], rule["volume_min_l"]
    )
    return (
        nights.with_columns(
            before.rolling_median(known, min_samples=known).over("device_id").alias("usual_l"),
            ((high - low) / IQR_SIGMA).alias("spread_l"),
        )
        .join(window.devices.select("device_id", heats().alias("heats")), on="device_id", maintain_order="left")
        .with_columns(
            ((pl.col("litres") > limit) & pl.col("usual_l").is_not_null() & ~restless)
            .fill_null(value=False)
            .alias("unusual")
        )
    )


def _finding(rule: Rule, window: Window, row: Mapping[str, Any]) -> Finding:
    ends, volumes = row["until_at"], [round(float(litres), 1) for litres in row["litres"]]
    usual_l = round(float(row["usual_l"][-1]), 1)
    return Finding(
        rule_id=rule.rule_id,
        subject=subject_of(row["device_id"]),
        first_at=row["from_at"][0],
        last_at=ends[-1],
        severity=rule.severity,
        sentence=f"{row['code']} used {volumes[-1]:,.0f} L in the night; usual is {usual_l:,.0f} L",
        evidence={
            "columns": ["night_until", "litres"],
            "samples": [[end.isoformat(), litres] for end, litres in zip(ends, volumes, strict=True)],
            "usual_l": usual_l,
        },
        value=volumes[-1],
        unit="L",
        ongoing=bool(row["newest"]) and window.until is None,
        observed_s=float(sum(row["observed_s"])),
        shown_at=ends[int(rule["nights_min"]) - 1],
    )
