"""What findings and their ends do to an alert: pure steps, each with its reason.

Live, late data and backtests share them. A finding folds into the open alert of its rule and subject, or opens one;
what was made safe and fires again is open again.
"""

from collections.abc import Iterable
from datetime import datetime

from rules.model import LATE_AFTER, LEAK_KINDS, MOMENTS, Alert, Cleared, Finding, Json, Reason, Rule, Transition, worse

WORSE_RATIO = 1.25
"""A worst value this much above the last one is worth a row in the timeline; smaller growth only updates the alert."""

DEVICES_TOLD_MAX = 20
"""So many devices of one gateway are told apart in its alert about unread alarms: a stranger makes up names at will."""

SAMPLES_MAX = 400
"""An alert keeps its newest samples up to this many; all of them remain in the readings and events."""


def is_late(finding: Finding, now: datetime) -> bool:
    """Late: it ended more than 48 hours before we learned of it, or ingest said so. Recorded, pages no one."""
    return finding.late_event or now - finding.last_at > LATE_AFTER


def raise_or_fold(
    rule: Rule, alert: Alert | None, closed: Iterable[Alert], finding: Finding, now: datetime
) -> Transition:
    """Step on a finding: fold it into the open alert, or open a new one (a new episode if there were others).

    `closed` are the earlier episodes of the same rule and subject. A finding they already cover opens nothing.
    """
    if alert is not None:
        return _fold(rule, alert, finding, now)
    episodes = sorted(closed, key=lambda episode: episode.episode)
    if any(covers(rule, episode, finding) for episode in episodes):
        return Transition(None, Reason.ALREADY_CLOSED)
    new = _open(rule, finding, now, episodes[-1] if episodes else None)
    reason = Reason.NEW_EPISODE if episodes else Reason.RAISED
    return Transition(new, reason, "raised", None, note=finding.sentence, evidence=_span(finding))


def covers(rule: Rule, closed: Alert, finding: Finding) -> bool:
    """Tell whether a closed episode already answered this finding.

    Events: the instant lies in the span that was closed. Windows: it ended before the alert was closed, by a person or
    by telemetry in its own time (evidence starts anew then). Absence: the silence began no later than the closed one.
    """
    if rule.family == "absence":
        return finding.first_at <= closed.first_at
    if rule.family == "window":
        ended = closed.cleared_at if rule.clears == "by_telemetry" else closed.closed_at
        return finding.last_at <= max(closed.last_at, ended or closed.closed_at or closed.last_at)
    return closed.first_at <= finding.first_at and finding.last_at <= closed.last_at


def _open(rule: Rule, finding: Finding, now: datetime, previous: Alert | None) -> Alert:
    return Alert(
        alert_id=None,
        rule_id=rule.rule_id,
        rule_version=rule.version,
        subject=finding.subject,
        severity=finding.severity,
        state="open",
        firing=finding.ongoing,
        late=is_late(finding, now),
        sentence=finding.sentence,
        first_at=finding.first_at,
        last_at=finding.last_at,
        raised_at=now,
        unit=finding.unit,
        first_value=finding.value,
        last_value=finding.value,
        worst_value=finding.value,
        count=1,
        evidence=finding.evidence,
        visit=rule.visit,
        cleared_at=None if finding.ongoing else finding.last_at,
        episode=previous.episode + 1 if previous else 1,
        previous_alert_id=previous.alert_id if previous else None,
        worst_severity=finding.severity,
        leak=rule.kind in LEAK_KINDS,
        guarded=rule.leak,
        remind_min=rule.repeat_reminder_min,
        clock_at=now,
        needed_at=now,
    )


