"""The words of this package: a rule, what it found, an alert and the step that changed it. All frozen."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

SEVERITIES = ("info", "minor", "major", "critical")
OPEN_STATES = ("open", "acknowledged", "dispatched", "on_site", "made_safe")
CLOSED_STATES = ("verified", "dismissed")
MOMENTS = ("acknowledged_at", "owned_at", "dispatched_at", "on_site_at", "made_safe_at")
"""Fields of an alert that its steps fill, and that are empty again when what was made safe fires again."""

LATE_AFTER = timedelta(hours=48)
LEAK_KINDS = frozenset({"leak_alarm", "building_leaks", "co_alarm", "hazard_open", "alarm_unread"})
"""Kinds of rules whose alerts are about gas or its products in a room, perhaps, or a hazard for which gas must be cut:
they have the shortest deadlines, and telemetry never lowers or ends them. (`Rule.leak` is wider: a small flow that
never stops is about a leak, too.)"""

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
    MILDER = "milder"
    UNSAFE_AGAIN = "unsafe_again"
    FIRING_AGAIN = "firing_again"
    REPEATED = "repeated"
    ANOTHER_DEVICE = "another_device"
    NOTHING_NEW = "nothing_new"
    ALREADY_CLOSED = "already_closed"
    CLEARED = "cleared"
    CLEARED_AND_CLOSED = "cleared_and_closed"
    NOT_BELIEVED = "clear_not_believed"
    REVISED = "revised_by_late_data"
    WITHDRAWN = "disproved_by_late_data"
    OLDER = "older_than_known"
    NO_ALERT = "no_open_alert"
    BY_OFFICER = "by_officer"
    ASSIGNED = "assigned"
    CONTROLLED = "controlled"
    ESCALATED = "escalated"
    REMINDED = "reminded"
    SILENCE_ENDED = "silence_ended"
    SUPPRESSED = "suppressed"
    ACK_EXPIRED = "acknowledgement_expired"
    VISIT_PLANNED = "visit_planned"
    VISIT_MOVED = "visit_moved"
    VISIT_DROPPED = "visit_dropped"
    VISIT_REPORTED = "visit_reported"
    VISIT_PASSED = "visit_passed"
    NORMAL_AGAIN = "telemetry_normal"
    INSPECTED = "inspected"
    PASSED = "inspection_passed"
    RECHECK_PASSED = "recheck_passed"
    HAZARD_FOUND = "hazard_found"
    FOUND_AT_THE_DOOR = "found_at_the_door"
    SUPPLY_CUT = "supply_cut"
    RECTIFIED = "hazards_rectified"
    HAZARDS_CLOSED = "hazards_closed"
    SEEN_SINCE = "seen_again_since_the_visit"


@dataclass(frozen=True, slots=True)
class Scope:
    """Which devices a rule looks at; an empty set restricts nothing. `devices` are codes of single devices."""

    device_kinds: frozenset[str] = frozenset()
    meter_classes: frozenset[str] = frozenset()
    user_classes: frozenset[str] = frozenset()
    areas: frozenset[str] = frozenset()
    devices: frozenset[str] = frozenset()

    def holds(self, device_kind: str, meter_class: str | None, user_class: str | None, area: str, device: str) -> bool:
        """Tell whether a device lies inside; an unknown class is never inside a restricted scope."""
        wanted = (
            (self.device_kinds, device_kind),
            (self.meter_classes, meter_class),
            (self.user_classes, user_class),
            (self.areas, area),
            (self.devices, device),
        )
        return all(not allowed or value in allowed for allowed, value in wanted)

    def shared(self, other: "Scope") -> dict[str, frozenset[str]] | None:
        """What both scopes name, by key, when a device may lie in both; None when none can."""
        found = {}
        for one in fields(Scope):
            mine, theirs = getattr(self, one.name), getattr(other, one.name)
            if mine and theirs and not mine & theirs:
                return None
            if mine and theirs:
                found[one.name] = mine & theirs
        return found


@dataclass(frozen=True, slots=True)
class Schedule:
    """The local hours in which a rule applies: weekdays (Monday is 0) and a time of day that may run past midnight."""

    zone: ZoneInfo
    weekdays: frozenset[int]
    from_time: time
    until_time: time


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry of the catalogue, checked.

    `parameters` carry their unit in the name. `severity` is the ladder's lowest rung; `severity_high` (where a kind has
    one) what the kind itself calls worse; `ladder` holds further rungs: thresholds of a finding's value, the mildest
    first. `clears` says who may end an alert: a person, or telemetry by itself; `clear_after_min` ends it after so long
    without recurrence. `hysteresis_pct`: how far back past its threshold the condition must go before it ends.
    `minimum_observed_min`: observed time for which it must hold. `repeat_reminder_min`: an open alert is brought to
    mind this often, without new data. `carved`: scopes of rules that override this one. `version` is the digest of
    `definition`, the entry with the defaults of its kind filled in.
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
    enabled: bool = True
    leak: bool = False
    ladder: tuple[tuple[float, str], ...] = ()
    worse: str = "higher"
    hysteresis_pct: float = 0.0
    minimum_observed_min: float = 0.0
    repeat_reminder_min: float | None = None
    clear_after_min: float | None = None
    schedule: Schedule | None = None
    overrides: tuple[str, ...] = ()
    carved: tuple[Scope, ...] = ()

    def __getitem__(self, name: str) -> float:
        """A parameter by name."""
        return self.parameters[name]

    def covers(
        self, device_kind: str, meter_class: str | None, user_class: str | None, area: str, device: str = ""
    ) -> bool:
        """Tell whether the rule looks at a device: inside its scope and in none of a rule that overrides it."""
        about = (device_kind, meter_class, user_class, area, device)
        return self.scope.holds(*about) and not any(scope.holds(*about) for scope in self.carved)

    def rung(self, value: float | None, severity: str | None = None) -> str:
        """The severity of a value: the highest rung it reaches, else `severity` (by default the rule's own)."""
        found = severity or self.severity
        for threshold, rung in self.ladder:
            reached = value is not None and (value >= threshold if self.worse == "higher" else value <= threshold)
            if reached and worse(rung, found):
                found = rung
        return found


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule found, in event time: an instant (`first_at == last_at`) or an interval.

    `ongoing`: the condition still holds at the end of what is known. `evidence` holds the exact samples. `late_event`:
    ingest marked the event itself as late. `observed_s`: how much of an interval was observed, None for an instant.
    `shown_at`: the first moment at which the samples show it, as soon as a watcher could have known; None: `last_at`.
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
    observed_s: float | None = None
    shown_at: datetime | None = None

    @property
    def known_at(self) -> datetime:
        """The first moment at which the samples show it."""
        return self.shown_at or self.last_at


@dataclass(frozen=True, slots=True)
class Cleared:
    """Telemetry stopped showing the condition at `at`; `believed` is False when the device may not know."""

    rule_id: str
    subject: str
    at: datetime
    believed: bool = True
    evidence: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Revised:
    """All findings of a rule about a subject since a moment, as the data now known have them.

    What an open alert of that time rests on is exactly these, whatever was found before late data came.
    """

    rule_id: str
    subject: str
    since: datetime | None
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class OfficerStep:
    """A person's step on an alert: acknowledge, control, dispatch, on_site, made_safe, verify or dismiss.

    `evidence`: what proves it, as rules/proof.py has it. `confirmed`: whether there was a true hazard, where they know.
    """

    step: str
    actor: str
    note: str | None = None
    cause: str | None = None
    evidence: tuple[Json, ...] = ()
    confirmed: bool | None = None


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
    """An alert as it stands; the fields are those of the table. `alert_id` is None until it is saved.

    `leak`: about gas in a room. `guarded`: its rule is about leaks: two persons are needed to silence it.
    `worst_severity`: the worst it ever had (None: what it has). `clock_at`: deadlines count from here: the raising, or
    for what is no leak when it first was this bad (None: `raised_at`). `needed_at`: since when an owner is needed.
    `owned_at`: when the present owner took it; an acknowledgement expires from there. `controlled_at`: the gas supply
    was shut off, which gives attendance more time. The moments of its stages are our clock's. `due_stage` and `due_at`:
    the earliest stage it waits for; `escalation`: levels told since that was missed; `wake_at`: when its clock must be
    looked at next (rules/clocks.py keeps these four). `quiet_until`: a notice was held back by a silence that ends
    then. `remind_min`: its rule wants it brought to mind this often, missed or not. `awaited_visit_id`, `awaited_from`,
    `awaited_to`: the planned visit that keeps its acknowledgement (rules/awaiting.py), arrival and leaving.
    `verify_by`: verification is not due before this, the deadline that somebody was given in writing
    (rules/hazards.py).
    """

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
    worst_severity: str | None = None
    leak: bool = False
    guarded: bool = False
    clock_at: datetime | None = None
    needed_at: datetime | None = None
    owned_at: datetime | None = None
    controlled_at: datetime | None = None
    notified_at: datetime | None = None
    acknowledged_at: datetime | None = None
    dispatched_at: datetime | None = None
    on_site_at: datetime | None = None
    made_safe_at: datetime | None = None
    due_stage: str | None = None
    due_at: datetime | None = None
    wake_at: datetime | None = None
    reminded_at: datetime | None = None
    quiet_until: datetime | None = None
    escalation: int = 0
    remind_min: float | None = None
    awaited_visit_id: int | None = None
    awaited_from: datetime | None = None
    awaited_to: datetime | None = None
    verify_by: datetime | None = None

    @property
    def worst(self) -> str:
        """The worst severity it ever had."""
        return self.worst_severity or self.severity

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
