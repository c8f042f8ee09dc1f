"""Catalogue files of inspections: read before the start, and what is wrong is said in one sentence."""

from pathlib import Path

import pytest

from inspections.catalogues import catalogue_files
from inspections.params import RosterParams

_ITEM = '[[item]]\ncode="hose"\nclasses=["household"]\nen="a"\nzh="a"\nkind="yes_no"\nsource="s"\n'
_CYCLE = '[[cycle]]\nuser_class="household"\nmonths=500\nsource="x"\n'


def test_the_packaged_ones_are_well() -> None:
    """Five files, each with what it holds."""
    found = catalogue_files(RosterParams())
    assert [file.name for file in found] == ["hazards", "checklists", "cycles", "requests", "cases"]
    assert all(file.ok and file.fact.endswith("(packaged)") for file in found)


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("cases", "[[kind]", "is not TOML: "),
        ("requests", "category = []", "poor_rating: Field required (and 2 more)"),
        ("checklists", f'version="1"\n{_ITEM}hazard="dragon"\nhazard_if="no"\n', "item hose: dragon is not in the"),
        ("checklists", f'version="1"\n{_ITEM}colour="red"\n', "item 1 (hose), colour: Extra inputs are not"),
        ("cycles", f"old_building_years=25\n{_CYCLE}", "cycle 1 (household), months: Input should be less than"),
        ("cycles", "", "old_building_years: Field required (and 2 more)"),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path: Path, name: str, text: str, sentence: str) -> None:
    """It names the file, then the entry by its own code, the key and the rule."""
    file = tmp_path / "own.toml"
    file.write_text(text, "utf-8")
    (wrong,) = [one for one in catalogue_files(RosterParams(**{f"{name}_file": file})) if not one.ok]
    assert wrong.name == name
    assert wrong.fact.startswith(f"{file}: {sentence}")
    assert "\n" not in wrong.fact


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """Named, with why; checklists wait for the hazards that they need."""
    found = {one.name: one for one in catalogue_files(RosterParams(hazards_file=tmp_path / "none.toml"))}
    assert found["hazards"].fact == f"{tmp_path}/none.toml: cannot be read: No such file or directory"
    assert found["checklists"].fact.startswith("not looked at")
