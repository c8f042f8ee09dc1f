"""Movement of the register while the valve is proved closed. Pure."""

from datetime import datetime

import polars as pl

from rules.detectors.samples import codes, moment, newest, number, pair_samples, subject_of
from rules.model import Finding, Rule
from rules.windows import Window


def closed_periods(valves: pl.DataFrame) -> pl.DataFrame:
    """Times in which a valve is proved closed: `device_id, closed_from, closed_to` (null: up to now).

    From a closed assertion to the next one; to an opening only when an event names its moment: a report that says
    "open" proves nothing about the hours before it.
    """
    next_same = pl.col("device_id").shift(-1) == pl.col("device_id")
    proved_to = (
        pl.when(~next_same.fill_null(value=False))
        .then(None)
        .when(pl.col("closed").shift(-1) | pl.col("exact").shift(-1))
        .then(pl.col("at").shift(-1))
        .otherwise(pl.col("at"))
    )
    run = (pl.struct("device_id", "closed")).rle_id()
    return (
        valves.with_columns(proved_to.alias("proved_to"), run.alias("run"))
        .filter(pl.col("closed"))
        .group_by("device_id", "run", maintain_order=True)
        .agg(pl.col("at").first().alias("closed_from"), pl.col("proved_to").last().alias("closed_to"))
        .drop("run")
    )


def flow_valve_closed(rule: Rule, window: Window) -> list[Finding]:
    """The register moves by `pulses_min` pulses (and `volume_min_l`) within one proved closure, after the transition.

    An interval from the first to the last movement. Ongoing while the valve is closed and it was seen recently.
    """
    periods = closed_periods(window.valves)
    if periods.is_empty() or window.pairs.is_empty():
        return []
    settled = pl.col("closed_from") + pl.duration(seconds=int(rule["transition_s"]))
    moving = (
        window.pairs.sort("device_id", "from_at")
        .join_asof(
            periods.sort("device_id", "closed_from"),
            left_on="from_at",
            right_on="closed_from",
            by="device_id",
            strategy="backward",
            check_sortedness=False,
        )
        .filter(
            pl.col("moved_ml") > 0,
            pl.col("closed_from").is_not_null(),
            pl.col("from_at") >= settled,
            pl.col("closed_to").is_null() | (pl.col("at") <= pl.col("closed_to")),
        )
        .join(newest(window), on="device_id")
        .join(codes(window), on="device_id")
    )
    found = []
    for _, pairs in moving.group_by("device_id", "closed_from", maintain_order=True):
        moved_l = number(pairs["moved_ml"].sum()) / 1000
        if moved_l >= max(rule["pulses_min"] * pairs["pulse_ml"][0] / 1000, rule["volume_min_l"]):
            found.append(_flow_finding(rule, pairs, moved_l))
    return found


def _flow_finding(rule: Rule, pairs: pl.DataFrame, moved_l: float) -> Finding:
    last_at = moment(pairs["at"].max())
    quiet_s = (moment(pairs["newest_at"][0]) - last_at).total_seconds()
    closed_from = moment(pairs["closed_from"][0])
    return Finding(
        rule_id=rule.rule_id,
        subject=subject_of(int(pairs["device_id"][0])),
        first_at=moment(pairs["from_at"].min()),
        last_at=last_at,
        severity=rule.severity,
        sentence=f"{pairs['code'][0]} counted {moved_l:,.1f} L, valve closed since {closed_from:%Y-%m-%d %H:%M} UTC",
        evidence={**pair_samples(pairs), "valve_closed_from": closed_from.isoformat()},
        value=moved_l,
        unit="L",
        ongoing=pairs["closed_to"][0] is None and quiet_s <= rule["recent_h"] * 3600,
    )


def flow_valve_ended(rule: Rule, window: Window) -> dict[int, datetime]:
    """Per device the newest moment that proves it over: the valve is said to be open, or all stood for `recent_h`."""
    moved_at = pl.col("at").filter(pl.col("moved_ml") != 0).max()
    quiet = window.pairs.group_by("device_id").agg(pl.col("at").max(), moved_at.alias("moved_at"))
    still = pl.col("moved_at").is_null() | (
        pl.col("at") - pl.col("moved_at") > pl.duration(seconds=int(rule["recent_h"] * 3600))
    )
    last = pl.col("closed").last()
    opened = window.valves.group_by("device_id").agg(pl.col("at").last().alias("opened_at"), last)
    joined = quiet.join(opened.filter(~pl.col("closed")), on="device_id", how="left")
    over = joined.filter(still | pl.col("opened_at").is_not_null())
    return dict(over.select("device_id", "at").iter_rows())
