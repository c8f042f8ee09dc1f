"""Whether an acknowledgement is kept because a visit is planned at its door, or under way. Pure.

A visit on a roster in force is what somebody who acknowledged waits for. Until it should have left the door, and a
grace for its report (`visit_grace_min` of the regime), the acknowledgement does not expire; a visit that comes while
attendance is not late also is the dispatch. No later deadline moves. At a leak a later visit keeps nothing: a roster of
tomorrow is no crew, and whoever acknowledged must send one or be asked again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from rules.clocks import deadline
from rules.model import Alert, Json, Reason, Transition
from rules.regimes import Limits, Regime


@dataclass(frozen=True, slots=True)
class PlannedVisit:
    """A visit on a roster in force that nobody has reported yet."""

    visit_id: int
    inspector: str
    arrive_at: datetime
    leave_at: datetime


def next_visit(visits: Sequence[PlannedVisit], grace: timedelta, now: datetime) -> PlannedVisit | None:
    """The first visit whose time and grace have not passed; None when there is none."""
    coming = [one for one in visits if now < one.leave_at + grace]
    return min(coming, key=lambda one: (one.arrive_at, one.visit_id), default=None)


def awaited(
    alert: Alert, visits: Sequence[PlannedVisit], reported: str | None, regime: Regime, now: datetime
) -> Transition:
    """Keep an acknowledgement for the next of these visits, or have its expiry run again, with the reason.

    `visits`: those to the alert's door that are in force and not reported. `reported`: the result of the visit that the
    alert waits for, once it was reported.
    """
    if alert.state != "acknowledged":
        return Transition(alert, Reason.NOTHING_NEW)
    limits = regime.limits_of(alert)
    grace = limits.after("visit_grace")
    found = next_visit([one for one in visits if _counts(alert, one, limits)], grace, now)
    if found is not None:
        return _kept(alert, found, grace)
    if alert.awaited_visit_id is None:
        return Transition(alert, Reason.NOTHING_NEW)
    return _ended(alert, reported, grace, now)


def _counts(alert: Alert, visit: PlannedVisit, limits: Limits) -> bool:
    """Whether a visit is worth waiting for: any, but at a leak one in time; a hazard with a written deadline waits."""
    return not alert.leak or alert.verify_by is not None or visit.arrive_at <= deadline(alert, "on_site", limits)


def _kept(alert: Alert, visit: PlannedVisit, grace: timedelta) -> Transition:
    if (visit.visit_id, visit.arrive_at, visit.leave_at) == (
        alert.awaited_visit_id,
        alert.awaited_from,
        alert.awaited_to,
    ):
        return Transition(alert, Reason.NOTHING_NEW)
    after = alert.changed(awaited_visit_id=visit.visit_id, awaited_from=visit.arrive_at, awaited_to=visit.leave_at)
    reason = Reason.VISIT_PLANNED if alert.awaited_visit_id is None else Reason.VISIT_MOVED
    until = visit.leave_at + grace
    note = (
        f"{visit.inspector} is planned at the door from {visit.arrive_at:%Y-%m-%d %H:%M}Z to {visit.leave_at:%H:%M}Z: "
        f"the acknowledgement is kept until {until:%Y-%m-%d %H:%M}Z"
    )
    evidence: Json = {
        "visit_id": visit.visit_id,
        "arrive_at": visit.arrive_at.isoformat(),
        "leave_at": visit.leave_at.isoformat(),
        "kept_until": until.isoformat(),
    }
    return Transition(after, reason, reason.value, alert.state, note=note, evidence=evidence)


def _ended(alert: Alert, reported: str | None, grace: timedelta, now: datetime) -> Transition:
    assert alert.awaited_to is not None
    if reported is not None:
        reason, note = Reason.VISIT_REPORTED, f"the visit was reported: {reported.replace('_', ' ')}"
    elif now >= alert.awaited_to + grace:
        reason, note = Reason.VISIT_PASSED, f"nobody reported the visit that ended at {alert.awaited_to:%H:%M}Z"
    else:
        reason, note = Reason.VISIT_DROPPED, "the rosters in force have no visit to this door any more"
    after = alert.changed(awaited_visit_id=None, awaited_from=None, awaited_to=None)
    evidence: Json = {"visit_id": alert.awaited_visit_id, "reported": reported}
    note = f"{note}: the acknowledgement expires as ever"
    return Transition(after, reason, reason.value, alert.state, note=note, evidence=evidence)
