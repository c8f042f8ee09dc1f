"""Open hazards of grade 1 as alerts on the clock of a leak: what raises, moves and ends them."""

from dataclasses import replace
from datetime import date, timedelta

import pytest

from rules import changes, clocks, folding
from rules.catalog import KINDS, parse_catalog
from rules.clocks import wound
from rules.hazards import DoorHazard, followed, hazard_open, made_safe
from rules.model import Alert, Finding, InvalidRule, Reason
from tests.unit.alert_story import CHINA, RULES, at, stepped

RULE = RULES["hazard_open"]
WRITTEN = at(60 * 24 * 7)


def hazard(number: int = 1, code: str = "severe_rust", minute: float = -30, **values: object) -> DoorHazard:
    """A hazard that I-1 found at a minute, at the door P-1."""
    plain = DoorHazard(number, 9, "P-1", "D01", "household", "I-1", code, 1, at(minute), date(2026, 11, 27))
    return replace(plain, **values)  # type: ignore[arg-type]


def raised(*hazards: DoorHazard, minute: float = 0) -> Alert:
    (finding,) = hazard_open(RULE, [hazards], at(minute))
    alert = folding.raise_or_fold(RULE, None, [], finding, at(minute)).alert
    assert alert is not None
    return wound(alert.changed(alert_id=1), CHINA)


def follow(alert: Alert, *hazards: DoorHazard, minute: float) -> tuple[Alert, list[str]]:
    """The alert after what its door's hazards do to it, and the reasons."""
    steps = followed(alert, hazards, WRITTEN, at(minute))
    after = steps[-1].alert if steps else alert
    assert after is not None
    return wound(after, CHINA), [step.reason.value for step in steps]


# ---------------------------------------------------------------------------------------------- what raises it


def test_a_door_with_a_hazard_is_an_alert_with_the_clock_of_a_leak() -> None:
    """Found half an hour before we knew: current, about a leak, owner due in 5 minutes, made safe in 12 hours."""
    alert, reasons = follow(raised(hazard()), hazard(), minute=0)
    assert reasons == ["found_at_the_door", "nothing_new"]
    assert (alert.leak, alert.guarded, alert.late, alert.severity) == (True, True, False, "major")
    assert "P-1: a hazard of grade 1: severe rust; found by I-1 on 2026-11-20 11:30 UTC" in alert.sentence
    stages = {one.name: (one.standing, one.due_at) for one in clocks.clock(alert, CHINA, at(6))}
    assert stages["acknowledged"] == ("overdue", at(5))
    assert (stages["dispatched"][0], stages["on_site"][0]) == ("skipped", "on_time")
    assert stages["made_safe"] == ("pending", at(720))
    assert stages["verified"][1] == WRITTEN


def test_gas_that_escapes_is_critical_until_it_is_cut() -> None:
    """The hazard `leak` is worse, unless somebody has cut the supply already."""
    assert raised(hazard(code="leak")).severity == "critical"
    assert raised(hazard(code="leak", cut_at=at(-20))).severity == "major"


@pytest.mark.parametrize(
    ("door", "found"),
    [
        ([hazard(grade=2)], 0),
        ([hazard(closed_at=at(-5))], 0),
        ([hazard(), hazard(2, grade=3)], 1),
        ([hazard(), hazard(2, "meter_bypass")], 1),
        ([], 0),
    ],
)
def test_only_open_hazards_of_the_grade_count(door: list[DoorHazard], found: int) -> None:
    """Several at one door are one alert; grades 2 and 3 and what is closed raise none."""
    findings = hazard_open(RULE, [door], at(0))
    assert len(findings) == found
    if found:
        assert findings[0].evidence["hazards"] == len([one for one in door if one.grade == 1])


def test_its_rule_has_the_form_of_the_catalogue() -> None:
    """One parameter with unit and range; no schedule, because it is about leaks; scope by area and user class."""
    parameter = KINDS["hazard_open"].parameters["grade_max"]
    assert (parameter.unit, parameter.default, parameter.least, parameter.most) == ("grade", 1, 1, 3)
    text = (
        '[rule.x]\nkind = "hazard_open"\ntitle = "t"\nseverity = "major"\nvisit = "none"\nclears = "by_person"\n'
        'why = "w"\nwhat_to_do = "d"\nsource = "s"\n'
    )
    scoped = parse_catalog(f'{text}[rule.x.scope]\nuser_classes = ["commercial"]\n').rules["x"]
    assert hazard_open(scoped, [[hazard()]], at(0)) == []
    assert len(hazard_open(scoped, [[hazard(user_class="commercial")]], at(0))) == 1
    for wrong in ("[rule.x.schedule]\nzone = 'UTC'", "[rule.x.parameters]\ngrade_max = 4"):
        with pytest.raises(InvalidRule, match="rule x: "):
            parse_catalog(f"{text}{wrong}\n")


# ---------------------------------------------------------------------------------------------- what moves and ends it


