"""Amounts and spans of days as people write them at the terminal."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
import typer

from app.commands.enforcing import _fen
from app.commands.hotline import days, span


@pytest.mark.parametrize(("yuan", "fen"), [("5000", 500_000), ("5000.50", 500_050), ("0.01", 1), (None, None)])
def test_yuan_are_kept_as_fen(yuan: str | None, fen: int | None) -> None:
    """Exactly, without a float between."""
    assert _fen(yuan) == fen


@pytest.mark.parametrize("yuan", ["0.001", "much", "NaN", "Infinity", ""])
def test_what_is_no_amount_is_refused(yuan: str) -> None:
    """A fraction of a fen, and what is no number."""
    with pytest.raises(typer.BadParameter):
        _fen(yuan)


def test_days_are_the_citys() -> None:
    """A span ends with its last day; without days it is the last thirty."""
    zone = ZoneInfo("Asia/Shanghai")
    asked = span("2026-11-01", "2026-11-30", zone)
    assert asked.since == datetime(2026, 10, 31, 16, tzinfo=UTC)
    assert asked.until == datetime(2026, 11, 30, 16, tzinfo=UTC)
    assert days(None, "2026-12-01", zone) == (date(2026, 11, 1), date(2026, 12, 1))
