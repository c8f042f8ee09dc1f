"""Rows of files of old readings: times, volumes, marks, intervals; every trap of real exports."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.history_file import HistoryRefused, Progress, blocks, sniff
from ingest.history_marks import mark_rows
from ingest.history_rows import Block, HistoryOptions, HistoryState, Parsed, parse_block, sum_intervals
from ingest.model import Device, Flag

NOW = datetime(2026, 6, 1, tzinfo=UTC)
METER = Device(1, 1, 6000.0, None, False)


def parse(
    rows: list[tuple[str, str, str]], state: HistoryState | None = None, *, first_line: int = 2, **options: Any
) -> Parsed:
    chosen: dict[str, Any] = {"unit": "m3", "kind": "cumulative", "timezone": "Europe/Berlin"} | options
    devices, times, values = ([row[place] for row in rows] for place in range(3))
    lines = pl.Series(range(first_line, first_line + len(rows)), dtype=pl.Int64)
    block = Block(lines, *(pl.Series(column, dtype=pl.String) for column in (devices, times, values)))
    return parse_block(block, HistoryOptions(**chosen), state or HistoryState(), NOW)


def moments(*times: str, **options: Any) -> list[str]:
    parsed = parse([("A", time, "1") for time in times], **options)
    assert parsed.bad == []
    return [at.strftime("%Y-%m-%dT%H:%MZ") for at in parsed.rows["at"]]


def volumes(*values: str, **options: Any) -> list[int]:
    parsed = parse([("A", "2025-01-01T00:00Z", value) for value in values], **options)
    return parsed.rows["value_ml"].to_list()


@pytest.mark.parametrize(
    ("time", "utc"),
    [
        ("2025-01-15T12:00:00Z", "2025-01-15T12:00Z"),
        ("2025-01-15 12:00:00+08:00", "2025-01-15T04:00Z"),
        ("2025-01-15T12:00+0100", "2025-01-15T11:00Z"),
        ("2025-01-15 12:00", "2025-01-15T11:00Z"),
        ("2025-07-15 12:00:30.5", "2025-07-15T10:00Z"),
        ("15.01.2025 12:00", "2025-01-15T11:00Z"),
        ("2025/01/15 12:00:00", "2025-01-15T11:00Z"),
        ("20250115120000", "2025-01-15T11:00Z"),
        ("2025-01-15", "2025-01-14T23:00Z"),
        ("2025-01-14 24:00", "2025-01-14T23:00Z"),
        ("1736942400", "2025-01-15T12:00Z"),
        ("1736942400000", "2025-01-15T12:00Z"),
    ],
)
def test_times_of_many_exports(time: str, utc: str) -> None:
    """Times with a zone keep it, times without get the one that was said; 24:00 is the next midnight."""
    assert moments(time) == [utc]


def test_forms_may_be_mixed() -> None:
    """One file may change its form of time half-way."""
    assert moments("2025-01-15 12:00", "15.01.2025 13:00", "2025-01-15T13:00Z") == [
        "2025-01-15T11:00Z", "2025-01-15T12:00Z", "2025-01-15T13:00Z",
    ]  # fmt: skip


def test_ambiguous_dates_need_a_format() -> None:
    """A date that may be the 1st of February or the 2nd of January is refused until its format is said."""
    assert [why for _, why in parse([("A", "01/02/2025 12:00", "1")]).bad] == [
        "the time 01/02/2025 12:00 is not understood"
    ]
    assert moments("01/02/2025 12:00", time_format="%d/%m/%Y %H:%M") == ["2025-02-01T11:00Z"]


def test_the_repeated_hour_is_told_apart() -> None:
    """At the end of daylight saving the second pass through an hour is later, for each device by itself."""
    night = ["01:00", "02:00", "02:30", "02:00", "02:30", "03:00"]
    assert moments(*(f"2024-10-27 {time}" for time in night)) == [
        f"2024-10-{day}T{time}Z" for day, time in
        (("26", "23:00"), ("27", "00:00"), ("27", "00:30"), ("27", "01:00"), ("27", "01:30"), ("27", "02:00"))
    ]  # fmt: skip
    by_time = parse([(device, "2024-10-27 02:00", "1") for device in ("A", "B", "A", "B")])
    assert [at.hour for at in by_time.rows["at"]] == [0, 0, 1, 1]


def test_the_repeated_hour_across_blocks() -> None:
    """Where a block ends makes no difference to the repeated hour."""
    state = HistoryState()
    first = parse([("A", "2024-10-27 02:00", "1")], state)
    second = parse([("A", "2024-10-27 02:00", "1")], state)
    assert [first.rows["at"][0].hour, second.rows["at"][0].hour] == [0, 1]


def test_the_skipped_hour_is_refused() -> None:
    """A local time that never was is told as such."""
    assert parse([("A", "2024-03-31 02:30", "1")]).bad == [
        (2, "the time 2024-03-31 02:30 does not exist in Europe/Berlin: daylight saving skips it")
    ]


def test_volumes_are_exact() -> None:
    """Every resolution of a register arrives as whole millilitres."""
    assert volumes("12345.678", "0.001", "99999.999999") == [12_345_678_000, 1_000, 99_999_999_999]
    assert volumes("7", unit="l") == [7_000]
    assert volumes("7", unit="ml") == [7]


def test_decimal_comma() -> None:
    """With a decimal comma a dot is for thousands, and only where both are there."""
    assert volumes("1,5", "1.234,5", "1.234", decimal=",") == [1_500_000, 1_234_500_000]


def test_a_comma_that_may_be_either_is_refused() -> None:
    """With a decimal dot `1,234` is refused, and `1,234.5` is not."""
    assert volumes("1,234", "1,234.5") == [1_234_500_000]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (("", "2025-01-01 00:00", "1"), "the device is empty"),
        (("A", "", "1"), "the time  is not understood"),
        (("A", "2025-01-01 00:00", ""), "the value  is not a volume (a number, not negative)"),
        (("A", "2025-01-01 00:00", "-1"), "the value -1 is not a volume (a number, not negative)"),
        (("A", "2025-01-01 00:00", "NaN"), "the value NaN is not a volume (a number, not negative)"),
        (("A", "2025-01-01 00:00", "1e30"), "the value 1e30 is not a volume (a number, not negative)"),
        (("A", "2014-12-31 00:00", "1"), "the time is before 2015"),
        (("A", "2027-01-01 00:00", "1"), "the time is in the future"),
    ],
)
def test_bad_rows_have_a_line_and_a_reason(row: tuple[str, str, str], reason: str) -> None:
    """A row that cannot be is refused by line; its neighbours are read."""
    parsed = parse([("A", "2025-01-01 01:00", "1"), row, ("A", "2025-01-01 02:00", "2")])
    assert parsed.bad == [(3, reason)]
    assert parsed.rows["line"].to_list() == [2, 4]


@given(st.text(max_size=30), st.text(max_size=30), st.text(max_size=30))
def test_nothing_in_a_row_stops_the_import(device: str, time: str, value: str) -> None:
    """Whatever a row says, it is read or refused with a reason, and no register is negative."""
    parsed = parse([(device, time, value)])
    assert len(parsed.rows) + len(parsed.bad) == 1
    assert all(ml >= 0 for ml in parsed.rows["value_ml"])


# ---------------------------------------------------------------------------------------------- intervals


def test_intervals_become_a_register() -> None:
    """Interval volumes add up by device, over the end of a block too."""
    state = HistoryState()
    rows, bad = sum_intervals(parse([("A", "2025-01-01 01:00", "1"), ("A", "2025-01-01 02:00", "2")]).rows, state)
    more, _ = sum_intervals(parse([("A", "2025-01-01 03:00", "3"), ("B", "2025-01-01 01:00", "9")]).rows, state)
    assert rows["value_ml"].to_list() == [1_000_000, 3_000_000]
    assert more["value_ml"].to_list() == [6_000_000, 9_000_000]
    assert bad == []


def test_a_doubled_midnight_row_is_no_consumption() -> None:
    """The row of midnight that two daily files both have counts once; rows out of order are refused."""
    rows, bad = sum_intervals(
        parse([("A", f"2025-01-01 {time}", "1") for time in ("23:00", "24:00")] + [
            ("A", "2025-01-02 00:00", "1"), ("A", "2025-01-01 22:00", "1"), ("A", "2025-01-02 01:00", "1"),
        ]).rows,
        HistoryState(),
    )  # fmt: skip
    assert rows["value_ml"].to_list() == [1_000_000, 2_000_000, 3_000_000]
    assert bad == [
        (4, "repeats the time of an earlier row"),
        (5, "goes back in time: intervals must be in order"),
    ]


# ---------------------------------------------------------------------------------------------- marks


def marks(*registers: str, meter: Device = METER, state: HistoryState | None = None, day: int = 1) -> list[int]:
    rows = parse([("A", f"2025-01-{day:02} {hour:02}:00", value) for hour, value in enumerate(registers)]).rows
    return mark_rows(rows, {"A": meter}, state or HistoryState()).to_list()


def test_a_lone_zero_is_marked_unknown() -> None:
    """A register of 0.000 once is past the meter's memory, not a return to zero."""
    assert marks("10.0", "0.000", "10.1") == [0, Flag.PAST_MEMORY, 0]


