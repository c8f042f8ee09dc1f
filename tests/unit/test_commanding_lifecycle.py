"""Commands to valves: who may do what, what proves and what contradicts, and that no way through breaks the rules."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.commanding import lifecycle
from ingest.commanding.lifecycle import approve, policy_sentence, request, supersede, tick, unsafe_sentence, withdraw
from ingest.commanding.model import (
    ENDED,
    IN_FLIGHT,
    Command,
    Evidence,
    Hindrance,
    Leak,
    Limits,
    NotAllowed,
    Reason,
    Said,
    Sample,
    Target,
    Transition,
)
from ingest.commanding.proof import judge, quiet_s

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
LIMITS = Limits()
METER = Target(7, "native", "M-1", "meter", "D01", "GW-1", "D01", 3, True, 40.0, 10_000, 86_400)
DETECTOR = Target(8, "native", "LD-1", "detector", "D01", "GW-1", "D01", 3, True, None, None, 86_400)
HOLDS = Hindrance(5, "leak_alarm", "open", closed_it=True, urgent=True, passed=False)


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def asked(valve: str = "close", target: Target = METER, actor: str = "olga") -> Command:
    return request(target, valve, actor, None, None, [], LIMITS, NOW).command.changed(command_id=1)


def sent(valve: str = "close", target: Target = METER) -> Command:
    command = asked(valve, target)
    if valve == "open":
        command = approve(command, "boris", None, [], NOW).command
    return look(command, target=target).command


def look(
    command: Command,
    now: datetime = NOW,
    said: tuple[Said, ...] = (),
    samples: tuple[Sample, ...] = (),
    *,
    target: Target = METER,
    hindrances: tuple[Hindrance, ...] = (),
    can_send: bool = True,
) -> Transition:
    return tick(command, target, Evidence(said, samples), hindrances, LIMITS, now, can_send=can_send)


def closed(seconds: float) -> tuple[Said, ...]:
    return (Said(at(seconds), "closed", "event"),)


def flow(seconds: float, flow_lh: float) -> Sample:
    return Sample(at(seconds), None, flow_lh)


def index(seconds: float, index_ml: int) -> Sample:
    return Sample(at(seconds), index_ml, None)


def test_to_close_takes_one_person_who_is_recorded() -> None:
    """Whoever asks to close has approved it, in the same step, under their name."""
    made = request(METER, "close", "olga", 5, None, [], LIMITS, NOW)
    assert (made.command.state, made.command.approved_by, made.reason) == ("approved", "olga", Reason.CLOSE_NEEDS_ONE)
    assert [step.step for step in made.steps] == ["requested", "approved"]
    assert made.command.expires_at == at(90_000)


def test_to_open_takes_a_second_person() -> None:
    """The one who asked is refused, another is taken."""
    command = asked("open")
    assert command.state == "requested"
    with pytest.raises(NotAllowed, match="second person"):
        approve(command, "olga", None, [], NOW)
    assert approve(command, "boris", "on the phone", [], NOW).command.approved_by == "boris"


def test_a_device_without_a_valve_takes_no_command() -> None:
    """There is nothing to close."""
    with pytest.raises(NotAllowed, match="without a valve"):
        request(Target(**_without_valve()), "close", "olga", None, None, [], LIMITS, NOW)


def _without_valve() -> dict[str, Any]:
    return {name: getattr(METER, name) for name in Target.__slots__} | {"has_valve": False}


@pytest.mark.parametrize(
    ("hindrance", "holds"),
    [
        (HOLDS, True),
        (Hindrance(5, "leak_alarm", "dismissed", closed_it=True, urgent=True, passed=False), True),
        (Hindrance(5, "leak_alarm", "dismissed", closed_it=True, urgent=True, passed=True), False),
        (Hindrance(5, "leak_alarm", "made_safe", closed_it=True, urgent=True, passed=False), False),
        (Hindrance(5, "leak_alarm", "verified", closed_it=True, urgent=True, passed=False), False),
        (Hindrance(5, "micro_leak", "on_site", closed_it=True, urgent=False, passed=False), True),
        (Hindrance(5, "micro_leak", "on_site", closed_it=True, urgent=False, passed=True), False),
        (Hindrance(5, "leak_alarm", "on_site", closed_it=False, urgent=True, passed=False), True),
        (Hindrance(5, "micro_leak", "open", closed_it=False, urgent=False, passed=False), False),
    ],
)
def test_what_keeps_a_valve_closed(hindrance: Hindrance, holds: bool) -> None:
    """Only made safe, verified, or a passed visit since; a dismissal at a desk opens nothing."""
    assert (unsafe_sentence([hindrance]) is not None) == holds


def test_safety_is_asked_at_every_stage_of_an_opening() -> None:
    """At the request, at the approval, at the first sending, and before it is sent again."""
    with pytest.raises(NotAllowed, match="alert 5"):
        request(METER, "open", "olga", None, None, [HOLDS], LIMITS, NOW)
    command = asked("open")
    with pytest.raises(NotAllowed, match="alert 5"):
        approve(command, "boris", None, [HOLDS], NOW)
    approved = approve(command, "boris", None, [], NOW).command
    refused = look(approved, hindrances=(HOLDS,))
    assert (refused.command.state, refused.reason, refused.send) == ("refused", Reason.NOT_SAFE, False)
    again = look(sent("open"), at(60), hindrances=(HOLDS,))
    assert (again.command.state, again.reason, again.send) == ("failed", Reason.NOT_SAFE, False)


def test_closing_asks_nobody_about_safety() -> None:
    """A valve may always be closed."""
    assert look(asked(), hindrances=(HOLDS,)).send


def test_sent_again_with_growing_pauses_until_it_expires() -> None:
    """30 s, 60 s, 120 s ... at most half an hour; never after its time."""
    command, now, pauses = sent(), NOW, []
    while True:
        assert command.next_send_at is not None
        pauses.append((command.next_send_at - now).total_seconds())
        now = command.next_send_at
        made = look(command, now)
        if not made.send:
            break
        command = made.command
    assert pauses[:4] == [30, 60, 120, 240]
    assert max(pauses) == 1800
    assert now >= command.expires_at
    assert made.reason == Reason.NOTHING  # within the grace for answers
    assert look(command, command.expires_at + timedelta(seconds=600)).command.state == "expired"


def test_what_the_broker_did_not_take_goes_again_soon_and_then_with_pauses() -> None:
    """A lost connection costs two seconds, a broker that refuses us fills no timeline."""
    first = lifecycle.not_handed_over(sent(), "lost", at(1)).command
    assert first.next_send_at == at(3)
    second = look(first, at(3)).command
    assert lifecycle.not_handed_over(second, "refused", at(4)).command.next_send_at == at(63)


def test_a_sleeping_device_expires() -> None:
    """No answer in time: expired, and the reason says what is not known."""
    made = look(sent(), at(90_000 + 600))
    assert (made.command.state, made.reason) == ("expired", Reason.NO_ANSWER)
    assert "unknown" in (made.steps[0].note or "")


def test_nothing_is_sent_without_a_broker() -> None:
    """It stays approved and can still be withdrawn; what was sent is not sent again."""
    command = look(asked(), can_send=False).command
    assert command.state == "approved"
    assert withdraw(command, "olga", None, NOW).command.state == "withdrawn"
    assert not look(sent(), at(3600), can_send=False).send


def test_what_was_sent_cannot_be_withdrawn() -> None:
    """The device may have obeyed already."""
    with pytest.raises(NotAllowed, match="opposite"):
        withdraw(sent(), "olga", None, NOW)


def test_closing_takes_the_place_of_opening_only() -> None:
    """An opening in flight makes room, before or after it was sent; a closing does not."""
    assert supersede(asked("open"), "olga", NOW).command.state == "withdrawn"
    assert supersede(sent("open"), "olga", NOW).command.state == "failed"
    with pytest.raises(NotAllowed, match="in flight"):
        supersede(sent("close"), "olga", NOW)


def test_open_and_detectors_are_proved_by_their_word() -> None:
    """There is no register that could contradict."""
    opened = look(sent("open"), at(60), (Said(at(5), "open", "status"),))
    assert (opened.command.state, opened.reason) == ("proved", Reason.VALVE_THERE)
    command = sent(target=DETECTOR)
    assert look(command, at(60), closed(5), target=DETECTOR).command.state == "proved"


@pytest.mark.parametrize(
    ("samples", "state", "reason"),
    [
        ((), "sent", Reason.SAYS_SO),
        ((flow(5, 0.0),), "sent", Reason.SAYS_SO),  # before the valve has settled
        ((flow(70, 0.0),), "proved", Reason.CLOSED_AND_NO_FLOW),
        ((flow(70, 3.0),), "sent", Reason.SAYS_SO),  # below what counts as flow, and not zero
        ((flow(70, 300.0),), "failed", Reason.FLOW_THROUGH_CLOSED_VALVE),
        ((flow(70, 300.0), flow(80, 0.0)), "failed", Reason.FLOW_THROUGH_CLOSED_VALVE),
        # one pulse of 10 L at Qmin 40 L/h takes 900 s: standing still for less proves nothing
        ((index(70, 50_000), index(800, 50_000)), "sent", Reason.SAYS_SO),
        ((index(70, 50_000), index(970, 50_000)), "proved", Reason.CLOSED_AND_NO_FLOW),
        ((index(70, 50_000), index(970, 60_000)), "sent", Reason.SAYS_SO),  # a swing of the counter
        ((index(70, 50_000), index(970, 60_000), index(1900, 60_000)), "proved", Reason.CLOSED_AND_NO_FLOW),
        ((index(70, 50_000), index(970, 70_000)), "failed", Reason.FLOW_THROUGH_CLOSED_VALVE),
        ((index(-200, 10_000), index(20, 50_000)), "sent", Reason.SAYS_SO),  # flow before it closed
    ],
)
def test_a_closed_meter_proves_itself_by_what_it_counts(
    samples: tuple[Sample, ...], state: str, reason: Reason
) -> None:
    """Closed is believed when nothing flows after it; flow through a closed valve is a lie and fails."""
    made = look(sent(), at(4000), closed(5), samples)
    assert (made.command.state, made.reason) == (state, reason)
    assert made.command.answered_at == at(5)


def test_an_answered_command_is_not_sent_again_and_waits_for_its_proof() -> None:
    """The proof may take until the meter's next report; without it the command fails."""
    answered = look(sent(), at(60), closed(5)).command
    assert (answered.state, answered.next_send_at) == ("sent", None)
    assert answered.prove_by == at(60 + 86_400 + 3600)
    assert look(answered, at(90_000), closed(5)).reason == Reason.NOTHING
    late = look(answered, at(60 + 86_400 + 3600), closed(5))
    assert (late.command.state, late.reason) == ("failed", Reason.NO_PROOF)


