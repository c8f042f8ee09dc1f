"""What the routes of notices and contacts take and give: pydantic models, nothing else."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Language = Literal["en", "zh"]
Severity = Literal["critical", "major", "minor", "info"]


class NoticeRow(BaseModel):
    """One notice of an alert, and what became of it."""

    notice_id: int
    purpose: str
    level: int
    account: str
    channel: str | None
    contact: str | None
    state: str
    reason: str | None
    requested_at: datetime
    deadline_at: datetime
    handed_over_at: datetime | None
    failed_at: datetime | None
    not_needed_at: datetime | None
    attempts: int
    last_error: str | None
    follows: int | None


class PageRow(BaseModel):
    """One page of an alert: whom it was for, and how they were chosen."""

    page_id: int
    purpose: str
    level: int
    requested_at: datetime
    resolved_at: datetime | None
    recipients: str | None
    reason: str | None


class AlertNotices(BaseModel):
    """Who was told of an alert, oldest first."""

    pages: list[PageRow]
    notices: list[NoticeRow]


class ContactBody(BaseModel):
    """A new contact. `address` is an Apprise URL; it is sealed and never shown again."""

    model_config = ConfigDict(extra="forbid")

    address: Annotated[
        str, Field(min_length=3, max_length=2000, description="mailto://..., wecombot://..., jsons://...")
    ]
    language: Language = "zh"
    severity_min: Annotated[Severity, Field(description="no notices of alerts below this")] = "minor"
    position: Annotated[int | None, Field(ge=1, le=100, description="1 is tried first; unset: last")] = None


class ContactChange(BaseModel):
    """What is to change; what is not given stays."""

    model_config = ConfigDict(extra="forbid")

    language: Language | None = None
    severity_min: Severity | None = None
    position: Annotated[int | None, Field(ge=1, le=100)] = None
    enabled: bool | None = None


class ContactRow(BaseModel):
    """One contact; its address is masked. `failures`: attempts that failed since one last succeeded."""

    contact_id: int
    account: str
    channel: str
    shown: str
    language: str
    position: int
    severity_min: str
    enabled: bool
    added_at: datetime
    added_by: str
    failures: int
    failing_since: datetime | None
    last_error: str | None
    last_handed_over_at: datetime | None


class ContactTested(BaseModel):
    """What a test message met."""

    contact_id: int
    handed_over: bool
    error: str | None
    seconds: float
