"""What HTTP says about working offline: the day's bundle, batches of outcomes, conflicts."""

from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field

from inspections.answers import ChecklistAnswer, OneRosterAnswer, OutcomeReceipt, OutcomeReport, Shape
from inspections.model import DutyKind

ConflictKind = Literal["unknown_visit", "moved", "already_reported", "client_id_reused", "roster_changed", "invalid"]
ConflictState = Literal["open", "recorded", "rejected"]


class BundleDuty(Shape):
    """Why a door is visited."""

    duty_id: int
    kind: DutyKind
    due_on: date
    mandatory: bool
    reason: str
    attempts: int
    hazard_id: int | None
    alert_id: int | None
    promised_from: datetime | None
    promised_to: datetime | None


class BundleHazard(Shape):
    """An open hazard of a door of the day."""

    premises: str
    hazard_id: int
    code: str
    grade: int
    found_at: datetime
    due_on: date
    note: str | None


class BundleHazardKind(Shape):
    """A hazard that may be found."""

    code: str
    title: str
    title_zh: str = Field(description="The title in Chinese, or that of the catalogue where it has none.")
    grade: int
    deadline_days: int


class BundleAnswer(Shape):
    """All that an inspector needs for the day without a network. Addresses and contacts are personal data."""

    base_version: int = Field(description="The roster version; send it back with each outcome.")
    roster: OneRosterAnswer
    duties: list[BundleDuty]
    hazards: list[BundleHazard]
    checklists: list[ChecklistAnswer]
    hazard_kinds: list[BundleHazardKind]
    hazards_digest: str = Field(description="Of the hazard catalogue: changes when it does.")


class OfflineOutcome(OutcomeReport):
    """An outcome reported offline."""

    visit_id: Annotated[int, Field(ge=1, le=2**63 - 1)]
    base_version: Annotated[int, Field(ge=1, le=2**31 - 1)] = Field(
        description="Of the bundle that the visit was made by."
    )


class BatchBody(Shape):
    """Outcomes in any order; each is judged by itself (`OfflineOutcome`), one at fault does not hold up the others."""

    items: list[dict[str, Any]] = Field(min_length=1, max_length=500)


class ItemReceipt(Shape):
    """What became of one item: recorded with its receipt, or kept as a conflict with its reason."""

    index: int
    client_id: UUID | None
    status: Literal["recorded", "conflict"]
    receipt: OutcomeReceipt | None = None
    conflict_id: int | None = None
    kind: ConflictKind | None = None
    field: str | None = None
    reason: str | None = None


class ConflictAnswer(Shape):
    """A report that could not be taken as it stands."""

    conflict_id: int
    client_id: UUID | None
    visit_id: int | None
    area: str | None
    kind: ConflictKind
    field: str | None
    reason: str
    item: dict[str, Any]
    base_version: int | None
    outcome_id: int | None
    state: ConflictState
    received_at: datetime
    actor: str
    settled_at: datetime | None
    settled_by: str | None
    settled_note: str | None


class ConflictPage(Shape):
    """A page of conflicts."""

    items: list[ConflictAnswer]
    next: int | None


class ConflictQuery(Shape):
    """Which conflicts."""

    state: ConflictState = "open"
    after: int = Field(0, ge=0, le=2**63 - 1, description="Cursor: `next` of the page before.")
    limit: int = Field(50, ge=1, le=500)


class SettleBody(Shape):
    """`record`: take the report as it was sent, now; `reject`: it will not be taken. Both say why."""

    decision: Literal["record", "reject"]
    note: str = Field(min_length=1, max_length=2000)