def test_a_new_meter_begins_at_zero() -> None:
    """Leading zeros are a meter that has counted nothing yet."""
    assert marks("0", "0", "0.1") == [0, 0, 0]


def test_a_spike_is_marked_and_its_neighbours_are_not() -> None:
    """A step that twice Qmax does not reach is marked; the next value is judged by the one before it."""
    assert marks("10", "900", "10.1") == [0, Flag.BEYOND_QMAX, 0]


def test_a_fall_is_marked_once_when_the_register_stays_lower() -> None:
    """A fall is marked; when the register goes on from there it is a new register."""
    assert marks("500", "3", "3.1", "3.2") == [0, Flag.BACKWARDS, 0, 0]


def test_a_known_wrap_is_no_fall() -> None:
    """Where the register returns to zero is known for some meters: that is no fall."""
    meter = Device(1, 1, 6000.0, 100_000_000_000, False)
    assert marks("99999.9", "0.2", meter=meter) == [0, 0]
    assert marks("99999.9", "0.2") == [0, Flag.BACKWARDS]


def test_marks_follow_over_blocks_and_ignore_order() -> None:
    """A block is judged by the last believed value of the one before; older rows carry no mark."""
    state = HistoryState()
    assert marks("10", "10.1", state=state, day=2) == [0, 0]
    assert marks("9", "9.1", state=state, day=1) == [0, 0]
    assert marks("0", "10.3", state=state, day=3) == [Flag.PAST_MEMORY, 0]


