"""The clock of alerts: stages, deadlines, escalation, reminders, expiry; as stories, and whatever happens when."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from rules import clocks, folding, lifecycle
from rules.callout import callout_for
from rules.clocks import Fired, clock, elapsed, wound
from rules.model import Alert, Inspection, OfficerStep, Reason, Transition, WrongStep
from rules.regimes import InvalidRegime, Regime, parse_regimes, regime_of
from tests.unit.alert_story import CHINA, PROOF, RULES, TWO, UK, Story, at, fired, found, raised, silence, stepped

# ---------------------------------------------------------------------------------------------- regimes


def test_the_regimes_are_those_of_the_sources() -> None:
    """Britain: 1 h, 2 h when the supply is off, 12 h to stop the escape. China: 30 minutes, and 5 to answer."""
    uk, china = UK.limits["leak"], CHINA.limits["leak"]
    assert (uk.on_site_min, uk.on_site_controlled_min, uk.made_safe_min) == (60, 120, 720)
    assert (china.on_site_min, china.acknowledge_min, china.escalate_min) == (30, 5, 5)


def own(**changes: object) -> dict[str, object]:
    leak = {**CHINA.definition["leak"], **changes}  # type: ignore[dict-item]
    return {**CHINA.definition, "leak": {name: value for name, value in leak.items() if value is not None}}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"on_site_mins": 5}, "regime own.leak: unknown key on_site_mins"),
        ({"levels": None}, "regime own.leak: levels is missing or not a number"),
        ({"levels": 1.5}, "levels = 1.5 is outside 1 to 9"),
        ({"remind_min": 0}, "regime own.leak: remind_min = 0 is outside 1"),
        ({"page": 1}, "page must be true or false"),
        ({"page": False}, "leak and critical must page"),
        ({"on_site_min": 45}, "on_site_min = 45 must not exceed on_site_controlled_min = 30"),
        ({"acknowledge_min": 29, "on_site_min": 30}, None),
        ({"acknowledge_min": 120, "on_site_min": 130, "on_site_controlled_min": 130}, "acknowledge_min of leak"),
    ],
)
def test_a_wrong_regime_is_refused_with_its_key(changes: dict[str, object], words: str | None) -> None:
    """Unknown keys, missing ones, ranges, and an order that cannot be meant."""
    if words is None:
        assert regime_of("own", own(**changes)).limits["leak"].acknowledge_min == 29
        return
    with pytest.raises(InvalidRegime, match=words):
        regime_of("own", own(**changes))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("regime = ", "not TOML"),
        ("x = 1", "unknown key x"),
        ("", "no regime at all"),
        ("[regime.a]", "title is missing"),
    ],
)
def test_a_file_that_is_no_regime_file_is_refused(text: str, words: str) -> None:
    """Not TOML, other keys, nothing in it, a regime without words."""
    with pytest.raises(InvalidRegime, match=words):
        parse_regimes(text)


# ---------------------------------------------------------------------------------------------- stages


def standing(alert: Alert, minute: float, regime: Regime = CHINA) -> dict[str, str]:
    return {one.name: one.standing for one in clock(alert, regime, at(minute))}


def test_the_clock_from_leak_to_safe() -> None:
    """Each stage with its deadline; on time, late, overdue, pending."""
    alert = stepped(raised(), "acknowledge", 4)
    alert = stepped(alert, "dispatch", 12)
    assert standing(alert, 29) == {
        "notified": "overdue",
        "acknowledged": "on_time",
        "dispatched": "late",
        "on_site": "pending",
        "made_safe": "pending",
        "verified": "pending",
    }
    assert standing(alert, 31)["on_site"] == "overdue"
    assert (alert.due_stage, alert.due_at) == ("on_site", at(30))


def test_a_supply_that_is_shut_off_gives_more_time() -> None:
    """Britain: an hour for an uncontrolled escape, two for a controlled one; too late to matter after the hour."""
    alert = raised(UK)
    dues = {one.name: one.due_at for one in clock(alert, UK, at(0))}
    assert dues["on_site"] == at(60)
    assert {one.name: one.due_at for one in clock(stepped(alert, "control", 20, UK), UK, at(30))}["on_site"] == at(120)
    assert {one.name: one.due_at for one in clock(stepped(alert, "control", 70, UK), UK, at(71))}["on_site"] == at(60)


def test_a_stage_that_never_came_is_skipped() -> None:
    """Dismissed in the first minute: nobody was ever sent."""
    alert = stepped(raised(), "dismiss", 1)
    assert (alert.due_at, alert.wake_at) == (None, None)
    assert standing(alert, 90)["on_site"] == "skipped"


def test_getting_worse_starts_the_clock_once() -> None:
    """A minor alert of three days that becomes critical has a critical one's time from then; flapping gives no more."""
    alert = raised(severity="minor", rule_id="micro_leak", remind_min=None)
    ladder = RULES["micro_leak"]
    days = 3 * 24 * 60.0

    def fold(alert: Alert, minute: float, severity: str) -> Alert:
        after = folding.raise_or_fold(ladder, alert, [], found(minute, severity, "micro_leak"), at(minute)).alert
        assert after is not None
        return wound(after, CHINA)

    worse = fold(alert, days, "critical")
    assert (worse.worst, worse.due_at) == ("critical", at(days + 5))
    milder = wound(worse.changed(severity="minor"), CHINA)
    assert fold(milder, days + 60, "critical").due_at == at(days + 5)


