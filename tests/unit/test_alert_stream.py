"""Places in the stream of alerts: what is understood, and what is refused before it reaches the database."""

import pytest

from rules.stream import Cursor, parse_cursor


@pytest.mark.parametrize(
    "cursor", [Cursor("10:10:"), Cursor("10:20:11,13"), Cursor("10:20:11", "12:25:", 7), Cursor("5:9:", "9:9:", 0)]
)
def test_an_events_id_leads_back_to_its_place(cursor: Cursor) -> None:
    """As text and back."""
    assert parse_cursor(str(cursor)) == cursor


def test_a_bare_step_id_is_a_place_too() -> None:
    """Everything above it."""
    assert parse_cursor("57") == Cursor("1:1:", None, 57)


@pytest.mark.parametrize(
    "text",
    ["", "x", "-1", "9" * 19, "10:9:", "0:5:", "10:20:9", "10:20:20", "10:20:13,11", "10:20:11,11", "10:20",
     "1:2:;3:4:;", "1:2:;3:4:;x", "٣", "10:20:;٣:4:;1", "1:9999999999999999999:", "1:1:'; DROP"],
)  # fmt: skip
def test_what_is_no_place_is_refused(text: str) -> None:
    """Rubbish, and snapshots that PostgreSQL would not take."""
    assert parse_cursor(text) is None
