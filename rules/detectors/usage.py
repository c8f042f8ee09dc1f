"""Use that lasts too long, or is more than the home's appliances can burn. Pure."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from rules.detectors.samples import PairsOf, codes, moment, number, pair_samples, subject_of
from rules.detectors.stretches import stretches
from rules.kinds import KINDS
from rules.model import Finding, Rule
from rules.windows import Window

HEATING = ("heating_boiler", "boiler", "heater", "stove")
"""Words of the register of appliances for what may burn for a day on end."""

_IMPOSSIBLE = 2.0
"""Times Qmax: no flow is more. Total-flow shutoff of meters is at 1.8 (Osaka Gas)."""


def heats() -> pl.Expr:
    """Whether a home heats with gas: true or false when its appliances are known, null when they are not."""
    words = pl.col("appliances")
    return pl.when(words.list.len() > 0).then(words.list.eval(pl.element().is_in(HEATING)).list.any())


def with_flow(pairs: pl.DataFrame) -> pl.DataFrame:
    """Pairs with the mean flow between their registers, `flow_lh`; null when what moved is not known."""
    return pairs.with_columns((pl.col("moved_ml") * 3.6 / pl.col("span_s")).alias("flow_lh"))


def continuous_use(rule: Rule, window: Window) -> list[Finding]:
    """Flow that stays within a band, and within `fluctuation_max_pct` from pair to pair, for `duration_min`.

    Where the home heats with gas, or nobody knows, the time is `heated_factor` as long. An interval; the value is the
    observed hours. Hysteresis widens the band downwards once it has begun.
    """
    near = window.pairs.filter(pl.col("moved_ml") > 0)["device_id"].unique()
    pairs = with_flow(window.pairs.filter(pl.col("device_id").is_in(near.implode()))).join(
        window.devices.select("device_id", heats().fill_null(value=True).alias("heats")),
        on="device_id",
        maintain_order="left",
    )
    seen = pl.col("span_s") <= rule["sample_gap_max_min"] * 60
    inside = pl.col("flow_lh").is_between(rule["flow_low_lh"], rule["flow_high_lh"], closed="left")
    held = pl.col("flow_lh").is_between(
        rule["flow_low_lh"] * (1 - rule.hysteresis_pct / 100), rule["flow_high_lh"], closed="left"
    )
    state = (
        pl.when(pl.col("flow_lh").is_null() | ~seen).then(None).when(inside).then(1).when(held).then(0).otherwise(-1)
    )
    least_s = rule["duration_min"] * 60 * pl.when("heats").then(rule["heated_factor"]).otherwise(1.0)
    found = stretches(pairs, state, least_s=least_s, gap_max_s=rule["gap_max_min"] * 60, breaks=_changes(rule))
    text = _band(rule["flow_low_lh"], rule["flow_high_lh"])
    return _findings(rule, window, found, lambda row, hours: f"{row['code']} used {text} for {hours:.1f} h", None)


def _band(low_lh: float, high_lh: float) -> str:
    """A band of flow in words; one that ends where the parameter's range ends has no upper end."""
    if high_lh >= KINDS["continuous_use"].parameters["flow_high_lh"].most:
        return f"{low_lh:,g} L/h or more"
    return f"{low_lh:,g} to {high_lh:,g} L/h"


def _changes(rule: Rule) -> pl.Expr:
    """Where the flow is not that of the pair before: another appliance, or the same one at another setting."""
    before = pl.col("flow_lh").shift(1)
    step_lh = pl.col("pulse_ml") * 3.6 / pl.col("span_s")
    return (pl.col("flow_lh") - before).abs() > before * rule["fluctuation_max_pct"] / 100 + 2 * step_lh


def load_of(rule: Rule) -> pl.Expr:
    """What all appliances of a home burn at most, L/h; null when they, or the load of one, are not known."""
    loads = {word: rule[f"load_{word}_lh"] for word in ("hob", "range", "water_heater", "heating_boiler", "heater")}
    loads |= {"boiler": loads["heating_boiler"], "stove": loads["heater"], "pilot_flame": 0.0}
    each = pl.element().replace_strict(loads, default=None, return_dtype=pl.Float64)
    known = pl.col("appliances").list.len() > 0
    words = pl.col("appliances").list.eval(each)
    complete = known & (words.list.drop_nulls().list.len() == words.list.len())
    return pl.when(complete).then(words.list.sum()).otherwise(None)


