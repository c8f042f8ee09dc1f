"""Detectors of the absence family: who has not been heard, and for whose fault. Pure.

Time in which we ourselves heard nobody counts against no one, and the devices of a silent gateway are that gateway's
incident.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from rules.model import Finding, Rule

OWN_OUTAGE_MIN_S = 900.0
"""Nothing at all for this long (and for 1.5 of the shortest interval anything has) counts as our own outage."""


@dataclass(frozen=True, slots=True)
class Outage:
    """A time in which no batch at all arrived."""

    from_at: datetime
    to_at: datetime


@dataclass(frozen=True, slots=True)
class Quiet:
    """A device or gateway that seems overdue.

    `heard_at`: up to when we know of it, by its own clock as far as that can be trusted. `gateway_heard_at`: the same
    of a device's gateway: a device's silence proves something only as long as its gateway spoke. `offline_at`: since
    when a gateway's last will, or a platform's word `presence` of a device, stands. `alone_since`: when the incident
    ended that stood for this silence. `learned_gaps`: the interval was learned from so many gaps, not registered.
    """

    subject_id: int
    code: str
    heard_at: datetime
    expected_interval_s: float
    device_kind: str = "meter"
    meter_class: str | None = None
    user_class: str | None = None
    area: str = ""
    gateway_id: int | None = None
    gateway_heard_at: datetime | None = None
    offline_at: datetime | None = None
    presence: str | None = None
    alone_since: datetime | None = None
    learned_gaps: int | None = None


def own_gap_s(shortest_interval_s: float) -> float:
    """For how many seconds we must have heard nobody to call it our own outage."""
    return max(OWN_OUTAGE_MIN_S, 1.5 * shortest_interval_s)


def outages(
    arrivals: Iterable[tuple[datetime, datetime]], now: datetime, newest: datetime, gap_s: float
) -> list[Outage]:
    """Our own outages: gaps between batches as (from, to), and the one that lasts until now if it is long enough."""
    found = [Outage(from_at, to_at) for from_at, to_at in arrivals]
    if (now - newest).total_seconds() > gap_s:
        found.append(Outage(newest, now))
    return found


def merged(ours: Iterable[Outage]) -> list[Outage]:
    """The same time as outages that do not overlap."""
    found: list[Outage] = []
    for outage in sorted(ours, key=lambda one: one.from_at):
        if found and outage.from_at <= found[-1].to_at:
            found[-1] = Outage(found[-1].from_at, max(found[-1].to_at, outage.to_at))
        else:
            found.append(outage)
    return found


def observed_s(from_at: datetime, to_at: datetime, ours: Sequence[Outage]) -> float:
    """Seconds of a span outside the outages, which must not overlap."""
    lost = timedelta()
    for outage in ours:
        overlap = min(to_at, outage.to_at) - max(from_at, outage.from_at)
        lost += max(overlap, timedelta())
    return (to_at - from_at - lost).total_seconds()


def device_silent(
    rule: Rule, quiet: Iterable[Quiet], ours: Sequence[Outage], gateways: Mapping[int, Sequence[Outage]], now: datetime
) -> list[Finding]:
    """Devices not heard for `intervals_missed` of their own intervals while we listened and their gateway spoke.

    `gateways` holds each gateway's own outages.
    """
    found = []
    for one in quiet:
        if not rule.covers(one.device_kind, one.meter_class, one.user_class, one.area, one.code):
            continue
        excused = merged([*ours, *gateways.get(one.gateway_id or 0, ())])
        allowed_s = rule["intervals_missed"] * one.expected_interval_s
        if observed_s(one.heard_at, one.gateway_heard_at or now, excused) > allowed_s:
            found.append(_silence(rule, f"device:{one.subject_id}", one, now, allowed_s))
    return found


def device_gone(rule: Rule, gone: Iterable[Quiet], ours: Sequence[Outage], now: datetime) -> list[Finding]:
    """Devices that their platform has called offline or stale for `offline_min_s`, without a word of theirs since."""
    return [
        _silence(rule, f"device:{one.subject_id}", one, now, rule["offline_min_s"])
        for one in gone
        if one.offline_at is not None
        and observed_s(one.offline_at, now, ours) >= rule["offline_min_s"]
        and rule.covers(one.device_kind, one.meter_class, one.user_class, one.area, one.code)
    ]


def gateway_silent(rule: Rule, quiet: Iterable[Quiet], ours: Sequence[Outage], now: datetime) -> list[Finding]:
    """Gateways not heard for `intervals_missed` of their intervals, or whose last will stands for `offline_min_s`."""
    found = []
    for one in quiet:
        allowed_s = rule["intervals_missed"] * one.expected_interval_s
        overdue = observed_s(one.heard_at, now, ours) > allowed_s
        gone = one.offline_at is not None and observed_s(one.offline_at, now, ours) > rule["offline_min_s"]
        if (overdue or gone) and rule.covers("gateway", None, None, one.area):
            found.append(_silence(rule, f"gateway:{one.subject_id}", one, now, allowed_s))
    return found


def _silence(rule: Rule, subject: str, one: Quiet, now: datetime, allowed_s: float) -> Finding:
    hours = (now - one.heard_at).total_seconds() / 3600
    detector = one.device_kind == "detector"
    told = f"; its platform says that it is {one.presence}" if one.presence else ""
    return Finding(
        rule_id=rule.rule_id,
        subject=subject,
        first_at=max(one.heard_at, one.alone_since or one.heard_at),
        last_at=now,
        severity=rule.severity_high if detector else rule.severity,
        sentence=f"{one.code} was last heard {one.heard_at:%Y-%m-%d %H:%M} UTC, {hours:,.1f} h ago{told}",
        evidence={
            "heard_at": one.heard_at.isoformat(),
            "expected_interval_s": one.expected_interval_s,
            "interval_learned_from_gaps": one.learned_gaps,
            "allowed_s": allowed_s,
            "offline_at": one.offline_at.isoformat() if one.offline_at else None,
        },
        value=round(hours, 2),
        unit="h",
    )
