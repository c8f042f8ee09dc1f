"""Figures of inspections from counts: lines by period and part, rates, totals. Pure.

docs/reports.md defines each figure.

*Visited* and *entered* are never mixed, and a rate over nothing is unknown, not zero.
"""

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from inspections.answers import Shape

Part = Literal["all", "district", "compound", "class", "station", "inspector"]
Every = Literal["day", "week", "month", "year"]
COUNTS = (
    "planned", "planned_visited", "planned_entered", "visited", "entered", "partial", "no_access", "refused", "due",
    "covered", "covered_on_time", "hazards_found", "hazards_notified", "hazards_rectified",
    "hazards_rectified_on_time", "hazards_overdue",
)  # fmt: skip
Kind = Literal["planned", "visited", "due"]
_DUE = frozenset({"due", "covered", "covered_on_time"})


@dataclass(frozen=True, slots=True)
class Changed:
    """A local day whose figures of one kind changed since they were counted."""

    kind: Kind
    day: date


def split_kinds(changed: Iterable[Changed]) -> dict[str, list[date]]:
    """The days kind by kind, named as the statements that count them take them."""
    split: dict[str, list[date]] = {"planned_on": [], "visited_on": [], "due_on": []}
    for one in changed:
        split[f"{one.kind}_on"].append(one.day)
    return split


class ReportQuery(Shape):
    """Which figures: a year, or days from `since` up to and including `until`."""

    year: int | None = Field(None, ge=2000, le=2199, description="A calendar year, instead of since and until.")
    since: date | None = Field(None, description="First local day.")
    until: date | None = Field(None, description="Last local day.")
    by: Part = Field("all", description="What the figures are told apart by.")
    every: Every = Field("year", description="Length of a period; weeks begin on Monday.")
    format: Literal["json", "csv"] = "json"

    @model_validator(mode="after")
    def _one_span(self) -> Self:
        given = (self.since is not None, self.until is not None)
        if (self.year is not None) == any(given) or any(given) != all(given):
            raise ValueError("give either year, or since and until")
        if self.since is not None and self.until is not None and self.until < self.since:
            raise ValueError("until must not be before since")
        return self

    def days(self) -> tuple[date, date]:
        """First and last local day of the span."""
        if self.year is not None:
            return date(self.year, 1, 1), date(self.year, 12, 31)
        assert self.since is not None and self.until is not None  # noqa: PT018 - what the validator made sure of
        return self.since, self.until


class HazardLine(Shape):
    """Hazards of one grade and code."""

    begins_on: date
    part: str
    grade: int
    code: str
    found: int
    notified: int
    rectified: int
    rectified_on_time: int
    overdue: int


class ReportLine(Shape):
    """The figures of one part in one period; null: not known for this part, or a rate over nothing."""

    begins_on: date | None = Field(description="First day of the period; null: the whole span.")
    part: str
    planned: int
    planned_visited: int
    planned_entered: int
    visited: int
    entered: int
    partial: int
    no_access: int
    refused: int
    due: int | None
    covered: int | None
    covered_on_time: int | None
    hazards_found: int
    hazards_notified: int
    hazards_rectified: int
    hazards_rectified_on_time: int
    hazards_overdue: int
    completion_rate: float | None = Field(description="planned_visited / planned")
    entry_rate: float | None = Field(description="entered / visited")
    coverage_rate: float | None = Field(description="covered / due")
    notified_rate: float | None = Field(description="hazards_notified / hazards_found")
    rectified_rate: float | None = Field(description="hazards_rectified / hazards_found")
    rectified_on_time_rate: float | None = Field(description="hazards_rectified_on_time / hazards_found")


class InspectionReport(Shape):
    """Figures of a span of local days."""

    since: date
    until: date
    by: Part
    every: Every
    lines: list[ReportLine]
    total: ReportLine
    hazards: list[HazardLine]


def period_starts(query: ReportQuery) -> list[date]:
    """The first day of every period that the span touches; that of the first period may lie before the span."""
    first, last = query.days()
    return sorted({_start_of(first + timedelta(days=n), query.every) for n in range((last - first).days + 1)})


def _start_of(day: date, every: Every) -> date:
    match every:
        case "day":
            return day
        case "week":
            return day - timedelta(days=day.weekday())
        case "month":
            return day.replace(day=1)
        case "year":
            return day.replace(month=1, day=1)


def report_of(
    query: ReportQuery, counted: Iterable[Mapping[str, Any]], hazards: Iterable[Mapping[str, Any]]
) -> InspectionReport:
    """Join counts (rows of any of the figures' queries) and hazards into lines by period and part."""
    found = sorted(
        (HazardLine.model_validate(dict(row)) for row in hazards),
        key=lambda one: (one.begins_on, one.part, one.grade, one.code),
    )
    sums: dict[tuple[date, str], dict[str, int]] = {}
    for row in counted:
        line = sums.setdefault((row["begins_on"], row["part"]), dict.fromkeys(COUNTS, 0))
        for name in COUNTS:
            line[name] += row.get(name) or 0
    for hazard in found:
        line = sums.setdefault((hazard.begins_on, hazard.part), dict.fromkeys(COUNTS, 0))
        for name in ("found", "notified", "rectified", "rectified_on_time", "overdue"):
            line[f"hazards_{name}"] += getattr(hazard, name)
    knows_due = query.by not in {"station", "inspector"}
    lines = [_line(begins_on, part, sums[begins_on, part], knows_due=knows_due) for begins_on, part in sorted(sums)]
    whole = {name: sum(counts[name] for counts in sums.values()) for name in COUNTS}
    since, until = query.days()
    total = _line(None, "", whole, knows_due=knows_due)
    return InspectionReport(
        since=since, until=until, by=query.by, every=query.every, lines=lines, total=total, hazards=found
    )


def _line(begins_on: date | None, part: str, counts: Mapping[str, int], *, knows_due: bool) -> ReportLine:
    known: dict[str, int | None] = {name: counts[name] if knows_due or name not in _DUE else None for name in COUNTS}
    return ReportLine(
        begins_on=begins_on,
        part=part,
        **known,
        completion_rate=_rate(known["planned_visited"], known["planned"]),
        entry_rate=_rate(known["entered"], known["visited"]),
        coverage_rate=_rate(known["covered"], known["due"]),
        notified_rate=_rate(known["hazards_notified"], known["hazards_found"]),
        rectified_rate=_rate(known["hazards_rectified"], known["hazards_found"]),
        rectified_on_time_rate=_rate(known["hazards_rectified_on_time"], known["hazards_found"]),
    )


def _rate(part: int | None, whole: int | None) -> float | None:
    return None if part is None or not whole else round(part / whole, 4)


def report_csv(report: InspectionReport) -> str:
    """The lines and the total (without a period) as CSV; what is unknown is empty."""
    out = io.StringIO()
    names = list(ReportLine.model_fields)
    writer = csv.writer(out)
    writer.writerow(names)
    for line in (*report.lines, report.total):
        writer.writerow(["" if (value := getattr(line, name)) is None else _safe(value) for name in names])
    return out.getvalue()


def _safe(value: object) -> object:
    """Text that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in {"=", "+", "-", "@", "\t", "\r"} else value