def _fold(rule: Rule, alert: Alert, finding: Finding, now: datetime) -> Transition:
    merged = _merge(rule, alert, finding, now)
    if merged == alert:
        return Transition(alert, Reason.NOTHING_NEW)
    if alert.state == "made_safe" and merged.firing and not alert.firing and not is_late(finding, now):
        return _unsafe_again(alert, merged, finding, now)
    if worse(merged.severity, alert.severity) or _grew(alert.worst_value, merged.worst_value):
        another = _another_device(rule, alert, finding) and not worse(merged.severity, alert.severity)
        reason, step = Reason.ANOTHER_DEVICE if another else Reason.WORSE, "worse"
    elif worse(alert.severity, merged.severity):
        reason, step = Reason.MILDER, "milder"
    elif merged.firing and not alert.firing:
        reason, step = Reason.FIRING_AGAIN, "raised"
    elif alert.firing and not merged.firing:
        reason, step = Reason.CLEARED, "cleared"
    else:
        return _repeated(rule, alert, merged, finding)
    return Transition(merged, reason, step, alert.state, note=finding.sentence, evidence=_span(finding))


def _repeated(rule: Rule, alert: Alert, merged: Alert, finding: Finding) -> Transition:
    """More of the same updates the alert alone; another hazard that inspectors found, and another device, are told."""
    if _another_device(rule, alert, finding):
        note, evidence = finding.sentence, _span(finding)
        return Transition(merged, Reason.ANOTHER_DEVICE, "repeated", alert.state, note=note, evidence=evidence)
    if rule.family != "inspection":
        return Transition(merged, Reason.REPEATED)
    return Transition(merged, Reason.REPEATED, "repeated", alert.state, note=finding.sentence, evidence=_span(finding))


def _another_device(rule: Rule, alert: Alert, finding: Finding) -> bool:
    """Whether a gateway's (or area's) one alert about unread alarms hears of a device that it did not name before.

    It may be in another home than the one that somebody is on the way to.
    """
    if rule.kind != "alarm_unread":
        return False
    named = _devices(alert.evidence)
    return len(named) < DEVICES_TOLD_MAX and not _devices(finding.evidence) <= named


def _devices(evidence: Json) -> set[object]:
    columns = evidence.get("columns", [])
    place = columns.index("device") if isinstance(columns, list) and "device" in columns else None
    return set() if place is None else {sample[place] for sample in _samples(evidence)}


def _unsafe_again(alert: Alert, merged: Alert, finding: Finding, now: datetime) -> Transition:
    """What was made safe fires again: it is not safe, and the clock runs anew. The owner stays, and must answer."""
    after = merged.changed(state="open", clock_at=now, needed_at=now, controlled_at=None, **dict.fromkeys(MOMENTS))
    return Transition(after, Reason.UNSAFE_AGAIN, "raised", alert.state, note=finding.sentence, evidence=_span(finding))


def _merge(rule: Rule, alert: Alert, finding: Finding, now: datetime) -> Alert:
    newer = finding.last_at > alert.last_at or finding.last_at == alert.last_at == finding.first_at
    older = finding.first_at < alert.first_at
    known = _known(alert.evidence, finding.evidence)
    firing, cleared_at = _firing(alert, finding)
    late = alert.late and is_late(finding, now)
    worst = finding.severity if worse(finding.severity, alert.worst) else alert.worst
    anew = worst != alert.worst or late != alert.late
    return alert.changed(
        severity=_severity(rule, alert, finding, newer=newer),
        worst_severity=worst,
        clock_at=now if _winds_anew(alert, worst, late=late) else alert.clock_at,
        controlled_at=None if anew else alert.controlled_at,
        firing=firing,
        cleared_at=cleared_at,
        late=late,
        sentence=finding.sentence if newer and not known else alert.sentence,
        first_at=min(alert.first_at, finding.first_at),
        last_at=max(alert.last_at, finding.last_at),
        first_value=finding.value if older else alert.first_value,
        last_value=finding.value if newer and not known else alert.last_value,
        worst_value=_worst(alert.worst_value, finding.value),
        count=alert.count + (0 if known or _same_condition(alert, finding) else 1),
        evidence=alert.evidence if known else _joined(alert.evidence, finding.evidence),
    )


def _winds_anew(alert: Alert, worst: str, *, late: bool) -> bool:
    """A worse severity has shorter times, counted from when it came. A leak's are the same at each: they run on.

    Else whoever is on the way would get more time because the gas rises. What was late and is not counts from now.
    """
    return late != alert.late or (worst != alert.worst and not alert.leak)


