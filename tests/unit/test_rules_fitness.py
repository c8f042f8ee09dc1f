"""Whether a set of rules fits this program and this registry."""

import pytest

from rules.catalog import default_catalog, packaged_texts, parse_files, shipped_text
from rules.drafts import changed
from rules.fitness import lacking, refuse_unfit, scope_words, strangers
from rules.model import InvalidRule

CATALOG = default_catalog()


def test_a_set_without_leak_alarms_is_refused() -> None:
    """Left out or switched off: either way what a detector cries would open no alert."""
    assert refuse_unfit(CATALOG) is CATALOG
    off = changed(CATALOG, {"a": "rule.leak_alarm.enabled = false"})
    with pytest.raises(InvalidRule, match="no enabled rule of kind leak_alarm"):
        refuse_unfit(off)


@pytest.mark.parametrize(
    ("change", "mistake"),
    [
        ('rule.leak_alarm.scope.areas = ["D01"]', "rule leak_alarm: scope.areas: alarms of kind leak_alarm outside"),
        ('rule.co_alarm.scope.user_classes = ["household"]', "rule co_alarm: scope.user_classes"),
        ('rule.leak_alarm.scope.device_kinds = ["detector"]', "one rule of the kind must be for every meter"),
        ("rule.co_alarm.enabled = false", "no enabled rule of kind co_alarm"),
    ],
)
def test_a_set_that_is_deaf_to_the_alarms_of_some_devices_is_refused(change: str, mistake: str) -> None:
    """What cries outside the scope would open no alert; unknown classes and districts to come are outside, too."""
    with pytest.raises(InvalidRule, match=mistake):
        refuse_unfit(changed(CATALOG, {"a": change}))


def test_a_rule_of_its_own_for_some_detectors_leaves_none_out() -> None:
    """It overrides the rule for all."""
    words = {key: CATALOG.rules["leak_alarm"].definition[key] for key in ("title", "why", "what_to_do", "source")}
    own = "\n".join(f"{key} = {value!r}" for key, value in words.items())
    text = f"""[rule.leak_kitchens]
kind = "leak_alarm"
severity = "critical"
visit = "mandatory"
clears = "by_person"
overrides = "leak_alarm"
{own}
[rule.leak_kitchens.scope]
user_classes = ["commercial"]"""
    catalog = changed(CATALOG, {"a": text})
    assert refuse_unfit(catalog) is catalog


def test_what_an_older_set_lacks_is_what_it_has_nothing_of() -> None:
    """Not what it has under another name, and not what somebody switched off."""
    texts = dict(packaged_texts())
    del texts["inspection.toml"]
    older = parse_files(texts)
    assert [rule.rule_id for rule in lacking(older, CATALOG)] == ["hazard_open"]
    decided = {**texts, "off.toml": shipped_text(["hazard_open"], enabled=False)}
    assert lacking(parse_files(decided), CATALOG) == ()
    renamed = {**texts, "own.toml": shipped_text(["hazard_open"]).replace("[rule.hazard_open", "[rule.our_hazards")}
    assert lacking(parse_files(renamed), CATALOG) == ()


def test_the_shipped_rules_as_text_are_the_shipped_rules() -> None:
    """Word for word: the same version."""
    assert parse_files({"all.toml": shipped_text(CATALOG.rules)}).digest == CATALOG.digest


def test_what_a_rule_looks_for_and_nobody_registered_is_named() -> None:
    """Rule, key and word; rules that are switched off look for nothing."""
    text = 'rule.magnet.scope = {areas = ["D01", "D99"], meter_classes = ["G9"]}\nrule.seismic.scope.areas = ["D98"]'
    catalog = changed(CATALOG, {"a": text, "b": "rule.tamper = {enabled = false, scope = {devices = ['M-1']}}"})
    assert scope_words(catalog) == {
        "areas": {"D01", "D98", "D99"},
        "devices": frozenset(),
        "meter_classes": {"G9"},
    }
    unknown = [("areas", "D99"), ("areas", "D98"), ("meter_classes", "G9")]
    assert strangers(catalog, unknown) == [
        "rule magnet: scope.areas = D99: no district D99 is registered",
        "rule magnet: scope.meter_classes = G9: no device of meter class G9 is registered",
        "rule seismic: scope.areas = D98: no district D98 is registered",
    ]
