"""What may change a planned day, as it is asked for, and what it led to, as it is answered."""

from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator, model_validator

from inspections.answers import Shape

_Note = Annotated[str | None, Field(max_length=1000, description="In words, for whoever reads it later.")]


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    @field_validator("*")
    @classmethod
    def _storable(cls, value: object) -> object:
        if isinstance(value, str) and "\x00" in value:
            raise ValueError("text holds no NUL character")
        return value


class Mandatory(_Body):
    """Mandatory duties that came up since and are due: each gets the inspector who can be there soonest."""

    kind: Literal["mandatory"]


class Ill(_Body):
    """An inspector cannot go on: what is not done goes to others, or is left out with its reason."""

    kind: Literal["ill"]
    inspector: str = Field(max_length=64, description="Code of the inspector.")
    from_at: AwareDatetime | None = Field(None, description="From when; default: now.")
    until: AwareDatetime | None = Field(None, description="Until when; default: the end of the day.")
    note: _Note = None


class Overrun(_Body):
    """A visit takes longer than planned."""

    kind: Literal["overrun"]
    visit_id: int
    until: AwareDatetime = Field(description="When it is expected to end.")


class AppointmentMade(_Body):
    """Somebody was promised a window on this day."""

    kind: Literal["appointment_made"]
    premises: str = Field(max_length=64, description="Code of the door.")
    from_at: AwareDatetime = Field(description="Work begins no earlier.")
    to_at: AwareDatetime = Field(description="Work begins no later.")
    reason: str = Field("appointment", min_length=1, max_length=500)

    @model_validator(mode="after")
    def _in_order(self) -> "AppointmentMade":
        if self.to_at <= self.from_at:
            raise ValueError("the window ends before it begins")
        return self


class AppointmentCancelled(_Body):
    """An appointment is not wanted any more; its time is filled with what waits."""

    kind: Literal["appointment_cancelled"]
    duty_id: int
    note: _Note = None


class Replan(_Body):
    """Plan the rest of the day anew from where everybody stands."""

    kind: Literal["replan"]


Change = Annotated[
    Mandatory | Ill | Overrun | AppointmentMade | AppointmentCancelled | Replan, Field(discriminator="kind")
]


class ChangeRequest(Shape):
    """What changes the day."""

    change: Change


class ChangeAnswer(Shape):
    """What a change led to. `version` is None when no roster of the day was concerned."""

    day: date
    change_id: int | None
    from_version: int | None
    version: int | None
    effect: dict[str, Any]


class ChangeRecord(Shape):
    """A change of a day, as recorded."""

    change_id: int
    kind: str
    body: dict[str, Any]
    from_version: int
    version: int
    effect: dict[str, Any]
    actor: str
    at: datetime


class ChangeList(Shape):
    """What changed a day, oldest first."""

    items: list[ChangeRecord]


class LineAnswer(Shape):
    """A visit as a version has it."""

    inspector: str
    position: int
    arrive_at: datetime
    leave_at: datetime


class Difference(Shape):
    """A door whose visit differs between two versions; `why` is the reason of the version that left it out."""

    premises: str
    what: Literal["added", "dropped", "moved", "retimed"]
    before: LineAnswer | None
    after: LineAnswer | None
    shift_min: int | None = Field(description="Minutes later (negative: earlier).")
    why: str | None
    promise_kept: bool | None = Field(
        description="Whether the later version keeps what was promised; null: no promise."
    )


class DiffAnswer(Shape):
    """How two versions of a day differ: added, dropped, moved to somebody else, retimed; and what led there."""

    day: date
    from_version: int
    to_version: int
    same: int
    counts: dict[str, int]
    items: list[Difference]
    changes: list[ChangeRecord]


class DiffQuery(Shape):
    """Which versions; default: the one in force against the one before it."""

    from_version: int | None = Field(None, ge=1)
    to_version: int | None = Field(None, ge=1)
