"""A dossier on paper: what a reader must see first, in Chinese and in English, and the photographs. Pure.

It is a summary: the rows themselves are in `data/`, and each table says how many of them it shows.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from fpdf.fonts import FontFace
from PIL import Image, ImageOps

from app.dossier.archive import About, Item
from app.dossier.evidence import Kept
from app.dossier.words import summary_words, value_word
from inspections.printing.paper import CHINESE_FONT, GREY, PALE, Paper
from inspections.printing.params import PrintingParams
from inspections.printing.words import Language, hazard_title

_ROWS_SHOWN = 40
_PICTURES_SHOWN = 24
_PICTURE_PX = 900
# What of each part is printed: columns by their key in the rows.
_TABLES: Mapping[str, tuple[str, ...]] = {
    "alerts": ("alert_id", "raised_at", "severity", "sentence", "state", "closed_at"),
    "alert": ("alert_id", "raised_at", "severity", "sentence", "state", "closed_at"),
    "outcomes": ("at", "result", "entered", "note"),
    "hazards": ("hazard_id", "code", "grade", "found_at", "due_on", "notified_at", "closed_at"),
    "requests": ("request_id", "received_at", "channel", "category", "state", "closed_at"),
    "cases": ("case_id", "kind", "opened_at", "close_by", "state", "closed_at"),
    "enforcement": ("kind", "authority", "reference", "issued_on", "due_on", "amount_fen", "state"),
    "commands": ("command_id", "requested_at", "valve", "state", "requested_by"),
}
_WIDTHS: Mapping[str, int] = {"sentence": 60, "note": 60, "code": 55, "authority": 45, "reference": 35, "sha256": 95}
_WIDTH = 24


@dataclass(frozen=True, slots=True)
class Printed:
    """How paper names things: the operator, the city's clock, what the hazards of the catalogue are called."""

    operator: PrintingParams
    zone: ZoneInfo
    hazard_titles: Mapping[str, str]


def summary_pdf(
    about: About,
    parts: Mapping[str, Sequence[Mapping[str, Any]]],
    kept: Kept,
    printed: Printed,
    chinese_font: Path = CHINESE_FONT,
) -> bytes:
    """The summary in both languages, then the pictures. Raises FontMissing when a Chinese text has no font."""
    title = f"Dossier: {about.kind} {about.subject}"
    paper = Paper(title, about.made_at, f"{title}. Personal data.", chinese_font)
    languages: tuple[Language, ...] = ("zh", "en")
    for language in languages:
        paper.add_page()
        _language(paper, about, parts, kept.items, printed, language)
    _pictures(paper, kept)
    return paper.finished()


def _language(
    paper: Paper,
    about: About,
    parts: Mapping[str, Sequence[Mapping[str, Any]]],
    items: Sequence[Item],
    printed: Printed,
    language: Language,
) -> None:
    words = summary_words(language)
    paper.ink(10, colour=GREY)
    paper.line_of(printed.operator.operator if language == "en" else printed.operator.operator_zh, 6)
    paper.ink(18, "B")
    paper.line_of(words[f"title_{about.kind}"], 11)
    door = next(iter(parts.get("premises", ())), None)
    made_at = f"{about.made_at.astimezone(printed.zone):%Y-%m-%d %H:%M:%S} ({printed.zone.key})"
    facts = [
        (words["subject"], about.subject),
        *([(words["place"], f"{door['address']} {door['unit']} ({door['code']})")] if door else []),
        *([(words["user_class"], value_word(door["user_class"], language))] if door else []),
        (words["made_at"], made_at),
        (words["made_by"], about.made_by),
        (words["holds"], ", ".join(f"{words.get(name, name)} {len(rows)}" for name, rows in parts.items() if rows)),
    ]
    _grid(paper, (42, 140), None, facts)
    paper.ink(8, colour=GREY)
    paper.line_of(words["how_to_verify"], 4.5)
    for name, columns in _TABLES.items():
        if rows := parts.get(name):
            _table(paper, name, rows, columns, printed, language)
    _evidence(paper, items, printed, language)


