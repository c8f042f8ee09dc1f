"""The leak-to-safe clock of an alert: which stage is due when, what is overdue, whom that has reached. Pure.

`notified -> acknowledged -> dispatched -> on_site -> made_safe -> verified`. Everything follows from the alert as it is
stored, the escalations its timeline tells, and a regime; so any process may look at any time, and after any pause.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from rules.model import Alert, Json, Reason, Transition
from rules.regimes import Limits, Regime

STAGES = ("notified", "acknowledged", "dispatched", "on_site", "made_safe", "verified")
PENDING = {
    "open": STAGES[1:],
    "acknowledged": STAGES[2:],
    "dispatched": STAGES[3:],
    "on_site": STAGES[4:],
    "made_safe": STAGES[5:],
}
"""The stages an alert in a state still waits for, in order."""

Standing = Literal["on_time", "late", "pending", "overdue", "skipped"]
Fired = tuple[str, str, int]
"""An escalation that the timeline tells: stage, deadline (ISO 8601), level."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of the clock: when it is due, when it came, how it stands.

    `late`: it came after its deadline; `skipped`: it never came, and the alert is past it.
    """

    name: str
    due_at: datetime
    at: datetime | None
    standing: Standing


def clock(alert: Alert, regime: Regime, now: datetime) -> list[Stage]:
    """The six stages of an alert, each with its deadline, its moment and how it stands at `now`."""
    limits = regime.limits_of(alert)
    waiting = _waits_for(alert)
    stages = []
    for name in STAGES:
        due_at, at = deadline(alert, name, limits), _moment(alert, name)
        passed = name not in waiting and (name != "notified" or not alert.is_open)
        stages.append(Stage(name, due_at, at, _standing(due_at, at, passed=passed, now=now)))
    return stages


def _waits_for(alert: Alert) -> tuple[str, ...]:
    """The stages an alert still waits for. Once somebody was on site since the clock runs, nobody need be sent there.

    An inspector's visit is known before the desk has written a step; the state then lags behind what happened.
    """
    waiting = PENDING.get(alert.state, ())
    attended = alert.on_site_at is not None and alert.on_site_at >= (alert.clock_at or alert.raised_at)
    return tuple(stage for stage in waiting if not (attended and stage in {"dispatched", "on_site"}))


def _moment(alert: Alert, stage: str) -> datetime | None:
    if stage == "verified":
        return alert.closed_at if alert.state == "verified" else None
    at: datetime | None = getattr(alert, f"{stage}_at")
    return at


def _standing(due_at: datetime, at: datetime | None, *, passed: bool, now: datetime) -> Standing:
    if at is not None:
        return "on_time" if at <= due_at else "late"
    if passed:
        return "skipped"
    return "overdue" if now > due_at else "pending"


def deadline(alert: Alert, stage: str, limits: Limits) -> datetime:
    """When a stage is due: so long after the alarm, or (no leak) after the alert first was this bad.

    An acknowledgement is due from when an owner is needed, dispatch from the acknowledgement, verification from made
    safe. A planned visit that comes while attendance is not late is the dispatch: none is due until its time passed.
    """
    start = alert.clock_at or alert.raised_at
    if stage == "notified":
        return start + limits.after("notify")
    if stage == "acknowledged":
        return max(start, alert.needed_at or start) + limits.after("acknowledge")
    if stage == "dispatched":
        owned = alert.acknowledged_at or deadline(alert, "acknowledged", limits)
        due_at = max(start, owned) + limits.after("dispatch")
        kept = kept_until(alert, limits)
        comes_in_time = alert.awaited_from is not None and alert.awaited_from <= deadline(alert, "on_site", limits)
        return max(due_at, kept) if kept is not None and comes_in_time else due_at
    if stage == "on_site":
        controlled = alert.controlled_at is not None and alert.controlled_at <= start + limits.after("on_site")
        return start + limits.after("on_site_controlled" if controlled else "on_site")
    if stage == "made_safe":
        return start + limits.after("made_safe")
    due_at = max(start, alert.made_safe_at or deadline(alert, "made_safe", limits)) + limits.after("verify")
    return max(due_at, alert.verify_by) if alert.verify_by is not None else due_at


def wound(alert: Alert, regime: Regime) -> Alert:
    """The alert with the earliest stage it waits for, its deadline, and when its clock must be looked at next.

    A closed alert waits for nothing. A late one has a deadline and is never woken: it pages no one.
    """
    if not alert.is_open:
        return alert.changed(due_stage=None, due_at=None, wake_at=None, quiet_until=None)
    if alert.state != "acknowledged":
        alert = alert.changed(awaited_visit_id=None, awaited_from=None, awaited_to=None)
    limits = regime.limits_of(alert)
    due_at, due_stage = min(
        ((deadline(alert, stage, limits), stage) for stage in _waits_for(alert)),
        key=lambda one: (one[0], STAGES.index(one[1])),
    )
    if (due_stage, due_at) != (alert.due_stage, alert.due_at):
        alert = alert.changed(due_stage=due_stage, due_at=due_at, escalation=0)
    return alert.changed(wake_at=None if alert.late else _wake_at(alert, limits, due_at))


def _wake_at(alert: Alert, limits: Limits, due_at: datetime) -> datetime:
    moments = [_next_word(alert, limits, due_at)]
    if (expires_at := expires(alert, limits)) is not None:
        moments.append(expires_at)
    if (by_rule := _rule_reminder(alert)) is not None:
        moments.append(by_rule)
    if alert.quiet_until is not None:
        moments.append(alert.quiet_until)
    return min(moments)


def _next_word(alert: Alert, limits: Limits, due_at: datetime) -> datetime:
    """When the next level is told; once all are, when the next reminder is."""
    if alert.escalation < limits.levels:
        return due_at + alert.escalation * limits.after("escalate")
    return _next_reminder(alert, limits, due_at)


def _next_reminder(alert: Alert, limits: Limits, due_at: datetime) -> datetime:
    told_at = due_at + (limits.levels - 1) * limits.after("escalate")
    return max(told_at, alert.reminded_at or told_at) + limits.after("remind")


def _rule_reminder(alert: Alert) -> datetime | None:
    """When the alert's rule wants it brought to mind next, however its clock stands; None when it does not."""
    if alert.remind_min is None:
        return None
    since = max(alert.clock_at or alert.raised_at, alert.reminded_at or alert.raised_at)
    return since + timedelta(minutes=alert.remind_min)


