"""What the routes of the rota take and give: pydantic models, nothing else."""

from datetime import date, datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field


class ShiftBody(BaseModel):
    """A shift to be planned. `areas` unset: the whole city; a district stands for all below it."""

    model_config = ConfigDict(extra="forbid")

    account: str
    level: Annotated[int, Field(ge=1, le=9, description="1 is told first")] = 1
    areas: Annotated[list[str] | None, Field(min_length=1, max_length=500)] = None
    starts_at: AwareDatetime
    ends_at: AwareDatetime
    note: Annotated[str | None, Field(max_length=2000)] = None


class RotaQuery(BaseModel):
    """Which time of the rota; unset: now and the week ahead."""

    model_config = ConfigDict(extra="forbid")

    since: AwareDatetime | None = None
    until: AwareDatetime | None = None


class OnDutyQuery(BaseModel):
    """Who is on duty where and when."""

    model_config = ConfigDict(extra="forbid")

    area: Annotated[str, Field(description="district code")]
    at: Annotated[AwareDatetime | None, Field(description="unset: now")] = None


class GapQuery(BaseModel):
    """How far ahead gaps are looked for."""

    model_config = ConfigDict(extra="forbid")

    hours: Annotated[float, Field(gt=0, le=2160)] = 168


class HandOverBody(BaseModel):
    """Duty passes from the shift of the path to another; the note is what the next one must know."""

    model_config = ConfigDict(extra="forbid")

    to_shift: int
    note: Annotated[str, Field(min_length=1, max_length=4000)]


class ReleaseBody(BaseModel):
    """Somebody is released without a successor; the note says why."""

    model_config = ConfigDict(extra="forbid")

    note: Annotated[str, Field(min_length=1, max_length=4000)]


class ConfirmBody(BaseModel):
    """The code of a test message."""

    model_config = ConfigDict(extra="forbid")

    code: Annotated[str, Field(min_length=8, max_length=40)]


class ReachQuery(BaseModel):
    """How many nights of tests."""

    model_config = ConfigDict(extra="forbid")

    nights: Annotated[int, Field(ge=1, le=366)] = 7


class HandoverQuery(BaseModel):
    """How many hand-overs, newest first."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=500)] = 50


class ShiftRow(BaseModel):
    """A shift; `on_duty`: now; `overdue`: it ended and was not handed over, so its person is still on duty."""

    shift_id: int
    account: str
    level: int
    areas: list[str] | None
    starts_at: datetime
    ends_at: datetime
    taken_at: datetime | None
    relieved_at: datetime | None
    on_duty: bool
    overdue: bool


class ShiftAdded(BaseModel):
    """A planned shift."""

    shift_id: int


class LevelRow(BaseModel):
    """Who is on duty at a level."""

    level: int
    accounts: list[str]


class GapRow(BaseModel):
    """Nobody is planned at a level for districts between two moments."""

    level: int
    areas: list[str]
    starts_at: datetime
    ends_at: datetime


class HandedOverRow(BaseModel):
    """What a hand-over did; `uncovered`: districts that nobody has now."""

    handover_id: int
    open_alerts: int
    uncovered: list[str]


class HandoverRow(BaseModel):
    """One hand-over with what was open."""

    handover_id: int
    from_account: str
    to_account: str | None
    level: int
    areas: list[str] | None
    at: datetime
    actor: str
    note: str
    open_alerts: list[dict[str, Any]]


class ReachRow(BaseModel):
    """One test message; `result`: waiting, confirmed, late (confirmed after its time) or failed."""

    test_id: int
    night: date
    round: int
    account: str
    channel: str | None
    contact: str | None
    result: str
    requested_at: datetime
    deadline_at: datetime
    attempts: int
    handed_over_at: datetime | None
    confirmed_at: datetime | None
    confirmed_by: str | None
    last_error: str | None


class RoundBegun(BaseModel):
    """A round of tests that was begun."""

    night: date
    round: int
    people: int


class Confirmed(BaseModel):
    """Whose test was confirmed."""

    account: str
    channel: str | None
    confirmed_at: datetime
    late: bool


def result_of(row: Any) -> str:
    """What became of a test, in a word."""
    if row["confirmed_at"] is not None:
        return "confirmed" if row["confirmed_at"] <= row["deadline_at"] else "late"
    return "failed" if row["judged_at"] is not None or row["channel"] is None else "waiting"
