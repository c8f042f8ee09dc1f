"""What an outcome decides, and the rules behind it: cycles, repeats, hazards, duties of alerts."""

from dataclasses import replace
from datetime import UTC, date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from inspections.cycle import (
    RISK_GROUPS,
    Cycle,
    Cycles,
    DoorFacts,
    InvalidCycles,
    add_months,
    load_cycles,
    next_attempt,
    next_due,
    other_half_day,
    parse_cycles,
    risk_groups,
)
from inspections.duties import AlertNote, duty_of_alert
from inspections.hazards import InvalidCatalogue, load_hazards, parse_hazards
from inspections.model import Result, Window
from inspections.outcomes import Decision, Finding, InvalidOutcome, check_report, decide, recheck_of
from inspections.wallclock import WallClock, local_day
from tests.unit.inspections_days import DAY, duty

CYCLES = load_cycles()
CATALOGUE = load_hazards()
HOME = DoorFacts("household")
PERIODIC = duty(1)
ALERT = duty(2, kind="alert", mandatory=True, alert_id=9)
RECHECK = duty(3, kind="recheck", hazard_id=30, hazard_code="hose_aged", hazard_grade=2)


def outcome(
    result: Result, *codes: str, duties: tuple[object, ...] = (PERIODIC,), rechecks: dict[int, str] | None = None
) -> Decision:
    findings = [Finding(code) for code in codes]
    asked: tuple[Any, ...] = (findings, duties, HOME, DAY, CYCLES, CATALOGUE)
    return decide(result, *asked, planned_rechecks=rechecks)


def test_passed_does_every_duty_and_starts_the_next_cycle() -> None:
    """A pass satisfies all duties of the visit; the next cycle counts from the visit, not from the old due day."""
    decision = outcome("passed", duties=(PERIODIC, ALERT))
    assert (decision.entered, decision.done, decision.retries) == (True, (1, 2), ())
    assert decision.next_periodic is not None
    assert decision.next_periodic[0] == date(2028, 11, 23)


def test_visit_for_an_alert_alone_starts_no_cycle() -> None:
    """Checking a leak is not the full inspection that the cycle counts."""
    assert outcome("passed", duties=(ALERT,)).next_periodic is None


@pytest.mark.parametrize("result", ["no_access", "refused"])
def test_not_entered_satisfies_nothing(result: Result) -> None:
    """Visited is not entered: every duty stays, counted as an attempt, none before the next day."""
    decision = outcome(result, duties=(PERIODIC, ALERT))
    assert (decision.entered, decision.done, decision.next_periodic) == (False, (), None)
    assert [(retry.duty_id, retry.not_before.day, retry.attempt) for retry in decision.retries] == [
        (1, 26, True),
        (2, 24, True),
    ]


def test_hazard_gets_its_grades_deadline_and_recheck() -> None:
    """Grade 1 is re-checked as mandatory at its deadline, grade 3 waits for the next visit."""
    decision = outcome("hazard_found", "leak", "light_rust")
    leak, rust = decision.found
    assert (leak.grade, leak.due_on, rust.grade) == (1, date(2026, 11, 24), 3)
    recheck = recheck_of(leak, CATALOGUE, DAY)
    assert recheck is not None
    assert (recheck.mandatory, recheck.not_before) == (True, date(2026, 11, 24))
    assert recheck_of(rust, CATALOGUE, DAY) is None
    assert decision.done == (1,)


def test_a_pass_closes_the_hazard_of_its_recheck() -> None:
    """The re-checked hazard is gone, also when another visit has done the duty since."""
    assert outcome("passed", duties=(RECHECK,)).rechecked == (30,)
    assert outcome("recheck_passed", duties=(), rechecks={30: "hose_aged"}).rechecked == (30,)


def test_recheck_that_finds_it_again_stays_open() -> None:
    """The same code is the same hazard: nothing is closed, the re-check stays with a new deadline."""
    decision = outcome("hazard_found", "hose_aged", "leak", duties=(RECHECK,))
    assert (decision.done, decision.rechecked) == ((), ())
    assert decision.retries[0].due_on == date(2026, 12, 23)
    assert not decision.retries[0].attempt


def test_recheck_that_finds_something_else_closes_the_old_hazard() -> None:
    """The hose was changed, but a leak was found: one closed, one new."""
    decision = outcome("hazard_found", "leak", duties=(RECHECK,))
    assert (decision.done, decision.rechecked, len(decision.found)) == ((3,), (30,), 1)