def _table(
    paper: Paper,
    name: str,
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[str],
    printed: Printed,
    language: Language,
) -> None:
    words = summary_words(language)
    shown = rows[-_ROWS_SHOWN:]
    _heading(paper, words[name], len(rows), len(shown), f"data/{name}.json", words)
    cells = [[_cell(column, row, printed, language) for column in columns] for row in shown]
    _grid(paper, _widths(columns), [words[column] for column in columns], cells)


def _evidence(paper: Paper, items: Sequence[Item], printed: Printed, language: Language) -> None:
    """Every file of evidence with its digest: none is left out of this table, least of all one that lacks."""
    words = summary_words(language)
    if not items:
        return
    _heading(paper, words["evidence"], len(items), len(items), "", words)
    columns = ("evidence_id", "kind", "taken_at", "sha256", "standing")
    cells = [
        [
            str(item.evidence_id),
            value_word(item.kind, language),
            _moment(item.taken_at, printed.zone),
            item.sha256,
            value_word(item.standing, language),
        ]
        for item in items
    ]
    _grid(paper, _widths(columns), [words[column] for column in columns], cells)


def _heading(paper: Paper, title: str, rows: int, shown: int, file: str, words: Mapping[str, str]) -> None:
    paper.ln(3)
    paper.ink(11, "B")
    paper.line_of(f"{title} ({rows})", 7)
    if shown < rows:
        paper.ink(8, colour=GREY)
        paper.line_of(words["cut"].format(shown=shown, rows=rows, file=file), 4.5)


def _widths(columns: Sequence[str]) -> tuple[int, ...]:
    return tuple(_WIDTHS.get(column, _WIDTH) for column in columns)


def _grid(paper: Paper, widths: tuple[int, ...], heads: Sequence[str] | None, rows: Sequence[Sequence[str]]) -> None:
    paper.ink(7.5 if heads else 9)
    paper.set_draw_color(*GREY)
    paper.set_line_width(0.15)
    paper.set_fill_color(255, 255, 255)
    with paper.table(
        col_widths=widths, line_height=4.2 if heads else 5.5, text_align="LEFT", padding=(0.7, 1),
        first_row_as_headings=heads is not None, headings_style=FontFace(emphasis="BOLD", fill_color=PALE),
    ) as table:  # fmt: skip
        for cells in ([heads] if heads else []) + list(rows):
            row = table.row()
            for cell in cells:
                row.cell(cell)


def _cell(column: str, row: Mapping[str, Any], printed: Printed, language: Language) -> str:
    value = row.get(column)
    if value is None:
        return ""
    if column == "code":
        return hazard_title(value, printed.hazard_titles.get(value, value), language)
    if column == "amount_fen":
        return f"{value / 100:,.2f}"
    if column.endswith("_at") or column in {"at", "close_by"}:
        return _moment(value, printed.zone)
    if column.endswith("_on"):
        return date.fromisoformat(value).isoformat()
    return value_word(value, language, column)


def _moment(text: str, zone: ZoneInfo) -> str:
    return f"{datetime.fromisoformat(text).astimezone(zone):%Y-%m-%d %H:%M}"


def _pictures(paper: Paper, kept: Kept) -> None:
    """The photographs and signatures, six on a page, each under the number that the tables name."""
    shown = [item for item in kept.items if item.file is not None and item.media_type.startswith("image/")]
    for place, item in enumerate(shown[:_PICTURES_SHOWN]):
        if place % 6 == 0:
            paper.add_page()
        left = paper.l_margin + (place % 2) * 93
        top = 14 + (place % 6 // 2) * 88
        paper.ink(8, colour=GREY)
        paper.mark(left, top, f"{item.evidence_id}: {item.file}")
        picture = _small(kept.files[item.file or ""])
        if picture is not None:
            paper.image(picture, x=left, y=top + 2, w=88, h=80, keep_aspect_ratio=True)
    if len(shown) > _PICTURES_SHOWN:
        paper.ln(2)
        paper.line_of(f"+ {len(shown) - _PICTURES_SHOWN}: evidence/", 5)


def _small(content: bytes) -> io.BytesIO | None:
    """A picture as paper needs it, upright; None for one that cannot be drawn (it is in the archive all the same)."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.thumbnail((_PICTURE_PX, _PICTURE_PX))
            upright = ImageOps.exif_transpose(image).convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None
    small = io.BytesIO()
    upright.save(small, "JPEG", quality=80)
    return small
