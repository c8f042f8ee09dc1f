"""A catalogue file that is edited while the service runs."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from inspections.hazards import InvalidCatalogue
from inspections.last_good import LastGood
from inspections.requests import load_requests


def _parse(text: str) -> str:
    if "wrong" in text:
        raise InvalidCatalogue(text)
    return text.upper()


def test_a_slip_keeps_the_last_right_one_and_is_told_once(tmp_path: Path) -> None:
    """Right, wrong (told once, again for another slip), gone, right again: what was last right always holds."""
    file = tmp_path / "a.toml"
    files = LastGood[str]("a", file, (InvalidCatalogue,))
    file.write_text("one")
    assert files.read(None, _parse) == "ONE"
    with capture_logs() as said:
        file.write_text("wrong")
        assert [files.read(file, _parse) for _ in range(3)] == ["ONE"] * 3
        file.write_text("wrong again")
        assert files.read(file, _parse) == "ONE"
        file.unlink()
        assert files.read(file, _parse) == "ONE"
        file.write_text("two")
        assert files.read(file, _parse) == "TWO"
        file.write_text("wrong")
        assert files.read(file, _parse) == "TWO"
    assert [(line["catalogue"], line["log_level"]) for line in said] == [("a", "error")] * 4


def test_a_file_that_never_was_right_is_refused(tmp_path: Path) -> None:
    """The start is stopped by what is wrong, as before."""
    file = tmp_path / "requests.toml"
    file.write_text("poor_rating = 'x'")
    with pytest.raises(ValueError, match="poor_rating"):
        load_requests(file)
    with pytest.raises(OSError, match="missing"):
        load_requests(tmp_path / "missing.toml")
