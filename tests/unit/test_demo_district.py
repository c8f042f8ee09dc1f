"""The demonstration's memory between starts."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from app.demo.district import begin, keep

_NOW = datetime(2026, 11, 20, tzinfo=UTC)


def test_a_start_that_was_interrupted_in_its_history_is_known(tmp_path: Path) -> None:
    """A first start is not one, a start after one that did not finish is, a start after one that did is not."""
    state = begin(tmp_path, _NOW, 1, 60, 11)
    assert not state.interrupted
    keep(tmp_path, state)
    again = begin(tmp_path, _NOW, 1, 60, 11)
    assert again.interrupted
    keep(tmp_path, replace(again, played=True))
    assert not begin(tmp_path, _NOW, 1, 60, 11).interrupted
