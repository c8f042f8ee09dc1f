"""What becomes of a command: pure steps, each with its reason.

`requested -> approved -> sent -> proved | failed | expired`, `refused` when the place is not safe at the moment of
sending, `withdrawn` before it was sent. A broker's acknowledgement changes nothing: only telemetry proves.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from ingest.commanding.model import (
    DISPATCHER,
    IN_FLIGHT,
    POLICY,
    Command,
    Evidence,
    Hindrance,
    Leak,
    Limits,
    NotAllowed,
    Reason,
    Step,
    Target,
    Transition,
)
from ingest.commanding.proof import Finding, judge

_BROKER_RETRY = timedelta(seconds=2)
_SENTENCES = {
    Reason.VALVE_THERE: "the device says so",
    Reason.CLOSED_AND_NO_FLOW: "closed, and nothing flows any more",
    Reason.FLOW_THROUGH_CLOSED_VALVE: "the device says closed, and gas flows on",
    Reason.MOVED_BACK: "the valve moved back by itself or by hand",
    Reason.VALVE_FAULT: "the device says that its valve is faulty",
}


def request(
    target: Target,
    valve: str,
    actor: str,
    alert_id: int | None,
    valid_s: float | None,
    hindrances: Sequence[Hindrance],
    limits: Limits,
    now: datetime,
) -> Transition:
    """A new command. To close needs one person, who is recorded as the one who approved; to open waits for a second.

    Raises NotAllowed when the device has no valve, or when opening is not safe yet.
    """
    if not target.has_valve:
        raise NotAllowed(f"device {target.family} {target.code} is registered without a valve")
    if valve == "open":
        _require_safe(hindrances)
    longest_s = limits.close_valid_s if valve == "close" else limits.open_valid_s
    command = Command(
        None,
        target.device_id,
        valve,
        "requested",
        Reason.REQUESTED,
        actor,
        now,
        alert_id,
        None,
        None,
        now + timedelta(seconds=min(valid_s or longest_s, longest_s)),
    )
    asked = Step("requested", None, "requested", actor, Reason.REQUESTED)
    if valve == "open":
        return Transition(command, Reason.REQUESTED, (asked,))
    reason = Reason.POLICY_CLOSE if actor == POLICY else Reason.CLOSE_NEEDS_ONE
    approved, step = _approved(command, actor, reason, None, now)
    return Transition(approved, reason, (asked, step))


def approve(
    command: Command, actor: str, note: str | None, hindrances: Sequence[Hindrance], now: datetime
) -> Transition:
    """A second person agrees. Raises NotAllowed for the same person, another state, too late, or an unsafe place."""
    if command.state != "requested":
        raise NotAllowed(f"the command is {command.state}: only a requested one is approved")
    if actor == command.requested_by:
        raise NotAllowed("whoever asked for it cannot approve it: opening a valve takes a second person")
    if now >= command.expires_at:
        raise NotAllowed("the command has expired; ask again")
    if command.valve == "open":
        _require_safe(hindrances)
    approved, step = _approved(command, actor, Reason.SECOND_PERSON, note, now)
    return Transition(approved, Reason.SECOND_PERSON, (step,))


def _approved(command: Command, actor: str, reason: Reason, note: str | None, now: datetime) -> tuple[Command, Step]:
    after = command.changed(state="approved", reason=reason, approved_by=actor, approved_at=now, next_send_at=now)
    return after, Step("approved", command.state, "approved", actor, reason, note)


def withdraw(command: Command, actor: str, note: str | None, now: datetime) -> Transition:
    """Take a command back before it was sent. Raises NotAllowed afterwards: the device may have obeyed already."""
    if command.state == "sent":
        raise NotAllowed("the command was sent and the device may have obeyed; ask for the opposite instead")
    if not command.is_in_flight:
        raise NotAllowed(f"the command is {command.state} already")
    return _end(command, "withdrawn", Reason.BY_PERSON, now, actor=actor, note=note)


def supersede(command: Command, actor: str, now: datetime) -> Transition:
    """Make room for a command to close: closing never waits for an opening. Raises NotAllowed for any other."""
    if command.valve == "close":
        raise NotAllowed(f"command {command.command_id} to close is in flight already")
    state = "failed" if command.state == "sent" else "withdrawn"
    return _end(command, state, Reason.SUPERSEDED, now, actor=actor, note="a command to close took its place")


def tick(
    command: Command,
    target: Target,
    evidence: Evidence,
    hindrances: Sequence[Hindrance],
    limits: Limits,
    now: datetime,
    *,
    can_send: bool,
) -> Transition:
    """What the dispatcher does with a command in flight: wait, send, or end it by what the device said.

    Evidence comes before clocks: what was proved before anybody looked is proved. Nothing is sent without `can_send`
    (no broker); everything else goes on.
    """
    if command.state == "requested":
        late = now >= command.expires_at
        return _end(command, "expired", Reason.NOT_APPROVED_IN_TIME, now) if late else _nothing(command)
    if command.state == "approved":
        return _first_sending(command, hindrances, limits, now, can_send=can_send)
    if command.state != "sent":
        return _nothing(command)
    return _while_sent(command, target, evidence, hindrances, limits, now, can_send=can_send)


def _first_sending(
    command: Command, hindrances: Sequence[Hindrance], limits: Limits, now: datetime, *, can_send: bool
) -> Transition:
    if now >= command.expires_at:
        return _end(command, "expired", Reason.NOT_SENT_IN_TIME, now)
    if command.valve == "open" and (sentence := unsafe_sentence(hindrances)):
        return _end(command, "refused", Reason.NOT_SAFE, now, note=sentence)
    if not can_send:
        return _nothing(command)
    after = _sent_again(command.changed(state="sent", reason=Reason.DUE, sent_at=now), limits, now)
    step = Step("sent", "approved", "sent", DISPATCHER, Reason.DUE)
    return Transition(after, Reason.DUE, (step,), send=True)


def _while_sent(
    command: Command,
    target: Target,
    evidence: Evidence,
    hindrances: Sequence[Hindrance],
    limits: Limits,
    now: datetime,
    *,
    can_send: bool,
) -> Transition:
    finding = judge(command, target, evidence, limits)
    if finding.ends_in is not None:
        steps = _answer_steps(command, finding)
        answered = command.changed(answered_at=finding.answered_at or command.answered_at)
        note = _SENTENCES[finding.reason]
        return _end(answered, finding.ends_in, finding.reason, now, note=note, evidence=finding.facts, before=steps)
    if finding.answered_at is not None and command.answered_at is None:
        by = now + timedelta(seconds=target.expected_interval_s + limits.prove_grace_s)
        after = command.changed(answered_at=finding.answered_at, prove_by=by, next_send_at=None, reason=Reason.SAYS_SO)
        return Transition(after, Reason.SAYS_SO, _answer_steps(command, finding))
    if command.answered_at is not None:
        if command.prove_by is not None and now >= command.prove_by:
            note = "the device says closed, but nothing it sent shows that the flow stopped"
            return _end(command, "failed", Reason.NO_PROOF, now, note=note)
        return _nothing(command)
    return _unanswered(command, hindrances, limits, now, can_send=can_send)


def _unanswered(
    command: Command, hindrances: Sequence[Hindrance], limits: Limits, now: datetime, *, can_send: bool
) -> Transition:
    if now >= command.expires_at:
        over = now >= command.expires_at + timedelta(seconds=limits.answer_grace_s)
        note = "no answer: the device sleeps, is out of reach, or its clock is wrong; its valve is unknown"
        return _end(command, "expired", Reason.NO_ANSWER, now, note=note) if over else _nothing(command)
    if command.valve == "open" and (sentence := unsafe_sentence(hindrances)):
        return _end(command, "failed", Reason.NOT_SAFE, now, note=f"not sent again, no answer so far: {sentence}")
    if not can_send or command.next_send_at is None or now < command.next_send_at:
        return _nothing(command)
    after = _sent_again(command.changed(reason=Reason.NO_ANSWER_YET), limits, now)
    step = Step("sent_again", "sent", "sent", DISPATCHER, Reason.NO_ANSWER_YET, f"sending {after.attempts}")
    return Transition(after, Reason.NO_ANSWER_YET, (step,), send=True)


def _sent_again(command: Command, limits: Limits, now: datetime) -> Command:
    pause_s = min(limits.resend_max_s, limits.resend_min_s * 2.0 ** min(command.attempts, 30))
    return command.changed(attempts=command.attempts + 1, next_send_at=now + timedelta(seconds=pause_s))


def handed_over(command: Command, heard: bool) -> Transition:
    """The broker took the message over: worth a row of the timeline, no change of state."""
    reason = Reason.BROKER_HAS_IT if heard else Reason.NOBODY_LISTENS
    note = None if heard else "the broker has it, and says that the gateway does not listen"
    return Transition(command, reason, (Step("taken", command.state, command.state, DISPATCHER, reason, note),))


def not_handed_over(command: Command, why: str, now: datetime) -> Transition:
    """The broker did not take it over, as far as we know: the same command is sent again, the first time soon."""
    next_send_at = now + _BROKER_RETRY if command.attempts == 1 else command.next_send_at
    after = command.changed(next_send_at=next_send_at, reason=Reason.BROKER_AWAY)
    step = Step("not_taken", command.state, command.state, DISPATCHER, Reason.BROKER_AWAY, why)
    return Transition(after, Reason.BROKER_AWAY, (step,))


def unsafe_sentence(hindrances: Sequence[Hindrance]) -> str | None:
    """Why a valve must stay closed, None when it need not.

    An alert because of which it was closed holds it until that alert is made safe or verified, or an inspector was
    inside since and found nothing; its dismissal at a desk does not. So does any open alert of this home that asks for
    a mandatory visit and is not made safe.
    """
    holding = [one for one in hindrances if _holds(one)]
    if not holding:
        return None
    named = ", ".join(f"alert {one.alert_id} ({one.rule_id}, {one.state})" for one in holding)
    return f"not safe to open: {named}; it takes a passed inspection on site, or the alert made safe or verified"


def _holds(one: Hindrance) -> bool:
    if one.state in ("made_safe", "verified"):
        return False
    if one.state == "dismissed":
        return one.closed_it and not one.passed
    return one.urgent or (one.closed_it and not one.passed)


def _require_safe(hindrances: Sequence[Hindrance]) -> None:
    if sentence := unsafe_sentence(hindrances):
        raise NotAllowed(sentence)


def policy_sentence(leak: Leak, limits: Limits, now: datetime) -> str | None:
    """Why the automatic close acts on a high-level leak, None while it is not confirmed."""
    if leak.confirmed:
        return "an inspector confirmed the leak"
    if leak.detectors_high >= 2:
        return f"{leak.detectors_high} detectors of this home are at their high level"
    lasted_s = (now - leak.high_since).total_seconds()
    if leak.still_high and lasted_s >= limits.auto_close_confirm_s:
        return f"the high alarm has lasted {lasted_s:.0f} s"
    return None


def _answer_steps(command: Command, finding: Finding) -> tuple[Step, ...]:
    if command.answered_at is not None or finding.answered_at is None:
        return ()
    facts = {"valve": command.position, "at": finding.answered_at.isoformat()}
    return (Step("answered", "sent", "sent", DISPATCHER, Reason.SAYS_SO, None, facts),)


def _end(
    command: Command,
    state: str,
    reason: Reason,
    now: datetime,
    *,
    actor: str = DISPATCHER,
    note: str | None = None,
    evidence: dict[str, object] | None = None,
    before: tuple[Step, ...] = (),
) -> Transition:
    assert command.state in IN_FLIGHT
    after = command.changed(state=state, reason=reason, ended_at=now, next_send_at=None)
    step = Step(state, command.state, state, actor, reason, note, evidence)
    return Transition(after, reason, (*before, step))


def _nothing(command: Command) -> Transition:
    return Transition(command, Reason.NOTHING)
