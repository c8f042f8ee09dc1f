"""Marks on the values of one report: what cannot be meant as it stands. A mark never changes a value."""

from datetime import timedelta
from itertools import pairwise

from ingest.model import Device, Flag, Report, Status

_BEYOND_QMAX_FACTOR = 2.0
_HOUR = timedelta(hours=1)
# Plain numbers, as in model.UNKNOWN_VALUE.
_SAYS_CLOCK_UNSURE, _SAYS_POWER_WAS_LOST = int(Status.CLOCK_UNSURE), int(Status.POWER_WAS_LOST)
_MARK_CLOCK_UNSURE = int(Flag.CLOCK_UNSURE)
_NOT_MEASURED = int(Flag.PAST_MEMORY | Flag.BACKFILLED)


def mark_report(report: Report, device: Device) -> tuple[int, tuple[int, ...]]:
    """Marks of the report's own row, and of each frozen value (empty when none has any).

    Rules and their words are in docs/payloads.md, "What we mark, and never change".
    """
    base = report.marks | (_MARK_CLOCK_UNSURE if (report.status or 0) & _SAYS_CLOCK_UNSURE else 0)
    values = report.frozen_ml
    if not values:
        return base, ()
    if not base and _is_plain(report, device):
        return 0, ()
    marks = [base] * len(values)
    _mark_past_memory(report, marks)
    _mark_backfilled(report, marks)
    own_marks = base | _mark_steps(report, device, marks)
    return own_marks, tuple(marks) if any(marks) else ()


def _is_plain(report: Report, device: Device) -> bool:
    """The common case, decided quickly: everything known, rising, in reach of Qmax, no power loss."""
    values = report.frozen_ml
    if None in values or (report.status or 0) & _SAYS_POWER_WAS_LOST:
        return False
    known: list[int] = list(values)  # type: ignore[arg-type]
    if known[0] == 0 and report.index_ml:
        return False
    limit = _hourly_limit_ml(device)
    for before, after in pairwise(known):
        if after < before or after - before > limit:
            return False
    return report.index_ml is None or report.index_ml >= known[-1]


def _hourly_limit_ml(device: Device) -> float:
    return float("inf") if device.qmax_lh is None else device.qmax_lh * _BEYOND_QMAX_FACTOR * 1000.0


def _mark_past_memory(report: Report, marks: list[int]) -> None:
    if not report.index_ml:
        return
    for position, value in enumerate(report.frozen_ml):
        if value == 0:
            marks[position] |= Flag.PAST_MEMORY


def _mark_backfilled(report: Report, marks: list[int]) -> None:
    if not (report.status or 0) & _SAYS_POWER_WAS_LOST:
        return
    values = report.frozen_ml
    for position, value in enumerate(values):
        equal_before = position > 0 and values[position - 1] == value
        equal_after = position + 1 < len(values) and values[position + 1] == value
        if value is not None and (equal_before or equal_after):
            marks[position] |= Flag.BACKFILLED


def _mark_steps(report: Report, device: Device, marks: list[int]) -> int:
    """Mark falls below an earlier unmarked value, and steps beyond Qmax; return the mark of the own value."""
    highest: int | None = None
    last: tuple[int, int] | None = None
    limit = _hourly_limit_ml(device)
    for position, value in enumerate(report.frozen_ml):
        if value is None or marks[position] & _NOT_MEASURED:
            continue
        if last is not None and value - last[1] > limit * (position - last[0]):
            marks[position] |= Flag.BEYOND_QMAX
        elif highest is not None and value < highest and not _wrapped(highest, value, device, limit * len(marks)):
            marks[position] |= Flag.BACKWARDS
        else:
            highest, last = value, (position, value)
    own = report.index_ml
    if own is None or highest is None or report.frozen_from is None:
        return 0
    follows = report.at >= report.frozen_from + len(report.frozen_ml) * _HOUR
    wrapped = own < highest and _wrapped(highest, own, device, float("inf"))
    return int(Flag.BACKWARDS) if follows and own < highest and not wrapped else 0


def _wrapped(before: int, after: int, device: Device, reach_ml: float) -> bool:
    """Whether a fall of the register is its return to zero: possible only where the wrap is known and near."""
    wrap = device.register_wrap_ml
    return wrap is not None and before < wrap and after + wrap - before <= min(reach_ml, wrap / 2)
