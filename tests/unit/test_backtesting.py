"""How much of a backtest is in memory at once."""

from datetime import UTC, datetime, timedelta

from rules.backtesting import DEVICE_DAYS, Asked, slice_of
from rules.catalog import default_catalog

UNTIL = datetime(2026, 11, 20, tzinfo=UTC)
RULES = list(default_catalog().rules.values())


def test_months_take_no_more_memory_than_weeks() -> None:
    """Twelve times the days, and so fewer devices together; with what the rules must know from before, never more."""
    weeks, months, years = (slice_of(Asked(UNTIL - timedelta(days=days), UNTIL), RULES) for days in (30, 365, 40_000))
    assert 200 < weeks < DEVICE_DAYS / 30
    assert weeks / 15 < months < DEVICE_DAYS / 365
    assert years == 1
