"""Requests, cases and their deadlines: what a step does, when somebody is reminded, who hears of it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from inspections.cases import (
    AskedCaseStep,
    Case,
    InvalidCases,
    WrongCaseStep,
    escalation_due,
    load_cases,
    parse_cases,
    take_case_step,
)
from inspections.requests import (
    AskedStep,
    InvalidRequests,
    RequestStep,
    ResidentRequest,
    WrongRequestStep,
    deadlines,
    load_requests,
    parse_requests,
    take_step,
    wants_reminder,
)

AT = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
CATALOGUE = load_requests()
CASES = load_cases()
SMELL = CATALOGUE.of("gas_smell")


def request(category: str = "inspection") -> ResidentRequest:
    return ResidentRequest(1, category, "open", AT, *deadlines(CATALOGUE.of(category), AT))


def step(subject: ResidentRequest, name: RequestStep, **given: object) -> ResidentRequest:
    return take_step(subject, AskedStep(name, "olga", **given), CATALOGUE, AT + timedelta(hours=1))  # type: ignore[arg-type]


def test_a_smell_of_gas_is_answered_within_half_an_hour() -> None:
    """The category decides by when somebody answers and settles it."""
    assert deadlines(SMELL, AT) == (AT + timedelta(minutes=30), AT + timedelta(hours=12))
    assert SMELL.visit == "mandatory"


def test_nothing_is_closed_without_an_answer() -> None:
    """A request is replied to before it is closed; the first reply's time stays when a better one is given."""
    with pytest.raises(WrongRequestStep, match="step: the request is open"):
        step(request(), "close")
    replied = step(request(), "reply", note="on our way")
    again = take_step(replied, AskedStep("reply", "otto", "done"), CATALOGUE, AT + timedelta(days=1))
    assert (again.replied_at, again.reply, again.owner) == (AT + timedelta(hours=1), "done", "olga")
    assert step(again, "close").state == "closed"


def test_a_poor_rating_asks_for_a_call() -> None:
    """Three of five or less: somebody calls within 48 hours, and a note says that it was done."""
    closed = step(step(request(), "reply", note="done"), "close")
    poor = step(closed, "rate", rating=3)
    assert poor.call_by == AT + timedelta(hours=49)
    assert poor.is_open
    assert not step(poor, "note", note="called, apologised").is_open
    assert step(closed, "rate", rating=4).call_by is None


def test_an_overdue_request_is_reminded_of_once_a_day() -> None:
    """The first reminder comes with the deadline, the next a day later, and at once when a further deadline passes."""
    asked = request()
    assert wants_reminder(asked, CATALOGUE, asked.reply_by) is None
    late = asked.reply_by + timedelta(minutes=1)
    assert wants_reminder(asked, CATALOGUE, late) == "reply overdue for 0.0 h; nobody takes care of it"
    told = replace(asked, reminded_at=late, owner="olga")
    assert wants_reminder(told, CATALOGUE, late + timedelta(hours=23)) is None
    assert wants_reminder(told, CATALOGUE, late + timedelta(hours=24)) == "reply overdue for 24.0 h"
    settled = replace(told, reminded_at=asked.settle_by - timedelta(minutes=1))
    assert wants_reminder(settled, CATALOGUE, asked.settle_by + timedelta(minutes=6)) == "settlement overdue for 0.1 h"


@given(
    st.lists(st.tuples(st.sampled_from(["assign", "reply", "close", "withdraw", "rate", "note"]), st.integers(1, 5)))
)
def test_no_way_through_ends_unanswered(steps: list[tuple[RequestStep, int]]) -> None:
    """Whatever is tried in whatever order: what is closed was answered, what is open has a deadline that will pass."""
    subject = request()
    for name, rating in steps:
        try:
            subject = step(subject, name, note="said", owner="olga", rating=rating)
        except WrongRequestStep:
            continue
    assert subject.state != "closed" or subject.replied_at is not None
    assert (subject.closed_at is None) == (subject.state in {"open", "replied"})
    if subject.is_open:
        assert subject.overdue_since(AT + timedelta(days=365)) is not None


def case(kind: str = "no_access") -> Case:
    return Case(1, kind, "open", AT, AT + timedelta(days=7), AT + timedelta(days=63))


def test_one_case_one_plan() -> None:
    """A case is closed with a plan, with how it ended, and not while it is supervised."""

    def asked(subject: Case, name: str, note: str | None = "said") -> Case:
        return take_case_step(subject, AskedCaseStep(name, "olga", note), AT)  # type: ignore[arg-type]

    with pytest.raises(WrongCaseStep, match="one case, one plan"):
        asked(case(), "close")
    watched = asked(asked(case(), "plan"), "supervise")
    with pytest.raises(WrongCaseStep, match="release it first"):
        asked(watched, "close")
    with pytest.raises(WrongCaseStep, match="note: close needs a note"):
        asked(asked(watched, "release"), "close", None)
    closed = asked(asked(watched, "release"), "close")
    assert (closed.state, closed.result) == ("closed", "said")
    with pytest.raises(WrongCaseStep, match="the case is closed"):
        asked(closed, "plan")


def test_each_level_hears_once_and_none_is_skipped_for_good() -> None:
    """After 21, 42, 63 days station, company, authority hear of it; a long pause goes to the highest that is due."""
    kind = CASES.of("no_access")
    assert escalation_due(case(), kind, AT + timedelta(days=20)) is None
    first = escalation_due(case(), kind, AT + timedelta(days=21))
    assert first is not None
    assert (first.level, first.reason) == (1, "open for 21 days, without a plan: the station must hear of it")
    assert escalation_due(replace(case(), level=1), kind, AT + timedelta(days=30)) is None
    late = escalation_due(replace(case(), level=1), kind, AT + timedelta(days=100))
    assert late is not None
    assert late.level == 3
    assert escalation_due(replace(case(), state="closed"), kind, AT + timedelta(days=100)) is None


def test_files_are_checked() -> None:
    """A repeated code, an unknown key, falling days and a missing kind are errors that say what is wrong."""
    text = "poor_rating=3\ncall_hours=48\nremind_every_hours=24\n"
    one = '[[category]]\ncode="x"\ntitle="X"\nreply_minutes=1\nsettle_hours=1\nvisit="none"\nsource="s"\n'
    with pytest.raises(InvalidRequests, match="category x is there twice"):
        parse_requests(text + one + one)
    with pytest.raises(ValidationError, match="colour"):
        parse_requests(text + one + 'colour="red"\n')
    kind = '[[kind]]\ncode="{}"\ntitle="X"\nplan_days=1\nclose_days=2\nescalate_days={}\nsource="s"\n'
    with pytest.raises(InvalidCases, match="missing: hazard_overdue, refused"):
        parse_cases(kind.format("no_access", "[1,2,3]"))
    both = kind.format("refused", "[1,2,3]") + kind.format("hazard_overdue", "[3,2,1]")
    with pytest.raises(InvalidCases, match="hazard_overdue: escalate_days must not fall"):
        parse_cases(kind.format("no_access", "[1,2,3]") + both)
