"""What the alert routes take and give: pydantic models, nothing else."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from rules.model import CLOSED_STATES, OPEN_STATES

StateWord = Literal[
    "open", "closed", "unacknowledged", "acknowledged", "dispatched", "on_site", "made_safe", "verified", "dismissed"
]


def states_of(words: tuple[StateWord, ...]) -> list[str] | None:
    """States that filter words stand for: `open` and `closed` are groups, `unacknowledged` is the first state alone."""
    groups = {"open": OPEN_STATES, "closed": CLOSED_STATES, "unacknowledged": ("open",)}
    return sorted({state for word in words for state in groups.get(word, (word,))}) or None


class AlertQuery(BaseModel):
    """Which alerts, newest first."""

    model_config = ConfigDict(extra="forbid")

    state: Annotated[tuple[StateWord, ...], Field(description="open and closed are groups of states")] = ()
    severity: tuple[Literal["critical", "major", "minor", "info"], ...] = ()
    area: Annotated[tuple[str, ...], Field(description="district codes")] = ()
    rule: Annotated[str | None, Field(description="rule id")] = None
    since: Annotated[AwareDatetime | None, Field(description="raised at or after")] = None
    until: Annotated[AwareDatetime | None, Field(description="raised before")] = None
    late: Annotated[bool | None, Field(description="found in late data")] = None
    text: Annotated[str | None, Field(max_length=100, description="part of the sentence, or a device or door code")] = (
        None
    )
    after: Annotated[int | None, Field(description="the `next` of the page before")] = None
    limit: Annotated[int, Field(ge=1, le=500)] = 50


class AlertRow(BaseModel):
    """One alert in a list; no personal data."""

    alert_id: int
    rule_id: str
    subject: str
    area: str
    severity: str
    state: str
    firing: bool
    late: bool
    sentence: str
    first_at: datetime
    last_at: datetime
    raised_at: datetime
    unit: str | None
    last_value: float | None
    worst_value: float | None
    count: int
    visit: str
    owner: str | None
    confirmed: bool | None
    episode: int
    device: str | None
    premises: str | None
    building: str | None
    gateway: str | None


class AlertPage(BaseModel):
    """A page of alerts; `next` is the `after` of the following page, null at the end."""

    items: list[AlertRow]
    next: int | None


class TimelineRow(BaseModel):
    """One step of an alert's life."""

    step_id: int
    at: datetime
    step: str
    from_state: str | None
    to_state: str
    actor: str
    reason: str
    note: str | None
    evidence: Any = None


class ReadingRow(BaseModel):
    """A reading around the alert; null is unknown."""

    at: datetime
    index_ml: int | None
    flow_lh: float | None
    pressure_pa: int | None
    lel_pct: float | None
    status: int | None
    flags: int


class EpisodeRow(BaseModel):
    """Another episode of the same rule and subject."""

    alert_id: int
    episode: int
    state: str
    severity: str
    raised_at: datetime
    closed_at: datetime | None
    cause: str | None
    confirmed: bool | None


class Door(BaseModel):
    """Where it is. Address and contact are personal data: null for inspectors, every look is audited."""

    premises: str | None
    unit: str | None
    user_class: str | None
    address: str | None
    contact_name: str | None
    contact_phone: str | None
    building: str | None
    building_name: str | None
    latitude: float | None
    longitude: float | None


class AlertWhole(AlertRow):
    """One alert with everything about it."""

    rule_version: str
    rule_title: str | None
    what_to_do: str | None
    first_value: float | None
    cleared_at: datetime | None
    closed_at: datetime | None
    cause: str | None
    evidence: Any
    device_model: str | None
    meter_class: str | None
    door: Door
    allowed: str
    timeline: list[TimelineRow]
    readings: list[ReadingRow]
    episodes: list[EpisodeRow]


class StepBody(BaseModel):
    """An officer's step. verify needs `evidence` where the rule asks for a person; dismiss needs `cause`."""

    model_config = ConfigDict(extra="forbid")

    step: Literal["acknowledge", "dispatch", "on_site", "made_safe", "verify", "dismiss"]
    note: Annotated[str | None, Field(max_length=2000)] = None
    cause: Annotated[str | None, Field(max_length=64)] = None
    evidence: Annotated[str | None, Field(max_length=2000)] = None


class StepDone(BaseModel):
    """The alert after a step."""

    alert_id: int
    state: str
    owner: str | None
    closed_at: datetime | None
    allowed: str


class RuleVersion(BaseModel):
    """A version of a rule that has fired."""

    version: str
    first_used_at: datetime


class RuleFailing(BaseModel):
    """Since when a rule stands still, how often it broke off, and why."""

    first_at: datetime
    last_at: datetime
    failures: int
    error: str


class RuleEntry(BaseModel):
    """A rule of the catalogue, word for word, the versions of it that have fired, and whether it stands still."""

    rule_id: str
    kind: str
    family: str
    version: str
    definition: dict[str, Any]
    versions: list[RuleVersion]
    failing: RuleFailing | None = None


class StreamQuery(BaseModel):
    """Where the stream goes on: the step id after which to send; the header Last-Event-ID comes first."""

    model_config = ConfigDict(extra="forbid")

    after: Annotated[int | None, Field(ge=0)] = None
