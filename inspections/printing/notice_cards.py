"""Cards to leave where nobody opened: four on a sheet of A4, each in both languages, to be cut."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import segno

from inspections.printing.paper import CHINESE_FONT, GREY, Paper
from inspections.printing.params import PrintingParams
from inspections.printing.words import words_of

_PER_PAGE = 4
_CARD_HEIGHT_MM = 68.0
_QR_MM = 30.0


@dataclass(frozen=True, slots=True)
class Card:
    """A card's number in clear, and the token that opens booking for the door where it is left."""

    card_no: str
    token: str


def notice_cards_pdf(
    cards: Sequence[Card], params: PrintingParams, made_at: datetime, chinese_font: Path = CHINESE_FONT
) -> bytes:
    """Sheets of cards: with a QR code where `booking_url` is set, else the hotline alone. Raises FontMissing."""
    paper = Paper("Notice cards", made_at, f"{len(cards)} cards", chinese_font)
    paper.set_auto_page_break(False)
    for number, card in enumerate(cards):
        if number % _PER_PAGE == 0:
            paper.add_page()
        _card(paper, card, params, 10 + (number % _PER_PAGE) * _CARD_HEIGHT_MM)
    return paper.finished()


def _card(paper: Paper, card: Card, params: PrintingParams, top: float) -> None:
    english, chinese = words_of("en"), words_of("zh")
    paper.set_draw_color(*GREY)
    paper.rect(paper.l_margin, top, paper.epw, _CARD_HEIGHT_MM - 3)
    width = paper.epw - _QR_MM - 10
    paper.set_xy(paper.l_margin + 3, top + 2)
    call = "card_scan" if params.booking_url is not None else "card_call"
    lines: list[tuple[float, str, str]] = [
        (11, "B", f"{chinese['card']}   {english['card']}"),
        (7.5, "", f"{chinese['card_body']}{chinese[call]}"),
        (7.5, "", f"{english['card_body']} {english[call]}"),
        (7.5, "", f"{chinese['card_attempt']}\n{english['card_attempt']}"),
        (7.5, "", f"{chinese['card_date']} / {english['card_date']}: ____________________"),
        (7.5, "", f"{chinese['card_show']} {english['card_show']}"),
    ]
    for size, style, text in lines:
        paper.ink(size, style)
        paper.set_x(paper.l_margin + 3)
        paper.multi_cell(width, size * 0.53, text, align="L", new_x="LMARGIN", new_y="NEXT")
        paper.ln(0.9)
    _contact(paper, card, params, top, paper.l_margin + width + 5)


def _contact(paper: Paper, card: Card, params: PrintingParams, top: float, left: float) -> None:
    english, chinese = words_of("en"), words_of("zh")
    if params.booking_url is not None:
        picture = io.BytesIO()
        segno.make(f"{params.booking_url}#{card.token}", error="m").save(picture, kind="png", scale=8, border=4)
        paper.image(picture, left, top + 3, _QR_MM, _QR_MM)
    paper.set_xy(left, top + _QR_MM + 5)
    contact = [f"{chinese['card_number']} / {english['card_number']}", _spoken(card.card_no)]
    contact += [f"{chinese['hotline']} / {english['hotline']}", params.hotline] if params.hotline else []
    for number, text in enumerate(contact):
        paper.ink(8 if number % 2 == 0 else 11, "B" if number % 2 else "")
        paper.set_x(left)
        paper.cell(_QR_MM + 4, 5, text, new_x="LEFT", new_y="NEXT")


def _spoken(card_no: str) -> str:
    """The number in groups of three, as it is read aloud."""
    return " ".join(card_no[begin : begin + 3] for begin in range(0, len(card_no), 3))
