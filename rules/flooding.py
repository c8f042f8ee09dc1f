"""Gateways that send more than their rate limit: what they pass on waits, so an officer must know. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from rules.model import Finding, Rule


@dataclass(frozen=True, slots=True)
class Flooding:
    """A gateway whose flood goes on: since when, how many messages were held back in it, and its limit then."""

    gateway_id: int
    code: str
    area: str
    started_at: datetime
    held: int
    limit_per_s: float | None


def gateway_flood(rule: Rule, floods: Iterable[Flooding], now: datetime) -> list[Finding]:
    """Gateways whose flood has gone on for `lasting_min`: a backlog sent after an outage is over before that."""
    return [
        _finding(rule, one, now)
        for one in floods
        if (now - one.started_at).total_seconds() >= rule["lasting_min"] * 60
        and rule.covers("gateway", None, None, one.area, one.code)
    ]


def _finding(rule: Rule, one: Flooding, now: datetime) -> Finding:
    limit = "" if one.limit_per_s is None else f" of {one.limit_per_s:g} messages a second"
    return Finding(
        rule_id=rule.rule_id,
        subject=f"gateway:{one.gateway_id}",
        first_at=one.started_at,
        last_at=now,
        severity=rule.severity,
        sentence=f"{one.code} has sent more than its limit{limit} since {one.started_at:%Y-%m-%d %H:%M} UTC; "
        f"{one.held:,} of its messages were held back so far and take their turn",
        evidence={"started_at": one.started_at.isoformat(), "held": one.held, "limit_per_s": one.limit_per_s},
    )
