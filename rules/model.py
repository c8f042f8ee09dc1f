"""The words of this package: a rule, what it found, an alert and the step that changed it. All frozen."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

SEVERITIES = ("info", "minor", "major", "critical")
OPEN_STATES = ("open", "acknowledged", "dispatched", "on_site", "made_safe")
CLOSED_STATES = ("verified", "dismissed")
LATE_AFTER = timedelta(hours=48)

Json = Mapping[str, object]


class InvalidRule(Exception):
    """The rules file breaks the format; the message names rule and key."""


class WrongStep(Exception):
    """An officer's step does not fit the alert's state; the message says what is allowed."""


class Reason(StrEnum):
    """Why an alert changed, or why it did not."""

    RAISED = "raised"
    NEW_EPISODE = "new_episode"
    WORSE = "worse"
    FIRING_AGAIN = "firing_again"
    REPEATED = "repeated"
    NOTHING_NEW = "nothing_new"
    ALREADY_CLOSED = "already_closed"
    CLEARED = "cleared"
    CLEARED_AND_CLOSED = "cleared_and_closed"
    NOT_BELIEVED = "clear_not_believed"
    OLDER = "older_than_known"
    NO_ALERT = "no_open_alert"
    BY_OFFICER = "by_officer"
    INSPECTED = "inspected"
    PASSED = "inspection_passed"
    RECHECK_PASSED = "recheck_passed"
    HAZARD_FOUND = "hazard_found"
    SEEN_SINCE = "seen_again_since_the_visit"


@dataclass(frozen=True, slots=True)
class Scope:
    """Which devices a rule looks at; an empty set restricts nothing."""

    device_kinds: frozenset[str] = frozenset()
    meter_classes: frozenset[str] = frozenset()
    user_classes: frozenset[str] = frozenset()
    areas: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry of the catalogue, checked.

    `parameters` carry their unit in the name. `severity` is the ladder's lowest rung; `severity_high` (where a kind has
    one) the upper. `clears` says who may end an alert: a person, or telemetry by itself. `version` is the digest of
    `definition`, the entry word for word.
    """

    rule_id: str
    kind: str
    family: str
    severity: str
    severity_high: str
    visit: str
    clears: str
    scope: Scope
    parameters: Mapping[str, float]
    title: str
    why: str
    what_to_do: str
    source: str
    definition: Json
    version: str

    def __getitem__(self, name: str) -> float:
        """A parameter by name."""
        return self.parameters[name]

    def covers(self, device_kind: str, meter_class: str | None, user_class: str | None, area: str) -> bool:
        """Tell whether a device lies in this rule's scope; an unknown class is never inside a restricted scope."""
        wanted = (
            (self.scope.device_kinds, device_kind),
            (self.scope.meter_classes, meter_class),
            (self.scope.user_classes, user_class),
            (self.scope.areas, area),
        )
        return all(not allowed or value in allowed for allowed, value in wanted)


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule found, in event time: an instant (`first_at == last_at`) or an interval.

    `ongoing`: the condition still holds at the end of what is known. `evidence` holds the exact samples. `late_event`:
    ingest marked the event itself as late.
    """

    rule_id: str
    subject: str
    first_at: datetime
    last_at: datetime
    severity: str
    sentence: str
    evidence: Json
    value: float | None = None
    unit: str | None = None
    ongoing: bool = True
    late_event: bool = False


@dataclass(frozen=True, slots=True)
class Cleared:
    """Telemetry stopped showing the condition at `at`; `believed` is False when the device may not know."""

    rule_id: str
    subject: str
    at: datetime
    believed: bool = True
    evidence: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OfficerStep:
    """A person's step on an alert: acknowledge, dispatch, on_site, made_safe, verify or dismiss."""

    step: str
    actor: str
    note: str | None = None
    cause: str | None = None
    evidence: str | None = None


@dataclass(frozen=True, slots=True)
class Inspection:
    """What an inspector's visit says about the alert that caused it."""

    outcome_id: int
    result: str
    at: datetime
    hazards: int
    hazards_open: int
    note: str | None = None
    rechecked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where the subject of an alert is."""

    area: str
    device_id: int | None = None
    gateway_id: int | None = None
    premises_id: int | None = None
    building_id: int | None = None


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert as it stands; the fields are those of the table. `alert_id` is None until it is saved."""

    alert_id: int | None
    rule_id: str
    rule_version: str
    subject: str
    severity: str
    state: str
    firing: bool
    late: bool
    sentence: str
    first_at: datetime
    last_at: datetime
    raised_at: datetime
    unit: str | None
    first_value: float | None
    last_value: float | None
    worst_value: float | None
    count: int
    evidence: Json
    visit: str
    owner: str | None = None
    cleared_at: datetime | None = None
    closed_at: datetime | None = None
    cause: str | None = None
    confirmed: bool | None = None
    episode: int = 1
    previous_alert_id: int | None = None

    @property
    def is_open(self) -> bool:
        """True until the alert is verified or dismissed."""
        return self.state in OPEN_STATES

    def changed(self, **values: object) -> "Alert":
        """A copy with other values."""
        return replace(self, **values)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Transition:
    """The outcome of one step: the alert after it, why, and the timeline row to write (None: write none)."""

    alert: Alert | None
    reason: Reason
    step: str | None = None
    from_state: str | None = None
    actor: str = "rules"
    note: str | None = None
    evidence: Json | None = None


def worse(one: str, other: str) -> bool:
    """Tell whether severity `one` ranks above `other`."""
    return SEVERITIES.index(one) > SEVERITIES.index(other)
