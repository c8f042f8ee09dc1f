"""Prepares readings for the window detectors: what is known, what moved between two known values. Pure, vectorised.

Unknown is not zero: values that ingest marked as back-filled, beyond the meter's memory or of an unsure clock are left
out.
A register is cumulative, so two equal known values prove that nothing moved between them, however far apart they are.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime

import polars as pl

UNKNOWN_FLAGS = 1 | 2 | 16 | 32
_NOT_THERE = 16 | 32  # a clock that is not synchronised, a simulation: neither value nor status counts
"""backfilled, past_memory, clock_unsure (docs/payloads.md): such a register value is unknown."""

VALVE_CLOSED_BIT = 1
WRAP_MIN_ML = 1_000_000_000
"""The smallest register we take a return to zero for when its wrap is not registered: 1,000 m3, four digits."""

TIME = pl.Datetime("us", "UTC")

READINGS = pl.Schema(
    {
        "device_id": pl.Int32(),
        "at": TIME,
        "index_ml": pl.Int64(),
        "flags": pl.Int32(),
        "status": pl.Int32(),
        "flow_lh": pl.Float32(),
    }
)
DEVICES = pl.Schema(
    {
        "device_id": pl.Int32(),
        "code": pl.String(),
        "kind": pl.String(),
        "meter_class": pl.String(),
        "user_class": pl.String(),
        "area": pl.String(),
        "pulse_ml": pl.Int64(),
        "register_wrap_ml": pl.Int64(),
        "qmax_lh": pl.Float64(),
        "tenure": pl.String(),
        "appliances": pl.List(pl.String()),
        "installed_at": TIME,
    }
)
VALVES = pl.Schema({"device_id": pl.Int32(), "at": TIME, "closed": pl.Boolean(), "exact": pl.Boolean()})
BOUNDARIES = pl.Schema({"device_id": pl.Int32(), "at": TIME})
CLOSINGS = pl.Schema({"device_id": pl.Int32(), "closed_at": TIME})
FLOWS = pl.Schema({"device_id": pl.Int32(), "at": TIME, "flow_lh": pl.Float64()})
REPORTS = pl.Schema({"device_id": pl.Int32(), "at": TIME, "received_at": TIME})
DAYS = pl.Schema({"device_id": pl.Int32(), "day": TIME, "last_ml": pl.Int64()})


@dataclass(frozen=True, slots=True)
class Window:
    """What the window detectors see of many devices.

    `devices`: one row per device (DEVICES). `pairs`: consecutive known register values with `device_id, from_at, at,
    from_ml, index_ml, span_s, moved_ml` (null: not to be known, because of a swap or a step back), `back_ml` (null
    unless it stepped back) and `pulse_ml, qmax_lh`. `valves`: assertions in order (VALVES; `exact` when an event named
    the moment). `until`: the end when newer data were left out on purpose, else None. `since`: where the window was
    cut, None when nothing older exists. `flows`: flow as devices measured it (FLOWS). `reports`: device time and
    arrival of reports (REPORTS). `days`: the last known register of UTC days, reaching further back (DAYS).
    `beginnings`: pairs of the first weeks of some devices' records. `closings`: where evidence starts anew (CLOSINGS);
    days before it stay, since they say what is usual. `zone`: IANA name of the city's time zone.
    """

    devices: pl.DataFrame
    pairs: pl.DataFrame
    valves: pl.DataFrame
    until: datetime | None = None
    since: datetime | None = None
    flows: pl.DataFrame = field(default_factory=FLOWS.to_frame)
    reports: pl.DataFrame = field(default_factory=REPORTS.to_frame)
    days: pl.DataFrame = field(default_factory=DAYS.to_frame)
    beginnings: pl.DataFrame | None = None
    closings: pl.DataFrame = field(default_factory=CLOSINGS.to_frame)
    zone: str = "UTC"

    def of_devices(self, device_ids: pl.Series) -> "Window":
        """The part of some devices."""
        wanted = pl.col("device_id").is_in(device_ids.implode())
        return replace(
            self,
            devices=self.devices.filter(wanted),
            pairs=self.pairs.filter(wanted),
            valves=self.valves.filter(wanted),
            flows=self.flows.filter(wanted),
            reports=self.reports.filter(wanted),
            days=self.days.filter(wanted),
        )

    def after(self, closings: pl.DataFrame) -> "Window":
        """The part of each device that starts at its last closing (CLOSINGS): evidence starts anew there."""
        if closings.is_empty():
            return self
        return replace(
            self,
            pairs=_after(self.pairs, closings, "from_at"),
            flows=_after(self.flows, closings, "at"),
            reports=_after(self.reports, closings, "at"),
            closings=closings.select(list(CLOSINGS)),
        )


def _after(frame: pl.DataFrame, closings: pl.DataFrame, column: str) -> pl.DataFrame:
    fresh = pl.col("closed_at").is_null() | (pl.col(column) >= pl.col("closed_at"))
    return frame.join(closings, on="device_id", how="left", maintain_order="left").filter(fresh).drop("closed_at")


def prepare(
    readings: pl.DataFrame,
    devices: pl.DataFrame,
    valve_facts: pl.DataFrame,
    boundaries: pl.DataFrame,
    until: datetime | None = None,
) -> Window:
    """Build a window from raw rows: READINGS, DEVICES, VALVES of events and states, BOUNDARIES of installations."""
    readings = readings.filter((pl.col("flags") & _NOT_THERE) == 0).sort("device_id", "at")
    flows = readings.filter(pl.col("flow_lh").is_not_null()).select(
        "device_id", "at", pl.col("flow_lh").cast(pl.Float64)
    )
    return Window(devices, pairs_of(readings, devices, boundaries), _valves(readings, valve_facts), until, flows=flows)


def pairs_of(readings: pl.DataFrame, devices: pl.DataFrame, boundaries: pl.DataFrame) -> pl.DataFrame:
    """Consecutive known register values of READINGS in order of device and time."""
    known = readings.filter(pl.col("index_ml").is_not_null() & ((pl.col("flags") & UNKNOWN_FLAGS) == 0))
    same_device = pl.col("device_id") == pl.col("device_id").shift(1)
    pairs = (
        known.select(
            "device_id",
            pl.col("at").shift(1).alias("from_at"),
            "at",
            pl.col("index_ml").shift(1).alias("from_ml"),
            "index_ml",
            same_device.alias("same"),
        )
        .filter(pl.col("same"))
        .drop("same")
        .join(devices.select("device_id", "pulse_ml", "register_wrap_ml", "qmax_lh"), on="device_id", how="inner")
        .sort("device_id", "at")
    )
    return _moved(_swapped(pairs, boundaries))


def _swapped(pairs: pl.DataFrame, boundaries: pl.DataFrame) -> pl.DataFrame:
    """Mark pairs between which the device was installed or removed."""
    edges = boundaries.sort("device_id", "at").with_columns(pl.col("at").alias("edge_at"))
    joined = pairs.join_asof(edges, on="at", by="device_id", strategy="backward", check_sortedness=False)
    return joined.with_columns((pl.col("edge_at") > pl.col("from_at")).fill_null(value=False).alias("swapped")).drop(
        "edge_at"
    )


def _moved(pairs: pl.DataFrame) -> pl.DataFrame:
    span_s = (pl.col("at") - pl.col("from_at")).dt.total_microseconds() / 1e6
    raw = pl.col("index_ml") - pl.col("from_ml")
    digits = (pl.col("from_ml") + 1).cast(pl.Float64).log10().ceil()
    guess = pl.lit(10.0).pow(digits).cast(pl.Int64)
    wrap = pl.coalesce("register_wrap_ml", pl.when(guess >= WRAP_MIN_ML).then(guess))
    forward = raw + wrap
    possible = forward.is_between(0, pl.col("qmax_lh") * 1000 * span_s / 3600 * 2 + 2 * pl.col("pulse_ml"))
    wrapped = ((raw < 0) & possible).fill_null(value=False)
    moved = pl.when(pl.col("swapped")).then(None).when(raw >= 0).then(raw).when(wrapped).then(forward)
    back = pl.when(~pl.col("swapped") & (raw < 0) & ~wrapped).then(-raw)
    return pairs.with_columns(span_s.alias("span_s"), moved.alias("moved_ml"), back.alias("back_ml")).drop(
        "register_wrap_ml", "swapped"
    )


def _valves(readings: pl.DataFrame, facts: pl.DataFrame) -> pl.DataFrame:
    """Valve assertions: events and state as given, and the status words of reports."""
    words = readings.filter(pl.col("status").is_not_null()).select(
        "device_id",
        "at",
        ((pl.col("status") & VALVE_CLOSED_BIT) != 0).alias("closed"),
        pl.lit(value=False).alias("exact"),
    )
    return (
        pl.concat([facts.select(list(VALVES)), words])
        .sort("device_id", "at", "exact", "closed")
        .unique(["device_id", "at"], keep="last", maintain_order=True)
    )
