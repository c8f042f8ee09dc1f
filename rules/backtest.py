"""What rules would have raised: findings -> alerts by the live lifecycle, and what they are worth. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from types import MappingProxyType

from rules import changes
from rules.changes import Key, key_of
from rules.evaluation import Found
from rules.model import Alert, Cleared, Finding, Rule

OFFICER_HOURS: Mapping[str, float] = MappingProxyType({"critical": 4.0, "major": 2.0, "minor": 0.5, "info": 0.1})
"""Hours of work one alert costs, by severity: calls, dispatch, notes. Ours (no source found): put in your own."""


@dataclass(frozen=True, slots=True)
class KnownLeak:
    """A leak that is known to have been one: an alert that an inspection confirmed, or a leak hazard it found.

    `device_ids`: the devices behind that door. Gas escaped some time within `[from_at, to_at]`.
    """

    name: str
    device_ids: frozenset[int]
    from_at: datetime
    to_at: datetime


@dataclass(frozen=True, slots=True)
class Caught:
    """Whether a known leak would have been found, by which rule first, and when that would have shown."""

    leak: KnownLeak
    rule_id: str | None = None
    shown_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RuleSummary:
    """What one rule would have raised.

    `not_evaluated`: why stored history cannot say (None: it was evaluated). `assumes`: what was taken for granted.
    """

    rule_id: str
    version: str
    alerts: int
    by_severity: Mapping[str, int]
    officer_h: float
    not_evaluated: str | None = None
    assumes: str | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """Alerts of a draft against those of the rules in force: what comes, what goes, what stays."""

    new: tuple[Alert, ...]
    gone: tuple[Alert, ...]
    same: tuple[Alert, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """What a set of rules would have done in `[since, until]`."""

    since: datetime
    until: datetime
    devices: int
    alerts: tuple[Alert, ...]
    rules: tuple[RuleSummary, ...]
    by_day: Mapping[date, Mapping[str, int]]
    officer_h: float
    leaks: tuple[Caught, ...]
    difference: Difference | None = None
    current: "Report | None" = None

    @property
    def days(self) -> float:
        """Length of the period in days."""
        return (self.until - self.since).total_seconds() / 86_400

    @property
    def alerts_per_day(self) -> float:
        """Alerts a day, over all rules."""
        return len(self.alerts) / self.days if self.days else 0.0


def alerts_of(
    rules: Mapping[str, Rule], found: Iterable[Found], answered_after: timedelta | None = None
) -> list[Alert]:
    """The alerts that findings become, oldest first, `raised_at` being the moment that the data first showed them.

    Nobody acts in a backtest: with `answered_after`, an alert that only a person may end counts as ended so long after
    its condition did, so that the next one is an episode of its own; without, it stays open, as live when nobody acts.
    """
    keyed: dict[Key, list[Found]] = {}
    for one in found:
        keyed.setdefault(key_of(one), []).append(one)
    alerts = [alert for key, items in keyed.items() for alert in _of_key(rules, key, items, answered_after)]
    return sorted(alerts, key=in_order)


def in_order(alert: Alert) -> tuple[datetime, str, str]:
    """What alerts of a report are sorted by: the moment of raising first."""
    return alert.raised_at, alert.rule_id, alert.subject


def _of_key(
    rules: Mapping[str, Rule], key: Key, items: Iterable[Found], answered_after: timedelta | None
) -> list[Alert]:
    closed: list[Alert] = []
    current: Alert | None = None
    for one in items:
        if current is not None and answered_after is not None and _is_answered(current, one, answered_after):
            ended_at = current.last_at + answered_after
            closed.append(current.changed(state="verified", closed_at=ended_at))
            current = None
        now = one.known_at if isinstance(one, Finding) else one.at if isinstance(one, Cleared) else None
        if now is None:
            continue
        standing = {} if current is None else {key: current}
        for change in changes.apply(rules, standing, {key: closed}, [one], now):
            current = change.after
        if current is not None and not current.is_open:
            closed.append(current)
            current = None
    return closed if current is None else [*closed, current]


def _is_answered(alert: Alert, one: Found, answered_after: timedelta) -> bool:
    return isinstance(one, Finding) and not alert.firing and one.first_at > alert.last_at + answered_after


def summarised(
    rules: Mapping[str, Rule],
    alerts: Sequence[Alert],
    leaks: Iterable[KnownLeak],
    since: datetime,
    until: datetime,
    devices: int,
    hours: Mapping[str, float] = OFFICER_HOURS,
) -> Report:
    """The report of one set: what it raised in the period; what it raised before may have caught a leak, too."""
    raised = [alert for alert in alerts if since < alert.raised_at <= until]
    by_day: dict[date, dict[str, int]] = {}
    for alert in raised:
        of_day = by_day.setdefault(alert.raised_at.date(), {})
        of_day[alert.severity] = of_day.get(alert.severity, 0) + 1
    each = tuple(_rule_summary(rule, raised, hours) for rule in rules.values())
    return Report(
        since=since,
        until=until,
        devices=devices,
        alerts=tuple(raised),
        rules=each,
        by_day=dict(sorted(by_day.items())),
        officer_h=sum(one.officer_h for one in each),
        leaks=tuple(caught(rules, alerts, leak) for leak in leaks),
    )


def _rule_summary(rule: Rule, alerts: Iterable[Alert], hours: Mapping[str, float]) -> RuleSummary:
    counts: dict[str, int] = {}
    for alert in alerts:
        if alert.rule_id == rule.rule_id:
            counts[alert.severity] = counts.get(alert.severity, 0) + 1
    officer_h = sum(count * hours[severity] for severity, count in counts.items())
    return RuleSummary(rule.rule_id, rule.version, sum(counts.values()), counts, officer_h)


def caught(rules: Mapping[str, Rule], alerts: Iterable[Alert], leak: KnownLeak) -> Caught:
    """The first alert of a rule about leaks behind the leak's door while it may have been escaping."""
    subjects = {f"device:{device_id}" for device_id in leak.device_ids}
    found = [
        alert
        for alert in alerts
        if alert.subject in subjects
        and rules[alert.rule_id].leak
        and alert.first_at <= leak.to_at
        and alert.last_at >= leak.from_at
    ]
    if not found:
        return Caught(leak)
    first = min(found, key=lambda alert: alert.raised_at)
    return Caught(leak, first.rule_id, first.raised_at)