def test_a_valve_that_moves_back_fails() -> None:
    """It said closed and then open."""
    answered = look(sent(), at(60), closed(5)).command
    made = look(answered, at(70), (*closed(5), Said(at(40), "open", "status")))
    assert (made.command.state, made.reason) == ("failed", Reason.MOVED_BACK)


def test_a_faulty_valve_fails() -> None:
    """Status bit 1, whatever bit 0 says."""
    made = look(sent(), at(60), (Said(at(5), "fault", "status"),))
    assert (made.command.state, made.reason) == ("failed", Reason.VALVE_FAULT)


def test_an_open_word_before_it_obeyed_is_no_answer() -> None:
    """A report that crossed the command on its way contradicts nothing."""
    made = look(sent(), at(10), (Said(at(-2), "open", "status"),))
    assert made.reason == Reason.NOTHING


def test_quiet_time_follows_the_pulse() -> None:
    """A meter that counts finely proves itself sooner."""
    assert quiet_s(METER, LIMITS) == 900  # 10 L at 40 L/h
    assert quiet_s(DETECTOR, LIMITS) == 120


@pytest.mark.parametrize(
    ("leak", "acts"),
    [
        (Leak(5, NOW, still_high=True, confirmed=False, detectors_high=1), False),
        (Leak(5, at(-60), still_high=True, confirmed=False, detectors_high=1), True),
        (Leak(5, at(-60), still_high=False, confirmed=False, detectors_high=0), False),
        (Leak(5, NOW, still_high=True, confirmed=False, detectors_high=2), True),
        (Leak(5, NOW, still_high=False, confirmed=True, detectors_high=0), True),
    ],
)
def test_when_the_policy_closes(leak: Leak, acts: bool) -> None:
    """A high level that lasts, two detectors, or an inspector's word."""
    assert (policy_sentence(leak, LIMITS, NOW) is not None) == acts


