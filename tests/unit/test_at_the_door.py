"""Pure decisions at the door: checklists, the next attempt, free windows, calls without an account."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.problems import Problem
from app.public_calls import PublicCalls
from inspections.access_rates import AccessRates, BestTime
from inspections.attempts import advise
from inspections.booking import BookableWindow, Offer, Shift, free_windows, same_time_later
from inspections.checklists import (
    Answer,
    InvalidChecklists,
    Item,
    check_answers,
    joined,
    load_checklists,
    parse_checklists,
)
from inspections.cycle import load_cycles
from inspections.hazards import load_hazards
from inspections.model import UserClass
from inspections.outcomes import Finding, InvalidOutcome
from inspections.working_days import WorkingDays

CATALOGUE = load_hazards()
LISTS = load_checklists(CATALOGUE)
RULES = load_cycles().no_access
ZONE = ZoneInfo("Asia/Shanghai")
CLASSES: tuple[UserClass, ...] = ("household", "commercial", "industrial")


def sound(items: dict[str, Item]) -> dict[str, Answer]:
    """Answers to every mandatory item that mean no hazard."""
    asked = {code: item for code, item in items.items() if item.mandatory}
    return {code: 0.0 if item.kind == "number" else item.hazard_if != "yes" for code, item in asked.items()}


@pytest.mark.parametrize("user_class", CLASSES)
def test_each_answer_means_its_hazard_and_no_other(user_class: UserClass) -> None:
    """A sound home has none; turning one answer over gives exactly the hazard that its item names."""
    items = LISTS.of(user_class)
    answers = sound(items)
    assert check_answers(items, answers, "passed").findings == ()
    for code, item in items.items():
        bad: Answer = (item.above or 0) + 1 if item.kind == "number" else item.hazard_if == "yes"
        found = check_answers(items, answers | {code: bad}, "hazard_found").findings
        assert [finding.code for finding in found] == [item.hazard]


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"gas_at_joints_ppm": None}, "answers.gas_at_joints_ppm", "is mandatory"),
        ({"hose_sound": "not_seen"}, "answers.hose_sound", "the visit is partial"),
        ({"hose_sound": 1.5}, "answers.hose_sound", "must be yes or no"),
        ({"tightness_drop_pa": True}, "answers.tightness_drop_pa", "a number in Pa"),
        ({"detector_installed": True}, "answers.detector_installed", "is not asked in this user class"),
    ],
)
def test_answers_at_fault_are_named(change: dict[str, Answer | None], field: str, words: str) -> None:
    """Missing, unseen, of the wrong kind or not asked: the item is named as a field."""
    items = LISTS.of("household")
    answers = {code: answer for code, answer in (sound(items) | change).items() if answer is not None}
    with pytest.raises(InvalidOutcome, match=words) as refused:
        check_answers(items, answers, "passed")
    assert refused.value.field == field


def test_a_partial_visit_may_leave_items_out() -> None:
    """They are listed as not seen."""
    answers = sound(LISTS.of("household"))
    del answers["hose_sound"]
    assert check_answers(LISTS.of("household"), answers, "partial").unseen == ("hose_sound",)


def test_the_inspectors_own_note_wins() -> None:
    """A hazard said and derived is one hazard."""
    assert joined([Finding("leak", "at the hob")], [Finding("leak", "x"), Finding("dual_fuel")]) == [
        Finding("leak", "at the hob"),
        Finding("dual_fuel"),
    ]


def test_a_checklist_names_only_known_hazards() -> None:
    """A hazard that the catalogue lacks, and an item given twice, stop the start with one sentence."""
    item = '[[item]]\ncode="a"\nclasses=["household"]\nen="a"\nzh="a"\nkind="yes_no"\nhazard_if="yes"\n'
    item += 'hazard="{}"\nsource="s"\n'
    with pytest.raises(InvalidChecklists, match="dragon is not in the hazard catalogue"):
        parse_checklists('version="1"\n' + item.format("dragon"), CATALOGUE)
    with pytest.raises(InvalidChecklists, match="item a is there twice"):
        parse_checklists('version="1"\n' + item.format("leak") * 2, CATALOGUE)


def test_the_next_attempt_is_at_another_time_on_another_weekday() -> None:
    """Tried on a Friday and a Tuesday morning: the Saturday at its best afternoon hours, with the reason."""
    tried = [datetime(2026, 11, 20, 10, tzinfo=ZONE), datetime(2026, 11, 24, 9, tzinfo=ZONE)]
    best = AccessRates().best_times("household", "D01", 2, from_hour=8, to_hour=18)
    advice = advise(RULES, tried, best, date(2026, 11, 27))
    assert advice is not None
    assert (advice.not_before, advice.from_hour, advice.to_hour) == (date(2026, 11, 28), 14, 16)  # Saturday
    assert advice.reason.startswith("attempt 3: nobody got in on Fri 20 Nov 10:00, Tue 24 Nov 09:00")


def test_the_next_attempt_is_on_a_day_that_is_worked() -> None:
    """A holiday week is stepped over; where no day is worked there is no advice."""
    tried = [datetime(2026, 9, 28, 9, tzinfo=ZONE)]
    best = AccessRates().best_times("household", "D01", 1, from_hour=8, to_hour=18)
    china = WorkingDays("CN", frozenset(range(5)))
    advice = advise(RULES, tried, best, date(2026, 10, 1), china)
    assert advice is not None
    assert advice.not_before == date(2026, 10, 8)  # National Day lasts a week
    assert advise(RULES, tried, best, date(2026, 10, 1), WorkingDays("", frozenset())) is None


@given(
    hours=st.lists(st.integers(0, 23), min_size=1, max_size=9),
    begin=st.integers(0, 12),
    length=st.integers(1, 12),
    ahead=st.integers(0, 60),
)
def test_advice_is_never_sooner_and_in_the_other_half(hours: list[int], begin: int, length: int, ahead: int) -> None:
    """Whatever was tried: not before the rules' day, within two weeks of it, in the half of the day not tried last."""
    tried = [datetime(2026, 11, 2, hour, tzinfo=ZONE) + timedelta(days=n) for n, hour in enumerate(hours)]
    earliest = tried[-1].date() + timedelta(days=ahead)
    advice = advise(
        RULES, tried, [BestTime(weekend, begin, begin + length, 0.5) for weekend in (True, False)], earliest
    )
    if advice is not None:
        assert earliest <= advice.not_before < earliest + timedelta(days=14)
        assert (advice.from_hour >= 13) == (tried[-1].hour < 13)