def test_made_safe_that_fires_again_needs_an_owner_again() -> None:
    """The alert goes back to open under the same owner, its stages are undone, and its clock runs anew."""
    alert = raised()
    for minute, step in enumerate(("acknowledge", "dispatch", "on_site", "made_safe"), start=1):
        alert = stepped(alert, step, minute)
    quiet = alert.changed(firing=False, cleared_at=at(5))
    again = folding.raise_or_fold(RULES["leak_alarm"], quiet, [], found(50), at(50))
    assert again.alert is not None
    after = wound(again.alert, CHINA)
    assert (again.reason, after.state, after.owner) == (Reason.UNSAFE_AGAIN, "open", "olga")
    assert (after.due_stage, after.due_at, after.on_site_at) == ("acknowledged", at(55), None)


def test_an_inspector_who_got_in_was_on_site() -> None:
    """The visit's own moment counts; a door that stayed shut is no attendance."""
    alert = stepped(raised(), "acknowledge", 2)
    entered = lifecycle.inspected(alert, Inspection(7, "hazard_found", at(25), 1, 1), at(60)).alert
    shut = lifecycle.inspected(alert, Inspection(8, "no_access", at(25), 0, 0), at(60)).alert
    assert entered is not None
    assert shut is not None
    assert (entered.on_site_at, shut.on_site_at) == (at(25), None)
    assert standing(entered, 61)["on_site"] == "on_time"


# ---------------------------------------------------------------------------------------------- escalation


def test_nobody_answers() -> None:
    """5 minutes: the next level, then the next, then reminders; each once, however often it is looked at."""
    story = Story(raised())
    assert story.look(4.9) == []
    assert story.look(5) == ["escalated"]
    assert story.look(5) == story.look(9.9) == []
    assert story.look(10) == ["escalated"]
    assert story.look(15) == ["escalated"]
    assert story.alert.escalation == 3
    assert story.look(19.9) == []
    assert story.look(20) == ["reminded"]
    assert story.look(20) == story.look(24) == []
    assert story.look(25) == ["reminded"]


def test_after_a_pause_every_level_is_told_and_one_reminder() -> None:
    """Down for an hour: three levels at once, and no reminder for each missed one."""
    story = Story(raised())
    assert story.look(60) == ["escalated"] * 3
    assert [fired(step)[2] for step in story.steps] == [1, 2, 3]
    assert story.look(61) == []
    assert story.look(65) == ["reminded"]


