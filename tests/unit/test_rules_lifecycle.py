"""The life of an alert as stories, its refusals, and what must hold whatever happens."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules import changes, folding, lifecycle
from rules.catalog import default_catalog
from rules.clocks import deadline
from rules.model import (
    CLOSED_STATES,
    SEVERITIES,
    Alert,
    Cleared,
    Finding,
    Inspection,
    OfficerStep,
    Reason,
    Transition,
    WrongStep,
)
from rules.pages import StepBody
from rules.regimes import default_regimes

RULES = default_catalog().rules
LEAK, SILENT, MICRO = RULES["leak_alarm"], RULES["device_silent"], RULES["micro_leak"]
T0 = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
PROOF = ({"kind": "instrument", "instrument": "GT-44", "value": 0.0, "unit": "ppm"},)


def at(minutes: float) -> datetime:
    return T0 + timedelta(minutes=minutes)


def leak(minute: float, severity: str = "major", value: float = 8.0) -> Finding:
    """A leak alarm at a minute."""
    sample = [at(minute).isoformat(), "LD-1", "raised", value]
    return Finding(
        "leak_alarm", "device:1", at(minute), at(minute), severity, "leak", {"samples": [sample]}, value, "%LEL"
    )


def quiet(minute: float, *, believed: bool = True) -> Cleared:
    return Cleared("leak_alarm", "device:1", at(minute), believed)


def leak_alert(state: str = "open", **values: object) -> Alert:
    """An open leak alert of minute 0."""
    alert = folding.raise_or_fold(LEAK, None, [], leak(0), at(0)).alert
    assert alert is not None
    return alert.changed(alert_id=1, state=state, **values)


STORIES: dict[str, tuple[list[Finding | Cleared], list[str], tuple[str, bool, int]]] = {
    "leak, quiet": ([leak(0), quiet(5)], ["raised", "cleared"], ("open", False, 1)),
    "leak, leak": ([leak(0), leak(3)], ["raised"], ("open", True, 2)),
    "leak, worse leak": ([leak(0), leak(3, "critical", 30.0)], ["raised", "worse"], ("open", True, 2)),
    "leak, quiet, leak": ([leak(0), quiet(5), leak(9)], ["raised", "cleared", "raised"], ("open", True, 2)),
    "quiet, leak": ([quiet(0), leak(1)], ["raised"], ("open", True, 1)),
    "leak, quiet, quiet": ([leak(0), quiet(5), quiet(6)], ["raised", "cleared"], ("open", False, 1)),
    "leak, clear of a blind detector": (
        [leak(0), quiet(5, believed=False)],
        ["raised", "clear_not_believed"],
        ("open", True, 1),
    ),
    "leak, quiet, then an older leak arrives": (
        [leak(0), quiet(5), leak(3)],
        ["raised", "cleared"],
        ("open", False, 2),
    ),
    "the same leak twice": ([leak(0), leak(0)], ["raised"], ("open", True, 1)),
    "leak, then an older clear arrives": ([leak(5), quiet(2)], ["raised"], ("open", True, 1)),
}


@pytest.mark.parametrize("name", STORIES)
def test_stories(name: str) -> None:
    """What happened -> the rows of the timeline, and state, firing and count at the end."""
    happened, timeline, (state, firing, count) = STORIES[name]
    (change,) = changes.apply(RULES, {}, {}, happened, at(10))
    assert [step.step for step in change.steps] == timeline
    assert (change.after.state, change.after.firing, change.after.count) == (state, firing, count)


def test_firing_after_closing_is_a_new_episode_linked_to_the_old_one() -> None:
    """Episode 2 names its predecessor."""
    closed = leak_alert("verified", closed_at=at(30))
    transition = folding.raise_or_fold(LEAK, None, [closed], leak(40), at(40))
    assert transition.alert is not None
    assert transition.reason is Reason.NEW_EPISODE
    assert (transition.alert.episode, transition.alert.previous_alert_id) == (2, 1)


def test_the_very_same_instant_does_not_reopen() -> None:
    """The event that was closed comes again, for instance from a replay."""
    closed = leak_alert("dismissed", closed_at=at(30))
    assert folding.raise_or_fold(LEAK, None, [closed], leak(0), at(40)) == Transition(None, Reason.ALREADY_CLOSED)


def test_a_window_that_ended_before_the_closing_does_not_reopen() -> None:
    """Readings of yesterday that arrive today belong to what was closed today."""
    closed = replace(leak_alert("verified", closed_at=at(30)), rule_id="micro_leak")
    old = replace(leak(0), rule_id="micro_leak", last_at=at(29))
    new = replace(old, last_at=at(31))
    assert folding.raise_or_fold(MICRO, None, [closed], old, at(40)).reason is Reason.ALREADY_CLOSED
    assert folding.raise_or_fold(MICRO, None, [closed], new, at(40)).reason is Reason.NEW_EPISODE


def test_a_growing_interval_is_one_condition_without_a_row_for_each_day() -> None:
    """The same micro-leak, a day longer: last value and end move, count and timeline do not."""
    first = replace(leak(0), rule_id="micro_leak", last_at=at(60))
    grown = replace(first, last_at=at(120), evidence={"samples": [["later"]]}, value=8.4)
    (change,) = changes.apply(RULES, {}, {}, [first, grown], at(130))
    assert [step.step for step in change.steps] == ["raised"]
    assert (change.after.count, change.after.last_at, change.after.last_value) == (1, at(120), 8.4)


def test_telemetry_closes_only_where_the_rule_lets_it() -> None:
    """A silent device that is heard is verified; a leak that is quiet stays open."""
    silence = replace(leak(0), rule_id="device_silent")
    (change,) = changes.apply(RULES, {}, {}, [silence, replace(quiet(9), rule_id="device_silent")], at(9))
    assert (change.after.state, change.after.closed_at) == ("verified", at(9))
    assert change.steps[-1].reason is Reason.CLEARED_AND_CLOSED


def test_a_leak_that_gets_worse_gives_nobody_more_time() -> None:
    """Level 2 after 25 minutes: attendance stays due 30 minutes after the first alarm; the supply must be shut anew."""
    (change,) = changes.apply(RULES, {}, {}, [leak(0)], at(0))
    there = change.after.changed(alert_id=1, controlled_at=at(3))
    step = folding.raise_or_fold(LEAK, there, [], leak(25, "critical", 30.0), at(25))
    assert step.alert is not None
    assert (step.reason, step.alert.severity, step.alert.controlled_at) == (Reason.WORSE, "critical", None)
    assert deadline(step.alert, "on_site", default_regimes()["china"].limits_of(step.alert)) == at(30)


def test_what_is_no_leak_has_the_times_of_its_worse_severity_from_then_on() -> None:
    """A minor alert of yesterday that is major now is due within the times of major, from now."""
    minor = folding.raise_or_fold(MICRO, None, [], replace(leak(0), severity="minor"), at(0)).alert
    step = folding.raise_or_fold(MICRO, minor, [], leak(60, "major", 30.0), at(60))
    assert step.alert is not None
    assert step.alert.clock_at == at(60)


def test_late_is_what_ended_two_days_before_we_knew() -> None:
    """48 hours and a minute is late, 48 hours is not; an alarm of now makes a late alert current."""
    assert folding.is_late(leak(0), at(48 * 60 + 1))
    assert not folding.is_late(leak(0), at(48 * 60))
    late = folding.raise_or_fold(LEAK, None, [], leak(0), at(49 * 60)).alert
    assert late is not None
    assert late.late
    current = folding.raise_or_fold(LEAK, late, [], leak(49 * 60), at(49 * 60)).alert
    assert current is not None
    assert not current.late


REFUSALS = {
    (
        "open",
        "dispatch",
    ): "the alert is open: dispatch is not possible; allowed from here: acknowledge, control, dismiss",
    ("acknowledged", "acknowledge"): (
        "the alert is acknowledged: acknowledge is not possible; allowed from here: control, dispatch, dismiss"
    ),
    ("verified", "dismiss"): (
        "the alert is verified: dismiss is not possible; it is closed, and nothing more is allowed"
    ),
}


@pytest.mark.parametrize(("state", "step"), REFUSALS)
def test_a_step_out_of_order_says_what_is_allowed(state: str, step: str) -> None:
    """The sentence names state, step and what is possible instead."""
    with pytest.raises(WrongStep) as refused:
        lifecycle.officer_step("by_person", leak_alert(state), OfficerStep(step, "olga"), at(9))
    assert str(refused.value) == REFUSALS[state, step]


def test_closing_a_leak_needs_evidence_and_dismissing_needs_a_cause() -> None:
    """A click is no proof; `other` is no cause without words."""
    safe = leak_alert("made_safe")
    for asked, words in (
        (OfficerStep("verify", "olga"), "needs evidence"),
        (OfficerStep("dismiss", "olga"), "needs a cause"),
        (OfficerStep("dismiss", "olga", cause="boredom"), "needs a cause"),
        (OfficerStep("dismiss", "olga", cause="other", note=" "), "needs a note"),
    ):
        with pytest.raises(WrongStep, match=words):
            lifecycle.officer_step("by_person", safe, asked, at(9))
    done = lifecycle.officer_step("by_person", safe, OfficerStep("verify", "olga", evidence=PROOF), at(9))
    assert done.alert is not None
    assert (done.alert.state, done.alert.closed_at, done.alert.owner) == ("verified", at(9), "olga")


@pytest.mark.parametrize(
    ("evidence", "words"),
    [
        ({"value": 450, "unit": "ppm"}, "needs a carbon monoxide concentration"),
        ({"value": 0, "unit": "%LEL"}, "needs a carbon monoxide concentration"),
        ({"value": 9, "unit": "ppm", "gas": "co"}, "below 9 ppm is safe"),
        ({"value": 8.9, "unit": "ppm", "gas": "co"}, None),
    ],
)
def test_carbon_monoxide_is_not_proved_away_by_an_instrument_for_methane(
    evidence: dict[str, object], words: str | None
) -> None:
    """450 ppm are 0.9 %LEL of methane, and of carbon monoxide deadly."""
    item = {"kind": "instrument", "instrument": "GT-44", **evidence}
    asked, poisoned = OfficerStep("verify", "olga", evidence=(item,)), leak_alert("made_safe")
    if words is None:
        assert lifecycle.officer_step("by_person", poisoned, asked, at(9), co=True).step == "verified"
        return
    with pytest.raises(WrongStep, match=words):
        lifecycle.officer_step("by_person", poisoned, asked, at(9), co=True)


def test_carbon_monoxide_measured_proves_nothing_about_a_leak() -> None:
    """Its ppm are not those of methane."""
    item = {"kind": "instrument", "instrument": "CO-7", "value": 0, "unit": "ppm", "gas": "co"}
    with pytest.raises(WrongStep, match="verify of a leak needs a gas concentration"):
        lifecycle.officer_step(
            "by_person", leak_alert("made_safe"), OfficerStep("verify", "olga", evidence=(item,)), at(9)
        )


def test_the_steps_over_http_are_those_of_the_lifecycle() -> None:
    """One list of words."""
    assert get_args(StepBody.model_fields["step"].annotation) == lifecycle.STEPS


def visit(result: str, minute: float = 60, hazards: int = 0, hazards_open: int = 0) -> Inspection:
    return Inspection(7, result, at(minute), hazards, hazards_open)


def rechecked(minute: float) -> Inspection:
    """A hazard found at minute 60 whose re-check passed at this minute."""
    return replace(visit("hazard_found", hazards=1), rechecked_at=at(minute))


@pytest.mark.parametrize(
    ("before", "seen", "expected"),
    [
        ({}, visit("passed"), (Reason.PASSED, "verified", False)),
        ({"confirmed": True}, visit("passed"), (Reason.PASSED, "verified", True)),
        ({"last_at": at(90)}, visit("passed"), (Reason.SEEN_SINCE, "open", None)),
        ({"last_at": at(90), "firing": False}, visit("passed"), (Reason.SEEN_SINCE, "open", None)),
        ({"last_at": at(90)}, visit("hazard_found", hazards=1), (Reason.SEEN_SINCE, "open", None)),
        ({"last_at": at(90)}, rechecked(100), (Reason.RECHECK_PASSED, "verified", True)),
        ({}, visit("hazard_found"), (Reason.HAZARD_FOUND, "open", True)),
        ({}, visit("hazard_found", hazards=1, hazards_open=1), (Reason.HAZARD_FOUND, "open", True)),
        ({}, visit("hazard_found", hazards=1), (Reason.RECHECK_PASSED, "verified", True)),
        ({}, visit("no_access"), (Reason.INSPECTED, "open", None)),
        ({}, visit("refused"), (Reason.INSPECTED, "open", None)),
        ({}, visit("recheck_passed"), (Reason.INSPECTED, "open", None)),
        ({}, visit("partial"), (Reason.INSPECTED, "open", None)),
        ({}, visit("partial", hazards=1), (Reason.HAZARD_FOUND, "open", True)),
    ],
)
def test_what_an_inspector_found(
    before: dict[str, object], seen: Inspection, expected: tuple[Reason, str, bool | None]
) -> None:
    """Outcome of the visit -> reason, state, and whether the alert was a true hazard."""
    transition = lifecycle.inspected(leak_alert().changed(**before), seen, at(120))
    assert transition.alert is not None
    assert (transition.reason, transition.alert.state, transition.alert.confirmed) == expected


HAPPENINGS = st.lists(
    st.one_of(
        st.builds(
            leak,
            st.integers(0, 50),
            st.sampled_from(["major", "critical"]),
            st.sampled_from([5.0, 8.0, 30.0]),
        ),
        st.builds(quiet, st.integers(0, 50)),
    ),
    min_size=1,
    max_size=12,
)


@given(HAPPENINGS)
def test_a_leak_stays_open_whatever_the_detector_says(happened: list[Finding | Cleared]) -> None:
    """No sequence of alarms and clears closes a leak, lowers its severity or forgets its worst value."""
    findings = [one for one in happened if isinstance(one, Finding)]
    found = changes.apply(RULES, {}, {}, happened, at(60))
    assert bool(found) == bool(findings)
    for change in found:
        worst = max((one.severity for one in findings), key=SEVERITIES.index)
        assert (change.after.state, change.after.severity) == ("open", worst)
        assert change.after.worst_value == max(one.value or 0 for one in findings)
        assert change.after.first_at == min(one.first_at for one in findings)
        assert change.after.last_at == max(one.last_at for one in findings)


@given(st.permutations([leak(minute, value=float(minute)) for minute in range(6)]))
def test_any_order_of_arrival_ends_in_the_same_alert(order: list[Finding]) -> None:
    """Six alarms in any order: the same span, values, count and evidence."""
    in_time: list[Finding] = sorted(order, key=lambda one: one.first_at)
    (change,) = changes.apply(RULES, {}, {}, order, at(60))
    (straight,) = changes.apply(RULES, {}, {}, in_time, at(60))
    assert change.after == straight.after


@given(st.lists(st.sampled_from(lifecycle.STEPS), max_size=15))
def test_officers_steps_only_go_forward_and_end(steps: list[str]) -> None:
    """Whatever is clicked: a closed alert never changes, a refused step changes nothing, closing carries a time."""
    alert = leak_alert()
    for step in steps:
        asked = OfficerStep(step, "olga", note="at the main cock", evidence=PROOF, cause="cooking")
        was_closed = alert.state in CLOSED_STATES
        try:
            after = lifecycle.officer_step("by_person", alert, asked, at(9)).alert
        except WrongStep:
            continue
        assert after is not None
        assert not was_closed
        assert (after.closed_at is not None) == (after.state in CLOSED_STATES)
        alert = after


def test_a_ladder_raises_and_lowers_one_alert() -> None:
    """The newest value decides; what is older does not, and each change of severity is in the timeline."""
    laddered = replace(LEAK, ladder=((20.0, "critical"),))
    alert, steps = leak_alert(leak=False), []
    for minute, severity in ((3, "critical"), (6, "major"), (4, "critical")):
        step = folding.raise_or_fold(laddered, alert, [], leak(minute, severity), at(minute))
        assert step.alert is not None
        alert = step.alert
        steps.append((step.reason.value, alert.severity))
    assert steps == [("worse", "critical"), ("milder", "major"), ("repeated", "major")]
    assert alert.worst == "critical"
    leaking = folding.raise_or_fold(laddered, leak_alert(severity="critical"), [], leak(6, "major"), at(6)).alert
    assert leaking is not None
    assert leaking.severity == "critical"
