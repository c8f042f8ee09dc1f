"""Rows of a file of old readings -> moments and register values, with the reason for every row that is refused.

Pure: a block of columns in, a block of arrays out, and between blocks what must be remembered of each device (the hour
that daylight saving repeats, the register so far). Rows are told by their line, or by their number in a Parquet file.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

import polars as pl

from ingest.model import EARLIEST, FUTURE_MAX

_MILLILITRES = {"m3": 1_000_000, "l": 1_000, "ml": 1}
_ZONED = r"\d{2}:\d{2}.*(Z|[+-]\d{2}:?\d{2})$"
_MIDNIGHT_24 = r"[T ]24:00(:00(\.0+)?)?$"
_ZONED_FORMATS = ("%Y-%m-%dT%H:%M:%S%.f%z", "%Y-%m-%dT%H:%M%z")
_LOCAL_FORMATS = (
    "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%d.%m.%YT%H:%M:%S", "%d.%m.%YT%H:%M", "%Y/%m/%dT%H:%M:%S",
    "%Y/%m/%dT%H:%M", "%Y%m%d%H%M%S",
)  # fmt: skip
_DATE_FORMATS = ("%Y-%m-%d", "%d.%m.%Y", "%Y/%m/%d")
# A sign for thousands is believed only before a decimal sign: `1,234` alone may be either.
_NUMBERS = {
    ".": r"^[+-]?(\d+\.?\d*|\.\d+|\d{1,3}(,\d{3})+\.\d+)$",
    ",": r"^[+-]?(\d+,?\d*|,\d+|\d{1,3}(\.\d{3})+,\d+)$",
}
_TIME = pl.Datetime("us", "UTC")


@dataclass(frozen=True, slots=True)
class HistoryOptions:
    """What the columns of a file mean; `interval_minutes` is needed when rows carry the start of their interval."""

    unit: Literal["m3", "l", "ml"]
    kind: Literal["cumulative", "interval"]
    timezone: str
    family: str = "native"
    decimal: Literal[",", "."] = "."
    stamp: Literal["end", "start"] = "end"
    interval_minutes: int | None = None
    time_format: str | None = None


@dataclass(frozen=True, slots=True)
class Block:
    """Some rows of a file: their lines (or row numbers) and three columns as they stand there."""

    lines: pl.Series
    devices: pl.Series
    times: pl.Series
    values: pl.Series


@dataclass(frozen=True, slots=True)
class Parsed:
    """Rows that could be read, in file order (line, device, at in UTC, value_ml), and (line, reason) of the others."""

    rows: pl.DataFrame
    bad: list[tuple[int, str]]


@dataclass(slots=True)
class HistoryState:
    """What one file's rows so far tell about each device."""

    folds: dict[str, tuple[datetime, bool]] = field(default_factory=dict)
    registers: dict[str, tuple[int, int]] = field(default_factory=dict)  # (at in us, register in ml): the last believed
    totals: dict[str, tuple[int, int]] = field(default_factory=dict)  # interval files: (at in us, sum so far in ml)


def parse_block(block: Block, options: HistoryOptions, state: HistoryState, now: datetime) -> Parsed:
    """Read a block's columns; refuses rows without device, with a time or a value that cannot be."""
    devices = block.devices.cast(pl.String).str.strip_chars()
    at, time_reasons = _moments(block.times, devices, options, state)
    if options.stamp == "start" and options.interval_minutes:
        at = at + timedelta(minutes=options.interval_minutes)
    value_ml = _volumes(block.values, options)
    given = block.values.cast(pl.String)
    frame = pl.DataFrame({"line": block.lines, "device": devices, "at": at, "value_ml": value_ml, "why": time_reasons})
    frame = frame.with_columns(
        why=pl.when(pl.col("device").is_null() | (pl.col("device") == ""))
        .then(pl.lit("the device is empty"))
        .when(pl.col("why").is_not_null())
        .then(pl.col("why"))
        .when(pl.col("at") < EARLIEST)
        .then(pl.lit(f"the time is before {EARLIEST.year}"))
        .when(pl.col("at") > now + FUTURE_MAX)
        .then(pl.lit("the time is in the future"))
        .when(pl.col("value_ml").is_null())
        .then(pl.format("the value {} is not a volume (a number, not negative)", given.fill_null("''")))
    )
    bad = frame.filter(pl.col("why").is_not_null())
    rows = frame.filter(pl.col("why").is_null()).drop("why")
    return Parsed(rows, list(zip(bad["line"].to_list(), bad["why"].to_list(), strict=True)))