# ---- any order of events

_words = st.lists(st.tuples(st.integers(-400, 200_000), st.sampled_from(["open", "closed", "fault"])), max_size=6).map(
    lambda pairs: tuple(sorted((Said(at(s), v, "event") for s, v in pairs), key=lambda one: one.at))
)
_counts = st.lists(
    st.tuples(
        st.integers(-400, 200_000), st.none() | st.integers(0, 10**6), st.none() | st.sampled_from([0.0, 2.0, 300.0])
    ),
    max_size=6,
).map(lambda rows: tuple(sorted((Sample(at(s), i, f) for s, i, f in rows), key=lambda one: one.at)))
_deeds = st.lists(
    st.tuples(
        st.sampled_from(["look", "approve", "withdraw", "supersede"]),
        st.integers(0, 40_000),
        st.sampled_from(["olga", "boris"]),
        _words,
        _counts,
        st.booleans(),
        st.booleans(),
    ),
    max_size=12,
)


@settings(max_examples=300)
@given(valve=st.sampled_from(["open", "close"]), detector=st.booleans(), deeds=_deeds)
def test_no_way_through_breaks_the_rules(valve: str, detector: bool, deeds: list[Any]) -> None:
    """In whatever order: two persons open, ends are final, nothing is sent too late, proof is proof."""
    target = DETECTOR if detector else METER
    command, now = asked(valve, target), NOW
    for deed, wait_s, actor, said, samples, unsafe, can_send in deeds:
        now += timedelta(seconds=wait_s)
        hindrances = (HOLDS,) if unsafe else ()
        before = command
        try:
            made = _do(deed, command, target, actor, Evidence(said, samples), hindrances, now, can_send)
        except NotAllowed:
            continue
        command = made.command
        if before.state in ENDED:
            assert command == before
        assert [step.to_state for step in made.steps][-1:] in ([], [command.state])
        if made.send:
            assert can_send
            assert now < command.expires_at
            assert command.attempts == before.attempts + 1
            assert valve == "close" or not unsafe
        assert command.sent_at is None or command.approved_by is not None
        assert valve == "close" or command.approved_by != command.requested_by
        assert (command.ended_at is None) == (command.state in IN_FLIGHT)
        if command.state == "proved" and before.state != "proved":
            assert said[-1].valve == command.position
            assert (
                command.valve == "open"
                or detector
                or all((one.flow_lh or 0.0) < 5.0 for one in _after(command, samples))
            )


def _after(command: Command, samples: tuple[Sample, ...]) -> list[Sample]:
    assert command.answered_at is not None
    return [one for one in samples if one.at >= command.answered_at + timedelta(seconds=LIMITS.settle_s)]


def _do(
    deed: str,
    command: Command,
    target: Target,
    actor: str,
    evidence: Evidence,
    hindrances: tuple[Hindrance, ...],
    now: datetime,
    can_send: bool,
) -> Transition:
    if deed == "approve":
        return approve(command, actor, None, hindrances, now)
    if deed == "withdraw":
        return withdraw(command, actor, None, now)
    if deed == "supersede" and command.is_in_flight:
        return supersede(command, actor, now)
    return tick(command, target, evidence, hindrances, LIMITS, now, can_send=can_send)


@given(said=_words, samples=_counts)
def test_judging_again_gives_the_same(said: tuple[Said, ...], samples: tuple[Sample, ...]) -> None:
    """Judgement looks at device time alone: the same evidence gives the same finding, an ending never without words."""
    finding = judge(sent(), METER, Evidence(said, samples), LIMITS)
    assert finding == judge(sent(), METER, Evidence(said, samples), LIMITS)
    assert said or finding.reason == Reason.NOTHING