def load_exceeded(rule: Rule, window: Window) -> list[Finding]:
    """Flow above `load_factor` times what the home's appliances burn together; above Qmax when that is not known.

    No load excuses `overload_factor` times Qmax.
    Judged by the mean flow between registers and by flow as the meter measured it. An interval; the value is the worst
    flow. Hysteresis: it ends that far below the limit.
    """
    load = load_of(rule)
    of_meter = pl.col("qmax_lh") * rule["qmax_factor"]
    overload = pl.col("qmax_lh") * rule["overload_factor"]
    limit = pl.when(load > 0).then(pl.min_horizontal(load * rule["load_factor"], overload)).otherwise(of_meter)
    limits = window.devices.select("device_id", limit.alias("limit_lh"), pl.col("qmax_lh").alias("most_lh"))
    means = with_flow(window.pairs).filter(pl.col("span_s") >= rule["sample_min_s"])
    measured = _measured(window)
    found = []
    for pairs in (means, measured):
        judged = pairs.join(limits, on="device_id", maintain_order="left").with_columns(_possible().alias("flow_lh"))
        over = judged.filter(pl.col("flow_lh") > pl.col("limit_lh"))["device_id"].unique()
        judged = judged.filter(pl.col("device_id").is_in(over.implode()))
        flow, most = pl.col("flow_lh"), pl.col("limit_lh")
        held = flow > most * (1 - rule.hysteresis_pct / 100)
        state = pl.when(flow.is_null()).then(None).when(flow > most).then(1).when(held).then(0).otherwise(-1)
        runs = stretches(judged, state, least_s=rule["duration_min"] * 60, gap_max_s=rule["gap_max_min"] * 60)
        found += _load_findings(rule, window, runs, judged)
    return sorted(found, key=lambda one: (one.subject, one.first_at))


def _possible() -> pl.Expr:
    """The flow, unknown where no meter can pass it: a step of the register is another rule's business."""
    flow = pl.col("flow_lh")
    return pl.when(flow.is_null() | (flow <= pl.col("most_lh") * _IMPOSSIBLE)).then(flow)


def _measured(window: Window) -> pl.DataFrame:
    """Measured flows as pairs: each holds from the sample before."""
    same = pl.col("device_id") == pl.col("device_id").shift(1)
    return (
        window.flows.sort("device_id", "at")
        .with_columns(pl.when(same).then(pl.col("at").shift(1)).alias("from_at"))
        .filter(pl.col("from_at").is_not_null())
        .with_columns(((pl.col("at") - pl.col("from_at")).dt.total_microseconds() / 1e6).alias("span_s"))
    )


def _load_findings(rule: Rule, window: Window, runs: pl.DataFrame, judged: pl.DataFrame) -> list[Finding]:
    if runs.is_empty():
        return []
    worst = (
        runs.join(judged.select("device_id", "from_at", "at", "flow_lh", "limit_lh"), on="device_id")
        .filter(pl.col("from_at") >= pl.col("first_at"), pl.col("at") <= pl.col("last_at"))
        .group_by("device_id", "first_at")
        .agg(pl.col("flow_lh").max().alias("value"), pl.col("limit_lh").first())
    )
    runs = runs.join(worst, on=["device_id", "first_at"])
    return _findings(
        rule,
        window,
        runs,
        lambda row, _hours: (
            f"{row['code']} used {number(row['value']):,.0f} L/h; its appliances, or the meter, "
            f"allow {number(row['limit_lh']):,.0f} L/h"
        ),
        "value",
    )


def _findings(rule: Rule, window: Window, found: pl.DataFrame, sentence: Any, value: str | None) -> list[Finding]:
    found = found.join(codes(window), on="device_id").sort("device_id", "first_at")
    cut = PairsOf(window, found["device_id"])
    return [_finding(rule, window, cut, row, sentence, value) for row in found.iter_rows(named=True)]


def _finding(
    rule: Rule, window: Window, cut: PairsOf, row: Mapping[str, object], sentence: Any, value: str | None
) -> Finding:
    first_at, last_at, hours = moment(row["first_at"]), moment(row["last_at"]), number(row["observed_s"]) / 3600
    return Finding(
        rule_id=rule.rule_id,
        subject=subject_of(row["device_id"]),
        first_at=first_at,
        last_at=last_at,
        severity=rule.severity,
        sentence=sentence(row, hours),
        evidence={
            **pair_samples(cut.within(row["device_id"], first_at, last_at)),
            "observed_h": round(hours, 2),
        },
        value=round(hours, 2) if value is None else round(number(row[value]), 1),
        unit="h" if value is None else "L/h",
        ongoing=bool(row["ongoing"]) and window.until is None,
        observed_s=number(row["observed_s"]),
        shown_at=moment(row["shown_at"]),
    )
