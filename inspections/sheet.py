"""A roster as CSV, for printing and spreadsheets."""

import csv
import io
from zoneinfo import ZoneInfo

from inspections.answers import OneRosterAnswer, VisitAnswer

_COLUMNS = (
    "position", "arrive", "leave", "travel_min", "premises", "address", "unit", "floor", "user_class", "contact_name",
    "contact_phone", "mandatory", "reasons", "result", "visit_id",
)  # fmt: skip


def roster_csv(roster: OneRosterAnswer, zone: ZoneInfo) -> str:
    """One line a visit, times as the city's wall clock shows them, reasons separated by semicolons."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(_COLUMNS)
    for visit in roster.visits:
        writer.writerow(_line(visit, zone))
    return out.getvalue()


def _line(visit: VisitAnswer, zone: ZoneInfo) -> list[object]:
    return [
        visit.position,
        visit.arrive_at.astimezone(zone).strftime("%H:%M"),
        visit.leave_at.astimezone(zone).strftime("%H:%M"),
        -(-visit.travel_s // 60),
        _text(visit.premises),
        _text(visit.address),
        _text(visit.unit),
        visit.floor,
        visit.user_class,
        _text(visit.contact_name),
        _text(visit.contact_phone),
        "yes" if visit.mandatory else "no",
        _text("; ".join(visit.reasons)),
        visit.result or "",
        visit.visit_id,
    ]


def _text(value: str | None) -> str:
    """Text that no spreadsheet takes for a formula; a telephone number may begin with a plus sign."""
    if value is None:
        return ""
    number = value[1:].replace(" ", "").replace("-", "").isdigit()
    return f"'{value}" if value[:1] in {"=", "@", "\t", "\r"} or (value[:1] in {"+", "-"} and not number) else value
