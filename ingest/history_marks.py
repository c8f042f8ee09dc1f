"""Marks on imported registers: the rules of live data (docs/payloads.md), as far as plain registers allow."""

from collections.abc import Mapping, Sequence

import polars as pl

from ingest.history_rows import HistoryState
from ingest.model import Device, Flag

_HOUR_US = 3_600_000_000
_BEYOND_QMAX_FACTOR = 2.0


def mark_rows(rows: pl.DataFrame, devices: Mapping[str, Device], state: HistoryState) -> pl.Series:
    """Flags of each row, by the rules of live data: a lone zero, a fall, a step that the meter cannot have measured.

    A mark never changes a value. Rows from before what is known of their device in this file carry none.
    """
    ordered = rows.with_row_index("position").sort("device", "at", maintain_order=True)
    ordered = ordered.with_columns(us=pl.col("at").dt.epoch("us"))
    flags = [0] * len(rows)
    by_device = ordered.group_by("device", maintain_order=True).agg("position", "us", "value_ml")
    plain = _plain_devices(ordered, devices, state)
    for device, positions, moments, values in by_device.iter_rows():
        if device in plain:
            state.registers[device] = (moments[-1], values[-1])
            continue
        for position, mark in zip(
            positions, _mark_device(device, moments, values, devices[device], state), strict=True
        ):
            flags[position] = mark
    return pl.Series("flags", flags, dtype=pl.Int32)


def _plain_devices(ordered: pl.DataFrame, devices: Mapping[str, Device], state: HistoryState) -> set[str]:
    """Devices whose rows rise in reach of Qmax from what is known: the common case, decided for all at once."""
    names = ordered["device"].unique()
    known = pl.DataFrame(
        [(n, *state.registers.get(n, (None, None)), _limit_ml_h(devices[n])) for n in names],
        schema={"device": pl.String, "known_us": pl.Int64, "known_ml": pl.Int64, "limit": pl.Float64},
        orient="row",
    )
    frame = ordered.join(known, on="device", how="left", maintain_order="left").with_columns(
        before_us=pl.col("us").shift(1).over("device").fill_null(pl.col("known_us")),
        before_ml=pl.col("value_ml").shift(1).over("device").fill_null(pl.col("known_ml")),
    )
    step, hours = pl.col("value_ml") - pl.col("before_ml"), (pl.col("us") - pl.col("before_us")) / _HOUR_US
    odd = (step < 0) | (step > pl.col("limit") * pl.max_horizontal(hours, 1.0)) | (hours < 0)
    return set(names) - set(frame.filter(odd.fill_null(value=False))["device"].unique())


def _mark_device(
    device: str, moments: Sequence[int], values: Sequence[int], meter: Device, state: HistoryState
) -> list[int]:
    """Flags of one device's rows in order of time; two odd values that agree with each other are a new register."""
    last, odd = state.registers.get(device), None
    marks = []
    for at, value in zip(moments, values, strict=True):
        if last is not None and at < last[0]:
            marks.append(0)
            continue
        mark = 0 if last is None else _judge(last, at, value, meter)
        if mark and odd is not None and value and not _judge(odd, at, value, meter):
            mark = 0
        odd = (at, value) if mark else None
        if not mark:
            last = (at, value)
        marks.append(mark)
    if last is not None:
        state.registers[device] = last
    return marks


def _judge(before: tuple[int, int], at: int, value: int, meter: Device) -> int:
    step = value - before[1]
    wrap = meter.register_wrap_ml
    if step < 0 and wrap is not None and before[1] < wrap and step + wrap <= wrap / 2:
        return 0
    if step < 0:
        return int(Flag.PAST_MEMORY if value == 0 else Flag.BACKWARDS)
    hours = max((at - before[0]) / _HOUR_US, 1.0)
    return int(Flag.BEYOND_QMAX) if step > _limit_ml_h(meter) * hours else 0


def _limit_ml_h(meter: Device) -> float:
    return float("inf") if meter.qmax_lh is None else meter.qmax_lh * _BEYOND_QMAX_FACTOR * 1000.0