def test_a_cut_supply_makes_it_safe_and_the_written_deadline_counts_from_then() -> None:
    """Nobody is woken until the day that was given in writing has passed; then verification climbs."""
    alert, _ = follow(raised(hazard()), hazard(), minute=0)
    cut = hazard(cut_at=at(10))
    cleared = made_safe(alert, [cut], at(11))
    assert cleared is not None
    quiet = folding.clear(RULE, alert, cleared).alert
    assert quiet is not None
    after, reasons = follow(quiet, cut, minute=11)
    assert (reasons, after.state, after.firing, after.made_safe_at) == (["supply_cut"], "made_safe", False, at(11))
    assert (after.due_stage, after.due_at) == ("verified", WRITTEN)
    assert follow(after, cut, minute=12) == (after, [])
    assert made_safe(after, [cut], at(12)) is None
    _, steps = clocks.elapsed(after, CHINA, (), WRITTEN)
    assert [step.reason for step in steps] == [Reason.ESCALATED]


def test_one_unsafe_hazard_keeps_the_door_unsafe() -> None:
    """Two hazards: cutting is not said of both, so nothing is safe; put right and cut together it is."""
    both = raised(hazard(), hazard(2, "meter_bypass"))
    one_cut = [hazard(cut_at=at(5)), hazard(2, "meter_bypass")]
    assert made_safe(both, one_cut, at(6)) is None
    assert "made_safe" not in follow(both, *one_cut, minute=6)[0].state
    mended = [hazard(cut_at=at(5)), hazard(2, "meter_bypass", rectified_at=at(7))]
    assert follow(both, *mended, minute=8)[0].state == "made_safe"


def test_it_ends_when_every_hazard_is_closed_with_the_outcomes_as_evidence() -> None:
    """The re-check's outcome stands in the timeline; the rule is not labelled by it."""
    alert, _ = follow(raised(hazard(), hazard(2)), hazard(), hazard(2), minute=0)
    half = [hazard(closed_at=at(50), closed_outcome_id=5), hazard(2)]
    assert follow(alert, *half, minute=51)[0].is_open
    done = [half[0], hazard(2, closed_at=at(90), closed_outcome_id=6)]
    (step,) = followed(alert, done, None, at(91))
    assert step.alert is not None
    assert (step.step, step.reason, step.actor) == ("verified", Reason.HAZARDS_CLOSED, "inspections")
    assert (step.alert.state, step.alert.closed_at, step.alert.confirmed) == ("verified", at(91), None)
    assert step.evidence is not None
    assert [one["outcome_id"] for one in step.evidence["hazards"]] == [5, 6]  # type: ignore[attr-defined]


def test_another_hazard_at_a_door_that_was_safe_makes_it_unsafe_again() -> None:
    """A second visit finds gas escaping: open again, worse, its owner must answer."""
    cut = hazard(cut_at=at(-5))
    alert, _ = follow(raised(cut), cut, minute=0)
    assert (alert.state, alert.firing) == ("made_safe", False)
    leak = hazard(2, "leak", minute=100)
    (finding,) = hazard_open(RULE, [[cut, leak]], at(110))
    (change,) = changes.apply(RULES, {("hazard_open", "premises:9"): alert}, {}, [finding], at(110))
    assert (change.after.state, change.after.severity, change.steps[0].reason) == (
        "open",
        "critical",
        Reason.UNSAFE_AGAIN,
    )
    after, reasons = follow(wound(change.after, CHINA), cut, leak, minute=110)
    assert (reasons, after.due_stage, after.due_at) == (["found_at_the_door"], "acknowledged", at(115))


def test_another_hazard_at_an_unsafe_door_is_told_in_the_timeline() -> None:
    """A second visit finds a bypass beside the rust: the same alert, its clock goes on, a row with both."""
    alert, _ = follow(raised(hazard()), hazard(), minute=0)
    both = [hazard(), hazard(2, "meter_bypass", minute=90)]
    (finding,) = hazard_open(RULE, [both], at(100))
    (change,) = changes.apply(RULES, {("hazard_open", "premises:9"): alert}, {}, [finding], at(100))
    (step,) = change.steps
    assert (step.step, step.reason, change.after.clock_at) == ("repeated", Reason.REPEATED, at(0))
    assert "2 hazards of grade 1: severe rust, meter bypass" in (step.note or "")
    assert change.after.sentence == step.note


def test_what_was_closed_and_opens_again_is_a_new_episode() -> None:
    """A report that came late shows the hazard still there: the closed alert does not answer it."""
    alert = raised(hazard())
    (step,) = followed(alert, [hazard(closed_at=at(50))], None, at(51))
    assert step.alert is not None
    (finding,) = hazard_open(RULE, [[hazard()]], at(200))
    again = folding.raise_or_fold(RULE, None, [step.alert], finding, at(200))
    assert (again.reason, again.alert is not None and again.alert.episode) == (Reason.NEW_EPISODE, 2)


def test_attendance_is_not_missed_once_an_inspector_got_in() -> None:
    """For any alert: a visit since the alarm is attendance, one before the alert became worse is none."""
    alert = stepped(raised(hazard()), "acknowledge", 1)
    there = wound(alert.changed(on_site_at=at(2)), CHINA)
    assert (there.due_stage, there.due_at) == ("made_safe", at(720))
    anew = wound(there.changed(clock_at=at(60)), CHINA)
    assert (anew.due_stage, anew.due_at) == ("dispatched", at(65))


def test_a_finding_is_never_late() -> None:
    """Reported three days after it was found, and still open: it is news of now."""
    (finding,) = hazard_open(RULE, [[hazard(minute=-3 * 24 * 60)]], at(0))
    assert isinstance(finding, Finding)
    assert not folding.is_late(finding, at(0) + timedelta(minutes=1))
