"""Registers that stand still: homes without use, and meters that do not count. Pure."""

from collections.abc import Mapping

import polars as pl

from rules.detectors.daily import daily_registers, daily_use
from rules.detectors.days import season_of
from rules.detectors.samples import codes, moment, newest, subject_of
from rules.model import Finding, Rule
from rules.windows import Window


def long_no_use(rule: Rule, window: Window) -> list[Finding]:
    """No gas used for `days` where the home is lived in: its tenure is not vacant, and it used gas in the days before.

    A register cannot move and come back: two equal values prove the time between them. Where the valve is closed when
    it would show nothing can be used, and nothing is said. An interval from the end of the first UTC day after which
    the register stood to its last value; the value is the days between them.
    """
    return [_finding(rule, window, row) for row in _standing(rule, window).iter_rows(named=True)]


def register_frozen(rule: Rule, window: Window) -> list[Finding]:
    """A reporting meter's register stands still for `days`, though last year it moved on `share_min` of these days.

    It shows on the first day from then on of which that is known. A home that pauses every summer paused last year,
    too, and is not said to have a stuck meter; without last year's days nothing is said.
    """
    standing = _standing(rule, window)
    if standing.is_empty():
        return []
    season = season_of(daily_use(window), int(rule["season_days"])).filter(pl.col("share") >= rule["share_min"])
    since = pl.lit(value=True) if window.since is None else pl.col("day") >= window.since
    sure = (
        standing.join(season.select("device_id", "day"), on="device_id")
        .filter(since, pl.col("day") + pl.duration(days=1) > pl.col("shown_at"), pl.col("day") <= pl.col("at"))
        .sort("device_id", "from_at", "day")
        .unique(["device_id", "from_at"], keep="first", maintain_order=True)
        .with_columns(pl.max_horizontal("shown_at", "day").alias("shown_at"))
    )
    return [_finding(rule, window, row) for row in sure.iter_rows(named=True)]


def _standing(rule: Rule, window: Window) -> pl.DataFrame:
    """Stretches of `days` that end in the window: `device_id, code, from_at, at, now_ml, shown_at, newest_at`."""
    stretches = _stretches(window)
    lived_in = window.devices.filter(pl.col("tenure").fill_null("") != "vacant").select("device_id")
    return (
        stretches.join(lived_in, on="device_id", how="semi")
        .with_columns((pl.col("from_at") + pl.duration(seconds=int(rule["days"] * 86_400))).alias("shown_at"))
        .filter(pl.col("shown_at") <= pl.col("at"))
        .pipe(_with_valve, window)
        .filter(~pl.col("closed").fill_null(value=False))
        .join(newest(window).select("device_id", "newest_at"), on="device_id")
        .join(codes(window), on="device_id")
        .sort("device_id", "from_at")
    )


def _stretches(window: Window) -> pl.DataFrame:
    """Times in which a register that had moved before stood still, to its last known moment.

    A register that was set back may show the same value again weeks later, so a stretch is over on the day that ends
    with another. Evidence starts anew where an alert was closed.
    """
    earlier = pl.col("last_ml").cum_min().shift(1).over("device_id")
    runs = (
        daily_registers(window)
        .with_columns(earlier.alias("least_ml"), pl.struct("device_id", "last_ml").rle_id().alias("run"))
        .group_by("run", maintain_order=True)
        .agg(pl.col("device_id", "day", "last_ml", "least_ml").first())
        .with_columns((pl.col("day").shift(-1).over("device_id") + pl.duration(days=1)).alias("until"))
        .filter(pl.col("least_ml") < pl.col("last_ml"))
        .join(window.closings, on="device_id", how="left", maintain_order="left")
        .with_columns(pl.max_horizontal(pl.col("day") + pl.duration(days=1), "closed_at").alias("from_at"))
    )
    values = window.pairs.select("device_id", "at", pl.col("index_ml").alias("last_ml"))
    firsts = window.pairs.select("device_id", pl.col("from_at").alias("at"), pl.col("from_ml").alias("last_ml"))
    return (
        runs.join(pl.concat([values, firsts]), on=["device_id", "last_ml"])
        .filter(pl.col("at") >= pl.col("from_at"), pl.col("until").is_null() | (pl.col("at") < pl.col("until")))
        .group_by("device_id", "run")
        .agg(pl.col("from_at", "last_ml").first(), pl.col("at").max())
        .select("device_id", "from_at", "at", pl.col("last_ml").alias("now_ml"))
    )


def _with_valve(standing: pl.DataFrame, window: Window) -> pl.DataFrame:
    """Whether the valve was closed when it showed: by the last word before that, else by the first one after."""
    said = window.valves.select("device_id", "closed", pl.col("at").alias("shown_at")).sort("device_id", "shown_at")
    first = said.group_by("device_id").agg(pl.col("closed").first().alias("first_closed"))
    return (
        standing.sort("device_id", "shown_at")
        .join_asof(said, on="shown_at", by="device_id", strategy="backward", check_sortedness=False)
        .join(first, on="device_id", how="left", maintain_order="left")
        .with_columns(pl.coalesce("closed", "first_closed").alias("closed"))
        .drop("first_closed")
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
        ongoing=last_at == row["newest_at"] and window.until is None,
        observed_s=days * 86_400,
        shown_at=moment(row["shown_at"]),
    )
