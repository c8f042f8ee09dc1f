"""Reasons of visits in Chinese: every sentence that planning can say, and whatever a person wrote."""

import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, get_args
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspections.access_rates import AccessRates
from inspections.candidates import CallRules, make_calls, mark_turn
from inspections.cycle import load_cycles, next_due
from inspections.duties import AlertNote, duty_of_alert
from inspections.hazard_episodes import FoundHazard
from inspections.hazards import load_hazards
from inspections.model import UserClass
from inspections.outcomes import recheck_of
from inspections.printing.reasons import in_chinese, reasons_in
from inspections.requests import load_requests
from tests.unit.inspections_days import DAY, door, duty

_ENGLISH = re.compile(r"[a-z]{3,}")
NINE = datetime(2026, 11, 20, 1, 0, tzinfo=UTC)
_DOORS: list[dict[str, Any]] = [
    {"built_year": 1990, "tenure": "rented", "elderly": True, "special_care": True},
    {"tenure": "vacant", "hose_installed_on": date(2020, 1, 1), "last_entered_on": date(2024, 5, 1)},
    {"user_class": "commercial"},
]


def _periodic() -> list[str]:
    said = []
    for cycle in load_cycles().cycle:
        said += [next_due(cycle, last, DAY)[1] for last in (None, date(2025, 1, 31))]
    return said


def _rechecks() -> list[str]:
    catalogue = load_hazards()
    found = [FoundHazard(kind.code, kind.grade, DAY) for kind in catalogue.kinds.values()]
    return [recheck.reason for one in found if (recheck := recheck_of(one, catalogue, DAY))]


def _others() -> list[str]:
    requests = [f"resident's request of 2026-11-20 09:00: {one.title}" for one in load_requests().category]
    return [*requests, "booked by the resident with notice card C2464574C", "appointment"]


@pytest.mark.parametrize("reason", [*_periodic(), *_rechecks(), *_others()])
def test_every_duty_has_chinese_words(reason: str) -> None:
    """No English word is left of what opens a duty: cycles, hazards of the catalogue, categories of requests."""
    assert _ENGLISH.findall(in_chinese(reason)) == []


@pytest.mark.parametrize("changes", _DOORS)
@pytest.mark.parametrize("user_class", get_args(UserClass))
@pytest.mark.parametrize(("attempts", "due_days"), [(0, -30), (1, 1), (3, 30)])
def test_every_weight_has_chinese_words(
    changes: dict[str, Any], user_class: UserClass, attempts: int, due_days: int
) -> None:
    """No English word is left of what a call says: points, attempts, promises, turns, the hours tried next."""
    at = door(1, user_class=user_class)
    at = replace(at, **changes)
    last = NINE if attempts else None
    due_on = DAY - timedelta(days=due_days)
    rules = CallRules(dict.fromkeys(get_args(UserClass), 480), load_cycles().no_access, ZoneInfo("Asia/Shanghai"))
    asked = duty(1, reason=_periodic()[0], due_on=due_on, attempts=attempts, last_attempt_at=last)
    promised = replace(asked, promised_from=NINE + timedelta(days=3), promised_to=NINE + timedelta(days=3, hours=2))
    for duties in ([asked], [replace(asked, mandatory=True)], [promised], [replace(promised, mandatory=True)]):
        for learned in (None, AccessRates()):
            (call,) = make_calls({1: at}, duties, DAY, replace(rules, rates=learned))
            for reason in mark_turn(call, frozenset({1})).reasons:
                assert _ENGLISH.findall(in_chinese(reason)) == [], reason


def test_an_alert_keeps_its_figures() -> None:
    """What an alert says is told with its device and figures; a sentence of a rule of one's own stays as it is."""
    note = AlertNote(
        alert_id=1, premises_id=1, severity="critical", late=True, visit="mandatory",
        sentence="LD-00095 raised a leak alarm of level 2: 39.2 %LEL",
    )  # fmt: skip
    made = duty_of_alert(note, DAY)
    assert made is not None
    assert in_chinese(f"{made.reason}, due on 2026-11-24 (+100)") == (
        "特急报警：LD-00095 发出 2 级泄漏报警：39.2 %LEL（据迟到数据），期限 2026-11-24（+100）"
    )
    assert in_chinese("minor alert: my own rule says so, due on 2026-11-24 (+15)") == (
        "一般报警：my own rule says so，期限 2026-11-24（+15）"
    )


def test_hours_that_are_best_are_told() -> None:
    """The sentence of another attempt with learned hours keeps its day, hours and chances."""
    said = (
        "nobody got in on Fri 2026-11-20 at 09:00: tried from 13:00 this time, best 16:00-18:00: 71% open then, "
        "50% otherwise (120 visits learned from in D01)"
    )
    told = in_chinese(said)
    assert _ENGLISH.findall(told) == []
    assert all(fact in told for fact in ("周五", "2026-11-20", "16:00-18:00", "71%", "50%", "120", "D01"))


@given(st.text(max_size=60))
def test_what_a_person_wrote_stays(text: str) -> None:
    """Whatever else a reason is, nothing of it is lost; in both languages one that reads the same stands once."""
    lines = reasons_in(("zh", "en"), [text])
    assert lines[-1] == text
    assert len(lines) == 1 or lines[0] == in_chinese(text)
