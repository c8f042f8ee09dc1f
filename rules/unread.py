"""Alarms that arrived and could not be stored: somebody must look all the same. Pure."""

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from rules.model import Finding, Json, Rule


@dataclass(frozen=True, slots=True)
class Unread:
    """What may be an alarm and lies in quarantine.

    Its subject is the device where it is registered, else its gateway, else a district. `level` is 2 where the
    message tells none; it and `lel_pct` are the worst of `times` messages. `claimed_gateway` and `claimed_device`
    are what the newest message says, `claimed_devices` all that were named lately; `place` names the subject.
    """

    subject: str
    place: str
    kind: str
    area: str
    event: str
    level: int
    lel_pct: float | None
    claimed_gateway: str | None
    claimed_device: str | None
    reason: str
    detail: str
    last_received_at: datetime
    times: int
    claimed_devices: Sequence[str] = ()
    meter_class: str | None = None
    user_class: str | None = None


_DETAIL_MAX = 200
_WHAT = {
    "leak_alarm": "a leak alarm",
    "co_alarm": "a carbon monoxide alarm",
    "gas_measured": "a measurement of gas",
    "unknown": "an event that may be an alarm",
}


def alarm_unread(rule: Rule, unread: Iterable[Unread]) -> list[Finding]:
    """One finding for each of them, at its arrival: what a device says of its own time is not believed here."""
    return [
        _finding(rule, one)
        for one in sorted(unread, key=lambda one: (one.last_received_at, one.subject, one.event))
        if rule.covers(one.kind, one.meter_class, one.user_class, one.area, one.place)
    ]


def _finding(rule: Rule, one: Unread) -> Finding:
    gassy = (one.lel_pct or 0.0) >= rule["critical_lel_pct"]
    grave = gassy or (one.event != "unknown" and one.level == 2)
    return Finding(
        rule_id=rule.rule_id,
        subject=one.subject,
        first_at=one.last_received_at,
        last_at=one.last_received_at,
        severity=rule.severity_high if grave else rule.severity,
        sentence=_sentence(one),
        evidence=_evidence(one),
        value=one.lel_pct,
        unit="%LEL",
    )


def _evidence(one: Unread) -> Json:
    """What was said, a sample for each device, the newest last; without control characters: notices are written so."""
    received_at, gateway = one.last_received_at.isoformat(), _printable(one.claimed_gateway)
    said = (one.event, one.level, one.lel_pct, one.reason, one.detail, one.times)
    return {
        "columns": ["received_at", "gateway", "device", "event", "level", "lel_pct", "reason", "detail", "times"],
        "samples": [[received_at, gateway, _printable(name), *said] for name in (*_others(one), one.claimed_device)],
    }


def _others(one: Unread) -> list[str]:
    return [name for name in one.claimed_devices if name != one.claimed_device]


def _sentence(one: Unread) -> str:
    measured = "" if one.lel_pct is None else f" of {one.lel_pct:g} %LEL"
    if measured and one.times > 1:
        measured = f" (up to {one.lel_pct:g} %LEL in {one.times} such messages)"
    device = one.claimed_device or "a device that it does not name"
    also = f"; lately also {', '.join(others)}" if (others := _others(one)) else ""
    by = f"by gateway {one.claimed_gateway}" if one.claimed_gateway else "by no known gateway"
    where = {
        "device": "",
        "gateway": f"; {device} is not registered: look where gateway {one.place} is",
        "district": "; neither is registered: all that is known is the area",
    }[one.subject.partition(":")[0]]
    why = textwrap.shorten(one.detail, _DETAIL_MAX, placeholder=" ...")
    sentence = f"{device} sent {_WHAT[one.event]}{measured} {by}, which could not be stored ({why}){where}{also}"
    return _printable(sentence) or ""


def _printable(text: str | None) -> str | None:
    """Strangers choose their own names: no line breaks, no control characters."""
    return None if text is None else "".join(char if char.isprintable() else "?" for char in text)
