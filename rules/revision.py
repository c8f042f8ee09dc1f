"""What late data do to an open alert: it rests on what the findings are now, not on what they once were. Pure."""

from datetime import timedelta

from rules.model import SEVERITIES, Alert, Reason, Revised, Rule, Transition


def is_withdrawn(alert: Alert) -> bool:
    """Whether later data showed that the condition never was: it counts as over before it began."""
    return not alert.firing and alert.cleared_at is not None and alert.cleared_at < alert.first_at


def revise(rule: Rule, alert: Alert | None, revised: Revised) -> Transition:
    """Step when all findings since a moment are known anew.

    An alert that began after that moment gets their span and severity, and fires when one of them goes on; without any
    it is withdrawn: it does not fire any more, and stays for whoever ends it. Of an older one only the end is set.
    """
    if alert is None:
        return Transition(None, Reason.NO_ALERT)
    whole = revised.since is None or alert.first_at >= revised.since
    if not revised.findings:
        return _withdrawn(alert) if whole else Transition(alert, Reason.NOTHING_NEW)
    last_at = max(one.last_at for one in revised.findings)
    ongoing = any(one.ongoing for one in revised.findings)
    if not whole:
        after = alert.changed(last_at=last_at)
        return Transition(after, Reason.NOTHING_NEW if after == alert else Reason.REVISED)
    after = alert.changed(
        first_at=min(one.first_at for one in revised.findings),
        last_at=last_at,
        severity=_severity(rule, revised),
        firing=ongoing,
        cleared_at=None if ongoing else last_at,
    )
    return Transition(after, Reason.NOTHING_NEW if after == alert else Reason.REVISED)


def _withdrawn(alert: Alert) -> Transition:
    if is_withdrawn(alert):
        return Transition(alert, Reason.NOTHING_NEW)
    after = alert.changed(firing=False, cleared_at=alert.first_at - timedelta(microseconds=1))
    note = "data that arrived since show that the condition never was"
    return Transition(after, Reason.WITHDRAWN, "withdrawn", alert.state, note=note)


def _severity(rule: Rule, revised: Revised) -> str:
    """The newest finding's with a ladder, else the worst."""
    if rule.ladder:
        return max(revised.findings, key=lambda one: one.last_at).severity
    return max((one.severity for one in revised.findings), key=SEVERITIES.index)
