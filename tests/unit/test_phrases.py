"""Marks and findings in words."""

import pytest

from ingest.model import Flag
from ingest.phrases import finding_words, flag_words
from ingest.validation import Rule

_FIGURES = {
    "index_ml": 5_000_000, "before_ml": 4_000_000, "after_ml": 4_500_000, "step_ml": 1_000_000, "step_hours": 1.5,
    "qmax_lh": 6000.0, "gap_hours": 30.5, "expected_interval_s": 86_400, "used_ml": 9_000_000, "highest_ml": 600_000,
    "lowest_ml": 100_000, "known_days": 28, "still_days": 30,
}  # fmt: skip


@pytest.mark.parametrize("flag", list(Flag))
def test_every_mark_has_words(flag: Flag) -> None:
    """No mark is told as a bare number; together marks are told one by one; a bit nobody knows is told as its value."""
    (words,) = flag_words(flag)
    assert "mark" not in words
    assert len(flag_words(sum(Flag))) == len(Flag)
    assert flag_words(1 << 20) == ["mark 1048576"]
    assert flag_words(0) == []


@pytest.mark.parametrize("rule", list(Rule))
def test_every_rule_has_words(rule: Rule) -> None:
    """A finding says its rule and its figures; without figures the rule alone."""
    scope = "day" if rule in {Rule.LOW, Rule.ZERO} else "reading"
    assert finding_words(scope, rule.value, _FIGURES).startswith(f"{rule.value}: ")
    assert finding_words("reading", "high", {}) == "high"
