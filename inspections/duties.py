"""Which duty an alert asks for: whether, until when, and whether it must be on the next roster."""

from dataclasses import dataclass
from datetime import date, timedelta

# No source gives days for an inspection that follows an alert: emergency attendance is the officers' dispatch, the
# roster is the visit after it. Conservative figures.
_DUE_DAYS = {"critical": 0, "major": 1, "minor": 7, "info": 30}
_LATE_STILL_VISITED = frozenset({"critical", "major"})


@dataclass(frozen=True, slots=True)
class AlertNote:
    """What inspections reads of an alert."""

    alert_id: int
    premises_id: int
    severity: str
    visit: str
    late: bool
    sentence: str


@dataclass(frozen=True, slots=True)
class NewDuty:
    """A duty to be opened."""

    premises_id: int
    kind: str
    due_on: date
    mandatory: bool
    reason: str
    alert_id: int | None = None
    hazard_id: int | None = None
    not_before: date | None = None


def duty_of_alert(alert: AlertNote, today: date) -> NewDuty | None:
    """The duty an alert asks for, or None: no visit wanted, or late news of little weight."""
    if alert.visit == "none" or (alert.late and alert.severity not in _LATE_STILL_VISITED):
        return None
    due = today + timedelta(days=_DUE_DAYS[alert.severity])
    mandatory = alert.visit == "mandatory" and not alert.late
    reason = f"{alert.severity} alert: {alert.sentence}" + (" (found in late data)" if alert.late else "")
    return NewDuty(alert.premises_id, "alert", due, mandatory, reason, alert.alert_id)
