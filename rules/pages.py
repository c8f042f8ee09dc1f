"""What the alert routes take and give: pydantic models, nothing else. Pure."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from rules.model import CLOSED_STATES, OPEN_STATES

StateWord = Literal[
    "open", "closed", "unacknowledged", "acknowledged", "dispatched", "on_site", "made_safe", "verified", "dismissed"
]


SeverityWord = Literal["critical", "major", "minor", "info"]


def states_of(words: tuple[StateWord, ...]) -> list[str] | None:
    """States that filter words stand for: `open` and `closed` are groups, `unacknowledged` is the first state alone."""
    groups = {"open": OPEN_STATES, "closed": CLOSED_STATES, "unacknowledged": ("open",)}
    return sorted({state for word in words for state in groups.get(word, (word,))}) or None


class AlertQuery(BaseModel):
    """Which alerts, newest first."""

    model_config = ConfigDict(extra="forbid")

    state: Annotated[tuple[StateWord, ...], Field(description="open and closed are groups of states")] = ()
    severity: tuple[SeverityWord, ...] = ()
    area: Annotated[tuple[str, ...], Field(description="district codes")] = ()
    rule: Annotated[str | None, Field(description="rule id")] = None
    owner: Annotated[str | None, Field(max_length=64, description="account that owns them")] = None
    unowned: Annotated[bool | None, Field(description="with or without an owner")] = None
    overdue: Annotated[bool | None, Field(description="true: a deadline of theirs is missed; false: none is")] = None
    older_than_min: Annotated[float | None, Field(ge=0, description="raised at least so many minutes ago")] = None
    since: Annotated[AwareDatetime | None, Field(description="raised at or after")] = None
    until: Annotated[AwareDatetime | None, Field(description="raised before")] = None
    late: Annotated[bool | None, Field(description="found in late data")] = None
    text: Annotated[str | None, Field(max_length=100, description="part of the sentence, or a device or door code")] = (
        None
    )
    after: Annotated[int | None, Field(description="the `next` of the page before")] = None
    limit: Annotated[int, Field(ge=1, le=500)] = 50


class StageRow(BaseModel):
    """A stage of the leak-to-safe clock; `late`: it came after its deadline, `skipped`: it never came and is past."""

    stage: Literal["notified", "acknowledged", "dispatched", "on_site", "made_safe", "verified"]
    due_at: datetime
    at: datetime | None
    standing: Literal["on_time", "late", "pending", "overdue", "skipped"]


class AlertRow(BaseModel):
    """One alert in a list; no personal data."""

    alert_id: int
    rule_id: str
    subject: str
    area: str
    severity: str
    worst_severity: str
    state: str
    firing: bool
    late: bool
    leak: bool
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
    compound: Annotated[str | None, Field(description="of an alert about a whole compound")]
    district: Annotated[str | None, Field(description="of an alert about a whole district")]
    latitude: float | None
    longitude: float | None
    due_stage: str | None
    due_at: datetime | None
    overdue: bool
    escalation: Annotated[int, Field(description="levels told since the deadline was missed")]
    awaited_visit_id: Annotated[int | None, Field(description="the planned visit that keeps its acknowledgement")]
    awaited_from: Annotated[datetime | None, Field(description="when that visit is to arrive")]
    awaited_to: Annotated[datetime | None, Field(description="when it is to leave")]
    silenced: Annotated[str | None, Field(description="who keeps its notices back, until when and why")]
    clock: list[StageRow]


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


class SilenceRow(BaseModel):
    """A silence over alerts. A leak is silenced only where `leaks` is set and a second person approved."""

    silence_id: int
    kind: Literal["silence", "maintenance"]
    from_at: datetime
    until_at: datetime
    author: str
    reason: str
    leaks: bool
    approved_by: str | None


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
    regime: Annotated[str, Field(description="name of the regime the clock goes by")]
    telemetry: Annotated[Any, Field(description="made safe: how long stored readings have been normal since")] = None
    controlled_at: Annotated[datetime | None, Field(description="the gas supply was shut off")]
    silences: Annotated[list[SilenceRow], Field(description="silences that cover it, active or not yet")]
    timeline: list[TimelineRow]
    readings: list[ReadingRow]
    episodes: list[EpisodeRow]


class InstrumentProof(BaseModel):
    """What somebody measured. Methane counts as proof below 1 %LEL (500 ppm), carbon monoxide below 9 ppm."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["instrument"]
    instrument: Annotated[str, Field(min_length=1, max_length=200, description="which instrument, e.g. its number")]
    value: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    unit: Literal["%LEL", "ppm", "%vol", "Pa", "L/h"]
    gas: Annotated[
        Literal["methane", "co"] | None,
        Field(description="of a concentration, methane unless said; an alert about carbon monoxide needs `co`, in ppm"),
    ] = None

    @model_validator(mode="after")
    def _co_in_ppm(self) -> "InstrumentProof":
        if self.gas == "co" and self.unit != "ppm":
            raise ValueError("carbon monoxide is measured in ppm")
        return self


