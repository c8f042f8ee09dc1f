"""A sheet of A4 with fonts for Latin and Chinese. What no font can show is never printed as an empty box."""

from collections.abc import Mapping
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any

from fpdf import FPDF
from fpdf.fonts import TTFFont

CHINESE_FONT = Path("/usr/share/fonts/truetype/droid/DroidSansFallbackFull.ttf")
INK, GREY, PALE, RED, BLUE = (30, 30, 30), (110, 110, 110), (228, 228, 228), (176, 24, 24), (28, 84, 160)


class FontMissing(Exception):
    """The text needs the Chinese font and it is not installed; the message says how to install it."""


class Paper(FPDF):
    """Pages with a footer; the same content and moment give the same bytes."""

    def __init__(self, title: str, made_at: datetime, footer: str, chinese_font: Path = CHINESE_FONT) -> None:
        super().__init__(format="A4")
        self._footer = footer
        self._chinese_font = chinese_font
        self._chinese = False
        latin = resources.files("matplotlib") / "mpl-data" / "fonts" / "ttf"
        self.add_font("sans", "", str(latin / "DejaVuSans.ttf"))
        self.add_font("sans", "B", str(latin / "DejaVuSans-Bold.ttf"))
        self.set_title(title)
        self.set_creation_date(made_at)
        self.set_author("Gaswarden")
        self.set_margins(14, 12, 14)
        self.set_auto_page_break(True, 16)
        self.ink(9)

    def ink(self, size_pt: float, style: str = "", colour: tuple[int, int, int] = INK) -> None:
        """Write on in this size (points), style ('' or 'B') and colour."""
        self.set_font("sans", style, size_pt)
        self.set_text_color(*colour)

    def line_of(self, text: str, height_mm: float = 5.0) -> None:
        """One paragraph over the whole width, left-aligned."""
        self.multi_cell(0, height_mm, text, align="L", new_x="LMARGIN", new_y="NEXT")

    def mark(self, x_mm: float, baseline_mm: float, text: str) -> None:
        """Write a few words on a drawing, beginning at a point."""
        self.set_xy(x_mm - self.c_margin, baseline_mm - self.font_size * 0.85)
        self.cell(self.get_string_width(text) + 2 * self.c_margin, self.font_size, text)

    def normalize_text(self, text: str) -> str:
        """Bring in the Chinese font when a text needs it; what no font shows becomes `?`. Raises FontMissing."""
        known = self._signs("sans")
        if not self._chinese and any(ord(sign) not in known for sign in text if sign.isprintable()):
            self._add_chinese()
        fallback = self._signs("chinese") if self._chinese else {}
        shown = "".join(
            sign if not sign.isprintable() or ord(sign) in known or ord(sign) in fallback else "?" for sign in text
        )
        return super().normalize_text(shown)

    def _render_styled_text_line(self, *given: Any, **named: Any) -> bool:
        """Name the font anew for each line: after one that ended in the fallback font fpdf2 2.8.9 forgets to."""
        self.current_font_is_set_on_page = False
        return super()._render_styled_text_line(*given, **named)

    def _signs(self, family: str) -> Mapping[int, object]:
        font = self.fonts[family]
        return font.cmap if isinstance(font, TTFFont) else {}

    def _add_chinese(self) -> None:
        if not self._chinese_font.exists():
            self._close_fonts()
            raise FontMissing(
                f"this text needs a Chinese font and {self._chinese_font} is not there: install fonts-droid-fallback"
            )
        self._chinese = True
        self.add_font("chinese", "", str(self._chinese_font))
        self.set_fallback_fonts(["chinese"], exact_match=False)

    def footer(self) -> None:
        """What is printed at the foot of every page, with its number."""
        self.set_y(-12)
        self.ink(7, colour=GREY)
        self.cell(0, 5, self._footer)
        self.set_x(self.l_margin)
        self.cell(0, 5, f"{self.page_no()} / {{nb}}", align="R")

    def finished(self) -> bytes:
        """The document; nothing can be written after."""
        try:
            return bytes(self.output())
        finally:
            self._close_fonts()

    def _close_fonts(self) -> None:
        for font in self.fonts.values():
            if isinstance(font, TTFFont):
                font.ttfont.close()
