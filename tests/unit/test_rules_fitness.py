"""Whether a set of rules fits this program and this registry."""

import pytest

from rules.catalog import default_catalog
from rules.drafts import changed
from rules.fitness import refuse_unfit, scope_words, strangers
from rules.model import InvalidRule

CATALOG = default_catalog()


def test_a_set_without_leak_alarms_is_refused() -> None:
    """Left out or switched off: either way what a detector cries would open no alert."""
    assert refuse_unfit(CATALOG) is CATALOG
    off = changed(CATALOG, {"a": "rule.leak_alarm.enabled = false"})
    with pytest.raises(InvalidRule, match="no enabled rule of kind leak_alarm"):
        refuse_unfit(off)


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