def test_windows_are_free_as_long_as_somebody_has_room() -> None:
    """Two at work, one visit each in a window: two promises fill it, an absence halves it; local hours."""
    offer = Offer(lead_days=2, days=1, window_h=2, per_inspector=1)
    shifts = [Shift(time(8, 30), time(16, 30)), Shift(time(9), time(17))]
    day = date(2026, 11, 23)
    nine = datetime(2026, 11, 25, 1, tzinfo=UTC)  # 09:00 in the city, two days ahead
    windows = free_windows(offer, shifts, [], day, ZONE)
    assert [window.begins_at.hour for window in windows] == [9, 11, 13, 15]
    taken = [(nine, nine + timedelta(hours=2))]
    assert len(free_windows(offer, shifts, taken, day, ZONE)) == 4
    assert [window.begins_at.hour for window in free_windows(offer, shifts, taken * 2, day, ZONE)] == [11, 13, 15]
    away = [Shift(time(8, 30), time(16, 30), ((nine, nine + timedelta(days=1)),)), shifts[1]]
    assert [window.begins_at.hour for window in free_windows(offer, away, taken, day, ZONE)] == [11, 13, 15]
    assert free_windows(offer, [], [], day, ZONE) == []
    closed = replace(offer, calendar=WorkingDays("", frozenset({0, 1, 3, 4})))
    assert free_windows(closed, shifts, [], day, ZONE) == []


def test_a_promise_moves_to_the_next_day_with_room() -> None:
    """The same local time of the first day on which somebody able has room; none when all are full."""
    offer = Offer(lead_days=2, days=1, window_h=2, per_inspector=1)
    shift = [Shift(time(8, 30), time(16, 30))]
    window = BookableWindow(datetime(2026, 11, 20, 9, tzinfo=ZONE), datetime(2026, 11, 20, 11, tzinfo=ZONE))
    monday = datetime(2026, 11, 23, 9, tzinfo=ZONE)
    days = [date(2026, 11, 23), date(2026, 11, 24)]
    assert same_time_later(offer, shift, [], window, days) == BookableWindow(monday, monday + timedelta(hours=2))
    full = [(monday, monday + timedelta(hours=1))]
    assert same_time_later(offer, shift, full, window, days) == BookableWindow(
        monday + timedelta(days=1), monday + timedelta(days=1, hours=2)
    )
    assert same_time_later(offer, [], [], window, days) is None


def test_calls_without_an_account_are_few() -> None:
    """One address gets its calls a minute, then 429 with the time to wait; another address is not touched by it."""
    calls = PublicCalls(per_minute=2)
    calls.count("a", 0.0)
    calls.count("a", 1.0)
    with pytest.raises(Problem) as refused:
        calls.count("a", 2.0)
    assert (refused.value.status, refused.value.headers) == (429, {"Retry-After": "58"})
    calls.count("b", 2.0)
    calls.count("a", 60.0)