def test_an_acknowledgement_expires_and_the_alert_needs_an_owner_again() -> None:
    """Acknowledged, and nothing followed: dispatch is overdue, then the acknowledgement is void and it pages again."""
    story = Story(stepped(raised(), "acknowledge", 2))
    assert story.look(7) == ["escalated"]  # dispatch was due 5 minutes after the acknowledgement
    assert story.look(16.9) == ["escalated"]
    (expired,) = [one for one in story.look(17) if one != "escalated"]
    assert expired == "acknowledgement_expired"
    assert (story.alert.state, story.alert.owner, story.alert.acknowledged_at) == ("open", None, None)
    assert story.alert.due_at == at(22)
    assert story.look(22) == ["escalated"]


def test_a_hand_over_lets_the_acknowledgement_go_on() -> None:
    """The new owner has the whole time; the stage's own deadline stays."""
    alert = stepped(raised(), "acknowledge", 2)
    handed = lifecycle.assigned(alert, "oleg", "olga", "shift ends", at(10)).alert
    assert handed is not None
    after = wound(handed, CHINA)
    assert (after.owner, after.due_at) == ("oleg", at(7))
    assert clocks.expires(after, CHINA.limits_of(after)) == at(25)
    with pytest.raises(WrongStep, match="oleg has it already"):
        lifecycle.assigned(after, "oleg", "olga", None, at(11))


def test_late_alerts_have_a_deadline_and_wake_nobody() -> None:
    """What came too late is due, and pages no one."""
    story = Story(raised(late=True))
    assert story.alert.due_at == at(5)
    assert story.alert.wake_at is None
    assert story.look(10_000) == []


def test_a_rule_may_want_to_be_brought_to_mind() -> None:
    """Every hour without new data, although no deadline is near."""
    story = Story(raised(severity="major", rule_id="index_backwards", remind_min=60.0))
    story.alert = stepped(story.alert, "acknowledge", 10)
    assert story.alert.wake_at == at(60)
    assert story.look(59) == []
    assert story.look(60) == ["reminded"]
    assert story.look(119) == []
    assert story.look(120) == ["reminded"]


def test_another_regime_never_tells_a_level_twice() -> None:
    """From China to Britain and back: what was told of a deadline stays told."""
    story = Story(raised())
    assert story.look(12) == ["escalated", "escalated"]
    story.regime = UK
    assert story.look(12) == []
    story.regime = CHINA
    assert story.look(12) == []


# ---------------------------------------------------------------------------------------------- notices


@pytest.mark.parametrize(
    ("rule_id", "values", "told"),
    [
        ("leak_alarm", {}, True),
        ("leak_alarm", {"leaks": True}, True),
        ("leak_alarm", {"leaks": True, "approved_by": "olga"}, True),
        ("leak_alarm", TWO, False),
        ("leak_alarm", {**TWO, "until_at": at(0)}, True),
        ("leak_alarm", {**TWO, "from_at": at(1)}, True),
        ("leak_alarm", {**TWO, "ended_at": at(0)}, True),
        ("micro_leak", {}, True),
        ("micro_leak", TWO, False),
        ("index_backwards", {}, False),
        ("index_backwards", {"leaks": True}, False),
    ],
)
def test_a_leak_is_silenced_by_two_persons_only(rule_id: str, values: dict[str, object], *, told: bool) -> None:
    """One person's silence keeps no leak's notice back; other alerts' it does, while it lasts."""
    alert = raised(rule_id=rule_id)
    step = Transition(alert, Reason.RAISED, "raised")
    callout = callout_for(None, alert, step, CHINA.limits_of(alert), [silence(**values)], at(0))
    assert (callout.purpose, callout.pages) == ("raised", told)


