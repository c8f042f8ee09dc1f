"""Figures of inspections: spans, unknown rates, the picture."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from inspections.report_figures import Every, ReportQuery, period_starts, report_csv, report_of
from inspections.report_plot import draw_report, plot_report

JANUARY = date(2026, 1, 1)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"year": 2026, "since": JANUARY, "until": JANUARY},
        {"since": JANUARY},
        {"since": date(2026, 2, 1), "until": JANUARY},
    ],
)
def test_span_is_a_year_or_two_days(given: dict[str, Any]) -> None:
    """Neither, both, half of one, or a span that ends before it begins: refused."""
    with pytest.raises(ValidationError):
        ReportQuery.model_validate(given)


def test_counts_of_several_queries_make_one_line() -> None:
    """Rows of the same period and part are joined; a part that only has hazards has a line too."""
    rows = [
        {"begins_on": JANUARY, "part": "D01", "planned": 4, "planned_visited": 3, "planned_entered": 1},
        {"begins_on": JANUARY, "part": "D01", "visited": 3, "entered": 1},
    ]
    hazard = {
        "grade": 1,
        "code": "leak",
        "found": 2,
        "notified": 2,
        "rectified": 1,
        "rectified_on_time": 0,
        "overdue": 1,
    }
    report = report_of(ReportQuery(year=2026, by="district"), rows, [hazard | {"begins_on": JANUARY, "part": "D02"}])
    first, second = report.lines
    assert (first.part, first.completion_rate, first.entry_rate, first.coverage_rate) == ("D01", 0.75, 0.3333, None)
    assert (second.part, second.hazards_found, second.rectified_rate, second.entry_rate) == ("D02", 2, 0.5, None)
    assert (report.total.planned, report.total.hazards_overdue) == (4, 1)


def test_names_are_no_formulas() -> None:
    """A station called like a formula is text in a spreadsheet."""
    rows = [{"begins_on": JANUARY, "part": "=cmd()", "visited": 1, "entered": 1}]
    assert "'=cmd()" in report_csv(report_of(ReportQuery(year=2026, by="station"), rows, []))


def test_picture_is_drawn(tmp_path: Path) -> None:
    """A report becomes a picture of the kind that the file's ending names; nothing at all can be drawn too."""
    rows = [
        {"begins_on": date(2026, month, 1), "part": "", "planned": 9, "visited": 8, "entered": month}
        for month in range(1, 9)
    ]
    plot_report(report_of(ReportQuery(year=2026, every="month"), rows, []), tmp_path / "year.png")
    assert (tmp_path / "year.png").read_bytes()[:4] == b"\x89PNG"
    plot_report(report_of(ReportQuery(year=2026), [], []), tmp_path / "nothing.svg")
    assert "<svg" in (tmp_path / "nothing.svg").read_text("utf-8")


@pytest.mark.parametrize("months", [1, 12])
def test_no_legend_lies_on_a_bar(months: int) -> None:
    """Bars as high as they get, in every period: the legends are drawn beside all of them."""
    full = {"planned": 9, "visited": 9, "entered": 9}
    rows = [{"begins_on": date(2026, month, 1), "part": ""} | full for month in range(1, months + 1)]
    hazard = {"grade": 1, "code": "leak", "part": "", "found": 9, "notified": 9, "rectified": 9}
    hazards = [hazard | {"begins_on": row["begins_on"], "rectified_on_time": 9, "overdue": 9} for row in rows]
    figure = draw_report(report_of(ReportQuery(year=2026, every="month"), rows, hazards))
    figure.draw_without_rendering()
    for axes in figure.axes:
        legend = axes.get_legend()
        assert legend is not None
        assert not any(legend.get_window_extent().overlaps(bar.get_window_extent()) for bar in axes.patches)


@pytest.mark.parametrize(
    ("every", "starts"),
    [
        ("day", [date(2025, 12, 31), JANUARY, date(2026, 1, 2)]),
        ("week", [date(2025, 12, 29)]),
        ("month", [date(2025, 12, 1), JANUARY]),
        ("year", [date(2025, 1, 1), JANUARY]),
    ],
)
def test_periods_begin_on_mondays_firsts_and_new_years_days(every: Every, starts: list[date]) -> None:
    """Every period that three days over a new year touch, the first from its own beginning."""
    assert period_starts(ReportQuery(since=date(2025, 12, 31), until=date(2026, 1, 2), every=every)) == starts
