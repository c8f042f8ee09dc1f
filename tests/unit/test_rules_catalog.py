"""Rule files: what is accepted, and the exact sentence for everything that is not."""

from pathlib import Path

import pytest

from rules.catalog import KINDS, default_catalog, parse_catalog
from rules.detectors import WINDOW_DETECTORS
from rules.model import InvalidRule

FOLDER = Path(__file__).parents[1] / "data" / "rules"
BAD = sorted((FOLDER / "bad").glob("*.toml"))


def test_a_good_file_becomes_rules() -> None:
    """Words, scope and numbers arrive as written."""
    rule = parse_catalog((FOLDER / "good.toml").read_text("utf-8")).rules["drip"]
    assert (rule.family, rule["days"], rule.severity_high) == ("window", 3.0, "major")
    assert rule.scope.areas == frozenset({"D01"})


@pytest.mark.parametrize("path", BAD, ids=[path.stem for path in BAD])
def test_a_mistake_is_named_with_rule_and_key(path: Path) -> None:
    """The first line of each bad file is the message it must get."""
    text = path.read_text("utf-8")
    with pytest.raises(InvalidRule) as refused:
        parse_catalog(text)
    assert str(refused.value) == text.split("\n", 1)[0].removeprefix("# ")


def test_the_shipped_catalogue_is_valid_and_uses_every_kind() -> None:
    """Every kind the program knows has a rule, and every window kind a detector."""
    rules = default_catalog().rules.values()
    assert {rule.kind for rule in rules} == set(KINDS)
    assert {kind for kind, one in KINDS.items() if one.family == "window"} == set(WINDOW_DETECTORS)


def test_the_version_follows_the_definition() -> None:
    """The same words in another order are the same version; another number is another."""
    text = (FOLDER / "good.toml").read_text("utf-8")
    turned = text.replace("days = 3\ngap_min = 60\n", "gap_min = 60\ndays = 3\n")
    changed = text.replace("days = 3", "days = 4")
    one, same, other = (parse_catalog(version).rules["drip"].version for version in (text, turned, changed))
    assert one == same != other


def test_scope_leaves_out_what_is_unknown() -> None:
    """A device of unknown class is not inside a scope that names classes."""
    text = (FOLDER / "good.toml").read_text("utf-8").replace('areas = ["D01"]', 'meter_classes = ["G4"]')
    rule = parse_catalog(text).rules["drip"]
    assert rule.covers("meter", "G4", None, "D07")
    assert not rule.covers("meter", None, None, "D07")
    assert not rule.covers("detector", "G4", None, "D07")