# ---------------------------------------------------------------------------------------------- files


def read(path: Path, rows_at_once: int = 100) -> tuple[list[tuple[object, ...]], list[tuple[int, str]]]:
    sniffed = sniff(path, (None, None, None))
    rows, bad = [], []
    for block, short in blocks(path, sniffed, rows_at_once, Progress()):
        columns = (block.lines, block.devices, block.times, block.values)
        rows += list(zip(*(column.to_list() for column in columns), strict=True))
        bad += short
    return rows, bad


def test_european_export(tmp_path: Path) -> None:
    """Byte order mark, semicolons, decimal comma, a date and a time column, unit in the header."""
    path = tmp_path / "a.csv"
    text = (
        "Meter;Datum;Uhrzeit;Zaehlerstand [m3]\r\n00012;01.02.2025;00:00;1.234,5\r\n00012;01.02.2025;01:00;1.235,0\r\n"
    )
    path.write_text(text, encoding="utf-8-sig")
    sniffed = sniff(path, (None, "Datum+Uhrzeit", None))
    assert (sniffed.columns.device, sniffed.unit, sniffed.decimal, sniffed.delimiter) == ("Meter", "m3", ",", ";")
    block, _ = next(iter(blocks(path, sniffed, 10, Progress())))
    assert block.devices.to_list() == ["00012", "00012"]
    assert block.times.to_list() == ["01.02.2025 00:00", "01.02.2025 01:00"]


def test_utf_16_and_tabs(tmp_path: Path) -> None:
    """What a spreadsheet saves as Unicode text is read."""
    path = tmp_path / "a.txt"
    path.write_text("device\ttime\tindex_l\nM1\t2025-01-01 00:00\t5\n", encoding="utf-16")
    assert read(path)[0] == [(2, "M1", "2025-01-01 00:00", "5")]


def test_short_rows_are_told_and_blocks_cover_every_line(tmp_path: Path) -> None:
    """A row without all columns is refused by its line; lines count quoted line ends too."""
    path = tmp_path / "a.csv"
    path.write_text('device,time,index_m3,note\nM1,t,1,"two\nlines"\nM2\n\nM3,t,3,\n')
    rows, bad = read(path, rows_at_once=2)
    assert [(line, device) for line, device, *_ in rows] == [(3, "M1"), (6, "M3")]
    assert bad == [(4, "has 1 fields, 3 are needed")]