@pytest.mark.parametrize(("look", "told"), [(1439, None), (1440, "closed")])
def test_who_heard_of_a_minor_alert_hears_of_its_end(look: float, told: str | None) -> None:
    """Nobody was told before its deadline was missed: nobody is told that it is over."""
    story = Story(raised(severity="minor", rule_id="index_backwards", remind_min=None))
    story.look(look)
    asked = OfficerStep("dismiss", "olga", cause="meter_swap")
    step = lifecycle.officer_step("by_person", story.alert, asked, at(look + 1))
    assert step.alert is not None
    limits = CHINA.limits_of(step.alert)
    assert callout_for(story.alert, step.alert, step, limits, (), at(look + 1)).purpose == told


def test_what_a_silence_kept_back_is_told_when_it_ends() -> None:
    """An alert still open then is brought to mind once."""
    story = Story(stepped(raised(severity="major", rule_id="index_backwards"), "acknowledge", 1))
    story.alert = wound(story.alert.changed(quiet_until=at(30)), CHINA)
    assert story.alert.wake_at == at(30)
    assert story.look(29) == []
    assert story.look(30) == ["silence_ended"]
    assert story.look(31) == []


def purpose(before: Alert | None, transition: Transition, regime: Regime = CHINA) -> tuple[str | None, int]:
    assert transition.alert is not None
    limits = regime.limits_of(transition.alert)
    callout = callout_for(before, transition.alert, transition, limits, [], at(0))
    return callout.purpose, callout.level


def test_who_is_paged_for_what() -> None:
    """Raised, worse, escalated by level, handed over, closed; a cleared leak, a late or a minor alert page nobody."""
    alert = raised(severity="major")
    worse = folding.raise_or_fold(RULES["leak_alarm"], alert, [], found(3), at(3))
    assert purpose(None, Transition(alert, Reason.RAISED, "raised")) == ("raised", 1)
    assert purpose(alert, worse) == ("worse", 1)
    assert purpose(None, Transition(alert.changed(late=True), Reason.RAISED, "raised"))[0] is None
    assert purpose(alert, Transition(alert.changed(firing=False), Reason.CLEARED, "cleared"))[0] is None
    minor = raised(severity="minor", rule_id="index_backwards")
    assert purpose(None, Transition(minor, Reason.RAISED, "raised"))[0] is None
    after, steps = elapsed(alert, CHINA, (), at(10))
    assert [purpose(alert, step) for step in steps] == [("escalated", 2), ("escalated", 3)]
    assert purpose(after, lifecycle.assigned(after, "oleg", "olga", None, at(11))) == ("handed_over", 1)
    asked = OfficerStep("dismiss", "olga", cause="cooking")
    assert purpose(alert, lifecycle.officer_step("by_person", alert, asked, at(9))) == ("closed", 1)


# ---------------------------------------------------------------------------------------------- whatever happens


@given(st.lists(st.floats(0, 200), min_size=1, max_size=30), st.sampled_from(["critical", "major", "minor"]))
def test_the_levels_told_do_not_depend_on_when_it_was_looked_at(looks: list[float], severity: str) -> None:
    """Any looks until a moment tell the same levels as one look at that moment, each once, in order."""
    often, once = (
        Story(raised(severity=severity, rule_id="index_backwards")),
        Story(raised(severity=severity, rule_id="index_backwards")),
    )
    for minute in sorted(looks):
        often.look(minute)
    once.look(max(looks))
    told = [fired(step) for step in often.steps if step.reason is Reason.ESCALATED]
    assert told == [fired(step) for step in once.steps if step.reason is Reason.ESCALATED]
    assert len(told) == len(set(told))


