"""From bound messages to rows: tuples for a report's own moment, a binary COPY stream for the frozen hours."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain

import numpy as np
import numpy.typing as npt

from ingest.model import Bound, BoundReport, Report

READING_COLUMNS = (
    "device_id", "at", "index_ml", "flow_lh", "pressure_pa", "temperature_c", "lel_pct", "battery_mv", "rsrp_dbm",
    "seq", "reason", "status", "flags", "batch_id",
)  # fmt: skip
STAGED_COLUMNS = ("message", "ordinal", *READING_COLUMNS[:-1])
FROZEN_COLUMNS = ("device_id", "at", "index_ml", "flags", "batch_id")

_HOUR = timedelta(hours=1)
_HOUR_US = 3_600_000_000
_POSTGRES_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_COPY_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_COPY_TRAILER = b"\xff\xff"
# One row of FROZEN_COLUMNS as binary COPY has it: the number of fields, then length and big-endian value of each.
_FROZEN_ROW = np.dtype(
    [
        ("fields", ">i2"),
        ("device_bytes", ">i4"), ("device_id", ">i4"),
        ("at_bytes", ">i4"), ("at", ">i8"),
        ("index_bytes", ">i4"), ("index_ml", ">i8"),
        ("flags_bytes", ">i4"), ("flags", ">i4"),
        ("batch_bytes", ">i4"), ("batch_id", ">i8"),
    ]
)  # fmt: skip
_FROZEN_TEMPLATE = np.zeros((), _FROZEN_ROW)
for _name, _value in (
    ("fields", 5), ("device_bytes", 4), ("at_bytes", 8), ("index_bytes", 8), ("flags_bytes", 4), ("batch_bytes", 8),
):  # fmt: skip
    _FROZEN_TEMPLATE[_name] = _value

_UNKNOWN = -1  # stands for an unknown frozen value inside the arrays; a register is never negative


def own_records(bounds: Sequence[Bound], batch_id: int) -> list[tuple[object, ...]]:
    """One record of READING_COLUMNS per report, for its own moment."""
    return [(*_own_values(one), batch_id) for bound in bounds for one in bound.reports]


def staged_records(bounds: Sequence[Bound]) -> list[tuple[object, ...]]:
    """Every row of every report as STAGED_COLUMNS, in order: own moment first, then the known frozen hours."""
    records: list[tuple[object, ...]] = []
    for bound in bounds:
        for one in bound.reports:
            records.append((bound.number, len(records), *_own_values(one)))
            for at, index_ml, flags in _frozen_values(one):
                blanks = (None,) * 9
                records.append((bound.number, len(records), one.device.device_id, at, index_ml, *blanks, flags))
    return records


def frozen_copy(bounds: Sequence[Bound], batch_id: int) -> tuple[bytes | bytearray, int]:
    """The known frozen hours of all reports as one binary COPY stream of FROZEN_COLUMNS, and their number.

    A frozen hour that falls on the report's own moment with the same register is that same reading: left out.
    """
    reports = [one for bound in bounds for one in bound.reports if one.report.frozen_ml]
    if not reports:
        return b"", 0
    counts = np.array([len(one.report.frozen_ml) for one in reports])
    stream, rows = _blank_stream(int(counts.sum()))
    rows["device_id"] = np.repeat([one.device.device_id for one in reports], counts)
    rows["at"] = _frozen_moments_us(reports, counts)
    rows["index_ml"] = _flat_values(reports)
    if any(one.frozen_flags for one in reports):
        rows["flags"] = list(chain.from_iterable(_marks(one) for one in reports))
    rows["batch_id"] = batch_id
    known = rows["index_ml"] != _UNKNOWN
    if known.all():
        return stream, len(rows)
    rows = rows[known]
    return b"".join((_COPY_HEADER, rows.tobytes(), _COPY_TRAILER)), len(rows)


def _blank_stream(count: int) -> tuple[bytearray, npt.NDArray[np.void]]:
    """A COPY stream of so many rows that say nothing yet, and the rows inside it, to be written in place.

    In place, because a copy of the megabytes of a batch costs more than all that is written into them.
    """
    stream = bytearray(len(_COPY_HEADER) + count * _FROZEN_ROW.itemsize + len(_COPY_TRAILER))
    stream[: len(_COPY_HEADER)] = _COPY_HEADER
    stream[-len(_COPY_TRAILER) :] = _COPY_TRAILER
    size = count * _FROZEN_ROW.itemsize
    row_bytes = np.frombuffer(stream, np.uint8, size, len(_COPY_HEADER)).reshape(count, _FROZEN_ROW.itemsize)
    row_bytes[:] = np.frombuffer(_FROZEN_TEMPLATE.tobytes(), np.uint8)
    return stream, row_bytes.reshape(-1).view(_FROZEN_ROW)


def row_count(bounds: Sequence[Bound]) -> int:
    """How many reading rows these messages have."""
    return sum(1 + sum(1 for _ in _frozen_values(one)) for bound in bounds for one in bound.reports)


def span(bounds: Sequence[Bound]) -> tuple[datetime, datetime] | None:
    """The earliest and the latest device time of these messages' readings; None without any."""
    moments: list[datetime] = []
    for bound in bounds:
        for one in bound.reports:
            report = one.report
            moments.append(report.at)
            if report.frozen_from is not None:
                moments.append(report.frozen_from + _HOUR)
                moments.append(report.frozen_from + len(report.frozen_ml) * _HOUR)
    return (min(moments), max(moments)) if moments else None