def test_unclear_columns_are_asked_for(tmp_path: Path) -> None:
    """With no or several columns that may be meant, the option that names it is told."""
    path = tmp_path / "a.csv"
    path.write_text("meter,serial,time,index_m3\n")
    with pytest.raises(HistoryRefused, match=r"several columns may be the device: meter, serial .*--device-column"):
        sniff(path, (None, None, None))
    with pytest.raises(HistoryRefused, match="there is no column x; there are meter"):
        sniff(path, ("x", None, None))
    path.write_text("meter,when,index_m3\n")
    with pytest.raises(HistoryRefused, match=r"no column looks like the time .*--time-column"):
        sniff(path, (None, None, None))


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    """Typed columns need no guessing: zoned times, numbers."""
    path = tmp_path / "a.parquet"
    at = pl.Series([datetime(2025, 1, 1, tzinfo=UTC)]).dt.convert_time_zone("Asia/Shanghai")
    pl.DataFrame({"meter": ["M1"], "time": at, "value": [1.5]}).write_parquet(path)
    sniffed = sniff(path, (None, None, None))
    block, _ = next(iter(blocks(path, sniffed, 10, Progress())))
    parsed = parse_block(block, HistoryOptions("m3", "cumulative", "Europe/Berlin"), HistoryState(), NOW)
    assert parsed.rows.row(0) == (1, "M1", datetime(2025, 1, 1, tzinfo=UTC), 1_500_000)


_FLUVIUS = (
    "\ufeffFrom (date);From (time);EAN code;Meter;Volume;Unit\r\n"
    '22/10/2023;06:00:00;="123456879123456789";7MIT1;0,125;m³\r\n'
    '22/10/2023;06:00:00;="123456879123456789";7MIT1;1,404;kWh\r\n'
    '22/10/2023;07:00:00;="123456879123456789";7MIT1;0,000;m³\r\n'
)


def _chosen(path: Path, rows_at_once: int, only: tuple[str, str]) -> tuple[list[tuple[Any, ...]], int]:
    wanted = ("EAN code", "From (date)+From (time)", "Volume")
    progress = Progress()
    found = blocks(path, sniff(path, wanted, only=[only]), rows_at_once, progress)
    rows: list[tuple[Any, ...]] = [
        row for block, _ in found for row in zip(block.lines, block.devices, block.values, strict=True)
    ]
    return rows, progress.left_out


@pytest.mark.parametrize("rows_at_once", [1, 2, 100])
def test_rows_of_another_unit_are_left_out_and_counted(tmp_path: Path, rows_at_once: int) -> None:
    """An export with cubic metres and kilowatt hours in turn: one is chosen, no block of others ends it."""
    path = tmp_path / "fluvius.csv"
    path.write_text(_FLUVIUS, encoding="utf-8")
    rows, left_out = _chosen(path, rows_at_once, ("Unit", "m³"))
    assert rows == [(2, "123456879123456789", "0,125"), (4, "123456879123456789", "0,000")]
    assert left_out == 1
    assert _chosen(path, rows_at_once, ("EAN code", "123456879123456789"))[1] == 0
    assert _chosen(path, rows_at_once, ("Unit", "ft³")) == ([], 3)


def test_rows_are_chosen_in_parquet_too(tmp_path: Path) -> None:
    """By value, as text; their numbers are those of the file."""
    path = tmp_path / "a.parquet"
    pl.DataFrame({"time": [1704063600, 1704067200], "register": [1.0, 2.0], "tariff": [1, 2]}).write_parquet(path)
    progress = Progress()
    sniffed = sniff(path, (None, None, None), one_device="M-7", only=[("tariff", "2")])
    ((block, _),) = blocks(path, sniffed, 10, progress)
    assert list(zip(block.lines, block.devices, block.times, block.values, strict=True)) == [
        (2, "M-7", "1704067200", 2.0)
    ]
    assert progress.left_out == 1


def test_a_file_of_one_meter_needs_no_column_for_it(tmp_path: Path) -> None:
    """The device is given once; without it the refusal says so."""
    path = tmp_path / "home.csv"
    path.write_text("unix_ts,reading\n1704063600,0.032\n")
    with pytest.raises(HistoryRefused, match="or give --device"):
        sniff(path, (None, "unix_ts", None))
    ((block, _),) = blocks(path, sniff(path, (None, "unix_ts", None), one_device="M-7"), 10, Progress())
    assert (list(block.devices), list(block.values)) == (["M-7"], ["0.032"])
