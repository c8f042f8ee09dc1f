"""Marks on the values of one report: each rule of the specification, and the quick path equal to the slow one."""

from datetime import UTC, datetime, timedelta
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest import marks
from ingest.marks import mark_report
from ingest.model import Device, Flag, Report

_FROM = datetime(2026, 11, 19, tzinfo=UTC)
_METER = Device(1, 1, qmax_lh=6.0)  # twice 6 L/h: 12,000 mL an hour at most


def _report(*hours: int | None, index: int | None = 100_000, status: int | None = 0) -> Report:
    return Report("M-1", 1, _FROM + timedelta(days=1), index, status=status, frozen_from=_FROM, frozen_ml=hours)


def test_a_plain_report_has_no_marks() -> None:
    """Rising values in reach of Qmax stay unmarked."""
    assert mark_report(_report(10_000, 20_000, 20_000, 32_000), _METER) == (0, ())


def test_a_fall_is_marked_until_the_register_is_back() -> None:
    """Each value below an earlier unmarked one is marked."""
    assert mark_report(_report(10_000, 20_000, 19_000, 19_500, 21_000), _METER)[1] == (0, 0, 4, 4, 0)


def test_a_spike_is_marked_and_does_not_make_what_follows_a_fall() -> None:
    """The value beyond Qmax is marked; those after it are compared with the last unmarked one."""
    assert mark_report(_report(10_000, 90_000, 12_000, 13_000), _METER)[1] == (0, 8, 0, 0)


def test_a_step_over_unknown_hours_may_be_as_long_as_they_are() -> None:
    """Three hours may bring three times the flow; a millilitre more is marked."""
    assert mark_report(_report(10_000, None, None, 46_000), _METER) == (0, ())
    assert mark_report(_report(10_000, None, None, 46_001), _METER)[1] == (0, 0, 0, 8)


def test_equal_values_after_a_power_loss_are_marked_as_filled() -> None:
    """With status bit 9 every run of two or more equal values is unknown; a single one is believed."""
    assert mark_report(_report(1000, 5000, 5000, 5000, 6000, status=512), _METER)[1] == (0, 1, 1, 1, 0)


def test_equal_values_without_a_power_loss_are_no_use_of_gas() -> None:
    """A household asleep is not a power loss."""
    assert mark_report(_report(5000, 5000, 5000), _METER) == (0, ())


def test_zero_is_beyond_memory_when_the_register_is_above_zero() -> None:
    """A meter that counts does not have zero in its memory; a new meter does."""
    assert mark_report(_report(0, 0, 99_000), _METER)[1] == (2, 2, 0)
    assert mark_report(_report(0, 0, index=0), _METER) == (0, ())


def test_an_unsure_clock_marks_everything() -> None:
    """Status bit 8 marks the report's own value and each frozen one."""
    assert mark_report(_report(1000, 2000, status=256), _METER) == (16, (16, 16))


def test_the_own_value_below_the_frozen_hours_is_marked() -> None:
    """The report's own register may not lie below what its day had reached."""
    assert mark_report(_report(10_000, 20_000, index=15_000), _METER) == (4, ())


def test_a_known_wrap_near_its_end_is_no_fall() -> None:
    """A register that returns to zero at a million may; without a known wrap it may not."""
    wrapping = Device(1, 1, qmax_lh=6.0, register_wrap_ml=1_000_000)
    report = _report(990_000, 999_000, 5_000, index=9_000)
    assert mark_report(report, wrapping) == (0, ())
    assert mark_report(report, _METER)[1][2] == Flag.BACKWARDS


def test_without_a_qmax_no_step_is_too_large() -> None:
    """A device of unknown size is not judged by size."""
    assert mark_report(_report(1000, 90_000), Device(1, 1)) == (0, ())


@given(
    hours=st.lists(st.none() | st.integers(0, 60_000), min_size=1, max_size=24),
    index=st.none() | st.integers(0, 100_000),
    status=st.sampled_from([None, 0, 256, 512, 768]),
)
def test_the_quick_path_never_hides_a_mark(hours: list[int | None], index: int | None, status: int | None) -> None:
    """Marks are the same with and without the quick decision."""
    report = _report(*hours, index=index, status=status)
    quick = mark_report(report, _METER)
    with patch.object(marks, "_is_plain", return_value=False):
        assert mark_report(report, _METER) == quick


@pytest.mark.parametrize("value", [None, 0, 5])
def test_a_single_reading_has_only_the_mark_of_its_clock(value: int | None) -> None:
    """Without frozen hours there is nothing to compare with."""
    single = Report("M-1", 1, _FROM, value, status=256)
    assert mark_report(single, _METER) == (16, ())