def _volumes(values: pl.Series, options: HistoryOptions) -> pl.Series:
    """Millilitres; null where the value is no number, negative or beyond what a register can show."""
    if values.dtype == pl.String:
        text = values.str.replace_all(r"[\s\u00a0']", "")
        text = _only(text, text.str.contains(_NUMBERS[options.decimal]))
        thousands = "." if options.decimal == "," else ","
        values = text.str.replace_all(thousands, "", literal=True).str.replace(",", ".", literal=True)
    volume = values.cast(pl.Float64, strict=False) * _MILLILITRES[options.unit]
    possible = volume.is_finite() & (volume >= 0) & (volume < 9e18)
    return pl.select(pl.when(possible).then(volume.round()).cast(pl.Int64)).to_series()


def _moments(
    times: pl.Series, devices: pl.Series, options: HistoryOptions, state: HistoryState
) -> tuple[pl.Series, pl.Series]:
    """UTC moments, null where there is a reason beside it."""
    if isinstance(times.dtype, pl.Datetime) and times.dtype.time_zone is not None:
        at = times.dt.convert_time_zone("UTC").cast(_TIME)
        return at, _reasons(times, at, at.is_null())
    if times.dtype.is_temporal():
        local, zoned = times.cast(pl.Datetime("us")), pl.Series([None] * len(times), dtype=_TIME)
    else:
        local, zoned = _read_times(times.cast(pl.String).str.strip_chars(), options.time_format)
    at = _to_utc(local, devices, options.timezone, state)
    skipped = local.is_not_null() & at.is_null()
    at = pl.select(pl.coalesce(zoned, at)).to_series()
    return at, _reasons(times, at, skipped, options.timezone)


def _reasons(times: pl.Series, at: pl.Series, skipped: pl.Series, timezone: str = "") -> pl.Series:
    given = times.cast(pl.String).fill_null("''")
    return pl.select(
        pl.when(at.is_not_null())
        .then(pl.lit(None, pl.String))
        .when(skipped)
        .then(pl.format("the time {} does not exist in {}: daylight saving skips it", given, pl.lit(timezone)))
        .otherwise(pl.format("the time {} is not understood", given))
    ).to_series()


def _read_times(text: pl.Series, time_format: str | None) -> tuple[pl.Series, pl.Series]:
    """(zone-less local times, moments with a zone of their own); epoch seconds and milliseconds have one."""
    if time_format is not None:
        return text.str.to_datetime(time_format, strict=False, time_unit="us"), pl.Series(
            [None] * len(text), dtype=_TIME
        )
    epoch = text.str.extract(r"^(\d{10}|\d{13})$").cast(pl.Int64)
    epoch_us = pl.select(
        pl.when(text.str.len_chars() == 13).then(epoch * 1_000).otherwise(epoch * 1_000_000)
    ).to_series()
    zoned = _coalesce(_only(text, text.str.contains(_ZONED)).str.replace(" ", "T").str.replace("Z$", "+0000"), True)
    zoned = pl.select(pl.coalesce(zoned, epoch_us.cast(_TIME))).to_series()
    local = _only(text, zoned.is_null()).str.replace(r"\s+", "T")
    next_day = local.str.contains(_MIDNIGHT_24)
    read = _coalesce(local.str.replace(r"T24:00", "T00:00"), False)
    return pl.select(pl.when(next_day).then(read + timedelta(days=1)).otherwise(read)).to_series(), zoned


