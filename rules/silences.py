"""Silences and maintenance windows: which of them keep a notice of an alert back. They never touch its state. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from rules.model import Alert

SILENCE_MAX = timedelta(days=90)
LEAK_SILENCE_MAX = timedelta(hours=24)
"""No silence lasts longer (no source found for either); a leak's is so short that every day two persons mean it."""


@dataclass(frozen=True, slots=True)
class Silence:
    """A silence whose scope covers an alert. `leaks`: it asks for leaks, too; `approved_by`: the second person."""

    silence_id: int
    kind: str
    from_at: datetime
    until_at: datetime
    author: str
    reason: str
    leaks: bool
    approved_by: str | None = None
    ended_at: datetime | None = None


def silenced_by(alert: Alert, covering: Iterable[Silence], now: datetime) -> Silence | None:
    """The silence that keeps this alert's notices back at `now`, the longest of several; None when none does.

    What is about a leak is silenced only by a silence that says so and that a second person approved.
    """
    active = [one for one in covering if _active(one, now) and (not alert.guarded or _two_persons(one))]
    return max(active, key=lambda one: one.until_at, default=None)


def _active(silence: Silence, now: datetime) -> bool:
    return silence.from_at <= now < silence.until_at and (silence.ended_at is None or now < silence.ended_at)


def _two_persons(silence: Silence) -> bool:
    return silence.leaks and silence.approved_by is not None and silence.approved_by != silence.author


def sentence(silence: Silence) -> str:
    """Who silenced it, until when and why."""
    second = f" and {silence.approved_by}" if silence.approved_by else ""
    what = "maintenance" if silence.kind == "maintenance" else "silenced"
    return f"{what} by {silence.author}{second} until {silence.until_at:%Y-%m-%d %H:%M}Z: {silence.reason}"