def test_a_recheck_alone_satisfies_rechecks_only() -> None:
    """The hazard is closed; the periodic inspection and the alert still wait, and no attempt is counted."""
    decision = outcome("recheck_passed", duties=(PERIODIC, ALERT, RECHECK))
    assert (decision.done, decision.rechecked, decision.next_periodic) == ((3,), (30,), None)
    assert [(retry.duty_id, retry.attempt) for retry in decision.retries] == [(1, False), (2, False)]
    with pytest.raises(InvalidOutcome, match="no re-check"):
        outcome("recheck_passed")


def test_a_partial_visit_leaves_the_rest_open() -> None:
    """What it found counts; nothing is proved gone; everything but the appointment is tried again, entered or not."""
    booked = duty(4, kind="appointment")
    decision = outcome("partial", "leak", duties=(PERIODIC, RECHECK, booked))
    assert (decision.entered, decision.done, decision.rechecked, decision.next_periodic) == (True, (4,), (), None)
    assert [hazard.code for hazard in decision.found] == ["leak"]
    assert [(retry.duty_id, retry.not_before.day, retry.attempt) for retry in decision.retries] == [
        (1, 26, False),
        (3, 26, False),
    ]


@given(
    result=st.sampled_from(["passed", "hazard_found", "partial", "no_access", "refused"]),
    codes=st.sets(st.sampled_from(["leak", "hose_aged", "light_rust"]), min_size=1),
    duties=st.sets(st.sampled_from([PERIODIC, ALERT, RECHECK])),
)
def test_no_duty_disappears(result: Result, codes: set[str], duties: set[object]) -> None:
    """Whatever is reported, each duty of the visit is either done or tried again, never both, never neither."""
    found = sorted(codes) if result in {"hazard_found", "partial"} else []
    decision = outcome(result, *found, duties=tuple(duties))
    again = [retry.duty_id for retry in decision.retries]
    assert sorted([*decision.done, *again]) == sorted(d.duty_id for d in duties)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("result", "codes", "words"),
    [
        ("hazard_found", [], "needs at least one hazard"),
        ("passed", ["leak"], "lists no hazards"),
        ("hazard_found", ["dragon"], "not in the catalogue"),
        ("hazard_found", ["leak", "leak"], "listed twice"),
    ],
)
def test_report_that_contradicts_itself(result: Result, codes: list[str], words: str) -> None:
    """Such a report is refused in words."""
    with pytest.raises(InvalidOutcome, match=words):
        check_report(result, [Finding(code) for code in codes], CATALOGUE)


def test_month_arithmetic_keeps_to_the_months_end() -> None:
    """Two years after a 29 February is a 28 February; a month before 31 March is the last of February."""
    assert add_months(date(2024, 2, 29), 24) == date(2026, 2, 28)
    assert add_months(date(2026, 3, 31), -1) == date(2026, 2, 28)


def test_unknown_history_is_due_now() -> None:
    """Unknown is not zero and not recent: a door of unknown history is due today, and says so."""
    due, reason = next_due(CYCLES.of(DoorFacts("commercial"), DAY), None, DAY)
    assert due == DAY
    assert "no earlier inspection is known" in reason


def test_the_shortest_matching_cycle_holds() -> None:
    """A rented home in a district with a cycle of its own has the shortest of its cycles, and the reason says whose."""
    own = Cycle(user_class="household", months=6, areas=("D",), source="x")
    cycles = Cycles(old_building_years=25, cycle=(*CYCLES.cycle, own), no_access=CYCLES.no_access)
    rented = DoorFacts("household", frozenset({"C", "D01"}), tenure="rented")
    assert CYCLES.of(HOME, DAY).months == 24
    assert cycles.of(rented, DAY).months == 12
    assert cycles.of(replace(rented, areas_above=frozenset({"D", "D01"})), DAY).months == 6
    assert cycles.of(replace(rented, user_class="commercial"), DAY).months == 12
    assert next_due(cycles.of(rented, DAY), DAY, DAY)[1].startswith("periodic inspection every 12 months (rented)")


