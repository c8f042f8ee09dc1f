"""A roster on paper: the day at a glance, a sketch of the way, and a line for each door with room to write."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from fpdf.enums import TableBordersLayout
from fpdf.fonts import FontFace

from inspections.answers import OneRosterAnswer, VisitAnswer
from inspections.model import Point
from inspections.printing.paper import BLUE, CHINESE_FONT, GREY, INK, PALE, RED, Paper
from inspections.printing.reasons import reasons_in
from inspections.printing.sketch import Box, Sketch, sketch_of, stops_of
from inspections.printing.words import Language, place_of, roster_words, side_by_side

_SKETCH_HEIGHT_MM = 92.0
_COLUMNS_MM = (9, 25, 62, 86)
_BOXES = ("passed", "hazard_found", "recheck_passed", "partial", "no_access", "refused")
_HARD_SPACE = "\u00a0"


def roster_pdf(
    roster: OneRosterAnswer,
    start: Point,
    end: Point,
    zone: ZoneInfo,
    languages: Sequence[Language] = ("zh", "en"),
    chinese_font: Path = CHINESE_FONT,
) -> bytes:
    """The printable day, labelled in these languages; times on the city's wall clock. Raises FontMissing."""
    about = f"{roster.inspector} {roster.day.isoformat()} v{roster.version}"
    planned = f"{roster.planned_at.astimezone(zone):%Y-%m-%d %H:%M}"
    footer = " ".join([f"{about}:", *(roster_words(one)["footer"].format(planned=planned) for one in languages)])
    paper = Paper(f"Roster {about}", roster.planned_at, footer, chinese_font)
    paper.add_page()
    _head(paper, roster, zone, languages)
    _draw(paper, roster, start, end, languages)
    _table(paper, roster, zone, languages)
    return paper.finished()


def _head(paper: Paper, roster: OneRosterAnswer, zone: ZoneInfo, languages: Sequence[Language]) -> None:
    paper.ink(16, "B")
    paper.line_of(f"{roster.name} ({roster.inspector})", 8)
    paper.ink(11)
    paper.line_of("   ".join(_day(roster, language) for language in languages), 6)
    paper.ink(9, colour=GREY)
    for language in languages:
        paper.line_of(_glance(roster, zone, language))
    paper.ln(1)


def _day(roster: OneRosterAnswer, language: Language) -> str:
    words = roster_words(language)
    weekday = words["weekdays"].split()[roster.day.weekday()]
    return words["day"].format(weekday=weekday, day=roster.day.isoformat(), version=roster.version)


def _glance(roster: OneRosterAnswer, zone: ZoneInfo, language: Language) -> str:
    """The day in one sentence."""
    words, pause = roster_words(language), ""
    if roster.break_start_at is not None and roster.break_end_at is not None:
        pause = words["pause"].format(begin=_clock(roster.break_start_at, zone), end=_clock(roster.break_end_at, zone))
    return words["glance"].format(
        leave=_clock(roster.leave_at, zone),
        back=_clock(roster.return_at, zone),
        pause=pause,
        doors=len(roster.visits),
        buildings=len({(visit.compound, visit.building) for visit in roster.visits}),
        mandatory=sum(visit.mandatory for visit in roster.visits),
        promised=sum(visit.promised_from is not None for visit in roster.visits),
        travel_min=-(-roster.travel_s // 60),
    )


def _draw(paper: Paper, roster: OneRosterAnswer, start: Point, end: Point, languages: Sequence[Language]) -> None:
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
        _mark_end(paper, sketch, end, side_by_side("end", languages))
    words = ("start",) if start != end else ("start", "end")
    _mark_end(paper, sketch, start, ", ".join(side_by_side(word, languages) for word in words))
    taken: list[tuple[float, float]] = []
    for stop in stops:
        _mark_stop(paper, sketch.place(stop.point), stop.label, RED if stop.mandatory else BLUE, taken)
    _name_compounds(paper, sketch, roster, taken)
    _scale(paper, sketch, languages)
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


def _scale(paper: Paper, sketch: Sketch, languages: Sequence[Language]) -> None:
    metres, width = sketch.scale_bar(30.0)
    right, base = sketch.box.left + sketch.box.width - 4, sketch.box.top + sketch.box.height - 4
    paper.set_draw_color(*GREY)
    paper.line(right - width, base, right, base)
    paper.line(right - width, base - 1, right - width, base + 1)
    paper.line(right, base - 1, right, base + 1)
    paper.ink(7, colour=GREY)
    shown = f"{metres // 1000} km" if metres >= 1000 else f"{metres} m"
    paper.mark(right - width / 2 - paper.get_string_width(shown) / 2, base - 1.2, shown)
    paper.mark(sketch.box.left + sketch.box.width - 6, sketch.box.top + 9, roster_words(languages[0])["north"])
    paper.line(
        sketch.box.left + sketch.box.width - 5,
        sketch.box.top + 6,
        sketch.box.left + sketch.box.width - 5,
        sketch.box.top + 2,
    )


def _table(paper: Paper, roster: OneRosterAnswer, zone: ZoneInfo, languages: Sequence[Language]) -> None:
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
        for word in ("number", "time", "door", "why"):
            heading.cell(side_by_side(word, languages))
        for visit in roster.visits:
            row = table.row()
            row.cell(str(visit.position))
            row.cell(_times(visit, zone, languages))
            row.cell(_door(visit, languages))
            row.cell(
                "\n".join([*_marks(visit, languages), *reasons_in(languages, visit.reasons), _result(visit, languages)])
            )


def _times(visit: VisitAnswer, zone: ZoneInfo, languages: Sequence[Language]) -> str:
    lines = [f"{_clock(visit.arrive_at, zone)}-{_clock(visit.leave_at, zone)}"]
    if visit.promised_from is not None and visit.promised_to is not None:
        lines += [
            side_by_side("promised", languages),
            f"{_clock(visit.promised_from, zone)}-{_clock(visit.promised_to, zone)}",
        ]
    return "\n".join(lines)


def _door(visit: VisitAnswer, languages: Sequence[Language]) -> str:
    floor = f", {side_by_side('floor', languages)} {visit.floor}" if visit.floor is not None else ""
    lines = [
        f"{place_of(visit)}{floor}",
        *([] if visit.address == place_of(visit) else [visit.address]),
        f"{visit.premises} ({side_by_side(visit.user_class, languages)})",
    ]
    contact = " ".join(part for part in (visit.contact_name, visit.contact_phone) if part)
    return "\n".join([*lines, contact] if contact else lines)


def _marks(visit: VisitAnswer, languages: Sequence[Language]) -> list[str]:
    return [side_by_side("must", languages)] if visit.mandatory else []


def _result(visit: VisitAnswer, languages: Sequence[Language]) -> str:
    """What was reported, or a box to tick for every result there is; a line breaks between boxes only."""
    if visit.result:
        return f"{side_by_side('reported', languages)}: {side_by_side(visit.result, languages)}"
    boxes = (f"[  ] {side_by_side(result, languages)}" for result in _BOXES)
    return "   ".join(box.replace(" ", _HARD_SPACE) for box in [*boxes, "___:___"])


def _clock(at: datetime, zone: ZoneInfo) -> str:
    return f"{at.astimezone(zone):%H:%M}"
