"""A roster on paper: the day at a glance, a sketch of the way, and a line for each door with room to write."""

from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from fpdf.enums import TableBordersLayout
from fpdf.fonts import FontFace

from inspections.answers import OneRosterAnswer, VisitAnswer
from inspections.model import Point
from inspections.printing.paper import BLUE, CHINESE_FONT, GREY, INK, PALE, RED, Paper
from inspections.printing.sketch import Box, Sketch, sketch_of, stops_of

_SKETCH_HEIGHT_MM = 92.0
_COLUMNS_MM = (9, 25, 62, 86)
_RESULT_BOXES = "[  ] passed  [  ] hazard  [  ] no access  [  ] refused   ___:___"


def roster_pdf(
    roster: OneRosterAnswer, start: Point, end: Point, zone: ZoneInfo, chinese_font: Path = CHINESE_FONT
) -> bytes:
    """The printable day; times on the city's wall clock. Raises FontMissing."""
    about = f"{roster.inspector} {roster.day.isoformat()} version {roster.version}"
    footer = (
        f"{about}, planned {roster.planned_at.astimezone(zone):%Y-%m-%d %H:%M}. Personal data: destroy after the day."
    )
    paper = Paper(f"Roster {about}", roster.planned_at, footer, chinese_font)
    paper.add_page()
    _head(paper, roster, zone)
    _draw(paper, roster, start, end)
    _table(paper, roster, zone)
    return paper.finished()


def _head(paper: Paper, roster: OneRosterAnswer, zone: ZoneInfo) -> None:
    paper.ink(16, "B")
    paper.cell(0, 8, f"{roster.name} ({roster.inspector})", new_x="LMARGIN", new_y="NEXT")
    paper.ink(11)
    paper.cell(
        0, 6, f"{roster.day:%A}, {roster.day.isoformat()}, version {roster.version}", new_x="LMARGIN", new_y="NEXT"
    )
    mandatory = sum(visit.mandatory for visit in roster.visits)
    promised = sum(visit.promised_from is not None for visit in roster.visits)
    buildings = len({(visit.compound, visit.building) for visit in roster.visits})
    pause = ""
    if roster.break_start_at is not None and roster.break_end_at is not None:
        pause = f", break {_clock(roster.break_start_at, zone)}-{_clock(roster.break_end_at, zone)}"
    paper.ink(9, colour=GREY)
    paper.line_of(
        f"leave {_clock(roster.leave_at, zone)}, back {_clock(roster.return_at, zone)}{pause}. "
        f"{len(roster.visits)} doors in {buildings} buildings, {mandatory} must, {promised} promised, "
        f"{-(-roster.travel_s // 60)} min of travel."
    )
    paper.ln(1)


def _draw(paper: Paper, roster: OneRosterAnswer, start: Point, end: Point) -> None:
    box = Box(paper.l_margin, paper.get_y(), paper.epw, _SKETCH_HEIGHT_MM)
    stops = stops_of(roster.visits)
    sketch = sketch_of([start, end, *(stop.point for stop in stops)], box)
    paper.set_draw_color(*PALE)
    paper.set_line_width(0.3)
    paper.rect(box.left, box.top, box.width, box.height)
    paper.set_auto_page_break(False)
    way = [sketch.place(point) for point in (start, *(stop.point for stop in stops), end)]
    paper.set_draw_color(*BLUE)
    paper.set_line_width(0.45)
    paper.polyline(way)
    if start != end:
        _mark_end(paper, sketch, end, "end")
    _mark_end(paper, sketch, start, "start" if start != end else "start, end")
    taken: list[tuple[float, float]] = []
    for stop in stops:
        _mark_stop(paper, sketch.place(stop.point), stop.label, RED if stop.mandatory else BLUE, taken)
    _name_compounds(paper, sketch, roster, taken)
    _scale(paper, sketch)
    paper.set_auto_page_break(True, 16)
    paper.set_y(box.top + box.height + 3)


def _mark_end(paper: Paper, sketch: Sketch, point: Point, word: str) -> None:
    x, y = sketch.place(point)
    paper.set_fill_color(*INK)
    paper.rect(x - 1.3, y - 1.3, 2.6, 2.6, style="F")
    paper.ink(7, "B")
    paper.mark(x + 2.2, y + 3.2, word)


