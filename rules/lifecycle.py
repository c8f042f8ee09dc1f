"""What persons and inspectors do to an alert: pure steps, each with its reason. rules/folding.py has what findings do.

`open -> acknowledged -> dispatched -> on_site -> made_safe -> verified`, or `dismissed` from any open state. Back to
`open` when an acknowledgement expires (rules/clocks.py), or when what was made safe fires again.
"""

from datetime import datetime

from rules import proof
from rules.model import (
    CLOSED_STATES,
    MOMENTS,
    OPEN_STATES,
    Alert,
    Inspection,
    Json,
    OfficerStep,
    Reason,
    Transition,
    WrongStep,
)

CAUSES = (
    "cooking",
    "steam",
    "alcohol",
    "spray",
    "smoke",
    "pilot_flame",
    "heating",
    "sensor_drift",
    "detector_expired",
    "meter_fault",
    "meter_swap",
    "data_error",
    "works",
    "test",
    "other",
)
"""Why an alert may be dismissed; detector causes as named in E1 of public trade guidance on false alarms."""

_STEPS = {
    "acknowledge": ("acknowledged", ("open",)),
    "control": (None, ("open", "acknowledged", "dispatched", "on_site")),
    "dispatch": ("dispatched", ("acknowledged",)),
    "on_site": ("on_site", ("dispatched",)),
    "made_safe": ("made_safe", ("on_site",)),
    "verify": ("verified", ("made_safe",)),
    "dismiss": ("dismissed", OPEN_STATES),
}
"""Each step: the state it leads to (None: it stays) and the states it may be taken from."""

STEPS = tuple(_STEPS)
_ENTERED = frozenset({"passed", "hazard_found", "recheck_passed", "partial"})


def officer_step(rule_clears: str, alert: Alert, asked: OfficerStep, now: datetime, *, co: bool = False) -> Transition:
    """A person's step. Raises WrongStep with a sentence when order, evidence or cause do not fit.

    `co`: the alert is about carbon monoxide, which needs a proof of its own.
    """
    to_state, from_states = _STEPS[asked.step]
    if alert.state not in from_states:
        raise WrongStep(f"the alert is {alert.state}: {asked.step} is not possible; {allowed_sentence(alert.state)}")
    _check_proof(rule_clears, alert, asked, co=co)
    evidence = _evidence(asked)
    if to_state is None:
        controlled = alert.changed(controlled_at=alert.controlled_at or now)
        return Transition(
            controlled, Reason.CONTROLLED, "controlled", alert.state, asked.actor, asked.note, evidence or None
        )
    after = alert.changed(
        state=to_state,
        owner=alert.owner or asked.actor,
        cause=asked.cause if to_state == "dismissed" else alert.cause,
        confirmed=alert.confirmed if asked.confirmed is None else asked.confirmed,
        closed_at=now if to_state in CLOSED_STATES else None,
        **_moments(to_state, now),
    )
    return Transition(after, Reason.BY_OFFICER, to_state, alert.state, asked.actor, asked.note, evidence or None)


def _moments(to_state: str, now: datetime) -> dict[str, object]:
    if to_state == "acknowledged":
        return {"acknowledged_at": now, "owned_at": now}
    return {f"{to_state}_at": now} if f"{to_state}_at" in MOMENTS else {}


def _evidence(asked: OfficerStep) -> Json:
    found: dict[str, object] = {}
    if asked.evidence:
        found["proof"] = [dict(one) for one in asked.evidence]
    if asked.cause:
        found["cause"] = asked.cause
    if asked.confirmed is not None:
        found["confirmed"] = asked.confirmed
    return found


def assigned(alert: Alert, owner: str, actor: str, note: str | None, now: datetime) -> Transition:
    """Hand an open alert over. An acknowledgement goes on under the new owner and expires from now on.

    Raises WrongStep when it is closed or has that owner already.
    """
    if not alert.is_open:
        raise WrongStep(f"the alert is {alert.state}: nobody can be given it any more")
    if alert.owner == owner:
        raise WrongStep(f"{owner} has it already")
    after = alert.changed(owner=owner, owned_at=now if alert.state == "acknowledged" else alert.owned_at)
    evidence: Json = {"owner": owner, "previous_owner": alert.owner}
    return Transition(after, Reason.ASSIGNED, "assigned", alert.state, actor, note, evidence)


