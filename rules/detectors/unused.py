"""Registers that stand still: homes without use, and meters that do not count. Pure."""

from collections.abc import Mapping
from datetime import timedelta

import polars as pl

from rules.detectors.daily import daily_use
from rules.detectors.days import season_of
from rules.detectors.samples import moment, newest, subject_of
from rules.model import Finding, Rule
from rules.windows import Window


def long_no_use(rule: Rule, window: Window) -> list[Finding]:
    """No gas used for `days` where the home is lived in: its tenure is not vacant, and it used gas in the days before.

    A register cannot move and come back: two equal values prove the time between them. Where the valve is closed
    nothing can be used, and nothing is said. The value is the days without use.
    """
    return [_finding(rule, window, row) for row in _standing(rule, window).iter_rows(named=True)]


def register_frozen(rule: Rule, window: Window) -> list[Finding]:
    """A reporting meter's register stands still for `days`, though last year it moved on `share_min` of these days.

    A home that pauses every summer paused last year, too, and is not said to have a stuck meter; without last year's
    days nothing is said.
    """
    standing = _standing(rule, window)
    if standing.is_empty():
        return []
    season = season_of(daily_use(window), int(rule["season_days"])).filter(pl.col("share") >= rule["share_min"])
    dated = standing.with_columns(pl.col("at").dt.truncate("1d").alias("day"))
    sure = dated.join(season, on=["device_id", "day"], how="semi", maintain_order="left")
    return [_finding(rule, window, row) for row in sure.iter_rows(named=True)]


def _standing(rule: Rule, window: Window) -> pl.DataFrame:
    """Devices whose newest known register has stood for `days`: `device_id, code, from_at, at, now_ml`."""
    values = pl.concat(
        [
            window.days.select(
                "device_id", (pl.col("day") + pl.duration(days=1)).alias("then_at"), pl.col("last_ml").alias("then_ml")
            ),
            window.pairs.select("device_id", pl.col("from_at").alias("then_at"), pl.col("from_ml").alias("then_ml")),
            window.pairs.select("device_id", pl.col("at").alias("then_at"), pl.col("index_ml").alias("then_ml")),
        ]
    )
    last = newest(window).rename({"newest_at": "at", "newest_ml": "now_ml"})
    long_enough = pl.col("at") - pl.col("from_at") >= pl.duration(seconds=int(rule["days"] * 86_400))
    same = pl.col("then_ml") == pl.col("now_ml")
    closed = window.valves.group_by("device_id").agg(pl.col("closed").last()).filter("closed")
    lived_in = window.devices.filter(pl.col("tenure").fill_null("") != "vacant").select("device_id", "code")
    return (
        values.join(last, on="device_id")
        .group_by("device_id")
        .agg(
            pl.col("at", "now_ml").first(),
            pl.col("then_at").filter(same).min().alias("from_at"),
            (pl.col("then_ml") < pl.col("now_ml")).any().alias("used"),
        )
        .filter(pl.col("used"), long_enough)
        .join(closed, on="device_id", how="anti")
        .join(lived_in, on="device_id")
        .sort("device_id")
    )


def _finding(rule: Rule, window: Window, row: Mapping[str, object]) -> Finding:
    first_at, last_at = moment(row["from_at"]), moment(row["at"])
    days = (last_at - first_at).total_seconds() / 86_400
    return Finding(
        rule_id=rule.rule_id,
        subject=subject_of(row["device_id"]),
        first_at=first_at,
        last_at=last_at,
        severity=rule.severity,
        sentence=f"Register of {row['code']} has not moved for {days:.0f} days",
        evidence={
            "columns": ["at", "index_ml"],
            "samples": [[first_at.isoformat(), row["now_ml"]], [last_at.isoformat(), row["now_ml"]]],
        },
        value=round(days, 1),
        unit="days",
        ongoing=window.until is None,
        observed_s=days * 86_400,
        shown_at=first_at + timedelta(days=rule["days"]),
    )