def _mark_stop(
    paper: Paper, at: tuple[float, float], label: str, colour: tuple[int, int, int], taken: list[tuple[float, float]]
) -> None:
    """A dot at the building and its numbers beside, moved down while another label is there already."""
    x, y = at
    paper.set_fill_color(*colour)
    paper.circle(x, y, 1.0, style="F")
    paper.ink(7.5, "B", colour)
    width = paper.get_string_width(label) + 0.8
    left, line = x + 1.4, y + 0.9
    while any(abs(line - other_line) < 3.0 and abs(left - other_left) < width + 1 for other_left, other_line in taken):
        line += 3.0
    taken.append((left, line))
    paper.mark(left, line, label)


def _name_compounds(paper: Paper, sketch: Sketch, roster: OneRosterAnswer, taken: list[tuple[float, float]]) -> None:
    by_name: dict[str, list[Point]] = {}
    for visit in roster.visits:
        by_name.setdefault(visit.compound, []).append(Point(visit.latitude, visit.longitude))
    for name, points in by_name.items():
        places = [sketch.place(point) for point in points]
        paper.ink(8, colour=GREY)
        width = paper.get_string_width(name)
        x = sum(place[0] for place in places) / len(places) - width / 2
        y = max(min(place[1] for place in places) - 3.0, sketch.box.top + 4)
        while any(abs(y - line) < 3.2 and x - 8 < left < x + width for left, line in taken) and y > sketch.box.top + 4:
            y -= 3.0
        x = min(max(x, sketch.box.left + 1), sketch.box.left + sketch.box.width - width - 1)
        taken.append((x, y))
        paper.mark(x, y, name)


def _scale(paper: Paper, sketch: Sketch) -> None:
    metres, width = sketch.scale_bar(30.0)
    right, base = sketch.box.left + sketch.box.width - 4, sketch.box.top + sketch.box.height - 4
    paper.set_draw_color(*GREY)
    paper.line(right - width, base, right, base)
    paper.line(right - width, base - 1, right - width, base + 1)
    paper.line(right, base - 1, right, base + 1)
    paper.ink(7, colour=GREY)
    shown = f"{metres // 1000} km" if metres >= 1000 else f"{metres} m"
    paper.mark(right - width / 2 - paper.get_string_width(shown) / 2, base - 1.2, shown)
    paper.mark(sketch.box.left + sketch.box.width - 6, sketch.box.top + 9, "N")
    paper.line(
        sketch.box.left + sketch.box.width - 5,
        sketch.box.top + 6,
        sketch.box.left + sketch.box.width - 5,
        sketch.box.top + 2,
    )


def _table(paper: Paper, roster: OneRosterAnswer, zone: ZoneInfo) -> None:
    paper.ink(8)
    paper.set_draw_color(*GREY)
    paper.set_line_width(0.15)
    paper.set_fill_color(255, 255, 255)
    head = FontFace(emphasis="BOLD", fill_color=PALE)
    with paper.table(
        col_widths=_COLUMNS_MM,
        line_height=4.0,
        text_align="LEFT",
        headings_style=head,
        borders_layout=TableBordersLayout.HORIZONTAL_LINES,
        padding=(0.8, 1),
        v_align="TOP",
    ) as table:
        heading = table.row()
        for word in ("#", "time", "door", "why, and what happened"):
            heading.cell(word)
        for visit in roster.visits:
            row = table.row()
            row.cell(str(visit.position))
            row.cell(_times(visit, zone))
            row.cell(_door(visit))
            row.cell("\n".join([*_marks(visit), *visit.reasons, _result(visit)]))


def _times(visit: VisitAnswer, zone: ZoneInfo) -> str:
    lines = [f"{_clock(visit.arrive_at, zone)}-{_clock(visit.leave_at, zone)}"]
    if visit.promised_from is not None and visit.promised_to is not None:
        lines += ["PROMISED", f"{_clock(visit.promised_from, zone)}-{_clock(visit.promised_to, zone)}"]
    return "\n".join(lines)


def _door(visit: VisitAnswer) -> str:
    floor = f", floor {visit.floor}" if visit.floor is not None else ""
    lines = [
        f"{visit.compound}, {visit.building}, {visit.unit}{floor}",
        visit.address,
        f"{visit.premises} ({visit.user_class})",
    ]
    contact = " ".join(part for part in (visit.contact_name, visit.contact_phone) if part)
    return "\n".join([*lines, contact] if contact else lines)


def _marks(visit: VisitAnswer) -> list[str]:
    return ["MUST"] if visit.mandatory else []


def _result(visit: VisitAnswer) -> str:
    return f"reported: {visit.result}" if visit.result else _RESULT_BOXES


def _clock(at: datetime, zone: ZoneInfo) -> str:
    return f"{at.astimezone(zone):%H:%M}"