def allowed_sentence(state: str) -> str:
    """What a person may do from a state, as a sentence."""
    allowed = [step for step, (_, from_states) in _STEPS.items() if state in from_states]
    return f"allowed from here: {', '.join(allowed)}" if allowed else "it is closed, and nothing more is allowed"


def _check_proof(rule_clears: str, alert: Alert, asked: OfficerStep, *, co: bool) -> None:
    if asked.step == "verify" and (refusal := proof.refusal(asked.evidence, rule_clears, leak=alert.leak, co=co)):
        raise WrongStep(refusal)
    if asked.step == "control" and not (asked.note or "").strip():
        raise WrongStep("control needs a note that says who shut the gas supply off, and where")
    if asked.step != "dismiss":
        return
    if asked.cause not in CAUSES:
        raise WrongStep(f"dismiss needs a cause, one of {', '.join(CAUSES)}")
    if asked.cause == "other" and not (asked.note or "").strip():
        raise WrongStep("dismiss with cause other needs a note that says what it was")


def proved(alert: Alert, telemetry: Json, now: datetime) -> Transition:
    """Telemetry since it was made safe is normal for as long as the regime asks: verified. Never use it for a leak."""
    after = alert.changed(state="verified", closed_at=now)
    evidence: Json = {"proof": [dict(telemetry)]}
    note = "telemetry is normal since it was made safe"
    return Transition(after, Reason.NORMAL_AGAIN, "verified", alert.state, note=note, evidence=evidence)


def inspected(alert: Alert, visit: Inspection, now: datetime) -> Transition:
    """Step on what an inspector found on the duty that the alert caused.

    Passed: verified, unless the condition was seen after the visit, even if it cleared since. Hazard found: confirmed,
    and verified when every hazard of that visit has passed its re-check, unless seen after that. A partial visit
    confirms by what it found and never ends the alert: the rest was not seen. Not entered, or only a re-check: noted.
    """
    evidence: Json = {
        "outcome_id": visit.outcome_id,
        "result": visit.result,
        "at": visit.at.isoformat(),
        "hazards_open": visit.hazards_open,
    }
    mended = visit.result == "hazard_found" and visit.hazards and not visit.hazards_open
    alert = _with_visit(alert, visit)
    if (visit.result == "passed" or mended) and alert.last_at > (visit.rechecked_at or visit.at):
        return _by_inspections(alert, alert, Reason.SEEN_SINCE, "inspected", visit, evidence)
    if mended:
        after = alert.changed(state="verified", confirmed=True, closed_at=now)
        return _by_inspections(alert, after, Reason.RECHECK_PASSED, "verified", visit, evidence)
    if visit.result == "hazard_found" or (visit.result == "partial" and visit.hazards):
        after = alert.changed(confirmed=True)
        return _by_inspections(alert, after, Reason.HAZARD_FOUND, "confirmed", visit, evidence)
    if visit.result == "passed":
        after = alert.changed(state="verified", confirmed=alert.confirmed or False, closed_at=now)
        return _by_inspections(alert, after, Reason.PASSED, "verified", visit, evidence)
    return _by_inspections(alert, alert, Reason.INSPECTED, "inspected", visit, evidence)


def confirmed_late(alert: Alert, visit: Inspection) -> Transition:
    """A visit reported after the alert was closed had found a hazard: it was true, as it had been told in order.

    The alert stays closed: what closed it came later at the door, and an open hazard has a clock of its own.
    """
    evidence: Json = {
        "outcome_id": visit.outcome_id,
        "result": visit.result,
        "at": visit.at.isoformat(),
        "hazards_open": visit.hazards_open,
    }
    after = alert.changed(confirmed=True)
    return _by_inspections(alert, after, Reason.HAZARD_FOUND, "confirmed", visit, evidence)


def _with_visit(alert: Alert, visit: Inspection) -> Alert:
    """Whoever got in was on site, whatever the desk has written down so far."""
    entered = visit.result in _ENTERED and visit.at >= alert.raised_at
    return alert.changed(on_site_at=visit.at) if entered and alert.on_site_at is None else alert


def _by_inspections(
    before: Alert, after: Alert, reason: Reason, step: str, visit: Inspection, evidence: Json
) -> Transition:
    return Transition(after, reason, step, before.state, "inspections", visit.note, evidence)