def _own_values(one: BoundReport) -> tuple[object, ...]:
    report = one.report
    return (
        one.device.device_id, report.at, report.index_ml, report.flow_lh, report.pressure_pa, report.temperature_c,
        report.lel_pct, report.battery_mv, report.rsrp_dbm, report.seq, report.reason, report.status, one.flags,
    )  # fmt: skip


def _frozen_values(one: BoundReport) -> list[tuple[datetime, int, int]]:
    report = one.report
    if report.frozen_from is None:
        return []
    return [
        (report.frozen_from + (position + 1) * _HOUR, value, marks)
        for position, (value, marks) in enumerate(zip(report.frozen_ml, _marks(one), strict=True))
        if value is not None and not _is_own(report, position)
    ]


def _marks(one: BoundReport) -> tuple[int, ...]:
    return one.frozen_flags or (0,) * len(one.report.frozen_ml)


def _is_own(report: Report, position: int) -> bool:
    """Whether a frozen hour is the report's own reading over again."""
    return (
        report.frozen_from is not None
        and report.frozen_ml[position] == report.index_ml
        and report.frozen_from + (position + 1) * _HOUR == report.at
    )


def _flat_values(reports: list[BoundReport]) -> npt.NDArray[np.int64]:
    return np.array(list(chain.from_iterable(_known_or_marker(one.report) for one in reports)), np.int64)


def _known_or_marker(report: Report) -> Sequence[int]:
    """Frozen values with _UNKNOWN where one is unknown or is the report's own reading."""
    at, start = report.at, report.frozen_from
    apart = start is not None and (at.second != start.second or at.minute != start.minute)
    if apart and None not in report.frozen_ml:
        return report.frozen_ml  # type: ignore[return-value]
    return [
        _UNKNOWN if value is None or _is_own(report, position) else value
        for position, value in enumerate(report.frozen_ml)
    ]


def _frozen_moments_us(reports: list[BoundReport], counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Microseconds since PostgreSQL's epoch of every frozen hour, report after report."""
    starts = np.array([(one.report.frozen_from - _POSTGRES_EPOCH) // timedelta(microseconds=1) for one in reports])  # type: ignore[operator]
    ends = np.cumsum(counts)
    position = np.arange(int(ends[-1])) - np.repeat(ends - counts, counts)
    moments: npt.NDArray[np.int64] = np.repeat(starts, counts) + (position + 1) * _HOUR_US
    return moments
