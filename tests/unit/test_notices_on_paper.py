"""The written hazard notice and the no-access card."""

import tomllib
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from pydantic import HttpUrl, ValidationError

from inspections.hazards import load_hazards
from inspections.printing import words
from inspections.printing.hazard_notice import HazardFacts, hazard_notice_pdf
from inspections.printing.notice_cards import Card, notice_cards_pdf
from inspections.printing.paper import Paper
from inspections.printing.params import PrintingParams
from inspections.printing.words import hazard_title, words_of
from tests.unit.test_roster_files import text_of

FOUND = datetime(2026, 11, 20, 2, 0, tzinfo=UTC)
FACTS = HazardFacts(
    7, "gas_in_bedroom", "Pipe in a bedroom", 1, FOUND, date(2026, 11, 27), None, "H-1", "Garden Road", "2", "Li", True
)  # fmt: skip


def test_both_languages_say_the_same_things() -> None:
    """No word is missing in a language, and every packaged hazard has a Chinese title."""
    assert set(words_of("en")) == set(words_of("zh"))
    titles = tomllib.loads(Path(words.__file__).with_name("notice_words.toml").read_text("utf-8"))["titles_zh"]
    assert set(titles) == set(load_hazards().kinds)


def test_hazard_of_an_own_catalogue_keeps_its_title() -> None:
    """A code without a Chinese title is named as the catalogue names it."""
    assert hazard_title("own_code", "Own title", "zh") == "Own title"


def test_notice_names_hazard_and_basis_in_the_language_asked_for() -> None:
    """A Chinese notice holds the Chinese title and Article 9; an English one no Chinese sign."""
    chinese = hazard_notice_pdf(FACTS, ["zh"], PrintingParams(), ZoneInfo("Asia/Shanghai"))
    assert set("燃气安全隐患告知书卧室建城规第九条") <= text_of(chinese)
    english = hazard_notice_pdf(FACTS, ["en"], PrintingParams(), ZoneInfo("Asia/Shanghai"))
    assert not any("\u4e00" <= sign <= "\u9fff" for sign in text_of(english))
    assert english.count(b"/Type /Page\n") == 1


def test_card_has_a_code_only_where_residents_can_book() -> None:
    """With a booking page the card carries a picture of its own; without one the hotline alone."""
    cards = [Card("123456789", "token-a"), Card("987654321", "token-b")]
    booked = notice_cards_pdf(cards, PrintingParams(booking_url=HttpUrl("https://gas.example/book")), FOUND)
    called = notice_cards_pdf(cards, PrintingParams(hotline="95777"), FOUND)
    assert booked.count(b"/Subtype /Image") == 2
    assert called.count(b"/Subtype /Image") == 0
    assert b"token-a" not in booked


def test_line_after_a_chinese_one_names_its_font() -> None:
    """Latin text that follows Chinese text is set in the Latin font: every line of text names the font it uses."""
    paper = Paper("t", FOUND, "f")
    paper.set_compression(False)
    paper.add_page()
    paper.line_of("卡号")
    paper.line_of("card")
    page = paper.pages[1].contents
    assert isinstance(page, bytearray)
    between = bytes(page).split(b" Tj ET Q\n")[1]  # after the Chinese line, up to the Latin one's text
    assert between.startswith(b"BT /F1 9.00 Tf ET")
    assert paper.finished().startswith(b"%PDF")


def test_booking_page_keeps_its_fragment_free() -> None:
    """The token stays out of server logs: it goes into the fragment, so the page may not have one."""
    with pytest.raises(ValidationError, match="must not have a fragment"):
        PrintingParams(booking_url=HttpUrl("https://gas.example/#book"))
