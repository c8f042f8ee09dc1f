"""What HTTP says about inspections: the shapes of requests and answers."""

from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, FiniteFloat, StrictBool, field_validator

from inspections.model import Constraint, DutyKind, Result, UserClass

Limit = Annotated[int, Field(ge=1, le=500, description="Most items of this page.")]

ItemCode = Annotated[str, Field(min_length=1, max_length=64)]


class Shape(BaseModel):
    """A request or answer; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class VisitAnswer(Shape):
    """One visit of a roster. Address and contact are personal data."""

    visit_id: int
    position: int
    arrive_at: datetime
    leave_at: datetime
    travel_s: int
    mandatory: bool
    chance: float | None = Field(description="Expected chance to get in at that time; null: not reckoned.")
    promised_from: datetime | None
    promised_to: datetime | None
    reasons: list[str]
    premises: str
    address: str
    unit: str
    floor: int | None
    user_class: str
    contact_name: str | None
    contact_phone: str | None
    building: str
    compound: str
    area: str
    latitude: float
    longitude: float
    result: str | None = Field(description="What was reported so far; null: nothing yet.")
    duty_ids: list[int]
    alert_ids: list[int]


class RosterAnswer(Shape):
    """The day of one inspector, visits in order."""

    inspector: str
    name: str
    area: str
    leave_at: datetime
    return_at: datetime
    break_start_at: datetime | None
    break_end_at: datetime | None
    travel_s: int
    visits: list[VisitAnswer]


class RunAnswer(Shape):
    """One planning of a day: the newest version is the one in force."""

    day: date
    version: int
    planned_at: datetime
    seed: int
    solver: str
    figures: dict[str, Any]


class DayAnswer(RunAnswer):
    """Every roster of a day."""

    rosters: list[RosterAnswer]


class OneRosterAnswer(RosterAnswer):
    """The roster of one inspector with the version it belongs to."""

    day: date
    version: int
    planned_at: datetime


class RosterQuery(Shape):
    """How one roster is wanted."""

    format: Literal["json", "csv", "geojson", "ical", "pdf"] = "json"
    language: Literal["en", "zh", "both"] = Field("both", description="Of a PDF or calendar: labels and reasons.")


class OmissionAnswer(Shape):
    """A door left out: the constraint that binds, in words, and what forcing it in would cost."""

    premises: str
    area: str
    constraint: Constraint
    reason: str
    price: dict[str, Any]


class OmissionPage(Shape):
    """A page of omissions."""

    items: list[OmissionAnswer]
    next: str | None


class OmissionQuery(Shape):
    """Which omissions."""

    constraint: Constraint | None = None
    after: str | None = Field(None, description="Cursor: `next` of the page before.")
    limit: Limit = 50


class HazardReport(Shape):
    """A hazard found at the door."""

    code: str = Field(min_length=1, max_length=64, description="A code of the hazard catalogue.")
    note: str | None = Field(None, max_length=2000)


class InstrumentReading(Shape):
    """What an instrument showed at the door."""

    value: FiniteFloat
    unit: str = Field(min_length=1, max_length=16)
    instrument: str = Field(min_length=1, max_length=64, description="The instrument's own number.")


class Position(Shape):
    """Where the report was made, degrees and metres."""

    latitude: float = Field(ge=-90, le=90)
    longitude: float = Field(ge=-180, le=180)
    accuracy_m: float | None = Field(None, ge=0, le=100_000)


class EvidenceMention(Shape):
    """A file of the visit, uploaded before or after the report, by its own client id."""

    client_id: UUID
    kind: Literal["photo", "signature", "document"]


class OutcomeReport(Shape):
    """What happened at the door. Send it again unchanged, with the same client_id, until a receipt comes."""

    client_id: UUID = Field(description="Made by the client for this report; makes a repeat harmless.")
    result: Result
    at: AwareDatetime = Field(description="When at the door, by the inspector's clock.")
    hazards: list[HazardReport] = Field(default=[], max_length=50)
    note: str | None = Field(None, max_length=4000)
    answers: dict[ItemCode, StrictBool | FiniteFloat | Literal["not_seen", "not_applicable"]] | None = Field(
        None, max_length=200, description="The checklist by item code; hazards follow from the answers."
    )
    unseen: list[Annotated[str, Field(min_length=1, max_length=200)]] = Field(
        default=[], max_length=50, description="partial: the rooms, appliances or items that were not seen."
    )
    readings: list[InstrumentReading] = Field(default=[], max_length=50)
    position: Position | None = None
    evidence: list[EvidenceMention] = Field(default=[], max_length=100)
    notice_card: str | None = Field(
        None, pattern=r"^[0-9A-Z]{6,16}$", description="The number of the notice card that was left."
    )

    @field_validator("note")
    @classmethod
    def _storable(cls, note: str | None) -> str | None:
        if note is not None and "\x00" in note:
            raise ValueError("a note holds no NUL character")
        return note


class HazardReceipt(Shape):
    """A hazard as recorded."""

    hazard_id: int
    code: str
    grade: int
    due_on: date


class NextAttemptAnswer(Shape):
    """When to try again: not before a day, best between two local hours, and why."""

    not_before: date
    from_hour: int
    to_hour: int
    chance: float
    reason: str


class FollowUp(Shape):
    """What a report led to: which attempt in a row it was, the next one, cases opened, and what the report lacks."""

    attempt: int | None = None
    next_attempt: NextAttemptAnswer | None = None
    case_ids: list[int] = []
    lacking: list[str] = []


class OutcomeReceipt(Shape):
    """The answer to a report; the same for every repeat of it. Visited and entered are different facts."""

    outcome_id: int
    client_id: UUID
    visit_id: int
    premises: str
    result: Result
    entered: bool
    at: datetime
    received_at: datetime
    duties_done: list[int]
    hazards: list[HazardReceipt]
    hazards_closed: list[int]
    checklist_version: str | None
    unseen: list[str]
    follow_up: FollowUp = Field(description="What was decided beside, at the moment of the report.")


class ChecklistItem(Shape):
    """A question to ask at the door."""

    code: str
    en: str
    zh: str
    kind: Literal["yes_no", "number"]
    unit: str | None
    mandatory: bool
    hazard: str | None = Field(description="The hazard that an answer may mean.")
    hazard_if: Literal["yes", "no"] | None
    above: float | None
    below: float | None
    source: str


class ChecklistAnswer(Shape):
    """The questions of a user class, in order."""

    user_class: UserClass
    version: str
    items: list[ChecklistItem]


class DutyAnswer(Shape):
    """A duty of a door."""

    duty_id: int
    kind: DutyKind
    state: str
    due_on: date
    not_before: date | None
    mandatory: bool
    reason: str
    attempts: int
    last_attempt_at: datetime | None
    alert_id: int | None
    hazard_id: int | None
    promised_from: datetime | None = Field(description="The window somebody was told; null: none.")
    promised_to: datetime | None
    created_at: datetime
    closed_at: datetime | None
    outcome_id: int | None


class ListedDuty(DutyAnswer):
    """A duty with its door."""

    premises: str
    area: str


class DutyPage(Shape):
    """A page of duties."""

    items: list[ListedDuty]
    next: str | None


class DutyQuery(Shape):
    """Which duties, by due day."""

    state: Literal["open", "done", "cancelled"] = "open"
    kind: DutyKind | None = None
    due_by: date | None = None
    after: str | None = Field(
        None, pattern=r"^\d{4}-\d{2}-\d{2}_\d{1,18}$", description="Cursor: `next` of the page before."
    )
    limit: Limit = 50

    @field_validator("after")
    @classmethod
    def _a_day(cls, after: str | None) -> str | None:
        if after is not None:
            date.fromisoformat(after.partition("_")[0])
        return after

    def cursor(self) -> tuple[date, int] | None:
        """The due day and duty after which the page begins."""
        if self.after is None:
            return None
        day, _, duty_id = self.after.partition("_")
        return date.fromisoformat(day), int(duty_id)


class VisitRecord(Shape):
    """A visit to a door, planned or made."""

    visit_id: int
    day: date
    version: int
    inspector: str
    arrive_at: datetime
    leave_at: datetime
    reasons: list[str]
    outcome_id: int | None
    result: str | None
    entered: bool | None
    at: datetime | None
    note: str | None


class HazardRecord(Shape):
    """A hazard of a door."""

    hazard_id: int
    code: str
    grade: int
    found_at: datetime
    due_on: date
    state: str
    note: str | None
    closed_at: datetime | None
    outcome_id: int


class AlertRecord(Shape):
    """An alert of a door."""

    alert_id: int
    rule_id: str
    severity: str
    state: str
    late: bool
    sentence: str
    first_at: datetime
    last_at: datetime
    raised_at: datetime
    closed_at: datetime | None
    confirmed: bool | None


class PremisesAnswer(Shape):
    """A door and its history, newest first, at most 200 of each. Address and contact are personal data."""

    code: str
    building: str
    compound: str
    area: str
    unit: str
    floor: int | None
    address: str
    latitude: float
    longitude: float
    user_class: str
    built_year: int | None
    tenure: str | None
    elderly: bool | None
    special_care: bool | None
    appliances: list[str] | None
    hose_installed_on: date | None
    pipe_installed_on: date | None
    last_entered_on: date | None
    contact_name: str | None
    contact_phone: str | None
    duties: list[DutyAnswer]
    visits: list[VisitRecord]
    hazards: list[HazardRecord]
    alerts: list[AlertRecord]