def _severity(rule: Rule, alert: Alert, finding: Finding, *, newer: bool) -> str:
    """A ladder follows its newest value, up and down; without one, and always for a leak, an alert keeps its worst."""
    if rule.ladder and not alert.leak:
        return finding.severity if newer or finding.last_at >= alert.last_at else alert.severity
    return finding.severity if worse(finding.severity, alert.severity) else alert.severity


def _same_condition(alert: Alert, finding: Finding) -> bool:
    """An interval that overlaps what the alert already spans is the same condition, grown."""
    return (
        finding.first_at < finding.last_at and finding.first_at <= alert.last_at and alert.first_at <= finding.last_at
    )


def _firing(alert: Alert, finding: Finding) -> tuple[bool, datetime | None]:
    if finding.ongoing:
        settled = alert.cleared_at is not None and finding.last_at < alert.cleared_at
        return (alert.firing, alert.cleared_at) if settled else (True, None)
    if alert.firing and finding.last_at >= alert.last_at:
        return False, finding.last_at
    return alert.firing, alert.cleared_at


def _worst(one: float | None, other: float | None) -> float | None:
    values = [value for value in (one, other) if value is not None]
    return max(values) if values else None


def _grew(before: float | None, after: float | None) -> bool:
    return after is not None and after > (before or 0.0) * WORSE_RATIO and after != before


def _samples(evidence: Json) -> list[list[object]]:
    samples = evidence.get("samples", [])
    return list(samples) if isinstance(samples, list) else []


def _known(old: Json, new: Json) -> bool:
    """True when every sample of the new evidence is already kept."""
    seen = {repr(sample) for sample in _samples(old)}
    return all(repr(sample) in seen for sample in _samples(new))


def _joined(old: Json, new: Json) -> Json:
    """Both evidences' samples in order of time, newest kept; the other facts as the newer one has them."""
    samples = {repr(sample): sample for sample in _samples(old) + _samples(new)}
    ordered = sorted(samples.values(), key=lambda sample: [str(value) for value in sample])
    return {**old, **new, "samples": ordered[-SAMPLES_MAX:]}


def _span(finding: Finding) -> Json:
    return {
        "first_at": finding.first_at.isoformat(),
        "last_at": finding.last_at.isoformat(),
        "value": finding.value,
        "unit": finding.unit,
        "severity": finding.severity,
    }


def clear(rule: Rule, alert: Alert | None, cleared: Cleared) -> Transition:
    """Step when telemetry stops showing the condition. Closes only where the rule lets telemetry close.

    A clear from a device that may not know (faulty, warming up, past its life) is noted and changes nothing.
    """
    if alert is None or not alert.is_open:
        return Transition(alert, Reason.NO_ALERT)
    if cleared.at < alert.last_at or (not alert.firing and rule.clears == "by_person"):
        return Transition(alert, Reason.OLDER)
    evidence = {"at": cleared.at.isoformat(), **cleared.evidence}
    if not cleared.believed:
        note = "the device says the alarm is over, but it is faulty, inhibited, warming up or past its life"
        return Transition(alert, Reason.NOT_BELIEVED, "clear_not_believed", alert.state, note=note, evidence=evidence)
    quiet = alert.changed(firing=False, cleared_at=cleared.at)
    if rule.clears == "by_person":
        return Transition(quiet, Reason.CLEARED, "cleared", alert.state, evidence=evidence)
    return Transition(
        quiet.changed(state="verified"), Reason.CLEARED_AND_CLOSED, "verified", alert.state, evidence=evidence
    )


def closed_now(transition: Transition, now: datetime) -> Transition:
    """Put our clock's moment on an alert that a transition closed."""
    alert = transition.alert
    if alert is None or alert.is_open or alert.closed_at is not None:
        return transition
    return Transition(
        alert.changed(closed_at=now),
        transition.reason,
        transition.step,
        transition.from_state,
        transition.actor,
        transition.note,
        transition.evidence,
    )