def _reminder_due(alert: Alert, limits: Limits, now: datetime) -> bool:
    by_rule = _rule_reminder(alert)
    told = alert.escalation >= limits.levels
    return (by_rule is not None and now >= by_rule) or (told and now >= _next_reminder(alert, limits, _due(alert)))


def kept_until(alert: Alert, limits: Limits) -> datetime | None:
    """Until when a planned visit keeps the acknowledgement: it should have left the door, and the grace; None: none."""
    return None if alert.awaited_to is None else alert.awaited_to + limits.after("visit_grace")


def expires(alert: Alert, limits: Limits) -> datetime | None:
    """When the acknowledgement is void; None when nobody has acknowledged or more has happened since."""
    if alert.state != "acknowledged":
        return None
    since = alert.owned_at or alert.acknowledged_at or alert.raised_at
    expires_at = since + limits.after("acknowledgement_expires")
    kept = kept_until(alert, limits)
    return max(expires_at, kept) if kept is not None else expires_at


def elapsed(alert: Alert, regime: Regime, fired: Collection[Fired], now: datetime) -> tuple[Alert, list[Transition]]:
    """What the passing of time does to an open alert until `now`: its steps in order, and the alert after them.

    Every level of a missed deadline is told exactly once, however late and in however many looks: `fired` holds those
    the timeline tells. Reminders that were missed are given once, not as often as they were missed.
    """
    steps: list[Transition] = []
    alert = wound(alert, regime)
    if not alert.is_open or alert.late:
        return alert, steps
    limits = regime.limits_of(alert)
    expires_at = expires(alert, limits)
    if expires_at is not None and now >= expires_at:
        steps.append(_expired(alert, expires_at, now))
        alert = _after(steps, regime)
    for level in range(1, _level(alert, limits, now) + 1):
        if _fired(alert, level) not in fired:
            steps.append(_escalated(alert, level, now))
            alert = alert.changed(reminded_at=now)
        alert = alert.changed(escalation=max(alert.escalation, level))
    if alert.quiet_until is not None and now >= alert.quiet_until:
        alert = alert.changed(quiet_until=None)
        if not steps:
            steps.append(_reminded(alert, Reason.SILENCE_ENDED, "the silence has ended, and this is still open", now))
            alert = _after(steps, regime)
    elif not steps and _reminder_due(alert, limits, now):
        steps.append(_reminded(alert, Reason.REMINDED, _standing_sentence(alert, now), now))
        alert = _after(steps, regime)
    return wound(alert, regime), steps


def _after(steps: list[Transition], regime: Regime) -> Alert:
    """The alert after the last step, wound."""
    last = steps[-1]
    assert last.alert is not None
    return wound(last.alert, regime)


def _due(alert: Alert) -> datetime:
    assert alert.due_at is not None
    return alert.due_at


def _level(alert: Alert, limits: Limits, now: datetime) -> int:
    """The level that the missed deadline has reached; 0 while it is not missed."""
    over = now - _due(alert)
    if over < timedelta(0):
        return 0
    return min(limits.levels, 1 + over // limits.after("escalate"))


def _fired(alert: Alert, level: int) -> Fired:
    return alert.due_stage or "", _due(alert).isoformat(), level


def _escalated(alert: Alert, level: int, now: datetime) -> Transition:
    evidence: Json = {"stage": alert.due_stage, "due_at": _due(alert).isoformat(), "level": level}
    after = alert.changed(escalation=level, reminded_at=now)
    return Transition(
        after, Reason.ESCALATED, "escalated", alert.state, note=_missed_sentence(alert, now), evidence=evidence
    )


def _expired(alert: Alert, expired_at: datetime, now: datetime) -> Transition:
    note = f"{alert.owner} acknowledged it and nothing followed: an owner is needed again"
    evidence: Json = {"owner": alert.owner, "expired_at": expired_at.isoformat()}
    after = alert.changed(state="open", owner=None, owned_at=None, acknowledged_at=None, needed_at=now)
    return Transition(after, Reason.ACK_EXPIRED, "ack_expired", alert.state, note=note, evidence=evidence)


def _reminded(alert: Alert, reason: Reason, note: str, now: datetime) -> Transition:
    after = alert.changed(reminded_at=now)
    evidence: Json = {"stage": alert.due_stage, "due_at": _due(alert).isoformat(), "level": alert.escalation}
    return Transition(after, reason, "reminded", alert.state, note=note, evidence=evidence)


def _standing_sentence(alert: Alert, now: datetime) -> str:
    if now >= _due(alert):
        return _missed_sentence(alert, now)
    return f"still open; {(alert.due_stage or '').replace('_', ' ')} is due at {_due(alert):%Y-%m-%d %H:%M}Z"


def _missed_sentence(alert: Alert, now: datetime) -> str:
    minutes = (now - _due(alert)).total_seconds() / 60
    return (
        f"{(alert.due_stage or '').replace('_', ' ')} was due at {_due(alert):%Y-%m-%d %H:%M}Z, {minutes:.0f} min ago"
    )
