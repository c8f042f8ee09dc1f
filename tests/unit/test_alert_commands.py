"""`gaswarden alerts`: what is wrong with a command is said before anything is read."""

import pytest
from typer.testing import CliRunner

from app.cli import cli


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["list", "--since", "yesterday"], "yesterday is not a moment"),
        (["list", "--until", "2026-11-20T08:00"], "names no zone"),
        (["list", "--state", "gone"], "state.0: must be"),
        (["list", "--limit", "501"], "--limit"),
        (["--overdue", "show", "3"], "--overdue stands before `show`"),
        (["--older-than-min", "3", "list"], "--older-than-min stands before `list`"),
    ],
)
def test_a_wrong_filter_is_refused_with_its_word(words: list[str], said: str) -> None:
    """Usage is exit code 2; nothing is listed that was not asked for."""
    done = CliRunner().invoke(cli, ["alerts", *words], env={"COLUMNS": "300"})
    assert (done.exit_code, said in done.output) == (2, True), done.output
