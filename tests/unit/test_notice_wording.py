"""Notices in the reader's language: every rule in both, addresses for those who may see them, lengths that fit."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from rules.catalog import default_catalog
from rules.notices import wording
from rules.notices.model import LANGUAGES, Facts
from rules.notices.wording import Setting, fit, texts, write, write_reach_test, write_together
from rules.paging import PURPOSES

AT = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
SETTING = Setting(ZoneInfo("Asia/Shanghai"), "https://desk.example")
FACTS = Facts(
    alert_id=7, rule_id="leak_alarm", subject="device:1", rule_title="Leak alarm", what_to_do="Call the home.",
    purpose="raised", level=1, severity="critical", state="open", owner=None,
    sentence="LD-0012 raised a leak alarm of level 2: 27.5 %LEL", raised_at=AT, first_at=AT, last_at=AT, closed_at=None,
    unit="%LEL", first_value=27.5, last_value=27.5, worst_value=27.5, count=1, area="D01", area_name="Riverside",
    device="LD-0012", gateway=None, building="Block 17", premises="D01-P602", address="Pine Gate 6, 602",
)  # fmt: skip
_ENGLISH = re.compile(r"[a-z]{4,} [a-z]{3,}")


@pytest.mark.parametrize("rule_id", sorted(default_catalog().rules))
def test_every_rule_has_its_chinese(rule_id: str) -> None:
    """Each rule of the catalogue has title, sentence and advice in Chinese; its notice holds no English sentence."""
    assert {"title", "sentence", "what_to_do"} <= texts("zh")["rule"].get(rule_id, {}).keys()
    evidence = {"account": "ann", "channel": "wecombot", "failures": 3, "level": 1, "starts": "2026", "ends": "2026"}
    evidence |= {"premises": "D01-P602", "hazards": 2, "due_on": "2026-11-21", "safe": False}
    evidence |= {"samples": [["2026", "GW-1", "LD-7", "leak_alarm", 2, 27.5, "invalid_field", "at: ...", 1]]}
    evidence |= {"waiting": 3, "oldest": 17, "since": "2026-11-20 08:30"}
    body = write(replace(FACTS, rule_id=rule_id, evidence=evidence), "zh", SETTING).body
    assert not _ENGLISH.search(body.replace("https://desk.example", "").replace("gaswarden contact test", "")), body


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("purpose", PURPOSES)
def test_every_purpose_has_its_words(language: str, purpose: str) -> None:
    """Any purpose, state and severity can be written in each language, with the facts in it."""
    for state in ("open", "acknowledged", "dispatched", "on_site", "made_safe", "verified", "dismissed"):
        for severity in ("critical", "major", "minor", "info"):
            facts = replace(FACTS, purpose=purpose, state=state, severity=severity, level=2, count=3, owner="ann")
            words = write(facts, language, SETTING)
            assert "LD-0012" in words.body
            assert "https://desk.example/api/v1/alerts/7" in words.body
            assert "\n" not in words.title + words.short


def test_the_address_is_for_those_who_may_see_it() -> None:
    """Only a reader who may see personal data gets the address; others get the door's code."""
    assert "Pine Gate" not in write(FACTS, "en", SETTING).body
    assert "Pine Gate 6, 602" in write(FACTS, "en", replace(SETTING, personal=True)).body


def test_local_time_and_the_languages_own_words() -> None:
    """Times are the city's; a rule without Chinese keeps its own sentence rather than none."""
    assert "2026-11-20 20:00" in write(FACTS, "en", SETTING).body
    chinese = write(FACTS, "zh", SETTING)
    assert chinese.title.startswith("【特急】燃气泄漏报警")
    assert "最高浓度 27.5 %LEL" in chinese.body
    assert "raised a leak alarm" in write(replace(FACTS, rule_id="own_rule"), "zh", SETTING).body


@pytest.mark.parametrize(("language", "most"), [("en", 306), ("zh", 134)])
def test_text_messages_fit(language: str, most: int) -> None:
    """A text message is the short form within two joined messages, however long the sentence is."""
    long = replace(FACTS, rule_id="own_rule", sentence="x" * 1000)
    title, body = fit(write(long, language, SETTING), 160, text_message=True)
    assert title == ""
    assert len(body) <= most
    assert body.endswith("…")
    assert fit(write(FACTS, language, SETTING), 2048, text_message=False)[1].count("\n") > 3


def test_many_together() -> None:
    """A flood is one message with a line for each, up to twenty, and how many more."""
    words = write_together([replace(FACTS, severity="minor", alert_id=n) for n in range(25)], "en", SETTING)
    assert words.title == "minor: 25 more alerts"
    assert words.body.count("\n- ") == 20
    assert "and 5 more" in words.body


@pytest.mark.parametrize("language", LANGUAGES)
def test_reach_test_says_how_to_confirm(language: str) -> None:
    """The test message holds the link, or without an address of ours the code."""
    with_link = write_reach_test("ann", "ABCD2345EFGH", AT, AT, language, SETTING)
    assert "https://desk.example/confirm/ABCD2345EFGH" in with_link.short
    assert (
        "ABCD2345EFGH"
        in write_reach_test("ann", "ABCD2345EFGH", None, AT, language, replace(SETTING, public_url=None)).short
    )


def test_a_template_cannot_reach_into_python() -> None:
    """Templates are sandboxed and a value that is missing is an error, not an empty place."""
    with pytest.raises(Exception, match="undefined"):
        wording._render("{{ nothing }}", {})
