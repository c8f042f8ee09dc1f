"""Detectors of the event and group families: what devices assert -> findings and clears. Pure."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from rules.model import Cleared, Finding, Json, Rule
from rules.placing import unplaced

BLIND_BITS = 1024 | 2048 | 4096 | 8192
"""Detector warming up, inhibited, faulty or past its life (docs/payloads.md): it cannot say that all is well."""


@dataclass(frozen=True, slots=True)
class Event:
    """One stored event with what is known of its device.

    `status` is the device's newest status word. `cleared_at` is the newest time at which the device said that its leak
    alarm is over, when that is its newest word on it. `installed`: a door is registered for it; if not, `gateway` is
    all that says where it is.
    """

    device_id: int
    code: str
    kind: str
    state: str
    at: datetime
    device_kind: str = "detector"
    meter_class: str | None = None
    user_class: str | None = None
    area: str = ""
    building_id: int | None = None
    level: int | None = None
    lel_pct: float | None = None
    test: bool = False
    late: bool = False
    status: int | None = None
    cleared_at: datetime | None = None
    gateway: str = ""
    installed: bool = True


def leak_alarm(rule: Rule, events: Iterable[Event]) -> list[Finding | Cleared]:
    """Every leak alarm raised, at its moment, and every clear. Self-tests are nobody's alarm."""
    return [
        _leak_raised(rule, event) if event.state == "raised" else _leak_cleared(rule, event)
        for event in sorted(events, key=lambda event: (event.at, event.device_id, event.state))
        if event.kind == "leak_alarm"
        and not event.test
        and rule.covers(event.device_kind, event.meter_class, event.user_class, event.area, event.code)
    ]


def _leak_raised(rule: Rule, event: Event) -> Finding:
    critical = event.level == 2 or (event.lel_pct is not None and event.lel_pct >= rule["critical_lel_pct"])
    measured = "" if event.lel_pct is None else f": {event.lel_pct:g} %LEL"
    return Finding(
        rule_id=rule.rule_id,
        subject=f"device:{event.device_id}",
        first_at=event.at,
        last_at=event.at,
        severity=rule.severity_high if critical else rule.severity,
        sentence=f"{event.code} raised a leak alarm of level {event.level or 1}{measured}"
        f"{unplaced(event.installed, event.gateway)}",
        evidence=_samples([event]),
        value=event.lel_pct,
        unit="%LEL",
        ongoing=event.cleared_at is None or event.cleared_at < event.at or _is_blind(event),
        late_event=event.late,
    )


def _leak_cleared(rule: Rule, event: Event) -> Cleared:
    return Cleared(rule.rule_id, f"device:{event.device_id}", event.at, not _is_blind(event), _samples([event]))


def _is_blind(event: Event) -> bool:
    """Whether the detector is warming up, inhibited, faulty or past its life: its clear proves nothing."""
    return event.status is not None and bool(event.status & BLIND_BITS)


def _samples(events: Iterable[Event]) -> Json:
    return {
        "columns": ["at", "device", "event", "state", "level", "lel_pct"],
        "samples": [[e.at.isoformat(), e.code, e.kind, e.state, e.level, e.lel_pct] for e in events],
    }


def building_leaks(rule: Rule, events: Iterable[Event]) -> list[Finding]:
    """Stretches in which at least `devices_min` detectors of one building raised leak alarms within `within_min`."""
    raises = [
        e for e in events if e.building_id is not None and e.kind == "leak_alarm" and e.state == "raised" and not e.test
    ]
    raises.sort(key=lambda event: (event.building_id or 0, event.at, event.device_id))
    found: list[Finding] = []
    for building_id, group in groupby(raises, key=lambda event: event.building_id):
        found += [_building_finding(rule, building_id, *cluster) for cluster in _clusters(rule, list(group))]
    return found


def _clusters(rule: Rule, raises: Sequence[Event]) -> list[tuple[list[Event], datetime]]:
    """Merge all windows of `within_min` that hold enough different devices; each with when the first of them did."""
    within = timedelta(minutes=rule["within_min"])
    clusters: list[tuple[int, int, datetime]] = []
    start = 0
    for end, event in enumerate(raises):
        while event.at - raises[start].at > within:
            start += 1
        if len({one.device_id for one in raises[start : end + 1]}) < rule["devices_min"]:
            continue
        if clusters and start <= clusters[-1][1]:
            clusters[-1] = (clusters[-1][0], end, clusters[-1][2])
        else:
            clusters.append((start, end, event.at))
    return [(list(raises[start : end + 1]), shown_at) for start, end, shown_at in clusters]


def _building_finding(rule: Rule, building_id: int | None, cluster: Sequence[Event], shown_at: datetime) -> Finding:
    codes = sorted({event.code for event in cluster})
    minutes = max(1, math.ceil((cluster[-1].at - cluster[0].at).total_seconds() / 60))
    sentence = f"{len(codes)} detectors of one building raised leak alarms within {minutes} min: {', '.join(codes)}"
    return Finding(
        rule_id=rule.rule_id,
        subject=f"building:{building_id}",
        first_at=cluster[0].at,
        last_at=cluster[-1].at,
        severity=rule.severity,
        sentence=sentence,
        evidence=_samples(cluster),
        value=float(len(codes)),
        unit="devices",
        late_event=all(event.late for event in cluster),
        shown_at=shown_at,
    )
