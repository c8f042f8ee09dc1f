"""What HTTP says about requests, cases and enforcement: the shapes of bodies and answers."""

from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, Field

from inspections.answers import Limit, Shape
from inspections.cases import CaseState, CaseStep
from inspections.requests import Channel, RequestState, RequestStep

Text = Annotated[str, Field(min_length=1, max_length=4000)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CURSOR = Field(None, pattern=r"^\d{1,17}_\d{1,18}$", description="Cursor: `next` of the page before.")


def read_cursor(after: str | None) -> tuple[datetime | None, int | None]:
    """The moment and id after which a page begins."""
    if after is None:
        return None, None
    at_us, _, row_id = after.partition("_")
    return _EPOCH + timedelta(microseconds=int(at_us)), int(row_id)


def write_cursor(at: datetime, row_id: int) -> str:
    """The cursor of the page after a row."""
    return f"{(at - _EPOCH) // timedelta(microseconds=1)}_{row_id}"


class RequestBody(Shape):
    """What a resident or a patrol asks for. Text and contact are personal data."""

    client_id: UUID = Field(description="The caller's own; the same request again is recorded once.")
    channel: Channel
    category: str = Field(max_length=32)
    body: Text
    premises: str | None = Field(None, max_length=64, description="The door, when it is known; else `area`.")
    area: str | None = Field(None, max_length=64)
    contact_name: Name | None = None
    contact_phone: str | None = Field(None, max_length=40)
    received_at: AwareDatetime | None = Field(None, description="When the resident asked; default: now.")


class RequestRow(Shape):
    """A request in a list: no personal data."""

    request_id: int
    premises: str | None
    area: str
    channel: str
    category: str
    state: str
    received_at: datetime
    reply_by: datetime
    settle_by: datetime
    owner: str | None
    replied_at: datetime | None
    closed_at: datetime | None
    rating: int | None
    call_by: datetime | None
    reminders: int
    case_id: int | None
    overdue: str | None = Field(description="Which deadline has passed unmet; null: none.")


class TimelineStep(Shape):
    """One step of a timeline."""

    at: datetime
    step: str
    actor: str
    note: str | None


class RequestWhole(RequestRow):
    """One request with everything said. Text, contact and notes are personal data."""

    body: str
    contact_name: str | None
    contact_phone: str | None
    reply: str | None
    recorded_at: datetime
    recorded_by: str
    duty_ids: list[int]
    timeline: list[TimelineStep]


class RequestPage(Shape):
    """A page of requests, newest first."""

    items: list[RequestRow]
    next: str | None


class PageQuery(Shape):
    """What every list here takes."""

    overdue: bool = Field(default=False, description="Only those with a deadline that has passed unmet.")
    after: str | None = _CURSOR
    limit: Limit = 50


class RequestQuery(PageQuery):
    """Which requests."""

    state: tuple[RequestState, ...] = ()
    category: str | None = None
    channel: Channel | None = None
    premises: str | None = Field(None, description="Those of one door.")
    owner: str | None = Field(None, description="Those that somebody takes care of.")


class RequestStepBody(Shape):
    """A step on a request."""

    step: RequestStep
    note: Text | None = None
    owner: Name | None = None
    rating: int | None = Field(None, ge=1, le=5)
    premises: str | None = Field(None, max_length=64, description="door: the door that it is about.")


class FiguresQuery(Shape):
    """Figures of what arrived in a span of time."""

    since: AwareDatetime
    until: AwareDatetime


class RequestFigures(Shape):
    """One channel and category. A rate is null when nothing is due yet."""

    channel: str
    category: str
    received: int
    withdrawn: int
    replied: int
    replied_in_time: int
    reply_due: int
    closed: int
    closed_in_time: int
    settlement_due: int
    mean_rating: float | None
    reply_on_time_rate: float | None
    settled_on_time_rate: float | None
    closure_rate: float | None


class CategoryAnswer(Shape):
    """A category of requests, and what it asks for."""

    code: str
    title: str
    reply_minutes: int
    settle_hours: int
    visit: str
    source: str


class CaseKindAnswer(Shape):
    """A kind of cases: days from the opening until a plan stands, the end, and each level hears of it."""

    code: str
    title: str
    plan_days: int
    close_days: int
    escalate_days: tuple[int, int, int]
    source: str


class CaseBody(Shape):
    """A case to open, for a door or a district, perhaps out of a request."""

    kind: str = Field(max_length=32)
    title: Text
    premises: str | None = Field(None, max_length=64)
    area: str | None = Field(None, max_length=64)
    request_id: int | None = None


class CaseRow(Shape):
    """A case in a list."""

    case_id: int
    kind: str
    premises: str | None
    area: str
    hazard_id: int | None
    title: str
    state: str
    opened_at: datetime
    plan_by: datetime
    close_by: datetime
    owner: str | None
    supervised: bool
    level: int
    planned_at: datetime | None
    closed_at: datetime | None
    overdue: str | None = Field(description="Which deadline has passed unmet, plan or closing; null: none.")


class CaseWhole(CaseRow):
    """One case with its plan, its timeline and how it ended."""

    opened_by: str
    plan: str | None
    result: str | None
    request_ids: list[int]
    timeline: list[TimelineStep]


class CasePage(Shape):
    """A page of cases, newest first."""

    items: list[CaseRow]
    next: str | None


class CaseQuery(PageQuery):
    """Which cases."""

    state: tuple[CaseState, ...] = ()
    kind: str | None = None
    supervised: bool | None = None
    premises: str | None = Field(None, description="Those of one door.")
    owner: str | None = Field(None, description="Those that somebody takes care of.")


class CaseStepBody(Shape):
    """A step on a case."""

    step: CaseStep
    note: Text | None = None
    owner: Name | None = None


class CaseFigures(Shape):
    """One kind. A rate is null when nothing is due yet."""

    kind: str
    opened: int
    planned_in_time: int
    plan_due: int
    closed: int
    closed_in_time: int
    closing_due: int
    escalated: int
    supervised: int
    closed_on_time_rate: float | None
    closure_rate: float | None


class EnforcementBody(Shape):
    """An order or a penalty against a business."""

    client_id: UUID
    premises: str = Field(max_length=64)
    hazard_id: int | None = None
    kind: Literal["order", "penalty"]
    authority: Name
    reference: Name
    issued_on: date
    due_on: date
    amount_fen: int | None = Field(None, gt=0, le=10**14, description="Of a penalty, in fen (1/100 yuan).")
    text: Text


class EnforcementRow(Shape):
    """A record of enforcement."""

    enforcement_id: int
    premises: str
    area: str
    hazard_id: int | None
    kind: str
    authority: str
    reference: str
    issued_on: date
    due_on: date
    amount_fen: int | None
    text: str
    state: str
    ended_on: date | None
    ended_note: str | None


class EnforcementQuery(Shape):
    """Which records."""

    premises: str | None = None
    state: Literal["open", "complied", "revoked"] | None = None
    overdue: bool = False
    after: int | None = Field(None, ge=0, description="Cursor: `next` of the page before.")
    limit: Limit = 50


class EnforcementPage(Shape):
    """A page of records, newest first."""

    items: list[EnforcementRow]
    next: int | None


class EnforcementEnd(Shape):
    """How a record ended."""

    state: Literal["complied", "revoked"]
    ended_on: date
    note: Text


class EnforcementFiguresQuery(Shape):
    """Figures of what was issued from one day up to and including another."""

    since: date
    until: date


class EnforcementFigures(Shape):
    """Orders or penalties against one user class. A rate is null when nothing is due yet."""

    user_class: str
    kind: str
    issued: int
    complied: int
    complied_in_time: int
    revoked: int
    overdue: int
    amount_fen: int
    paid_fen: int
    complied_on_time_rate: float | None = Field(description="complied_in_time / (complied + overdue)")
    closure_rate: float | None = Field(description="(complied + revoked) / issued")