class PhotoProof(BaseModel):
    """A photo, by the id it is stored under."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["photo"]
    photo_id: Annotated[str, Field(min_length=1, max_length=200)]


class TelemetryProof(BaseModel):
    """So many minutes of normal readings since the last finding: looked up in what is stored, refused when not so."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["telemetry"]
    minutes: Annotated[float | None, Field(ge=1, le=43_200, description="not less than the regime asks for")] = None


class InspectionProof(BaseModel):
    """A visit's outcome: it passed, at this place, after the last finding."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["inspection"]
    outcome_id: Annotated[int, Field(ge=1, le=2**63 - 1)]


Proof = Annotated[InstrumentProof | PhotoProof | TelemetryProof | InspectionProof, Field(discriminator="kind")]
StepWord = Literal["acknowledge", "control", "dispatch", "on_site", "made_safe", "verify", "dismiss"]


class StepBody(BaseModel):
    """An officer's step.

    verify needs `evidence` where the rule asks for a person; dismiss needs `cause`; control (the supply is shut off)
    needs `note`.
    """

    model_config = ConfigDict(extra="forbid")

    step: StepWord
    note: Annotated[str | None, Field(max_length=2000)] = None
    cause: Annotated[str | None, Field(max_length=64)] = None
    evidence: Annotated[tuple[Proof, ...], Field(max_length=20)] = ()
    confirmed: Annotated[
        bool | None, Field(description="with verify: there was a true hazard, or there was none; labels the rule")
    ] = None


class AcknowledgeBody(BaseModel):
    """Alerts to acknowledge at once."""

    model_config = ConfigDict(extra="forbid")

    alert_ids: Annotated[tuple[Annotated[int, Field(ge=1, le=2**63 - 1)], ...], Field(min_length=1, max_length=1000)]
    note: Annotated[str | None, Field(max_length=2000)] = None


class Acknowledged(BaseModel):
    """What became of each alert of a bulk acknowledgement; `refused` says why, by alert id."""

    acknowledged: list[int]
    refused: dict[int, str]


class OwnerBody(BaseModel):
    """Who is to have an alert."""

    model_config = ConfigDict(extra="forbid")

    owner: Annotated[str, Field(min_length=1, max_length=64, description="an officer's or administrator's account")]
    note: Annotated[str | None, Field(max_length=2000)] = None


class StepDone(BaseModel):
    """The alert after a step."""

    alert_id: int
    state: str
    owner: str | None
    due_stage: str | None
    due_at: datetime | None
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
    """Where the stream goes on: the id of the last event, or a step id; the header Last-Event-ID comes first."""

    model_config = ConfigDict(extra="forbid")

    after: Annotated[str | None, Field(max_length=4000)] = None
