"""What the silence routes take and give: pydantic models, nothing else. Pure."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from rules.silences import LEAK_SILENCE_MAX, SILENCE_MAX


class SilenceBody(BaseModel):
    """A silence to be: whose notices are kept back (all that is named must fit), from when until when, and why.

    With `leaks` it covers leak alerts, too, once a second person has approved it; it then lasts a day at most.
    """

    model_config = ConfigDict(extra="forbid")

    kind: Literal["silence", "maintenance"] = "silence"
    rule: Annotated[str | None, Field(max_length=64, description="rule id")] = None
    area: Annotated[str | None, Field(max_length=64, description="district code; those below it count")] = None
    device_id: Annotated[int | None, Field(ge=1, le=2**31 - 1)] = None
    subject: Annotated[str | None, Field(pattern=r"^(device|premises|building|gateway):[1-9]\d{0,8}$")] = None
    from_at: Annotated[AwareDatetime | None, Field(description="default: now")] = None
    until_at: AwareDatetime
    reason: Annotated[str, Field(min_length=1, max_length=500, pattern=r"\S")]
    leaks: bool = False

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        if self.rule is None and self.area is None and self.device_id is None and self.subject is None:
            raise ValueError("names nothing: give rule, area, device_id or subject")
        return self

    def fault(self, now: datetime) -> str | None:
        """Why it cannot be taken, as a sentence; None when it can."""
        from_at = self.from_at or now
        if self.until_at <= max(from_at, now):
            return "until_at: lies before its beginning, or in the past"
        if self.until_at - from_at > (LEAK_SILENCE_MAX if self.leaks else SILENCE_MAX):
            return "until_at: a silence of leaks lasts 24 hours at most, any other 90 days"
        return None


class SilenceQuery(BaseModel):
    """Which silences, newest first."""

    model_config = ConfigDict(extra="forbid")

    all: Annotated[bool, Field(description="also those that are over")] = False
    after: Annotated[int | None, Field(description="the `next` of the page before")] = None
    limit: Annotated[int, Field(ge=1, le=500)] = 50


class SilenceWhole(BaseModel):
    """A silence with its scope and the persons behind it."""

    silence_id: int
    kind: Literal["silence", "maintenance"]
    rule_id: str | None
    area: str | None
    device_id: int | None
    device: str | None
    subject: str | None
    from_at: datetime
    until_at: datetime
    reason: str
    author: str
    created_at: datetime
    leaks: bool
    approved_by: str | None
    approved_at: datetime | None
    ended_by: str | None
    ended_at: datetime | None


class SilencePage(BaseModel):
    """A page of silences; `next` is the `after` of the following page, null at the end."""

    items: list[SilenceWhole]
    next: int | None
