"""Acknowledgements that a planned visit keeps: as stories, and for any rosters."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules import clocks
from rules.awaiting import PlannedVisit, awaited, next_visit
from rules.model import Reason
from rules.regimes import InvalidRegime, regime_of
from tests.unit.alert_story import CHINA, Story, at, raised, stepped

GRACE_MIN = 60


def planned(arrive: float, leave: float | None = None, visit_id: int = 7) -> PlannedVisit:
    """A visit at these minutes; twenty minutes long unless said otherwise."""
    return PlannedVisit(visit_id, "I-1", at(arrive), at(arrive + 20 if leave is None else leave))


def acknowledged(severity: str = "critical", rule_id: str = "leak_alarm", minute: float = 2) -> Story:
    return Story(stepped(raised(severity=severity, rule_id=rule_id, remind_min=None), "acknowledge", minute))


def test_a_visit_in_time_keeps_the_acknowledgement_and_is_the_dispatch() -> None:
    """A crew on the roster in 20 minutes: no dispatch is missed, nothing expires; attendance stays due at 30."""
    story = acknowledged()
    assert story.look(3, planned(22)) == ["visit_planned"]
    assert story.look(16.9, planned(22)) == story.look(29, planned(22)) == []
    assert (story.alert.due_stage, story.alert.due_at) == ("on_site", at(30))
    assert story.look(30, planned(22)) == ["escalated"]
    assert "I-1 is planned at the door from 2026-11-20 12:22Z to 12:42Z" in (story.steps[0].note or "")


def test_a_visit_of_tomorrow_is_no_crew_at_a_leak() -> None:
    """It keeps nothing: dispatch is due and climbs as ever, and the acknowledgement expires when its time is over."""
    story = acknowledged()
    tomorrow = planned(20 * 60)
    assert story.look(7, tomorrow) == ["escalated"]
    assert story.look(16.9, tomorrow) == ["escalated"]
    assert (story.alert.state, story.alert.awaited_visit_id) == ("acknowledged", None)
    expires_at = clocks.expires(story.alert, CHINA.limits_of(story.alert))
    assert expires_at is not None
    assert story.look((expires_at - at(0)).total_seconds() / 60, tomorrow)[-1] == "acknowledgement_expired"


def test_a_visit_that_nobody_reports_ends_with_its_grace() -> None:
    """Until it should have left and an hour more; then the timeline says why, and the acknowledgement is void."""
    story = acknowledged("major", "micro_leak")
    visit = planned(600)
    assert story.look(470, visit) == ["visit_planned"]
    assert story.look(482, visit) == story.look(679, visit) == []
    assert clocks.expires(story.alert, CHINA.limits_of(story.alert)) == at(620 + GRACE_MIN)
    assert story.alert.wake_at == at(680)
    assert story.look(680, visit) == ["visit_passed", "acknowledgement_expired"]
    assert (story.alert.state, story.alert.awaited_visit_id, story.alert.due_stage) == ("open", None, "acknowledged")


def test_a_dropped_visit_lets_the_expiry_run_again() -> None:
    """At once where its time is over already; else when it comes."""
    late, early = acknowledged("major", "micro_leak"), acknowledged("major", "micro_leak")
    assert late.look(470, planned(600)) == early.look(100, planned(600)) == ["visit_planned"]
    assert late.look(500) == ["visit_dropped", "acknowledgement_expired"]
    assert early.look(200) == ["visit_dropped"]
    assert early.look(481) == []
    assert early.look(482) == ["acknowledgement_expired"]


def test_a_moved_visit_and_an_earlier_one_are_followed() -> None:
    """The timeline has each change once; the nearest visit counts."""
    story = acknowledged("major", "micro_leak")
    assert story.look(10, planned(600)) == ["visit_planned"]
    assert story.look(11, planned(660)) == ["visit_moved"]
    assert story.look(12, planned(660)) == []
    assert story.look(13, planned(660), planned(60, visit_id=9)) == ["visit_moved"]
    assert (story.alert.awaited_visit_id, story.alert.awaited_to) == (9, at(80))


def test_a_reported_visit_keeps_nothing() -> None:
    """Nobody opened: the expiry runs again, and says so."""
    story = acknowledged("major", "micro_leak")
    story.look(470, planned(475))
    assert story.look(483, reported="no_access") == ["visit_reported", "acknowledgement_expired"]
    assert "reported: no access" in (story.steps[1].note or "")


def test_only_an_acknowledgement_waits_for_a_visit() -> None:
    """An open alert needs an owner whatever is planned; one on whose way somebody is forgets the visit."""
    alert = raised()
    assert awaited(alert, [planned(5)], None, CHINA, at(1)).reason is Reason.NOTHING_NEW
    story = acknowledged()
    story.look(3, planned(22))
    assert stepped(story.alert, "dispatch", 5).awaited_visit_id is None


def test_the_grace_is_the_regimes() -> None:
    """A regime may give another; one without it has an hour, more than a day is refused."""
    major: dict[str, object] = {**CHINA.definition["major"]}  # type: ignore[dict-item]
    own = {**CHINA.definition, "major": {**major, "visit_grace_min": 5}}
    story = acknowledged("major", "micro_leak")
    story.regime = regime_of("own", own)
    story.look(470, planned(475))
    assert story.look(499.9, planned(475)) == []
    assert story.look(500, planned(475)) == ["visit_passed", "acknowledgement_expired"]
    with pytest.raises(InvalidRegime, match="visit_grace_min = 1441 is outside 1 to 1440"):
        regime_of("own", {**own, "major": {**major, "visit_grace_min": 1441}})


@given(
    rosters=st.lists(st.lists(st.integers(0, 2000), max_size=3), min_size=1, max_size=12),
    steps=st.lists(st.integers(1, 200), min_size=12, max_size=12),
)
def test_whatever_the_rosters_say(rosters: list[list[int]], steps: list[int]) -> None:
    """While a visit is in force and its time not over, nothing expires; without one, what is over expires at once."""
    story, minute = acknowledged("major", "micro_leak"), 2
    for roster, wait in zip(rosters, steps, strict=False):
        minute += wait
        visits = [planned(arrive, visit_id=number) for number, arrive in enumerate(roster)]
        expired = "acknowledgement_expired" in story.look(minute, *visits)
        kept = any(minute < arrive + 20 + GRACE_MIN for arrive in roster)
        assert expired == (not kept and minute >= 482)
        if expired:
            return
        coming = next_visit(visits, timedelta(minutes=GRACE_MIN), at(minute))
        assert story.alert.awaited_visit_id == (None if coming is None else coming.visit_id)
