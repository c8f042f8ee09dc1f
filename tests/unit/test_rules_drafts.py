"""Drafts that name only what changes."""

import pytest

from rules.catalog import default_catalog, parse_catalog
from rules.drafts import changed, from_assignments
from rules.model import InvalidRule

CATALOG = default_catalog()


def draft(text: str) -> object:
    return changed(CATALOG, {"a.toml": text})


def test_only_what_is_named_changes() -> None:
    """One number of one rule; its other parameters, and every other rule, stay as they are in force."""
    tried = changed(CATALOG, {"a.toml": "[rule.micro_leak.parameters]\ndays = 7"})
    assert tried.rules["micro_leak"]["days"] == 7
    assert {**tried.rules["micro_leak"].parameters, "days": 5.0} == dict(CATALOG.rules["micro_leak"].parameters)
    assert tried.rules["micro_leak"].version != CATALOG.rules["micro_leak"].version
    assert [key for key, one in tried.rules.items() if one != CATALOG.rules[key]] == ["micro_leak"]


def test_changes_are_laid_over_each_other_and_over_what_is_switched_off() -> None:
    """Words replace words, tables are merged, a rule is switched off and on again; assignments are the same."""
    off = changed(CATALOG, {"a.toml": 'rule.night_flow.enabled = false\nrule.magnet.severity = "info"'})
    assert set(off.disabled) == {"night_flow"}
    assert off.rules["magnet"].severity == "info"
    lines = ["night_flow.enabled = true", 'night_flow.scope.user_classes = ["household"]']
    on = changed(off, {"--set": from_assignments(lines)})
    assert on.rules["night_flow"].scope.user_classes == {"household"}
    assert on.rules["night_flow"].scope.device_kinds == CATALOG.rules["night_flow"].scope.device_kinds


def test_a_word_needs_no_quotes_on_the_command_line() -> None:
    """A shell takes quotes away; what is no bare word stays as TOML has it."""
    bare = changed(CATALOG, {"--set": from_assignments(["magnet.severity=info", "night_flow.enabled= true"])})
    assert bare.rules["magnet"].severity == "info"
    assert "night_flow" in bare.rules
    assert from_assignments(["a.b = 7", 'a.c = "x y"', "a.d=[1]"]) == 'rule.a.b = 7\nrule.a.c = "x y"\nrule.a.d=[1]'


def test_a_new_rule_is_whole() -> None:
    """A rule of an area beside the one in force, which it overrides."""
    entry = {**CATALOG.rules["night_flow"].definition}
    words = "\n".join(f'{key} = "{entry[key]}"' for key in ("kind", "title", "severity", "visit", "clears", "why"))
    rest = 'what_to_do = "call"\nsource = "ours"\noverrides = "night_flow"\nscope.areas = ["D01"]'
    tried = changed(CATALOG, {"a.toml": f"[rule.night_here]\n{words}\n{rest}"})
    assert tried.rules["night_flow"].carved == (tried.rules["night_here"].scope,)
    assert len(tried.rules) == len(CATALOG.rules) + 1


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("rule.micro_leak.parameters.dais = 7", "rule micro_leak: unknown key parameters.dais"),
        ("rule.micro_leak.colour = 7", "rule micro_leak: unknown key colour"),
        ("rule.micro_leak.parameters = 7", "rule micro_leak: parameters must be a table"),
        ("rule.micro_leak = 7", "rule micro_leak: must be a table"),
        ("rule.micro_leak.parameters.days = 400", "rule micro_leak: parameters.days = 400 is outside 1 to 30"),
        ("rule.mikro_leak.parameters.days = 7", "rule mikro_leak: there is no such rule in force; a new one must be"),
        ("rules.micro_leak.parameters.days = 7", "a.toml: unknown key rules"),
        ("micro_leak.parameters.days", "a.toml: not TOML"),
        ("", "no change at all"),
    ],
)
def test_a_mistake_names_rule_and_key(text: str, mistake: str) -> None:
    """What nobody knows, what is out of range, and what changes nothing."""
    with pytest.raises(InvalidRule) as error:
        draft(text)
    assert mistake in str(error.value)


def test_one_rule_is_changed_in_one_place() -> None:
    """Two files that change one rule contradict each other."""
    text = "rule.micro_leak.parameters.days = 7"
    with pytest.raises(InvalidRule, match=r"rule micro_leak: stands twice, the second time in b\.toml"):
        changed(CATALOG, {"a.toml": text, "b.toml": text})


def test_what_is_tried_whole_needs_no_rules_in_force() -> None:
    """The same text as a whole draft says what is missing."""
    with pytest.raises(InvalidRule, match="rule micro_leak: kind is missing or empty"):
        parse_catalog("rule.micro_leak.parameters.days = 7")
