"""From bound messages to rows: the fast encoding says the same as the plain one."""

import struct
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from ingest.formats import read_message
from ingest.model import Bound, BoundReport, Device, Gateway, Report
from ingest.rows import frozen_copy, own_records, row_count, span, staged_records

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MESSAGE = read_message("gas/v1/D/G/readings", b"{", datetime(2026, 11, 20, tzinfo=UTC))
_GATEWAY = Gateway(1, "G", "D")


def _bound(number: int, report: Report, frozen_flags: tuple[int, ...] = ()) -> Bound:
    one = BoundReport(Device(100 + number, 1), report, 0, frozen_flags)
    return Bound(number, _MESSAGE, _GATEWAY, False, (one,))


def _decode(stream: bytes | bytearray) -> list[tuple[int, datetime, int, int, int]]:
    """Read a binary COPY stream of (device_id, at, index_ml, flags, batch_id) by the book."""
    if not stream:
        return []
    assert stream[:11] == b"PGCOPY\n\xff\r\n\0"
    place, rows = 19, []
    while struct.unpack_from(">h", stream, place)[0] != -1:
        fields, *values = struct.unpack_from(">hiiiqiqiiiq", stream, place)
        assert (fields, values[0::2]) == (5, [4, 8, 8, 4, 8])
        device, at, index, flags, batch = values[1::2]
        rows.append((device, _EPOCH + timedelta(microseconds=at), index, flags, batch))
        place += struct.calcsize(">hiiiqiqiiiq")
    assert place + 2 == len(stream)
    return rows


_REPORTS = st.lists(
    st.builds(
        lambda hours, at_hours, index, start: Report(
            "M",
            1,
            _EPOCH + start + timedelta(hours=at_hours),
            index,
            frozen_from=_EPOCH + start,
            frozen_ml=tuple(hours),
        ),
        hours=st.lists(st.none() | st.integers(0, 10**15), min_size=1, max_size=24),
        at_hours=st.integers(0, 30),
        index=st.none() | st.integers(0, 3),
        start=st.timedeltas(timedelta(days=6000), timedelta(days=9000)),
    ),
    max_size=5,
)


@given(reports=_REPORTS)
def test_the_binary_stream_says_what_the_staged_records_say(reports: list[Report]) -> None:
    """Frozen rows of both ways are the same, unknown hours and repeats of the own reading left out of both."""
    bounds = [_bound(n, report, tuple(range(len(report.frozen_ml)))) for n, report in enumerate(reports)]
    stream, count = frozen_copy(bounds, 77)
    decoded = _decode(stream)
    staged = staged_records(bounds)
    plain = [(row[2], row[3], row[4], row[14], 77) for row in staged if row[11] is None]
    assert decoded == plain
    assert count == len(plain)
    assert len(own_records(bounds, 77)) + count == row_count(bounds) == len(staged)


def test_the_own_moment_stands_first_and_ordinals_count_up() -> None:
    """In staging the first of equals wins: the report's own row before its frozen hours."""
    report = Report("M", 9, _EPOCH + timedelta(hours=5), 30, frozen_from=_EPOCH, frozen_ml=(10, 20))
    staged = staged_records([_bound(4, report)])
    assert [row[:4] for row in staged] == [
        (4, 0, 104, _EPOCH + timedelta(hours=5)),
        (4, 1, 104, _EPOCH + timedelta(hours=1)),
        (4, 2, 104, _EPOCH + timedelta(hours=2)),
    ]


def test_a_frozen_hour_that_is_the_own_reading_is_no_second_row() -> None:
    """A report made on the full hour carries its own register as the last frozen value."""
    report = Report("M", 9, _EPOCH + timedelta(hours=2), 20, frozen_from=_EPOCH, frozen_ml=(10, 20))
    assert frozen_copy([_bound(0, report)], 1)[1] == 1


def test_an_own_reading_on_no_full_hour_is_told_from_its_twin_too() -> None:
    """Some formats count hours from any minute: the report's own register at the last of them is one row as well."""
    start = _EPOCH + timedelta(minutes=17)
    report = Report("M", 9, start + timedelta(hours=2), 20, frozen_from=start, frozen_ml=(10, 20))
    assert frozen_copy([_bound(0, report)], 1)[1] == 1


def test_another_register_on_the_own_moment_is_kept_apart() -> None:
    """A contradiction inside a report stays visible: two rows, of which one will be a conflict."""
    report = Report("M", 9, _EPOCH + timedelta(hours=2), 21, frozen_from=_EPOCH, frozen_ml=(10, 20))
    assert frozen_copy([_bound(0, report)], 1)[1] == 2


def test_the_span_covers_own_moments_and_frozen_hours() -> None:
    """Readers of the batch learn which device time it touched."""
    report = Report("M", 9, _EPOCH + timedelta(hours=30), 21, frozen_from=_EPOCH, frozen_ml=(10, 20))
    assert span([_bound(0, report)]) == (_EPOCH + timedelta(hours=1), _EPOCH + timedelta(hours=30))
    assert span([]) is None
