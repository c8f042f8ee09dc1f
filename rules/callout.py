"""Whom to page about what: which steps of an alert's life tell somebody, and which a silence keeps back. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from rules.model import CLOSED_STATES, Alert, Reason, Transition, worse
from rules.paging import Page
from rules.regimes import Limits
from rules.silences import Silence, silenced_by

FIRST_LEVEL = 1
"""Level of the on-duty rota that is told first; each escalation tells the next one."""


@dataclass(frozen=True, slots=True)
class Callout:
    """What a step asks for: purpose (None: nobody is told), level, and the silence that keeps it back; and why."""

    why: str
    purpose: str | None = None
    level: int = FIRST_LEVEL
    silence: Silence | None = None

    @property
    def pages(self) -> bool:
        """Whether somebody is to be told now."""
        return self.purpose is not None and self.silence is None


def callout_for(
    before: Alert | None,
    after: Alert,
    transition: Transition,
    limits: Limits,
    silences: Sequence[Silence],
    now: datetime,
) -> Callout:
    """Decide who is told about one step. `silences` cover the alert by their scope, whether they are active or not."""
    if after.late:
        return Callout("late: recorded, pages no one")
    purpose, level, why = _purpose(before, after, transition, limits)
    if purpose is None:
        return Callout(why)
    return Callout(why, purpose, level, silenced_by(after, silences, now))


def pages_of(alert_id: int, after: Alert, transition: Transition, callout: Callout) -> list[Page]:
    """The pages of one step that tells somebody now.

    An escalation tells the next level and reminds the owner, without one the first line. The end of a silence
    reminds as an escalation does, and tells every level that was reached: it was counted as told while the silence
    kept its notice back.
    """
    if callout.purpose is None or not callout.pages:
        return []
    pages = [Page(alert_id, callout.purpose, callout.level)]
    if callout.purpose == "escalated":
        pages.append(Page(alert_id, "reminder", FIRST_LEVEL))
    if transition.reason is Reason.SILENCE_ENDED:
        reached = range(FIRST_LEVEL + 1, FIRST_LEVEL + after.escalation + 1)
        pages += [Page(alert_id, "escalated", level) for level in reached]
    return pages


def _purpose(before: Alert | None, after: Alert, transition: Transition, limits: Limits) -> tuple[str | None, int, str]:
    reason = transition.reason
    if reason is Reason.ESCALATED:
        return "escalated", FIRST_LEVEL + after.escalation, transition.note or "a deadline is missed"
    if reason is Reason.REMINDED:
        return "reminder", FIRST_LEVEL + after.escalation, transition.note or "still open"
    if reason is Reason.SILENCE_ENDED:
        return "reminder", FIRST_LEVEL, transition.note or "still open"
    if reason is Reason.ASSIGNED:
        return "handed_over", FIRST_LEVEL, "it has a new owner"
    if before is not None and before.is_open and after.state in CLOSED_STATES:
        told = limits.page or before.reminded_at is not None
        return "closed" if told else None, FIRST_LEVEL, "it is over" if told else "nobody was told that it began"
    if not limits.page:
        return None, FIRST_LEVEL, "a severity that pages nobody before its deadline is missed"
    if before is None or before.late or reason is Reason.UNSAFE_AGAIN:
        return "raised", FIRST_LEVEL, "an owner is needed"
    if reason is Reason.ACK_EXPIRED:
        return "ack_expired", FIRST_LEVEL, "an owner is needed again"
    if worse(after.severity, before.severity):
        return "worse", FIRST_LEVEL, f"{before.severity} became {after.severity}"
    if reason is Reason.ANOTHER_DEVICE:
        return "worse", FIRST_LEVEL, "another device alarms, perhaps in another home"
    if reason is Reason.FIRING_AGAIN and after.leak:
        return "raised", FIRST_LEVEL, "the alarm is back"
    return None, FIRST_LEVEL, "nothing that somebody must know at once"
