"""The demonstration's memory between starts."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.demo.district import begin, keep
from app.demo.stage import StageError

_NOW = datetime(2026, 11, 20, tzinfo=UTC)


def test_a_district_too_small_for_every_planted_fault_is_refused_in_one_sentence(tmp_path: Path) -> None:
    """Before any server is started; the next try may be larger."""
    with pytest.raises(StageError, match=r"a district of 60 homes has no room .*: .*raise homes"):
        begin(tmp_path, _NOW, 1, 60, 11)
    assert begin(tmp_path, _NOW, 1, 200, 11).homes == 200


def test_a_start_that_was_interrupted_in_its_history_is_known(tmp_path: Path) -> None:
    """A first start is not one, a start after one that did not finish is, a start after one that did is not."""
    state = begin(tmp_path, _NOW, 1, 200, 11)
    assert not state.interrupted
    keep(tmp_path, state)
    again = begin(tmp_path, _NOW, 1, 200, 11)
    assert again.interrupted
    keep(tmp_path, replace(again, played=True))
    assert not begin(tmp_path, _NOW, 1, 200, 11).interrupted
