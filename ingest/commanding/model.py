"""The words of commands: what is asked of a valve, how far it got and why, and what a device said since."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

Json = dict[str, Any]

IN_FLIGHT = ("requested", "approved", "sent")
ENDED = ("proved", "failed", "expired", "refused", "withdrawn")
POLICY = "policy"
DISPATCHER = "commands"


class Reason(StrEnum):
    """Why a command is where it is."""

    REQUESTED = "requested"
    CLOSE_NEEDS_ONE = "close_needs_one"
    SECOND_PERSON = "second_person"
    POLICY_CLOSE = "policy_close"
    DUE = "due"
    NO_ANSWER_YET = "no_answer_yet"
    BROKER_HAS_IT = "broker_has_it"
    NOBODY_LISTENS = "nobody_listens"
    BROKER_AWAY = "broker_away"
    SAYS_SO = "says_so"
    VALVE_THERE = "valve_there"
    CLOSED_AND_NO_FLOW = "closed_and_no_flow"
    FLOW_THROUGH_CLOSED_VALVE = "flow_through_closed_valve"
    MOVED_BACK = "moved_back"
    VALVE_FAULT = "valve_fault"
    NO_PROOF = "no_proof"
    SUPERSEDED = "superseded"
    NOT_SAFE = "not_safe"
    NOT_APPROVED_IN_TIME = "not_approved_in_time"
    NOT_SENT_IN_TIME = "not_sent_in_time"
    NO_ANSWER = "no_answer"
    BY_PERSON = "by_person"
    NOTHING = "nothing"


class NotAllowed(Exception):
    """A step that the state, the person or the place does not allow; the message is a sentence."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Times (seconds) and flow (litres an hour) by which a command is judged; see CommandParams."""

    close_valid_s: float = 90_000.0
    open_valid_s: float = 3600.0
    answer_grace_s: float = 600.0
    resend_min_s: float = 30.0
    resend_max_s: float = 1800.0
    settle_s: float = 60.0
    quiet_s: float = 120.0
    prove_grace_s: float = 3600.0
    flow_lh: float = 5.0
    auto_close_confirm_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Target:
    """The device a command is for, as far as judging it needs; volumes in millilitres, flow in litres an hour."""

    device_id: int
    family: str
    code: str
    kind: str
    area: str
    gateway: str
    gateway_area: str
    premises_id: int | None
    has_valve: bool
    qmin_lh: float | None
    pulse_ml: int | None
    expected_interval_s: int


@dataclass(frozen=True, slots=True)
class Command:
    """One row of `command`, without what only people read. `command_id` is None until it is saved."""

    command_id: int | None
    device_id: int
    valve: str
    state: str
    reason: Reason
    requested_by: str
    requested_at: datetime
    alert_id: int | None
    approved_by: str | None
    approved_at: datetime | None
    expires_at: datetime
    sent_at: datetime | None = None
    attempts: int = 0
    next_send_at: datetime | None = None
    answered_at: datetime | None = None
    prove_by: datetime | None = None
    ended_at: datetime | None = None

    @property
    def is_in_flight(self) -> bool:
        """Whether it keeps others from the device."""
        return self.state in IN_FLIGHT

    @property
    def position(self) -> str:
        """What the device says when the command is done: open or closed."""
        return "closed" if self.valve == "close" else "open"

    def changed(self, **values: Any) -> Self:
        """A copy with some fields changed."""
        return replace(self, **values)


@dataclass(frozen=True, slots=True)
class Step:
    """One row of the timeline."""

    step: str
    from_state: str | None
    to_state: str
    actor: str
    reason: Reason
    note: str | None = None
    evidence: Json | None = None


@dataclass(frozen=True, slots=True)
class Transition:
    """What a step makes of a command: the command after it, its rows of the timeline, whether to send it now."""

    command: Command
    reason: Reason
    steps: tuple[Step, ...] = ()
    send: bool = False


@dataclass(frozen=True, slots=True)
class Said:
    """A device's assertion about its valve at its own moment: open, closed or fault; `source` is event or status."""

    at: datetime
    valve: str
    source: str


@dataclass(frozen=True, slots=True)
class Sample:
    """What a meter counted at its own moment; None is unknown."""

    at: datetime
    index_ml: int | None
    flow_lh: float | None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What arrived from a device since a command was first sent; both in order of device time."""

    said: tuple[Said, ...] = ()
    samples: tuple[Sample, ...] = ()


@dataclass(frozen=True, slots=True)
class Hindrance:
    """An alert that keeps a valve from being opened.

    `closed_it`: a command closed the valve because of it. `passed`: the latest visit inside since then found nothing.
    `urgent`: it asks for a mandatory visit by itself.
    """

    alert_id: int
    rule_id: str
    state: str
    closed_it: bool
    urgent: bool
    passed: bool


@dataclass(frozen=True, slots=True)
class Leak:
    """A high-level leak alert at a home, as the automatic close looks at it."""

    alert_id: int
    high_since: datetime
    still_high: bool
    confirmed: bool
    detectors_high: int