@given(
    built=st.one_of(st.none(), st.integers(1900, 2030)),
    tenure=st.sampled_from([None, "owner", "rented", "vacant"]),
    elderly=st.one_of(st.none(), st.booleans()),
)
def test_no_group_makes_a_cycle_longer(built: int | None, tenure: str | None, elderly: bool | None) -> None:
    """Whatever is known of a door, its cycle is at most the general one; what is unknown puts it into no group."""
    facts = DoorFacts("household", built_year=built, tenure=tenure, elderly=elderly)
    assert CYCLES.of(facts, DAY).months <= CYCLES.of(HOME, DAY).months
    assert risk_groups(HOME, DAY, 25) == frozenset()
    assert risk_groups(facts, DAY, 25) <= set(RISK_GROUPS)


def test_third_attempt_pauses() -> None:
    """After three attempts the letter goes out and three weeks pass."""
    days = [(next_attempt(CYCLES.no_access, replace(PERIODIC, attempts=n), DAY) - DAY).days for n in range(4)]
    assert days == [3, 3, 21, 3]


def test_repeat_in_the_other_half_of_the_day() -> None:
    """Nobody home in the morning: the afternoon is tried; and the other way round."""
    morning, evening = datetime(2026, 11, 20, 9, 30), datetime(2026, 11, 20, 18, 0)  # noqa: DTZ001 - wall clock
    assert other_half_day(CYCLES.no_access, morning) == Window(13 * 3600, 24 * 3600)
    assert other_half_day(CYCLES.no_access, evening) == Window(0, 13 * 3600)
    assert other_half_day(CYCLES.no_access, None) is None


def test_files_are_checked() -> None:
    """A missing class, an unknown key and a repeated hazard are errors that say what is wrong."""
    text = "[no_access]\nretry_days=3\nmandatory_retry_days=1\nattempts_max=3\npause_days=21\nhalf_day_at=13:00:00\n"
    one = '[[cycle]]\nuser_class="household"\nmonths=24\nsource="x"\n'
    text = "old_building_years=25\n" + one + text
    with pytest.raises(InvalidCycles, match="not household"):
        parse_cycles(text)
    with pytest.raises(ValidationError, match="retry_weeks"):
        parse_cycles(text + "retry_weeks=1\n")
    hazard = '[[hazard]]\ncode="leak"\ntitle="t"\ngrade=1\ndeadline_days=1\nsource="s"\n'
    grades = "".join(
        f'[[grade]]\ngrade={n}\nmeaning="m"\nrecheck=true\nmandatory=false\naction="a"\n' for n in (1, 2, 3)
    )
    with pytest.raises(InvalidCatalogue, match="leak is there twice"):
        parse_hazards(grades + hazard + hazard)
    with pytest.raises(InvalidCatalogue, match="each be there once"):
        parse_hazards(grades.replace("grade=3", "grade=2") + hazard)


def test_packaged_deadlines_keep_to_their_grades() -> None:
    """Grade 1 within 1 to 7 days, grades 2 and 3 within 30, every item with a source."""
    for kind in CATALOGUE.kinds.values():
        assert kind.deadline_days <= (7 if kind.grade == 1 else 30), kind.code
        assert kind.source


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, (DAY, True)),
        ({"visit": "normal", "severity": "minor"}, (date(2026, 11, 30), False)),
        ({"late": True}, (DAY, False)),
        ({"late": True, "severity": "minor"}, None),
        ({"visit": "none"}, None),
    ],
)
def test_duty_of_an_alert(changes: dict[str, object], expected: tuple[date, bool] | None) -> None:
    """Mandatory only when the alert says so and is not late; late news of little weight sends nobody."""
    note = replace(AlertNote(1, 7, "critical", "mandatory", late=False, sentence="gas"), **changes)  # type: ignore[arg-type]
    made = duty_of_alert(note, DAY)
    assert (made and (made.due_on, made.mandatory)) == expected


def test_wall_clock_shows_local_time() -> None:
    """08:30 in Shanghai is 00:30 UTC; 23:30 UTC is already the next day there; clocks may change at night."""
    zone = ZoneInfo("Asia/Shanghai")
    assert WallClock(DAY, zone).moment(8 * 3600 + 1800) == datetime(2026, 11, 23, 0, 30, tzinfo=UTC)
    assert local_day(datetime(2026, 11, 22, 23, 30, tzinfo=UTC), zone) == DAY
    changed = WallClock(date(2026, 3, 29), ZoneInfo("Europe/Berlin")).moment(9 * 3600)
    assert changed.astimezone(ZoneInfo("Europe/Berlin")).time() == time(9)