def compared(
    draft: Iterable[Alert], current: Iterable[Alert], kinds: Mapping[str, str], current_kinds: Mapping[str, str]
) -> Difference:
    """Alerts of a draft against those in force: the same are of one kind and subject, and overlap in event time.

    `kinds` names the kind of each rule, so that a rule that was only renamed is not new.
    """
    before: dict[Key, list[Alert]] = {}
    for alert in current:
        before.setdefault((current_kinds[alert.rule_id], alert.subject), []).append(alert)
    new: list[Alert] = []
    same: list[Alert] = []
    met: set[int] = set()
    for alert in draft:
        others = before.get((kinds[alert.rule_id], alert.subject), [])
        matching = [one for one in others if one.first_at <= alert.last_at and alert.first_at <= one.last_at]
        met |= {id(one) for one in matching}
        (same if matching else new).append(alert)
    gone = [alert for others in before.values() for alert in others if id(alert) not in met]
    return Difference(tuple(new), tuple(sorted(gone, key=lambda one: one.raised_at)), tuple(same))


def against(report: Report, current: Report, kinds: Sequence[Mapping[str, str]]) -> Report:
    """The report of a draft with that of the rules in force and the difference; `kinds` of both sets' rules."""
    difference = compared(report.alerts, current.alerts, kinds[0], kinds[1])
    return replace(report, difference=difference, current=current)


def newly_missed(report: Report) -> list[str]:
    """Known leaks that the rules in force catch and the draft does not."""
    if report.current is None:
        return []
    before = {one.leak.name for one in report.current.leaks if one.rule_id is not None}
    return [one.leak.name for one in report.leaks if one.rule_id is None and one.leak.name in before]


def as_data(report: Report, alerts_max: int = 1000) -> dict[str, object]:
    """The report as plain values for JSON; of long lists of alerts the first `alerts_max`."""
    return {
        "since": report.since.isoformat(),
        "until": report.until.isoformat(),
        "devices": report.devices,
        "alerts": len(report.alerts),
        "alerts_per_day": round(report.alerts_per_day, 3),
        "officer_hours": round(report.officer_h, 1),
        "rules": [
            {
                "rule_id": one.rule_id,
                "version": one.version,
                "alerts": one.alerts,
                "by_severity": dict(one.by_severity),
                "officer_hours": round(one.officer_h, 1),
                "not_evaluated": one.not_evaluated,
                "assumes": one.assumes,
            }
            for one in report.rules
        ],
        "by_day": {day.isoformat(): dict(counts) for day, counts in report.by_day.items()},
        "known_leaks": [
            {
                "name": one.leak.name,
                "caught_by": one.rule_id,
                "shown_at": one.shown_at.isoformat() if one.shown_at else None,
            }
            for one in report.leaks
        ],
        "newly_missed": newly_missed(report),
        "difference": None if report.difference is None else _difference_data(report.difference, alerts_max),
        "current": None if report.current is None else as_data(report.current, 0),
        "raised": [_alert_data(one) for one in report.alerts[:alerts_max]],
    }


def _difference_data(difference: Difference, alerts_max: int) -> dict[str, object]:
    return {
        "new": len(difference.new),
        "gone": len(difference.gone),
        "same": len(difference.same),
        "new_alerts": [_alert_data(one) for one in difference.new[:alerts_max]],
        "gone_alerts": [_alert_data(one) for one in difference.gone[:alerts_max]],
    }


def _alert_data(alert: Alert) -> dict[str, object]:
    return {
        "rule_id": alert.rule_id,
        "subject": alert.subject,
        "severity": alert.severity,
        "raised_at": alert.raised_at.isoformat(),
        "first_at": alert.first_at.isoformat(),
        "last_at": alert.last_at.isoformat(),
        "sentence": alert.sentence,
    }
