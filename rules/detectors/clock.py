"""Device clocks against ours. Pure."""

from collections.abc import Mapping

import polars as pl

from rules.detectors.samples import codes, moment, number, subject_of, whole
from rules.model import Finding, Rule
from rules.windows import Window


def clock_drift(rule: Rule, window: Window) -> list[Finding]:
    """A device's newest `reports_min` reports all arrived further from their own time than `drift_max_min`.

    A report may wait on its way, so a clock is behind only by as much as its *promptest* report was late, and only when
    the reports did not come together: what a gateway kept during an outage and delivers at once tells of the outage. It
    is ahead as soon as reports arrive before their time by more than `ahead_max_min`. An interval of those reports; the
    value is the drift in minutes, always positive.
    """
    late_min = (pl.col("received_at") - pl.col("at")).dt.total_microseconds() / 6e7
    count = whole(int(rule["reports_min"]))
    last = (
        window.reports.sort("device_id", "at")
        .group_by("device_id", maintain_order=True)
        .tail(count)
        .with_columns(late_min.alias("late_min"))
        .group_by("device_id", maintain_order=True)
        .agg(
            pl.col("at").first().alias("first_at"),
            pl.col("at").last().alias("last_at"),
            pl.col("late_min").min().alias("least"),
            pl.col("late_min").max().alias("most"),
            pl.len().alias("reports"),
            (pl.col("received_at").max() - pl.col("received_at").min()).alias("arrived_over"),
            pl.col("at"),
            pl.col("received_at"),
        )
        .filter(pl.col("reports") >= count)
    )
    came_one_by_one = 2 * pl.col("arrived_over") >= pl.col("last_at") - pl.col("first_at")
    behind = came_one_by_one & (pl.col("least") > rule["drift_max_min"])
    off = last.filter(behind | (pl.col("most") < -rule["ahead_max_min"]))
    rows = off.join(codes(window), on="device_id").sort("device_id").iter_rows(named=True)
    return [_finding(rule, window, row) for row in rows]


def _finding(rule: Rule, window: Window, row: Mapping[str, object]) -> Finding:
    behind = number(row["least"]) > 0
    drift_min = round(number(row["least"]) if behind else -number(row["most"]), 1)
    at, received_at = row["at"], row["received_at"]
    assert isinstance(at, list)
    assert isinstance(received_at, list)
    return Finding(
        rule_id=rule.rule_id,
        subject=subject_of(row["device_id"]),
        first_at=moment(row["first_at"]),
        last_at=moment(row["last_at"]),
        severity=rule.severity,
        sentence=f"Clock of {row['code']} is {drift_min:,.0f} min {'behind' if behind else 'ahead'}",
        evidence={
            "columns": ["at", "received_at"],
            "samples": [[one.isoformat(), other.isoformat()] for one, other in zip(at, received_at, strict=True)],
        },
        value=drift_min,
        unit="min",
        ongoing=window.until is None,
        observed_s=(moment(row["last_at"]) - moment(row["first_at"])).total_seconds(),
    )
