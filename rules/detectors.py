"""One pure detector per kind of window rule: a rule and a window of many devices -> findings in event time.

The same window gives the same findings, in whatever order its data arrived.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from types import MappingProxyType

import polars as pl

from rules.gate import admit
from rules.model import Finding, Json, Rule, Scope
from rules.windows import Window

Detector = Callable[[Rule, Window], list[Finding]]


def detect(rule: Rule, window: Window) -> list[Finding]:
    """Findings of one window rule over the devices in its scope, as the rule lets them through."""
    return admit(rule, WINDOW_DETECTORS[rule.kind](rule, window.of_devices(in_scope(rule, window.devices))))


def in_scope(rule: Rule, devices: pl.DataFrame) -> pl.Series:
    """Ids of the devices that the rule looks at: in its scope and in none of a rule that overrides it."""
    inside = _within(rule.scope)
    for carved in rule.carved:
        inside &= ~_within(carved)
    return devices.filter(inside)["device_id"]


def _within(scope: Scope) -> pl.Expr:
    columns = (
        ("kind", scope.device_kinds),
        ("meter_class", scope.meter_classes),
        ("user_class", scope.user_classes),
        ("area", scope.areas),
        ("code", scope.devices),
    )
    inside = pl.lit(value=True)
    for column, values in columns:
        if values:
            inside &= pl.col(column).is_in(sorted(values)).fill_null(value=False)
    return inside


def lookback_s(rule: Rule) -> float:
    """How much history before a changed moment the rule needs, in seconds."""
    if rule.kind == "micro_leak":
        return (rule["days"] / rule["observed_share_min"] + 1) * 86_400
    if rule.kind == "flow_valve_closed":
        return rule["recent_h"] * 3600 + rule["transition_s"] + 86_400
    return 2 * 86_400.0


def _subject(device_id: int) -> str:
    return f"device:{device_id}"


def _samples(rows: Iterable[tuple[datetime, int]]) -> Json:
    return {"columns": ["at", "index_ml"], "samples": [[at.isoformat(), index_ml] for at, index_ml in rows]}


def _pair_samples(pairs: pl.DataFrame) -> Json:
    """The register values at both ends of some pairs, each once, in order of time."""
    ends = dict(pairs.select("from_at", "from_ml").iter_rows()) | dict(pairs.select("at", "index_ml").iter_rows())
    return _samples(sorted(ends.items()))


def _newest(window: Window) -> pl.DataFrame:
    return window.pairs.group_by("device_id").agg(
        pl.col("at").max().alias("newest_at"), pl.col("index_ml").last().alias("newest_ml")
    )


def _code(window: Window) -> pl.DataFrame:
    return window.devices.select("device_id", "code")


# ---------------------------------------------------------------------------------------------- index_backwards


def index_backwards(rule: Rule, window: Window) -> list[Finding]:
    """Register steps back further than the tolerance; a return to zero of a full register and a swap are none.

    An instant at the lower value. Ongoing while the register has not climbed back over what it once showed.
    """
    tolerated_ml = pl.max_horizontal(
        pl.col("pulse_ml") * rule["pulses_tolerated"], pl.lit(rule["volume_tolerated_l"] * 1000)
    )
    steps = (
        window.pairs.filter(pl.col("back_ml") > tolerated_ml)
        .join(_newest(window), on="device_id")
        .join(_code(window), on="device_id")
        .sort("device_id", "at")
    )
    return [_backwards_finding(rule, row) for row in steps.iter_rows(named=True)]


def _backwards_finding(rule: Rule, row: Mapping[str, object]) -> Finding:
    litres = _number(row["back_ml"]) / 1000
    return Finding(
        rule_id=rule.rule_id,
        subject=_subject(_whole(row["device_id"])),
        first_at=_moment(row["at"]),
        last_at=_moment(row["at"]),
        severity=rule.severity,
        sentence=f"Register of {row['code']} went back by {litres:,.1f} L",
        evidence=_samples(
            [
                (_moment(row["from_at"]), _whole(row["from_ml"])),
                (_moment(row["at"]), _whole(row["index_ml"])),
            ]
        ),
        value=litres,
        unit="L",
        ongoing=_number(row["newest_ml"]) < _number(row["from_ml"]),
    )


# ---------------------------------------------------------------------------------------------- flow_valve_closed


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
        .join(_newest(window), on="device_id")
        .join(_code(window), on="device_id")
    )
    found = []
    for _, pairs in moving.group_by("device_id", "closed_from", maintain_order=True):
        moved_l = _number(pairs["moved_ml"].sum()) / 1000
        if moved_l >= max(rule["pulses_min"] * pairs["pulse_ml"][0] / 1000, rule["volume_min_l"]):
            found.append(_flow_finding(rule, pairs, moved_l))
    return found


def _flow_finding(rule: Rule, pairs: pl.DataFrame, moved_l: float) -> Finding:
    last_at = _moment(pairs["at"].max())
    quiet_s = (_moment(pairs["newest_at"][0]) - last_at).total_seconds()
    closed_from = _moment(pairs["closed_from"][0])
    return Finding(
        rule_id=rule.rule_id,
        subject=_subject(int(pairs["device_id"][0])),
        first_at=_moment(pairs["from_at"].min()),
        last_at=last_at,
        severity=rule.severity,
        sentence=f"{pairs['code'][0]} counted {moved_l:,.1f} L, valve closed since {closed_from:%Y-%m-%d %H:%M} UTC",
        evidence={**_pair_samples(pairs), "valve_closed_from": closed_from.isoformat()},
        value=moved_l,
        unit="L",
        ongoing=pairs["closed_to"][0] is None and quiet_s <= rule["recent_h"] * 3600,
    )


# ---------------------------------------------------------------------------------------------- micro_leak


def proof_s(rule: Rule, pulse_ml: pl.Expr) -> pl.Expr:
    """How long a pause must last to prove that no leak of `flow_low_lh` runs, in seconds.

    On a coarse counter a leak moves the register only every pulse / flow hours: 10 L at 5 L/h is 2 h, so a zero hour
    proves nothing there.
    """
    return pl.max_horizontal(pl.lit(rule["gap_min"] * 60), pulse_ml / 1000 / rule["flow_low_lh"] * 3600)


def micro_leak(rule: Rule, window: Window) -> list[Finding]:
    """A stretch of `days` observed days without a proof of no leak, whose lowest flows look like one.

    An interval from the end of the last proof (or of what is known) to the next. The value is the steady floor: the
    lower fifth of the daily lowest flows, L/h. Ongoing while no proof has ended it.
    """
    spans = _unproved_spans(_runs(rule, window.pairs))
    long_enough = (pl.col("observed_s") >= rule["days"] * 86_400) & (
        pl.col("observed_s") >= rule["observed_share_min"] * pl.col("known_s")
    )
    spans = spans.filter(long_enough)
    if spans.is_empty():
        return []
    small = pl.col("floor_lh") <= rule["steady_below_lh"]
    found = (
        spans.join(_floors(rule, window.pairs, spans), on=["device_id", "span"])
        .filter(pl.col("floor_lh") > 0, pl.col("floor_lh") <= rule["flow_high_lh"])
        .join(_newest(window), on="device_id")
        .join(_code(window), on="device_id")
    )
    doubtful = found.filter(~small)
    steady = doubtful.join(_steady(rule, window.pairs, doubtful), on=["device_id", "span"], how="semi")
    certain = pl.concat([found.filter(small), steady]).sort("device_id", "first_at")
    return [_leak_finding(rule, window, row) for row in certain.iter_rows(named=True)]


def _runs(rule: Rule, pairs: pl.DataFrame) -> pl.DataFrame:
    """Stretches of pairs that all moved, or all did not; `proof` marks pauses that prove no leak, `span` counts them.

    Columns: `device_id, quiet, pulse_ml, from_at, at, known_s, observed_s, proof, span`.
    """
    quiet = (pl.col("moved_ml") == 0).fill_null(value=False)
    seen = (pl.col("span_s") <= rule["sample_gap_max_min"] * 60) & pl.col("moved_ml").is_not_null()
    return (
        pairs.with_columns(
            quiet.alias("quiet"), pl.when(quiet | seen).then(pl.col("span_s")).otherwise(0.0).alias("observed_s")
        )
        .with_columns(pl.struct("device_id", "quiet").rle_id().alias("run"))
        .group_by("run", maintain_order=True)
        .agg(
            pl.col("device_id", "quiet", "pulse_ml", "from_at").first(),
            pl.col("at").last(),
            pl.col("span_s").sum().alias("known_s"),
            pl.col("observed_s").sum(),
        )
        .with_columns((pl.col("quiet") & (pl.col("known_s") >= proof_s(rule, pl.col("pulse_ml")))).alias("proof"))
        .with_columns(pl.col("proof").cast(pl.Int64).cum_sum().over("device_id").alias("span"))
    )


def _unproved_spans(runs: pl.DataFrame) -> pl.DataFrame:
    """Stretches between proofs: `device_id, span, first_at, last_at, observed_s, known_s`."""
    return (
        runs.filter(~pl.col("proof"))
        .group_by("device_id", "span", maintain_order=True)
        .agg(
            pl.col("from_at").first().alias("first_at"),
            pl.col("at").last().alias("last_at"),
            pl.col("observed_s", "known_s").sum(),
        )
    )


def _flows(pairs: pl.DataFrame, spans: pl.DataFrame, flow_lh: float) -> pl.DataFrame:
    """Flows within spans: `device_id, span, at, flow_lh, step_lh` (what one pulse more or less would change).

    A flow is the register's difference over full hours, so many that `flow_lh` moves it three times.
    """
    hours = (pl.col("pulse_ml") / 1000 / flow_lh * 3).ceil().clip(1, 24)
    key = ["device_id", "span"]
    inside = (
        pairs.join(spans.select(*key, "first_at", "last_at"), on="device_id")
        .filter(pl.col("from_at") >= pl.col("first_at"), pl.col("at") <= pl.col("last_at"))
        .sort(*key, "at")
        .with_columns(
            pl.col("moved_ml").fill_null(0).cum_sum().over(key).alias("total_ml"),
            pl.col("moved_ml").is_null().cum_sum().over(key).alias("gaps"),
            (pl.col("at") - pl.duration(seconds=(hours * 3600).cast(pl.Int64))).alias("back_at"),
        )
    )
    start = inside.select(*key, pl.col("at").alias("start_at"), "total_ml", "gaps").sort(*key, "start_at")
    flow_h = (pl.col("at") - pl.col("start_at")).dt.total_microseconds() / 3.6e9
    return (
        inside.sort(*key, "back_at")
        .join_asof(start, left_on="back_at", right_on="start_at", by=key, strategy="backward", check_sortedness=False)
        .filter(pl.col("start_at").is_not_null(), pl.col("gaps") == pl.col("gaps_right"))
        .select(
            *key,
            "at",
            ((pl.col("total_ml") - pl.col("total_ml_right")) / 1000 / flow_h).alias("flow_lh"),
            (pl.col("pulse_ml") / 1000 / flow_h).alias("step_lh"),
        )
    )


def _floors(rule: Rule, pairs: pl.DataFrame, spans: pl.DataFrame) -> pl.DataFrame:
    """Per span `floor_lh`: the 20 % quantile of its daily lowest flows."""
    return _daily_floor(_flows(pairs, spans, rule["flow_low_lh"]))


def _daily_floor(flows: pl.DataFrame) -> pl.DataFrame:
    return (
        flows.group_by("device_id", "span", pl.col("at").dt.truncate("1d").alias("day"))
        .agg(pl.col("flow_lh").min())
        .group_by("device_id", "span")
        .agg(pl.col("flow_lh").quantile(0.2, "linear").alias("floor_lh"))
    )


def _steady(rule: Rule, pairs: pl.DataFrame, spans: pl.DataFrame) -> pl.DataFrame:
    """Spans whose flow rests at its floor for `steady_share_min` of the time, as a leak's does when nobody uses gas.

    Heating that never stops has a lowest hour too, but does not stay there.
    """
    flows = _flows(pairs, spans, rule["steady_below_lh"])
    resting = pl.col("flow_lh") <= pl.col("floor_lh") * (1 + rule["fluctuation_max_pct"] / 100) + pl.col("step_lh")
    return (
        flows.join(_daily_floor(flows), on=["device_id", "span"])
        .group_by("device_id", "span")
        .agg(resting.mean().alias("share"))
        .filter(pl.col("share") >= rule["steady_share_min"])
    )


def _leak_finding(rule: Rule, window: Window, row: Mapping[str, object]) -> Finding:
    first_at, last_at = _moment(row["first_at"]), _moment(row["last_at"])
    pairs = window.pairs.filter(
        pl.col("device_id") == row["device_id"], pl.col("from_at") >= first_at, pl.col("at") <= last_at
    )
    days = _number(row["observed_s"]) / 86_400
    floor_lh = round(_number(row["floor_lh"]), 2)
    return Finding(
        rule_id=rule.rule_id,
        subject=_subject(_whole(row["device_id"])),
        first_at=first_at,
        last_at=last_at,
        severity=rule.severity,
        sentence=f"{row['code']} did not pause in {days:.1f} observed days; lowest flow about {floor_lh:g} L/h",
        evidence={**_pair_samples(pairs), "observed_h": round(days * 24, 2)},
        value=floor_lh,
        unit="L/h",
        ongoing=last_at == row["newest_at"] and window.until is None,
    )


# ---------------------------------------------------------------------------------------------- what ends a condition


def ended(rule: Rule, window: Window) -> dict[int, datetime]:
    """Per device the newest moment that proves the rule's condition over; absent when nothing proves it.

    A micro-leak ends at a pause long enough to prove it. Flow through a closed valve ends when the valve is said to be
    open, or the register stood still for `recent_h`: the newest value is then the moment. A register that went
    backwards does not become right by waiting.
    """
    if window.until is not None or window.pairs.is_empty():
        return {}
    if rule.kind == "micro_leak":
        proofs = _runs(rule, window.pairs).filter("proof").group_by("device_id").agg(pl.col("at").max())
        return dict(proofs.iter_rows())
    if rule.kind == "flow_valve_closed":
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
    return {}


def _moment(value: object) -> datetime:
    assert isinstance(value, datetime)
    return value


def _number(value: object) -> float:
    assert isinstance(value, int | float)
    return float(value)


def _whole(value: object) -> int:
    assert isinstance(value, int)
    return value


WINDOW_DETECTORS: Mapping[str, Detector] = MappingProxyType(
    {
        "flow_valve_closed": flow_valve_closed,
        "index_backwards": index_backwards,
        "micro_leak": micro_leak,
    }
)