def _only(text: pl.Series, wanted: pl.Series) -> pl.Series:
    return pl.select(pl.when(wanted).then(text)).to_series()


def _coalesce(text: pl.Series, zoned: bool) -> pl.Series:
    """Read every text in the first format that fits it; null where none does."""
    found = pl.Series([None] * len(text), dtype=_TIME if zoned else pl.Datetime("us"))
    formats = _ZONED_FORMATS if zoned else (*_LOCAL_FORMATS, *_DATE_FORMATS)
    for one in formats:
        if not (found.is_null() & text.is_not_null()).any():
            break
        if one in _DATE_FORMATS:
            read = text.str.to_date(one, strict=False).cast(pl.Datetime("us"))
        elif zoned:
            read = text.str.to_datetime(one, strict=False, time_unit="us", time_zone="UTC")
        else:
            read = text.str.to_datetime(one, strict=False, time_unit="us")
        found = pl.select(pl.coalesce(found, read)).to_series()
    return found


def _to_utc(local: pl.Series, devices: pl.Series, timezone: str, state: HistoryState) -> pl.Series:
    """Zone-less times as UTC; null in the hour that daylight saving skips.

    In the hour that it repeats, a device's second pass through the same local time is the later one.
    """
    first = local.dt.replace_time_zone(timezone, ambiguous="earliest", non_existent="null")
    second = local.dt.replace_time_zone(timezone, ambiguous="latest", non_existent="null")
    first, second = first.dt.convert_time_zone("UTC"), second.dt.convert_time_zone("UTC")
    twice = (first != second).fill_null(value=False)
    if not twice.any():
        return first
    later = [False] * len(local)
    for position in twice.arg_true():
        later[position] = _is_second_pass(state, devices[position], local[position])
    return pl.select(pl.when(pl.Series(later)).then(second).otherwise(first)).to_series()


def _is_second_pass(state: HistoryState, device: str, local: datetime) -> bool:
    before = state.folds.get(device)
    same_night = before is not None and abs(local - before[0]) < timedelta(hours=3)
    later = before is not None and same_night and (before[1] or local <= before[0])
    state.folds[device] = (local, later)
    return later


# ---------------------------------------------------------------------------------------------- interval files


def sum_intervals(rows: pl.DataFrame, state: HistoryState) -> tuple[pl.DataFrame, list[tuple[int, str]]]:
    """Turn interval volumes into each device's running sum since the start of the file; the rows refused beside it.

    A row of a moment that the device already had (the doubled midnight row), or of an earlier one, is no consumption.
    """
    before = pl.DataFrame(
        [(device, at, total) for device, (at, total) in state.totals.items()],
        schema={"device": pl.String, "last_us": pl.Int64, "total": pl.Int64},
        orient="row",
    )
    frame = rows.with_columns(us=pl.col("at").dt.epoch("us")).join(
        before, on="device", how="left", maintain_order="left"
    )
    highest = pl.col("us").cum_max().shift(1).over("device")
    frame = frame.with_columns(previous=pl.max_horizontal(highest, "last_us"))
    fresh = pl.col("previous").is_null() | (pl.col("us") > pl.col("previous"))
    refused = frame.filter(~fresh)
    good = frame.filter(fresh).with_columns(
        value_ml=pl.col("value_ml").cum_sum().over("device") + pl.col("total").fill_null(0)
    )
    for device, at_us, total in good.group_by("device").agg(pl.col("us").last(), pl.col("value_ml").last()).iter_rows():
        state.totals[device] = (at_us, total)
    bad = [
        (
            line,
            "repeats the time of an earlier row" if us == previous else "goes back in time: intervals must be in order",
        )
        for line, us, previous in refused.select("line", "us", "previous").iter_rows()
    ]
    return good.select(rows.columns), bad


def check_timezone(name: str) -> str:
    """The name, when it is one of a time zone; raises ValueError."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"{name} is not the name of a time zone, such as Europe/Berlin") from None
    return name
