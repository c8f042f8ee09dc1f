"""The written notice of a hazard: what the resident signs, in English, Chinese or both.

The written notice decides whether the operator is at fault (MOHURD 2023 No. 4, Article 9: found and not notified).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from inspections.printing.paper import CHINESE_FONT, GREY, Paper
from inspections.printing.params import PrintingParams
from inspections.printing.words import Language, hazard_title, words_of


@dataclass(frozen=True, slots=True)
class HazardFacts:
    """What a notice says of a hazard. `national` marks what national rules want notified in writing."""

    hazard_id: int
    code: str
    title: str
    grade: int
    found_at: datetime
    due_on: date
    note: str | None
    premises: str
    address: str
    unit: str
    inspector: str
    national: bool


def hazard_notice_pdf(
    facts: HazardFacts,
    languages: Sequence[Language],
    params: PrintingParams,
    zone: ZoneInfo,
    chinese_font: Path = CHINESE_FONT,
) -> bytes:
    """One page for each language. Raises FontMissing when a Chinese text has no font."""
    title = f"Hazard notice {facts.hazard_id}"
    paper = Paper(title, facts.found_at, f"{title}, {facts.premises}", chinese_font)
    for language in languages:
        paper.add_page()
        _page(paper, facts, language, params, zone)
    return paper.finished()


def _page(paper: Paper, facts: HazardFacts, language: Language, params: PrintingParams, zone: ZoneInfo) -> None:
    words = words_of(language)
    paper.ink(10, colour=GREY)
    paper.line_of(params.operator if language == "en" else params.operator_zh, 6)
    paper.ink(18, "B")
    paper.line_of(words["notice"], 11)
    paper.ln(3)
    bases = [words["regulation"], *([words["national"]] if facts.national else [])]
    rows = [
        (words["number"], f"{facts.hazard_id}"),
        (words["door"], f"{facts.address} {facts.unit} ({facts.premises})"),
        (words["found"], f"{facts.found_at.astimezone(zone):%Y-%m-%d %H:%M}"),
        (words["hazard"], hazard_title(facts.code, facts.title, language)),
        (words["grade"], words[f"grade_{facts.grade}"]),
        (words["deadline"], facts.due_on.isoformat()),
        (words["what_to_do"], words[f"advice_{facts.grade}"]),
        *([(words["note"], facts.note)] if facts.note else []),
        (words["basis"], "\n".join(bases)),
        *([(words["hotline"], params.hotline)] if params.hotline else []),
    ]
    _rows(paper, rows)
    paper.ln(4)
    paper.ink(10, "B")
    paper.line_of(words["smell"], 6)
    _signatures(paper, facts, language)


def _rows(paper: Paper, rows: Sequence[tuple[str, str]]) -> None:
    paper.ink(10)
    paper.set_draw_color(*GREY)
    paper.set_fill_color(255, 255, 255)
    with paper.table(
        col_widths=(42, 140), line_height=6, text_align="LEFT", first_row_as_headings=False, padding=(1.2, 2)
    ) as table:
        for name, value in rows:
            row = table.row()
            row.cell(name)
            row.cell(value)


def _signatures(paper: Paper, facts: HazardFacts, language: Language) -> None:
    words = words_of(language)
    paper.ink(10)
    for label, named in ((words["inspector"], facts.inspector), (words["resident"], "")):
        paper.ln(13)
        y = paper.get_y()
        paper.line(paper.l_margin, y, paper.l_margin + 105, y)
        paper.line_of(f"{label}  {named}".rstrip(), 6)
    paper.ln(4)
    paper.line_of(words["refused"], 6)
    paper.ln(3)
    paper.ink(8, colour=GREY)
    paper.line_of(words["copies"], 5)