class Life(RuleBasedStateMachine):
    """Officers, telemetry, the clock and restarts, in any order at any times."""

    @initialize(
        severity=st.sampled_from(["critical", "major", "minor", "info"]),
        rule_id=st.sampled_from(["leak_alarm", "index_backwards"]),
        regime=st.sampled_from([CHINA, UK]),
    )
    def begin(self, severity: str, rule_id: str, regime: Regime) -> None:
        self.minute = 0.0
        self.regime = regime
        self.rule = RULES[rule_id]
        self.alert = raised(regime, severity, rule_id)
        self.told: list[Fired] = []
        self.proved = False

    @rule(minutes=st.floats(0.1, 5000))
    def time_passes(self, minutes: float) -> None:
        self.minute += minutes

    @rule()
    def clock_looks(self) -> None:
        self.alert, steps = elapsed(self.alert, self.regime, set(self.told), at(self.minute))
        self.told += [fired(step) for step in steps if step.reason is Reason.ESCALATED]

    @rule()
    def process_restarts(self) -> None:
        """Only what is stored is left: the row, and the timeline."""
        self.alert = wound(self.alert.changed(escalation=0, wake_at=None, due_stage=None), self.regime)

    @rule(regime=st.sampled_from([CHINA, UK]))
    def regime_changes(self, regime: Regime) -> None:
        self.regime = regime
        self.alert = wound(self.alert, regime)

    @rule(step=st.sampled_from(lifecycle.STEPS), proved=st.booleans(), actor=st.sampled_from(["olga", "oleg"]))
    def officer_steps(self, step: str, actor: str, *, proved: bool) -> None:
        asked = OfficerStep(
            step, actor, note="shut", evidence=PROOF if proved else (), cause="cooking" if proved else None
        )
        try:
            after = lifecycle.officer_step("by_person", self.alert, asked, at(self.minute)).alert
        except WrongStep:
            return
        assert after is not None
        self.proved = self.proved or proved
        self.alert = wound(after, self.regime)

    @rule(to=st.sampled_from(["olga", "oleg"]))
    def handed_over(self, to: str) -> None:
        try:
            after = lifecycle.assigned(self.alert, to, "boss", None, at(self.minute)).alert
        except WrongStep:
            return
        assert after is not None
        self.alert = wound(after, self.regime)

    @precondition(lambda self: self.alert.is_open)
    @rule(severity=st.sampled_from(["critical", "major", "minor"]), ongoing=st.booleans())
    def telemetry_speaks(self, severity: str, *, ongoing: bool) -> None:
        finding = found(self.minute, severity, self.rule.rule_id, ongoing=ongoing)
        after = folding.raise_or_fold(self.rule, self.alert, [], finding, at(self.minute)).alert
        assert after is not None
        self.alert = wound(after, self.regime)

    @invariant()
    def an_open_alert_has_a_deadline_and_somebody_will_be_told(self) -> None:
        alert = self.alert
        assert (alert.due_at is not None) == alert.is_open
        assert (alert.wake_at is not None) == alert.is_open
        if alert.is_open and alert.wake_at is not None and alert.owner is None:
            assert alert.state == "open"

    @invariant()
    def nothing_closes_without_evidence_or_cause(self) -> None:
        if not self.alert.is_open:
            assert self.proved
            assert self.alert.closed_at is not None
            assert (self.alert.state == "dismissed") == (self.alert.cause is not None)

    @invariant()
    def stages_come_in_order(self) -> None:
        moments = [one.at for one in clock(self.alert, self.regime, at(self.minute)) if one.at is not None]
        assert moments == sorted(moments)

    @invariant()
    def no_level_is_told_twice(self) -> None:
        assert len(self.told) == len(set(self.told))

    @invariant()
    def the_clock_is_looked_at_when_something_is_due(self) -> None:
        """Nothing may be waiting for a look before `wake_at`, and a look there does something or moves it on."""
        if not self.alert.is_open or self.alert.wake_at is None:
            return
        _, steps = elapsed(self.alert, self.regime, set(self.told), self.alert.wake_at - timedelta(seconds=1))
        assert steps == []
        after, _ = elapsed(self.alert, self.regime, set(self.told), self.alert.wake_at)
        assert after.wake_at is not None
        assert after.wake_at > self.alert.wake_at


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
